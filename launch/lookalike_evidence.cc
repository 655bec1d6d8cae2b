#include "launch/lookalike_evidence.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <tuple>
#include <utility>

#include "common/bootstrap.h"
#include "scheduler/rank_metrics.h"

namespace cohort {
namespace {

// Users in the order of their scores, cut into parts again and again.
class ScoredUsers {
 public:
  explicit ScoredUsers(const std::vector<float>& scores) : scores_(scores), order_(scores.size()) {
    std::iota(order_.begin(), order_.end(), 0u);
    std::stable_sort(order_.begin(), order_.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return scores[a] < scores[b]; });
  }

  // Means of `values` by part, the highest scores first; `times`: how often a user counts.
  std::vector<double> MeansByPart(const std::vector<float>& values,
                                  const std::vector<std::uint32_t>& times) const {
    std::vector<Tie> ties;
    for (std::size_t at = 0; at < order_.size();) {
      const float score = scores_[order_[at]];
      Tie tie{score, score, 0, 0, score, 0};
      for (; at < order_.size() && scores_[order_[at]] == score; ++at) {
        const std::uint32_t user = order_[at];
        tie.rows += times[user];
        tie.weight += times[user];
        tie.label_sum += times[user] * double{values[user]};
      }
      if (tie.rows > 0) ties.push_back(tie);
    }
    std::vector<double> means;
    for (const PredictionBin& part : EqualCountBins(ties, LookalikeEvidence::kParts))
      means.push_back(part.label);
    std::reverse(means.begin(), means.end());
    return means;
  }

 private:
  const std::vector<float>& scores_;
  std::vector<std::uint32_t> order_;
};

double MeanOf(const std::vector<float>& values, const std::vector<std::uint32_t>& times) {
  double sum = 0, count = 0;
  for (std::size_t user = 0; user < values.size(); ++user)
    sum += times[user] * double{values[user]}, count += times[user];
  return Ratio(sum, count);
}

// The best part's mean, and that over the mean of all.
std::pair<Estimate, Estimate> JudgeBestPart(const ScoredUsers& users, const std::vector<float>& values,
                                            const BootstrapOptions& options, std::vector<double>* by_part) {
  const std::vector<std::uint32_t> once(values.size(), 1);
  *by_part = users.MeansByPart(values, once);
  std::vector<double> best, ratio;
  for (std::uint32_t draw = 1; draw <= options.draws; ++draw) {
    const std::vector<std::uint32_t> times =
        DrawUsers(static_cast<std::uint32_t>(values.size()), options.seed, draw);
    best.push_back(users.MeansByPart(values, times).front());
    ratio.push_back(Ratio(best.back(), MeanOf(values, times)));
  }
  return {EstimateOf(by_part->front(), std::move(best)),
          EstimateOf(Ratio(by_part->front(), MeanOf(values, once)), std::move(ratio))};
}

std::vector<float> Probabilities(std::vector<float> log_odds) {
  for (float& score : log_odds) score = static_cast<float>(InverseLink(Link::kLogit, double{score}));
  return log_odds;
}

}  // namespace

LookalikeEvidence JudgeLookalike(const LookalikeModel& model, const std::vector<float>& worth,
                                 const BootstrapOptions& options) {
  const std::vector<float>& wanted = model.users().wanted;
  LookalikeEvidence evidence;
  JudgedRows rows;
  rows.users.resize(wanted.size());
  std::iota(rows.users.begin(), rows.users.end(), 0u);
  rows.user_count = static_cast<std::uint32_t>(wanted.size());
  TaskInfo task;
  task.type = TaskType::kBinary;
  const std::size_t attributes = model.users().attributes.size();
  std::vector<std::vector<std::vector<float>>> scores = {{Probabilities(model.held_out())}};
  for (std::size_t attribute = 0; attribute < attributes; ++attribute)
    scores.push_back({Probabilities(model.HeldOutWithout(attribute))});
  const MetricComparison auc = CompareModels(task, rows, wanted, scores, options).front();
  evidence.auc = auc.models.front();
  // The differences of the first model, all attributes, come first.
  evidence.auc_lost.assign(auc.differences.begin(),
                           auc.differences.begin() + static_cast<std::ptrdiff_t>(attributes));
  const ScoredUsers users(model.held_out());
  std::tie(evidence.wanted, evidence.lift) = JudgeBestPart(users, wanted, options, &evidence.wanted_by_part);
  if (!worth.empty()) {
    LookalikeEvidence::Worth& of = evidence.worth.emplace();
    of.all = MeanOf(worth, std::vector<std::uint32_t>(worth.size(), 1));
    std::tie(of.best, of.ratio) = JudgeBestPart(users, worth, options, &evidence.worth_by_part);
  }
  return evidence;
}

}  // namespace cohort
