// GroupRanking: how well predictions order the rows within each group (a user's impressions, a query's candidates):
// sums over groups from which GAUC, HR@k, NDCG@k, Recall@k and MRR follow (docs/metrics.md).
//
// The rows of a group lie one after the other within a split. A worker judges each group that it has seen whole and
// keeps its sums; the first and the last group of each run of rows, which may go on in someone else's, it hands over as
// rows. Sums are FixedSum and the rows of a group are put in order first, so the result does not depend on the division.
#ifndef COHORT_COMMON_GROUP_RANKING_H_
#define COHORT_COMMON_GROUP_RANKING_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "common/byte_stream.h"
#include "common/fixed_sum.h"

namespace cohort {

struct RankedRow {
  float score = 0;
  float label = 0;  // 0 or 1
  float weight = 1;
};

// Of one task, over groups.
struct GroupTotals {
  std::uint64_t groups = 0;                  // with a labelled row
  std::uint64_t one_class = 0;               // of them without both classes: nothing to order, so not in the sums below
  std::uint64_t ungrouped_rows = 0;          // labelled rows of no group
  FixedSum auc, auc_weight;                  // weight of a group's rows times its AUC; weight
  FixedSum reciprocal_rank;                  // of the first positive
  std::vector<FixedSum> hits, ndcg, recall;  // by k

  // Judges a group, whose rows it puts in order.
  void Judge(std::vector<RankedRow>* rows, const std::vector<std::uint32_t>& top);
  void Merge(const GroupTotals& other);
};

// One thread at a time.
class GroupRanking {
 public:
  // `top`: the k of @k.
  GroupRanking(std::size_t tasks, std::vector<std::uint32_t> top);

  // The rows that follow are not those right behind the ones before.
  void Interrupt();
  // The next row is of this group (dataset.h; kNoGroup: of none); then its labelled tasks.
  void NextRow(std::uint64_t group);
  void Add(std::size_t task, const RankedRow& row);

  // REQUIRES: of the same tasks and k; both interrupted.
  void Merge(const GroupRanking& other);
  // By task, with the groups at the ends of runs. REQUIRES: interrupted.
  std::vector<GroupTotals> Totals() const;
  const std::vector<std::uint32_t>& top() const { return top_; }

  void Write(ByteWriter* out) const;
  bool Read(ByteReader* in);  // false: not of these tasks and k

 private:
  using Rows = std::vector<std::vector<RankedRow>>;  // by task
  void Leave(bool at_an_end);

  std::vector<std::uint32_t> top_;
  std::vector<GroupTotals> totals_;
  std::map<std::uint64_t, Rows> open_;  // groups at the ends of runs
  std::uint64_t group_;                 // of the rows in rows_
  bool first_of_run_ = true;
  bool grouped_ = false;  // the row at hand
  Rows rows_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_GROUP_RANKING_H_
