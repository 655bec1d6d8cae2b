// PrepareReport as text for people and as JSON for programs.
#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "prepare/distinct_sketch.h"
#include "prepare/prepare.h"
#include "prepare/quantile_sketch.h"

namespace cohort {
namespace {

struct FindingWords {
  const char* name;
  const char* text;
};
constexpr FindingWords kWords[kFindingKinds] = {
    {"wrong_cell_count", "a wrong number of cells"},
    {"bad_weight", "a weight that is no number above 0"},
    {"bad_time", "no usable time"},
    {"missing_user", "no user"},
    {"unknown_kind", "a kind of event that [events.kinds] does not name"},
    {"bad_event_time", "no usable time"},
    {"bad_price", "no usable price"},
    {"bad_quantity", "no usable quantity"},
    {"duplicate_event", "equal to another event of the user"},
    {"duplicate_user", "a user who is there already"},
    {"duplicate_item", "an item that is there already"},
    {"missing_item", "an item without an id"},
    {"no_label", "a training row without any label"},
    {"not_a_number", "not a number"},
    {"not_finite", "not finite"},
    {"wrong_length", "a wrong number of numbers"},
    {"label_not_a_number", "not a number"},
    {"label_not_finite", "not finite"},
    {"label_unknown", "not a known label"},
    {"label_negative", "below 0"},
    {"label_bad_period", "no period"},
    {"label_unseen", "seen for no whole period"},
    {"clipped", "limited to the quantiles asked for"},
    {"shortened", "cut to the latest max_length items"},
    {"censored", "seen beyond the last period, censored at its end"},
};

// What a kind of finding did: the section it is reported in.
const char* Section(FindingKind kind) {
  if (IsDroppedRow(kind)) return "dropped";
  if (kind >= FindingKind::kClipped) return "clipped";
  return kind <= FindingKind::kWrongLength ? "defaulted" : "masked";
}

[[gnu::format(printf, 1, 2)]] std::string Format(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

std::string Number(double value) { return Format("%.6g", value); }
std::string Number(std::uint64_t value) { return std::to_string(value); }
std::string Percent(double share) { return Format("%.2f %%", 100 * share); }

// How many bytes of a UTF-8 text are not continuations: its width, nearly.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// A table with aligned columns: the first to the left, the others to the right.
class TextTable {
 public:
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string ToText() const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
      widths.resize(std::max(widths.size(), row.size()));
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
    }
    std::string text;
    for (const auto& row : rows_) {
      std::string line = "  ";
      for (std::size_t i = 0; i < row.size(); ++i) {
        const std::string padding(widths[i] - Width(row[i]), ' ');
        line += (i == 0 ? row[i] + padding : padding + row[i]) + (i + 1 < row.size() ? "  " : "");
      }
      text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

const char* TypeName(const FeatureInfo& feature) {
  if (feature.type == FeatureType::kNumeric) return "numeric";
  if (feature.type == FeatureType::kCategorical) return "categorical";
  if (feature.type == FeatureType::kVector) return "vector";
  if (feature.ngrams > 0) return "text";
  return feature.sequence ? "sequence" : "bag";
}

std::string Rates(const TaskInfo& task) {
  if (task.labelled == 0) return "-";
  switch (task.type) {
    case TaskType::kBinary:
      return Percent(task.mean) + " positive";
    case TaskType::kRegression:
    case TaskType::kCount:
      return "mean " + Number(task.mean) + ", deviation " + Number(task.deviation);
    case TaskType::kValue:
      return "mean " + Number(task.mean) + ", " + Percent(task.positive_share) + " above 0";
    case TaskType::kHazard: {
      double events = 0;
      for (std::size_t k = 0; k < task.periods; ++k) events += task.at_risk[k] * task.hazards[k];
      const double through = task.at_risk.back() * (1 - task.hazards.back());
      return Percent(events) + " with the event, " + Percent(std::max(0.0, 1 - events - through)) +
             " censored before period " + std::to_string(task.periods) + " ended";
    }
    case TaskType::kMulticlass:
      break;
  }
  std::string text;
  constexpr std::size_t kShown = 6;
  for (std::size_t i = 0; i < task.classes.size() && i < kShown; ++i) {
    text += (i == 0 ? "" : ", ") + task.classes[i] + " " + Percent(task.class_rates[i]);
  }
  return text +
         (task.classes.size() > kShown ? ", … (" + std::to_string(task.classes.size()) + " classes)" : "");
}

}  // namespace

const char* FindingName(FindingKind kind) { return kWords[static_cast<std::size_t>(kind)].name; }
const char* FindingText(FindingKind kind) { return kWords[static_cast<std::size_t>(kind)].text; }
bool IsDroppedRow(FindingKind kind) { return kind <= FindingKind::kNoLabel; }

std::uint64_t PrepareReport::Count(FindingKind kind) const {
  std::uint64_t count = 0;
  for (const auto& [key, finding] : findings) count += key.first == kind ? finding.count : 0;
  return count;
}

std::string ToText(const Findings& findings) {
  std::string text;
  for (const auto& [key, finding] : findings) {
    const auto& [kind, name] = key;
    text += std::string(Section(kind)) + ": " + std::to_string(finding.count) +
            (IsDroppedRow(kind) ? " rows: " : " cells of ") + (name.empty() ? "" : "\"" + name + "\": ") +
            FindingText(kind) + "\n";
    for (const std::string& place : finding.places) text += "    " + place + "\n";
  }
  return findings.empty() ? "nothing was dropped, defaulted or masked\n" : text;
}

std::string PrepareReport::ToText() const {
  std::string text = output + ": " + std::to_string(records) + " rows read\n\n";
  TextTable splits;
  splits.Add({"split", "rows", "equal to an earlier row"});
  for (int i = 0; i < kSplitCount; ++i) {
    const auto split = static_cast<std::size_t>(i);
    splits.Add(
        {SplitName(static_cast<Split>(i)), Number(info.rows[split]), Number(duplicates.within[split])});
  }
  text += splits.ToText();
  if (duplicates.across > 0) {
    text += "  " + std::to_string(duplicates.across) + " different rows are in more than one split\n";
  }

  const double train_rows = static_cast<double>(std::max<std::uint64_t>(info.rows[0], 1));
  TextTable features;
  features.Add({"feature", "type", "missing", "distinct ~", "least", "most", "mean", "deviation", "bins"});
  for (const FeatureInfo& feature : info.features) {
    std::vector<std::string> row{
        feature.name, TypeName(feature),
        feature.missing == 0 ? "0" : Percent(static_cast<double>(feature.missing) / train_rows),
        Format("%.0f", feature.distinct)};
    if (feature.type == FeatureType::kNumeric || feature.type == FeatureType::kVector) {
      const bool logarithm = feature.scale == NumericScale::kLog1p;
      for (double value : {feature.minimum, feature.maximum}) row.push_back(Number(value));
      row.push_back(Number(feature.mean) + (logarithm ? " (log1p)" : ""));
      row.push_back(Number(feature.deviation));
      row.push_back(feature.bin_edges.empty() ? "" : std::to_string(feature.bin_edges.size() + 1));
    }
    features.Add(std::move(row));
  }
  text += "\n" + features.ToText() +
          Format(
              "  (training rows; distinct values are estimates, standard error %.1f %%; bins by quantiles "
              "within %.1f %% of "
              "rank)\n\n",
              100 * DistinctSketch::kRelativeError, 100 * QuantileSketch::kRankError);

  TextTable labels;
  labels.Add({"task", "type", "split", "labelled", "labels"});
  for (std::size_t i = 0; i < info.tasks.size(); ++i) {
    for (std::size_t split = 0; split < tasks.size(); ++split) {
      if (info.rows[split] == 0) continue;
      const TaskInfo& task = tasks[split][i];
      labels.Add({task.name, TaskTypeName(task.type), SplitName(static_cast<Split>(split)),
                  Number(task.labelled), Rates(task)});
    }
  }
  text += labels.ToText() + "\n";

  text += cohort::ToText(findings);
  for (const ReportCount& count : counts) text += std::to_string(count.count) + " " + count.text + "\n";
  if (since) {
    text += since->path + ": " + Number(since->logs_as_they_were) + " logs as they were, " +
            Number(since->logs_grown) + " grown, " + Number(since->logs_new) + " new; " +
            Number(since->records_known) + " records known, " + Number(since->records_read) + " read" +
            (since->is_first ? " (there was no such file: it is there for the next time)\n" : "\n");
  }
  for (const std::string& warning : warnings) text += "warning: " + warning + "\n";
  const double megabytes = static_cast<double>(input_bytes) / 1e6;
  return text + Format("%.1f MB in %.2f s (%.0f MB/s, %.2f s of CPU time, %d %s); %.1f MB written\n",
                       megabytes, seconds, megabytes / std::max(seconds, 1e-9), cpu_seconds, passes,
                       passes == 1 ? "pass" : "passes", static_cast<double>(output_bytes) / 1e6);
}

std::string PrepareReport::ToJson() const {
  using Json = nlohmann::json;
  const Json description = Json::parse(cohort::ToJson(info));
  Json json{{"status", "done"},
            {"output", output},
            {"records", records},
            {"rows", description.at("rows")},
            {"features", description.at("features")},
            {"warnings", warnings},
            {"input_bytes", input_bytes},
            {"output_bytes", output_bytes},
            {"passes", passes},
            {"seconds", seconds},
            {"cpu_seconds", cpu_seconds},
            {"distinct_relative_error", DistinctSketch::kRelativeError},
            {"quantile_rank_error", QuantileSketch::kRankError}};
  for (int i = 0; i < kSplitCount; ++i) {
    const auto split = static_cast<std::size_t>(i);
    const char* name = SplitName(static_cast<Split>(i));
    json["duplicates"][name] = duplicates.within[split];
    if (info.rows[split] == 0) continue;
    DatasetInfo labels;
    labels.tasks = tasks[split];
    Json described = Json::parse(cohort::ToJson(labels)).at("tasks");
    for (Json& task : described) {
      const std::string task_name = task.at("name").get<std::string>();
      task.erase("name");
      json["tasks"][task_name][name] = task;
    }
  }
  if (since) {
    json["since"] = {{"file", since->path},
                     {"first", since->is_first},
                     {"logs_as_they_were", since->logs_as_they_were},
                     {"logs_grown", since->logs_grown},
                     {"logs_new", since->logs_new},
                     {"records_known", since->records_known},
                     {"records_read", since->records_read}};
    if (!since->why_anew.empty()) json["since"]["read_anew"] = since->why_anew;
  }
  for (const ReportCount& count : counts) json["counts"][count.name] = count.count;
  json["duplicates"]["across_splits"] = duplicates.across;
  for (const char* section : {"dropped", "defaulted", "masked", "clipped"}) json[section] = Json::object();
  json["places"] = Json::array();
  for (const auto& [key, finding] : findings) {
    const auto& [kind, name] = key;
    if (name.empty()) {
      json[Section(kind)][FindingName(kind)] = finding.count;
    } else {
      json[Section(kind)][name][FindingName(kind)] = finding.count;
    }
    for (const std::string& place : finding.places) json["places"].push_back(place);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cohort
