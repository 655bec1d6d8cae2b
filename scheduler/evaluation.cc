#include "scheduler/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/check.h"

namespace cohort {
namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr double kProbabilityFloor = 1e-7;

double Ratio(double a, double b) { return b > 0 ? a / b : kUndefined; }

// Row numbers ascending by score; equal scores keep the order of rows.
std::vector<std::uint32_t> OrderBy(std::span<const float> scores) {
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return scores[a] < scores[b] || (scores[a] == scores[b] && a < b);
  });
  return order;
}

// The end of the run of equal scores that begins at position `begin` of `order`.
std::size_t TieEnd(std::span<const float> scores, const std::vector<std::uint32_t>& order,
                   std::size_t begin) {
  std::size_t end = begin + 1;
  while (end < order.size() && scores[order[end]] == scores[order[begin]]) ++end;
  return end;
}

// The labelled rows of one task.
struct Rows {
  std::span<const float> predictions;  // rows x columns
  std::span<const float> labels;
  std::span<const float> weights;  // empty: 1
  std::size_t columns = 1;

  std::size_t count() const { return labels.size(); }
  double Weight(std::size_t row) const { return weights.empty() ? 1.0 : weights[row]; }
  double Prediction(std::size_t row, std::size_t column = 0) const {
    return predictions[row * columns + column];
  }
};

// AUC and ROC of `scores` for the event positive[row].
double RocOf(const Rows& rows, std::span<const float> scores, const std::vector<std::uint32_t>& order,
             const std::vector<char>& positive, std::vector<RocPoint>* points) {
  double positives = 0, negatives = 0;
  for (std::size_t i = 0; i < rows.count(); ++i) (positive[i] ? positives : negatives) += rows.Weight(i);
  if (!(positives > 0) || !(negatives > 0)) return kUndefined;
  // From the highest score down, a tie at a time: area under the chords.
  double area = 0, true_seen = 0, false_seen = 0;
  std::vector<RocPoint> all = {{0, 0}};
  std::size_t end = order.size();
  while (end > 0) {
    std::size_t begin = end - 1;
    while (begin > 0 && scores[order[begin - 1]] == scores[order[end - 1]]) --begin;
    double tie_true = 0, tie_false = 0;
    for (std::size_t i = begin; i < end; ++i)
      (positive[order[i]] ? tie_true : tie_false) += rows.Weight(order[i]);
    area += tie_false * (true_seen + 0.5 * tie_true);
    true_seen += tie_true;
    false_seen += tie_false;
    all.push_back({false_seen / negatives, true_seen / positives});
    end = begin;
  }
  // Thinned to points spread evenly along the curve (|dx| + |dy|), so that steep parts keep their shape.
  const double spacing = 2.0 / (kMaxRocPoints - 2);
  double next = spacing;
  points->push_back(all.front());
  for (std::size_t i = 1; i + 1 < all.size(); ++i) {
    double along = all[i].false_positive_rate + all[i].true_positive_rate;
    if (along < next) continue;
    points->push_back(all[i]);
    next = (std::floor(along / spacing) + 1) * spacing;
  }
  points->push_back({1, 1});
  return area / (positives * negatives);
}

// Bins of equal count over `order`: bin b holds positions [b * n / bins, (b + 1) * n / bins).
std::vector<PredictionBin> EqualCountBins(const Rows& rows, std::span<const float> scores,
                                          const std::vector<std::uint32_t>& order,
                                          std::span<const float> outcomes, std::size_t bins,
                                          std::vector<double>* bin_weights) {
  std::vector<PredictionBin> result;
  const std::size_t count = order.size();
  for (std::size_t b = 0; b < bins; ++b) {
    const std::size_t begin = b * count / bins, end = (b + 1) * count / bins;
    if (begin == end) continue;
    double weight = 0, prediction = 0, label = 0;
    for (std::size_t i = begin; i < end; ++i) {
      const double w = rows.Weight(order[i]);
      weight += w;
      prediction += w * scores[order[i]];
      label += w * outcomes[order[i]];
    }
    if (!(weight > 0)) continue;
    result.push_back(
        {end - begin, prediction / weight, label / weight, scores[order[begin]], scores[order[end - 1]]});
    if (bin_weights) bin_weights->push_back(weight);
  }
  return result;
}

// Deciles, calibration bins and, for probabilities, the calibration error.
void Bins(const Rows& rows, std::span<const float> scores, const std::vector<std::uint32_t>& order,
          std::span<const float> outcomes, bool with_ece, TaskMetrics* metrics) {
  metrics->deciles = EqualCountBins(rows, scores, order, outcomes, kDeciles, nullptr);
  std::vector<double> weights;
  metrics->calibration = EqualCountBins(rows, scores, order, outcomes, kCalibrationBins, &weights);
  if (!with_ece) return;
  double error = 0, total = 0;
  for (std::size_t b = 0; b < weights.size(); ++b) {
    error += weights[b] * std::abs(metrics->calibration[b].prediction - metrics->calibration[b].label);
    total += weights[b];
  }
  metrics->values["ece"] = Ratio(error, total);
}

ScoreHistogram HistogramOf(std::span<const float> scores, double low, double high,
                           const std::vector<char>* positive) {
  ScoreHistogram histogram{low, high, std::vector<std::uint64_t>(kHistogramBins), {}};
  if (positive) histogram.positives.resize(kHistogramBins);
  const double scale = high > low ? kHistogramBins / (high - low) : 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double place = std::clamp((scores[i] - low) * scale, 0.0, kHistogramBins - 1.0);
    auto& counts = positive && (*positive)[i] ? histogram.positives : histogram.negatives;
    ++counts[static_cast<std::size_t>(place)];
  }
  return histogram;
}

void EvaluateBinary(const Rows& rows, TaskMetrics* metrics) {
  auto& values = metrics->values;
  const auto scores = rows.predictions;
  std::vector<char> positive(rows.count());
  double loss = 0, total = 0, right = 0, true_positive = 0, predicted = 0, actual = 0;
  for (std::size_t i = 0; i < rows.count(); ++i) {
    const double w = rows.Weight(i),
                 p = std::clamp<double>(scores[i], kProbabilityFloor, 1 - kProbabilityFloor);
    const bool label = rows.labels[i] > 0.5f, guess = scores[i] >= 0.5f;
    positive[i] = label;
    loss -= w * std::log(label ? p : 1 - p);
    total += w;
    right += label == guess ? w : 0;
    true_positive += label && guess ? w : 0;
    predicted += guess ? w : 0;
    actual += label ? w : 0;
  }
  values["logloss"] = Ratio(loss, total);
  values["accuracy"] = Ratio(right, total);
  values["precision"] = Ratio(true_positive, predicted);
  values["recall"] = Ratio(true_positive, actual);
  values["f1"] = Ratio(2 * true_positive, predicted + actual);
  const auto order = OrderBy(scores);
  RocCurve curve{metrics->name, {}};
  values["auc"] = RocOf(rows, scores, order, positive, &curve.points);
  if (!curve.points.empty()) metrics->roc.push_back(std::move(curve));
  Bins(rows, scores, order, rows.labels, true, metrics);
  metrics->histogram = HistogramOf(scores, 0, 1, &positive);
}

void EvaluateMulticlass(const Rows& rows, const TaskInfo& task, TaskMetrics* metrics) {
  auto& values = metrics->values;
  const std::size_t classes = rows.columns;
  std::vector<double> hit(classes), predicted(classes), actual(classes);
  std::vector<float> confidence(rows.count()), correct(rows.count());
  double loss = 0, total = 0, right = 0;
  for (std::size_t i = 0; i < rows.count(); ++i) {
    const double w = rows.Weight(i);
    const auto label = static_cast<std::size_t>(rows.labels[i]);
    std::size_t guess = 0;
    for (std::size_t c = 1; c < classes; ++c)
      guess = rows.Prediction(i, c) > rows.Prediction(i, guess) ? c : guess;
    loss -=
        w * std::log(std::clamp<double>(rows.Prediction(i, label), kProbabilityFloor, 1 - kProbabilityFloor));
    total += w;
    right += label == guess ? w : 0;
    hit[label] += label == guess ? w : 0;
    predicted[guess] += w;
    actual[label] += w;
    confidence[i] = rows.predictions[i * classes + guess];
    correct[i] = label == guess ? 1.0f : 0.0f;
  }
  double precision = 0, recall = 0, f1 = 0, seen = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    if (!(predicted[c] + actual[c] > 0)) continue;
    seen += 1;
    precision += predicted[c] > 0 ? hit[c] / predicted[c] : 0;
    recall += actual[c] > 0 ? hit[c] / actual[c] : 0;
    f1 += 2 * hit[c] / (predicted[c] + actual[c]);
  }
  values["logloss"] = Ratio(loss, total);
  values["accuracy"] = Ratio(right, total);
  values["precision"] = Ratio(precision, seen);
  values["recall"] = Ratio(recall, seen);
  values["f1"] = Ratio(f1, seen);

  double auc_sum = 0, auc_count = 0;
  std::vector<float> scores(rows.count());
  std::vector<char> positive(rows.count());
  for (std::size_t c = 0; c < classes; ++c) {
    for (std::size_t i = 0; i < rows.count(); ++i) {
      scores[i] = rows.predictions[i * classes + c];
      positive[i] = rows.labels[i] == static_cast<float>(c);
    }
    RocCurve curve{task.classes[c], {}};
    const double auc = RocOf(rows, scores, OrderBy(scores), positive, &curve.points);
    if (std::isnan(auc)) continue;
    auc_sum += auc;
    auc_count += 1;
    metrics->roc.push_back(std::move(curve));
  }
  values["auc"] = Ratio(auc_sum, auc_count);
  Bins(rows, confidence, OrderBy(confidence), correct, true, metrics);
  metrics->histogram = HistogramOf(confidence, 0, 1, nullptr);
}

// Tie-averaged ranks by weight: the weight below, plus half the tie's own. With weights of 1 these are the
// usual mid-ranks, less 1/2 (which no correlation sees).
std::vector<double> MidRanks(const Rows& rows, std::span<const float> scores,
                             const std::vector<std::uint32_t>& order) {
  std::vector<double> ranks(order.size());
  double below = 0;
  for (std::size_t begin = 0; begin < order.size();) {
    const std::size_t end = TieEnd(scores, order, begin);
    double tie = 0;
    for (std::size_t i = begin; i < end; ++i) tie += rows.Weight(order[i]);
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = below + tie / 2;
    below += tie;
    begin = end;
  }
  return ranks;
}

double Correlation(const Rows& rows, const std::vector<double>& x, const std::vector<double>& y) {
  double total = 0, mean_x = 0, mean_y = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    total += rows.Weight(i);
    mean_x += rows.Weight(i) * x[i];
    mean_y += rows.Weight(i) * y[i];
  }
  mean_x /= total;
  mean_y /= total;
  double xx = 0, yy = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double w = rows.Weight(i), dx = x[i] - mean_x, dy = y[i] - mean_y;
    xx += w * dx * dx;
    yy += w * dy * dy;
    xy += w * dx * dy;
  }
  return Ratio(xy, std::sqrt(xx) * std::sqrt(yy));
}

// 1 - 2 * area under the Lorenz curve of the labels in ascending order of `scores`; a tie is one chord.
double Gini(const Rows& rows, std::span<const float> scores, const std::vector<std::uint32_t>& order,
            double weight, double label_sum) {
  double area = 0, share = 0;
  for (std::size_t begin = 0; begin < order.size();) {
    const std::size_t end = TieEnd(scores, order, begin);
    double tie_weight = 0, tie_label = 0;
    for (std::size_t i = begin; i < end; ++i) {
      tie_weight += rows.Weight(order[i]);
      tie_label += rows.Weight(order[i]) * rows.labels[order[i]];
    }
    const double step = tie_label / label_sum;
    area += tie_weight / weight * (share + step / 2);
    share += step;
    begin = end;
  }
  return 1 - 2 * area;
}

void EvaluateReal(const Rows& rows, TaskMetrics* metrics) {
  auto& values = metrics->values;
  const auto scores = rows.predictions;
  double total = 0, squared = 0, absolute = 0, prediction_sum = 0, label_sum = 0;
  for (std::size_t i = 0; i < rows.count(); ++i) {
    const double w = rows.Weight(i), error = static_cast<double>(scores[i]) - rows.labels[i];
    total += w;
    squared += w * error * error;
    absolute += w * std::abs(error);
    prediction_sum += w * scores[i];
    label_sum += w * rows.labels[i];
  }
  const double mean = label_sum / total;
  double spread = 0;
  for (std::size_t i = 0; i < rows.count(); ++i) {
    spread += rows.Weight(i) * (rows.labels[i] - mean) * (rows.labels[i] - mean);
  }
  values["mse"] = Ratio(squared, total);
  values["mae"] = Ratio(absolute, total);
  values["r2"] = spread > 0 ? 1 - squared / spread : kUndefined;
  values["total_ratio"] = label_sum != 0 ? prediction_sum / label_sum : kUndefined;

  const auto by_score = OrderBy(scores), by_label = OrderBy(rows.labels);
  values["spearman"] =
      Correlation(rows, MidRanks(rows, scores, by_score), MidRanks(rows, rows.labels, by_label));
  if (label_sum > 0) {
    const double best = Gini(rows, rows.labels, by_label, total, label_sum);
    values["gini"] = best > 0 ? Gini(rows, scores, by_score, total, label_sum) / best : kUndefined;
  }
  Bins(rows, scores, by_score, rows.labels, false, metrics);
  // The upper 1 % is drawn in the last bin: a long tail would leave one bar.
  const double low = scores[by_score.front()], high = scores[by_score[(by_score.size() - 1) * 99 / 100]];
  metrics->histogram = HistogramOf(scores, low, high, nullptr);
}

}  // namespace

double TaskMetrics::Value(const std::string& metric) const {
  auto found = values.find(metric);
  return found == values.end() ? kUndefined : found->second;
}

const char* LossMetric(TaskType type) {
  return type == TaskType::kBinary || type == TaskType::kMulticlass ? "logloss" : "mse";
}

Evaluation::Evaluation(std::vector<TaskInfo> tasks) : tasks_(std::move(tasks)), rows_(tasks_.size()) {
  for (const TaskInfo& task : tasks_) columns_ += task.PredictionColumns();
}

void Evaluation::Add(std::span<const float> predictions, std::span<const float> labels,
                     std::span<const float> weights, std::size_t rows) {
  COHORT_CHECK(predictions.size() == rows * columns_ && labels.size() == rows * tasks_.size(),
               "%zu predictions, %zu labels for %zu rows", predictions.size(), labels.size(), rows);
  COHORT_CHECK(weights.empty() || weights.size() == rows, "%zu weights for %zu rows", weights.size(), rows);
  std::size_t first = 0;
  for (std::size_t j = 0; j < tasks_.size(); ++j) {
    TaskRows& kept = rows_[j];
    const std::size_t columns = tasks_[j].PredictionColumns();
    for (std::size_t i = 0; i < rows; ++i) {
      const float label = labels[i * tasks_.size() + j];
      if (std::isnan(label)) continue;
      const float weight = weights.empty() ? 1.0f : weights[i];
      if (weight != 1.0f && kept.weights.empty()) kept.weights.assign(kept.labels.size(), 1.0f);
      const auto values = predictions.subspan(i * columns_ + first, columns);
      kept.predictions.insert(kept.predictions.end(), values.begin(), values.end());
      kept.labels.push_back(label);
      if (weight != 1.0f || !kept.weights.empty()) kept.weights.push_back(weight);
    }
    first += columns;
  }
}

std::vector<TaskMetrics> Evaluation::Finish() const {
  std::vector<TaskMetrics> result;
  for (std::size_t j = 0; j < tasks_.size(); ++j) {
    TaskMetrics metrics;
    metrics.name = tasks_[j].name;
    metrics.type = tasks_[j].type;
    const Rows rows{rows_[j].predictions, rows_[j].labels, rows_[j].weights, tasks_[j].PredictionColumns()};
    const auto bad_predictions = std::count_if(rows.predictions.begin(), rows.predictions.end(),
                                               [](float p) { return !std::isfinite(p); });
    const auto bad_labels = std::count_if(rows.labels.begin(), rows.labels.end(), [&](float label) {
      return std::isinf(label) ||
             (metrics.type == TaskType::kMulticlass &&
              !(label >= 0 && label < static_cast<float>(rows.columns) && label == std::floor(label)));
    });
    if (bad_predictions > 0 || bad_labels > 0) {
      if (bad_predictions > 0) metrics.values["bad_predictions"] = static_cast<double>(bad_predictions);
      if (bad_labels > 0) metrics.values["bad_labels"] = static_cast<double>(bad_labels);
    } else if (rows.count() > 0) {
      switch (tasks_[j].type) {
        case TaskType::kBinary:
          EvaluateBinary(rows, &metrics);
          break;
        case TaskType::kMulticlass:
          EvaluateMulticlass(rows, tasks_[j], &metrics);
          break;
        case TaskType::kRegression:
        case TaskType::kValue:
          EvaluateReal(rows, &metrics);
          break;
      }
    }
    std::erase_if(metrics.values, [](const auto& entry) { return !std::isfinite(entry.second); });
    metrics.values["rows"] = static_cast<double>(rows.count());
    result.push_back(std::move(metrics));
  }
  return result;
}

}  // namespace cohort
