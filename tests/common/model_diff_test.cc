#include "common/model_diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "common/random.h"
#include "tests/support/subprocess.h"
#include "tests/support/written_model.h"

namespace cohort::model_diff_test {
namespace {

using ::testing::HasSubstr;
using testing::ModelContent;
using testing::TemporaryFolder;
using testing::WriteModel;

std::vector<TableSpec> Tables() {
  TableSpec dense;
  dense.id = 0;
  dense.name = "dense";
  dense.kind = TableKind::kDense;
  dense.dim = 2;
  dense.row_count = 40;
  dense.optimizer.kind = OptimizerKind::kAdam;
  TableSpec sparse;
  sparse.id = 1;
  sparse.name = "embedding";
  sparse.dim = 3;
  sparse.optimizer.kind = OptimizerKind::kRowwiseAdagrad;
  return {dense, sparse};
}

ModelContent Content(std::uint64_t sparse_rows = 300) {
  ModelContent content;
  RandomStream random(5, 1);
  const auto row = [&](std::size_t floats) {
    std::vector<float> values(floats);
    for (float& value : values) value = static_cast<float>(random.Below(100));
    return values;
  };
  for (Key key = 0; key < 40; ++key) content[0][key] = row(2 + 5);
  for (std::uint64_t i = 0; i < sparse_rows; ++i) content[1][random()] = row(3 + 1);
  return content;
}

// Compares with memory for all rows, and for hardly one.
ModelDiff Diff(const std::string& a, const std::string& b) {
  const auto diff = DiffModels(a, b);
  EXPECT_TRUE(diff.has_value()) << diff.error().text();
  DiffOptions little;
  little.memory_bytes = 500;
  const auto again = DiffModels(a, b, little);
  EXPECT_TRUE(again.has_value());
  EXPECT_EQ(diff->tables.size(), again->tables.size());
  for (std::size_t i = 0; i < diff->tables.size(); ++i) {
    const TableDiff &x = diff->tables[i], &y = again->tables[i];
    EXPECT_EQ(std::tie(x.name, x.rows_a, x.rows_b, x.only_a, x.only_b, x.differ, x.weights_differ,
                       x.states_differ, x.largest_weight, x.largest_weight_key, x.largest_state_key),
              std::tie(y.name, y.rows_a, y.rows_b, y.only_a, y.only_b, y.differ, y.weights_differ,
                       y.states_differ, y.largest_weight, y.largest_weight_key, y.largest_state_key));
  }
  return *diff;
}

TEST(ModelDiff, HowAModelIsCutIntoPartsMakesNoDifference) {
  TemporaryFolder folder;
  WriteModel(folder / "a", Tables(), Content(), 1);
  WriteModel(folder / "b", Tables(), Content(), 5, true);
  const ModelDiff diff = Diff(folder / "a", folder / "b");
  EXPECT_TRUE(diff.same());
  ASSERT_EQ(diff.tables.size(), 2u);
  EXPECT_EQ(diff.tables[1].rows_a, 300u);
  EXPECT_EQ(diff.tables[1].rows_b, 300u);
}

TEST(ModelDiff, CountsRowsAndFindsTheLargestDifference) {
  for (const bool groups : {false, true}) {
    TemporaryFolder folder;
    ModelContent content = Content();
    WriteModel(folder / "a", Tables(), content, 3, groups);
    auto& rows = content[1];
    const auto row = [&rows](int n) { return std::next(rows.begin(), n); };
    row(10)->second[1] += 0.5f;                             // a weight
    row(20)->second[0] -= 7, row(20)->second[3] += 1;       // a weight and the state
    row(30)->second[3] += 2;                                // the state
    row(40)->second[2] = -0.0f * row(40)->second[2] + 100;  // another weight
    const Key largest = row(40)->first;
    const float difference = 100 - std::next(Content()[1].begin(), 40)->second[2];
    ASSERT_GT(difference, 7);
    rows.erase(row(50)), rows.erase(row(50)), rows[1] = {1, 2, 3, 4};
    content[0][7][6] = 9999;  // adam's t
    WriteModel(folder / "b", Tables(), content, 2, groups);
    const ModelDiff diff = Diff(folder / "a", folder / "b");
    EXPECT_FALSE(diff.same());
    const TableDiff& sparse = diff.tables[1];
    EXPECT_EQ(sparse.only_a, 2u);
    EXPECT_EQ(sparse.only_b, 1u);
    EXPECT_EQ(sparse.differ, 4u);
    EXPECT_EQ(sparse.weights_differ, 3u);
    EXPECT_EQ(sparse.states_differ, 2u);
    EXPECT_EQ(sparse.largest_weight, difference);
    EXPECT_EQ(sparse.largest_weight_key, largest);
    EXPECT_EQ(sparse.largest_state, 2);
    const TableDiff& dense = diff.tables[0];
    EXPECT_EQ(dense.differ, 1u);
    EXPECT_EQ(dense.weights_differ, 0u);
    EXPECT_EQ(dense.states_differ, 1u);
    EXPECT_EQ(dense.largest_state_key, 7u);
  }
}

TEST(ModelDiff, WhatIsNotANumberDiffersWithoutEnd) {
  TemporaryFolder folder;
  ModelContent content = Content(2);
  content[1].begin()->second[0] = std::nanf("");
  WriteModel(folder / "a", Tables(), content, 1);
  EXPECT_TRUE(Diff(folder / "a", folder / "a").same());
  content[1].begin()->second[0] = 1;
  WriteModel(folder / "b", Tables(), content, 1);
  EXPECT_EQ(Diff(folder / "a", folder / "b").tables[1].largest_weight,
            std::numeric_limits<double>::infinity());
}

TEST(ModelDiff, TellsWhyTablesCannotBeCompared) {
  TemporaryFolder folder;
  WriteModel(folder / "a", Tables(), Content(), 2);
  std::vector<TableSpec> tables = Tables();
  ModelContent content = Content();
  tables[0].optimizer.kind = OptimizerKind::kSgd;
  for (auto& [key, row] : content[0]) row.resize(2);
  tables[1].dim = 2;
  for (auto& [key, row] : content[1]) row.resize(3);
  tables.push_back(tables[1]);
  tables.back().id = 2, tables.back().name = "more";
  content[2] = content[1];
  WriteModel(folder / "b", tables, content, 2);
  const ModelDiff diff = Diff(folder / "a", folder / "b");
  ASSERT_EQ(diff.tables.size(), 3u);
  EXPECT_EQ(diff.tables[0].other_optimizer, "optimizer adam in A, sgd in B");
  EXPECT_EQ(diff.tables[0].differ, 0u);
  EXPECT_FALSE(diff.tables[0].same());
  EXPECT_EQ(diff.tables[1].incomparable, "dim 3 in A, 2 in B");
  EXPECT_EQ(diff.tables[1].differ, 300u);
  EXPECT_EQ(diff.tables[2].incomparable, "only in B");
  EXPECT_EQ(diff.tables[2].only_b, 300u);
}

TEST(ModelDiff, DamageIsTold) {
  TemporaryFolder folder;
  WriteModel(folder / "a", Tables(), Content(), 1);
  WriteModel(folder / "b", Tables(), Content(), 1);
  std::ofstream(folder / "b/part-0.h5", std::ios::binary | std::ios::app) << "more";
  const auto diff = DiffModels(folder / "a", folder / "b");
  ASSERT_FALSE(diff.has_value());
  EXPECT_EQ(diff.error().code(), ErrorCode::kCorrupt);
  EXPECT_THAT(diff.error().text(), HasSubstr("b/part-0.h5"));
  EXPECT_EQ(DiffModels(folder / "none", folder / "a").error().code(), ErrorCode::kInvalidInput);
}

}  // namespace
}  // namespace cohort::model_diff_test
