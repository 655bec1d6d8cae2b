// One record of a CSV file to one row of a dataset: split, labels, weight, features.
#ifndef COHORT_PREPARE_ROW_BUILDER_H_
#define COHORT_PREPARE_ROW_BUILDER_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"
#include "prepare/csv_reader.h"
#include "prepare/group_numbers.h"
#include "prepare/name_table.h"
#include "prepare/prepare.h"
#include "prepare/schema.h"
#include "prepare/words.h"

namespace cohort {

// Which list of the schema a file came from.
enum class FileGroup : std::uint8_t { kSource = 0, kValid, kTest };

// A record on its way: where it stands and what its columns are.
struct Record {
  const CsvReader& csv;
  const ColumnBinding& columns;
  FileGroup group;
  std::uint64_t row;   // within the group
  std::uint64_t hash;  // of the whole record
};

// Counts findings and remembers the first places of each. With `strict` the first finding is an error.
class FindingLog {
 public:
  explicit FindingLog(bool strict) : strict_(strict) {}
  void Add(FindingKind kind, const std::string& name, const CsvReader& csv, std::ptrdiff_t cell,
           const std::string& what);
  // The same of something that stands at no cell: `place` says where, and what; not looked at unless WantsPlace.
  void AddPlace(FindingKind kind, const std::string& name, std::string place);
  // Whether one more place of this finding would be kept: else there is no need to find the words.
  bool WantsPlace(FindingKind kind, const std::string& name) const;
  // A cell that was limited or shortened is no error, even when strict: the schema asks for it.
  void AddIntended(FindingKind kind, const std::string& feature, std::uint64_t count = 1) {
    findings_[{kind, feature}].count += count;
  }
  // What another log has found, with its places; when strict, its first is an error here.
  void Add(const Findings& findings);
  // What the data cannot be used with, strict or not: `what` is wrong with a cell.
  void Fail(const CsvReader& csv, std::ptrdiff_t cell, const std::string& what);
  const Status& status() const { return status_; }
  bool strict() const { return strict_; }
  Findings Take() { return std::move(findings_); }

 private:
  const bool strict_;
  Findings findings_;
  Status status_;
};

class RowBuilder {
 public:
  // `schema` and `log` outlive the builder.
  RowBuilder(const Schema& schema, FindingLog* log);

  // What the first pass found: classes per task, limits per feature (in the schema's order). Must be set before Append when
  // the schema does not say them.
  void SetClasses(std::size_t task, const std::vector<std::string>& classes);
  void SetLimits(std::size_t feature, float least, float most);

  // The split of a record; nothing: the row cannot be used, which was logged.
  std::optional<Split> SplitOf(const Record& record);
  bool IsMissing(std::string_view cell) const;
  // Texts of the categorical values so far.
  DatasetNames Names() const { return names_.Names(); }
  // Adds the record to `block`; false: the row was dropped, which was logged. REQUIRES: `split` is SplitOf's.
  bool Append(const Record& record, Split split, RowBlock* block);

 private:
  struct Limits {
    float least, most;
  };
  bool ReadLabels(const Record& record);
  float ReadLabel(std::size_t task, const Record& record, std::string_view cell);
  bool ReadWeight(const Record& record, float* weight);
  std::uint64_t ReadGroup(const Record& record, Split split);
  float ReadNumeric(std::size_t feature, const Record& record, std::string_view cell);
  void ReadBag(std::size_t feature, std::string_view cell, std::vector<Key>* keys);
  // Appends the feature's numbers; all NaN when the cell does not hold them, which is logged.
  void ReadVector(std::size_t feature, const Record& record, std::string_view cell,
                  std::vector<float>* values);
  std::optional<Split> SplitByTime(const Record& record);
  double Share(const Record& record) const;  // uniform in [0, 1), by hash

  const Schema& schema_;
  FindingLog* log_;
  std::uint64_t missing_sizes_ = 0;  // bit n: a text of n bytes (63: or more) means missing
  Words words_;
  std::vector<FeatureKeys> keys_;
  std::vector<Key> missing_keys_;
  NameTable names_;  // by feature
  std::vector<std::optional<Limits>> limits_;
  std::array<GroupNumbers, kSplitCount> groups_;
  std::vector<std::map<std::string, float, std::less<>>> label_values_;  // by task: cell -> label
  std::vector<float> labels_;                                            // of the row at hand
};

}  // namespace cohort

#endif  // COHORT_PREPARE_ROW_BUILDER_H_
