#include "launch/report/page.h"

#include <algorithm>
#include <cmath>

#include "launch/report/chart.h"
#include "launch/report/html.h"

namespace cohort {
namespace {

struct MetricColumn {
  const char* name;
  const char* title;
};
constexpr MetricColumn kClassColumns[] = {{"auc", "AUC"},
                                          {"logloss", "log loss"},
                                          {"accuracy", "accuracy"},
                                          {"precision", "precision"},
                                          {"recall", "recall"},
                                          {"f1", "F1"},
                                          {"ece", "ECE"}};
constexpr MetricColumn kRealColumns[] = {{"mse", "MSE"},   {"mae", "MAE"},
                                         {"r2", "R²"},     {"spearman", "Spearman"},
                                         {"gini", "Gini"}, {"total_ratio", "predicted / actual"},
                                         {"decile_mape", "decile MAPE"},
                                         {"poisson_deviance", "Poisson deviance"}};

constexpr MetricColumn kHazardColumns[] = {
    {"auc", "AUC at the end"}, {"c_index", "c-index"},
    {"logloss", "log loss"},   {"brier", "Brier score at the end"},
    {"ece", "ECE at the end"}, {"horizon_rows", "rows known at the end"}};

bool IsClasses(TaskType type) { return PredictsProbability(type); }

std::string Tile(const std::string& value, const std::string& label) {
  return "<div class=\"tile\"><b>" + EscapeHtml(value) + "</b><span>" + EscapeHtml(label) + "</span></div>\n";
}

constexpr MetricColumn kThresholdColumns[] = {{"best_threshold", "threshold"},
                                              {"accuracy_best", "accuracy"},
                                              {"precision_best", "precision"},
                                              {"recall_best", "recall"},
                                              {"f1_best", "F1"}};

// The split that tells most: test, else valid, else the last.
const SplitEvaluation* JudgedSplit(const RunData& run) {
  const SplitEvaluation* found = nullptr;
  for (const char* name : {"train", "valid", "test"}) {
    for (const SplitEvaluation& split : run.evaluation) found = split.split == name ? &split : found;
  }
  return found;
}

std::string LossTable(const RunData& run, const SplitEvaluation& split) {
  std::string html = "<div class=\"scroll\"><table><thead><tr><th>task</th>";
  if (run.reachable) html += "<th class=\"left\">gap closed</th>";
  html +=
      "<th class=\"left wide\">kind</th><th class=\"wide\">rows</th><th "
      "class=\"left\">loss</th><th>model</th>";
  if (run.reachable) html += "<th>best</th><th>constant</th>";
  html += "<th>AUC / Spearman</th></tr></thead><tbody>\n";
  const auto losses = CompareLosses({split}, run.reachable.value_or(BestReachable{}));
  for (std::size_t t = 0; t < split.tasks.size(); ++t) {
    const TaskMetrics& task = split.tasks[t];
    const LossComparison& loss = losses[t];
    html += "<tr><th>" + EscapeHtml(task.name) + "</th>";
    if (const double gap = loss.GapClosed(); run.reachable && std::isfinite(gap)) {
      html += Format(
          "<td class=\"left\"><span class=\"meter wide\"><i style=\"width:%.1f%%\"></i></span>%.1f %%</td>",
          100 * std::clamp(gap, 0.0, 1.0), 100 * gap);
    } else if (run.reachable) {
      html += "<td class=\"left\">–</td>";
    }
    html += std::string("<td class=\"left wide\">") + TaskTypeName(task.type) + "</td><td class=\"wide\">" +
            FormatCount(task.Value("rows")) + "</td><td class=\"left\">" +
            (IsClasses(task.type) ? "log loss" : "MSE") + "</td><td>" + FormatMetric(loss.model) + "</td>";
    if (run.reachable)
      html += "<td>" + FormatMetric(loss.best) + "</td><td>" + FormatMetric(loss.constant) + "</td>";
    html += "<td>" + FormatMetric(task.Value(IsClasses(task.type) ? "auc" : "spearman")) + "</td></tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

// The tasks that have one of the metrics.
template <typename Columns>
std::string MetricTable(const SplitEvaluation& split, const Columns& columns) {
  std::string rows;
  for (const TaskMetrics& task : split.tasks) {
    if (std::none_of(std::begin(columns), std::end(columns),
                     [&](const MetricColumn& column) { return task.values.contains(column.name); }))
      continue;
    rows += "<tr><th>" + EscapeHtml(task.name) + "</th><td>" + FormatCount(task.Value("rows")) + "</td>";
    for (const MetricColumn& column : columns)
      rows += "<td>" + FormatMetric(task.Value(column.name)) + "</td>";
    rows += "</tr>\n";
  }
  if (rows.empty()) return {};
  std::string html =
      "<div class=\"scroll\"><table><thead><tr><th>" + EscapeHtml(split.split) + "</th><th>rows</th>";
  for (const MetricColumn& column : columns) html += std::string("<th>") + column.title + "</th>";
  return html + "</tr></thead><tbody>\n" + rows + "</tbody></table></div>\n";
}

// How rows are ordered within their groups.
std::string GroupTable(const SplitEvaluation& split) {
  for (const TaskMetrics& task : split.tasks) {
    if (task.top.empty() && !task.values.contains("groups")) continue;
    std::vector<std::string> names;
    for (const std::uint32_t k : task.top) {
      for (const char* name : {"hr@", "ndcg@", "recall@"}) names.push_back(name + std::to_string(k));
    }
    std::vector<MetricColumn> columns = {
        {"groups", "groups"}, {"one_class_groups", "of one class"}, {"gauc", "GAUC"}, {"mrr", "MRR"}};
    for (const std::string& name : names) columns.push_back({name.c_str(), name.c_str()});
    return MetricTable(split, columns);
  }
  return {};
}

// Where an epoch of training begins, the first left out; none when there are too many to be told apart.
std::vector<Rule> EpochRules(const RunData& run) {
  std::vector<Rule> rules;
  double epoch = 0;
  for (const RunSample& sample : run.samples) {
    if (sample.kind != "train" || !(sample.Value("epoch") > epoch)) continue;
    rules.push_back({sample.Value("seconds"), true, ""});
    epoch = sample.Value("epoch");
  }
  if (rules.size() > 20) rules.clear();
  return rules;
}

Chart TrainingChart(const RunData& run, const std::string& task) {
  Chart chart;
  chart.title = task + ", over time";
  chart.description = "training loss over time";
  chart.x.label = "time since the start (s)";
  chart.y.label = "training loss per labelled row";
  chart.rules = EpochRules(run);
  Series series{"", Mark::kLine, {}};
  for (const RunSample& sample : run.samples) {
    const auto found = sample.loss.find(task);
    if (sample.kind == "train" && found != sample.loss.end()) {
      series.points.push_back({sample.Value("seconds"), found->second});
    }
  }
  chart.series = {std::move(series)};
  return chart;
}

// The loss of the valid split after each epoch, above what the best predictor reaches.
Chart ValidChart(const RunData& run, const std::string& task) {
  Chart chart;
  chart.title = task + ", by epoch";
  chart.description = "loss of the valid split after each epoch";
  chart.x = {"epoch", {}, {}, true};
  Series series{"", Mark::kLineAndPoints, {}};
  for (const RunEpoch& epoch : run.epochs) {
    const auto found = epoch.valid.find(task);
    if (found == epoch.valid.end()) continue;
    const bool classes = found->second.contains("logloss");
    const auto value = found->second.find(classes ? "logloss" : "mse");
    chart.y.label = classes ? "log loss, valid split" : "MSE, valid split";
    if (value != found->second.end()) series.points.push_back({epoch.epoch + 1, value->second});
  }
  chart.series = {std::move(series)};
  if (run.reachable) {
    for (const SplitEvaluation& split : run.reachable->best) {
      for (const TaskMetrics& metrics : split.tasks) {
        if (split.split != "valid" || metrics.name != task) continue;
        const double best = metrics.Value(LossMetric(metrics.type));
        if (std::isfinite(best)) chart.rules.push_back({best, false, "best reachable"});
      }
    }
  }
  return chart;
}

Chart RocChart(const TaskMetrics& task) {
  Chart chart;
  chart.title = "ROC, AUC " + FormatMetric(task.Value("auc"));
  chart.description = "true positive rate over false positive rate of " + task.name;
  chart.x = {"false positive rate", 0.0, 1.0};
  chart.y = {"true positive rate", 0.0, 1.0};
  chart.diagonal = true;
  // Told apart are six at most; of more classes the first six are drawn, and said so.
  if (task.roc.size() > 6) chart.title += Format(" (6 of %zu classes)", task.roc.size());
  for (std::size_t i = 0; i < std::min<std::size_t>(task.roc.size(), 6); ++i) {
    Series series{task.roc.size() > 1 ? task.roc[i].name : "", Mark::kLine, {}};
    for (const RocPoint& point : task.roc[i].points) {
      series.points.push_back({point.false_positive_rate, point.true_positive_rate});
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

Chart CalibrationChart(const TaskMetrics& task) {
  const bool classes = IsClasses(task.type);
  Chart chart;
  chart.title = classes ? "Calibration, ECE " + FormatMetric(task.Value("ece")) : "Predicted and actual";
  chart.description = "mean label over mean prediction of " + task.name +
                      " in 15 bins of equal count; on the diagonal "
                      "a prediction means what it says";
  chart.x.label = task.type == TaskType::kMulticlass ? "largest probability"
                  : classes                          ? "predicted probability"
                                                     : "mean prediction";
  chart.y.label = task.type == TaskType::kMulticlass ? "share right"
                  : classes                          ? "observed rate"
                                                     : "mean label";
  if (classes) {
    chart.x.low = chart.y.low = 0;
    chart.x.high = chart.y.high = 1;
  }
  chart.diagonal = true;
  Series series{"", Mark::kPoints, {}};
  for (const PredictionBin& bin : task.calibration) series.points.push_back({bin.prediction, bin.label});
  chart.series.push_back(std::move(series));
  return chart;
}

Chart ScoreChart(const TaskMetrics& task) {
  const ScoreHistogram& histogram = task.histogram;
  Chart chart;
  chart.title = "Scores";
  chart.description = "distribution of the predictions of " + task.name;
  chart.x.label = task.type == TaskType::kMulticlass ? "largest probability"
                  : IsClasses(task.type)             ? "predicted probability"
                                                     : "prediction";
  chart.y.label = "share of rows (%)";
  const auto bins = static_cast<double>(histogram.negatives.size());
  chart.bar_width = histogram.high > histogram.low && bins > 0 ? (histogram.high - histogram.low) / bins : 1;
  auto add = [&](const std::string& name, const std::vector<std::uint64_t>& counts) {
    double total = 0;
    for (std::uint64_t count : counts) total += static_cast<double>(count);
    Series series{name, Mark::kSteps, {}};
    for (std::size_t b = 0; b < counts.size() && total > 0; ++b) {
      series.points.push_back({histogram.low + (static_cast<double>(b) + 0.5) * chart.bar_width,
                               100 * static_cast<double>(counts[b]) / total});
    }
    if (!series.points.empty()) chart.series.push_back(std::move(series));
  };
  const bool by_label = !histogram.positives.empty();
  add(by_label ? "label 0" : "", histogram.negatives);
  if (by_label) add("label 1", histogram.positives);
  if (by_label) chart.y.label = "share of the label's rows (%)";
  return chart;
}

Chart DecileChart(const TaskMetrics& task) {
  Chart chart;
  chart.title = "Deciles";
  chart.description = "mean label and mean prediction of " + task.name + " by decile of the prediction";
  chart.x = {"decile by prediction (10 is the highest)", 0.5, 10.5, true};
  chart.y.label = task.type == TaskType::kMulticlass ? "share right" : IsClasses(task.type) ? "rate" : "mean";
  Series label{"label", Mark::kBars, {}}, prediction{"prediction", Mark::kPoints, {}};
  for (std::size_t d = 0; d < task.deciles.size(); ++d) {
    label.points.push_back({static_cast<double>(d + 1), task.deciles[d].label});
    prediction.points.push_back({static_cast<double>(d + 1), task.deciles[d].prediction});
  }
  chart.series = {std::move(label), std::move(prediction)};
  return chart;
}

// Mean label of each tenth of the rows over that of all: what a campaign to the first tenths gains.
Chart LiftChart(const TaskMetrics& task) {
  Chart chart;
  chart.title = "Lift by decile";
  chart.description = "mean label of each decile of " + task.name + " by prediction, over the mean label of all rows";
  chart.x = {"decile by prediction (10 is the highest)", 0.5, 10.5, true};
  chart.y.label = "lift";
  chart.rules.push_back({1, false, "no lift"});
  Series lift{"", Mark::kBars, {}};
  for (std::size_t d = 0; d < task.lift.size(); ++d)
    lift.points.push_back({static_cast<double>(d + 1), task.lift[d]});
  chart.series.push_back(std::move(lift));
  return chart;
}

// By period, of those at risk in it: the share that had the event, and what was predicted for them.
Chart HazardChart(const TaskMetrics& task) {
  Chart chart;
  chart.title = "Hazard by period";
  chart.description =
      "share of the rows at risk of " + task.name + " with the event, and the mean prediction, by period";
  chart.x = {"period", 0.5, static_cast<double>(task.periods.size()) + 0.5, true};
  chart.y.label = "share of those at risk";
  Series events{"observed", Mark::kBars, {}}, expected{"prediction", Mark::kPoints, {}};
  for (std::size_t k = 0; k < task.periods.size(); ++k) {
    const PeriodMetrics& period = task.periods[k];
    if (!(period.at_risk > 0)) continue;
    events.points.push_back({static_cast<double>(k + 1), period.events / period.at_risk});
    expected.points.push_back({static_cast<double>(k + 1), period.expected / period.at_risk});
  }
  chart.series = {std::move(events), std::move(expected)};
  return chart;
}

// The hazard tasks, whose table has columns of its own, or the others.
SplitEvaluation OfType(const SplitEvaluation& split, bool hazard) {
  SplitEvaluation result{split.split, split.tasks};
  std::erase_if(result.tasks,
                [hazard](const TaskMetrics& task) { return (task.type == TaskType::kHazard) != hazard; });
  return result;
}

}  // namespace

std::string RenderHeadline(const RunData& run) {
  const bool done = run.status == "done";
  std::string html = "<h1>" + EscapeHtml(run.name.empty() ? "run" : run.name) + "<span class=\"status " +
                     (done ? "done" : "failed") + "\">" + EscapeHtml(run.status) + "</span></h1>\n";
  if (!run.reason.empty()) html += "<p>" + EscapeHtml(run.reason) + "</p>\n";
  for (const std::string& warning : run.warnings) html += "<p>Warning: " + EscapeHtml(warning) + "</p>\n";
  if (!run.model_hash.empty())
    html += "<p class=\"soft\">model <code>" + EscapeHtml(run.model_hash) + "</code></p>\n";

  if (!run.stopped.empty()) {
    html +=
        Format(
            "<p>The model is that of epoch %.0f, the best of %zu on the valid split (epochs count from 0): ",
            run.Number("early_stopping.best_epoch"), run.epochs.size()) +
        EscapeHtml(run.stopped) + ".</p>\n";
  }

  html += "<div class=\"tiles\">\n";
  auto tile = [&](double value, std::string (*text)(double), const char* label) {
    if (std::isfinite(value)) html += Tile(text(value), label);
  };
  tile(run.samples_per_second, FormatCount, "samples per second");
  tile(run.seconds, FormatSeconds, "wall time");
  tile(run.steps, FormatCount, "steps");
  double peak = 0;
  for (const auto& [name, value] : run.numbers) {
    if (name.rfind("peak_memory_bytes", 0) == 0) peak = std::max(peak, value);
  }
  if (peak > 0) tile(peak, FormatBytes, "peak memory of a process");
  tile(run.Number("traffic_bytes"), FormatBytes, "sent over the network");
  tile(run.Number("pushes.acknowledged"), FormatCount, "push parts acknowledged");
  tile(run.Number("pushes.lost"), FormatCount, "acknowledged and lost");
  tile(run.Number("pushes.rolled_back"), FormatCount, "rolled back");
  html += "</div>\n";

  const SplitEvaluation* split = JudgedSplit(run);
  if (!split) return html + "<p class=\"soft\">The run holds no evaluation.</p>\n";
  html += "<h2>What it learned (" + EscapeHtml(split->split) + " split)</h2>\n<p class=\"soft\">";
  html += run.reachable ? "The constant predictor says the training mean, the best one the true expectation "
                          "of every row; the "
                          "gap is what can be learned."
                        : "The loss that each task is trained for, and how well it orders the rows.";
  return html + "</p>\n" + LossTable(run, *split);
}

std::string RenderMetrics(const RunData& run) {
  if (run.evaluation.empty()) return {};
  std::string html =
      "<h2>Metrics</h2>\n<p class=\"soft\">Rows are labelled rows; a dash is a metric that is not defined "
      "for "
      "these rows.</p>\n";
  for (const SplitEvaluation& split : run.evaluation) {
    html += MetricTable(OfType(split, false), kClassColumns) + MetricTable(split, kRealColumns) +
            MetricTable(OfType(split, true), kHazardColumns);
    if (const std::string table = MetricTable(split, kThresholdColumns); !table.empty())
      html += "<p class=\"soft\">At the threshold of the best F1 on the valid split:</p>\n" + table;
    if (const std::string table = GroupTable(split); !table.empty())
      html += "<p class=\"soft\">Within groups:</p>\n" + table;
  }
  for (const SplitEvaluation& split : run.evaluation) {
    for (const TaskMetrics& task : split.tasks) {
      for (const auto& [metric, bound] : task.bounds) {
        html += "<p class=\"soft\">" + EscapeHtml(split.split + ", " + task.name + ": " + metric) +
                Format(" is within %.1e of its exact value.</p>\n", bound);
      }
    }
  }
  return html;
}

std::string RenderLosses(const RunData& run) {
  std::vector<std::string> tasks;
  auto add_names = [&](const std::map<std::string, double>& values) {
    for (const auto& entry : values) {
      if (std::find(tasks.begin(), tasks.end(), entry.first) == tasks.end()) tasks.push_back(entry.first);
    }
  };
  for (const RunSample& sample : run.samples) add_names(sample.loss);
  for (const RunEpoch& epoch : run.epochs) add_names(epoch.loss);
  if (tasks.empty()) return {};
  std::string html = "<h2>Loss while training</h2>\n<p class=\"soft\">";
  if (!run.samples.empty()) {
    html += "Over time: the mean training loss of each task since the sample before, a sample per second";
    html += EpochRules(run).empty() ? ". " : "; dashed lines are new epochs. ";
  }
  if (!run.epochs.empty()) html += "By epoch: the loss of the valid split after it.";
  html += "</p>\n<div class=\"charts\">\n";
  for (const std::string& task : tasks) {
    if (!run.samples.empty()) html += RenderChart(TrainingChart(run, task));
    const Chart valid = ValidChart(run, task);
    if (!valid.series[0].points.empty()) html += RenderChart(valid);
  }
  return html + "</div>\n";
}

std::string RenderTasks(const RunData& run) {
  const SplitEvaluation* split = JudgedSplit(run);
  if (!split) return {};
  std::string html = "<h2>Task by task (" + EscapeHtml(split->split) + " split)</h2>\n";
  for (const TaskMetrics& task : split->tasks) {
    html += "<h3>" + EscapeHtml(task.name) + " <span class=\"soft\">" + TaskTypeName(task.type) + ", " +
            FormatCount(task.Value("rows")) + " rows</span></h3>\n<div class=\"charts\">\n";
    if (IsClasses(task.type)) html += RenderChart(RocChart(task));
    html +=
        RenderChart(CalibrationChart(task)) + RenderChart(ScoreChart(task)) + RenderChart(DecileChart(task));
    if (!task.lift.empty()) html += RenderChart(LiftChart(task));
    if (!task.periods.empty()) html += RenderChart(HazardChart(task));
    html += "</div>\n";
  }
  return html;
}

std::string HtmlPage(const std::string& title, const std::string& main) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>" +
         EscapeHtml(title) + "</title>\n<style>" + StyleSheet() + "</style></head>\n<body><main>\n" + main +
         "</main></body></html>\n";
}

std::string RenderPage(const RunData& run) {
  return HtmlPage("Cohort run " + run.name, RenderHeadline(run) + RenderLosses(run) + RenderTasks(run) +
                                                RenderMetrics(run) + RenderSystem(run));
}

}  // namespace cohort
