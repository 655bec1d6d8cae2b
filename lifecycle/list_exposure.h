// Exposure of a group of items over all lists: a share of it that is held.
//
// A place has the weight 1 / log2(1 + rank), as in DCG (Singh and Joachims: "Fairness of Exposure in Rankings", KDD 2018). An item's exposure is
// the sum of the weights of its places; the group's share is its exposure over that of all items.
#ifndef COHORT_LIFECYCLE_LIST_EXPOSURE_H_
#define COHORT_LIFECYCLE_LIST_EXPOSURE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cohort {

struct ListedItem {
  std::uint32_t item = 0;
  float probability = 0;      // that the user's next choice is this item
  std::uint16_t feature = 0;  // the score that speaks for it most, of all sources' features
  bool promoted = false;      // it stands here for the sake of exposure
};

struct RecommendationList {
  std::vector<ListedItem> items;       // by rank, from 1
  std::vector<ListedItem> promotable;  // of the group, not in `items`, likeliest first
};

double PlaceWeight(std::size_t rank);  // from 1
// The group's share of the exposure of all lists; 0 where there is none.
double ExposureShare(const std::vector<RecommendationList>& lists, const std::vector<bool>& in_group);

// Puts items of the group into the lists' last places that hold others, until the group's share is at least `share`: where the least probability
// is lost first, at most one place of a list in a round, and in a round no item more often than twice its equal part. (Equal: the
// first list.) Returns whether the share is held: there may be too few promotable items.
bool HoldExposure(std::vector<RecommendationList>& lists, const std::vector<bool>& in_group, double share);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_LIST_EXPOSURE_H_
