#include "launch/report/best_reachable.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "common/dataset.h"
#include "common/input_file.h"
#include "launch/report/html.h"
#include "prepare/number.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;
constexpr double kUnknownLoss = std::numeric_limits<double>::quiet_NaN();

std::vector<std::string_view> Cells(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  std::vector<std::string_view> cells;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    cells.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return cells;
}

// Expectations by id: `columns` floats each, in the order of the tasks' prediction columns.
struct Truth {
  std::size_t columns = 0;
  bool by_split = false;                                // a row is of one split: its key is "split/id"
  std::unordered_map<std::string, std::size_t> row_of;  // id -> row
  std::vector<float> values;
};

Result<Truth> ReadTruth(const std::string& path, const DatasetInfo& info) {
  COHORT_RETURN_IF_ERROR(CheckRegularFile(path));
  std::ifstream file(path);
  if (!file)
    return InvalidInput("cannot read the truth " + path +
                        "; give the directory or file that `cohort generate` wrote");
  std::string line;
  std::getline(file, line);
  std::unordered_map<std::string, std::size_t> place;
  const auto header = Cells(line);
  for (std::size_t c = 0; c < header.size(); ++c) place.emplace(header[c], c);
  std::vector<std::size_t> wanted;
  std::vector<std::string> names = {"id"};
  for (const TaskInfo& task : info.tasks) {
    for (std::string& name : task.PredictionNames()) names.push_back(std::move(name));
  }
  for (const std::string& name : names) {
    const auto found = place.find(name);
    if (found == place.end()) {
      return InvalidInput(path + " line 1: no column \"" + name +
                          "\", expected id and the columns of every task of the "
                          "dataset; is it the truth of another dataset?");
    }
    wanted.push_back(found->second);
  }
  Truth truth;
  truth.columns = wanted.size() - 1;
  const auto split = place.find("split");
  truth.by_split = split != place.end();
  for (std::size_t number = 2; std::getline(file, line); ++number) {
    const auto cells = Cells(line);
    if (cells.size() != header.size()) {
      return InvalidInput(
          Format("%s line %zu: %zu cells, expected %zu", path.c_str(), number, cells.size(), header.size()));
    }
    std::string key(cells[wanted[0]]);
    if (truth.by_split) key = std::string(cells[split->second]) + "/" + key;
    truth.row_of.emplace(std::move(key), truth.row_of.size());
    for (std::size_t c = 1; c < wanted.size(); ++c) {
      const std::string_view cell = cells[wanted[c]];
      float value = 0;
      if (ParseNumber(cell, &value) != NumberKind::kNumber) {
        return InvalidInput(Format("%s line %zu, column %s: \"%s\" is not a number", path.c_str(), number,
                                   names[c].c_str(), std::string(cell).c_str()));
      }
      truth.values.push_back(value);
    }
    if (truth.row_of.size() * truth.columns != truth.values.size()) {
      return InvalidInput(
          Format("%s line %zu: this id stands in an earlier line already", path.c_str(), number));
    }
  }
  return truth;
}

std::vector<float> ConstantPrediction(const DatasetInfo& info) {
  std::vector<float> row;
  for (const TaskInfo& task : info.tasks) {
    if (task.type == TaskType::kMulticlass) {
      for (double rate : task.class_rates) row.push_back(static_cast<float>(rate));
    } else if (task.type == TaskType::kHazard) {
      for (double share : EventShares(task.hazards)) row.push_back(static_cast<float>(share));
    } else {
      row.push_back(static_cast<float>(task.mean));
    }
  }
  return row;
}

SplitEvaluation ValuesOnly(const char* split, EvaluationSums* sums) {
  sums->Finish();
  SplitEvaluation result{split, MetricsOf(*sums)};
  for (TaskMetrics& task : result.tasks) {
    task.deciles.clear();
    task.lift.clear();
    task.calibration.clear();
    task.roc.clear();
    task.histogram = {};
    task.periods.clear();
  }
  return result;
}

const TaskMetrics* Find(const std::vector<SplitEvaluation>& splits, const std::string& split,
                        const std::string& task) {
  for (const SplitEvaluation& candidate : splits) {
    if (candidate.split != split) continue;
    for (const TaskMetrics& metrics : candidate.tasks) {
      if (metrics.name == task) return &metrics;
    }
  }
  return nullptr;
}

}  // namespace

Result<BestReachable> ComputeBestReachable(const std::string& dataset, const std::string& truth_path) {
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> reader, DatasetReader::Open(dataset));
  const DatasetInfo& info = reader->info();
  if (!info.has_id)
    return InvalidInput(dataset + " has no ids to find its rows in the truth by; give the schema an [id]");
  const bool directory = std::filesystem::is_directory(truth_path);
  const std::string file =
      directory ? (std::filesystem::path(truth_path) / "expectations.csv").string() : truth_path;
  COHORT_ASSIGN_OR_RETURN(const Truth truth, ReadTruth(file, info));

  BestReachable reachable;
  const std::vector<float> constant_row = ConstantPrediction(info);
  for (Split split : {Split::kValid, Split::kTest}) {
    const std::uint64_t rows = info.rows[static_cast<std::size_t>(split)];
    if (rows == 0) continue;
    EvaluationSums best(info.tasks), constant(info.tasks);
    RowBlock block;
    std::vector<float> best_rows, constant_rows;
    for (std::uint64_t first = 0; first < rows; first += kBlockRows) {
      const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows - first));
      COHORT_RETURN_IF_ERROR(reader->Read(split, first, count, true, &block));
      best_rows.clear();
      constant_rows.clear();
      for (const std::string& id : block.ids) {
        const auto found = truth.row_of.find(truth.by_split ? std::string(SplitName(split)) + "/" + id : id);
        if (found == truth.row_of.end()) {
          return InvalidInput(file + ": no row with the id \"" + id + "\" of " + dataset +
                              "; is it the truth of another dataset?");
        }
        const auto values = truth.values.begin() + static_cast<std::ptrdiff_t>(found->second * truth.columns);
        best_rows.insert(best_rows.end(), values, values + static_cast<std::ptrdiff_t>(truth.columns));
        constant_rows.insert(constant_rows.end(), constant_row.begin(), constant_row.end());
      }
      best.Add(first, best_rows, block.labels, block.weights, {}, count);
      constant.Add(first, constant_rows, block.labels, block.weights, {}, count);
    }
    reachable.best.push_back(ValuesOnly(SplitName(split), &best));
    reachable.constant.push_back(ValuesOnly(SplitName(split), &constant));
  }
  return reachable;
}

std::string ToJson(const BestReachable& reachable) {
  return Json{{"format", 1},
              {"best", Json::parse(EvaluationToJson(reachable.best))},
              {"constant", Json::parse(EvaluationToJson(reachable.constant))}}
             .dump() +
         "\n";
}

Result<BestReachable> BestReachableFromJson(const std::string& text, const std::string& origin) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("best") || !json.contains("constant")) {
    return Error(ErrorCode::kCorrupt,
                 origin + ": not a table of best reachable metrics; remove it, or train again with --truth");
  }
  BestReachable reachable;
  COHORT_ASSIGN_OR_RETURN(reachable.best, EvaluationFromJson(json["best"].dump(), origin));
  COHORT_ASSIGN_OR_RETURN(reachable.constant, EvaluationFromJson(json["constant"].dump(), origin));
  return reachable;
}

std::vector<LossComparison> CompareLosses(const std::vector<SplitEvaluation>& model,
                                          const BestReachable& reachable) {
  std::vector<LossComparison> result;
  for (const SplitEvaluation& split : model) {
    for (const TaskMetrics& metrics : split.tasks) {
      const char* metric = LossMetric(metrics.type);
      const TaskMetrics* best = Find(reachable.best, split.split, metrics.name);
      const TaskMetrics* constant = Find(reachable.constant, split.split, metrics.name);
      result.push_back({metrics.name, split.split, metric, metrics.Value(metric),
                        best ? best->Value(metric) : kUnknownLoss,
                        constant ? constant->Value(metric) : kUnknownLoss});
    }
  }
  return result;
}

std::string MetricsTable(const std::vector<SplitEvaluation>& model, const std::string& split,
                         const BestReachable* reachable) {
  std::size_t width = 8;
  for (const SplitEvaluation& each : model) {
    for (const TaskMetrics& task : each.tasks) width = std::max(width, task.name.size());
  }
  // A dash of more than one byte would push columns of printf aside.
  auto number = [](double value) { return std::isfinite(value) ? FormatMetric(value) : std::string("-"); };
  const int name = static_cast<int>(width);
  std::string text =
      Format("%-*s  %8s  %8s  %9s", name, ("task (" + split + ")").c_str(), "rows", "metric", "model");
  if (reachable) text += Format("  %9s  %9s  %11s", "constant", "best", "gap closed");
  text += "\n";
  for (const SplitEvaluation& each : model) {
    if (each.split != split) continue;
    for (const TaskMetrics& task : each.tasks) {
      const bool classes = PredictsProbability(task.type);
      std::vector<std::string> metrics = {LossMetric(task.type), classes ? "auc" : "spearman"};
      if (task.values.contains("groups")) {
        metrics.push_back("gauc");
        for (const std::uint32_t k : task.top) {
          for (const char* at : {"hr@", "ndcg@"}) metrics.push_back(at + std::to_string(k));
        }
      }
      for (const std::string& metric : metrics) {
        const bool is_loss = metric == LossMetric(task.type);
        text += Format("%-*s  %8s  %8s  %9s", name, is_loss ? task.name.c_str() : "",
                       is_loss ? FormatCount(task.Value("rows")).c_str() : "", metric.c_str(),
                       number(task.Value(metric)).c_str());
        if (reachable) {
          const TaskMetrics* best = Find(reachable->best, split, task.name);
          const TaskMetrics* constant = Find(reachable->constant, split, task.name);
          const LossComparison loss{task.name,
                                    split,
                                    metric,
                                    task.Value(metric),
                                    best ? best->Value(metric) : kUnknownLoss,
                                    constant ? constant->Value(metric) : kUnknownLoss};
          text += Format("  %9s  %9s", number(loss.constant).c_str(), number(loss.best).c_str());
          if (is_loss && std::isfinite(loss.GapClosed()))
            text += Format("  %9.1f %%", 100 * loss.GapClosed());
        }
        text += "\n";
      }
    }
  }
  return text;
}

}  // namespace cohort
