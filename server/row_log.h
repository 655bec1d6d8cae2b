// What a Shard knows of logs: someone who takes down which keys were refused a row and which rows went. The
// process writes files (row_log_file.h); tests keep records in memory.
#ifndef COHORT_SERVER_ROW_LOG_H_
#define COHORT_SERVER_ROW_LOG_H_

#include <cstdint>

#include "common/types.h"

namespace cohort {

enum class RowFate : std::uint8_t { kNotAdmitted = 0, kIdle, kMemory };

struct RowRecord {
  RowFate fate = RowFate::kNotAdmitted;
  TableId table = 0;
  Key key = 0;
  Clock clock = 0;          // at whose end it happened
  Clock age = 0;            // clocks since the row's last update; not admitted: 0
  std::uint64_t score = 0;  // how often it was seen: the row's count, or the sketch's estimate
};

class RowLog {
 public:
  virtual ~RowLog() = default;
  // Neither fails nor blocks for long: what cannot be written is the owner's to tell.
  virtual void Record(const RowRecord& record) = 0;
};

}  // namespace cohort

#endif  // COHORT_SERVER_ROW_LOG_H_
