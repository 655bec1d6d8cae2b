// RowPart: rows that pass between processes come out as they went in, and land in the blocks in which they would have been made.
#include "prepare/row_part.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "common/random.h"
#include "prepare/dataset_sink.h"

namespace cohort::row_part_test {
namespace {

DatasetInfo Shapes() {
  DatasetInfo info;
  const auto feature = [&](FeatureType type, std::uint32_t length) {
    info.features.push_back(
        {.name = "f" + std::to_string(info.features.size()), .type = type, .length = length});
  };
  feature(FeatureType::kNumeric, 0);
  feature(FeatureType::kNumeric, 0);
  feature(FeatureType::kCategorical, 0);
  feature(FeatureType::kBag, 0);
  feature(FeatureType::kBag, 0);
  feature(FeatureType::kVector, 3);
  info.tasks.resize(2);
  info.has_id = true;
  return info;
}

void AddRow(std::uint64_t number, RowBlock* block) {
  RandomStream random(number);
  for (int i = 0; i < 2; ++i) block->numeric.push_back(static_cast<float>(random.Uniform()));
  block->numeric.back() = std::numeric_limits<float>::quiet_NaN();
  block->categorical.push_back(random());
  for (std::size_t bag = 0; bag < 2; ++bag) {
    for (std::uint64_t keys = random.Below(4); keys > 0; --keys) block->bag_keys[bag].push_back(random());
    block->bag_offsets[bag].push_back(block->bag_keys[bag].size());
  }
  for (int i = 0; i < 3; ++i) block->vectors[0].push_back(static_cast<float>(random.Uniform()));
  for (int i = 0; i < 2; ++i) block->labels.push_back(static_cast<float>(random.Below(2)));
  block->ids.push_back(std::string(random.Below(3), 'u') + std::to_string(number));
  block->input_rows.push_back(number);
  ++block->rows;
}

RowPart SomeRows(const DatasetInfo& info, std::uint64_t rows) {
  RowPart part;
  ClearBlock(info, &part.rows);
  for (std::uint64_t row = 0; row < rows; ++row) {
    AddRow(row, &part.rows);
    part.splits.push_back(static_cast<Split>(row / 3 % kSplitCount));
  }
  return part;
}

std::vector<std::byte> BytesOf(const RowPart& part) {
  ByteWriter out;
  Put(part, &out);
  return out.Take();
}

bool IsPart(const DatasetInfo& info, std::span<const std::byte> bytes, RowPart* part) {
  ByteReader in(bytes);
  return Get(info, &in, part) && in.AtEnd();
}

TEST(RowPart, ComesOutAsItWentIn) {
  const DatasetInfo info = Shapes();
  for (const std::uint64_t rows : {0u, 1u, 100u}) {
    const std::vector<std::byte> bytes = BytesOf(SomeRows(info, rows));
    RowPart part;
    ASSERT_TRUE(IsPart(info, bytes, &part)) << rows;
    EXPECT_EQ(part.rows.rows, rows);
    EXPECT_EQ(BytesOf(part), bytes) << rows;  // NaN has its bits
  }
}

TEST(RowPart, KeysMayRepeatOrBeTooManyToNumber) {
  const DatasetInfo info = Shapes();
  for (const std::uint64_t distinct :
       {std::uint64_t{1}, std::uint64_t{1} << 16, (std::uint64_t{1} << 16) + 1}) {
    RowPart part = SomeRows(info, 1);
    std::vector<Key>& keys = part.rows.bag_keys[0];
    keys.clear();
    for (std::uint64_t i = 0; i < 3 * distinct; ++i) keys.push_back(i % distinct);  // 0 is a key as well
    part.rows.bag_offsets[0].back() = keys.size();
    const std::vector<std::byte> bytes = BytesOf(part);
    EXPECT_EQ(bytes.size() < keys.size() * sizeof(Key), distinct > 1 && distinct <= 1 << 16) << distinct;
    RowPart got;
    ASSERT_TRUE(IsPart(info, bytes, &got)) << distinct;
    EXPECT_EQ(got.rows.bag_keys[0], keys) << distinct;
  }
}

TEST(RowPart, IsRefusedWhenItIsCutOrOfOtherShapes) {
  const DatasetInfo info = Shapes();
  const RowPart whole = SomeRows(info, 5);
  const std::vector<std::byte> bytes = BytesOf(whole);
  RowPart part;
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(IsPart(info, std::span(bytes).first(size), &part)) << size;
  DatasetInfo other = info;
  other.features[5].length = 4;
  EXPECT_FALSE(IsPart(other, bytes, &part));
  other = info;
  other.tasks.resize(3);
  EXPECT_FALSE(IsPart(other, bytes, &part));
  const auto refused = [&](auto change) {
    RowPart changed = whole;
    change(&changed);
    EXPECT_FALSE(IsPart(info, BytesOf(changed), &part));
  };
  refused([](RowPart* changed) { changed->splits[4] = static_cast<Split>(kSplitCount); });
  refused([](RowPart* changed) { changed->splits.pop_back(); });
  refused([](RowPart* changed) { changed->rows.ids.pop_back(); });
  refused([](RowPart* changed) { changed->rows.bag_offsets[1][2] = ~std::uint64_t{0}; });
  refused([](RowPart* changed) { changed->rows.bag_offsets[0].back() += 1; });
}

TEST(RowPart, RowsAreAppendedInRuns) {
  const DatasetInfo info = Shapes();
  const RowPart whole = SomeRows(info, 50);
  RowPart in_runs;
  ClearBlock(info, &in_runs.rows);
  in_runs.splits = whole.splits;
  for (std::uint32_t first = 0, count = 0; first < 50; first += count, ++count)
    AppendRows(whole.rows, first, count = std::min(count, 50 - first), &in_runs.rows);
  EXPECT_EQ(in_runs.rows.rows, 50u);
  EXPECT_EQ(BytesOf(in_runs), BytesOf(whole));
}

}  // namespace
}  // namespace cohort::row_part_test
