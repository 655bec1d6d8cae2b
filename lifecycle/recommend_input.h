// RecommendInput: a shop as `cohort recommend` looks at it: its history, and the moments between which it learns and judges.
#ifndef COHORT_LIFECYCLE_RECOMMEND_INPUT_H_
#define COHORT_LIFECYCLE_RECOMMEND_INPUT_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "lifecycle/recommend.h"
#include "lifecycle/recommender.h"
#include "lifecycle/shop_history.h"
#include "lifecycle/user_segments.h"

namespace cohort {

struct RecommendPeriods {
  Time learned_at = 0, at = 0, until = 0;  // until: what comes before it judges the lists
};

// What lists and candidates are made of.
struct RecommendInput {
  ShopHistory history;
  RecommendPeriods periods;
  UserSegments segments;
  EventKind target = EventKind::kPurchase;
  std::vector<bool> unavailable;

  // `directory`: for temporary files. kInvalidInput: wrong options, description or data.
  static Result<std::unique_ptr<RecommendInput>> Read(const RecommendOptions& options,
                                                      const std::string& directory,
                                                      std::vector<std::string>* warnings,
                                                      const Recommender::Progress& progress);
  Result<std::unique_ptr<Recommender>> Make(Time now, const std::string& model,
                                            std::unique_ptr<ScoreSource> ranker,
                                            const Recommender::Progress& progress) const {
    return Recommender::Make(history, now, segments, target, model, std::move(ranker), unavailable, progress);
  }
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_RECOMMEND_INPUT_H_
