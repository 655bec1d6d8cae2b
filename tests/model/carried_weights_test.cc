// A model with features and tasks added, removed and moved, warm-started from a former one, predicts what that one does.
#include "worker/model/carried_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/model/model_fixture.h"

namespace cohort::carried_weights_test {
namespace {

using ::testing::HasSubstr;

// "city" is removed, "brand" and "weight" (which misses values) are added, the others come in another order.
DatasetInfo OtherFeatures(const DatasetInfo& before) {
  DatasetInfo now = before;
  const auto& f = before.features;
  FeatureInfo weight = Feature("weight", FeatureType::kNumeric);
  weight.missing = 2;
  now.features = {Feature("brand", FeatureType::kCategorical), f[4], f[2], weight, f[1], f[3]};
  return now;
}

// What `slice`, of `now`, looks like to `before`: without what only one of them has.
TestSlice<double> SeenBy(const ModelSpec& before, const ModelSpec& now, const TestSlice<double>& slice) {
  TestSlice<double> seen = slice;
  seen.numeric.clear(), seen.ids[0].positions.clear();
  seen.ids[0].offsets = {0};
  const auto name = [](const ModelSpec& spec, const auto& input) {
    return spec.data.features[input.feature].name;
  };
  for (std::uint32_t row = 0; row < slice.padded_rows; ++row) {
    for (const NumericInput& input : before.numerics) {
      double value = 0;
      for (std::size_t i = 0; i < now.numerics.size(); ++i) {
        if (name(now, now.numerics[i]) == name(before, input) &&
            now.numerics[i].missing_indicator == input.missing_indicator &&
            now.numerics[i].element == input.element)
          value = slice.numeric[row * now.numerics.size() + i];
      }
      seen.numeric.push_back(value);
    }
    for (const EmbeddedField& field : before.fields) {
      for (std::size_t i = 0; i < now.fields.size(); ++i) {
        if (name(now, now.fields[i]) != name(before, field)) continue;
        const std::size_t at = row * now.fields.size() + i;
        seen.ids[0].positions.insert(seen.ids[0].positions.end(),
                                     slice.ids[0].positions.begin() + slice.ids[0].offsets[at],
                                     slice.ids[0].positions.begin() + slice.ids[0].offsets[at + 1]);
      }
      seen.ids[0].offsets.push_back(static_cast<std::uint32_t>(seen.ids[0].positions.size()));
    }
  }
  return seen;
}

void ExpectTheSamePredictions(const ModelSpec& now, const ModelSpec& before, int tasks_in_both = 2) {
  const std::vector<double> old_dense = RandomDense<double>(before, 3);
  const std::vector<std::int64_t> sources = CarriedWeights(now, before);
  ASSERT_EQ(sources.size(), now.dense_count);
  std::vector<double> dense(now.dense_count, 0.0);  // fresh ones add nothing
  std::set<std::int64_t> used;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i] < 0) continue;
    ASSERT_LT(sources[i], static_cast<std::int64_t>(old_dense.size()));
    EXPECT_TRUE(used.insert(sources[i]).second) << "twice";
    dense[i] = old_dense[static_cast<std::size_t>(sources[i])];
  }
  const TestSlice<double> slice = RandomSlice<double>(now, 9, 9, 7, /*training=*/false), old_slice = SeenBy(before, now, slice);
  std::vector<double> predictions(9 * now.prediction_columns), old_predictions(9 * before.prediction_columns);
  Model<double> model(now, 9), old_model(before, 9);
  model.SetDense(dense.data());
  model.Predict(slice.Input(), predictions.data());
  old_model.SetDense(old_dense.data());
  old_model.Predict(old_slice.Input(), old_predictions.data());
  int shared = 0;
  for (const ModelTask& task : now.tasks) {
    for (const ModelTask& old_task : before.tasks) {
      if (old_task.info.name != task.info.name) continue;
      ++shared;
      for (std::uint32_t row = 0; row < 9; ++row) {
        for (std::uint32_t k = 0; k < task.info.PredictionColumns(); ++k) {
          const double expected =
              old_predictions[row * before.prediction_columns + old_task.prediction_column + k];
          EXPECT_NEAR(predictions[row * now.prediction_columns + task.prediction_column + k], expected,
                      1e-12 * std::max(1.0, std::abs(expected)))
              << task.info.name << " row " << row;
        }
      }
    }
  }
  EXPECT_GE(shared, tasks_in_both);
}

TEST(CarriedWeights, NothingChangedCarriesEverything) {
  for (const std::string& kind : kAllKinds) {
    RunConfig config = TestConfig(kind);
    config.model.linear = true;
    const DatasetInfo data = TestData(TypesFor(kind));
    MakeChain(data, &config);
    const ModelSpec spec = TestSpec(config, data);
    const auto sources = CarriedWeights(spec, spec);
    ASSERT_EQ(sources.size(), spec.dense_count);
    for (std::size_t i = 0; i < sources.size(); ++i)
      ASSERT_EQ(sources[i], static_cast<std::int64_t>(i)) << kind;
  }
}

TEST(CarriedWeights, TowersGoByFeature) {
  RunConfig config = TestConfig("two_tower");
  config.model.two_tower = {.item = {"city", "genres"}, .user_layers = {6, 4}, .item_layers = {5, 4}};
  const DatasetInfo data = TestData({TaskType::kBinary});
  const ModelSpec before = TestSpec(config, data);
  const auto sources = CarriedWeights(before, before);
  for (std::size_t i = 0; i < sources.size(); ++i) ASSERT_EQ(sources[i], static_cast<std::int64_t>(i));
  config.model.two_tower.item = {"brand", "genres"};
  ExpectTheSamePredictions(TestSpec(config, OtherFeatures(data)), before, 1);
}

TEST(CarriedWeights, FeaturesComeAndGoAndTasksMoveInEveryStructure) {
  for (const std::string& kind : kAllKinds) {
    for (const bool deep : {true, false}) {
      RunConfig config = TestConfig(kind);
      config.model.linear = true;
      if (!deep && (kind == "single" || kind == "shared_bottom")) config.model.expert_layers = {};
      if (!deep && kind != "aitm") config.model.tower_layers = {};
      const DatasetInfo data = TestData(TypesFor(kind));
      MakeChain(data, &config);
      DatasetInfo other = OtherFeatures(data);
      std::reverse(other.tasks.begin(), other.tasks.end());
      SCOPED_TRACE(kind + (deep ? "" : ", shallow"));
      ExpectTheSamePredictions(TestSpec(config, other), TestSpec(config, data));
    }
  }
}

// Vectors, sequences with every encoder and an autoencoder, with features before, between and behind them.
void AddInputs(DatasetInfo* data, RunConfig* config) {
  FeatureInfo vector = Feature("picture", FeatureType::kVector);
  vector.length = 4;
  data->features.push_back(vector);
  for (const SequenceEncoderKind encoder : kSequenceEncoders) AddSequence(encoder, data, config);
  config->model.autoencoder.weight = 0.5f;
  config->model.autoencoder.bottleneck = 3;
  config->model.autoencoder.buckets = 5;
}

TEST(CarriedWeights, SequencesVectorsAndTheAutoencoderGoByName) {
  for (const std::string kind : {"shared_bottom", "mmoe", "ple"}) {
    RunConfig config = TestConfig(kind);
    config.model.linear = true;
    config.train.balance = Balance::kUncertainty;
    DatasetInfo data = TestData(kAllTaskTypes);
    AddInputs(&data, &config);
    const ModelSpec before = TestSpec(config, data);
    ASSERT_EQ(before.sequences.size(), 3u);
    const auto same = CarriedWeights(before, before);
    for (std::size_t i = 0; i < same.size(); ++i) ASSERT_EQ(same[i], static_cast<std::int64_t>(i)) << kind;
    DatasetInfo other = data;
    std::reverse(other.features.begin(), other.features.end());
    other.features.pop_back();  // "city"
    other.features.insert(other.features.begin() + 2, Feature("brand", FeatureType::kCategorical));
    std::reverse(other.tasks.begin(), other.tasks.end());
    SCOPED_TRACE(kind);
    const ModelSpec now = TestSpec(config, other);
    ExpectTheSamePredictions(now, before);
    // All but what reads the added feature, and the balance of each task, has a source.
    const auto sources = CarriedWeights(now, before);
    const ModelLayout layout = LayoutOf(now), old = LayoutOf(before);
    for (std::size_t j = 0; j < now.tasks.size(); ++j) {
      EXPECT_EQ(sources[layout.learned_balance + j],
                static_cast<std::int64_t>(old.learned_balance + now.tasks.size() - 1 - j));
    }
    for (std::uint64_t i = 0; i < layout.autoencoder->encoder.weights; ++i) EXPECT_GE(sources[i], 0) << i;
    const LayerShape& decoder = layout.autoencoder->decoder;
    for (std::uint64_t i = 0; i < decoder.WeightCount() + decoder.Width(); ++i)
      EXPECT_GE(sources[decoder.weights + i], 0) << i;
  }
}

TEST(CarriedWeights, AnotherEncoderLengthOrBottleneckIsAnotherInput) {
  RunConfig config = TestConfig("shared_bottom");
  DatasetInfo data = TestData(kAllTaskTypes);
  AddInputs(&data, &config);
  const ModelSpec before = TestSpec(config, data);
  RunConfig changed = config;
  for (auto& [name, sequence] : changed.model.sequences) sequence.width = 6;
  changed.model.autoencoder.bottleneck = 4;
  data.features[5].length = 2;
  const ModelSpec now = TestSpec(changed, data);
  const ModelLayout layout = LayoutOf(now);
  const auto sources = CarriedWeights(now, before);
  for (std::uint64_t i = 0; i < layout.bottom[0].weights; ++i) EXPECT_EQ(sources[i], -1) << i;
  // Of the first layer's columns, the pooled fields' and those of the two numbers and the indicator.
  std::uint64_t carried = 0;
  for (std::uint64_t i = 0; i < layout.bottom[0].WeightCount(); ++i)
    carried += sources[layout.bottom[0].weights + i] >= 0;
  EXPECT_EQ(carried, (now.PooledFields() * 3 + 3) * layout.bottom[0].outputs);
}

TEST(CarriedWeights, TasksComeAndGo) {
  for (const std::string kind : {"single", "shared_bottom", "mmoe"}) {
    RunConfig config = TestConfig(kind);
    config.model.linear = true;
    const DatasetInfo data = TestData(kAllTaskTypes);
    DatasetInfo other = OtherFeatures(data);
    TaskInfo added = data.tasks[0];
    added.name = "added";
    other.tasks = {data.tasks[3], added, data.tasks[1]};
    SCOPED_TRACE(kind);
    ExpectTheSamePredictions(TestSpec(config, other), TestSpec(config, data));
  }
}

TEST(CarriedWeights, ATaskOfOtherClassesIsAnotherTask) {
  const RunConfig config = TestConfig("shared_bottom");
  const DatasetInfo data = TestData(kAllTaskTypes);
  DatasetInfo other = data;
  other.tasks[1].classes[2] = "z";
  const ModelSpec now = TestSpec(config, other);
  const auto sources = CarriedWeights(now, TestSpec(config, data));
  const ModelLayout layout = LayoutOf(now);
  EXPECT_EQ(sources[layout.outputs[1].weights], -1);
  EXPECT_GE(sources[layout.outputs[2].weights], 0);
  EXPECT_GE(sources[layout.bottom[0].weights], 0);
}

TEST(CarriedWeights, AHazardOfOtherPeriodsIsAnotherTask) {
  const RunConfig config = TestConfig("shared_bottom");
  const DatasetInfo data = TestData({TaskType::kHazard, TaskType::kHazard});
  DatasetInfo other = data;
  other.tasks[1].periods = 4;
  other.tasks[1].at_risk.push_back(0.1);
  other.tasks[1].hazards.push_back(0.2);
  const ModelSpec now = TestSpec(config, other);
  const auto sources = CarriedWeights(now, TestSpec(config, data));
  const ModelLayout layout = LayoutOf(now);
  EXPECT_GE(sources[layout.outputs[0].weights], 0);
  EXPECT_EQ(sources[layout.outputs[1].weights], -1);
}

TEST(CarriedWeights, NamesTheOptionThatDiffers) {
  const auto problem = [](const std::string& kind, auto change) {
    ModelSpec before;
    before.config = TestConfig(kind).model;
    ModelSpec now = before;
    change(&now.config);
    return CheckMatchingLayers(now, before).text();
  };
  EXPECT_THAT(problem("mmoe", [](ModelConfig* c) { c->kind = "ple"; }),
              HasSubstr("model.kind is ple, but mmoe"));
  EXPECT_THAT(problem("mmoe", [](ModelConfig* c) { c->embedding_dim = 8; }),
              HasSubstr("model.embedding_dim is 8, but 3"));
  EXPECT_THAT(problem("mmoe", [](ModelConfig* c) { c->experts = 8; }),
              HasSubstr("model.experts is 8, but 3"));
  EXPECT_THAT(problem("ple", [](ModelConfig* c) { c->task_experts = 8; }), HasSubstr("model.task_experts"));
  EXPECT_THAT(problem("ple", [](ModelConfig* c) { c->expert_levels = 1; }), HasSubstr("model.expert_levels"));
  EXPECT_THAT(problem("mmoe", [](ModelConfig* c) { c->expert_layers = {7}; }),
              HasSubstr("model.expert_layers is [7], but [7, 5]"));
  EXPECT_THAT(problem("mmoe", [](ModelConfig* c) { c->tower_layers = {}; }),
              HasSubstr("model.tower_layers is [], but [6, 4]"));
  EXPECT_THAT(problem("two_tower", [](ModelConfig* c) { c->two_tower.item_layers = {7}; }),
              HasSubstr("two_tower.item_layers is [7], but []"));
  EXPECT_EQ(problem("two_tower", [](ModelConfig* c) { c->expert_layers = {7}, c->two_tower.negatives = 2; }), "");
  EXPECT_EQ(problem("single", [](ModelConfig* c) { c->experts = 8, c->dropout = 0.5f, c->linear = true; }),
            "");
}

}  // namespace
}  // namespace cohort::carried_weights_test
