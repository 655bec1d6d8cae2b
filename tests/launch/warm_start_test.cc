#include "launch/warm_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/model_files.h"
#include "common/model_part.h"
#include "server/optimizer.h"
#include "tests/support/subprocess.h"

namespace cohort::warm_start_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TemporaryFolder;

using Rows = std::map<Key, std::vector<float>>;

FeatureInfo Feature(const std::string& name, FeatureType type) {
  FeatureInfo feature;
  feature.name = name;
  feature.type = type;
  return feature;
}

// Without hidden layers an output is one weight for each input column and a bias: columns are easily counted.
RunInputs Inputs(const std::vector<FeatureInfo>& features, const std::vector<std::string>& tasks,
                 const std::map<std::string, FeatureConfig>& own = {}) {
  RunInputs inputs;
  inputs.config.model.features = own;
  inputs.config.data = "/d.h5";
  inputs.config.model.kind = "shared_bottom";
  inputs.config.model.embedding_dim = 2;
  inputs.config.model.expert_layers = inputs.config.model.tower_layers = {};
  inputs.data.features = features;
  for (const std::string& name : tasks) {
    TaskInfo task;
    task.name = name, task.type = TaskType::kBinary, task.mean = 0.3, task.labelled = 4;
    inputs.data.tasks.push_back(task);
  }
  inputs.data.rows = {4, 0, 0};
  inputs.spec = BuildModelSpec(inputs.config, inputs.data).value();
  return inputs;
}

void AppendTo(ModelPartWriter& writer, const TableSpec& table, const Rows& rows) {
  std::vector<Key> keys;
  for (const auto& [key, row] : rows) keys.push_back(key);
  const std::uint32_t floats = Optimizer(table.optimizer, table.dim).row_floats();
  const auto fetch = [&](std::span<const Key> wanted, float* out) -> Status {
    for (const Key key : wanted) out = std::copy(rows.at(key).begin(), rows.at(key).end(), out);
    return {};
  };
  ASSERT_TRUE(writer.AppendTable(table, floats, keys, fetch).ok());
}

// A model of `inputs` in two parts: row r of a table holds r-dependent values throughout, and Adam's count 7.
void WriteModel(const std::string& directory, const RunInputs& inputs, const std::vector<Rows>& embeddings) {
  std::filesystem::create_directories(directory);
  ModelManifest manifest;
  manifest.tables = TablesOf(inputs.spec, inputs.config);
  Rows dense;
  std::vector<float>& row = dense[0];
  for (std::uint32_t i = 0; i < 3 * kDenseRowWidth; ++i) row.push_back(100.0f + static_cast<float>(i));
  row.push_back(7.0f);
  for (std::size_t part = 0; part < embeddings.size(); ++part) {
    const std::string file = "part-" + std::to_string(part) + ".h5";
    ModelPartWriter writer = ModelPartWriter::Create(directory + "/" + file).value();
    AppendTo(writer, manifest.tables[0], part == 1 ? dense : Rows());
    AppendTo(writer, manifest.tables[1], embeddings[part]);
    // Of further tables: keys 20 t and 20 t + 1, all values t.
    for (TableId t = 2; t < manifest.tables.size(); ++t) {
      const TableSpec& table = manifest.tables[t];
      const std::vector<float> values(RowFloats(table), static_cast<float>(t));
      AppendTo(writer, table, {{20 * t + part, values}});
    }
    const ModelPartSummary summary = writer.Finish().value();
    manifest.parts.push_back({file, summary.bytes, summary.checksum, summary.rows});
    manifest.hash = manifest.hash.value_or(Hash128()) + summary.hash;
  }
  manifest.run_config = ToToml(inputs.config);
  manifest.dataset_info = ToJson(inputs.data);
  ASSERT_TRUE(WriteModelManifest(directory, manifest).ok());
}

// Rows of a table of a model that is found sound.
Rows RowsOf(const std::string& directory, TableId table) {
  const auto manifest = VerifyModel(directory);
  EXPECT_TRUE(manifest) << manifest.error().text();
  Rows rows;
  if (!manifest) return rows;
  const Status status = VisitModel(directory, *manifest, [&](const ModelRows& block) -> Status {
    for (std::size_t i = 0; block.table->id == table && i < block.keys.size(); ++i) {
      const float* row = block.rows + i * block.row_floats;
      rows[block.keys[i]] = std::vector<float>(row, row + block.row_floats);
    }
    return {};
  });
  EXPECT_TRUE(status.ok()) << status.text();
  return rows;
}

const std::vector<Rows> kEmbeddings = {{{1, {1, 2, 0.5f, 0.6f}}, {9, {3, 4, 0.7f, 0.8f}}},
                                       {{5, {5, 6, 0.9f, 1.0f}}}};

class WarmStartTest : public ::testing::Test {
 protected:
  WarmStart Start(const RunInputs& inputs) {
    std::filesystem::create_directories(to_);
    const auto warm = WriteWarmModel(from_, inputs, to_);
    EXPECT_TRUE(warm) << warm.error().text();
    return warm.value_or(WarmStart{});
  }

  TemporaryFolder folder_;
  const std::string from_ = folder_ / "from", to_ = folder_ / "to";
};

TEST_F(WarmStartTest, NothingChangedIsTheSameModel) {
  const RunInputs inputs =
      Inputs({Feature("city", FeatureType::kCategorical), Feature("age", FeatureType::kNumeric)},
             {"buys", "leaves"});
  WriteModel(from_, inputs, kEmbeddings);
  const WarmStart warm = Start(inputs);
  EXPECT_EQ(warm.fresh, 0u);
  EXPECT_THAT(warm.added_features, IsEmpty());
  Rows dense = RowsOf(from_, kDenseTable), now = RowsOf(to_, kDenseTable);
  ASSERT_EQ(now.size(), 1u);
  for (std::size_t i = 0; i < inputs.spec.dense_count; ++i) EXPECT_EQ(now[0][i], dense[0][i]);
  EXPECT_EQ(RowsOf(to_, kEmbeddingTable), RowsOf(from_, kEmbeddingTable));
  EXPECT_EQ(warm.model_hash, ToHex(*ReadModelManifest(from_)->hash));
}

TEST_F(WarmStartTest, FeaturesAndTasksComeAndGoByName) {
  // Columns before: city 0, city 1, age. Now: brand 0, brand 1, age, height.
  WriteModel(from_,
             Inputs({Feature("city", FeatureType::kCategorical), Feature("age", FeatureType::kNumeric)},
                    {"buys", "leaves"}),
             kEmbeddings);
  const RunInputs inputs =
      Inputs({Feature("age", FeatureType::kNumeric), Feature("brand", FeatureType::kCategorical),
              Feature("height", FeatureType::kNumeric)},
             {"returns", "leaves"});
  const WarmStart warm = Start(inputs);
  EXPECT_THAT(warm.added_features, ElementsAre("brand", "height"));
  EXPECT_THAT(warm.removed_features, ElementsAre("city"));
  EXPECT_THAT(warm.added_tasks, ElementsAre("returns"));
  EXPECT_THAT(warm.removed_tasks, ElementsAre("buys"));
  EXPECT_EQ(warm.carried, 2u);
  EXPECT_EQ(warm.fresh, 8u);
  EXPECT_THAT(
      Describe(warm, "run1"),
      HasSubstr("2 of 10 dense weights are its; features added: brand, height; features removed: city; "
                "tasks added: returns; tasks removed: buys"));
  // By hand: a task has its weights, then its bias. Before, "leaves" had 4 .. 7: city 0, city 1, age, bias; now it has
  // 5 .. 9: brand 0, brand 1, age, height, bias.
  const TableSpec table = TablesOf(inputs.spec, inputs.config)[kDenseTable];
  std::vector<float> expected(3 * kDenseRowWidth + 1, 0.0f);
  InitializeRow(table, inputs.config.seed, 0, expected.data());
  for (const auto& [now, before] : {std::pair(7, 6), std::pair(9, 7)}) {
    for (const int plane : {0, 1, 2}) {  // weight, Adam's two moments
      const auto shift = plane * static_cast<int>(kDenseRowWidth);
      expected[static_cast<std::size_t>(shift + now)] = 100.0f + static_cast<float>(shift + before);
    }
  }
  expected.back() = 7.0f;
  EXPECT_EQ(RowsOf(to_, kDenseTable)[0], expected);
  EXPECT_EQ(RowsOf(to_, kEmbeddingTable), RowsOf(from_, kEmbeddingTable));
}

TEST_F(WarmStartTest, AnotherOptimizerStartsItsStateAfresh) {
  RunInputs inputs =
      Inputs({Feature("city", FeatureType::kCategorical), Feature("age", FeatureType::kNumeric)}, {"buys"});
  WriteModel(from_, inputs, kEmbeddings);
  inputs.config.embedding_optimizer.kind = OptimizerKind::kRowwiseAdagrad;
  inputs.config.embedding_optimizer.initial_accumulator = 0.25f;
  inputs.config.dense_optimizer.kind = OptimizerKind::kMomentum;
  inputs.spec = BuildModelSpec(inputs.config, inputs.data).value();
  Start(inputs);
  EXPECT_THAT(RowsOf(to_, kEmbeddingTable)[5], ElementsAre(5, 6, 0.25f));
  const Rows dense = RowsOf(to_, kDenseTable);
  ASSERT_EQ(dense.at(0).size(), 2 * kDenseRowWidth);
  EXPECT_EQ(dense.at(0)[3], 103.0f);
  EXPECT_EQ(dense.at(0)[kDenseRowWidth + 3], 0.0f);
}

TEST_F(WarmStartTest, SaysWhatDoesNotFitAndWhatIsDamaged) {
  RunInputs inputs = Inputs({Feature("city", FeatureType::kCategorical)}, {"buys"});
  WriteModel(from_, inputs, kEmbeddings);
  std::filesystem::create_directories(to_);
  const auto nothing = WriteWarmModel(folder_ / "nowhere", inputs, to_);
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().exit_code(), 2);
  inputs.spec.config.embedding_dim = 4;
  const auto narrow = WriteWarmModel(from_, inputs, to_);
  ASSERT_FALSE(narrow);
  EXPECT_EQ(narrow.error().exit_code(), 2);
  EXPECT_THAT(narrow.error().text(), HasSubstr("model.embedding_dim is 4, but 2"));
  inputs.spec.config.embedding_dim = 2;
  std::filesystem::resize_file(from_ + "/part-1.h5", 1000);
  const auto damaged = WriteWarmModel(from_, inputs, to_);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code(), ErrorCode::kCorrupt);
}

// What is as it was but for the width, or the rate.
FeatureConfig OfItsOwn(std::uint32_t dim, float rate = 0.05f) {
  FeatureConfig own = UsualFeature(RunConfig());
  own.embedding_dim = dim;
  own.optimizer.learning_rate = rate;
  return own;
}

TEST_F(WarmStartTest, TablesGoOverWithTheirFeatures) {
  const std::vector<FeatureInfo> features = {Feature("city", FeatureType::kCategorical),
                                             Feature("brand", FeatureType::kCategorical),
                                             Feature("shop", FeatureType::kCategorical)};
  const RunInputs before = Inputs(features, {"buys"}, {{"brand", OfItsOwn(5)}, {"shop", OfItsOwn(3)}});
  WriteModel(from_, before, kEmbeddings);
  Start(before);
  for (TableId t = 1; t < 4; ++t) EXPECT_EQ(RowsOf(to_, t), RowsOf(from_, t));
  EXPECT_EQ(RowsOf(to_, 2).size(), 2u);
  std::filesystem::remove_all(to_);

  // "brand" goes; "shop" has its rows, in the table that was "brand"'s, at another rate; "size" starts without.
  const RunInputs now = Inputs({features[0], features[2], Feature("size", FeatureType::kCategorical)}, {"buys"},
                               {{"shop", OfItsOwn(3, 0.5f)}, {"size", OfItsOwn(7)}});
  const WarmStart warm = Start(now);
  EXPECT_THAT(warm.added_features, ElementsAre("size"));
  EXPECT_THAT(warm.removed_features, ElementsAre("brand"));
  EXPECT_EQ(RowsOf(to_, 1), RowsOf(from_, 1));
  EXPECT_EQ(RowsOf(to_, 2), RowsOf(from_, 3));
  EXPECT_THAT(RowsOf(to_, 3), IsEmpty());
  EXPECT_EQ(ReadModelManifest(to_)->tables.size(), 4u);
  // Columns before: city 0 1, brand 0 .. 4, shop 0 .. 2, bias; now: city 0 1, shop 0 .. 2, size 0 .. 6, bias.
  EXPECT_EQ(warm.carried, 6u);
  const Rows dense = RowsOf(to_, kDenseTable);
  for (const auto& [here, there] : {std::pair(0u, 0u), {1u, 1u}, {2u, 7u}, {4u, 9u}, {12u, 10u}})
    EXPECT_EQ(dense.at(0)[here], 100.0f + static_cast<float>(there));
}

TEST_F(WarmStartTest, AFeatureThatGetsATableOfItsOwnKeepsItsRows) {
  const std::vector<FeatureInfo> features = {Feature("city", FeatureType::kCategorical),
                                             Feature("brand", FeatureType::kCategorical)};
  WriteModel(from_, Inputs(features, {"buys"}), kEmbeddings);
  FeatureConfig brand = OfItsOwn(2);
  brand.optimizer.kind = OptimizerKind::kSgd;
  Start(Inputs(features, {"buys"}, {{"brand", brand}}));
  // Whose row is whose the keys do not tell: both have all.
  EXPECT_EQ(RowsOf(to_, 1), RowsOf(from_, 1));
  EXPECT_EQ(RowsOf(to_, 2), (Rows{{1, {1, 2}}, {5, {5, 6}}, {9, {3, 4}}}));
}

TEST_F(WarmStartTest, SaysWhichFeaturesTablesDoNotFit) {
  const std::vector<FeatureInfo> features = {Feature("city", FeatureType::kCategorical),
                                             Feature("brand", FeatureType::kCategorical)};
  WriteModel(from_, Inputs(features, {"buys"}, {{"brand", OfItsOwn(2, 0.5f)}}), kEmbeddings);
  std::filesystem::create_directories(to_);
  const auto error = [&](const std::map<std::string, FeatureConfig>& own) {
    const auto warm = WriteWarmModel(from_, Inputs(features, {"buys"}, own), to_);
    if (warm) return std::string("accepted");
    EXPECT_EQ(warm.error().exit_code(), 2);
    return warm.error().text();
  };
  EXPECT_THAT(error({{"brand", OfItsOwn(4)}}),
              HasSubstr("--from " + from_ + ": feature.brand.embedding_dim is 4, but 2 in the model to start from"));
  EXPECT_THAT(error({}), HasSubstr("features brand and city have one table of embeddings, but two in the model"));
  EXPECT_EQ(error({{"city", OfItsOwn(2, 0.25f)}}), "accepted");  // "brand" is as all others now
}

}  // namespace
}  // namespace cohort::warm_start_test
