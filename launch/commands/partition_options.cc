#include "launch/commands/partition_options.h"

#include <CLI/CLI.hpp>
#include <chrono>

#include "launch/commands/number_range.h"
#include "launch/partition_job.h"

namespace cohort {

void PartitionOptions::AddTo(CLI::App& command) {
  CLI::Option* count =
      command
          .add_option("--workers", workers,
                      "worker processes that do the users or rows, partition by partition; the same bytes "
                      "for any number (default: none, all in this process; docs/partitions.md)")
          ->check(Between(1, 1024));
  command
      .add_option(
          "--hostfile", hostfile,
          "list of hosts, as for `cohort train`, which the workers are spread over (default: this host)")
      ->check(CLI::ExistingFile)
      ->needs(count);
  command
      .add_option("--dead-after", dead_after_seconds,
                  "seconds after which a silent worker is replaced, 1 to 86400 (default: 60)")
      ->check(Between(1.0, 86'400.0))
      ->needs(count);
  command
      .add_option(kPartitionWorkerOption, worker_of, "the work folder: makes parts for the job that has it")
      ->group("");
}

Result<std::unique_ptr<Partitions>> PartitionOptions::Start(const std::string& out, Console& console) const {
  const auto progress = [&console](const std::string& line) { console.Progress(line); };
  const auto dead_after =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(dead_after_seconds));
  if (!worker_of.empty()) return JoinPartitionJob(worker_of, dead_after);
  if (workers == 0) return std::make_unique<PartitionsHere>(progress);
  if (out.empty())
    return InvalidInput(
        "--workers needs --out: what the workers have made lies beside it until all is there");
  PartitionJobOptions job;
  job.workers = workers;
  job.hostfile = hostfile;
  job.dead_after = dead_after;
  job.out = out;
  job.command = OwnCommand();
  job.progress = progress;
  job.note = [&console](const std::string& line) { console.Note(line); };
  return StartPartitionJob(job);
}

}  // namespace cohort
