// Which table each field's embeddings lie in ([feature.NAME] of the run file), and the runs of fields that a lookup reads at once.
#ifndef COHORT_WORKER_MODEL_FIELD_TABLES_H_
#define COHORT_WORKER_MODEL_FIELD_TABLES_H_

#include <cstdint>
#include <vector>

#include "common/config.h"
#include "common/status.h"
#include "worker/model/model.h"

namespace cohort {

// Every table is pulled and pushed by itself.
inline constexpr std::size_t kMaxFieldTables = 64;

// Of a spec whose fields are known (BuildModelSpec): makes its tables, and gives each field its place in one. Pooled fields of
// one table come to stand side by side. Errors (kInvalidInput): a [feature.NAME] that the data does not have, or that has no
// embedding; features that share rows, or are compared, and differ in what these are like; too many tables.
Status AssignTables(const RunConfig& config, ModelSpec* spec);

// Neighbouring fields of one table.
struct FieldRun {
  std::uint32_t field = 0, fields = 0;  // in ModelSpec::fields
  std::uint32_t table = 0, place = 0;   // of the first of them
  std::uint32_t soft = 0;               // fields with shares among all before the first
};
// The fields [first, first + count), cut into runs.
std::vector<FieldRun> FieldRuns(const ModelSpec& spec, std::uint32_t first, std::uint32_t count);

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_FIELD_TABLES_H_
