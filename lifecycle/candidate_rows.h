// CandidateRows: what score sources know of the items that they name for a user as of a moment, and what the user then does with them: rows from which
// a model of several tasks (`cohort train`; docs/models.md) learns to rank. Columns:
//
//   id                             user and item, with a tab between: what score files carry (ranker_scores.h)
//   user, item
//   score_...                      a column a feature of the sources, its name in lower case with _ for all but letters and digits
//   taken                          how strongly the user took the item itself (taste_matrix.h); 0: not yet
//   user_items, item_users         how many items the user took, and users the item
//   category, brand, tags, price   of the item, tags by the separator of the shop's; empty where not known
//   segment                        of the user: a number (user_segments.h), 0 without --segment
//   purchase, cart, ...            labels, of kinds that the log has: 1 where there is such an event of user and item from the moment on and before
//                                  `until`, else 0; empty where nothing of that time is known yet
//
// All but the labels are functions of what was before the moment.
#ifndef COHORT_LIFECYCLE_CANDIDATE_ROWS_H_
#define COHORT_LIFECYCLE_CANDIDATE_ROWS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "lifecycle/event.h"
#include "lifecycle/recommender.h"
#include "lifecycle/shop_history.h"
#include "lifecycle/user_segments.h"

namespace cohort {

inline constexpr char kPairSeparator = '\t';
// What may be a label, and a task of a ranker.
inline constexpr std::array kRankedKinds = {EventKind::kPurchase, EventKind::kCart, EventKind::kFavourite,
                                            EventKind::kView};

// Const calls: any thread.
class CandidateRows {
 public:
  // All outlive this. `until` <= recommender.now(): labels are not known yet. kInvalidInput: a name with a tab in it.
  static Result<CandidateRows> Make(const ShopHistory& history, const Recommender& recommender,
                                    const UserSegments& segments, Time until);

  const std::vector<EventKind>& labels() const { return labels_; }
  // Lines of CSV, with their ends.
  std::string Header() const;
  // Adds a row for each of the user's `candidates` to `lines`, and the labels 1 among them to `positives`, by label.
  void Append(std::uint32_t user, const Recommender::Scored& candidates, std::string* lines,
              std::vector<std::uint64_t>* positives) const;

 private:
  CandidateRows(const ShopHistory& history, const Recommender& recommender, const UserSegments& segments,
                Time until)
      : history_(history), recommender_(recommender), segments_(segments), until_(until) {}

  const ShopHistory& history_;
  const Recommender& recommender_;
  const UserSegments& segments_;
  const Time until_;
  std::vector<EventKind> labels_;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_CANDIDATE_ROWS_H_
