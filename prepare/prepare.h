// CSV files to a dataset: parse, measure, split, write, in one pass over the files. A schema that asks for quantile clipping or
// does not list the classes of a multiclass task costs one more pass before. Memory does not depend on the files' size.
#ifndef COHORT_PREPARE_PREPARE_H_
#define COHORT_PREPARE_PREPARE_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"
#include "prepare/duplicate_counter.h"

namespace cohort {

struct PrepareProgress {
  int pass = 1, passes = 1;
  std::uint64_t bytes = 0, total_bytes = 0;  // of the files as they lie on disk; total 0: unknown
  std::uint64_t rows = 0;
};

struct PrepareOptions {
  std::string schema;          // path of SCHEMA.toml
  std::string output;          // path of DATASET.h5
  std::string report;          // path of the page that the caller will write, of a shop alone; empty: none
  std::string since;  // of a shop: path of its records file, read if it is there, and written; empty: none
  std::string data_directory;  // what data files are relative to; empty: the schema's directory
  bool overwrite = false;      // replace an existing output or page
  bool strict = false;         // any row dropped, cell defaulted or label masked as unusable is an error
  std::function<void(const PrepareProgress&)> progress;  // called every few thousand rows; may be empty
  std::size_t duplicate_memory_rows = DuplicateCounter::kDefaultMemoryRows;
};

// What prepare did to the input instead of using it as it is.
enum class FindingKind {
  // the row was dropped
  kWrongCellCount = 0,
  kBadWeight,  // missing, not a number, not finite, or not above 0
  kBadTime,    // missing, or not of test_from's form
  // of a shop's files (lifecycle/): the event, user, item or contact was dropped
  kMissingUser,
  kUnknownKind,
  kBadEventTime,  // unreadable, before 1970, or from the shop's end on
  kBadPrice,      // not a number, not finite, below 0, or too large
  kBadQuantity,  // not a number, not finite, 0 or too small to count, below 0 where that means no return, or too large
  kDuplicateEvent,
  kDuplicateUser,
  kDuplicateItem,
  kMissingItem,  // an item without id
  kNoLabel,      // a training row without any label
  // the cell of a feature became "missing"
  kNotANumber,
  kNotFinite,
  kWrongLength,  // of a vector
  // the label became "missing"
  kLabelNotANumber,
  kLabelNotFinite,
  kLabelUnknown,    // neither positive nor negative, or of no class
  kLabelNegative,   // of a value task
  kLabelBadPeriod,  // of a hazard task: no whole number, below 0, or an event before the first period
  kLabelUnseen,     // of a hazard task: seen for no whole period, which says nothing
  // the cell of a feature was limited to a quantile, as the schema asks
  kClipped,
  // a sequence was cut to its latest items, as the schema asks
  kShortened,
  // a hazard task's row was seen beyond the last period, and counts as censored at its end
  kCensored,
};
inline constexpr int kFindingKinds = static_cast<int>(FindingKind::kCensored) + 1;
const char* FindingName(FindingKind kind);  // "wrong_cell_count", for programs
const char* FindingText(FindingKind kind);  // for people
bool IsDroppedRow(FindingKind kind);

struct Finding {
  std::uint64_t count = 0;
  std::vector<std::string> places;  // "file:line:column: what", the first few
};

// By kind and by feature or task (empty for rows).
using Findings = std::map<std::pair<FindingKind, std::string>, Finding>;
// For people: a line for each and its first places; of none, that there are none.
std::string ToText(const Findings& findings);

// Something counted that is neither wrong nor lost.
struct ReportCount {
  std::string name;  // "returns_matched", for programs
  std::string text;  // for people, after the number
  std::uint64_t count = 0;
};

struct PrepareReport {
  std::string output;
  DatasetInfo info;                                      // statistics of the train split
  std::array<std::vector<TaskInfo>, kSplitCount> tasks;  // the same measures of the labels of every split
  Findings findings;
  DuplicateCounter::Counts duplicates;
  std::vector<ReportCount> counts;  // of a shop
  // Of a shop with a records file (lifecycle/shop_records_file.h).
  struct Since {
    std::string path;
    bool is_first = false;  // there was none
    std::string why_anew;   // all was read all the same: what had changed, in words; or empty
    std::uint64_t logs_as_they_were = 0, logs_grown = 0, logs_new = 0;
    std::uint64_t records_known = 0, records_read = 0;  // of the logs, with those dropped
  };
  std::optional<Since> since;
  std::vector<std::string> warnings;
  std::uint64_t records = 0;      // read, with those dropped
  std::uint64_t input_bytes = 0;  // of the files as they lie on disk, once
  std::uint64_t output_bytes = 0;
  int passes = 1;
  double seconds = 0, cpu_seconds = 0;

  std::uint64_t Count(FindingKind kind) const;  // over all features or tasks
  std::string ToText() const;
  std::string ToJson() const;  // one object
};

// The output appears under its name only when all went well. Wrong schema or data, an output that exists (without
// overwrite), or a finding under strict: kInvalidInput.
Result<PrepareReport> Prepare(const PrepareOptions& options);

}  // namespace cohort

#endif  // COHORT_PREPARE_PREPARE_H_
