// The two towers against their equations written out, and what the spec makes of a configuration.
#include "worker/model/two_tower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/model/counted_allocations.h"
#include "tests/model/model_fixture.h"

namespace cohort::two_tower_test {
namespace {

using ::testing::HasSubstr;
using Vector = std::vector<double>;

const TowerShape kFactorisation{.dim = 5};
const TowerShape kTowers{.user_layers = {6, 4}, .item_layers = {7, 4}, .dim = 5};

// The pooled embedding of field f, counted over all fields of a row.
Vector Pooled(const ModelSpec& spec, const TestSlice<double>& slice, std::size_t row, std::size_t f) {
  const std::size_t fields = spec.fields.size() + slice.negatives * spec.item_fields;
  const std::size_t own =
      f < spec.fields.size() ? f : spec.UserFields() + (f - spec.fields.size()) % spec.item_fields;
  const FeatureInfo& feature = spec.data.features[spec.fields[own].feature];
  const std::size_t dim = spec.config.embedding_dim;
  const std::uint32_t begin = slice.ids[0].offsets[row * fields + f],
                      end = slice.ids[0].offsets[row * fields + f + 1];
  Vector sum(dim, 0.0);
  for (std::uint32_t p = begin; p < end; ++p) {
    for (std::size_t d = 0; d < dim; ++d)
      sum[d] += slice.embeddings[0][slice.ids[0].distinct[slice.ids[0].positions[p]] * dim + d];
  }
  const bool mean = feature.type == FeatureType::kBag && spec.fields[own].pooling == Pooling::kMean;
  for (double& value : sum) value /= mean && end > begin ? end - begin : 1;
  return sum;
}

// What a side makes of the fields [first, first + count) of a row and its numbers.
Vector VectorOf(const ModelSpec& spec, const TestSlice<double>& slice, std::size_t row, std::size_t first,
                std::size_t count, const std::vector<LayerShape>& layers, const Vector& numbers,
                const Vector& dense) {
  Vector x;
  for (std::size_t f = first; f < first + count; ++f) {
    const Vector field = Pooled(spec, slice, row, f);
    if (!layers.empty()) {
      x.insert(x.end(), field.begin(), field.end());
    } else {
      x.resize(field.size(), 0.0);
      for (std::size_t d = 0; d < field.size(); ++d) x[d] += field[d];
    }
  }
  if (!layers.empty()) x.insert(x.end(), numbers.begin(), numbers.end());
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const LayerShape& layer = layers[l];
    Vector y(layer.outputs);
    for (std::uint32_t o = 0; o < layer.outputs; ++o) {
      y[o] = dense[layer.biases + o];
      for (std::uint32_t i = 0; i < layer.inputs; ++i)
        y[o] += x[i] * dense[layer.weights + i * layer.outputs + o];
      if (l + 1 < layers.size()) y[o] = std::max(y[o], 0.0);
    }
    x = y;
  }
  return x;
}

// The scores of a row's items, the own one first.
Vector Scores(const ModelSpec& spec, const TestSlice<double>& slice, std::size_t row, const Vector& dense) {
  const ModelLayout layout = LayoutOf(spec);
  const std::size_t numbers = spec.numerics.size();
  const Vector number(slice.numeric.begin() + static_cast<std::ptrdiff_t>(row * numbers),
                      slice.numeric.begin() + static_cast<std::ptrdiff_t>((row + 1) * numbers));
  const Vector u = VectorOf(spec, slice, row, 0, spec.UserFields(), layout.user_tower, number, dense);
  Vector scores;
  for (std::uint32_t n = 0; n <= slice.negatives; ++n) {
    const Vector v = VectorOf(spec, slice, row, spec.UserFields() + n * spec.item_fields, spec.item_fields,
                              layout.item_tower, {}, dense);
    double score = dense[layout.score_bias] + v.back();
    for (std::size_t c = 0; c + 1 < v.size(); ++c) score += u[c] * v[c];
    scores.push_back(score);
  }
  return scores;
}

TEST(TwoTower, ScoresAndLossesAreWhatTheEquationsSay) {
  for (TowerShape shape : {kFactorisation, kTowers}) {
    for (const TowerLoss loss : {TowerLoss::kLogistic, TowerLoss::kSoftmax}) {
      shape.loss = loss;
      const ModelSpec spec = TowerSpec(shape);
      const Vector dense = RandomDense<double>(spec, 3);
      TestSlice<double> slice = RandomSlice<double>(spec, 19, 24, 4);
      RandomStream random(5);
      for (std::uint32_t i = 0; i < 24 * (1 + slice.negatives); ++i)
        slice.corrections.push_back(static_cast<float>(random.Uniform() * 2 - 1));
      double expected = 0;
      int counted[2] = {0, 0};
      for (std::size_t row = 0; row < slice.rows; ++row) {
        const float label = slice.labels[row];
        if (std::isnan(label)) continue;
        ++counted[label > 0.5f];
        Vector z = Scores(spec, slice, row, dense);
        for (std::size_t j = 0; j < z.size(); ++j)
          z[j] -= static_cast<double>(slice.corrections[row * z.size() + j]);
        double row_loss = 0;
        if (loss == TowerLoss::kSoftmax) {
          if (label < 0.5f) continue;
          double sum = 0;
          for (const double each : z) sum += std::exp(each);
          row_loss = std::log(sum) - z[0];
        } else if (label > 0.5f) {
          row_loss = std::log1p(std::exp(-z[0]));
          for (std::size_t j = 1; j < z.size(); ++j) row_loss += std::log1p(std::exp(z[j]));
        } else {
          row_loss = std::log1p(std::exp(z[0]));
        }
        expected += static_cast<double>(slice.weights[row]) * row_loss;
      }
      EXPECT_GT(std::min(counted[0], counted[1]), 2) << "rows of both labels";
      Model<double> model(spec, 24);
      EXPECT_NEAR(RunStep(model, spec, slice, dense, false).loss[0], expected, 1e-10 * expected);

      const TestSlice<double> scored = RandomSlice<double>(spec, 19, 24, 4, /*training=*/false);
      std::vector<double> predictions(19);
      model.Predict(scored.Input(), predictions.data());
      for (std::size_t row = 0; row < 19; ++row)
        EXPECT_NEAR(predictions[row], 1 / (1 + std::exp(-Scores(spec, scored, row, dense)[0])), 1e-12);
    }
  }
}

TEST(TwoTower, FloatAgreesWithDoubleAndEveryInstructionSetWithEveryOther) {
  for (TowerShape shape :
       {TowerShape{.dim = 21}, TowerShape{.user_layers = {67, 35}, .item_layers = {33, 35}, .dim = 21},
        TowerShape{.user_layers = {21}, .dim = 21}}) {
    const ModelSpec spec =
        TowerSpec(shape, [](RunConfig* config) { config->model.embedding_dropout = 0.2f; });
    Model<double> exact(spec, 64);
    const StepOutput<double> y =
        RunStep(exact, spec, RandomSlice<double>(spec, 50, 64, 8), RandomDense<double>(spec, 9, 0.15), true);
    std::vector<StepOutput<float>> outputs;
    for (const char* path : {"avx2", "avx512"}) {
      if (!UseKernels(path)) continue;
      Model<float> model(spec, 80);
      outputs.push_back(
          RunStep(model, spec, RandomSlice<float>(spec, 50, 64, 8), RandomDense<float>(spec, 9, 0.15), true));
    }
    ASSERT_TRUE(UseKernels(""));
    ASSERT_FALSE(outputs.empty());
    for (const StepOutput<float>& x : outputs) {
      EXPECT_EQ(x.dense, outputs[0].dense);
      EXPECT_EQ(x.embedding, outputs[0].embedding);
      const std::vector<float> got = x.Embeddings();
      const std::vector<double> expected = y.Embeddings();
      EXPECT_EQ(x.loss, outputs[0].loss);
      double largest = 0, difference = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        largest = std::max(largest, std::fabs(expected[i]));
        difference = std::max(difference, std::fabs(static_cast<double>(got[i]) - expected[i]));
      }
      EXPECT_LE(difference, 2e-5 * largest);
    }
  }
}

TEST(TwoTower, SteadyStepAllocatesNothing) {
  for (const TowerShape& shape : {kFactorisation, kTowers}) {
    const ModelSpec spec = TowerSpec(shape);
    const TestSlice<float> slice = RandomSlice<float>(spec, 100, 128, 10),
                           scored = RandomSlice<float>(spec, 100, 128, 10, false);
    const std::vector<float> dense = RandomDense<float>(spec, 2);
    Model<float> model(spec, 128);
    std::vector<float> gradient(spec.dense_count), embedding(slice.ids[0].distinct.size() * shape.dim),
        predictions(128);
    float* const gradients[] = {embedding.data()};
    double loss = 0;
    std::uint64_t before = 0;
    for (int i = 0; i < 4; ++i) {
      if (i == 1) before = CountedAllocations();  // the first slice makes room for the drawn items
      model.SetDense(dense.data());
      model.Step(slice.Input(), slice.total_weight.data(), true, {gradient.data(), gradients, &loss});
      model.Predict(scored.Input(), predictions.data());
    }
    EXPECT_EQ(CountedAllocations() - before, 0u);
  }
}

TEST(TwoTower, SoftmaxLeavesTheBiasAloneAndLogisticStartsAtTheShareOfPositives) {
  const ModelSpec logistic = TowerSpec(kFactorisation);
  const std::uint64_t at = LayoutOf(logistic).score_bias;
  ASSERT_EQ(logistic.dense_init.size(), 1u);
  EXPECT_EQ(logistic.dense_init[0].begin, at);
  // A fifth of the rows is positive, each with 4 drawn items: 0.2 of 0.8 + 1.
  EXPECT_NEAR(logistic.dense_init[0].mean, std::log(0.2 / 1.6), 1e-6);
  TowerShape shape = kFactorisation;
  shape.loss = TowerLoss::kSoftmax;
  const ModelSpec softmax = TowerSpec(shape);
  EXPECT_EQ(softmax.dense_init[0].mean, 0.0f);
  Model<double> model(softmax, 24);
  const StepOutput<double> out = RunStep(model, softmax, RandomSlice<double>(softmax, 19, 24, 4),
                                         RandomDense<double>(softmax, 3), false);
  EXPECT_EQ(out.dense[at], 0.0);
}

TEST(TwoTower, LayoutCountsByHand) {
  const ModelSpec now = TowerSpec(kTowers);
  const ModelLayout layout = LayoutOf(now);
  EXPECT_EQ(now.UserFields(), 2u);                     // the bin of age, visits
  EXPECT_EQ(layout.user_tower[0].inputs, 2 * 5 + 3u);  // age, whether it is missing, height
  EXPECT_EQ(layout.item_tower[0].inputs, 2 * 5u);
  EXPECT_TRUE(layout.user_tower[0].relu && !layout.user_tower[1].relu);
  EXPECT_EQ(now.dense_count, (13 + 1) * 6 + (6 + 1) * 4 + (10 + 1) * 7 + (7 + 1) * 4 + 1u);
}

TEST(TwoTower, TheSpecNamesWhatDoesNotSuitIt) {
  const auto error = [](std::vector<TaskType> types, std::vector<std::string> item,
                        std::vector<std::uint32_t> layers = {4},
                        const std::function<void(RunConfig*)>& change = {}) {
    RunConfig config = TestConfig("two_tower");
    config.model.two_tower.item = std::move(item);
    config.model.two_tower.user_layers = std::move(layers);
    if (change) change(&config);
    const Result<ModelSpec> spec = BuildModelSpec(config, TestData(types));
    EXPECT_FALSE(spec);
    return spec ? std::string() : spec.error().text();
  };
  const TaskType binary = TaskType::kBinary;
  EXPECT_THAT(error({binary, binary}, {"city"}), HasSubstr("2 are enabled"));
  EXPECT_THAT(error({TaskType::kValue}, {"city"}), HasSubstr("value0 is value"));
  EXPECT_THAT(error({binary}, {"town"}), HasSubstr("names town, which the dataset does not have"));
  EXPECT_THAT(error({binary}, {"city", "city"}), HasSubstr("city twice"));
  EXPECT_THAT(error({binary}, {"genres"}), HasSubstr("genres, which is not categorical"));
  EXPECT_THAT(error({binary}, {"city", "height"}), HasSubstr("height has no embedding"));
  EXPECT_THAT(error({binary}, {"city"}, {}), HasSubstr("height has no embedding"));
  EXPECT_THAT(error({binary}, {"city", "genres", "age", "visits"}), HasSubstr("none is left for the user's"));
  EXPECT_THAT(error({binary}, {"city"}, {4},
                    [](RunConfig* config) { config->tasks["binary0"].loss = TaskLoss::kFocal; }),
              HasSubstr("[task.binary0] loss"));
}

}  // namespace
}  // namespace cohort::two_tower_test
