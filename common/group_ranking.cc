#include "common/group_ranking.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "common/check.h"
#include "common/dataset.h"

namespace cohort {
namespace {

// What a positive at this place (from 1) is worth: Järvelin & Kekäläinen 2002, with gains of 0 and 1.
double Discount(std::size_t place) { return 1 / std::log2(static_cast<double>(place) + 1); }

// What is not finite has no place in an order.
bool CanBeRanked(const RankedRow& row) {
  return std::isfinite(row.score) && std::isfinite(row.weight) && row.weight >= 0 &&
         (row.label == 0 || row.label == 1);
}

void AddAll(const std::vector<FixedSum>& from, std::vector<FixedSum>* to) {
  for (std::size_t i = 0; i < to->size(); ++i) (*to)[i].Add(from[i]);
}

}  // namespace

void GroupTotals::Judge(std::vector<RankedRow>* rows, const std::vector<std::uint32_t>& top) {
  if (rows->empty()) return;
  ++groups;
  // The best first; of equals the negatives, so that a constant score earns nothing.
  std::sort(rows->begin(), rows->end(), [](const RankedRow& a, const RankedRow& b) {
    return std::tuple(-a.score, a.label, a.weight) < std::tuple(-b.score, b.label, b.weight);
  });
  double positive = 0, negative = 0, won = 0;
  for (std::size_t begin = 0; begin < rows->size();) {
    double tie_positive = 0, tie_negative = 0;
    std::size_t end = begin;
    for (; end < rows->size() && (*rows)[end].score == (*rows)[begin].score; ++end)
      ((*rows)[end].label > 0.5f ? tie_positive : tie_negative) += (*rows)[end].weight;
    won += tie_negative * (positive + tie_positive / 2);
    positive += tie_positive;
    negative += tie_negative;
    begin = end;
  }
  if (!(positive > 0 && negative > 0)) {
    ++one_class;
    return;
  }
  const double weight = positive + negative;
  auc.Add(weight * (won / (positive * negative)));
  auc_weight.Add(weight);
  std::vector<std::size_t> places;  // of positives, from 1
  for (std::size_t i = 0; i < rows->size(); ++i) {
    if ((*rows)[i].label > 0.5f) places.push_back(i + 1);
  }
  reciprocal_rank.Add(1 / static_cast<double>(places.front()));
  for (std::size_t k = 0; k < top.size(); ++k) {
    double gain = 0, best = 0, found = 0;
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (places[i] <= top[k]) gain += Discount(places[i]), found += 1;
      if (i < top[k]) best += Discount(i + 1);
    }
    hits[k].Add(found > 0 ? 1 : 0);
    ndcg[k].Add(gain / best);
    recall[k].Add(found / static_cast<double>(places.size()));
  }
}

void GroupTotals::Merge(const GroupTotals& other) {
  groups += other.groups;
  one_class += other.one_class;
  ungrouped_rows += other.ungrouped_rows;
  auc.Add(other.auc);
  auc_weight.Add(other.auc_weight);
  reciprocal_rank.Add(other.reciprocal_rank);
  AddAll(other.hits, &hits);
  AddAll(other.ndcg, &ndcg);
  AddAll(other.recall, &recall);
}

GroupRanking::GroupRanking(std::size_t tasks, std::vector<std::uint32_t> top)
    : top_(std::move(top)), totals_(tasks), group_(kNoGroup), rows_(tasks) {
  for (GroupTotals& totals : totals_) {
    for (auto* sums : {&totals.hits, &totals.ndcg, &totals.recall}) sums->resize(top_.size());
  }
}

void GroupRanking::Leave(bool at_an_end) {
  if (group_ != kNoGroup && at_an_end) {
    Rows& open = open_.try_emplace(group_, rows_.size()).first->second;
    for (std::size_t t = 0; t < rows_.size(); ++t) {
      open[t].insert(open[t].end(), rows_[t].begin(), rows_[t].end());
    }
  } else if (group_ != kNoGroup) {
    for (std::size_t t = 0; t < rows_.size(); ++t) totals_[t].Judge(&rows_[t], top_);
  }
  for (auto& rows : rows_) rows.clear();
}

void GroupRanking::Interrupt() {
  Leave(/*at_an_end=*/true);
  group_ = kNoGroup;
  first_of_run_ = true;
}

void GroupRanking::NextRow(std::uint64_t group) {
  grouped_ = group != kNoGroup;
  if (!grouped_ || group == group_) return;
  const bool first = group_ == kNoGroup;
  Leave(first_of_run_);
  first_of_run_ = first;
  group_ = group;
}

void GroupRanking::Add(std::size_t task, const RankedRow& row) {
  if (grouped_) {
    rows_[task].push_back(row);
  } else {
    ++totals_[task].ungrouped_rows;
  }
}

void GroupRanking::Merge(const GroupRanking& other) {
  COHORT_CHECK(group_ == kNoGroup && other.group_ == kNoGroup && top_ == other.top_ &&
               totals_.size() == other.totals_.size());
  for (std::size_t t = 0; t < totals_.size(); ++t) totals_[t].Merge(other.totals_[t]);
  for (const auto& [group, rows] : other.open_) {
    Rows& open = open_.try_emplace(group, rows.size()).first->second;
    for (std::size_t t = 0; t < rows.size(); ++t)
      open[t].insert(open[t].end(), rows[t].begin(), rows[t].end());
  }
}

std::vector<GroupTotals> GroupRanking::Totals() const {
  COHORT_CHECK(group_ == kNoGroup);
  std::vector<GroupTotals> totals = totals_;
  for (auto [group, rows] : open_) {
    for (std::size_t t = 0; t < rows.size(); ++t) totals[t].Judge(&rows[t], top_);
  }
  return totals;
}

void GroupRanking::Write(ByteWriter* out) const {
  COHORT_CHECK(group_ == kNoGroup);
  out->PutList(top_);
  for (const GroupTotals& t : totals_) {
    for (const std::uint64_t count : {t.groups, t.one_class, t.ungrouped_rows})
      out->Put(count);
    for (const FixedSum& sum : {t.auc, t.auc_weight, t.reciprocal_rank}) out->Put(sum);
    for (const auto* sums : {&t.hits, &t.ndcg, &t.recall}) out->PutList(*sums);
  }
  out->Put<std::uint64_t>(open_.size());
  for (const auto& [group, rows] : open_) {
    out->Put(group);
    for (const auto& task : rows) out->PutList(task);
  }
}

bool GroupRanking::Read(ByteReader* in) {
  std::vector<std::uint32_t> top;
  if (!in->GetList(&top) || top != top_) return false;
  for (GroupTotals& t : totals_) {
    for (std::uint64_t* count : {&t.groups, &t.one_class, &t.ungrouped_rows})
      in->Get(count);
    for (FixedSum* sum : {&t.auc, &t.auc_weight, &t.reciprocal_rank}) in->Get(sum);
    for (auto* sums : {&t.hits, &t.ndcg, &t.recall}) {
      if (!in->GetList(sums) || sums->size() != top_.size()) return false;
    }
  }
  open_.clear();
  std::uint64_t groups = 0, group = 0;
  if (!in->Get(&groups)) return false;
  for (std::uint64_t i = 0; i < groups; ++i) {
    if (!in->Get(&group) || group == kNoGroup) return false;
    if (!open_.empty() && group <= open_.rbegin()->first) return false;  // as Write writes them
    Rows& open = open_.try_emplace(open_.end(), group, rows_.size())->second;
    for (auto& rows : open) {
      if (!in->GetList(&rows) || !std::all_of(rows.begin(), rows.end(), CanBeRanked)) return false;
    }
  }
  return true;
}

}  // namespace cohort
