#include "scheduler/hazard_metrics.h"

#include <algorithm>
#include <cmath>

namespace cohort {
namespace {

using Cell = ScoreSketch::Cell;

// Whether every cell holds labels of one kind: false when so many bits were dropped that labels fell together.
bool KnowsLabels(const ScoreSketch& sketch) {
  return std::all_of(sketch.cells().begin(), sketch.cells().end(),
                     [](const Cell& cell) { return cell.lowest_label == cell.highest_label; });
}

// Sums over prefixes (Fenwick 1994).
class PrefixSums {
 public:
  explicit PrefixSums(std::size_t size) : tree_(size + 1) {}
  void Add(std::size_t place, double value) {
    total_ += value;
    for (std::size_t i = place + 1; i < tree_.size(); i += i & (~i + 1)) tree_[i] += value;
  }
  // Of the places after `place`.
  double After(std::size_t place) const {
    double sum = 0;
    for (std::size_t i = place + 1; i > 0; i -= i & (~i + 1)) sum += tree_[i];
    return total_ - sum;
  }

 private:
  double total_ = 0;
  std::vector<double> tree_;
};

// The order in which labels end: an event in a period, being censored after it, an event in the next one.
std::size_t PlaceOf(float label) {
  const HazardLabel seen = HazardLabelOf(label);
  return 2 * seen.period + (seen.event ? 0 : 1);
}

}  // namespace

std::vector<double> SeenShares(const TaskSums& sums) {
  std::vector<double> shares;
  double share = 1;
  for (std::size_t k = 0; k < sums.at_risk.size(); ++k) {
    if (k > 0) {
      const double left = sums.at_risk[k - 1].value() - sums.actual[k - 1].value();
      if (left > 0) share *= std::min(1.0, sums.at_risk[k].value() / left);
    }
    shares.push_back(share);
  }
  return shares;
}

HorizonMetrics AtHorizon(const TaskSums& sums) {
  HorizonMetrics result;
  result.brier = kUndefined;
  const std::vector<double> seen_shares = SeenShares(sums);
  if (seen_shares.empty() || !(seen_shares.back() > 0)) return result;

  const std::size_t periods = seen_shares.size();
  double squared = 0, weight = 0;
  for (std::size_t k = 0; k < periods; ++k) {
    if (!(seen_shares[k] > 0)) continue;
    squared += sums.squared[k].value() / seen_shares[k];
    weight += sums.actual[k].value() / seen_shares[k];
  }
  squared += sums.squared.back().value() / seen_shares.back();
  weight += (sums.at_risk.back().value() - sums.actual.back().value()) / seen_shares.back();
  if (weight > 0) result.brier = squared / weight;

  const ScoreSketch& sketch = sums.sketches[0];
  if (!KnowsLabels(sketch)) return result;
  const auto& cells = sketch.cells();
  for (std::size_t begin = 0, end = 0; begin < cells.size(); begin = end) {
    Tie tie{cells[begin].lowest, cells[begin].highest};
    double prediction = 0;
    for (; end < cells.size() &&
           ScoreSketch::PredictionKey(cells[end]) == ScoreSketch::PredictionKey(cells[begin]);
         ++end) {
      const Cell& cell = cells[end];
      const HazardLabel seen = HazardLabelOf(cell.lowest_label);
      if (!seen.event && seen.period < periods) continue;
      const double factor = 1 / seen_shares[seen.period - 1];
      tie.rows += cell.rows;
      tie.lowest = std::min(tie.lowest, cell.lowest);
      tie.highest = std::max(tie.highest, cell.highest);
      tie.weight += factor * cell.weight.value();
      prediction += factor * cell.prediction.value();
      if (seen.event) tie.label_sum += factor * cell.weight.value();
    }
    if (tie.rows == 0) continue;
    tie.prediction = tie.span() ? prediction / tie.weight : double{tie.lowest};
    result.ties.push_back(tie);
  }
  return result;
}

Bounded Concordance(const TaskSums& sums) {
  const ScoreSketch& sketch = sums.sketches[0];
  if (!KnowsLabels(sketch)) return {kUndefined, 0};
  const auto& cells = sketch.cells();
  const std::size_t places = 2 * sums.at_risk.size() + 2;
  // Ascending by prediction: an event wins against the rows below it that outlast it, and half of those beside it.
  PrefixSums below(places), all(places);
  for (const Cell& cell : cells) all.Add(PlaceOf(cell.lowest_label), cell.weight.value());
  double won = 0, pairs = 0, bound = 0;
  for (std::size_t begin = 0, end = 0; begin < cells.size(); begin = end) {
    float lowest = cells[begin].lowest, highest = cells[begin].highest;
    for (; end < cells.size() &&
           ScoreSketch::PredictionKey(cells[end]) == ScoreSketch::PredictionKey(cells[begin]);
         ++end) {
      lowest = std::min(lowest, cells[end].lowest);
      highest = std::max(highest, cells[end].highest);
    }
    for (std::size_t i = begin; i < end; ++i) {
      if (!HazardLabelOf(cells[i].lowest_label).event) continue;
      const std::size_t place = PlaceOf(cells[i].lowest_label);
      const double weight = cells[i].weight.value();
      double half = 0;
      for (std::size_t j = begin; j < end; ++j) {
        if (PlaceOf(cells[j].lowest_label) > place) half += cells[j].weight.value() / 2;
      }
      won += weight * (below.After(place) + half);
      pairs += weight * all.After(place);
      if (lowest < highest) bound += weight * half;
    }
    for (std::size_t i = begin; i < end; ++i)
      below.Add(PlaceOf(cells[i].lowest_label), cells[i].weight.value());
  }
  if (!(pairs > 0)) return {kUndefined, 0};
  return {won / pairs, bound / pairs};
}

}  // namespace cohort
