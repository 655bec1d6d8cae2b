#include "launch/lookalike_evidence.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>

#include "common/bootstrap.h"
#include "scheduler/rank_metrics.h"

namespace cohort {
namespace {

constexpr double kNormalQuantile = 1.959963984540054;  // of an interval of 95 %

// Scores with their users, ascending.
std::vector<std::pair<float, std::uint32_t>> InOrder(const std::vector<float>& scores) {
  std::vector<std::pair<float, std::uint32_t>> order;
  for (std::uint32_t user = 0; user < scores.size(); ++user) order.emplace_back(scores[user], user);
  std::sort(order.begin(), order.end());
  return order;
}

// By user: the share of those of the other class whom the user is on the right side of; equal scores count one half.
std::vector<float> PlacementsOf(const std::vector<float>& scores, const std::vector<float>& wanted) {
  const std::vector<std::pair<float, std::uint32_t>> order = InOrder(scores);
  const auto wanted_count = static_cast<double>(std::count(wanted.begin(), wanted.end(), 1.0f));
  const double others_count = static_cast<double>(wanted.size()) - wanted_count;
  std::vector<float> placements(scores.size());
  double wanted_below = 0, others_below = 0;
  for (std::size_t first = 0, end = 0; first < order.size(); first = end) {
    double wanted_here = 0, others_here = 0;
    for (; end < order.size() && order[end].first == order[first].first; ++end)
      (wanted[order[end].second] > 0 ? wanted_here : others_here) += 1;
    const double above = (others_below + others_here / 2) / others_count;
    const double below = 1 - (wanted_below + wanted_here / 2) / wanted_count;
    for (std::size_t i = first; i < end; ++i)
      placements[order[i].second] = static_cast<float>(wanted[order[i].second] > 0 ? above : below);
    wanted_below += wanted_here, others_below += others_here;
  }
  return placements;
}

// Of placements, or of differences of them: their mean is the AUC, or the difference.
Estimate EstimateOfPlacements(const std::vector<float>& placements, const std::vector<float>& wanted) {
  double count[2] = {0, 0}, mean[2] = {0, 0}, squares[2] = {0, 0};  // of others, of the wanted
  for (std::size_t user = 0; user < wanted.size(); ++user) {
    const int of = wanted[user] > 0 ? 1 : 0;
    count[of] += 1, mean[of] += double{placements[user]};
  }
  for (const int of : {0, 1}) mean[of] /= count[of];
  for (std::size_t user = 0; user < wanted.size(); ++user) {
    const int of = wanted[user] > 0 ? 1 : 0;
    squares[of] += (double{placements[user]} - mean[of]) * (double{placements[user]} - mean[of]);
  }
  double variance = 0;
  for (const int of : {0, 1}) variance += squares[of] / (count[of] - 1) / count[of];
  Estimate estimate;
  estimate.value = mean[1];
  estimate.low = mean[1] - kNormalQuantile * std::sqrt(variance);
  estimate.high = mean[1] + kNormalQuantile * std::sqrt(variance);
  return estimate;
}

// Means by part of the first `parts` parts. `values`: in the order of the scores, the highest first; `ends`: where each run of equal
// scores ends; `times`: how often each counts, together as many as there are.
std::vector<double> MeansByPart(const std::vector<float>& values, const std::vector<std::uint32_t>& ends,
                                const std::vector<std::uint32_t>& times, std::uint64_t parts) {
  std::vector<double> means;
  const std::uint64_t count = values.size();
  std::uint64_t tie_rows = 0;
  double tie_sum = 0;
  std::size_t at = 0, tie = 0;
  for (std::uint64_t part = 0; part < parts; ++part) {
    const std::uint64_t size = (part + 1) * count / BestTenth::kParts - part * count / BestTenth::kParts;
    double sum = 0;
    for (std::uint64_t left = size; left > 0;) {
      if (tie_rows == 0) {
        for (tie_sum = 0; at < ends[tie]; ++at)
          tie_rows += times[at], tie_sum += times[at] * double{values[at]};
        ++tie;
        continue;
      }
      const std::uint64_t taken = std::min(left, tie_rows);
      const double share = tie_sum * static_cast<double>(taken) / static_cast<double>(tie_rows);
      sum += share, tie_sum -= share;
      left -= taken, tie_rows -= taken;
    }
    means.push_back(Ratio(sum, static_cast<double>(size)));
  }
  return means;
}

}  // namespace

BestTenth JudgeBestTenth(const std::vector<float>& scores, const std::vector<float>& values,
                         const BootstrapOptions& options) {
  std::vector<std::pair<float, std::uint32_t>> order = InOrder(scores);
  std::reverse(order.begin(), order.end());
  std::vector<float> sorted;
  std::vector<std::uint32_t> ends;
  for (std::size_t i = 0; i < order.size(); ++i) {
    sorted.push_back(values[order[i].second]);
    if (i + 1 == order.size() || order[i + 1].first != order[i].first)
      ends.push_back(static_cast<std::uint32_t>(i + 1));
  }
  const auto count = static_cast<std::uint32_t>(sorted.size());
  const auto mean = [&](const std::vector<std::uint32_t>& times) {
    double sum = 0;
    for (std::size_t i = 0; i < sorted.size(); ++i) sum += times[i] * double{sorted[i]};
    return Ratio(sum, count);
  };
  const std::vector<std::uint32_t> once(count, 1);
  BestTenth judged;
  judged.by_part = MeansByPart(sorted, ends, once, BestTenth::kParts);
  judged.all = mean(once);
  std::vector<double> best, ratio;
  for (std::uint32_t draw = 1; draw <= options.draws; ++draw) {
    const std::vector<std::uint32_t> times = DrawUsers(count, options.seed, draw);
    best.push_back(MeansByPart(sorted, ends, times, 1).front());
    ratio.push_back(Ratio(best.back(), mean(times)));
    if (options.progress) options.progress(draw);
  }
  judged.best = EstimateOf(judged.by_part.front(), std::move(best));
  judged.ratio = EstimateOf(Ratio(judged.by_part.front(), judged.all), std::move(ratio));
  return judged;
}

LookalikeEvidence JudgeLookalike(const LookalikeModel& model, const std::vector<float>& worth,
                                 const BootstrapOptions& options) {
  const std::vector<float>& wanted = model.wanted();
  LookalikeEvidence evidence;
  const std::vector<float> placements = PlacementsOf(model.held_out(), wanted);
  evidence.auc = EstimateOfPlacements(placements, wanted);
  evidence.auc.high = std::min(evidence.auc.high, 1.0);
  for (const std::vector<float>& without : model.HeldOutWithoutEach()) {
    std::vector<float> lost = PlacementsOf(without, wanted);
    for (std::size_t user = 0; user < lost.size(); ++user) lost[user] = placements[user] - lost[user];
    evidence.auc_lost.push_back(EstimateOfPlacements(lost, wanted));
  }
  evidence.wanted = JudgeBestTenth(model.held_out(), wanted, options);
  if (!worth.empty()) evidence.worth = JudgeBestTenth(model.held_out(), worth, options);
  return evidence;
}

}  // namespace cohort
