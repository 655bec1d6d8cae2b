#include "launch/bench/training_run.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "launch/cluster_job.h"
#include "launch/run_folder.h"

namespace cohort::bench {

Status RunTraining(const RunConfig& config, const std::string& folder, const Progress& progress) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  ClusterJob job;
  job.config = config;
  job.folder = folder;
  job.request.snapshot = folder + "/" + kModelFolder;
  if (!error) std::filesystem::create_directories(job.request.snapshot, error);
  if (error) return {ErrorCode::kIo, folder + " cannot be made: " + error.message()};
  SupervisorOptions output;
  output.progress = progress;
  std::string notes;
  output.note = [&](const std::string& line) { notes += "\n" + line; };
  const Status verdict = RunClusterJob(job, std::move(output));
  return verdict.ok() ? verdict : Status(verdict.code(), verdict.text() + notes);
}

}  // namespace cohort::bench
