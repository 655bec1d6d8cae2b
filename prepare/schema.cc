#include "prepare/schema.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "common/atomic_file.h"
#include "common/check.h"
#include "common/nearest.h"
#include "prepare/toml_table.h"

namespace cohort {
namespace {

constexpr double kMostShare = 0.999;

// A task's name is a part of names in score files.
bool IsTaskName(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
  });
}

// "2011-10-01" or more: the texts whose order is the order in time.
bool IsIsoDate(std::string_view text) {
  if (text.size() < 10) return false;
  for (std::size_t i = 0; i < 10; ++i) {
    bool dash = i == 4 || i == 7;
    if (dash ? text[i] != '-' : std::isdigit(static_cast<unsigned char>(text[i])) == 0) return false;
  }
  return true;
}

class SchemaParser {
 public:
  SchemaParser(TomlDocument* document, std::string data_directory)
      : document_(document), data_directory_(std::move(data_directory)) {}

  Result<Schema> Parse(const std::string& path) {
    TomlTable root = document_->root();
    schema_.path = path;
    root.AllowOnly({"source", "split", "id", "weight", "group", "feature", "task"}, InputFileKind::kSchema);
    if (!root.Has("source")) root.Fail(nullptr, "[source] is missing: it names the CSV files");
    ReadSource(root.Table("source"));
    ReadSplit(root.Table("split"));
    schema_.id = OnlyColumn(root.Table("id"));
    schema_.weight = OnlyColumn(root.Table("weight"));
    schema_.group = OnlyColumn(root.Table("group"));
    for (const TomlTable& table : root.Tables("feature")) ReadFeature(table);
    CheckVocabularies();
    for (const TomlTable& table : root.Tables("task")) ReadTask(table);
    if (schema_.features.empty()) root.Fail(nullptr, "no [[feature]]: a model needs at least one input");
    if (schema_.tasks.empty()) root.Fail(nullptr, "no [[task]]: a model needs at least one label to learn");
    if (!document_->status().ok()) return tl::unexpected<Status>(document_->status());
    return std::move(schema_);
  }

 private:
  std::vector<std::string> Files(const TomlTable& table, const char* key) {
    return ReadFiles(table, key, data_directory_, &all_files_);
  }

  void ReadSource(const TomlTable& table) {
    if (!table.exists()) return;
    table.AllowOnly({"files", "header", "delimiter", "quote", "trim", "missing"});
    if (!table.Has("files")) table.Fail(nullptr, "[source] needs files = [\"...\"]");
    schema_.files = Files(table, "files");
    schema_.header = table.Flag("header", true);
    ReadCsvOptions(table, &schema_.csv, &schema_.missing);
  }

  TimeBound Bound(const TomlTable& table, const char* key) {
    TimeBound bound;
    std::optional<TomlScalar> scalar = table.Scalar(key);
    if (!scalar) return bound;
    if (scalar->is_number) {
      bound.number = scalar->number;
    } else if (bound.text = scalar->text; !IsIsoDate(bound.text)) {
      table.Fail(key,
                 "\"" + bound.text +
                     "\" is not a date like \"2011-10-01\" (ISO 8601); times must be such texts, or numbers");
    }
    return bound;
  }

  void ReadSplit(const TomlTable& table) {
    SplitSchema& split = schema_.split;
    table.AllowOnly({"test_files", "valid_files", "valid_rows_of_test", "time", "test_from", "valid_from",
                     "hash_of", "test", "valid"});
    split.test = table.Number("test", 0, 0, kMostShare);
    split.valid = table.Number("valid", 0, 0, kMostShare);
    if (split.test + split.valid > kMostShare) table.Fail("test", "test + valid leave no rows to train on");
    if (table.Has("hash_of")) split.hash_of = Column(table, "hash_of");
    if (table.Has("test_files") || table.Has("valid_files")) {
      split.kind = SplitSchema::Kind::kFiles;
      split.test_files = Files(table, "test_files");
      split.valid_files = Files(table, "valid_files");
      for (const char* key : {"time", "test_from", "valid_from", "test"}) {
        table.Forbid(key, "test_files and valid_files say which rows are which");
      }
      if (table.Has("valid_files")) table.Forbid("valid", "the valid split comes from valid_files");
      if (table.Has("valid_rows_of_test")) {
        split.valid_row_of_test = static_cast<int>(table.Choice("valid_rows_of_test", {"even", "odd"}, 0));
        if (!table.Has("test_files")) table.Fail("valid_rows_of_test", "there are no test_files");
        table.Forbid("valid", "the valid split comes from the test files");
        table.Forbid("valid_files", "the valid split comes from the test files");
      }
      return;
    }
    table.Forbid("valid_rows_of_test", "there are no test_files");
    if (table.Has("time")) {
      split.kind = SplitSchema::Kind::kTime;
      split.time = Column(table, "time");
      table.Forbid("test", "test_from says which rows are the test split");
      if (!table.Has("test_from"))
        table.Fail("time", "\"time\" needs test_from: the first moment of the test split");
      split.test_from = Bound(table, "test_from");
      if (!table.Has("valid_from")) return;
      table.Forbid("valid", "valid_from says which rows are the valid split");
      split.valid_from = Bound(table, "valid_from");
      const TimeBound &valid = *split.valid_from, &test = split.test_from;
      if (valid.number.has_value() != test.number.has_value()) {
        table.Fail("valid_from", "valid_from and test_from must both be numbers or both be dates");
      } else if (valid.number ? *valid.number >= *test.number : valid.text >= test.text) {
        table.Fail("valid_from", "valid_from must lie before test_from");
      }
      return;
    }
    table.Forbid("test_from", "there is no time column (time = \"...\")");
    table.Forbid("valid_from", "there is no time column (time = \"...\")");
  }

  ColumnReference Column(const TomlTable& table, const char* key) {
    return ReadColumn(table, key, schema_.header);
  }

  std::optional<ColumnReference> OnlyColumn(const TomlTable& table) {
    if (!table.exists()) return std::nullopt;
    table.AllowOnly({"column"});
    if (!table.Has("column")) table.Fail(nullptr, table.what() + " needs column = \"...\"");
    return Column(table, "column");
  }

  // `name` and `column`: each is the other's default.
  std::pair<std::string, ColumnReference> NameAndColumn(const TomlTable& table) {
    std::string name = table.Text("name", "");
    ColumnReference column;
    if (table.Has("column")) {
      column = Column(table, "column");
      if (!table.Has("name")) {
        name = column.name;
        if (name.empty()) table.Fail(nullptr, table.what() + " needs a name: its column is a number");
      }
    } else if (!table.Has("name")) {
      table.Fail(nullptr, table.what() + " needs a name and a column");
    } else {
      column = Column(table, "name");
    }
    return {name, column};
  }

  void ReadFeature(const TomlTable& table) {
    table.AllowOnly({"name", "column", "type", "scale", "bins", "clip", "separator", "pooled", "max_length",
                     "vocabulary", "ngrams", "length"});
    FeatureSchema feature;
    std::tie(feature.name, feature.column) = NameAndColumn(table);
    if (!IsFeatureName(feature.name))
      table.Fail("name", "a feature's name may not be empty or hold control characters");
    if (!feature_names_.insert(feature.name).second) {
      table.Fail("name", "a feature called \"" + feature.name + "\" is there already");
    }
    if (!table.Has("type")) table.Fail(nullptr, "feature \"" + feature.name + "\" needs a type");
    const std::size_t type =
        table.Choice("type", {"numeric", "categorical", "bag", "sequence", "text", "vector"}, 0);
    constexpr FeatureType kTypes[] = {FeatureType::kNumeric, FeatureType::kCategorical, FeatureType::kBag,
                                      FeatureType::kBag,     FeatureType::kBag,         FeatureType::kVector};
    feature.type = kTypes[type];
    feature.sequence = type == 3;
    const bool text = type == 4, vector = type == 5;
    if (feature.type == FeatureType::kNumeric) {
      feature.scale =
          static_cast<NumericScale>(table.Choice("scale", {"standard", "log1p", "minmax", "none"}, 0));
      feature.bins = static_cast<std::uint32_t>(table.Integer("bins", 0, 2, 1024));
      if (table.Has("clip")) {
        std::vector<double> clip = table.Numbers("clip");
        if (clip.size() == 2 && clip[0] >= 0 && clip[0] < clip[1] && clip[1] <= 1) {
          feature.clip = {clip[0], clip[1]};
        } else {
          table.Fail("clip", "\"clip\" must be two shares, [low, high] with 0 <= low < high <= 1");
        }
      }
    } else {
      for (const char* key : {"bins", "clip"}) table.Forbid(key, "only numeric features have it");
      if (!vector) table.Forbid("scale", "only numeric features and vectors have it");
    }
    if (vector) {
      feature.scale =
          table.Choice("scale", {"standard", "none"}, 0) == 0 ? NumericScale::kStandard : NumericScale::kNone;
      if (!table.Has("length")) table.Fail(nullptr, "vector \"" + feature.name + "\" needs a length");
      feature.length = static_cast<std::uint32_t>(table.Integer("length", 1, 1, kMaxVectorLength));
    } else {
      table.Forbid("length", "only vectors have it");
    }
    if (text) {
      feature.ngrams = static_cast<std::uint32_t>(table.Integer("ngrams", 2, 1, 4));
    } else {
      table.Forbid("ngrams", "only texts have it");
    }
    if ((feature.type == FeatureType::kBag && !text) || vector) {
      feature.separator = table.Text("separator", "|");
      if (feature.separator.empty()) table.Fail("separator", "an empty separator");
    } else {
      table.Forbid("separator", "only bags, sequences and vectors have it");
    }
    if (feature.type == FeatureType::kBag) {
      feature.pooling = static_cast<Pooling>(table.Choice("pooled", {"mean", "sum"}, 0));
    } else {
      table.Forbid("pooled", "only bags, sequences and texts have it");
    }
    if (feature.sequence) {
      feature.max_length = static_cast<std::uint32_t>(table.Integer("max_length", 64, 1, 4096));
    } else {
      table.Forbid("max_length", "only sequences have it");
    }
    if (feature.type == FeatureType::kNumeric || vector) {
      table.Forbid("vocabulary", "only categorical features, bags, sequences and texts have it");
    } else if (table.Has("vocabulary")) {
      feature.vocabulary = table.Text("vocabulary", "");
      vocabularies_.push_back({table, feature.vocabulary});
    }
    schema_.features.push_back(std::move(feature));
  }

  // Each names a feature that has keys of its own.
  void CheckVocabularies() {
    std::vector<std::string> names;
    for (const FeatureSchema& feature : schema_.features) {
      if (feature.type != FeatureType::kNumeric && feature.type != FeatureType::kVector &&
          feature.vocabulary.empty())
        names.push_back(feature.name);
    }
    for (const auto& [table, name] : vocabularies_) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      table.Fail("vocabulary", "no categorical feature, bag, sequence or text \"" + name +
                                   "\" has a vocabulary of its own" + DidYouMean(name, names));
    }
  }

  void ReadTask(const TomlTable& table) {
    table.AllowOnly({"name", "column", "type", "positive", "negative", "classes", "event", "periods"});
    TaskSchema task;
    std::tie(task.name, task.column) = NameAndColumn(table);
    if (!IsTaskName(task.name)) {
      table.Fail("name",
                 "a task's name may hold letters, digits, _ and - only (it names columns of score files)");
    }
    if (!task_names_.insert(task.name).second) {
      table.Fail("name", "a task called \"" + task.name + "\" is there already");
    }
    if (!table.Has("type")) table.Fail(nullptr, "task \"" + task.name + "\" needs a type");
    task.type = static_cast<TaskType>(
        table.Choice("type", {"binary", "multiclass", "regression", "value", "hazard", "count"}, 0));
    task.positive = table.Texts("positive");
    task.negative = table.Texts("negative");
    task.classes = table.Texts("classes");
    if (task.type != TaskType::kBinary) {
      for (const char* key : {"positive", "negative"}) table.Forbid(key, "only binary tasks have it");
    } else {
      if (table.Has("positive") && task.positive.empty())
        table.Fail("positive", "an empty list: no row could be positive");
      if (table.Has("negative") && task.positive.empty())
        table.Fail("negative", "\"negative\" needs \"positive\"");
      for (const std::string& value : task.negative) {
        if (std::count(task.positive.begin(), task.positive.end(), value) > 0) {
          table.Fail("negative", "\"" + value + "\" cannot be positive and negative");
        }
      }
    }
    if (task.type != TaskType::kMulticlass) {
      table.Forbid("classes", "only multiclass tasks have it");
    } else if (table.Has("classes")) {
      std::set<std::string> distinct(task.classes.begin(), task.classes.end());
      if (distinct.size() < 2 || distinct.size() != task.classes.size()) {
        table.Fail("classes", "\"classes\" must be two or more different texts");
      }
    }
    if (task.type != TaskType::kHazard) {
      for (const char* key : {"event", "periods"}) table.Forbid(key, "only hazard tasks have it");
    } else {
      for (const char* key : {"event", "periods"}) {
        if (!table.Has(key))
          table.Fail(nullptr, "task \"" + task.name + "\" needs " + key +
                                  (key == std::string("event")
                                       ? ": the column that says whether the event happened (1) or not (0)"
                                       : ": how many are told apart"));
      }
      task.event = Column(table, "event");
      task.periods =
          static_cast<std::uint32_t>(table.Integer("periods", kMinPeriods, kMinPeriods, kMaxPeriods));
    }
    schema_.tasks.push_back(std::move(task));
  }

  TomlDocument* document_;
  std::string data_directory_;
  Schema schema_;
  std::set<std::string> all_files_, feature_names_, task_names_;
  std::vector<std::pair<TomlTable, std::string>> vocabularies_;  // named, and where
};

}  // namespace

bool IsFeatureName(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
  });
}

ColumnReference ReadColumn(const TomlTable& table, const char* key, bool header) {
  ColumnReference column;
  column.where = table.Where(key);
  std::optional<TomlScalar> scalar = table.Scalar(key);
  if (!scalar) return column;
  if (scalar->is_number) {
    column.number = scalar->is_integer ? scalar->integer : -1;
    if (column.number < 0) table.Fail(key, "a column is a name, or a whole number from 0");
    return column;
  }
  column.name = scalar->text;
  if (column.name.empty()) table.Fail(key, "an empty column name");
  if (!header) {
    table.Fail(key, "the files have no header (header = false), so columns are numbers from 0, not \"" +
                        column.name + "\"");
  }
  return column;
}

std::vector<std::string> ReadFiles(const TomlTable& table, const char* key, const std::string& directory,
                                   std::set<std::string>* named) {
  std::vector<std::string> files = table.Texts(key);
  if (table.Has(key) && files.empty()) table.Fail(key, std::string("\"") + key + "\" names no file");
  for (std::string& file : files) {
    if (file.empty()) table.Fail(key, "an empty file name");
    if (!file.starts_with("/")) file = directory + "/" + file;
    if (!named->insert(file).second) table.Fail(key, file + " is named twice; its rows would count twice");
  }
  return files;
}

void ReadCsvOptions(const TomlTable& table, CsvOptions* csv, std::vector<std::string>* missing) {
  const auto one_byte = [&](const char* key, char otherwise, bool may_be_empty) {
    std::string text = table.Text(key, std::string(1, otherwise));
    if (text.empty() && may_be_empty) return '\0';
    if (text.size() != 1 || text == "\n" || text == "\r" || text == std::string(1, '\0')) {
      table.Fail(key, std::string("\"") + key + "\" must be one byte (\"\\t\" for a tab), no line end");
      return otherwise;
    }
    return text[0];
  };
  csv->delimiter = one_byte("delimiter", ',', false);
  csv->quote = one_byte("quote", '"', true);
  csv->trim = table.Flag("trim", true);
  if (csv->delimiter == csv->quote) table.Fail("quote", "delimiter and quote are the same byte");
  if (table.Has("missing")) *missing = table.Texts("missing");
}

Result<std::ptrdiff_t> FindColumn(const ColumnReference& column, const std::string& file, std::size_t width,
                                  const std::vector<std::string>& header) {
  if (column.name.empty()) {
    if (column.number < static_cast<std::int64_t>(width)) return static_cast<std::ptrdiff_t>(column.number);
    return InvalidInput(column.where + ": column " + column.Text() + " does not exist: " + file + " has " +
                        std::to_string(width) + " columns, 0 to " + std::to_string(width - 1) +
                        (width == 1 ? "; is the delimiter right?" : ""));
  }
  auto found = std::find(header.begin(), header.end(), column.name);
  if (found == header.end()) {
    return InvalidInput(column.where + ": column " + column.Text() + " is not in the header of " + file +
                        DidYouMean(column.name, header) + (width == 1 ? "; is the delimiter right?" : ""));
  }
  if (std::find(found + 1, header.end(), column.name) != header.end()) {
    return InvalidInput(column.where + ": column " + column.Text() + " is more than once in the header of " +
                        file + "; name it by its number");
  }
  return found - header.begin();
}

Result<Schema> ParseSchema(const std::string& text, const std::string& path,
                           const std::string& data_directory) {
  COHORT_ASSIGN_OR_RETURN(std::unique_ptr<TomlDocument> document, TomlDocument::Parse(text, path));
  return SchemaParser(document.get(), data_directory.empty() ? DirectoryOf(path) : data_directory)
      .Parse(path);
}

Result<Schema> LoadSchema(const std::string& path, const std::string& data_directory) {
  COHORT_ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMaxSchemaBytes));
  return ParseSchema(text, path, data_directory);
}

Result<ColumnBinding> BindColumns(const Schema& schema, const std::string& file, std::size_t width,
                                  const std::vector<std::string>& header, bool labels_may_be_absent) {
  COHORT_CHECK(width > 0);
  ColumnBinding binding;
  binding.width = width;
  auto bind = [&](const std::optional<ColumnReference>& column, std::ptrdiff_t* index) -> Status {
    if (!column) return {};
    COHORT_ASSIGN_OR_RETURN(*index, FindColumn(*column, file, width, header));
    return {};
  };
  COHORT_RETURN_IF_ERROR(bind(schema.id, &binding.id));
  COHORT_RETURN_IF_ERROR(bind(schema.weight, &binding.weight));
  COHORT_RETURN_IF_ERROR(bind(schema.group, &binding.group));
  COHORT_RETURN_IF_ERROR(bind(schema.split.hash_of, &binding.hash_of));
  // Rows of test files are where they are; only training files are split by time.
  COHORT_RETURN_IF_ERROR(bind(schema.split.time, &binding.time));

  // Which task a column belongs to: no other task and no feature may have it (it would leak the label).
  std::map<std::ptrdiff_t, const TaskSchema*> labels;
  const auto bind_label = [&](const TaskSchema& task, const ColumnReference& column,
                              std::vector<std::ptrdiff_t>* indices) -> Status {
    auto index = FindColumn(column, file, width, header);
    const bool named = std::find(header.begin(), header.end(), column.name) != header.end();
    if (!index && labels_may_be_absent && !column.name.empty() && !named) {
      indices->push_back(-1);
      return {};
    }
    if (!index) return index.error();
    auto [other, is_new] = labels.emplace(*index, &task);
    if (!is_new) {
      return {ErrorCode::kInvalidInput, column.where + ": column " + column.Text() +
                                            " is the label of task \"" + other->second->name +
                                            "\" already; a column may feed one task only"};
    }
    indices->push_back(*index);
    return {};
  };
  for (const TaskSchema& task : schema.tasks) {
    COHORT_RETURN_IF_ERROR(bind_label(task, task.column, &binding.tasks));
    if (task.event) {
      COHORT_RETURN_IF_ERROR(bind_label(task, *task.event, &binding.events));
    } else {
      binding.events.push_back(-1);
    }
  }
  for (const FeatureSchema& feature : schema.features) {
    COHORT_ASSIGN_OR_RETURN(std::ptrdiff_t index, FindColumn(feature.column, file, width, header));
    if (auto label = labels.find(index); label != labels.end()) {
      return InvalidInput(feature.column.where + ": column " + feature.column.Text() +
                          " is the label of task \"" + label->second->name +
                          "\"; it may not be a feature, too");
    }
    if (index == binding.weight) {
      return InvalidInput(feature.column.where + ": column " + feature.column.Text() +
                          " is the weight; it may not be a feature, too");
    }
    binding.features.push_back(index);
  }
  if (binding.weight >= 0 && labels.count(binding.weight) > 0) {
    return InvalidInput(schema.weight->where + ": the weight's column is the label of task \"" +
                        labels[binding.weight]->name + "\", too");
  }
  if (binding.group >= 0 && labels.count(binding.group) > 0) {
    return InvalidInput(schema.group->where + ": the group's column is the label of task \"" +
                        labels[binding.group]->name + "\", too");
  }
  return binding;
}

}  // namespace cohort
