// RowPart: rows of a dataset on their way from the process that makes them to the one that writes them: of all splits, in the order
// in which they were made, since that decides the order of the file's blocks.
#ifndef COHORT_PREPARE_ROW_PART_H_
#define COHORT_PREPARE_ROW_PART_H_

#include <cstdint>
#include <vector>

#include "common/byte_stream.h"
#include "common/dataset.h"

namespace cohort {

struct RowPart {
  std::vector<Split> splits;  // by row
  RowBlock rows;              // as many
};

// Appends rows [first, first + count) of `from` to `to`, which has columns of the same shapes.
// REQUIRES: first + count <= from.rows, and `to` is not `from`.
void AppendRows(const RowBlock& from, std::uint32_t first, std::uint32_t count, RowBlock* to);

void Put(const RowPart& part, ByteWriter* out);
// Replaces what `part` held. False: the bytes are no part of a dataset of these shapes; `part` is of no use then.
bool Get(const DatasetInfo& info, ByteReader* in, RowPart* part);

}  // namespace cohort

#endif  // COHORT_PREPARE_ROW_PART_H_
