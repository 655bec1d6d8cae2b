#include "prepare/row_builder.h"

#include <xxhash.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

#include "common/random.h"
#include "prepare/number.h"

namespace cohort {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t kPlaces = 3;       // remembered per finding
constexpr std::size_t kShownBytes = 40;  // of a cell in an error

std::string Shown(std::string_view cell) {
  std::string text = "\"";
  for (char c : cell.substr(0, kShownBytes)) text += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  return text + (cell.size() > kShownBytes ? "…\"" : "\"");
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

// 1/0, true/false, yes/no.
std::optional<bool> TruthOf(std::string_view cell) {
  if (cell == "1") return true;
  if (cell == "0") return false;
  const std::string lower = Lower(cell);
  if (lower == "true" || lower == "yes") return true;
  if (lower == "false" || lower == "no") return false;
  float number = 0;
  if (ParseNumber(cell, &number) == NumberKind::kNumber && (number == 0 || number == 1)) return number == 1;
  return std::nullopt;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view CellOf(const Record& record, std::ptrdiff_t column) {
  return record.csv.cells()[static_cast<std::size_t>(column)];
}

}  // namespace

void FindingLog::Add(FindingKind kind, const std::string& name, const CsvReader& csv, std::ptrdiff_t cell,
                     const std::string& what) {
  if (!WantsPlace(kind, name)) {
    ++findings_[{kind, name}].count;
    return;
  }
  AddPlace(kind, name, (cell < 0 ? csv.Where() : csv.Where(static_cast<std::size_t>(cell))) + ": " + what);
}

bool FindingLog::WantsPlace(FindingKind kind, const std::string& name) const {
  const auto found = findings_.find({kind, name});
  return strict_ || found == findings_.end() || found->second.places.size() < kPlaces;
}

void FindingLog::AddPlace(FindingKind kind, const std::string& name, std::string place) {
  Finding& finding = findings_[{kind, name}];
  ++finding.count;
  if (strict_ && status_.ok()) {
    status_ = Status(ErrorCode::kInvalidInput,
                     place + "; mend the data, or run without --strict to have it counted");
  }
  if (finding.places.size() < kPlaces) finding.places.push_back(std::move(place));
}

void FindingLog::Add(const Findings& findings) {
  for (const auto& [key, finding] : findings) {
    for (const std::string& place : finding.places) AddPlace(key.first, key.second, place);
    findings_[key].count += finding.count - finding.places.size();
  }
}

void FindingLog::Fail(const CsvReader& csv, std::ptrdiff_t cell, const std::string& what) {
  if (status_.ok()) status_ = {ErrorCode::kInvalidInput, csv.Where(static_cast<std::size_t>(cell)) + ": " + what};
}

RowBuilder::RowBuilder(const Schema& schema, FindingLog* log)
    : schema_(schema),
      log_(log),
      names_(schema.features.size()),
      limits_(schema.features.size()),
      label_values_(schema.tasks.size()),
      labels_(schema.tasks.size()) {
  for (const std::string& text : schema.missing) {
    missing_sizes_ |= std::uint64_t{1} << std::min<std::size_t>(text.size(), 63);
  }
  for (const FeatureSchema& feature : schema.features) {
    keys_.emplace_back(feature.vocabulary.empty() ? feature.name : feature.vocabulary);
    missing_keys_.push_back(MissingKey(feature.name));
  }
  for (std::size_t i = 0; i < schema.tasks.size(); ++i) {
    const TaskSchema& task = schema.tasks[i];
    for (const std::string& value : task.positive) label_values_[i][value] = 1;
    for (const std::string& value : task.negative) label_values_[i][value] = 0;
    if (!task.classes.empty()) SetClasses(i, task.classes);
  }
}

void RowBuilder::SetClasses(std::size_t task, const std::vector<std::string>& classes) {
  label_values_[task].clear();
  for (std::size_t i = 0; i < classes.size(); ++i) label_values_[task][classes[i]] = static_cast<float>(i);
}

void RowBuilder::SetLimits(std::size_t feature, float least, float most) {
  limits_[feature] = Limits{least, most};
}

bool RowBuilder::IsMissing(std::string_view cell) const {
  // Few cells have the length of one of the texts.
  if ((missing_sizes_ >> std::min<std::size_t>(cell.size(), 63) & 1) == 0) return false;
  return std::find(schema_.missing.begin(), schema_.missing.end(), cell) != schema_.missing.end();
}

double RowBuilder::Share(const Record& record) const {
  std::uint64_t hash = record.hash;
  if (record.columns.hash_of >= 0) {
    const std::string_view cell = CellOf(record, record.columns.hash_of);
    hash = XXH3_64bits(cell.data(), cell.size());
  }
  return UniformDouble(Mix64(hash + 0x9e3779b97f4a7c15ULL));
}

std::optional<Split> RowBuilder::SplitByTime(const Record& record) {
  const SplitSchema& split = schema_.split;
  const std::string_view cell = CellOf(record, record.columns.time);
  auto bad = [&](const char* expected) {
    log_->Add(FindingKind::kBadTime, "", record.csv, record.columns.time,
              "the time " + Shown(cell) + " is not " + expected + "; the row is dropped");
    return std::nullopt;
  };
  if (split.test_from.number) {
    double time = 0;
    if (ParseNumber(cell, &time) != NumberKind::kNumber) return bad("a number");
    if (time >= *split.test_from.number) return Split::kTest;
    if (split.valid_from && time >= *split.valid_from->number) return Split::kValid;
  } else {
    // ISO 8601 texts sort by time; anything else would sort to a wrong side.
    const bool iso = cell.size() >= 10 && cell[4] == '-' && cell[7] == '-' &&
                     std::isdigit(static_cast<unsigned char>(cell[0])) != 0 &&
                     std::isdigit(static_cast<unsigned char>(cell[9])) != 0;
    if (!iso) return bad("a date like 2011-10-01");
    if (cell >= split.test_from.text) return Split::kTest;
    if (split.valid_from && cell >= split.valid_from->text) return Split::kValid;
  }
  if (split.valid > 0 && Share(record) < split.valid) return Split::kValid;
  return Split::kTrain;
}

std::optional<Split> RowBuilder::SplitOf(const Record& record) {
  const SplitSchema& split = schema_.split;
  if (record.group == FileGroup::kValid) return Split::kValid;
  if (record.group == FileGroup::kTest) {
    return split.valid_row_of_test == static_cast<int>(record.row % 2) ? Split::kValid : Split::kTest;
  }
  if (split.kind == SplitSchema::Kind::kTime) return SplitByTime(record);
  if (split.test + split.valid == 0) return Split::kTrain;
  const double share = Share(record);
  if (share < split.test) return Split::kTest;
  return share < split.test + split.valid ? Split::kValid : Split::kTrain;
}

float RowBuilder::ReadLabel(std::size_t task, const Record& record, std::string_view cell) {
  const TaskSchema& schema = schema_.tasks[task];
  const auto& values = label_values_[task];
  auto masked = [&](FindingKind kind, const std::string& why) {
    log_->Add(
        kind, schema.name, record.csv, record.columns.tasks[task],
        "the label " + Shown(cell) + " of task \"" + schema.name + "\" " + why + "; it counts as missing");
    return kMissing;
  };
  if (schema.type == TaskType::kBinary && schema.positive.empty()) {
    if (const std::optional<bool> truth = TruthOf(cell)) return *truth ? 1 : 0;
    return masked(FindingKind::kLabelUnknown,
                  "is neither 1/0, true/false nor yes/no (name others with positive = [...])");
  }
  if (schema.type == TaskType::kBinary || schema.type == TaskType::kMulticlass) {
    auto found = values.find(cell);
    if (found != values.end()) return found->second;
    if (schema.type == TaskType::kBinary && schema.negative.empty()) return 0;
    return masked(FindingKind::kLabelUnknown, schema.type == TaskType::kBinary
                                                  ? "is neither positive nor negative"
                                                  : "is none of its classes");
  }
  float number = 0;
  switch (ParseNumber(cell, &number)) {
    case NumberKind::kNotANumber:
      return masked(FindingKind::kLabelNotANumber, "is not a number");
    case NumberKind::kNotFinite:
      return masked(FindingKind::kLabelNotFinite, "is not finite");
    case NumberKind::kNumber:
      break;
  }
  if ((schema.type == TaskType::kValue || schema.type == TaskType::kCount) && number < 0) {
    return masked(FindingKind::kLabelNegative,
                  std::string("is below 0, which a ") + TaskTypeName(schema.type) + " cannot be");
  }
  if (schema.type != TaskType::kHazard) return number;
  if (number < 0 || number != std::floor(number))
    return masked(FindingKind::kLabelBadPeriod, "is no period: expected a whole number from 0 on");
  const std::string_view event_cell = CellOf(record, record.columns.events[task]);
  const std::optional<bool> event = TruthOf(event_cell);
  if (!event) {
    log_->Add(FindingKind::kLabelUnknown, schema.name, record.csv, record.columns.events[task],
              "the event " + Shown(event_cell) + " of task \"" + schema.name +
                  "\" is neither 1/0, true/false nor yes/no; the label counts as missing");
    return kMissing;
  }
  if (number == 0) {
    if (*event) return masked(FindingKind::kLabelBadPeriod, "has an event, yet periods count from 1");
    log_->AddIntended(FindingKind::kLabelUnseen, schema.name);
    return kMissing;
  }
  const auto last = static_cast<float>(schema.periods);
  if (number > last) log_->AddIntended(FindingKind::kCensored, schema.name);
  return number > last ? -last : *event ? number : -number;
}

// Whether the row has any label.
bool RowBuilder::ReadLabels(const Record& record) {
  bool any = false;
  for (std::size_t task = 0; task < labels_.size(); ++task) {
    const std::ptrdiff_t column = record.columns.tasks[task];
    labels_[task] = kMissing;
    if (column < 0) continue;
    const std::string_view cell = CellOf(record, column);
    if (IsMissing(cell)) continue;
    // A period without its event, or the other way round, says nothing.
    if (schema_.tasks[task].event &&
        (record.columns.events[task] < 0 || IsMissing(CellOf(record, record.columns.events[task]))))
      continue;
    labels_[task] = ReadLabel(task, record, cell);
    any |= !std::isnan(labels_[task]);
  }
  return any;
}

bool RowBuilder::ReadWeight(const Record& record, float* weight) {
  const std::string_view cell = CellOf(record, record.columns.weight);
  if (ParseNumber(cell, weight) == NumberKind::kNumber && *weight > 0) return true;
  log_->Add(FindingKind::kBadWeight, "", record.csv, record.columns.weight,
            "the weight " + Shown(cell) + " is not a number above 0; the row is dropped");
  return false;
}

std::uint64_t RowBuilder::ReadGroup(const Record& record, Split split) {
  const std::string_view cell = CellOf(record, record.columns.group);
  if (IsMissing(cell)) return kNoGroup;
  const std::optional<std::uint64_t> number = groups_[static_cast<std::size_t>(split)].Next(cell);
  if (!number) {
    log_->Fail(record.csv, record.columns.group,
               "group " + Shown(cell) + " of the " + SplitName(split) +
                   " split had rows before, and other groups since; the rows of a group must follow each other: sort "
                   "the file by column " + schema_.group->Text() + ", or leave [group] out of the schema");
  }
  return number.value_or(kNoGroup);
}

float RowBuilder::ReadNumeric(std::size_t feature, const Record& record, std::string_view cell) {
  if (IsMissing(cell)) return kMissing;
  float value = 0;
  const NumberKind kind = ParseNumber(cell, &value);
  if (kind == NumberKind::kNumber) {
    if (!limits_[feature]) return value;
    const float limited = std::clamp(value, limits_[feature]->least, limits_[feature]->most);
    if (limited != value) log_->AddIntended(FindingKind::kClipped, schema_.features[feature].name);
    return limited;
  }
  const bool not_finite = kind == NumberKind::kNotFinite;
  log_->Add(not_finite ? FindingKind::kNotFinite : FindingKind::kNotANumber, schema_.features[feature].name,
            record.csv, record.columns.features[feature],
            Shown(cell) + " of numeric feature \"" + schema_.features[feature].name + "\" is not " +
                (not_finite ? "finite" : "a number") + "; it counts as missing");
  return kMissing;
}

void RowBuilder::ReadBag(std::size_t feature, std::string_view cell, std::vector<Key>* keys) {
  const std::string& separator = schema_.features[feature].separator;
  const std::size_t before = keys->size();
  for (std::size_t begin = 0; begin <= cell.size();) {
    const std::size_t end = std::min(cell.find(separator, begin), cell.size());
    std::string_view item = cell.substr(begin, end - begin);
    if (schema_.csv.trim) item = Trim(item);
    if (!item.empty()) keys->push_back(keys_[feature].Category(item));
    begin = end + separator.size();
  }
  const std::size_t limit = schema_.features[feature].max_length;
  if (limit == 0 || keys->size() - before <= limit) return;
  keys->erase(keys->begin() + static_cast<std::ptrdiff_t>(before),
              keys->end() - static_cast<std::ptrdiff_t>(limit));
  log_->AddIntended(FindingKind::kShortened, schema_.features[feature].name);
}

void RowBuilder::ReadVector(std::size_t feature, const Record& record, std::string_view cell,
                            std::vector<float>* values) {
  const FeatureSchema& schema = schema_.features[feature];
  const std::size_t before = values->size(), length = schema.length;
  const auto missing = [&](std::optional<FindingKind> kind, const std::string& what) {
    if (kind) {
      log_->Add(*kind, schema.name, record.csv, record.columns.features[feature],
                Shown(cell) + " of vector \"" + schema.name + "\" " + what + "; it counts as missing");
    }
    values->resize(before);
    values->resize(before + length, kMissing);
  };
  if (IsMissing(cell)) return missing(std::nullopt, "");
  std::size_t count = 0;
  for (std::size_t begin = 0; begin <= cell.size(); ++count) {
    const std::size_t end = std::min(cell.find(schema.separator, begin), cell.size());
    const std::string_view text = Trim(cell.substr(begin, end - begin));
    float value = 0;
    const NumberKind kind = ParseNumber(text, &value);
    if (kind == NumberKind::kNotANumber)
      return missing(FindingKind::kNotANumber, "holds " + Shown(text) + ", which is not a number");
    if (kind == NumberKind::kNotFinite)
      return missing(FindingKind::kNotFinite, "holds " + Shown(text) + ", which is not finite");
    if (count < length) values->push_back(value);
    begin = end + schema.separator.size();
  }
  if (count == length) return;
  missing(FindingKind::kWrongLength, "has " + std::to_string(count) + " numbers, expected " +
                                         std::to_string(length) + " (separated by \"" + schema.separator +
                                         "\")");
}

bool RowBuilder::Append(const Record& record, Split split, RowBlock* block) {
  float weight = 1;
  if (record.columns.weight >= 0 && !ReadWeight(record, &weight)) return false;
  if (!ReadLabels(record) && split == Split::kTrain) {
    log_->Add(FindingKind::kNoLabel, "", record.csv, -1, "a training row without any label; it is dropped");
    return false;
  }
  block->labels.insert(block->labels.end(), labels_.begin(), labels_.end());
  if (record.columns.weight >= 0) block->weights.push_back(weight);
  if (record.columns.id >= 0) block->ids.emplace_back(CellOf(record, record.columns.id));
  block->input_rows.push_back(record.row);
  if (record.columns.group >= 0 && split != Split::kTrain) block->groups.push_back(ReadGroup(record, split));
  std::size_t bag = 0, vector = 0;
  for (std::size_t i = 0; i < schema_.features.size(); ++i) {
    const std::string_view cell = CellOf(record, record.columns.features[i]);
    switch (schema_.features[i].type) {
      case FeatureType::kNumeric:
        block->numeric.push_back(ReadNumeric(i, record, cell));
        break;
      case FeatureType::kCategorical:
        if (IsMissing(cell)) {
          block->categorical.push_back(missing_keys_[i]);
        } else {
          block->categorical.push_back(keys_[i].Category(cell));
          names_.Add(i, block->categorical.back(), cell);
        }
        break;
      case FeatureType::kBag:
        if (!IsMissing(cell)) {
          if (const std::uint32_t ngrams = schema_.features[i].ngrams; ngrams > 0) {
            words_.AppendNgrams(cell, ngrams, keys_[i], &block->bag_keys[bag]);
          } else {
            ReadBag(i, cell, &block->bag_keys[bag]);
          }
        }
        block->bag_offsets[bag].push_back(block->bag_keys[bag].size());
        ++bag;
        break;
      case FeatureType::kVector:
        ReadVector(i, record, cell, &block->vectors[vector++]);
        break;
    }
  }
  ++block->rows;
  return true;
}

}  // namespace cohort
