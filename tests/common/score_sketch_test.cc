#include "common/score_sketch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <map>
#include <span>
#include <vector>

#include "common/random.h"

namespace cohort::score_sketch_test {
namespace {

struct Row {
  float prediction, label, weight;
};

// Predictions and labels with ties, around and below zero.
std::vector<Row> Draw(std::uint64_t seed, std::size_t rows, std::uint64_t predictions, std::uint64_t labels) {
  RandomStream random(seed);
  std::vector<Row> drawn;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto label = static_cast<float>(random.Below(labels));
    drawn.push_back({0.37f * static_cast<float>(random.Below(predictions)) - 5 + label, label,
                     0.1f * static_cast<float>(1 + random.Below(50))});
  }
  return drawn;
}

ScoreSketch Of(const std::vector<Row>& rows, std::size_t capacity, ScoreSketch::Unit unit = {}) {
  ScoreSketch sketch(capacity, unit);
  for (const Row& row : rows) sketch.Add(row.prediction, row.label, row.weight);
  sketch.Fold();
  return sketch;
}

std::vector<std::byte> Bytes(const ScoreSketch& sketch) {
  ByteWriter out;
  sketch.Write(&out);
  return out.Take();
}

TEST(FixedSum, DoesNotDependOnTheOrderAndRoundsEachTermOnce) {
  FixedSum up, down;
  const std::vector<double> terms = {1e15, 0.1, -1e15, 0.2, 1e-9, -0.3, 7e12};
  for (const double term : terms) up.Add(term);
  for (auto term = terms.rbegin(); term != terms.rend(); ++term) down.Add(*term);
  EXPECT_EQ(up, down);
  EXPECT_EQ(up.value(), 7e12);  // 1e-9 is below its last digit as a double ...
  up.Add(-7e12);
  EXPECT_NEAR(up.value(), 1e-9, 1e-16);  // ... yet is there
  FixedSum huge;
  huge.Add(1e300);
  EXPECT_EQ(huge.value(), 0x1p62);
  for (int i = 0; i < 1000; ++i) huge.Add(1e300);
  EXPECT_EQ(huge.value(), 0x1p71);  // the largest; squared errors of a model that diverges get there
  for (int i = 0; i < 2000; ++i) huge.Add(-1e300);
  EXPECT_EQ(huge.value(), -0x1p71);
}

TEST(ScoreSketch, HasACellForEachPairWhileTheyFit) {
  const auto rows = Draw(1, 20000, 40, 3);
  const ScoreSketch sketch = Of(rows, 200, {1.5, 0.25});
  EXPECT_EQ(sketch.level(), 0u);
  std::map<std::pair<float, float>, std::pair<std::uint64_t, double>> plain;
  for (const Row& row : rows) {
    auto& [count, weight] = plain[{row.prediction, row.label}];
    ++count;
    weight += row.weight;
  }
  ASSERT_EQ(sketch.cells().size(), plain.size());
  auto expected = plain.begin();
  for (const ScoreSketch::Cell& cell : sketch.cells()) {
    EXPECT_EQ(cell.lowest, expected->first.first);
    EXPECT_EQ(cell.highest, expected->first.first);
    EXPECT_EQ(cell.lowest_label, expected->first.second);
    EXPECT_EQ(cell.rows, expected->second.first);
    const double weight = cell.weight.value();
    EXPECT_NEAR(weight, expected->second.second, 1e-9 * weight);
    EXPECT_NEAR(sketch.unit().SumFrom(cell.label, weight), weight * expected->first.second, 1e-9 * weight);
    ++expected;
  }
}

TEST(ScoreSketch, DropsBitsOnlyAsFarAsItMust) {
  const auto rows = Draw(2, 30000, 100000, 2);
  for (const std::size_t capacity : {64u, 1000u, 20000u}) {
    const ScoreSketch sketch = Of(rows, capacity);
    EXPECT_LE(sketch.cells().size(), capacity);
    EXPECT_GT(sketch.level(), 0u);
    // At one bit less they would not fit: at half the cells and one level more, they are about half.
    EXPECT_GT(sketch.cells().size(), capacity / 8);
    std::uint64_t count = 0;
    double weight = 0, prediction = 0;
    for (const ScoreSketch::Cell& cell : sketch.cells()) {
      count += cell.rows;
      weight += cell.weight.value();
      prediction += cell.prediction.value();
      EXPECT_LE(cell.highest - cell.lowest,
                std::ldexp(std::max(std::abs(cell.lowest), std::abs(cell.highest)),
                           static_cast<int>(sketch.level()) - 23));
    }
    EXPECT_EQ(count, rows.size());
    double plain_weight = 0, plain_prediction = 0;
    for (const Row& row : rows)
      plain_weight += row.weight, plain_prediction += double{row.weight} * row.prediction;
    EXPECT_NEAR(weight, plain_weight, 1e-12 * plain_weight);
    EXPECT_NEAR(prediction, plain_prediction, 1e-12 * plain_prediction);
  }
}

// Whoever saw which row, and in whatever order the parts are merged: the same bytes.
TEST(ScoreSketch, MergesToTheSameBytes) {
  for (const std::uint64_t predictions : {30u, 100000u}) {
    const auto rows = Draw(3, 25000, predictions, 4);
    const auto whole = Bytes(Of(rows, 500, {2, 0.5}));
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      RandomStream random(seed);
      const std::size_t parts = 2 + random.Below(6);
      std::vector<std::vector<Row>> divided(parts);
      for (const Row& row : rows) divided[random.Below(parts) * random.Below(2)].push_back(row);
      ScoreSketch merged(500, {2, 0.5});
      for (std::size_t part = 0; part < parts; ++part) {
        const auto bytes = Bytes(Of(divided[(part + seed) % parts], 500, {2, 0.5}));
        ScoreSketch read(500, {2, 0.5});
        ByteReader in(bytes);
        ASSERT_TRUE(read.Read(&in, 25000) && in.AtEnd());
        merged.Merge(read);
      }
      EXPECT_EQ(Bytes(merged), whole);
    }
  }
}

TEST(ScoreSketch, RefusesBytesThatAreNone) {
  const auto bytes = Bytes(Of(Draw(4, 100, 10, 2), 50));
  for (std::size_t size = 0; size < bytes.size(); size += 7) {
    ScoreSketch sketch(50);
    ByteReader in{std::span(bytes).first(size)};
    EXPECT_FALSE(sketch.Read(&in, 100)) << size;
  }
  ScoreSketch small(4);
  ByteReader in(bytes);
  EXPECT_FALSE(small.Read(&in, 100));  // of another capacity
  ScoreSketch fewer(50), sketch(50);
  EXPECT_FALSE(fewer.Read(&(in = ByteReader(bytes)), 99));  // of more rows than there are
  EXPECT_TRUE(sketch.Read(&(in = ByteReader(bytes)), 100));
}

// What metrics are computed from without looking again: rows that add up, finite predictions where the key says.
TEST(ScoreSketch, RefusesCellsThatCannotBe) {
  const auto bytes = Bytes(Of(Draw(4, 100, 10, 2), 50));
  constexpr std::size_t kFirstCell = sizeof(std::uint32_t) + sizeof(std::uint64_t);
  const auto refused = [&](std::size_t at, auto value) {
    auto changed = bytes;
    std::memcpy(changed.data() + kFirstCell + at, &value, sizeof(value));
    ScoreSketch sketch(50);
    ByteReader in(changed);
    return !sketch.Read(&in, 100);
  };
  EXPECT_TRUE(refused(offsetof(ScoreSketch::Cell, rows), ~std::uint64_t{0}));
  EXPECT_TRUE(refused(offsetof(ScoreSketch::Cell, rows), std::uint64_t{0}));
  EXPECT_TRUE(refused(offsetof(ScoreSketch::Cell, lowest), std::nanf("")));
  EXPECT_TRUE(refused(offsetof(ScoreSketch::Cell, highest), 1e9f));
  EXPECT_TRUE(refused(offsetof(ScoreSketch::Cell, lowest_label), HUGE_VALF));
}

}  // namespace
}  // namespace cohort::score_sketch_test
