// RankerScores: what a model of several tasks expects users to do with candidates (candidate_rows.h), read from a file of `cohort score`.
//
//   score of a kind of event (u, i) = log(p / (1 - p)),   p the prediction of the task of that kind's name, held within kLeast and 1 - kLeast
//
// A pair of user and item without a prediction has the least value of the file: nobody has named it.
#ifndef COHORT_LIFECYCLE_RANKER_SCORES_H_
#define COHORT_LIFECYCLE_RANKER_SCORES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "lifecycle/event.h"
#include "lifecycle/score_source.h"
#include "lifecycle/shop_history.h"

namespace cohort {

class RankerScores : public ScoreSource {
 public:
  static constexpr double kLeast = 1e-7;

  // `path`: CSV with the column `id` and one or more of predictions, in the order of the candidates. Rows of users and items that are not of
  // this shop are passed over, and counted in a warning. kInvalidInput, with file and line: another header (that of candidates, too: what is called a prediction there is a label), a cell that is no probability, a pair
  // twice or out of order; no row fits. Memory: 4 bytes a pair, and 4 for each of its predictions.
  static Result<std::unique_ptr<RankerScores>> Read(const std::string& path, const ShopHistory& history,
                                                    std::vector<std::string>* warnings);

  std::string name() const override { return "ranker"; }
  std::vector<std::string> features() const override;
  void Score(std::uint32_t user, std::span<const std::uint32_t> items,
             std::span<float> scores) const override;
  // The candidates that it has scores of, for any n.
  std::vector<std::uint32_t> Retrieve(std::uint32_t user, std::size_t n) const override;
  std::string Reason(std::uint32_t user, std::uint32_t item, std::size_t feature) const override;
  bool Has(std::uint32_t user, std::uint32_t item) const { return Find(user, item) != items_.size(); }
  // A hash of all scores.
  std::uint64_t Fingerprint() const;

 private:
  // The place of a pair in items_, its end if there is none.
  std::size_t Find(std::uint32_t user, std::uint32_t item) const;

  std::vector<EventKind> kinds_;      // by feature
  std::vector<float> floors_;         // by feature
  std::vector<std::uint64_t> first_;  // by user, and the end
  std::vector<std::uint32_t> items_;  // of the user, ascending
  std::vector<float> log_odds_;       // beside items_: a value a feature
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_RANKER_SCORES_H_
