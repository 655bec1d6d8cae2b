// What the commands share whose work is cut into partitions: who makes the parts, on the command line.
#ifndef COHORT_LAUNCH_COMMANDS_PARTITION_OPTIONS_H_
#define COHORT_LAUNCH_COMMANDS_PARTITION_OPTIONS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "common/partitions.h"
#include "launch/commands/commands.h"

namespace cohort {

struct PartitionOptions {
  std::uint32_t workers = 0;  // 0: the parts are made in the command's own process
  std::string hostfile;
  double dead_after_seconds = 60;
  std::string worker_of;  // the work folder of the job whose worker this process is; empty: of none

  void AddTo(CLI::App& command);
  // Where the parts are made. Of a job: its workers start now. `out`: the command's output; empty: it has none.
  Result<std::unique_ptr<Partitions>> Start(const std::string& out, Console& console) const;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_COMMANDS_PARTITION_OPTIONS_H_
