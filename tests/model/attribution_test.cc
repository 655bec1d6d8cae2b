// Integrated gradients: every slope against finite differences, the sum against the difference, and a case worked by hand.
#include "worker/model/attribution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/model/model_fixture.h"

namespace cohort::attribution_test {
namespace {

struct Explained {
  explicit Explained(ModelSpec model_spec)
      : spec(std::move(model_spec)), dense(RandomDense<double>(spec, 7)) {
    Model<double> model(spec, 8);
    model.SetDense(dense.data());
    const TestSlice<double> slice = RandomSlice<double>(spec, 5, 8, 3);
    inputs.resize(5 * spec.InputWidth());
    predictions.resize(5 * spec.prediction_columns);
    model.Inputs(slice.Input(), inputs.data());
    model.Predict(slice.Input(), predictions.data());
  }
  std::span<const double> Row(std::size_t row) const {
    return std::span(inputs).subspan(row * spec.InputWidth(), spec.InputWidth());
  }
  ModelSpec spec;
  std::vector<double> dense, inputs, predictions;
};

Explained OfKind(const std::string& kind, bool rich) {
  const std::vector<TaskType> types = TypesFor(kind);
  DatasetInfo data = TestData(types);
  RunConfig config = TestConfig(kind);
  MakeChain(data, &config);
  if (rich) {
    AddSequence(SequenceEncoderKind::kGru, &data, &config);
    AddSequence(SequenceEncoderKind::kAttention, &data, &config);
    config.model.linear = true;
    config.model.autoencoder.weight = 0.1f;
    config.model.autoencoder.bottleneck = 3;
    for (const TaskInfo& task : data.tasks) {
      if (task.type == TaskType::kCount) config.tasks[task.name].offset = "height";
    }
  }
  return Explained(TestSpec(config, data));
}

class AttributionOf : public ::testing::TestWithParam<std::string> {};

TEST_P(AttributionOf, SumsToTheDifference) {
  for (const bool rich : {false, true}) {
    const Explained it = OfKind(GetParam(), rich);
    Attribution attribution(it.spec);
    attribution.SetDense(it.dense.data());
    for (std::uint32_t output = 0; output < it.spec.prediction_columns; ++output) {
      const double prediction = it.predictions[1 * it.spec.prediction_columns + output];
      const double scale = std::max(1.0, std::abs(prediction));
      const Attributed result = attribution.Explain(it.Row(1), it.Row(0), output, 1e-4 * scale);
      EXPECT_NEAR(result.prediction, prediction, 1e-9 * scale) << "the model's own, column " << output;
      EXPECT_NEAR(result.sum, result.prediction - result.baseline, 1e-4 * scale) << "column " << output;
    }
  }
}

// Of a baseline next to x the attribution is the slope times the step.
TEST_P(AttributionOf, IsTheSlopeNearby) {
  const Explained it = OfKind(GetParam(), true);
  Attribution attribution(it.spec);
  attribution.SetDense(it.dense.data());
  constexpr double kStep = 1e-5;
  for (std::uint32_t output = 0; output < it.spec.prediction_columns; ++output) {
    const double scale = std::max(1.0, std::abs(it.predictions[output]));
    for (std::uint32_t column = 0; column < it.spec.InputWidth(); ++column) {
      std::vector<double> above(it.Row(2).begin(), it.Row(2).end()), below = above;
      above[column] += kStep, below[column] -= kStep;
      const double difference = attribution.Predict(above, output) - attribution.Predict(below, output);
      const Attributed result = attribution.Explain(above, below, output, 1e-9 * scale);
      EXPECT_NEAR(result.inputs[column], difference, 1e-8 * scale)
          << "output " << output << ", input " << column;
      for (std::uint32_t other = 0; other < it.spec.InputWidth(); ++other) {
        if (other == column) continue;
        EXPECT_EQ(result.inputs[other], 0.0);
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Kinds, AttributionOf, ::testing::ValuesIn(kAllKinds),
                         [](const auto& param) { return param.param; });

// A model that is linear in x: z = x V, so the prediction of a regression is mean + deviation (x V + b), whose parts are known.
TEST(Attribution, OfALinearModelIsWeightTimesDistance) {
  DatasetInfo data = TestData({TaskType::kRegression});
  RunConfig config = TestConfig("single");
  config.model.linear = true;
  const ModelSpec spec = TestSpec(config, data);
  const ModelLayout layout = LayoutOf(spec);
  ASSERT_TRUE(layout.linear.has_value());
  std::vector<double> dense(spec.dense_count, 0.0);
  for (std::uint32_t c = 0; c < spec.InputWidth(); ++c)
    dense[layout.linear->weights + c * layout.linear->Width()] = 0.1 * (c + 1);
  std::vector<double> x(spec.InputWidth()), baseline(spec.InputWidth());
  for (std::uint32_t c = 0; c < spec.InputWidth(); ++c) x[c] = std::sin(c), baseline[c] = std::cos(c);
  Attribution attribution(spec);
  attribution.SetDense(dense.data());
  const Attributed result = attribution.Explain(x, baseline, 0, 1e-9);
  for (std::uint32_t c = 0; c < spec.InputWidth(); ++c)
    EXPECT_NEAR(result.inputs[c], 20 * 0.1 * (c + 1) * (x[c] - baseline[c]), 1e-9) << c;
}

TEST(Attribution, EveryColumnIsOneFeatures) {
  const Explained it = OfKind("mmoe", true);
  std::set<std::uint32_t> seen;
  for (const FeatureColumns& each : ColumnsByFeature(it.spec)) {
    EXPECT_LE(each.feature, it.spec.data.features.size());
    for (const std::uint32_t column : each.columns) EXPECT_TRUE(seen.insert(column).second) << column;
  }
  EXPECT_EQ(seen.size(), it.spec.InputWidth());
  EXPECT_EQ(*seen.rbegin() + 1, it.spec.InputWidth());
}

}  // namespace
}  // namespace cohort::attribution_test
