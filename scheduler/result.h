// result.json: how a run ended and what it reached (DESIGN 4.4). The verdict of a run is this file, never an
// exit code of mpirun.
#ifndef COHORT_SCHEDULER_RESULT_H_
#define COHORT_SCHEDULER_RESULT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "scheduler/evaluation_json.h"
#include "scheduler/run_observer.h"

namespace cohort {

// A training epoch, and the metrics of the valid split after it, where they were asked for.
struct EpochResult {
  std::uint32_t epoch = 0;
  double seconds = 0;
  std::uint64_t samples = 0;
  std::uint64_t steps = 0;
  std::vector<double> loss;  // by task; NaN when nothing was labelled
  std::vector<TaskMetrics> valid;
};

// What early stopping decided (early_stopping.h).
struct EarlyStoppingResult {
  std::string metric;  // "loss" | "ranking"
  std::uint32_t patience = 0;
  std::uint32_t best_epoch = 0;  // of which the model and the evaluations are; from 0
  double best = 0;               // its value on the valid split
  std::string ended;             // why training ended
};

struct RunResult {
  std::string job;                 // "train" | "evaluate" | "score"
  std::vector<std::string> tasks;  // of the model
  std::vector<SplitEvaluation> splits;
  std::vector<EpochResult> epochs;
  std::optional<EarlyStoppingResult> early_stopping;
  double seconds = 0;             // from the start of the scheduler to its verdict
  double samples_per_second = 0;  // of the training phases (evaluate, score: of theirs)
  std::uint64_t steps = 0;
  std::vector<std::uint64_t> step_times;  // of all workers' training steps (duration_histogram.h)
  std::string model_hash;  // 32 hexadecimal digits; empty without a model
  std::uint64_t model_rows = 0;
  std::uint64_t pushes_acknowledged = 0;
  std::uint64_t pushes_lost = 0;  // acknowledged, yet not in the final model
  std::uint64_t pushes_duplicated = 0;
  std::uint64_t pushes_rolled_back = 0;
  std::uint32_t workers_replaced = 0;           // after their death
  std::uint32_t failovers = 0;                  // shards whose backups took their places
  std::uint32_t moved = 0;                      // shards, on purpose (`cohort cluster`)
  std::uint32_t takeovers = 0;                  // schedulers that took the places of dead ones
  std::uint32_t restarts = 0;                   // from a checkpoint, or from the start, after other deaths
  std::uint32_t checkpoints = 0;                // written
  bool recoverable = false;                     // failed by a death: `cohort train --resume` can go on
  std::vector<std::string> warnings;            // what the user should know
  std::map<std::string, std::uint64_t> counts;  // what was defaulted, refused, sent again, ...
  std::uint64_t traffic_bytes = 0;
  std::map<std::string, std::uint64_t> peak_memory_bytes;  // by process: "scheduler", "server 0", "worker 1"
  std::map<std::string, double> cpu_seconds;
  std::uint32_t servers = 0, shards = 0, workers = 0;
  std::string consistency, kernels;
  std::uint64_t seed = 0;
};

// The object `recoveries` of result.json and of metrics.jsonl, a text to embed.
std::string RecoveriesToJson(const RunResult& result);

// "status": "done", or "failed" with "reason" and "code" ("invalid input" when the user's input is at fault).
std::string ToJson(const Status& status, const RunResult& result);

// What a run has come to so far, for its checkpoints: what a run that goes on from one begins with. What sums of its
// epochs say is left out.
std::string ProgressToJson(const RunResult& result);
// kCorrupt: not what ProgressToJson writes.
Status ProgressFromJson(const std::string& text, RunResult* result);

// What result.json says while the run goes on: it stays if the scheduler is killed.
Status KilledStatus();

// Adds what the members' last counters say to the result: pushes, counts, traffic, memory, CPU.
void AddCounters(const MetricsSample& last, RunResult* result);

// What a reader of result.json needs to know of a verdict.
struct Verdict {
  bool done = false;
  bool invalid_input = false;
  bool recoverable = false;
  std::string reason;
  Status status() const;
};
Result<Verdict> VerdictFromJson(const std::string& text, const std::string& origin);
// The same run with another verdict: for whoever ends it in the scheduler's place.
std::string ReplaceVerdict(const std::string& text, const Status& status);

}  // namespace cohort

#endif  // COHORT_SCHEDULER_RESULT_H_
