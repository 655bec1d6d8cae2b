// Recommender: all score sources as of a moment, and a user's list of them.
#ifndef COHORT_LIFECYCLE_RECOMMENDER_H_
#define COHORT_LIFECYCLE_RECOMMENDER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "lifecycle/choice_model.h"
#include "lifecycle/list_diversity.h"
#include "lifecycle/list_exposure.h"
#include "lifecycle/score_source.h"
#include "lifecycle/shop_history.h"
#include "lifecycle/taste_matrix.h"
#include "lifecycle/user_segments.h"

namespace cohort {

struct ListOptions {
  std::size_t top = 10;
  double diversity = 0;        // list_diversity.h, of log-odds over `spread`
  double spread = 1;           // > 0
  std::size_t promotable = 0;  // so many items of the group are kept with a list (list_exposure.h)
  std::span<const std::uint32_t> group;
  bool skip_bought = false;
};

class Recommender {
 public:
  using Progress = ScoreSource::Progress;

  // `model`: of a factorisation trained on what was before `now` (factor_vectors.h); empty: none. `ranker`: null: none. All else outlives this.
  // kInvalidInput: the model does not fit.
  static Result<std::unique_ptr<Recommender>> Make(const ShopHistory& history, Time now,
                                                   const UserSegments& segments, EventKind target,
                                                   const std::string& model,
                                                   std::unique_ptr<ScoreSource> ranker,
                                                   const std::vector<bool>& unavailable,
                                                   const Progress& progress);

  Time now() const { return now_; }
  const TasteMatrix& tastes() const { return *tastes_; }
  const std::vector<std::unique_ptr<ScoreSource>>& sources() const { return sources_; }
  const std::vector<std::string>& features() const {
    return features_;
  }  // of all sources, one after the other
  std::size_t SourceOf(std::size_t feature) const { return source_of_[feature]; }
  bool Knows(std::uint32_t user) const { return history_.user_since[user] < now_; }
  // Not unavailable, and known before `now`.
  bool MayShow(std::uint32_t item) const { return may_show_[item]; }
  // What the user chose (events of the target kind) from `now` on and before `end`: different items in the order of time.
  std::vector<std::uint32_t> Chosen(std::uint32_t user, Time end, bool skip_bought) const;

  // All features of some items, for a user: scores[f * items.size() + i] of items[i].
  struct Scored {
    std::vector<std::uint32_t> items;
    std::vector<float> scores;
  };
  Scored Score(std::uint32_t user, std::vector<std::uint32_t> items) const;

  // What each source weighs its own features with (by all features): before the calls below. Of more than `exact_items` items that may be
  // shown the sources retrieve some; else all are scored.
  void Index(std::vector<std::vector<double>> source_weights, std::size_t exact_items,
             const Progress& progress);
  bool approximate() const { return approximate_; }
  // The `n` best items of each source by itself that may be shown, best first (equal: the one that more users took, then the first).
  std::vector<std::vector<std::uint32_t>> Nominate(std::uint32_t user, bool skip_bought,
                                                   std::size_t n) const {
    return NominateBy(approximate_, user, skip_bought, n);
  }
  // The first kCandidates of each, together: what the blend ranks. Ascending.
  static constexpr std::size_t kCandidates = 100;
  static std::vector<std::uint32_t> Candidates(const std::vector<std::vector<std::uint32_t>>& nominated);

  // Of the best by all items, the share that is found by those retrieved: kCandidates of each source, then `top` of their blend. Means over
  // kUsersOfRecall of `users`, which the seed draws. REQUIRES: approximate().
  static constexpr std::size_t kUsersOfRecall = 200;
  std::vector<double> Recall(std::vector<std::uint32_t> users, const std::vector<double>& weights,
                             bool skip_bought, std::size_t top, std::uint64_t seed,
                             const Progress& progress) const;

  // What users chose from `now` on and before `end`, at most `most` choices, of users in an order that the seed draws. Each beside
  // `drawn` items drawn half evenly, half by how often they were taken; or beside the user's candidates: then only choices that are among
  // them.
  struct ChoiceOptions {
    Time end = 0;
    bool skip_bought = false, among_candidates = false;
    std::size_t most = 8'000, drawn = 200;
    std::uint64_t seed = 1;
  };
  Choices DrawChoices(const ChoiceOptions& options, const Progress& progress) const;

  // How far the log-odds of a user's candidates lie apart: the standard deviation within a user, its square averaged over at most 500 users
  // spread evenly over `users`. 1 if they do not differ.
  double Spread(const std::vector<std::uint32_t>& users, const std::vector<double>& weights,
                bool skip_bought) const;
  // A user's candidates by weights . scores, re-ranked. Where the sources retrieve, the promotable items are the best of kGroupScored of the
  // group that the user's number draws.
  static constexpr std::size_t kGroupScored = 1000;
  RecommendationList List(std::uint32_t user, const Scored& candidates, const std::vector<double>& weights,
                          const ListOptions& options, const ItemLabels& labels) const;
  std::string Reason(std::uint32_t user, const ListedItem& listed) const;

 private:
  Recommender(const ShopHistory& history, Time now, EventKind target)
      : history_(history), now_(now), target_(target) {}
  std::span<const double> OwnWeights(std::size_t source) const {
    return std::span(source_weights_[source])
        .subspan(first_feature_[source], first_feature_[source + 1] - first_feature_[source]);
  }
  std::vector<std::vector<std::uint32_t>> NominateBy(bool approximate, std::uint32_t user, bool skip_bought,
                                                     std::size_t n) const;
  std::vector<std::uint32_t> BoughtBy(std::uint32_t user) const;  // before `now`; ascending
  // The places in `items` of the `n` of largest utility (by place), in Nominate's order.
  std::vector<std::size_t> Best(std::size_t n, std::span<const std::uint32_t> items,
                                std::span<const float> utilities) const;

  const ShopHistory& history_;
  const Time now_;
  const EventKind target_;
  std::vector<bool> may_show_;
  std::vector<std::uint32_t> shown_;  // the items that may be shown, ascending
  std::vector<std::string> names_;  // of items, as people know them
  std::unique_ptr<TasteMatrix> tastes_;
  std::vector<std::unique_ptr<ScoreSource>> sources_;
  std::vector<std::string> features_;
  std::vector<std::size_t> source_of_, first_feature_;  // first_feature_: by source, and the end
  std::vector<std::vector<double>> source_weights_;
  bool approximate_ = false;
  std::vector<std::uint32_t> most_taken_;  // shown_, those first that most users took; where approximate_
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_RECOMMENDER_H_
