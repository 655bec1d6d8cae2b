// What `cohort profile` says of a user beside features and predictions: stage of life, segment, tier of loyalty.
#ifndef COHORT_LIFECYCLE_USER_PROFILE_H_
#define COHORT_LIFECYCLE_USER_PROFILE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"
#include "lifecycle/k_means.h"

namespace cohort {

enum class LifeStage : std::uint8_t { kNew = 0, kActive, kLoyal, kLost };
inline constexpr std::array<const char*, 4> kLifeStageNames = {"new", "active", "loyal", "lost"};

// The stage that a prediction of churn and the features of a shop's dataset (docs/shop.md) say:
//   lost    a probability of churn, no activity in its horizon, of one half or more. Without a prediction, only who has ordered, and probably
//           will not again: `alive` (of the forecast) below one half; without a forecast, no order for three times the
//           user's own mean gap between orders, or, of one order only, three times the usual one
//   new     no order yet
//   loyal   `loyal_orders` orders or more
//   active  all others
class LifeStageRule {
 public:
  static constexpr double kLostGaps = 3;
  static constexpr int kLoyalOrders = 5;
  // Nothing when the dataset has no feature `orders`. The usual gap is the (geometric) mean of the train split; where nobody there has
  // ordered twice, nobody is lost who has ordered once.
  static std::optional<LifeStageRule> Of(const DatasetInfo& info, int loyal_orders = kLoyalOrders);
  // `numeric`: a row's numeric features. `churn`: NaN where nothing is predicted.
  LifeStage StageOf(const float* numeric, double churn) const;
  bool by_forecast() const { return alive_ >= 0; }

 private:
  std::ptrdiff_t orders_ = -1, alive_ = -1, recency_ = -1, gap_ = -1;  // columns; -1: there is none
  double loyal_orders_ = 0, typical_gap_ = 0;
};

// Tiers by a number, the highest first: a user who reaches a threshold is of its tier, and stays until they fall below (1 - hysteresis) x
// that threshold: nobody flickers between two.
struct LoyaltyTiers {
  std::vector<std::string> names;
  std::vector<double> thresholds;  // descending
  double hysteresis = 0.1;

  // "gold=1000", ... in any order; kInvalidInput: not of that form, a name or a threshold twice.
  static Result<LoyaltyTiers> Parse(const std::vector<std::string>& texts, double hysteresis);
  // Empty: below all. `former`: the tier so far; empty or not among the names: none.
  std::string Of(double value, const std::string& former) const;
};

// Segments of users alike in some numeric features, and what makes each of them one. Values count as StandardScore.
struct UserSegmentation {
  struct Segment {
    std::uint64_t users = 0;
    std::vector<double> medians;  // by feature, of those who have it; NaN: nobody does
    std::string words;            // "orders very high (median 9, all 2), recency_days low (4, all 41)"
  };
  std::vector<FeatureInfo> features;
  std::vector<double> medians;  // of all users
  KMeans means;
  std::vector<Segment> segments;  // by the mean of the last feature's score, the highest first

  // `values`: (users, features), NaN where it is missing.
  static UserSegmentation Make(const std::vector<FeatureInfo>& features, const std::vector<float>& values,
                               std::size_t count, std::uint64_t seed);
  // From 0, an index of segments.
  std::uint32_t SegmentOf(const float* values) const;

 private:
  std::vector<float> ScoresOf(const float* values) const;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_USER_PROFILE_H_
