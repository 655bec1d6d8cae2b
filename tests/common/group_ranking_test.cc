#include "common/group_ranking.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "common/dataset.h"
#include "common/random.h"

namespace cohort::group_ranking_test {
namespace {

const std::vector<std::uint32_t> kTop = {1, 3, 10};

struct Row {
  std::uint64_t group;
  RankedRow row;
};

// Groups of 1 to 12 rows, one after the other, with ties, weights, and rows of no group in between.
std::vector<Row> Draw(std::uint64_t seed, std::size_t groups) {
  RandomStream random(seed);
  std::vector<Row> rows;
  for (std::uint64_t group = 0; group < groups; ++group) {
    const std::uint64_t size = 1 + random.Below(12);
    for (std::uint64_t i = 0; i < size; ++i) {
      RankedRow row{0.125f * static_cast<float>(random.Below(8)), random.Uniform() < 0.3 ? 1.0f : 0.0f,
                    0.3f * static_cast<float>(1 + random.Below(5))};
      rows.push_back({random.Below(20) == 0 ? kNoGroup : group, row});
    }
  }
  return rows;
}

GroupTotals Judge(const std::vector<Row>& rows) {
  GroupRanking ranking(1, kTop);
  for (const Row& row : rows) {
    ranking.NextRow(row.group);
    ranking.Add(0, row.row);
  }
  ranking.Interrupt();
  return ranking.Totals()[0];
}

struct Plain {
  double gauc = 0, mrr = 0;
  std::vector<double> hr, ndcg, recall;
  std::uint64_t groups = 0, one_class = 0, ungrouped = 0;
};

// By the definitions, over all pairs of a group.
Plain JudgePlainly(const std::vector<Row>& rows) {
  Plain plain;
  plain.hr = plain.ndcg = plain.recall = std::vector<double>(kTop.size());
  std::map<std::uint64_t, std::vector<RankedRow>> groups;
  for (const Row& row : rows) {
    if (row.group == kNoGroup) {
      ++plain.ungrouped;
    } else {
      groups[row.group].push_back(row.row);
    }
  }
  double weights = 0;
  for (const auto& [number, group] : groups) {
    ++plain.groups;
    double won = 0, pairs = 0, weight = 0, positives = 0;
    for (const RankedRow& a : group) {
      weight += a.weight;
      positives += a.label;
      for (const RankedRow& b : group) {
        if (a.label == 0 || b.label == 1) continue;
        const double pair = double{a.weight} * b.weight;
        pairs += pair;
        won += pair * (a.score > b.score ? 1 : a.score == b.score ? 0.5 : 0);
      }
    }
    if (pairs > 0) {
      plain.gauc += weight * won / pairs;
      weights += weight;
    } else {
      ++plain.one_class;
      continue;
    }
    // A positive's place: 1 + what is better, or a negative and as good, or a positive counted before it.
    std::vector<double> places;
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (group[i].label == 0) continue;
      double place = 1;
      for (std::size_t j = 0; j < group.size(); ++j) {
        if (group[j].score > group[i].score) place += 1;
        if (group[j].score == group[i].score && (group[j].label == 0 || j < i)) place += 1;
      }
      places.push_back(place);
    }
    plain.mrr += 1 / *std::min_element(places.begin(), places.end());
    for (std::size_t k = 0; k < kTop.size(); ++k) {
      double gain = 0, best = 0, found = 0;
      for (const double place : places) {
        if (place <= kTop[k]) gain += 1 / std::log2(place + 1), found += 1;
      }
      for (std::uint32_t i = 1; i <= std::min<double>(kTop[k], positives); ++i)
        best += 1 / std::log2(i + 1.0);
      plain.hr[k] += found > 0;
      plain.ndcg[k] += gain / best;
      plain.recall[k] += found / positives;
    }
  }
  plain.gauc /= weights;
  return plain;
}

TEST(GroupRanking, AgreesWithTheDefinitions) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto rows = Draw(seed, 80);
    const GroupTotals totals = Judge(rows);
    const Plain plain = JudgePlainly(rows);
    EXPECT_EQ(totals.groups, plain.groups);
    EXPECT_EQ(totals.one_class, plain.one_class);
    EXPECT_EQ(totals.ungrouped_rows, plain.ungrouped);
    EXPECT_NEAR(totals.auc.value() / totals.auc_weight.value(), plain.gauc, 1e-12);
    EXPECT_NEAR(totals.reciprocal_rank.value(), plain.mrr, 1e-12);
    for (std::size_t k = 0; k < kTop.size(); ++k) {
      EXPECT_NEAR(totals.hits[k].value(), plain.hr[k], 1e-12);
      EXPECT_NEAR(totals.ndcg[k].value(), plain.ndcg[k], 1e-12);
      EXPECT_NEAR(totals.recall[k].value(), plain.recall[k], 1e-12);
    }
  }
}

TEST(GroupRanking, AConstantScoreEarnsNoPlace) {
  const GroupTotals totals = Judge({{0, {0.5f, 1, 1}}, {0, {0.5f, 0, 1}}, {0, {0.5f, 0, 1}}});
  EXPECT_EQ(totals.hits[0].value(), 0);
  EXPECT_DOUBLE_EQ(totals.reciprocal_rank.value(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(totals.auc.value() / totals.auc_weight.value(), 0.5);
}

// Runs of rows, cut anywhere, also through groups and more than once through the same one, seen by several workers.
TEST(GroupRanking, DoesNotDependOnTheDivision) {
  const auto rows = Draw(7, 300);
  ByteWriter whole;
  {
    GroupRanking ranking(1, kTop);
    for (const Row& row : rows) ranking.NextRow(row.group), ranking.Add(0, row.row);
    ranking.Interrupt();
    const GroupTotals totals = ranking.Totals()[0];
    for (const FixedSum& sum : {totals.auc, totals.auc_weight, totals.reciprocal_rank}) whole.Put(sum);
    for (const auto* sums : {&totals.hits, &totals.ndcg, &totals.recall}) whole.PutList(*sums);
  }
  const auto expected = whole.Take();
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    RandomStream random(seed);
    const std::size_t longest = seed < 5 ? 3 : 200;
    std::vector<GroupRanking> workers(4, GroupRanking(1, kTop));
    std::vector<std::size_t> order;
    for (std::size_t begin = 0; begin < rows.size();) {
      const std::size_t end = std::min(rows.size(), begin + 1 + random.Below(longest));
      GroupRanking& worker = workers[random.Below(workers.size())];
      worker.Interrupt();
      for (; begin < end; ++begin) worker.NextRow(rows[begin].group), worker.Add(0, rows[begin].row);
    }
    GroupRanking merged(1, kTop);
    for (GroupRanking& worker : workers) {
      worker.Interrupt();
      ByteWriter out;
      worker.Write(&out);
      const auto bytes = out.Take();
      GroupRanking read(1, kTop);
      ByteReader in(bytes);
      ASSERT_TRUE(read.Read(&in) && in.AtEnd());
      merged.Merge(read);
    }
    const GroupTotals totals = merged.Totals()[0];
    ByteWriter out;
    for (const FixedSum& sum : {totals.auc, totals.auc_weight, totals.reciprocal_rank}) out.Put(sum);
    for (const auto* sums : {&totals.hits, &totals.ndcg, &totals.recall}) out.PutList(*sums);
    EXPECT_EQ(out.Take(), expected);
  }
}

// What is read is what Write writes: groups ascend, and rows can be put in order.
TEST(GroupRanking, RefusesRowsThatCannotBe) {
  GroupRanking ranking(1, kTop);
  for (const std::uint64_t group : {3, 4}) ranking.NextRow(group), ranking.Add(0, {0.5f, 1, 1});
  ranking.Interrupt();
  ByteWriter out;
  ranking.Write(&out);
  const auto bytes = out.Take();
  constexpr std::size_t kGroupBytes = 2 * sizeof(std::uint64_t) + sizeof(RankedRow);
  const auto read = [&](std::size_t from_end, auto value) {
    auto changed = bytes;
    std::memcpy(changed.data() + changed.size() - from_end, &value, sizeof(value));
    GroupRanking other(1, kTop);
    ByteReader in(changed);
    return other.Read(&in) && in.AtEnd();
  };
  EXPECT_TRUE(read(kGroupBytes, std::uint64_t{4}));
  EXPECT_FALSE(read(kGroupBytes, std::uint64_t{3}));  // twice
  EXPECT_FALSE(read(kGroupBytes, std::uint64_t{2}));
  EXPECT_FALSE(read(sizeof(RankedRow), std::nanf("")));
  EXPECT_FALSE(read(sizeof(float), -1.0f));
}

}  // namespace
}  // namespace cohort::group_ranking_test
