// What the rows of a table take in the memory of a shard, from the classes that hold them: the index is asked (row_index.h), rows lie
// in slabs (embedding_table.h, prefaulted_slabs.h), and a model is written in blocks (model_part.h).
#ifndef COHORT_LAUNCH_PLAN_TABLE_MEMORY_H_
#define COHORT_LAUNCH_PLAN_TABLE_MEMORY_H_

#include "common/table_spec.h"

namespace cohort {

// Bytes.
struct TableMemory {
  double rows = 0;   // slabs, as far as their pages are touched
  double spare = 0;  // slabs made ahead
  double index = 0;
  double total() const { return rows + spare + index; }
};

// `rows`: of one shard, which holds `groups` slot groups.
TableMemory PlanTable(const TableSpec& table, double rows, int groups);

// Rows on the disk, in a file of the model or of a checkpoint: keys, weights and state as floats.
double FileBytes(const TableSpec& table, double rows);
// What writing a shard's rows into a model takes meanwhile: the keys in order, rows as floats, the file's blocks.
double WritingBytes(const TableSpec& table, double rows);

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_TABLE_MEMORY_H_
