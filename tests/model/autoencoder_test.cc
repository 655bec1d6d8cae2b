// The autoencoder against its equations in plain loops; its bits; that it learns to reconstruct.
#include "worker/model/autoencoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/model/model_fixture.h"
#include "worker/model/kernels.h"

namespace cohort::autoencoder_test {
namespace {

using ::testing::HasSubstr;
using Vector = std::vector<double>;

RunConfig ConfigWith(float weight, std::uint32_t bottleneck, std::uint32_t buckets) {
  RunConfig config = TestConfig("shared_bottom");
  config.model.autoencoder = {.weight = weight, .bottleneck = bottleneck, .buckets = buckets};
  return config;
}

Vector Linear(const LayerShape& layer, const Vector& x, const Vector& dense) {
  EXPECT_EQ(x.size(), layer.inputs);
  Vector y(layer.outputs);
  for (std::uint32_t o = 0; o < layer.outputs; ++o) {
    y[o] = dense[layer.biases + o];
    for (std::uint32_t i = 0; i < layer.inputs; ++i)
      y[o] += x[i] * dense[layer.weights + i * layer.outputs + o];
  }
  return y;
}

// The pooled fields of a row, then its numbers.
Vector InputsOf(const ModelSpec& spec, const TestSlice<double>& slice, std::size_t row) {
  const std::size_t dim = spec.config.embedding_dim, fields = spec.fields.size();
  Vector x;
  for (std::size_t f = 0; f < fields; ++f) {
    const std::uint32_t begin = slice.ids[0].offsets[row * fields + f],
                        end = slice.ids[0].offsets[row * fields + f + 1];
    const bool mean = spec.fields[f].pooling == Pooling::kMean;
    for (std::size_t d = 0; d < dim; ++d) {
      double sum = 0;
      for (std::uint32_t p = begin; p < end; ++p)
        sum += slice.embeddings[0][slice.ids[0].distinct[slice.ids[0].positions[p]] * dim + d];
      x.push_back(mean && end > begin ? sum / (end - begin) : sum);
    }
  }
  const double* numbers = slice.numeric.data() + row * spec.numerics.size();
  x.insert(x.end(), numbers, numbers + spec.numerics.size());
  return x;
}

TEST(Autoencoder, LosesWhatItsEquationsSay) {
  const ModelSpec spec = TestSpec(ConfigWith(0.5f, 4, 6), TestData({TaskType::kBinary}));
  const ModelLayout layout = LayoutOf(spec);
  ASSERT_TRUE(layout.autoencoder);
  EXPECT_EQ(spec.InputWidth(), 4u * 3 + 4 + 3);
  EXPECT_EQ(layout.autoencoder->encoder.inputs, 4u * 3 + 3);
  EXPECT_EQ(layout.autoencoder->decoder.outputs, 2u + 2 * 6);  // age, height; genres, visits
  const Vector dense = RandomDense<double>(spec, 3);
  const TestSlice<double> slice = RandomSlice<double>(spec, 30, 32, 5);
  Model<double> model(spec, 32);
  const double loss = RunStep(model, spec, slice, dense, false).reconstruction;

  double expected = 0;
  std::size_t missing = 0, empty = 0;
  for (std::size_t i = 0; i < slice.rows; ++i) {
    Vector b = Linear(layout.autoencoder->encoder, InputsOf(spec, slice, i), dense);
    for (double& each : b) each = std::max(each, 0.0);
    const Vector o = Linear(layout.autoencoder->decoder, b, dense);
    const double* numbers = slice.numeric.data() + i * 3;  // age, whether it is missing, height
    double row = 0.5 * std::pow(o[1] - numbers[2], 2) / 2;
    if (numbers[1] == 0) {
      row += 0.5 * std::pow(o[0] - numbers[0], 2) / 2;
    } else {
      ++missing;
    }
    for (const std::size_t bag : {0u, 1u}) {
      const std::size_t field = bag == 0 ? 1 : 3;
      const std::uint32_t begin = slice.ids[0].offsets[i * 4 + field],
                          end = slice.ids[0].offsets[i * 4 + field + 1];
      empty += begin == end;
      double sum = 0;
      for (std::size_t k = 0; k < 6; ++k) sum += std::exp(o[2 + bag * 6 + k]);
      for (std::uint32_t p = begin; p < end; ++p) {
        const Key key = (*slice.keys[0])[slice.ids[0].distinct[slice.ids[0].positions[p]]];
        row += (std::log(sum) - o[2 + bag * 6 + BucketOf(key, 6)]) / (end - begin) / 2;
      }
    }
    expected += static_cast<double>(slice.weights[i]) * row;
  }
  EXPECT_GT(missing, 3u);
  EXPECT_GT(empty, 3u);
  EXPECT_NEAR(loss, expected, 1e-10 * expected);
}

TEST(Autoencoder, HasNoPartInABalanceByTask) {
  RunConfig config = ConfigWith(0.5f, 4, 6);
  for (const Balance balance : {Balance::kGradNorm, Balance::kPcGrad}) {
    config.train.balance = balance;
    const auto spec = BuildModelSpec(config, TestData(kAllTaskTypes));
    ASSERT_FALSE(spec);
    EXPECT_NE(spec.error().text().find("autoencoder.weight"), std::string::npos);
  }
  config.train.balance = Balance::kUncertainty;
  EXPECT_TRUE(BuildModelSpec(config, TestData(kAllTaskTypes)));
}

TEST(Autoencoder, SameBitsOnEveryInstructionSet) {
  if (!HasKernelPath("avx512")) GTEST_SKIP() << "this processor has no AVX-512";
  RunConfig config = ConfigWith(0.5f, 19, 37);
  config.model.embedding_dim = 21;
  const ModelSpec spec = TestSpec(config, TestData(kAllTaskTypes));
  const TestSlice<float> slice = RandomSlice<float>(spec, 93, 128, 1);
  const std::vector<float> dense = RandomDense<float>(spec, 2, 0.2);
  ASSERT_TRUE(UseKernels("avx2"));
  Model<float> narrow(spec, 128);
  ASSERT_TRUE(UseKernels("avx512"));
  Model<float> wide(spec, 128);
  ASSERT_TRUE(UseKernels(""));
  const StepOutput<float> a = RunStep(narrow, spec, slice, dense, true),
                          b = RunStep(wide, spec, slice, dense, true);
  EXPECT_EQ(std::memcmp(a.dense.data(), b.dense.data(), a.dense.size() * sizeof(float)), 0);
  EXPECT_EQ(std::memcmp(a.embedding[0].data(), b.embedding[0].data(), a.embedding[0].size() * sizeof(float)),
            0);
  EXPECT_EQ(a.reconstruction, b.reconstruction);
}

// Eight numbers of two causes pass through a bottleneck of six almost unharmed; noise does not.
TEST(Autoencoder, ReconstructsWhatHasStructure) {
  DatasetInfo data = TestData({TaskType::kBinary});
  data.features.clear();
  for (int i = 0; i < 8; ++i)
    data.features.push_back(Feature("x" + std::to_string(i), FeatureType::kNumeric));
  const ModelSpec spec = TestSpec(ConfigWith(1.0f, 6, 2), data);
  const auto last_loss = [&](bool structure) {
    std::vector<double> dense = RandomDense<double>(spec, 5, 0.4);
    Model<double> model(spec, 64);
    double first = 0, loss = 0;
    for (std::uint64_t step = 0; step < 1500; ++step) {
      TestSlice<double> slice = RandomSlice<double>(spec, 64, 64, step);
      for (std::size_t i = 0; structure && i < 64; ++i) {
        double* x = slice.numeric.data() + i * 8;
        for (std::size_t k = 2; k < 8; ++k)
          x[k] = x[0] * std::cos(static_cast<double>(k)) + x[1] * std::sin(static_cast<double>(k));
      }
      const StepOutput<double> out = RunStep(model, spec, slice, dense, false);
      for (std::size_t i = 0; i < dense.size(); ++i) dense[i] -= 0.2 * out.dense[i];
      loss = out.reconstruction;
      if (step == 0) first = loss;
    }
    return loss / first;
  };
  EXPECT_LT(last_loss(true), 0.1);
  EXPECT_GT(last_loss(false), 0.2);
}

TEST(Autoencoder, NeedsSomethingToReconstruct) {
  DatasetInfo data = TestData({TaskType::kBinary});
  data.features.resize(1);  // a categorical one
  EXPECT_THAT(BuildModelSpec(ConfigWith(0.1f, 4, 6), data).error().text(),
              HasSubstr("nothing to reconstruct"));
  const ModelSpec off = TestSpec(ConfigWith(0.0f, 4, 6), TestData({TaskType::kBinary}));
  EXPECT_FALSE(LayoutOf(off).autoencoder);
  EXPECT_EQ(off.InputWidth(), 4u * 3 + 3);
}

}  // namespace
}  // namespace cohort::autoencoder_test
