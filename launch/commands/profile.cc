// cohort profile: what is known and expected of every user, in one line each (lifecycle/user_profile.h, calibration.h).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "common/atomic_file.h"
#include "common/cbor.h"
#include "common/csv_cell.h"
#include "common/nearest.h"
#include "common/random.h"
#include "launch/commands/commands.h"
#include "launch/commands/number_range.h"
#include "launch/commands/partition_options.h"
#include "launch/report/html.h"
#include "launch/report/profile_page.h"
#include "launch/run_plan.h"
#include "launch/score_file.h"
#include "launch/split_rows.h"
#include "lifecycle/actions.h"
#include "lifecycle/calibration.h"
#include "lifecycle/user_profile.h"
#include "prepare/csv_file.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

struct ProfileOptions {
  std::string data, out, split = "test", scores, judged, tier_by, former, report, reasons, lists, actions;
  std::vector<std::string> by, tiers, groups, shown;
  std::uint32_t segments = 6;
  int loyal_orders = LifeStageRule::kLoyalOrders;
  double hysteresis = 0.1;
  std::uint64_t seed = 1;
  PartitionOptions partitions;
};

std::string NumberText(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

struct NumericColumn {
  std::size_t feature = 0, column = 0;
};
std::vector<NumericColumn> NumericColumns(const DatasetInfo& info) {
  std::vector<NumericColumn> columns;
  for (std::size_t i = 0; i < info.features.size(); ++i) {
    if (info.features[i].type == FeatureType::kNumeric) columns.push_back({i, info.ColumnOf(i)});
  }
  return columns;
}

// A column of the predictions, with what it has meant on the judged split.
struct Prediction {
  std::string name;
  std::size_t task = 0, column = 0, width = 1;
  std::optional<Calibration> calibration;
};

// What is written of all users, read or fitted before any line is.
struct Profiler {
  Split split = Split::kTest;
  std::vector<NumericColumn> numerics;
  // Columns of `rows`: of the segments' features; then, if there is one, the tier's.
  std::vector<std::size_t> by;
  std::vector<std::size_t> group_columns;
  DatasetNames names;
  SplitRows rows;
  std::optional<LifeStageRule> stages;
  std::optional<UserSegmentation> segmentation;
  std::optional<LoyaltyTiers> tiers;
  std::ptrdiff_t tier_prediction = -1, tier_column = -1, churn_prediction = -1;
  UserTable former;
  ScoreFile scores;
  std::vector<Prediction> predictions;
  SplitRows judged;  // the valid split, where predictions are calibrated; beside it (rows, predictions):
  std::vector<float> judged_predictions, judged_labels;
  // By user, when they are written.
  std::vector<std::size_t> stage_of;
  std::vector<std::string> tier_of;

  static CalibratedPrediction Calibrated(const Prediction& of, float raw) {
    return of.calibration ? of.calibration->Of(raw) : CalibratedPrediction{raw, raw, raw};
  }
  CalibratedPrediction Predicted(const Prediction& of, std::size_t row) const {
    return Calibrated(of, scores.predictions[of.task][row * of.width + of.column]);
  }
  double Churn(std::size_t row) const {
    if (churn_prediction < 0) return std::nan("");
    return Predicted(predictions[static_cast<std::size_t>(churn_prediction)], row).value;
  }
  double TierValue(std::size_t row) const {
    if (tier_prediction >= 0)
      return Predicted(predictions[static_cast<std::size_t>(tier_prediction)], row).value;
    return rows.values[row * by.size() + static_cast<std::size_t>(tier_column)];
  }
};

// The scores of the split, and how the scores of the valid split have turned out.
Status ReadPredictions(DatasetReader& data, const ProfileOptions& options, Profiler* profiler,
                       std::vector<std::string>* warnings) {
  const std::vector<TaskInfo>& tasks = data.info().tasks;
  COHORT_ASSIGN_OR_RETURN(profiler->scores, ReadScoreFile(options.scores, tasks));
  COHORT_RETURN_IF_ERROR(
      CheckScoredRows(options.scores, profiler->scores, profiler->rows.ids, options.split));
  for (std::size_t task = 0; task < tasks.size(); ++task) {
    if (profiler->scores.predictions[task].empty()) continue;
    const std::vector<std::string> names = tasks[task].PredictionNames();
    for (std::size_t column = 0; column < names.size(); ++column) {
      // Of a hazard: within the first period.
      if (tasks[task].name == "churn" && column == 0 && PredictsProbability(tasks[task].type))
        profiler->churn_prediction = static_cast<std::ptrdiff_t>(profiler->predictions.size());
      profiler->predictions.push_back({names[column], task, column, names.size(), std::nullopt});
    }
  }
  if (profiler->predictions.empty())
    return Refused(options.scores + ": no column of a task of " + options.data);
  if (options.judged.empty()) return {};
  COHORT_ASSIGN_OR_RETURN(profiler->judged, ReadSplitRows(data, Split::kValid, {}, profiler->group_columns));
  const SplitRows& valid = profiler->judged;
  const std::size_t width = profiler->predictions.size();
  profiler->judged_predictions.resize(valid.ids.size() * width);
  profiler->judged_labels.resize(valid.ids.size() * width);
  COHORT_ASSIGN_OR_RETURN(const ScoreFile judged, ReadScoreFile(options.judged, tasks));
  COHORT_RETURN_IF_ERROR(CheckScoredRows(options.judged, judged, valid.ids, "valid"));
  for (Prediction& prediction : profiler->predictions) {
    const TaskInfo& task = tasks[prediction.task];
    const std::vector<float>& raw = judged.predictions[prediction.task];
    if (raw.empty()) return Refused(options.judged + ": no column \"" + prediction.name + "\"");
    std::vector<float> predicted, labels;
    for (std::size_t row = 0; row < valid.ids.size(); ++row) {
      const float label = valid.labels[row * tasks.size() + prediction.task];
      predicted.push_back(raw[row * prediction.width + prediction.column]);
      if (std::isnan(label) || task.type == TaskType::kBinary || !PredictsProbability(task.type)) {
        labels.push_back(label);
      } else if (task.type == TaskType::kMulticlass) {
        labels.push_back(label == static_cast<float>(prediction.column) ? 1.0f : 0.0f);
      } else {  // hazard: by the end of the period; not known of those who were censored before
        const HazardLabel hazard = HazardLabelOf(label);
        const std::uint32_t period = static_cast<std::uint32_t>(prediction.column) + 1;
        const bool known = hazard.event || hazard.period >= period;
        labels.push_back(!known ? std::nanf("") : hazard.event && hazard.period <= period ? 1.0f : 0.0f);
      }
    }
    const auto number = static_cast<std::size_t>(&prediction - profiler->predictions.data());
    for (std::size_t row = 0; row < valid.ids.size(); ++row) {
      profiler->judged_predictions[row * width + number] = predicted[row];
      profiler->judged_labels[row * width + number] = labels[row];
    }
    const Calibration calibration(predicted, labels, PredictsProbability(task.type));
    if (calibration.known()) {
      prediction.calibration = calibration;
    } else {
      warnings->push_back("\"" + prediction.name + "\" is not calibrated: only " +
                          std::to_string(calibration.rows()) + " rows of the valid split have its label");
    }
  }
  return {};
}

std::string ProfileHeader(const DatasetInfo& info, const Profiler& profiler) {
  std::string line;
  const auto cell = [&](const std::string& text) {
    if (!line.empty()) line += ',';
    AppendCsvCell(text, &line);
  };
  cell(info.has_id ? "id" : "row");
  if (profiler.stages) cell("stage");
  if (profiler.segmentation) cell("segment");
  if (profiler.tiers) cell("tier");
  for (const Prediction& prediction : profiler.predictions) {
    cell(prediction.name);
    if (prediction.calibration) cell(prediction.name + ".low"), cell(prediction.name + ".high");
  }
  for (const FeatureInfo& feature : info.features) {
    if (feature.type == FeatureType::kNumeric || feature.type == FeatureType::kCategorical)
      cell(feature.name);
  }
  return line + "\n";
}

// Lines of users, and by user the stage and the tier that are in them.
struct ProfileLines {
  std::string text;
  std::vector<std::size_t> stages;
  std::vector<std::string> tiers;
};

Result<ProfileLines> MakeProfiles(DatasetReader& data, const Profiler& profiler, std::uint64_t first,
                                  std::uint64_t end) {
  const DatasetInfo& info = data.info();
  const std::size_t numeric = info.CountOf(FeatureType::kNumeric),
                    categorical = info.CountOf(FeatureType::kCategorical);
  RowBlock block;
  COHORT_RETURN_IF_ERROR(data.Read(profiler.split, first, static_cast<std::uint32_t>(end - first),
                                   /*with_ids=*/false, &block));
  ProfileLines lines;
  std::string& text = lines.text;
  const auto number_cell = [&](double value) {
    text += ',';
    AppendCsvNumber(value, &text);
  };
  for (std::uint32_t row = 0; row < block.rows; ++row) {
    const std::size_t number = first + row;
    AppendCsvCell(profiler.rows.ids[number], &text);
    if (profiler.stages) {
      const auto stage = static_cast<std::size_t>(
          profiler.stages->StageOf(block.numeric.data() + row * numeric, profiler.Churn(number)));
      lines.stages.push_back(stage);
      text += ',';
      text += kLifeStageNames[stage];
    }
    if (profiler.segmentation)
      text += "," + std::to_string(1 + profiler.segmentation->SegmentOf(profiler.rows.values.data() +
                                                                        number * profiler.by.size()));
    if (profiler.tiers) {
      const auto found = profiler.former.cells.find(profiler.rows.ids[number]);
      lines.tiers.push_back(profiler.tiers->Of(profiler.TierValue(number),
                                               found == profiler.former.cells.end() ? "" : found->second[0]));
      text += ',';
      AppendCsvCell(lines.tiers.back(), &text);
    }
    for (const Prediction& prediction : profiler.predictions) {
      const CalibratedPrediction predicted = profiler.Predicted(prediction, number);
      number_cell(predicted.value);
      if (prediction.calibration) number_cell(predicted.low), number_cell(predicted.high);
    }
    for (std::size_t i = 0; i < info.features.size(); ++i) {
      const std::size_t column = info.ColumnOf(i);
      if (info.features[i].type == FeatureType::kNumeric) {
        const float value = block.numeric[row * numeric + column];
        std::isnan(value) ? void(text += ',') : number_cell(value);
      } else if (info.features[i].type == FeatureType::kCategorical) {
        text += ',';
        const auto name = profiler.names.find(block.categorical[row * categorical + column]);
        if (name != profiler.names.end()) AppendCsvCell(name->second, &text);
      }
    }
    text += '\n';
  }
  return lines;
}

// Of all that the lines are made of, but for the dataset's other columns.
std::uint64_t FingerprintOf(const Profiler& profiler) {
  std::uint64_t hash = RandomBits(profiler.rows.ids.size(), profiler.names.size());
  const auto add = [&hash](std::span<const float> values) {
    for (const float value : values) hash = RandomBits(hash, std::bit_cast<std::uint32_t>(value));
  };
  add(profiler.rows.values), add(profiler.rows.labels);
  for (const std::vector<float>& of_task : profiler.scores.predictions) add(of_task);
  add(profiler.judged_predictions), add(profiler.judged_labels);
  return RandomBits(hash, profiler.former.cells.size());
}

Status WriteProfiles(DatasetReader& data, const ProfileOptions& options, Profiler& profiler,
                     Partitions& partitions, Json* counts) {
  std::optional<CsvFile> file;  // of the process that takes the parts
  PartitionedWork work;
  work.doing = "writing", work.noun = "users";
  work.count = profiler.rows.ids.size(), work.size = kBlockRows;
  work.name_of = [&](std::uint64_t row) { return profiler.rows.ids[row]; };
  work.fingerprint = FingerprintOf(profiler);
  work.make = [&](std::uint64_t first, std::uint64_t end) -> Result<std::string> {
    COHORT_ASSIGN_OR_RETURN(const ProfileLines lines, MakeProfiles(data, profiler, first, end));
    return ToCbor({lines.text, lines.stages, lines.tiers});
  };
  work.take = [&](const std::string& part) -> Status {
    if (!file) {
      COHORT_ASSIGN_OR_RETURN(file, CsvFile::Create(options.out));
      file->Lines(ProfileHeader(data.info(), profiler));
    }
    return FromCbor(part, [&](const nlohmann::json& json) {
      file->Lines(json.at(0).get_ref<const std::string&>());
      for (const auto& stage : json.at(1)) profiler.stage_of.push_back(stage.get<std::size_t>());
      for (const auto& tier : json.at(2)) profiler.tier_of.push_back(tier.get<std::string>());
    });
  };
  COHORT_RETURN_IF_ERROR(partitions.Run(work));
  COHORT_RETURN_IF_ERROR(file->Close());
  COHORT_RETURN_IF_ERROR(file->Commit());
  if (profiler.stages) {
    std::array<std::uint64_t, kLifeStageNames.size()> of_stage{};
    for (const std::size_t stage : profiler.stage_of) ++of_stage.at(stage);
    for (std::size_t i = 0; i < of_stage.size(); ++i) (*counts)["stages"][kLifeStageNames[i]] = of_stage[i];
  }
  if (profiler.tiers) {
    std::map<std::string, std::uint64_t> of_tier;
    for (const std::string& tier : profiler.tier_of) ++of_tier[tier];
    for (const std::string& name : profiler.tiers->names) (*counts)["tiers"][name] = of_tier[name];
    (*counts)["tiers"][""] = of_tier[""];
  }
  return {};
}

// The columns that segments and tiers look at, and the stage rule.
Status ReadUsers(DatasetReader& data, const ProfileOptions& options, Profiler* profiler) {
  const DatasetInfo& info = data.info();
  profiler->numerics = NumericColumns(info);
  std::vector<std::string> names;
  for (const NumericColumn& numeric : profiler->numerics)
    names.push_back(info.features[numeric.feature].name);
  const auto find = [&](const std::string& name) { return std::find(names.begin(), names.end(), name); };
  std::vector<std::string> by = options.by;
  if (by.empty()) {
    for (const char* name : {"recency_days", "orders", "revenue"}) {
      if (find(name) != names.end()) by.emplace_back(name);
    }
  }
  std::vector<FeatureInfo> features;
  for (const std::string& name : by) {
    if (find(name) == names.end())
      return Refused("--by " + name + ": " + options.data + " has no numeric feature of this name" +
                     DidYouMean(name, names));
    const NumericColumn& numeric = profiler->numerics[static_cast<std::size_t>(find(name) - names.begin())];
    profiler->by.push_back(numeric.column);
    features.push_back(info.features[numeric.feature]);
  }
  if (find(options.tier_by) != names.end()) {
    profiler->tier_column = static_cast<std::ptrdiff_t>(profiler->by.size());
    profiler->by.push_back(
        profiler->numerics[static_cast<std::size_t>(find(options.tier_by) - names.begin())].column);
  }
  COHORT_ASSIGN_OR_RETURN(profiler->names, data.ReadNames());
  std::vector<std::string> categorical;
  for (const FeatureInfo& feature : info.features) {
    if (feature.type == FeatureType::kCategorical) categorical.push_back(feature.name);
  }
  for (const std::string& name : options.groups) {
    const auto found = std::find(categorical.begin(), categorical.end(), name);
    if (found == categorical.end())
      return Refused("--groups " + name + ": " + options.data + " has no categorical feature of this name" +
                     DidYouMean(name, categorical));
    profiler->group_columns.push_back(static_cast<std::size_t>(found - categorical.begin()));
  }
  COHORT_ASSIGN_OR_RETURN(profiler->rows,
                          ReadSplitRows(data, profiler->split, profiler->by, profiler->group_columns));
  if (profiler->rows.ids.empty())
    return Refused(options.data + ": the " + options.split + " split has no rows");
  profiler->stages = LifeStageRule::Of(info, options.loyal_orders);
  if (features.empty()) return {};
  std::vector<float> values;
  for (std::size_t row = 0; row < profiler->rows.ids.size(); ++row) {
    const auto from = profiler->rows.values.begin() + static_cast<std::ptrdiff_t>(row * profiler->by.size());
    values.insert(values.end(), from, from + static_cast<std::ptrdiff_t>(features.size()));
  }
  profiler->segmentation = UserSegmentation::Make(features, values, options.segments, options.seed);
  return {};
}

// Users by the values of one feature: how many, what is expected of them, and whether that held on the judged split.
std::vector<ProfilePage::Group> GroupsOf(const Profiler& profiler, std::size_t group) {
  constexpr std::size_t kMostGroups = 20;
  const std::size_t width = profiler.group_columns.size(), predictions = profiler.predictions.size();
  std::map<Key, std::vector<std::uint32_t>> rows, judged;
  for (std::uint32_t row = 0; row < profiler.rows.ids.size(); ++row)
    rows[profiler.rows.keys[row * width + group]].push_back(row);
  for (std::uint32_t row = 0; row < profiler.judged.ids.size(); ++row)
    judged[profiler.judged.keys[row * width + group]].push_back(row);
  std::vector<Key> order;
  for (const auto& [key, of] : rows) order.push_back(key);
  std::stable_sort(order.begin(), order.end(), [&](Key a, Key b) { return rows[a].size() > rows[b].size(); });
  if (order.size() > kMostGroups) order.resize(kMostGroups);
  std::vector<ProfilePage::Group> groups;
  for (const Key key : order) {
    ProfilePage::Group& made = groups.emplace_back();
    const auto name = profiler.names.find(key);
    made.name = name == profiler.names.end() ? "(missing)" : name->second;
    made.users = rows[key].size();
    const auto share = [&](const auto& holds) {
      const auto count = std::count_if(rows[key].begin(), rows[key].end(), holds);
      return static_cast<double>(count) / static_cast<double>(made.users);
    };
    constexpr auto kLost = static_cast<std::size_t>(LifeStage::kLost);
    if (profiler.stages)
      made.lost = share([&](std::uint32_t row) { return profiler.stage_of[row] == kLost; });
    if (profiler.tiers) {
      for (const std::string& tier : profiler.tiers->names)
        made.tiers.push_back(share([&](std::uint32_t row) { return profiler.tier_of[row] == tier; }));
    }
    for (std::size_t i = 0; i < predictions; ++i) {
      const Prediction& prediction = profiler.predictions[i];
      ProfilePage::Group::Mean& mean = made.means.emplace_back();
      for (const std::uint32_t row : rows[key])
        mean.expected += profiler.Predicted(prediction, row).value / static_cast<double>(made.users);
      double sum = 0, squares = 0, count = 0;
      for (const std::uint32_t row : judged[key]) {
        const std::size_t at = row * predictions + i;
        if (std::isnan(profiler.judged_labels[at])) continue;
        const double off = profiler.judged_labels[at] -
                           Profiler::Calibrated(prediction, profiler.judged_predictions[at]).value;
        sum += off, squares += off * off, ++count;
      }
      if (count < 2) continue;
      mean.off = sum / count;
      mean.off_error = std::sqrt(std::max(0.0, squares / count - *mean.off * *mean.off) / (count - 1));
    }
  }
  return groups;
}

// What explain, recommend and strategy wrote of the users of --show.
struct ShownUsers {
  UserLines reasons, lists, actions;
};
Result<ShownUsers> ReadShownUsers(const ProfileOptions& options, const std::vector<std::string>& ids,
                                  std::vector<std::string>* warnings) {
  ShownUsers read;
  if (options.shown.empty()) {
    if (!options.reasons.empty() || !options.lists.empty() || !options.actions.empty())
      return InvalidInput("--reasons, --lists and --actions are for the users of --show ID,...");
    return read;
  }
  if (options.report.empty()) return InvalidInput("--show is for --report: give both");
  for (const std::string& user : options.shown) {
    if (std::find(ids.begin(), ids.end(), user) == ids.end())
      return InvalidInput("--show " + user + ": the " + options.split + " split of " + options.data +
                          " has no such user");
  }
  const auto lines = [&](const std::string& path, const char* id, std::vector<std::string> columns,
                         UserLines* out) -> Status {
    if (path.empty()) return {};
    COHORT_ASSIGN_OR_RETURN(*out, ReadUserLines(path, id, options.shown, std::move(columns)));
    for (const auto& [user, of] : out->of) {
      if (of.empty()) warnings->push_back(path + " has no line of user \"" + user + "\"");
    }
    return {};
  };
  COHORT_RETURN_IF_ERROR(lines(options.reasons, "id",
                               {"output", "prediction", "baseline", "feature", "value", "share"},
                               &read.reasons));
  COHORT_RETURN_IF_ERROR(lines(options.lists, "user", {"rank", "item", "reason"}, &read.lists));
  COHORT_RETURN_IF_ERROR(
      lines(options.actions, "id", {"action", "expected_gain", "cost", "reason"}, &read.actions));
  return read;
}

// A user on the page: `cells` are their line of the profiles.
ProfilePage::User UserOnPage(const std::string& id, const Profiler& profiler, const ShownUsers& files,
                             const std::vector<std::string>& columns, const std::vector<std::string>& cells) {
  constexpr std::size_t kReasons = 5;
  constexpr double kNothing = 1e-9;  // what rounding has left of 0
  ProfilePage::User user;
  user.id = id;
  const std::size_t first_prediction =
      1 + (profiler.stages ? 1 : 0) + (profiler.segmentation ? 1 : 0) + (profiler.tiers ? 1 : 0);
  std::size_t column = 1;
  for (; column < first_prediction; ++column)
    user.facts.emplace_back(columns[column], cells[column].empty() ? "none" : cells[column]);
  const auto number = [](const std::string& cell) { return std::strtod(cell.c_str(), nullptr); };
  const auto short_text = [&](const std::string& cell) {
    const double value = number(cell);
    return FormatMetric(std::abs(value) < kNothing ? 0 : value);
  };
  for (const Prediction& prediction : profiler.predictions) {
    const std::string value = short_text(cells[column++]);
    std::string name = prediction.name;
    if (prediction.calibration) {
      name += ", " + short_text(cells[column]) + " to " + short_text(cells[column + 1]);
      column += 2;
    }
    user.facts.emplace_back(name, value);
  }
  for (; column < cells.size(); ++column) {
    if (!cells[column].empty()) user.features.emplace_back(columns[column], cells[column]);
  }
  const auto lines_of = [&](const UserLines& file) {
    const auto found = file.of.find(id);
    return found == file.of.end() ? std::vector<std::vector<std::string>>() : found->second;
  };
  for (const std::vector<std::string>& line : lines_of(files.reasons)) {
    if (user.reasons.empty() || user.reasons.back().prediction != line[0])
      user.reasons.push_back({line[0], number(line[1]), number(line[2]), {}});
    user.reasons.back().largest.push_back({line[3], line[4], number(line[5])});
  }
  for (ProfilePage::User::Reasons& of : user.reasons) {
    std::stable_sort(of.largest.begin(), of.largest.end(),
                     [](const auto& a, const auto& b) { return std::abs(a.share) > std::abs(b.share); });
    if (of.largest.size() > kReasons) of.largest.resize(kReasons);
  }
  for (const std::vector<std::string>& line : lines_of(files.lists))
    user.items.push_back({line[0], line[1], line[2]});
  for (const std::vector<std::string>& line : lines_of(files.actions)) {
    user.actions.emplace_back("action", line[0].empty() ? "none" : line[0]);
    if (!line[1].empty()) user.actions.emplace_back("expected gain", line[1]);
    if (!line[0].empty()) user.actions.emplace_back("cost", line[2]);
    user.actions.emplace_back("why", line[3]);
  }
  return user;
}

Status Profile(const ProfileOptions& options, Console& console) {
  COHORT_ASSIGN_OR_RETURN(const std::optional<Split> split, SplitFromName(options.split));
  if (!options.judged.empty() && options.scores.empty())
    return Refused("--calibrate is for --scores: give both");
  if (options.tiers.empty() != options.tier_by.empty())
    return Refused("--tier-by and --tiers go together: a number of each user, and the least of each tier");
  if (!options.former.empty() && options.tiers.empty()) return Refused("--former is for --tiers");
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Partitions> partitions,
                          options.partitions.Start(options.out, console));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> data, DatasetReader::Open(options.data));
  Profiler profiler;
  profiler.split = split.value_or(Split::kTest);
  std::vector<std::string> warnings;
  console.Progress("reading users");
  COHORT_RETURN_IF_ERROR(ReadUsers(*data, options, &profiler));
  COHORT_ASSIGN_OR_RETURN(const ShownUsers shown, ReadShownUsers(options, profiler.rows.ids, &warnings));
  if (!options.scores.empty()) COHORT_RETURN_IF_ERROR(ReadPredictions(*data, options, &profiler, &warnings));
  if (!options.tiers.empty()) {
    COHORT_ASSIGN_OR_RETURN(profiler.tiers, LoyaltyTiers::Parse(options.tiers, options.hysteresis));
    std::vector<std::string> names;
    for (std::size_t i = 0; i < profiler.predictions.size(); ++i) {
      names.push_back(profiler.predictions[i].name);
      if (names.back() == options.tier_by) profiler.tier_prediction = static_cast<std::ptrdiff_t>(i);
    }
    for (const NumericColumn& numeric : profiler.numerics)
      names.push_back(data->info().features[numeric.feature].name);
    if (profiler.tier_prediction < 0 && profiler.tier_column < 0)
      return Refused("--tier-by " + options.tier_by +
                     ": neither a prediction of --scores nor a numeric feature" +
                     DidYouMean(options.tier_by, names));
  }
  if (!options.former.empty()) {
    COHORT_ASSIGN_OR_RETURN(profiler.former,
                            ReadUserTable(options.former, data->info().has_id ? "id" : "row", {"tier"}));
  }
  Json json{{"status", "done"}, {"users", profiler.rows.ids.size()}, {"out", options.out}};
  COHORT_RETURN_IF_ERROR(WriteProfiles(*data, options, profiler, *partitions, &json));

  std::string text = std::to_string(profiler.rows.ids.size()) + " users of the " + options.split + " split\n";
  const auto share = [&](std::uint64_t users) {
    return NumberText(std::round(1000.0 * static_cast<double>(users) /
                                 static_cast<double>(profiler.rows.ids.size())) /
                      10) +
           " %";
  };
  if (profiler.stages) {
    text += std::string("stages (") +
            (profiler.churn_prediction >= 0   ? "lost: churn of one half or more"
             : profiler.stages->by_forecast() ? "lost: `alive` below one half"
                                              : "lost: no order for three gaps") +
            "):";
    for (const auto& [name, users] : json["stages"].items())
      text += " " + name + " " + share(users.get<std::uint64_t>());
    text += "\n";
  }
  if (profiler.segmentation) {
    Json segments = Json::array();
    for (std::size_t k = 0; k < profiler.segmentation->segments.size(); ++k) {
      const UserSegmentation::Segment& segment = profiler.segmentation->segments[k];
      text += "segment " + std::to_string(k + 1) + ", " + share(segment.users) + ": " + segment.words + "\n";
      segments.push_back({{"segment", k + 1}, {"users", segment.users}, {"words", segment.words}});
    }
    json["segments"] = std::move(segments);
  }
  if (profiler.tiers) {
    text += "tiers by " + options.tier_by + ":";
    for (const auto& [name, users] : json["tiers"].items())
      text += " " + (name.empty() ? std::string("none") : name) + " " + share(users.get<std::uint64_t>());
    text += "\n";
  }
  ProfilePage page;
  page.title = options.data;
  for (const Prediction& prediction : profiler.predictions) page.predictions.push_back(prediction.name);
  if (profiler.tiers) page.tier_names = profiler.tiers->names;
  for (std::size_t group = 0; group < options.groups.size(); ++group) {
    page.features.push_back({options.groups[group], GroupsOf(profiler, group)});
    text += options.groups[group] + "\n";
    Json each = Json::array();
    for (const ProfilePage::Group& of : page.features.back().groups) {
      text += "  " + of.name + ", " + share(of.users);
      Json one{{"name", of.name}, {"users", of.users}};
      if (of.lost) {
        one["lost"] = *of.lost;
        text += "; lost " + NumberText(std::round(1000 * *of.lost) / 10) + " %";
      }
      for (std::size_t i = 0; i < of.tiers.size(); ++i) one["tiers"][page.tier_names[i]] = of.tiers[i];
      for (std::size_t i = 0; i < of.means.size(); ++i) {
        const ProfilePage::Group::Mean& mean = of.means[i];
        char number[80];
        std::snprintf(number, sizeof number, "; %s %.4g", page.predictions[i].c_str(), mean.expected);
        text += number;
        one["expected"][page.predictions[i]] = mean.expected;
        if (mean.off)
          one["came_minus_expected"][page.predictions[i]] = {*mean.off, *mean.off - 1.96 * mean.off_error,
                                                             *mean.off + 1.96 * mean.off_error};
      }
      text += "\n";
      each.push_back(std::move(one));
    }
    json["groups"][options.groups[group]] = std::move(each);
  }
  if (!options.report.empty()) {
    page.text = text;
    const auto bars = [&](const char* key, std::vector<NamedBar>* out) {
      if (!json.contains(key)) return;
      for (const auto& [name, users] : json[key].items())
        out->push_back(
            {name.empty() ? "none" : name, users.get<double>(), share(users.get<std::uint64_t>())});
    };
    bars("stages", &page.stages), bars("tiers", &page.tiers);
    if (profiler.segmentation) {
      for (std::size_t k = 0; k < profiler.segmentation->segments.size(); ++k) {
        const UserSegmentation::Segment& segment = profiler.segmentation->segments[k];
        page.segments.push_back({"segment " + std::to_string(k + 1), segment.users, segment.words});
      }
    }
    if (!options.shown.empty()) {
      const char* id = data->info().has_id ? "id" : "row";
      COHORT_ASSIGN_OR_RETURN(const UserLines profiles, ReadUserLines(options.out, id, options.shown));
      for (const std::string& user : options.shown)
        page.users.push_back(UserOnPage(user, profiler, shown, profiles.columns, profiles.of.at(user)[0]));
    }
    COHORT_RETURN_IF_ERROR(WriteFileAtomically(options.report, RenderProfilePage(page)));
    text += "wrote " + options.report + "\n";
    json["report"] = options.report;
  }
  for (const Prediction& prediction : profiler.predictions) {
    if (prediction.calibration) json["calibrated"][prediction.name] = prediction.calibration->rows();
  }
  for (const std::string& warning : warnings) console.Note("warning: " + warning);
  json["warnings"] = warnings;
  console.Print(text + "wrote " + options.out);
  console.SetJson(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  return {};
}

}  // namespace

void AddProfile(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<ProfileOptions>();
  CLI::App* command = app.add_subcommand("profile",
                                         "what is known and expected of every user: stage, segment, tier, "
                                         "predictions with intervals (docs/profile.md)");
  command->add_option("DATASET", options->data, "a dataset written by `cohort prepare`")->required();
  command->add_option("--out", options->out, "the CSV to write, a line a user")
      ->required()
      ->type_name(kOutputType);
  command->add_option("--split", options->split, "whose users: train, valid or test (default: test)");
  command->add_option("--scores", options->scores, "predictions of that split, written by `cohort score`");
  command->add_option(
      "--calibrate", options->judged,
      "predictions of the valid split: what they have meant there gives --scores their values and intervals");
  command
      ->add_option(
          "--by", options->by,
          "numeric features that make the segments, separated by commas (default: those there are of "
          "recency_days,orders,revenue)")
      ->delimiter(',');
  command->add_option("--segments", options->segments, "how many, 1 to 50 (default: 6)")
      ->check(Between(1u, 50u));
  command
      ->add_option("--loyal-orders", options->loyal_orders, "orders from which a user is loyal (default: 5)")
      ->check(Between(1, 1'000'000));
  command->add_option("--tier-by", options->tier_by, "a prediction or numeric feature that makes the tiers");
  command->add_option("--tiers", options->tiers, "NAME=NUMBER,...: tiers and the least value of each")
      ->delimiter(',');
  CLI::Option* former = command->add_option(
      "--former", options->former,
      "the profiles of the time before: who has a tier keeps it down to (1 - hysteresis) x its least value");
  command->add_option("--hysteresis", options->hysteresis, "0 to 0.9 (default: 0.1)")
      ->check(Between(0.0, 0.9))
      ->needs(former);
  command
      ->add_option("--groups", options->groups,
                   "categorical features, separated by commas: users, stages, tiers and predictions by their "
                   "values, and "
                   "how far off the predictions were on the valid split")
      ->delimiter(',');
  command->add_option("--report", options->report, "an HTML page to write: stages, tiers, segments, groups")
      ->type_name(kOutputType);
  command
      ->add_option("--show", options->shown,
                   "users, separated by commas, who have a part of their own on that page")
      ->delimiter(',');
  command->add_option("--reasons", options->reasons, "for them: shares written by `cohort explain --out`");
  command->add_option("--lists", options->lists, "for them: lists written by `cohort recommend`");
  command->add_option("--actions", options->actions, "for them: actions written by `cohort strategy`");
  command->add_option("--seed", options->seed, "of the segments (default: 1)");
  options->partitions.AddTo(*command);
  command->add_flag("--overwrite")->description("replace a file that is there");
  commands[command] = [options](Console& console) { return Profile(*options, console); };
}

}  // namespace cohort
