// ShopParts: the rows of a shop made part by part (common/partitions.h), perhaps by other processes, that read no logs.
//
// One process, the command's own, reads and cleans the logs; it hands over what was known of items, and the cleaned records. A part is
// the rows of some partitions of EventStore: kRowsOfPart or so at the most (or those of one partition), in kFewestParts parts or more.
// Rows are the same, in the same order, as ShopRows::Write gives them.
#ifndef COHORT_LIFECYCLE_SHOP_PARTS_H_
#define COHORT_LIFECYCLE_SHOP_PARTS_H_

#include <cstdint>
#include <functional>

#include "common/partitions.h"
#include "common/status.h"
#include "lifecycle/shop_rows.h"
#include "lifecycle/shop_schema.h"
#include "prepare/row_part.h"

namespace cohort {

struct ShopParts {
  static constexpr std::uint64_t kRowsOfPart = 4096;  // a few megabytes
  static constexpr std::uint64_t kFewestParts = 16;

  const ShopSchema& schema;
  std::uint64_t schema_checksum;  // of the description: other processes load their own
  ShopRows& rows;
  std::function<Status()> read;                     // fills and cleans `rows`; not called in a worker
  std::function<Status(const RowPart& part)> take;  // in their order, in the process that has read

  // Makes and takes all rows. In a worker of a job it returns errors only, as Partitions::Run does. One thread. Memory: beside that
  // of `rows` the bytes of what is known of items while they are handed over, and a few times those of one part. Errors: those of
  // `read`, `take` and the processes; kCorrupt, what another one has written is not what is found.
  Status Write(Partitions& partitions) const;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_SHOP_PARTS_H_
