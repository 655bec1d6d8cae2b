// RunPlan: what the launch layer decides before a run and the coordinator carries out: who takes part, what
// each phase does, and every limit of waiting.
#ifndef COHORT_SCHEDULER_PLAN_H_
#define COHORT_SCHEDULER_PLAN_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/message.h"
#include "common/table_spec.h"
#include "common/types.h"
#include "scheduler/run_position.h"

namespace cohort {

// One step: a phase that workers run, or a snapshot that shards write. The stop at the end is not a step.
struct PlanStep {
  bool snapshot = false;
  PhaseKind kind = PhaseKind::kTrain;  // kTrain | kEvaluate | kScore
  std::uint32_t epoch = 0;             // kTrain: orders the shuffle; kEvaluate: after which epoch
  Split split = Split::kTrain;
  std::string directory;  // snapshot: exists
  // Early stopping: only when the newest evaluation of the valid split is the best so far (ScoreSink says).
  bool only_if_best = false;

  static PlanStep Phase(PhaseKind kind, std::uint32_t epoch, Split split) {
    return {false, kind, epoch, split, {}, false};
  }
  static PlanStep Snapshot(std::string directory) {
    return {true, PhaseKind::kTrain, 0, Split::kTrain, directory, false};
  }
};

struct RunPlan {
  std::uint64_t run_id = 0;
  std::uint32_t term = 1;
  std::uint32_t shards = 1;
  std::uint32_t workers = 1;
  std::uint64_t seed = 1;
  Consistency consistency = Consistency::kBsp;
  std::uint32_t staleness = 0;
  std::uint32_t slices = 1;
  std::uint32_t batch_size = 1;    // global
  std::uint32_t shuffle_rows = 1;  // a lease in training is at most this long
  std::array<std::uint64_t, kSplitCount> rows{};
  std::uint32_t prediction_columns = 0;
  std::vector<TableSpec> tables;
  std::string run_config;
  std::string model_path;
  std::vector<PlanStep> steps;
  bool backups = false;  // every shard has one
  // How many dead workers and shards somebody replaces (Membership: those missing); one more, and the run ends.
  std::uint32_t recoveries = 0;
  // Checkpoints of training: their folder (empty: none), clocks from one to the next, and where to go on. `model_path`
  // is then the checkpoint.
  std::string checkpoint_path;
  std::uint64_t checkpoint_every = 0;
  std::optional<RunPosition> resume;

  Duration startup = std::chrono::seconds(60);          // until all have registered
  Duration heartbeat = std::chrono::milliseconds(500);  // how often to expect a sign of life
  Duration dead_after = std::chrono::seconds(3);        // of silence
  Duration retry = std::chrono::seconds(1);             // until an order is sent again
  Duration request = std::chrono::seconds(60);          // until an order must be confirmed
  Duration wait = std::chrono::seconds(600);            // the same when it loads a model or writes a snapshot
  Duration stop = std::chrono::seconds(2);              // until everyone has confirmed the end
};

}  // namespace cohort

#endif  // COHORT_SCHEDULER_PLAN_H_
