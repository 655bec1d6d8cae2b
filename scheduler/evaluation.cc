#include "scheduler/evaluation.h"

#include <algorithm>
#include <cmath>

#include "scheduler/hazard_metrics.h"

namespace cohort {
namespace {

void Set(const std::string& name, const Bounded& metric, TaskMetrics* metrics) {
  metrics->values[name] = metric.value;
  if (metric.bound > 0 && std::isfinite(metric.value)) metrics->bounds[name] = metric.bound;
}

std::size_t HistogramBin(double score, const ScoreHistogram& histogram) {
  const double width = histogram.high - histogram.low;
  const double place = width > 0 ? (score - histogram.low) * kHistogramBins / width : 0;
  return place > 0 ? static_cast<std::size_t>(std::min(place, kHistogramBins - 1.0)) : 0;  // NaN: 0
}

ScoreHistogram HistogramOf(const std::vector<Tie>& ties, double low, double high) {
  ScoreHistogram histogram{low, high, std::vector<std::uint64_t>(kHistogramBins), {}};
  for (const Tie& tie : ties) histogram.negatives[HistogramBin(tie.prediction, histogram)] += tie.rows;
  return histogram;
}

ScoreHistogram HistogramByLabel(const ScoreSketch& sketch) {
  ScoreHistogram histogram{0, 1, std::vector<std::uint64_t>(kHistogramBins),
                           std::vector<std::uint64_t>(kHistogramBins)};
  for (const ScoreSketch::Cell& cell : sketch.cells()) {
    auto& counts = cell.highest_label > 0.5f ? histogram.positives : histogram.negatives;
    counts[HistogramBin(cell.lowest, histogram)] += cell.rows;
  }
  return histogram;
}

void Bins(const std::vector<Tie>& ties, TaskMetrics* metrics) {
  metrics->deciles = EqualCountBins(ties, kDeciles);
  metrics->calibration = EqualCountBins(ties, kCalibrationBins);
  if (metrics->type == TaskType::kMulticlass) return;
  double weight = 0, label_sum = 0;
  for (const Tie& tie : ties) weight += tie.weight, label_sum += tie.label_sum;
  if (!(label_sum > 0)) return;
  for (const PredictionBin& decile : metrics->deciles)
    metrics->lift.push_back(decile.label / (label_sum / weight));
}

void SetThreshold(const std::vector<Tie>& ties, double threshold, TaskMetrics* metrics) {
  if (!std::isfinite(threshold)) return;
  const ThresholdMetrics at = AtThreshold(ties, threshold);
  metrics->values["best_threshold"] = threshold;
  metrics->values["accuracy_best"] = at.accuracy;
  metrics->values["precision_best"] = at.precision;
  metrics->values["recall_best"] = at.recall;
  Set("f1_best", at.f1, metrics);
}

void EvaluateBinary(const TaskSums& sums, double threshold, TaskMetrics* metrics) {
  auto& values = metrics->values;
  const double total = sums.weight.value(), hit = sums.hit[0].value(), predicted = sums.predicted[0].value(),
               actual = sums.actual[0].value();
  values["logloss"] = Ratio(sums.loss.value(), total);
  values["accuracy"] = Ratio(sums.right.value(), total);
  values["precision"] = Ratio(hit, predicted);
  values["recall"] = Ratio(hit, actual);
  values["f1"] = Ratio(2 * hit, predicted + actual);
  const std::vector<Tie> ties = TiesOf(sums.sketches[0]);
  Set("auc", Auc(ties), metrics);
  RocCurve curve{metrics->name, Roc(ties)};
  if (!curve.points.empty()) metrics->roc.push_back(std::move(curve));
  Set("ece", CalibrationError(ties, kCalibrationBins), metrics);
  SetThreshold(ties, threshold, metrics);
  Bins(ties, metrics);
  metrics->histogram = HistogramByLabel(sums.sketches[0]);
}

void EvaluateMulticlass(const TaskSums& sums, const TaskInfo& task, TaskMetrics* metrics) {
  auto& values = metrics->values;
  double precision = 0, recall = 0, f1 = 0, seen = 0;
  Bounded auc;
  double auc_count = 0;
  for (std::size_t c = 0; c < task.classes.size(); ++c) {
    const double hit = sums.hit[c].value(), predicted = sums.predicted[c].value(),
                 actual = sums.actual[c].value();
    if (predicted + actual > 0) {
      seen += 1;
      precision += predicted > 0 ? hit / predicted : 0;
      recall += actual > 0 ? hit / actual : 0;
      f1 += 2 * hit / (predicted + actual);
    }
    const std::vector<Tie> ties = TiesOf(sums.sketches[c]);
    const Bounded of_class = Auc(ties);
    if (std::isnan(of_class.value)) continue;
    auc.value += of_class.value;
    auc.bound += of_class.bound;
    auc_count += 1;
    metrics->roc.push_back({task.classes[c], Roc(ties)});
  }
  values["logloss"] = Ratio(sums.loss.value(), sums.weight.value());
  values["accuracy"] = Ratio(sums.right.value(), sums.weight.value());
  values["precision"] = Ratio(precision, seen);
  values["recall"] = Ratio(recall, seen);
  values["f1"] = Ratio(f1, seen);
  Set("auc", {Ratio(auc.value, auc_count), auc_count > 0 ? auc.bound / auc_count : 0}, metrics);
  const std::vector<Tie> confidence = TiesOf(sums.sketches.back());
  Set("ece", CalibrationError(confidence, kCalibrationBins), metrics);
  Bins(confidence, metrics);
  metrics->histogram = HistogramOf(confidence, 0, 1);
}

// Mean of |mean prediction - mean label| / mean label over the deciles with a mean label above 0 (Wang, Liu & Miao
// 2019).
double DecileMape(const std::vector<PredictionBin>& deciles) {
  double sum = 0, count = 0;
  for (const PredictionBin& decile : deciles) {
    if (!(decile.label > 0)) continue;
    sum += std::abs(decile.prediction - decile.label) / decile.label;
    count += 1;
  }
  return Ratio(sum, count);
}

void EvaluateReal(const TaskSums& sums, TaskMetrics* metrics) {
  auto& values = metrics->values;
  const ScoreSketch& sketch = sums.sketches[0];
  const double scale = sketch.unit().scale, total = sums.weight.value(), squared = sums.loss.value();
  const std::vector<Tie> ties = TiesOf(sketch);
  FixedSum label, prediction;
  for (const ScoreSketch::Cell& cell : sketch.cells()) label.Add(cell.label), prediction.Add(cell.prediction);
  const double spread = sums.label_squared.value() - label.value() * label.value() / total;  // in scale^2
  const double label_sum = sketch.unit().SumFrom(label, total);
  values["mse"] = Ratio(squared, total) * scale * scale;
  values["mae"] = Ratio(sums.absolute.value(), total) * scale;
  values["r2"] = spread > 1e-12 * sums.label_squared.value() ? 1 - squared / spread : kUndefined;
  values["total_ratio"] = label_sum != 0 ? sketch.unit().SumFrom(prediction, total) / label_sum : kUndefined;
  Set("spearman", Spearman(sketch), metrics);
  Set("gini", NormalizedGini(sketch), metrics);
  Bins(ties, metrics);
  if (metrics->type != TaskType::kRegression) values["decile_mape"] = DecileMape(metrics->deciles);
  if (metrics->type == TaskType::kCount) values["poisson_deviance"] = Ratio(sums.deviance.value(), total);
  // The upper 1 % is drawn in the last bin: a long tail would leave one bar.
  std::uint64_t rows = (sums.rows - 1) * 99 / 100;
  std::size_t last = 0;
  while (last + 1 < ties.size() && rows >= ties[last].rows) rows -= ties[last++].rows;
  metrics->histogram = HistogramOf(ties, ties.front().lowest, ties[last].highest);
}

void EvaluateHazard(const TaskSums& sums, TaskMetrics* metrics) {
  auto& values = metrics->values;
  values["logloss"] = Ratio(sums.loss.value(), sums.weight.value());
  Set("c_index", Concordance(sums), metrics);
  for (std::size_t k = 0; k < sums.at_risk.size(); ++k)
    metrics->periods.push_back({sums.at_risk[k].value(), sums.actual[k].value(), sums.predicted[k].value()});
  const HorizonMetrics horizon = AtHorizon(sums);
  values["brier"] = horizon.brier;
  if (horizon.ties.empty()) return;
  std::uint64_t rows = 0;
  for (const Tie& tie : horizon.ties) rows += tie.rows;
  values["horizon_rows"] = static_cast<double>(rows);
  Set("auc", Auc(horizon.ties), metrics);
  RocCurve curve{metrics->name, Roc(horizon.ties)};
  if (!curve.points.empty()) metrics->roc.push_back(std::move(curve));
  Set("ece", CalibrationError(horizon.ties, kCalibrationBins), metrics);
  Bins(horizon.ties, metrics);
  metrics->histogram = HistogramOf(horizon.ties, 0, 1);
}

void EvaluateGroups(const GroupTotals& totals, const std::vector<std::uint32_t>& top, TaskMetrics* metrics) {
  auto& values = metrics->values;
  metrics->top = top;
  const auto judged = static_cast<double>(totals.groups - totals.one_class);
  values["groups"] = static_cast<double>(totals.groups);
  values["one_class_groups"] = static_cast<double>(totals.one_class);
  if (totals.ungrouped_rows > 0) values["ungrouped_rows"] = static_cast<double>(totals.ungrouped_rows);
  values["gauc"] = Ratio(totals.auc.value(), totals.auc_weight.value());
  values["mrr"] = Ratio(totals.reciprocal_rank.value(), judged);
  for (std::size_t i = 0; i < top.size(); ++i) {
    const std::string at = "@" + std::to_string(top[i]);
    values["hr" + at] = Ratio(totals.hits[i].value(), judged);
    values["ndcg" + at] = Ratio(totals.ndcg[i].value(), judged);
    values["recall" + at] = Ratio(totals.recall[i].value(), judged);
  }
}

bool Judgeable(const TaskSums& sums) {
  return sums.bad_predictions == 0 && sums.bad_labels == 0 && sums.rows > 0;
}

}  // namespace

double TaskMetrics::Value(const std::string& metric) const {
  auto found = values.find(metric);
  return found == values.end() ? kUndefined : found->second;
}

const char* LossMetric(TaskType type) { return PredictsProbability(type) ? "logloss" : "mse"; }

std::vector<double> BestThresholds(const EvaluationSums& sums) {
  std::vector<double> thresholds;
  for (std::size_t j = 0; j < sums.tasks().size(); ++j) {
    const bool binary = sums.tasks()[j].type == TaskType::kBinary && Judgeable(sums.sums(j));
    thresholds.push_back(binary ? BestF1Threshold(TiesOf(sums.sums(j).sketches[0])) : kUndefined);
  }
  return thresholds;
}

std::vector<TaskMetrics> MetricsOf(const EvaluationSums& sums, const std::vector<double>& thresholds) {
  std::vector<TaskMetrics> result;
  const std::vector<GroupTotals> groups = sums.groups().Totals();
  for (std::size_t j = 0; j < sums.tasks().size(); ++j) {
    const TaskInfo& task = sums.tasks()[j];
    const TaskSums& of_task = sums.sums(j);
    TaskMetrics metrics;
    metrics.name = task.name;
    metrics.type = task.type;
    if (of_task.bad_predictions > 0)
      metrics.values["bad_predictions"] = static_cast<double>(of_task.bad_predictions);
    if (of_task.bad_labels > 0) metrics.values["bad_labels"] = static_cast<double>(of_task.bad_labels);
    if (Judgeable(of_task)) {
      switch (task.type) {
        case TaskType::kBinary:
          EvaluateBinary(of_task, j < thresholds.size() ? thresholds[j] : kUndefined, &metrics);
          if (sums.grouped()) EvaluateGroups(groups[sums.GroupTask(j)], sums.groups().top(), &metrics);
          break;
        case TaskType::kMulticlass:
          EvaluateMulticlass(of_task, task, &metrics);
          break;
        case TaskType::kRegression:
        case TaskType::kValue:
        case TaskType::kCount:
          EvaluateReal(of_task, &metrics);
          break;
        case TaskType::kHazard:
          EvaluateHazard(of_task, &metrics);
          break;
      }
    }
    std::erase_if(metrics.values, [](const auto& entry) { return !std::isfinite(entry.second); });
    metrics.values["rows"] = static_cast<double>(of_task.rows);
    result.push_back(std::move(metrics));
  }
  return result;
}

}  // namespace cohort
