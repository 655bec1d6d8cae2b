// Experiment: an experiment file (EXPERIMENT.toml) of `cohort scale` and `cohort simulate`: a job, what is varied, and how
// often. Every combination of what is varied is a point; docs/scaling.md has the file's format.
//
// It knows nothing of running: a point becomes the configuration of a run, which somebody carries out.
#ifndef COHORT_LAUNCH_SCALE_EXPERIMENT_H_
#define COHORT_LAUNCH_SCALE_EXPERIMENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/status.h"
#include "common/types.h"
#include "launch/bench/options.h"

namespace cohort::scale {

// A point: one value of everything that can be varied.
struct Settings {
  std::uint32_t workers = 1, servers = 1, shards_per_server = 1;
  std::uint32_t batch = 4096;     // samples of a step
  bool batch_per_worker = false;  // `batch` is of each worker; else global, divided among the workers
  Consistency consistency = Consistency::kAsp;
  std::uint32_t staleness = 0;  // ssp; else 0
  std::uint32_t embedding_dim = 16;
  double faults_per_hour = 0;  // processes killed
  // Megabits a second of the one link that all processes share: every byte sent passes it once, whoever sends it; 0: as fast as it is.
  double link_mbit = 0;

  std::uint32_t GlobalBatch() const { return batch_per_worker ? batch * workers : batch; }
  std::uint32_t Processes() const { return 1 + servers + workers; }  // with the scheduler
  // Whether they differ by the size of the cluster at most: workers, servers, shards.
  bool SameButForSize(const Settings& other) const;
  bool operator==(const Settings&) const = default;
};
// "bsp", "ssp with staleness 4".
std::string ConsistencyOf(const Settings& settings);
// "4 workers, 2 servers, batch 4096 a worker, asp, dim 16"; what is as usual is left out.
std::string Describe(const Settings& settings);

// The time until a task's training loss has come down to `loss`.
struct Target {
  std::string task;
  double loss = 0;
};

struct Experiment {
  std::string name;
  std::string path;      // of the file, for messages
  std::string job;       // "gemm", "embedding" (launch/bench/training_job.h); empty: `run_file` is the job
  std::string run_file;  // RUN.toml; absolute
  std::uint64_t samples = 200'000, rows = 1'000'000;  // of a job's data
  std::uint32_t repetitions = 5;
  std::uint32_t warm_epochs = 1;  // before those that are measured, in which most rows are made
  std::uint32_t epochs = 2;
  std::uint64_t seed = 1;  // of the data, the order of repetitions, the faults; a run file has its own beside
  std::vector<std::string> set;  // "section.key=value", of every point
  std::optional<Target> target;
  std::vector<Settings> points;
  // Of all that decides what a repetition measures, but for its settings: results of equal fingerprints belong together.
  std::string fingerprint;

  // A point's run. `data`: the dataset of a job; a run file names its own.
  Result<RunConfig> ConfigOf(const Settings& settings, const std::string& data) const;
  // What WriteTrainingData draws a job's data from. REQUIRES: there is a job.
  bench::Options DataOptions() const;
};

// Errors (kInvalidInput) name file, line and key, or the point that cannot be.
Result<Experiment> LoadExperiment(const std::string& path);
// The same from a text; `path` names it, and relative paths are relative to its folder.
Result<Experiment> ParseExperiment(const std::string& text, const std::string& path);

// What is allowed but hardly meant, a line each: batches that come out smaller than they are said to be.
std::vector<std::string> WarningsOf(const Experiment& experiment);

// The points by number, each `repetitions` times: all once, then all again, each time in an order that the seed decides, so
// that a machine that is slower for a while is slower for all.
struct Turn {
  std::uint32_t point = 0, repetition = 0;
};
std::vector<Turn> Interleaved(const Experiment& experiment);

}  // namespace cohort::scale

#endif  // COHORT_LAUNCH_SCALE_EXPERIMENT_H_
