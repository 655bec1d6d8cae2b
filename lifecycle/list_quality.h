// ListQuality: how good lists of items are: what users chose of them, how different their items are, who is shown.
#ifndef COHORT_LIFECYCLE_LIST_QUALITY_H_
#define COHORT_LIFECYCLE_LIST_QUALITY_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lifecycle/list_diversity.h"
#include "lifecycle/recommendation_truth.h"

namespace cohort {

// Of lists of some kind, over the users who chose anything afterwards (ndcg, hit_rate: full ranking, of all items that may be shown) or over all lists.
struct ListQuality {
  std::string name;
  double ndcg = 0, hit_rate = 0;
  double distance = 0;        // mean pairwise, within a list
  double group_exposure = 0;  // share of the group
  double items = 0;           // different ones shown, over all lists
  // Of a generated shop: what the lists' items are truly bought with, over what the best lists are (recommendation_truth.h).
  std::optional<double> true_share, true_taste_share;
};

// Adds lists up to a ListQuality. One thread.
class QualitySum {
 public:
  QualitySum(std::string name, std::size_t items) : shown_(items) { quality_.name = std::move(name); }

  // `chosen`: afterwards, by the list's user. `group`: by item.
  void Add(const std::vector<std::uint32_t>& list, const std::vector<std::uint32_t>& chosen,
           const ItemLabels& labels, const std::vector<bool>& group);
  // Of a generated shop: what the list is worth, and the best one.
  void AddTruth(const RecommendationTruth::Value& value, const RecommendationTruth::Value& best);
  ListQuality Finish(bool truth) const;
  std::uint64_t judged() const { return judged_; }

  // The sums of other lists of the same name. Throws what Json throws.
  nlohmann::ordered_json ToJson() const;
  void AddPart(const nlohmann::ordered_json& sums);

 private:
  ListQuality quality_;
  std::vector<bool> shown_;
  std::uint64_t lists_ = 0, judged_ = 0;
  double all_ = 0;
  RecommendationTruth::Value truth_, best_;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_LIST_QUALITY_H_
