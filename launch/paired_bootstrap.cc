#include "launch/paired_bootstrap.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/bootstrap.h"
#include "common/check.h"
#include "common/evaluation_sums.h"
#include "scheduler/evaluation.h"
#include "scheduler/rank_metrics.h"

namespace cohort {
namespace {

constexpr double kLeastProbability = 1e-7;  // docs/metrics.md, logloss

struct MetricName {
  const char* name;
  bool higher_is_better;
};
std::vector<MetricName> MetricsFor(TaskType type) {
  switch (type) {
    case TaskType::kBinary:
      return {{"auc", true}, {"logloss", false}};
    case TaskType::kMulticlass:
      return {{"logloss", false}, {"accuracy", true}};
    case TaskType::kRegression:
      return {{"spearman", true}, {"mae", false}};
    case TaskType::kValue:
      return {{"spearman", true}, {"mae", false}, {"total_ratio", false}, {"decile_mape", false}};
    case TaskType::kCount:
      return {{"spearman", true},     {"mae", false},  {"total_ratio", false},
              {"decile_mape", false}, {"rmse", false}, {"poisson_deviance", false}};
    case TaskType::kHazard:
      return {{"logloss", false}};
  }
  return {};
}

// Labelled rows in an order, and where each run of equal values ends.
struct Order {
  std::vector<std::uint32_t> rows, ends;
};
Order OrderOf(const std::vector<float>& values, const std::vector<std::uint32_t>& labelled) {
  Order order{labelled, {}};
  std::stable_sort(order.rows.begin(), order.rows.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return values[a] < values[b]; });
  for (std::size_t i = 1; i <= order.rows.size(); ++i) {
    if (i == order.rows.size() || values[order.rows[i]] != values[order.rows[i - 1]])
      order.ends.push_back(static_cast<std::uint32_t>(i));
  }
  return order;
}

double Clipped(double probability) {
  return std::clamp(probability, kLeastProbability, 1 - kLeastProbability);
}

// What a row's prediction costs where the metric is a mean over rows.
double LossOf(const TaskInfo& task, const float* prediction, float label) {
  switch (task.type) {
    case TaskType::kBinary:
      return -std::log(Clipped(label > 0.5f ? prediction[0] : 1 - double{prediction[0]}));
    case TaskType::kMulticlass:
      return -std::log(Clipped(prediction[static_cast<std::size_t>(label)]));
    case TaskType::kHazard: {
      const HazardLabel hazard = HazardLabelOf(label);
      const double by_end = prediction[hazard.period - 1];
      if (!hazard.event) return -std::log(Clipped(1 - by_end));
      return -std::log(Clipped(by_end - (hazard.period > 1 ? double{prediction[hazard.period - 2]} : 0)));
    }
    case TaskType::kRegression:
    case TaskType::kValue:
    case TaskType::kCount:
      break;
  }
  return std::abs(double{prediction[0]} - double{label});
}

// One run of one model, made ready for many draws.
class JudgedRun {
 public:
  JudgedRun(const TaskInfo& task, const std::vector<float>& labels,
            const std::vector<std::uint32_t>& labelled, const std::vector<float>& predictions)
      : task_(task), labels_(labels), predictions_(predictions) {
    const std::size_t width = task.PredictionColumns();
    losses_.resize(labels.size());
    for (const std::uint32_t row : labelled) {
      const float* prediction = predictions.data() + row * width;
      losses_[row] = LossOf(task, prediction, labels[row]);
      if (task.type == TaskType::kCount) {
        deviances_.resize(labels.size());
        deviances_[row] = PoissonDeviance(labels[row], *prediction);
      }
      if (task.type == TaskType::kMulticlass) {
        right_.resize(labels.size());
        right_[row] = std::max_element(prediction, prediction + width) - prediction ==
                      static_cast<std::ptrdiff_t>(labels[row]);
      }
    }
    if (width == 1) order_ = OrderOf(predictions, labelled);
  }

  // `times`: how often a row was drawn; `weights`: times the row's weight, both by row; `ranks`: of the labels, centred, with the
  // sum of their weighted squares. Appends the metrics in the order of MetricsFor.
  void Judge(const std::vector<std::uint32_t>& labelled, const std::vector<std::uint32_t>& times,
             const std::vector<double>& weights, const std::vector<double>& label_ranks, double label_squares,
             std::vector<double>* out) {
    double weight = 0, loss = 0;
    for (const std::uint32_t row : labelled) {
      weight += weights[row];
      loss += weights[row] * losses_[row];
    }
    const auto mean = [&](double sum) { return weight > 0 ? sum / weight : kUndefined; };
    switch (task_.type) {
      case TaskType::kBinary:
        FillTies(times, weights);
        out->push_back(Auc(ties_).value);
        out->push_back(mean(loss));
        return;
      case TaskType::kMulticlass: {
        double right = 0;
        for (const std::uint32_t row : labelled) right += weights[row] * right_[row];
        out->push_back(mean(loss));
        out->push_back(mean(right));
        return;
      }
      case TaskType::kHazard:
        out->push_back(mean(loss));
        return;
      case TaskType::kRegression:
      case TaskType::kValue:
      case TaskType::kCount:
        break;
    }
    out->push_back(SpearmanOf(weights, weight, label_ranks, label_squares));
    out->push_back(mean(loss));
    if (task_.type == TaskType::kRegression) return;
    FillTies(times, weights);
    double predicted = 0, actual = 0;
    for (const Tie& tie : ties_) {
      predicted += tie.weight * tie.prediction;
      actual += tie.label_sum;
    }
    out->push_back(actual > 0 ? predicted / actual : kUndefined);
    double error = 0;
    std::size_t bins = 0;
    if (!ties_.empty()) {
      for (const PredictionBin& bin : EqualCountBins(ties_, kDeciles)) {
        if (!(bin.label > 0)) continue;
        error += std::abs(bin.prediction - bin.label) / bin.label;
        ++bins;
      }
    }
    out->push_back(bins > 0 ? error / static_cast<double>(bins) : kUndefined);
    if (task_.type != TaskType::kCount) return;
    double squared = 0, deviance = 0;
    for (const std::uint32_t row : labelled) {
      squared += weights[row] * losses_[row] * losses_[row];
      deviance += weights[row] * deviances_[row];
    }
    out->push_back(std::sqrt(mean(squared)));
    out->push_back(mean(deviance));
  }

 private:
  void FillTies(const std::vector<std::uint32_t>& times, const std::vector<double>& weights) {
    ties_.clear();
    std::uint32_t at = 0;
    for (const std::uint32_t end : order_.ends) {
      const float prediction = predictions_[order_.rows[at]];
      Tie tie{prediction, prediction, 0, 0, prediction, 0};
      for (; at < end; ++at) {
        const std::uint32_t row = order_.rows[at];
        tie.rows += times[row];
        tie.weight += weights[row];
        tie.label_sum += weights[row] * labels_[row];
      }
      if (tie.rows > 0) ties_.push_back(tie);
    }
  }

  double SpearmanOf(const std::vector<double>& weights, double total, const std::vector<double>& label_ranks,
                    double label_squares) const {
    double below = 0, squares = 0, products = 0;
    std::uint32_t at = 0;
    for (const std::uint32_t end : order_.ends) {
      double tie = 0, ranks = 0;
      for (; at < end; ++at) {
        const std::uint32_t row = order_.rows[at];
        tie += weights[row];
        ranks += weights[row] * label_ranks[row];
      }
      const double rank = below + tie / 2 - total / 2;
      squares += tie * rank * rank;
      products += rank * ranks;
      below += tie;
    }
    return squares > 0 && label_squares > 0 ? products / std::sqrt(squares * label_squares) : kUndefined;
  }

  const TaskInfo& task_;
  const std::vector<float>& labels_;
  const std::vector<float>& predictions_;
  std::vector<double> losses_, deviances_;
  std::vector<char> right_;
  Order order_;
  std::vector<Tie> ties_;
};

}  // namespace

Estimate EstimateOf(double value, std::vector<double> draws) {
  Estimate estimate{value, kUndefined, kUndefined, kUndefined, 0};
  std::erase_if(draws, [](double draw) { return std::isnan(draw); });
  if (draws.empty()) return estimate;
  std::sort(draws.begin(), draws.end());
  estimate.low = Percentile(draws, kLowPercentile);
  estimate.high = Percentile(draws, kHighPercentile);
  estimate.defined = draws.size();
  estimate.share_above_0 =
      static_cast<double>(draws.end() - std::upper_bound(draws.begin(), draws.end(), 0.0)) /
      static_cast<double>(draws.size());
  return estimate;
}

bool IsLabelOf(const TaskInfo& task, float label) {
  if (std::isnan(label)) return true;
  switch (task.type) {
    case TaskType::kBinary:
      return label == 0 || label == 1;
    case TaskType::kMulticlass:
      return label >= 0 && label < static_cast<float>(task.classes.size()) && label == std::floor(label);
    case TaskType::kHazard:
      return IsHazardLabel(label, task.periods);
    case TaskType::kCount:
      return std::isfinite(label) && label >= 0;
    case TaskType::kRegression:
    case TaskType::kValue:
      break;
  }
  return std::isfinite(label);
}

std::vector<MetricComparison> CompareModels(const TaskInfo& task, const JudgedRows& rows,
                                            const std::vector<float>& labels,
                                            const std::vector<std::vector<std::vector<float>>>& models,
                                            const BootstrapOptions& options) {
  COHORT_CHECK(rows.users.size() == labels.size());
  std::vector<std::uint32_t> labelled;
  for (std::uint32_t row = 0; row < labels.size(); ++row) {
    if (!std::isnan(labels[row])) labelled.push_back(row);
  }
  std::vector<std::vector<JudgedRun>> runs(models.size());
  for (std::size_t model = 0; model < models.size(); ++model) {
    for (const std::vector<float>& run : models[model]) {
      COHORT_CHECK(run.size() == labels.size() * task.PredictionColumns());
      runs[model].emplace_back(task, labels, labelled, run);
    }
  }
  const std::vector<MetricName> metrics = MetricsFor(task.type);
  const bool ranked = !PredictsProbability(task.type);
  const Order label_order = ranked ? OrderOf(labels, labelled) : Order{};

  // values[metric][model]: first of the rows as they are, then by draw.
  std::vector<std::vector<std::vector<double>>> values(metrics.size(),
                                                       std::vector<std::vector<double>>(models.size()));
  std::vector<std::uint32_t> times(labels.size()), drawn(rows.user_count);
  std::vector<double> weights(labels.size()), label_ranks(labels.size()), judged;
  for (std::uint32_t draw = 0; draw <= options.draws; ++draw) {
    if (draw == 0) {
      std::fill(drawn.begin(), drawn.end(), 1);
    } else {
      drawn = DrawUsers(rows.user_count, options.seed, draw);
    }
    double total = 0;
    for (const std::uint32_t row : labelled) {
      times[row] = drawn[rows.users[row]];
      weights[row] = times[row] * (rows.weights.empty() ? 1.0 : double{rows.weights[row]});
      total += weights[row];
    }
    double below = 0, squares = 0;
    for (std::size_t tie = 0, at = 0; tie < label_order.ends.size(); ++tie) {
      const std::size_t first = at;
      double weight = 0;
      for (; at < label_order.ends[tie]; ++at) weight += weights[label_order.rows[at]];
      const double rank = below + weight / 2 - total / 2;
      for (std::size_t i = first; i < at; ++i) label_ranks[label_order.rows[i]] = rank;
      squares += weight * rank * rank;
      below += weight;
    }
    for (std::size_t model = 0; model < models.size(); ++model) {
      std::vector<double> sums(metrics.size());
      for (JudgedRun& run : runs[model]) {
        judged.clear();
        run.Judge(labelled, times, weights, label_ranks, squares, &judged);
        for (std::size_t i = 0; i < metrics.size(); ++i) sums[i] += judged[i];
      }
      for (std::size_t i = 0; i < metrics.size(); ++i)
        values[i][model].push_back(sums[i] / static_cast<double>(runs[model].size()));
    }
    if (options.progress) options.progress(draw);
  }

  std::vector<MetricComparison> comparisons;
  const auto estimate = [](const std::vector<double>& all) {
    return EstimateOf(all[0], {all.begin() + 1, all.end()});
  };
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    MetricComparison& comparison = comparisons.emplace_back();
    comparison.metric = metrics[i].name;
    comparison.higher_is_better = metrics[i].higher_is_better;
    for (std::size_t a = 0; a < models.size(); ++a) {
      comparison.models.push_back(estimate(values[i][a]));
      for (std::size_t b = a + 1; b < models.size(); ++b) {
        std::vector<double> difference(values[i][a].size());
        for (std::size_t k = 0; k < difference.size(); ++k) difference[k] = values[i][a][k] - values[i][b][k];
        comparison.differences.push_back(estimate(difference));
      }
    }
  }
  return comparisons;
}

}  // namespace cohort
