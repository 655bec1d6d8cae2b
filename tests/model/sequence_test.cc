// The encoders of sequences against their equations, written out step by step.
#include "worker/model/sequence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/model/model_fixture.h"

namespace cohort::sequence_test {
namespace {

using ::testing::HasSubstr;
using Vector = std::vector<double>;

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// x W + b of group g; W inputs x (groups * outputs).
Vector Linear(const LayerShape& layer, std::uint32_t g, const Vector& x, const Vector& dense) {
  Vector y(layer.outputs);
  for (std::uint32_t o = 0; o < layer.outputs; ++o) {
    y[o] = dense[layer.biases + g * layer.outputs + o];
    for (std::uint32_t i = 0; i < layer.inputs; ++i)
      y[o] += x[i] * dense[layer.weights + i * layer.Width() + g * layer.outputs + o];
  }
  return y;
}

// What the encoder's header says of one row.
Vector Expected(const SequenceField& sequence, const SequenceShape& shape, const std::vector<Vector>& e,
                const Vector& target, const Vector& dense) {
  const std::size_t width = sequence.width;
  Vector out(width, 0.0);
  switch (sequence.config.encoder) {
    case SequenceEncoderKind::kAttention:
      for (const Vector& step : e) {
        Vector all = step;
        all.insert(all.end(), target.begin(), target.end());
        for (std::size_t d = 0; d < step.size(); ++d) all.push_back(step[d] - target[d]);
        for (std::size_t d = 0; d < step.size(); ++d) all.push_back(step[d] * target[d]);
        Vector hidden = Linear(shape.layers[0], 0, all, dense);
        for (double& h : hidden) h = std::max(h, 0.0);
        const double a = Linear(shape.layers[1], 0, hidden, dense)[0];
        for (std::size_t d = 0; d < width; ++d) out[d] += a * step[d];
      }
      break;
    case SequenceEncoderKind::kGru: {
      const double* gates = dense.data() + shape.recurrent;
      const double* candidate = gates + 2 * width * width;
      for (const Vector& step : e) {
        Vector r = Linear(shape.layers[0], 0, step, dense), z = Linear(shape.layers[0], 1, step, dense),
               c = Linear(shape.layers[0], 2, step, dense), next(width);
        for (std::size_t j = 0; j < width; ++j) {
          for (std::size_t i = 0; i < width; ++i) {
            r[j] += out[i] * gates[i * 2 * width + j];
            z[j] += out[i] * gates[i * 2 * width + width + j];
          }
        }
        for (std::size_t j = 0; j < width; ++j) {
          for (std::size_t i = 0; i < width; ++i) c[j] += Sigmoid(r[i]) * out[i] * candidate[i * width + j];
          next[j] = Sigmoid(z[j]) * out[j] + (1 - Sigmoid(z[j])) * std::tanh(c[j]);
        }
        out = next;
      }
      break;
    }
    case SequenceEncoderKind::kConvolution:
      for (std::size_t w = 0; w < e.size(); ++w) {
        if (w > 0 && w + sequence.config.kernel > e.size()) break;
        Vector window;
        for (std::size_t k = w; k < w + sequence.config.kernel; ++k) {
          const Vector step = k < e.size() ? e[k] : Vector(e[0].size(), 0.0);
          window.insert(window.end(), step.begin(), step.end());
        }
        const Vector answer = Linear(shape.layers[0], 0, window, dense);
        for (std::size_t j = 0; j < width; ++j) out[j] = std::max(out[j], answer[j]);
      }
      break;
    case SequenceEncoderKind::kMean:
    case SequenceEncoderKind::kSum:
      break;
  }
  return out;
}

TEST(Sequence, GivesWhatItsEquationsSay) {
  constexpr std::size_t kRows = 9, kDim = 3;
  for (const SequenceEncoderKind encoder : kSequenceEncoders) {
    for (const std::uint32_t kernel : {1u, 2u, 3u, 7u}) {
      DatasetInfo data = TestData({TaskType::kBinary});
      RunConfig config = TestConfig("mmoe");
      AddSequence(encoder, &data, &config);
      config.model.sequences.begin()->second.kernel = kernel;
      const ModelSpec spec = TestSpec(config, data);
      const SequenceField& field = spec.sequences[0];
      const SequenceShape shape = LayoutOf(spec).sequences[0];
      const Vector dense = RandomDense<double>(spec, 3);

      RandomStream random(8, 1);
      std::vector<std::uint32_t> begin = {0};
      for (const std::uint32_t length : {2u, 0u, 5u, 1u, 5u, 3u, 0u, 8u, 4u})
        begin.push_back(begin.back() + length);
      Matrix<double> embeddings(begin.back(), kDim), target(kRows, kDim), output(kRows, field.width);
      for (std::size_t s = 0; s < begin.back(); ++s) {
        for (std::size_t d = 0; d < kDim; ++d) embeddings.view().Row(s)[d] = random.Uniform() * 4 - 2;
      }
      for (std::size_t i = 0; i < kRows; ++i) {
        for (std::size_t d = 0; d < kDim; ++d) target.view().Row(i)[d] = random.Uniform() * 4 - 2;
      }
      auto tested = MakeSequenceEncoder<double>(field, shape, kDim, kRows);
      tested->Reserve(begin.back());
      tested->SetWeights(dense.data());
      tested->Forward({kRows, begin.data(), Const(embeddings.view()), Const(target.view())}, output.view());
      for (std::size_t i = 0; i < kRows; ++i) {
        std::vector<Vector> steps;
        for (std::size_t s = begin[i]; s < begin[i + 1]; ++s)
          steps.emplace_back(embeddings.view().Row(s), embeddings.view().Row(s) + kDim);
        const double* t = target.view().Row(i);
        const Vector expected = Expected(field, shape, steps, Vector(t, t + kDim), dense);
        for (std::size_t j = 0; j < field.width; ++j)
          EXPECT_NEAR(output.view().Row(i)[j], expected[j], 1e-12) << i << ' ' << j;
      }
    }
  }
}

TEST(Sequence, StandsBetweenThePooledFieldsAndTheNumerics) {
  DatasetInfo data = TestData({TaskType::kBinary});
  RunConfig config = TestConfig("mmoe");
  AddSequence(SequenceEncoderKind::kGru, &data, &config);
  const std::string first = data.features.back().name;
  AddSequence(SequenceEncoderKind::kMean, &data, &config);
  AddSequence(SequenceEncoderKind::kSum, &data, &config);
  AddSequence(SequenceEncoderKind::kAttention, &data, &config);
  config.model.sequences[first].width = 11;
  const ModelSpec spec = TestSpec(config, data);
  ASSERT_EQ(spec.sequences.size(), 2u);
  ASSERT_EQ(spec.PooledFields(), 7u);  // four of TestData, item, two pooled sequences
  EXPECT_EQ(spec.fields[5].pooling, Pooling::kMean);
  EXPECT_EQ(spec.fields[6].pooling, Pooling::kSum);
  EXPECT_EQ(spec.fields[spec.sequences[0].field].feature, 6u);
  EXPECT_EQ(spec.sequences[1].target, 4u);
  EXPECT_EQ(spec.EmbeddedWidth(), 7u * 3 + 11 + 3);
  EXPECT_EQ(spec.InputWidth(), spec.EmbeddedWidth() + 3);
  // By hand: the GRU's 3 x (3 x 11 + 11) and its recurrent 3 x 11 x 11; the attention's (12 + 1) x 5 + 5 + 1.
  RunConfig plain = config;
  plain.model.sequences.clear();
  const std::uint64_t without = TestSpec(plain, data).dense_count;
  const std::uint64_t more = 11 + 3 - 2 * 3;  // inputs of three experts and a gate
  EXPECT_EQ(spec.dense_count - without,
            3 * (3 * 11 + 11) + 3 * 11 * 11 + 13 * 5 + 5 + 1 + more * (3 * 7 + 3));
}

TEST(Sequence, RefusesWhatTheDataDoesNotHave) {
  DatasetInfo data = TestData({TaskType::kBinary});
  RunConfig config = TestConfig("mmoe");
  AddSequence(SequenceEncoderKind::kAttention, &data, &config);
  const std::string name = data.features.back().name;
  const auto error = [&](const RunConfig& changed) { return BuildModelSpec(changed, data).error().text(); };
  RunConfig changed = config;
  changed.model.sequences["itmes"] = {};
  EXPECT_THAT(error(changed), HasSubstr("[sequence.itmes]: the dataset has no feature of that name"));
  changed = config;
  changed.model.sequences["genres"] = {};
  EXPECT_THAT(error(changed),
              HasSubstr("[sequence.genres]: the dataset has no order of this feature's items"));
  for (const std::string target : {"", "age", "genres", "itme"}) {
    changed = config;
    changed.model.sequences[name].target = target;
    EXPECT_THAT(error(changed), HasSubstr("target = \"" + target + "\" is none of the dataset"));
  }
  EXPECT_TRUE(WarningsOf(TestSpec(config, data)).empty());
  data.features.back().vocabulary = "";
  EXPECT_THAT(WarningsOf(TestSpec(config, data)),
              ::testing::ElementsAre(HasSubstr("have embeddings of their own")));
}

}  // namespace
}  // namespace cohort::sequence_test
