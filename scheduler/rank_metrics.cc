#include "scheduler/rank_metrics.h"

#include <algorithm>
#include <cmath>

namespace cohort {
namespace {

struct ClassWeights {
  double positive = 0, negative = 0;
};
ClassWeights ClassesOf(const std::vector<Tie>& ties) {
  ClassWeights all;
  for (const Tie& tie : ties) {
    all.positive += tie.label_sum;
    all.negative += tie.weight - tie.label_sum;
  }
  return all;
}

// Labels that are equal, or fall into one cell: as ties by label, ascending.
struct LabelTie {
  std::uint32_t key = 0;
  FixedSum weight, label;
  float lowest = 0, highest = 0;
  bool span() const { return lowest < highest; }
};
std::vector<LabelTie> LabelTiesOf(const ScoreSketch& sketch) {
  std::vector<LabelTie> all;
  for (const ScoreSketch::Cell& cell : sketch.cells())
    all.push_back(
        {ScoreSketch::LabelKey(cell), cell.weight, cell.label, cell.lowest_label, cell.highest_label});
  std::sort(all.begin(), all.end(), [](const LabelTie& a, const LabelTie& b) { return a.key < b.key; });
  std::vector<LabelTie> ties;
  for (const LabelTie& each : all) {
    if (ties.empty() || ties.back().key != each.key) {
      ties.push_back(each);
      continue;
    }
    LabelTie& tie = ties.back();
    tie.weight.Add(each.weight);
    tie.label.Add(each.label);
    tie.lowest = std::min(tie.lowest, each.lowest);
    tie.highest = std::max(tie.highest, each.highest);
  }
  return ties;
}

// Weighted mid-ranks of ties, less their mean: the weight below plus half the tie's own.
struct Ranks {
  std::vector<double> rank;
  double variance = 0;  // times the total weight
  double within = 0;    // at most so much more lies within spans
};
struct RankedTie {
  double weight = 0;
  bool span = false;
};
Ranks RanksOf(const std::vector<RankedTie>& ties) {
  Ranks ranks;
  double below = 0, total = 0;
  for (const RankedTie& tie : ties) total += tie.weight;
  for (const RankedTie& tie : ties) {
    const double w = tie.weight;
    ranks.rank.push_back(below + w / 2 - total / 2);
    ranks.variance += w * ranks.rank.back() * ranks.rank.back();
    if (tie.span) ranks.within += w * (w / 2) * (w / 2);
    below += w;
  }
  return ranks;
}

// One point of a Lorenz curve: weight and label sum of neighbours.
struct LorenzStep {
  double weight = 0, label_sum = 0;
  bool span = false;
};
// 1 - 2 * area under the Lorenz curve; a step is one chord. `bound`: what the order within spans can change.
Bounded Gini(const std::vector<LorenzStep>& steps) {
  double weight = 0, label_sum = 0;
  for (const LorenzStep& step : steps) weight += step.weight, label_sum += step.label_sum;
  double area = 0, share = 0, bound = 0;
  for (const LorenzStep& step : steps) {
    const double x = step.weight / weight, y = step.label_sum / label_sum;
    area += x * (share + y / 2);
    share += y;
    if (step.span) bound += x * std::abs(y);
  }
  return {1 - 2 * area, bound};
}

}  // namespace

std::vector<Tie> TiesOf(const ScoreSketch& sketch) {
  std::vector<Tie> ties;
  const auto& cells = sketch.cells();
  for (std::size_t begin = 0, end = 0; begin < cells.size(); begin = end) {
    Tie tie{cells[begin].lowest, cells[begin].highest};
    FixedSum weight, prediction, label;
    for (; end < cells.size() &&
           ScoreSketch::PredictionKey(cells[end]) == ScoreSketch::PredictionKey(cells[begin]);
         ++end) {
      tie.rows += cells[end].rows;
      tie.lowest = std::min(tie.lowest, cells[end].lowest);
      tie.highest = std::max(tie.highest, cells[end].highest);
      weight.Add(cells[end].weight);
      prediction.Add(cells[end].prediction);
      label.Add(cells[end].label);
    }
    tie.weight = weight.value();
    tie.prediction =
        tie.span() ? sketch.unit().SumFrom(prediction, tie.weight) / tie.weight : double{tie.lowest};
    tie.label_sum = sketch.unit().SumFrom(label, tie.weight);
    ties.push_back(tie);
  }
  return ties;
}

std::vector<PredictionBin> EqualCountBins(const std::vector<Tie>& ties, std::size_t bins) {
  std::uint64_t count = 0;
  for (const Tie& tie : ties) count += tie.rows;
  std::vector<PredictionBin> result;
  std::size_t tie = 0;
  std::uint64_t used = 0;  // rows of this tie in the bins before
  for (std::size_t b = 0; b < bins; ++b) {
    std::uint64_t left = (b + 1) * count / bins - b * count / bins;
    if (left == 0) continue;
    PredictionBin bin{left, 0, 0, ties[tie].lowest, 0};
    double weight = 0;
    while (left > 0) {
      const Tie& from = ties[tie];
      const std::uint64_t taken = std::min(left, from.rows - used);
      const double share = static_cast<double>(taken) / static_cast<double>(from.rows);
      weight += share * from.weight;
      bin.prediction += share * from.weight * from.prediction;
      bin.label += share * from.label_sum;
      bin.highest = from.highest;
      left -= taken;
      used += taken;
      if (used == from.rows) ++tie, used = 0;
    }
    bin.prediction /= weight;
    bin.label /= weight;
    result.push_back(bin);
  }
  return result;
}

Bounded Auc(const std::vector<Tie>& ties) {
  const ClassWeights all = ClassesOf(ties);
  if (!(all.positive > 0) || !(all.negative > 0)) return {kUndefined, 0};
  double won = 0, negatives_below = 0, bound = 0;
  for (const Tie& tie : ties) {
    const double positive = tie.label_sum, negative = tie.weight - tie.label_sum;
    won += positive * (negatives_below + negative / 2);
    negatives_below += negative;
    if (tie.span()) bound += positive * negative / 2;
  }
  const double pairs = all.positive * all.negative;
  return {won / pairs, bound / pairs};
}

std::vector<RocPoint> Roc(const std::vector<Tie>& ties) {
  const ClassWeights all = ClassesOf(ties);
  if (!(all.positive > 0) || !(all.negative > 0)) return {};
  std::vector<RocPoint> points = {{0, 0}};
  // Thinned to points spread evenly along the curve (|dx| + |dy|), so that steep parts keep their shape.
  const double spacing = 2.0 / (kMaxRocPoints - 2);
  double next = spacing, positive = 0, negative = 0;
  for (std::size_t i = ties.size(); i-- > 1;) {
    positive += ties[i].label_sum;
    negative += ties[i].weight - ties[i].label_sum;
    const RocPoint point{negative / all.negative, positive / all.positive};
    const double along = point.false_positive_rate + point.true_positive_rate;
    if (along < next) continue;
    points.push_back(point);
    next = (std::floor(along / spacing) + 1) * spacing;
  }
  points.push_back({1, 1});
  return points;
}

Bounded CalibrationError(const std::vector<Tie>& ties, std::size_t bins) {
  std::uint64_t count = 0;
  double total = 0;
  for (const Tie& tie : ties) count += tie.rows, total += tie.weight;
  if (count == 0) return {kUndefined, 0};
  double error = 0, divided = 0, gap = 0;
  std::uint64_t before = 0;  // rows of the ties before
  std::size_t bin = 1;       // the bin at hand ends before position bin * count / bins
  for (const Tie& tie : ties) {
    const std::uint64_t end = before + tie.rows;
    std::uint64_t from = before;
    bool cut = false;
    while (from < end) {
      const std::uint64_t to = std::min(end, bin * count / bins);
      const double share = static_cast<double>(to - from) / static_cast<double>(tie.rows);
      gap += share * (tie.weight * tie.prediction - tie.label_sum);
      from = to;
      if (to == bin * count / bins) {
        error += std::abs(gap);
        gap = 0;
        ++bin;
        cut |= to < end;
      }
    }
    if (cut && tie.span()) divided += tie.weight;
    before = end;
  }
  return {error / total, 2 * divided / total};
}

ThresholdMetrics AtThreshold(const std::vector<Tie>& ties, double threshold) {
  const ClassWeights all = ClassesOf(ties);
  double hit = 0, predicted = 0;
  Tie unsure;  // the span that the threshold falls into
  for (const Tie& tie : ties) {
    const bool divided = tie.lowest < threshold && threshold <= tie.highest;
    if (divided) unsure = tie;
    if (divided ? tie.prediction < threshold : tie.lowest < threshold) continue;
    hit += tie.label_sum;
    predicted += tie.weight;
  }
  ThresholdMetrics metrics;
  const double right = hit + all.negative - (predicted - hit);
  metrics.accuracy = Ratio(right, all.positive + all.negative);
  metrics.precision = Ratio(hit, predicted);
  metrics.recall = Ratio(hit, all.positive);
  metrics.f1.value = Ratio(2 * hit, predicted + all.positive);
  if (unsure.weight > 0) {
    const bool in = unsure.prediction >= threshold;
    const double sure_hit = hit - (in ? unsure.label_sum : 0), sure = predicted - (in ? unsure.weight : 0);
    const double negatives = unsure.weight - unsure.label_sum;
    metrics.f1.bound = Ratio(2 * (sure_hit + unsure.label_sum), sure + unsure.label_sum + all.positive) -
                       Ratio(2 * sure_hit, sure + negatives + all.positive);
  }
  return metrics;
}

double BestF1Threshold(const std::vector<Tie>& ties) {
  const ClassWeights all = ClassesOf(ties);
  if (!(all.positive > 0)) return kUndefined;
  double hit = 0, predicted = 0, best = -1, threshold = kUndefined;
  for (std::size_t i = ties.size(); i-- > 0;) {
    hit += ties[i].label_sum;
    predicted += ties[i].weight;
    const double f1 = 2 * hit / (predicted + all.positive);
    if (f1 <= best) continue;
    best = f1;
    threshold = ties[i].lowest;
  }
  return threshold;
}

Bounded Spearman(const ScoreSketch& sketch) {
  const auto& cells = sketch.cells();
  const std::vector<LabelTie> labels = LabelTiesOf(sketch);
  std::vector<RankedTie> by_label, by_prediction;
  for (const LabelTie& tie : labels) by_label.push_back({tie.weight.value(), tie.span()});
  for (const Tie& each : TiesOf(sketch)) by_prediction.push_back({each.weight, each.span()});
  const Ranks x = RanksOf(by_prediction), y = RanksOf(by_label);
  double covariance = 0;
  std::size_t tie = 0;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0 && ScoreSketch::PredictionKey(cells[i]) != ScoreSketch::PredictionKey(cells[i - 1])) ++tie;
    const auto label =
        std::lower_bound(labels.begin(), labels.end(), ScoreSketch::LabelKey(cells[i]),
                         [](const LabelTie& each, std::uint32_t key) { return each.key < key; });
    covariance +=
        cells[i].weight.value() * x.rank[tie] * y.rank[static_cast<std::size_t>(label - labels.begin())];
  }
  const double value = Ratio(covariance, std::sqrt(x.variance) * std::sqrt(y.variance));
  if (std::isnan(value)) return {value, 0};
  const double a = std::sqrt(x.within / x.variance), b = std::sqrt(y.within / y.variance);
  const double bound = a + b + a * b + std::abs(value) * (1 - 1 / std::sqrt((1 + a * a) * (1 + b * b)));
  return {value, std::min(bound, 1 + std::abs(value))};
}

Bounded NormalizedGini(const ScoreSketch& sketch) {
  std::vector<LorenzStep> by_prediction, by_label;
  double label_sum = 0;
  for (const Tie& tie : TiesOf(sketch)) {
    by_prediction.push_back({tie.weight, tie.label_sum, tie.span()});
    label_sum += tie.label_sum;
  }
  for (const LabelTie& tie : LabelTiesOf(sketch)) {
    const double weight = tie.weight.value();
    by_label.push_back({weight, sketch.unit().SumFrom(tie.label, weight), tie.span()});
  }
  if (!(label_sum > 0)) return {kUndefined, 0};
  const Bounded own = Gini(by_prediction), best = Gini(by_label);
  if (!(best.value > 0)) return {kUndefined, 0};
  const double value = own.value / best.value;
  const double least = best.value - best.bound, most = 1 + std::abs(value);
  return {value, least > 0 ? std::min(most, (own.bound + std::abs(value) * best.bound) / least) : most};
}

}  // namespace cohort
