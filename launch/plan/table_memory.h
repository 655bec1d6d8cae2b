// What the rows of a table take in the memory of a shard, from the classes that hold them: the index is measured (row_index.h), rows lie
// in slabs (embedding_table.h, prefaulted_slabs.h), and a model is written in blocks (model_part.h).
#ifndef COHORT_LAUNCH_PLAN_TABLE_MEMORY_H_
#define COHORT_LAUNCH_PLAN_TABLE_MEMORY_H_

#include "common/status.h"
#include "common/table_spec.h"

namespace cohort {

// Bytes.
struct TableMemory {
  double rows = 0;   // slabs, as far as their pages are touched
  double spare = 0;  // slabs made ahead
  double index = 0;
  double total() const { return rows + spare + index; }
};

// What the index of a table of `rows` rows takes, over all shards: measured, in a process of its own, on an index that is filled in
// random order, with what the allocator adds and what growing leaves behind. Of a large table some slot groups are filled. REQUIRES:
// this process has one thread (it forks).
Result<double> RehearseIndex(double rows, bool statistics);

// `rows`: of one shard, and `index` the bytes of its part of the index.
TableMemory PlanTable(const TableSpec& table, double rows, double index);

// Rows on the disk, in a file of the model or of a checkpoint: keys, weights and state as floats.
double FileBytes(const TableSpec& table, double rows);
// What writing a shard's rows into a model takes meanwhile: the keys in order, rows as floats, the file's blocks.
double WritingBytes(const TableSpec& table, double rows);

// What writing a part of a checkpoint takes: rows that wait, rows as floats, the file's blocks.
double PartBytes(const TableSpec& table, double rows);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_TABLE_MEMORY_H_
