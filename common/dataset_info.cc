// DatasetInfo: what a dataset says about itself, as JSON; and the keys of values.
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "common/check.h"
#include "common/dataset.h"
#include "common/json_guard.h"
#include "common/random.h"

namespace cohort {
namespace {

using Json = nlohmann::json;

constexpr const char* kFeatureTypes[] = {"numeric", "categorical", "bag", "vector"};
constexpr const char* kPoolings[] = {"mean", "sum"};
constexpr const char* kScales[] = {"standard", "log1p", "minmax", "none"};
constexpr const char* kTaskTypes[] = {"binary", "multiclass", "regression", "value", "hazard", "count"};

template <typename Enum, std::size_t size>
const char* NameOf(const char* const (&names)[size], Enum value) {
  return names[static_cast<std::size_t>(value)];
}

template <typename Enum, std::size_t size>
Enum EnumOf(const char* const (&names)[size], const Json& json, const char* key) {
  const std::string& value = json.at(key).get_ref<const std::string&>();
  for (std::size_t i = 0; i < size; ++i) {
    if (value == names[i]) return static_cast<Enum>(i);
  }
  throw BadJson{std::string(key) + " is \"" + value + "\""};
}

Json ToJsonObject(const FeatureInfo& feature) {
  Json json{{"name", feature.name},
            {"type", NameOf(kFeatureTypes, feature.type)},
            {"missing", feature.missing},
            {"distinct", feature.distinct}};
  if (feature.type == FeatureType::kNumeric || feature.type == FeatureType::kVector) {
    json["scale"] = NameOf(kScales, feature.scale);
    json["mean"] = feature.mean;
    json["deviation"] = feature.deviation;
    json["minimum"] = feature.minimum;
    json["maximum"] = feature.maximum;
  }
  if (feature.type == FeatureType::kNumeric) json["bin_edges"] = feature.bin_edges;
  if (feature.type == FeatureType::kVector) json["length"] = feature.length;
  if (feature.ngrams > 0) json["ngrams"] = feature.ngrams;
  if (feature.type == FeatureType::kBag) {
    json["pooling"] = NameOf(kPoolings, feature.pooling);
    json["sequence"] = feature.sequence;
  }
  if (!feature.vocabulary.empty()) json["vocabulary"] = feature.vocabulary;
  return json;
}

FeatureInfo FeatureFrom(const Json& json) {
  FeatureInfo feature;
  feature.name = json.at("name").get<std::string>();
  feature.type = EnumOf<FeatureType>(kFeatureTypes, json, "type");
  feature.missing = WholeFrom<std::uint64_t>(json, "missing");
  feature.distinct = json.at("distinct").get<double>();
  if (feature.type == FeatureType::kNumeric || feature.type == FeatureType::kVector) {
    feature.scale = EnumOf<NumericScale>(kScales, json, "scale");
    feature.mean = json.at("mean").get<double>();
    feature.deviation = json.at("deviation").get<double>();
    feature.minimum = json.at("minimum").get<double>();
    feature.maximum = json.at("maximum").get<double>();
  }
  if (feature.type == FeatureType::kNumeric) {
    for (const Json& edge : json.at("bin_edges")) {
      feature.bin_edges.push_back(FloatFrom(edge.get<double>(), "bin_edges"));
    }
    for (std::size_t i = 1; i < feature.bin_edges.size(); ++i) {
      if (!(feature.bin_edges[i - 1] < feature.bin_edges[i])) throw BadJson{"bin edges do not ascend"};
    }
  }
  if (feature.type == FeatureType::kBag) {
    feature.pooling = EnumOf<Pooling>(kPoolings, json, "pooling");
    feature.sequence = json.at("sequence").get<bool>();
  }
  if (feature.type == FeatureType::kVector) {
    feature.length = WholeFrom<std::uint32_t>(json, "length");
    if (feature.length == 0 || feature.length > kMaxVectorLength)
      throw BadJson{"length of vector " + feature.name};
  }
  // Former versions had none of these.
  feature.vocabulary = json.value("vocabulary", "");
  if (json.contains("ngrams")) feature.ngrams = WholeFrom<std::uint32_t>(json, "ngrams");
  return feature;
}

Json ToJsonObject(const TaskInfo& task) {
  Json json{{"name", task.name},
            {"type", NameOf(kTaskTypes, task.type)},
            {"labelled", task.labelled},
            {"mean", task.mean},
            {"deviation", task.deviation}};
  if (task.type == TaskType::kMulticlass) {
    json["classes"] = task.classes;
    json["class_rates"] = task.class_rates;
  }
  if (task.type == TaskType::kValue) {
    json["positive_share"] = task.positive_share;
    json["log_mean"] = task.log_mean;
    json["log_deviation"] = task.log_deviation;
  }
  if (task.type == TaskType::kHazard) {
    json["periods"] = task.periods;
    json["at_risk"] = task.at_risk;
    json["hazards"] = task.hazards;
  }
  return json;
}

TaskInfo TaskFrom(const Json& json) {
  TaskInfo task;
  task.name = json.at("name").get<std::string>();
  task.type = EnumOf<TaskType>(kTaskTypes, json, "type");
  task.labelled = WholeFrom<std::uint64_t>(json, "labelled");
  task.mean = json.at("mean").get<double>();
  task.deviation = json.at("deviation").get<double>();
  if (task.type == TaskType::kMulticlass) {
    task.classes = json.at("classes").get<std::vector<std::string>>();
    task.class_rates = json.at("class_rates").get<std::vector<double>>();
    if (task.classes.size() < 2 || task.class_rates.size() != task.classes.size()) {
      throw BadJson{"classes of task " + task.name};
    }
  }
  if (task.type == TaskType::kValue) {
    task.positive_share = json.at("positive_share").get<double>();
    task.log_mean = json.at("log_mean").get<double>();
    task.log_deviation = json.at("log_deviation").get<double>();
  }
  if (task.type == TaskType::kHazard) {
    task.periods = WholeFrom<std::uint32_t>(json, "periods");
    task.at_risk = json.at("at_risk").get<std::vector<double>>();
    task.hazards = json.at("hazards").get<std::vector<double>>();
    if (task.periods < kMinPeriods || task.periods > kMaxPeriods || task.at_risk.size() != task.periods ||
        task.hazards.size() != task.periods) {
      throw BadJson{"periods of task " + task.name};
    }
  }
  return task;
}

}  // namespace

const char* TaskTypeName(TaskType type) { return NameOf(kTaskTypes, type); }

double StandardScore(const FeatureInfo& feature, float value) {
  if (std::isnan(value)) return 0;
  const double x = value;
  const double scaled = feature.scale == NumericScale::kLog1p ? std::copysign(std::log1p(std::abs(x)), x) : x;
  return (scaled - feature.mean) / feature.deviation;
}

std::vector<std::string> TaskInfo::PredictionNames() const {
  std::vector<std::string> names;
  if (type == TaskType::kMulticlass) {
    for (const std::string& each : classes) names.push_back(name + "." + each);
  } else if (type == TaskType::kHazard) {
    for (std::uint32_t k = 1; k <= periods; ++k) names.push_back(name + "." + std::to_string(k));
  } else {
    names.push_back(name);
  }
  return names;
}

std::vector<double> EventShares(const std::vector<double>& hazards) {
  std::vector<double> shares;
  double share = 0;
  for (const double hazard : hazards) {
    share = std::min(1.0, share + (1 - share) * hazard);
    shares.push_back(share);
  }
  return shares;
}

std::uint32_t DatasetInfo::ColumnOf(std::size_t feature) const {
  COHORT_CHECK(feature < features.size());
  std::uint32_t column = 0;
  for (std::size_t i = 0; i < feature; ++i) column += features[i].type == features[feature].type;
  return column;
}

std::uint32_t DatasetInfo::CountOf(FeatureType type) const {
  return static_cast<std::uint32_t>(std::count_if(
      features.begin(), features.end(), [type](const FeatureInfo& feature) { return feature.type == type; }));
}

std::vector<std::uint32_t> DatasetInfo::VectorLengths() const {
  std::vector<std::uint32_t> lengths;
  for (const FeatureInfo& feature : features) {
    if (feature.type == FeatureType::kVector) lengths.push_back(feature.length);
  }
  return lengths;
}

std::string ToJson(const DatasetInfo& info) {
  Json json{{"has_weight", info.has_weight}, {"has_id", info.has_id}, {"has_group", info.has_group}};
  json["features"] = Json::array();
  for (const FeatureInfo& feature : info.features) json["features"].push_back(ToJsonObject(feature));
  json["tasks"] = Json::array();
  for (const TaskInfo& task : info.tasks) json["tasks"].push_back(ToJsonObject(task));
  for (int split = 0; split < kSplitCount; ++split) {
    json["rows"][SplitName(static_cast<Split>(split))] = info.rows[static_cast<std::size_t>(split)];
    json["files"].push_back(info.files[static_cast<std::size_t>(split)]);
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<DatasetInfo> DatasetInfoFromJson(const std::string& text) {
  if (const Status shape = CheckJsonShape(text); !shape.ok()) {
    return Error(ErrorCode::kCorrupt, "the dataset's description cannot be read: " + shape.text());
  }
  // nlohmann::json reports by exception; none leaves this function.
  try {
    const Json json = Json::parse(text);
    DatasetInfo info;
    info.has_weight = json.at("has_weight").get<bool>();
    info.has_id = json.at("has_id").get<bool>();
    info.has_group = json.value("has_group", false);  // older ones do not say
    if (json.contains("files")) {
      const auto files = json.at("files").get<std::array<std::uint64_t, kSplitCount>>();
      for (std::size_t split = 0; split < files.size(); ++split) {
        if (files[split] >= kSplitCount) throw BadJson{"files of a split"};
        info.files[split] = static_cast<std::uint8_t>(files[split]);
      }
    }
    std::set<std::string> features, tasks;
    for (const Json& feature : json.at("features")) {
      info.features.push_back(FeatureFrom(feature));
      if (!features.insert(info.features.back().name).second) throw BadJson{"a feature's name appears twice"};
    }
    for (const Json& task : json.at("tasks")) {
      info.tasks.push_back(TaskFrom(task));
      if (!tasks.insert(info.tasks.back().name).second) throw BadJson{"a task's name appears twice"};
    }
    for (int split = 0; split < kSplitCount; ++split) {
      info.rows[static_cast<std::size_t>(split)] =
          WholeFrom<std::uint64_t>(json.at("rows"), SplitName(static_cast<Split>(split)));
    }
    return info;
  } catch (const Json::exception& error) {
    return Error(ErrorCode::kCorrupt,
                 std::string("the dataset's description cannot be read: ") + error.what());
  } catch (const BadJson& error) {
    return Error(ErrorCode::kCorrupt, "the dataset's description is wrong: " + error.text);
  }
}

FeatureKeys::FeatureKeys(std::string_view feature) : seed_(XXH3_64bits(feature.data(), feature.size())) {}
Key FeatureKeys::Category(std::string_view value) const {
  return XXH3_64bits_withSeed(value.data(), value.size(), seed_);
}
// Values have XXH3's keys; the others are drawn by a different function, so that no text can be made to meet
// them.
Key FeatureKeys::Missing() const { return RandomBits(seed_, 1); }
Key FeatureKeys::Bin(int bin) const { return RandomBits(seed_, 2, static_cast<std::uint64_t>(bin + 1)); }

Key CategoryKey(const std::string& feature, std::string_view value) {
  return FeatureKeys(feature).Category(value);
}
Key MissingKey(const std::string& feature) { return FeatureKeys(feature).Missing(); }
Key BinKey(const std::string& feature, int bin) { return FeatureKeys(feature).Bin(bin); }

int BinOf(std::span<const float> edges, float value) {
  if (std::isnan(value)) return -1;
  return static_cast<int>(std::upper_bound(edges.begin(), edges.end(), value) - edges.begin());
}

}  // namespace cohort
