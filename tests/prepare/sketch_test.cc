// The sketches and counters that keep prepare's memory bounded, against exact computation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "common/random.h"
#include "prepare/distinct_sketch.h"
#include "prepare/duplicate_counter.h"
#include "prepare/number.h"
#include "prepare/quantile_sketch.h"
#include "prepare/statistics.h"

namespace cohort::sketch_test {
namespace {

using ::testing::ElementsAre;

TEST(DistinctSketch, EstimatesWithinItsError) {
  EXPECT_EQ(DistinctSketch().Estimate(), 0);
  for (std::uint64_t distinct : {1u, 2u, 9u, 100u, 5000u, 12000u, 100000u, 1000000u}) {
    DistinctSketch sketch;
    for (int repeat = 0; repeat < 2; ++repeat) {
      for (std::uint64_t i = 0; i < distinct; ++i) sketch.Add(Mix64(i + 1));
    }
    const double error = std::abs(sketch.Estimate() / static_cast<double>(distinct) - 1);
    EXPECT_LT(error, 3 * DistinctSketch::kRelativeError) << distinct;
    if (distinct < 10) {
      EXPECT_EQ(std::round(sketch.Estimate()), distinct);
    }
  }
}

TEST(QuantileSketch, IsExactWhileSmall) {
  QuantileSketch sketch;
  for (int i = 1000; i >= 1; --i) sketch.Add(static_cast<float>(i % 100));
  EXPECT_EQ(sketch.Quantile(0), 0);
  EXPECT_EQ(sketch.Quantile(0.01), 0);
  EXPECT_EQ(sketch.Quantile(0.5), 49);
  EXPECT_EQ(sketch.Quantile(1), 99);
}

TEST(QuantileSketch, RanksStayWithinTheirErrorAndMemoryBounded) {
  for (int order = 0; order < 3; ++order) {
    QuantileSketch sketch;
    RandomStream random(static_cast<std::uint64_t>(order));
    constexpr int kCount = 1000000;
    std::vector<float> values(kCount);
    for (int i = 0; i < kCount; ++i)
      values[static_cast<std::size_t>(i)] = std::exp(4 * static_cast<float>(random.Uniform()));
    std::vector<float> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    if (order == 1) values = sorted;
    if (order == 2) values.assign(sorted.rbegin(), sorted.rend());
    for (float value : values) sketch.Add(value);
    for (double q = 0.001; q < 1; q += 0.001) {
      const auto rank = std::lower_bound(sorted.begin(), sorted.end(), sketch.Quantile(q)) - sorted.begin();
      EXPECT_NEAR(static_cast<double>(rank) / kCount, q, QuantileSketch::kRankError) << "order " << order;
    }
    std::uint64_t weight = 0;
    for (const auto& item : sketch.Summary()) weight += item.weight;
    EXPECT_EQ(weight, static_cast<std::uint64_t>(kCount));
    EXPECT_LT(sketch.Summary().size(), 20000u);
  }
}

TEST(BinEdges, EqualSharesHeavyValuesAlone) {
  QuantileSketch few;
  for (float value : {3.0f, 1.0f, 2.0f, 2.0f}) few.Add(value);
  EXPECT_THAT(BinEdges(few.Summary(), 8), ElementsAre(2, 3)) << "few values: a bin each";
  QuantileSketch even;
  for (int i = 0; i < 1000; ++i) even.Add(static_cast<float>(i));
  EXPECT_THAT(BinEdges(even.Summary(), 4), ElementsAre(250, 500, 750));
  // 90 % zeros have one bin; the other 7 share the rest.
  QuantileSketch zeros;
  for (int i = 0; i < 1000; ++i) zeros.Add(i < 900 ? 0.0f : static_cast<float>(i));
  const std::vector<float> edges = BinEdges(zeros.Summary(), 8);
  ASSERT_EQ(edges.size(), 7u);
  EXPECT_EQ(edges[0], 900);
  std::vector<int> counts(8);
  for (int i = 900; i < 1000; ++i) ++counts[static_cast<std::size_t>(BinOf(edges, static_cast<float>(i)))];
  EXPECT_EQ(counts[0], 0);
  for (std::size_t bin = 1; bin < 8; ++bin) EXPECT_NEAR(counts[bin], 100.0 / 7, 2);
  EXPECT_TRUE(BinEdges({}, 4).empty());
}

TEST(Moments, AgreeWithTwoPasses) {
  RandomStream random(3);
  std::vector<double> values(5000);
  for (double& value : values) value = 1e6 + random.Uniform();  // a large mean: sums of squares would lose it
  double mean = 0, squares = 0;
  for (double value : values) mean += value / 5000;
  for (double value : values) squares += (value - mean) * (value - mean) / 5000;
  Moments blocks, single;
  for (std::size_t i = 0; i < values.size(); i += 1000) blocks.AddAll(std::span(values).subspan(i, 1000));
  for (double value : values) single.Add(value, 0.5);
  for (const Moments& moments : {blocks, single}) {
    EXPECT_NEAR(moments.mean(), mean, 1e-9);
    EXPECT_NEAR(moments.deviation(), std::sqrt(squares), 1e-9);
  }
  Moments constant;
  constant.Add(4);
  EXPECT_EQ(constant.deviation(), 1);
  // Equal values in blocks of uneven sizes: what rounding leaves is no deviation either.
  Moments rounded;
  const std::vector<double> same(8'192, std::log1p(60.0));
  for (std::size_t size = 1; size < same.size(); size = 3 * size + 1)
    rounded.AddAll(std::span(same).first(size));
  EXPECT_EQ(rounded.deviation(), 1);
  EXPECT_EQ(Moments().deviation(), 1);
}

TEST(Duplicates, AreCountedTheSameWithAndWithoutSpilling) {
  const std::string directory =
      std::filesystem::temp_directory_path() / ("cohort_duplicates." + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  for (std::size_t memory : {std::size_t{100}, std::size_t{1024}, std::size_t{1} << 20}) {
    DuplicateCounter counter(directory, memory);
    RandomStream random(5);
    std::array<std::set<std::uint64_t>, kSplitCount> seen;
    std::array<std::uint64_t, kSplitCount> repeated{};
    for (int i = 0; i < 20000; ++i) {
      const std::uint64_t row = Mix64(random.Below(15000));
      const std::size_t split = random.Below(10) == 0 ? random.Below(3) : 0;
      repeated[split] += seen[split].insert(row & ~std::uint64_t{3}).second ? 0 : 1;
      ASSERT_TRUE(counter.Add(row, static_cast<Split>(split)).ok());
    }
    std::uint64_t across = 0;
    std::set<std::uint64_t> all;
    for (const auto& rows : seen) all.insert(rows.begin(), rows.end());
    for (std::uint64_t row : all)
      across += seen[0].count(row) + seen[1].count(row) + seen[2].count(row) > 1 ? 1 : 0;
    EXPECT_TRUE(std::filesystem::is_empty(directory)) << "the temporary file has no name";
    auto counts = counter.Count();
    ASSERT_TRUE(counts) << counts.error().text();
    EXPECT_EQ(counts->within, repeated);
    EXPECT_EQ(counts->across, across);
    EXPECT_EQ(counter.spilled_rows() > 0, memory < 20000);
  }
  std::filesystem::remove_all(directory);
  DuplicateCounter nowhere(directory, 1);
  EXPECT_EQ(nowhere.Add(1, Split::kTrain).code(), ErrorCode::kIo);
  EXPECT_EQ(DuplicateCounter(".").Count()->across, 0u);
}

TEST(Number, ReadsWholeCellsOnly) {
  struct Case {
    const char* cell;
    NumberKind kind;
    float value = 0;
  };
  using enum NumberKind;
  for (const Case& c : std::vector<Case>{{"0", kNumber, 0},
                                         {"0012", kNumber, 12},
                                         {"9999999", kNumber, 9999999},
                                         {"16777217", kNumber, 16777216},
                                         {"-1", kNumber, -1},
                                         {"+1.5", kNumber, 1.5},
                                         {"1e3", kNumber, 1000},
                                         {".5", kNumber, 0.5},
                                         {"5.", kNumber, 5},
                                         {"0.1", kNumber, 0.1f},
                                         {"1e-400", kNumber, 0},
                                         {"nan", kNotFinite},
                                         {"NaN", kNotFinite},
                                         {"inf", kNotFinite},
                                         {"-Infinity", kNotFinite},
                                         {"1e39", kNotFinite},
                                         {"1e400", kNotFinite},
                                         {"", kNotANumber},
                                         {"-", kNotANumber},
                                         {"+", kNotANumber},
                                         {"+-1", kNotANumber},
                                         {"1,5", kNotANumber},
                                         {"12a", kNotANumber},
                                         {" 1", kNotANumber},
                                         {"0x10", kNotANumber},
                                         {"1e", kNotANumber},
                                         {"?", kNotANumber}}) {
    float value = -77;
    EXPECT_EQ(ParseNumber(c.cell, &value), c.kind) << c.cell;
    EXPECT_EQ(value, c.kind == kNumber ? c.value : -77) << c.cell;
  }
}

}  // namespace
}  // namespace cohort::sketch_test
