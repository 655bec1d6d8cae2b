#include "common/model_contents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/subprocess.h"
#include "tests/support/written_model.h"

namespace cohort::model_contents_test {
namespace {

using ::testing::ElementsAre;
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
  dense.row_count = 4;
  TableSpec sparse;
  sparse.id = 1;
  sparse.name = "embedding";
  sparse.dim = 3;
  sparse.optimizer.kind = OptimizerKind::kAdam;
  return {dense, sparse};
}
ModelContent Content() {
  return {{0, {{0, {1, 2}}, {1, {3, 4}}, {2, {5, 6}}, {3, {7, 8}}}},
          {1, {{0, {1, 2, 3, 0, 0, 0, 0, 0, 0, 1}}, {~Key{0}, {4, 5, 6, 0, 0, 0, 0, 0, 0, 2}}}}};
}

TEST(ModelContents, CountsRowsByTableAndPart) {
  TemporaryFolder folder;
  WriteModel(folder / "run/model", Tables(), Content(), 2);
  const auto contents = ReadModelContents(folder / "run");
  ASSERT_TRUE(contents.has_value()) << contents.error().text();
  EXPECT_EQ(contents->directory, folder / "run/model");
  EXPECT_TRUE(contents->status().ok());
  EXPECT_EQ(contents->RowsOf(0), 4u);
  EXPECT_EQ(contents->RowsOf(1), 2u);
  EXPECT_EQ(contents->BytesOf(0), 4u * (8 + 8));
  EXPECT_EQ(contents->BytesOf(1), 2u * (8 + 40));
  ASSERT_EQ(contents->parts.size(), 2u);
  EXPECT_EQ(contents->parts[0].rows[0], 2u);  // half of the ring
  EXPECT_EQ(contents->parts[0].rows[1] + contents->parts[1].rows[1], 2u);
}

TEST(ModelContents, TellsOfDamageAndOfTheRest) {
  TemporaryFolder folder;
  WriteModel(folder / "m", Tables(), Content(), 2);
  std::ofstream(folder / "m/part-0.h5", std::ios::binary | std::ios::app) << "x";
  const auto contents = ReadModelContents(folder / "m");
  ASSERT_TRUE(contents.has_value());
  EXPECT_EQ(contents->status().code(), ErrorCode::kCorrupt);
  EXPECT_THAT(contents->status().text(), HasSubstr("part-0.h5"));
  EXPECT_TRUE(contents->parts[1].status.ok());
  EXPECT_EQ(contents->RowsOf(0), 2u);
  EXPECT_EQ(ReadModelContents(folder.path()).error().code(), ErrorCode::kInvalidInput);
}

TEST(ModelContents, FindsRows) {
  for (const bool groups : {false, true}) {
    TemporaryFolder folder;
    WriteModel(folder / "m", Tables(), Content(), 3, groups);
    const auto contents = ReadModelContents(folder / "m");
    ASSERT_TRUE(contents.has_value());
    for (const TableSpec& table : Tables()) {
      const ModelContent content = Content();
      for (const auto& [key, values] : content.at(table.id)) {
        const auto row = FindRow(*contents, table, key);
        ASSERT_TRUE(row.has_value() && row->has_value()) << table.name << " " << key;
        EXPECT_EQ((*row)->values, values);
        EXPECT_FALSE((*row)->statistics);
      }
      const auto none = FindRow(*contents, table, 77);
      ASSERT_TRUE(none.has_value());
      EXPECT_FALSE(none->has_value());
    }
  }
}

TEST(StateSlots, AreTheFloatsOfTheState) {
  EXPECT_TRUE(StateSlots(OptimizerKind::kSgd, 3).empty());
  for (const auto& [kind, floats] :
       {std::pair(OptimizerKind::kMomentum, 3u), std::pair(OptimizerKind::kAdagrad, 3u),
        std::pair(OptimizerKind::kRowwiseAdagrad, 1u), std::pair(OptimizerKind::kAdam, 7u),
        std::pair(OptimizerKind::kFtrl, 6u)})
    EXPECT_EQ(StateFloats(kind, 3), floats) << OptimizerName(kind);
  std::vector<std::string> names;
  for (const StateSlot& slot : StateSlots(OptimizerKind::kAdam, 3)) names.push_back(slot.name);
  EXPECT_THAT(names, ElementsAre("m", "v", "t"));
}

}  // namespace
}  // namespace cohort::model_contents_test
