// SCHEMA.toml: how the rows of CSV files become features, labels and splits. Every key, with its default:
//
//   [source]
//   files     = ["a.csv", ...]   training rows (and the others, unless test_files); relative to the schema; .gz or plain
//   header    = true             false: columns are numbers from 0
//   delimiter = ","              one byte
//   quote     = "\""             one byte; "" when quotes have no meaning
//   trim      = true             spaces and tabs around a cell
//   missing   = [""]             cells that mean "not known"
//   [split]                      one of test_files, time, hash_of or none (hash of the whole row)
//   test_files  = [...]          their rows are the test split
//   valid_files = [...]          only with test_files
//   valid_rows_of_test = "even"  | "odd": these rows of the test files, counted from 0, are the valid split
//   time      = "column"         rows from test_from on are the test split, before it from valid_from on the valid split;
//   test_from = 20111001         a number: times are numbers; a text like "2011-10-01": times are texts that sort by time
//   valid_from                   (ISO 8601: YYYY-MM-DD, with or without a time of day)
//   hash_of   = "column"         rows with equal values of the column fall into the same split
//   test      = 0                share of the rows, by hash (not with test_files or time)
//   valid     = 0                share of the rows (with test_files or time: of the training rows), by hash
//   [id]      column
//   [weight]  column
//   [group]   column             what rows are ranked within (a user's impressions): adjacent rows of valid and test
//   [[feature]]
//   name      = column's name    column = name, or a number from 0
//   type      = "numeric" | "categorical" | "bag" | "sequence" | "text" | "vector"
//   scale     = "standard"       | "log1p" | "minmax" | "none"; numeric; of a vector: "standard" | "none"
//   bins      = 0                2 .. 1024: also embed the quantile bin; numeric
//   clip      = [0.001, 0.999]   (none) limit values to these quantiles of the training rows; numeric
//   separator = "|"              of a bag's or sequence's items, or a vector's numbers
//   pooled    = "mean"           | "sum"; bag, sequence and text
//   ngrams    = 2                1 .. 4: words, and runs of up to so many words; text
//   length    (required)         1 .. 8192 numbers; vector
//   max_length = 64              1 .. 4096: the latest items are kept, and rows cut are counted; sequence
//   vocabulary = "item"          (own) the feature whose values and embeddings these are; categorical, bag and sequence
//   [[task]]
//   name, column (as of features)
//   type      = "binary" | "multiclass" | "regression" | "value" (zero-inflated, >= 0) | "hazard" | "count" (>= 0)
//   positive  = [...]            binary: cells that mean 1. None: 1/0, true/false, yes/no
//   negative  = [...]            binary, with positive: cells that mean 0. None: all others
//   classes   = [...]            multiclass, in this order. None: those of the training rows, sorted
//   event     (required)         hazard: the column that says whether the event happened (1/0, true/false, yes/no): in the
//                                period that `column` says, from 1; else that column holds the whole periods without it
//   periods   (required)         hazard: 2 .. 120; rows that were seen longer are censored at its end
#ifndef COHORT_PREPARE_SCHEMA_H_
#define COHORT_PREPARE_SCHEMA_H_

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"
#include "prepare/csv_reader.h"

namespace cohort {

// A column as the schema names it, and where ("schema.toml:12:10"), for errors that only the CSV's header can
// show.
struct ColumnReference {
  std::string name;          // empty: by number
  std::int64_t number = -1;  // from 0
  std::string where;
  std::string Text() const { return name.empty() ? std::to_string(number) : "\"" + name + "\""; }
};

class TomlTable;

// What descriptions of CSV files have in common; errors go to the table's document.
//
// The column that `key` names; without a header columns are numbers.
ColumnReference ReadColumn(const TomlTable& table, const char* key, bool header);
// The files that `key` names, complete; relative ones lie in `directory`. A file that is in `named` already is an error.
std::vector<std::string> ReadFiles(const TomlTable& table, const char* key, const std::string& directory,
                                   std::set<std::string>* named);
// The keys delimiter, quote, trim and missing.
void ReadCsvOptions(const TomlTable& table, CsvOptions* csv, std::vector<std::string>* missing);
// The index of a column in a file of `width` columns with these names (none: no header); kInvalidInput with the
// description's place when it is not there, or there twice.
Result<std::ptrdiff_t> FindColumn(const ColumnReference& column, const std::string& file, std::size_t width,
                                  const std::vector<std::string>& header);

// Whether a name can stand in output files, JSON and command lines.
bool IsFeatureName(const std::string& name);
inline constexpr std::size_t kMaxSchemaBytes = std::size_t{1} << 21;  // its tree takes up to 100 times that

struct FeatureSchema {
  std::string name;
  ColumnReference column;
  FeatureType type = FeatureType::kNumeric;
  bool sequence = false;
  NumericScale scale = NumericScale::kStandard;
  std::uint32_t bins = 0;
  std::optional<std::array<double, 2>> clip;
  std::string separator = "|";
  Pooling pooling = Pooling::kMean;
  std::uint32_t max_length = 0;  // of a sequence; 0: no limit
  std::uint32_t ngrams = 0;      // of a text, which is a bag of them; 0: no text
  std::uint32_t length = 0;      // of a vector
  std::string vocabulary;        // the feature whose keys these are; empty: its own
};

struct TaskSchema {
  std::string name;
  ColumnReference column;
  TaskType type = TaskType::kBinary;
  std::vector<std::string> positive, negative, classes;
  std::optional<ColumnReference> event;  // hazard
  std::uint32_t periods = 0;
};

// A moment that splits rows: a number, or an ISO 8601 text.
struct TimeBound {
  std::optional<double> number;
  std::string text;
};

struct SplitSchema {
  enum class Kind { kHash, kFiles, kTime };
  Kind kind = Kind::kHash;
  std::vector<std::string> valid_files, test_files;
  int valid_row_of_test = -1;  // 0: the even rows of the test files are valid rows; 1: the odd ones
  std::optional<ColumnReference> hash_of;  // none: the whole row
  std::optional<ColumnReference> time;
  TimeBound test_from;
  std::optional<TimeBound> valid_from;
  double test = 0, valid = 0;
};

struct Schema {
  std::string path;
  std::vector<std::string> files;  // here and in split: complete paths
  bool header = true;
  CsvOptions csv;
  std::vector<std::string> missing = {""};
  SplitSchema split;
  std::optional<ColumnReference> id, weight, group;
  std::vector<FeatureSchema> features;
  std::vector<TaskSchema> tasks;
};

// Reads and checks a schema, without looking at the data. Data files are relative to `data_directory`, or to
// the schema's own directory when it is empty. Errors name line and column and, for unknown names, the
// nearest known one.
Result<Schema> LoadSchema(const std::string& path, const std::string& data_directory = "");
Result<Schema> ParseSchema(const std::string& text, const std::string& path,
                           const std::string& data_directory);

// The columns of one file, by index; -1: not there.
struct ColumnBinding {
  std::size_t width = 0;
  std::vector<std::ptrdiff_t> features, tasks;  // in the schema's order
  std::vector<std::ptrdiff_t> events;           // by task; -1: it has none, or the file lacks its labels
  std::ptrdiff_t id = -1, weight = -1, group = -1, hash_of = -1, time = -1;
};

// Finds the schema's columns in a file of `width` columns with these names (none: no header). Checks that
// each exists, that a name is not ambiguous, and that no column is both a feature and a task, or two tasks.
// `labels_may_be_absent`: a file whose header lacks a task's column has no labels for it (test rows to be
// scored).
Result<ColumnBinding> BindColumns(const Schema& schema, const std::string& file, std::size_t width,
                                  const std::vector<std::string>& header, bool labels_may_be_absent);

}  // namespace cohort

#endif  // COHORT_PREPARE_SCHEMA_H_
