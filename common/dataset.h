// DATASET.h5: what `cohort prepare` writes and everything else reads.
//
// A dataset has up to three splits (train, valid, test). A split holds its rows in input order, in blocks of
// kBlockRows rows. Values are kept raw (a model brings its own scaling, taken from the data it was trained
// on):
//   numeric      float per feature, NaN = missing
//   categorical  one Key per feature: XXH3 hash of (feature name, text); a missing cell is a key of its own
//   bag          a list of Keys per feature and row; "sequence" bags keep the order
//   vector       `length` floats per feature, all NaN = missing
//   label        float per task, NaN = missing; binary 0/1; multiclass the class index; hazard t: the event happened in period
//                t (from 1), -t: censored after t whole periods without it (1 <= t <= periods)
//   weight       float, > 0; absent: all 1
//   id           text; absent: the row number stands for it
//   group        of the valid and test split only: the number of the row's group within its split, from 0 in the
//                order of the rows (a user's impressions: GroupRanking); rows of a group follow each other. kNoGroup:
//                the row is of none
//   row          the number of the row's record, from 0, within the files it came from ([source] files,
//   valid_files and
//                test_files each count on their own; dropped records count)
//
// File layout (format 1), attributes on the root: format, description (JSON: DatasetInfo). Per split a group
// with
//   numeric (rows, n) f32 | categorical (rows, m) u64 | label (rows, t) f32 | weight (rows) f32 | row (rows)
//   u64: row number in the input | bag_<i>_offsets (rows+1) u64, bag_<i>_keys (total) u64 | vector_<i> (rows, length)
//   f32 | id_offsets (rows+1) u64, id_bytes u8 | group (rows) u64 (not train)
// and the group names (absent in older files), texts of categorical values in the order of their keys:
//   keys (n) u64 | offsets (n+1) u64 | bytes u8
// Object times are off, so that equal inputs give equal bytes.
#ifndef COHORT_COMMON_DATASET_H_
#define COHORT_COMMON_DATASET_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "common/types.h"

namespace cohort {

inline constexpr std::uint32_t kBlockRows = 1024;
inline constexpr int kDatasetFormat = 1;
inline constexpr std::uint64_t kNoGroup = ~std::uint64_t{0};
inline constexpr std::uint32_t kMaxVectorLength = 8192;
inline constexpr std::uint32_t kMinPeriods = 2, kMaxPeriods = 120;  // of a hazard task

enum class FeatureType : std::uint8_t { kNumeric = 0, kCategorical, kBag, kVector };
enum class Pooling : std::uint8_t { kMean = 0, kSum };
enum class NumericScale : std::uint8_t { kStandard = 0, kLog1p, kMinMax, kNone };
enum class TaskType : std::uint8_t { kBinary = 0, kMulticlass, kRegression, kValue, kHazard, kCount };
const char* TaskTypeName(TaskType type);
// Else a number of the label's own kind.
inline bool PredictsProbability(TaskType type) {
  return type != TaskType::kRegression && type != TaskType::kValue && type != TaskType::kCount;
}

// A feature of the schema, with what was measured on the train split.
struct FeatureInfo {
  std::string name;
  FeatureType type = FeatureType::kNumeric;
  NumericScale scale = NumericScale::kStandard;
  Pooling pooling = Pooling::kMean;
  bool sequence = false;   // a bag that keeps the order, oldest first
  std::string vocabulary;  // the feature whose keys the values have; empty: its own (a missing cell's key is always its own)
  std::uint32_t ngrams = 0;  // of a text's words, as a bag; 0: no text
  std::uint32_t length = 0;  // of a vector
  // numeric and vector (over all its values together), over the non-missing values of the train split; log1p: mean and deviation are of
  // sign(x)*log1p(|x|). A deviation of 0 is written as 1, here and in TaskInfo: one may divide by it.
  double mean = 0, deviation = 1, minimum = 0, maximum = 0;
  std::uint64_t missing = 0;  // missing cells in the train split
  std::vector<float>
      bin_edges;        // bins = n: at most n-1 inner quantile edges, ascending; the bin is embedded too
  double distinct = 0;  // estimated distinct values of the train split
};

// A numeric feature's value in deviations from its mean, of log1p(|x|) sign(x) where that is its scale; 0 where it is missing.
double StandardScore(const FeatureInfo& feature, float value);

struct TaskInfo {
  std::string name;
  TaskType type = TaskType::kBinary;
  std::vector<std::string> classes;  // multiclass, by index
  // over the labelled rows of the train split, weighted: binary: the rate; multiclass: rates; regression,
  // value, count: mean and deviation; value also the share above 0 and mean and deviation of the logarithm of
  // the positive ones
  double mean = 0, deviation = 1;
  double positive_share = 0, log_mean = 0, log_deviation = 1;
  std::vector<double> class_rates;
  std::uint64_t labelled = 0;
  // hazard: by period the share of the weight that was at risk in it, and of that the share with the event (0 where nobody
  // was at risk). `mean` is then what they come to: P(event by the last period) (Kaplan & Meier 1958).
  std::uint32_t periods = 0;
  std::vector<double> at_risk, hazards;

  // multiclass: the class's probability, one per class; hazard: P(event by the end of the period), one per period; else 1
  std::uint32_t PredictionColumns() const {
    if (type == TaskType::kHazard) return periods;
    return type == TaskType::kMulticlass ? static_cast<std::uint32_t>(classes.size()) : 1;
  }
  // Of the columns: TASK.CLASS, TASK.PERIOD (from 1), else TASK.
  std::vector<std::string> PredictionNames() const;
};

// What the label of a hazard task says.
struct HazardLabel {
  bool event = false;
  std::uint32_t period = 0;  // of the event, or the last one that was seen to its end without it
};
inline bool IsHazardLabel(float label, std::uint32_t periods) {
  const float period = label < 0 ? -label : label;
  return period >= 1 && period <= static_cast<float>(periods) &&
         period == static_cast<float>(static_cast<std::uint32_t>(period));
}
// REQUIRES: IsHazardLabel.
inline HazardLabel HazardLabelOf(float label) {
  return {label > 0, static_cast<std::uint32_t>(label < 0 ? -label : label)};
}
// P(event by the end of each period) of such hazards: it never falls, and never exceeds 1.
std::vector<double> EventShares(const std::vector<double>& hazards);

struct DatasetInfo {
  std::vector<FeatureInfo> features;  // in schema order
  std::vector<TaskInfo> tasks;
  bool has_weight = false;
  bool has_id = false;
  bool has_group = false;
  bool HasGroups(Split split) const { return has_group && split != Split::kTrain; }
  std::array<std::uint64_t, kSplitCount> rows{};  // by split
  // By split: rows are numbered by input_rows within files, valid_files or test_files of the schema (0, 1, 2), whichever they
  // come from.
  std::array<std::uint8_t, kSplitCount> files{};
  // Positions of features among those of their type: the column in `numeric`, `categorical`, or the bag's or
  // vector's number.
  std::uint32_t ColumnOf(std::size_t feature) const;
  std::uint32_t CountOf(FeatureType type) const;
  std::vector<std::uint32_t> VectorLengths() const;  // by vector
};
std::string ToJson(const DatasetInfo& info);
Result<DatasetInfo> DatasetInfoFromJson(const std::string& text);

// The keys of one feature, with the hash of its name taken once: for loops over many cells.
class FeatureKeys {
 public:
  explicit FeatureKeys(std::string_view feature);
  Key Category(std::string_view value) const;
  Key Missing() const;
  Key Bin(int bin) const;
  std::uint64_t seed() const { return seed_; }

 private:
  std::uint64_t seed_;
};

// The quantile bin of a value: how many of the ascending edges are <= value, so 0 .. edges.size(); NaN: -1.
int BinOf(std::span<const float> edges, float value);

// The Key of a categorical or bag value, and of a missing cell, and of a numeric feature's quantile bin (bin
// -1: missing).
Key CategoryKey(const std::string& feature, std::string_view value);
Key MissingKey(const std::string& feature);
Key BinKey(const std::string& feature, int bin);

// Consecutive rows of a split, column-wise as in the file. Memory is reused from one read to the next.
struct RowBlock {
  std::uint64_t first_row = 0;
  std::uint32_t rows = 0;
  std::vector<float> numeric;                           // rows x numeric features
  std::vector<Key> categorical;                         // rows x categorical features
  std::vector<std::vector<std::uint64_t>> bag_offsets;  // by bag: rows + 1, from 0
  std::vector<std::vector<Key>> bag_keys;
  std::vector<std::vector<float>> vectors;  // by vector: rows x length
  std::vector<float> labels;              // rows x tasks
  std::vector<float> weights;             // rows, or empty
  std::vector<std::uint64_t> input_rows;  // rows: the row number in the input
  std::vector<std::string> ids;           // rows, or empty; read only on request
  std::vector<std::uint64_t> groups;      // rows, or empty (train, or no groups)
};

// Texts of categorical values by their keys: of features with few values only (NameTable).
using DatasetNames = std::map<Key, std::string>;

// Reads a dataset. One thread at a time (HDF5 has one lock); each process may open the file.
class DatasetReader {
 public:
  static Result<std::unique_ptr<DatasetReader>> Open(const std::string& path);
  virtual ~DatasetReader() = default;
  virtual const DatasetInfo& info() const = 0;
  // Reads rows [first, first + count) of a split into `block`, replacing what it held.
  // REQUIRES: first + count <= info().rows[split].
  virtual Status Read(Split split, std::uint64_t first, std::uint32_t count, bool with_ids,
                      RowBlock* block) = 0;
  // Empty when the file has none.
  virtual Result<DatasetNames> ReadNames() { return DatasetNames(); }
};

// Writes a dataset, row blocks in input order per split. The file appears under its name only when Finish
// succeeds; until then it is PATH.tmp, removed by the destructor.
class DatasetWriter {
 public:
  // `info` gives shapes (features' types, tasks, has_weight, has_id, has_group); its statistics are taken from Finish's.
  static Result<std::unique_ptr<DatasetWriter>> Create(const std::string& path, const DatasetInfo& info);
  virtual ~DatasetWriter() = default;
  virtual Status Append(Split split, const RowBlock& block) = 0;
  // At most once.
  virtual Status AddNames(const DatasetNames& names) = 0;
  virtual Status Finish(const DatasetInfo& info) = 0;
};

}  // namespace cohort

#endif  // COHORT_COMMON_DATASET_H_
