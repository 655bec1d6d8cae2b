// What a run tells about itself while it goes on: a sample per second, a summary per phase, a line per event.
#ifndef COHORT_SCHEDULER_RUN_OBSERVER_H_
#define COHORT_SCHEDULER_RUN_OBSERVER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/message.h"
#include "common/types.h"
#include "scheduler/run_position.h"

namespace cohort {

// A member as its newest heartbeat shows it.
struct MemberSample {
  NodeId node;
  std::uint32_t server = 0;  // a shard's server process
  std::string host;
  std::uint64_t pid = 0;
  Counters counters;
  std::string waiting;
};

struct MetricsSample {
  double seconds = 0;  // since the start
  std::uint32_t phase = 0;
  PhaseKind kind = PhaseKind::kTrain;
  std::uint32_t epoch = 0;
  Split split = Split::kTrain;
  std::uint64_t phase_rows = 0;     // rows of the split
  std::uint64_t phase_samples = 0;  // handled in this phase by all workers
  double samples_per_second = 0;    // since the last sample
  std::vector<double> loss;         // by task: mean since the last sample; NaN when nothing was labelled
  Clock lowest_clock = 0;           // over the workers
  Clock highest_clock = 0;
  std::uint64_t bytes_sent = 0;   // by all members since they started
  std::uint64_t rows = 0;         // held by all shards
  std::uint64_t queue_depth = 0;  // over all shards
  std::uint64_t acknowledged = 0;  // parts of pushes, in the whole run
  // Since the start, as in RunResult.
  std::uint32_t workers_replaced = 0, failovers = 0, moved = 0;
  std::vector<MemberSample> members;
};

struct PhaseSummary {
  std::uint32_t phase = 0;
  PhaseKind kind = PhaseKind::kTrain;
  std::uint32_t epoch = 0;
  Split split = Split::kTrain;
  double start_seconds = 0;  // since the start of the run
  double seconds = 0;        // from the order to the workers until the last has finished
  std::uint64_t samples = 0;
  std::uint64_t steps = 0;   // clocks used: in bsp by all workers together, else summed over the workers
  std::vector<double> loss;  // by task: mean over the phase; NaN when nothing was labelled
  Clock first_clock = 0;
  Clock next_clock = 0;  // the first clock of the next phase
};

class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void OnSample(const MetricsSample& sample) = 0;
  virtual void OnPhaseEnd(const PhaseSummary& summary) = 0;
  // Every shard has written its part, `parts` by shard, to `directory`: together they are the model as it is now.
  virtual void OnSnapshot(const std::string& directory, const std::vector<SnapshotDone>& parts,
                          const std::string& kernels) {
    (void)directory, (void)parts, (void)kernels;
  }
  // Every shard has written its part of a checkpoint.
  virtual void OnCheckpoint(const RunPosition& position, const std::vector<CheckpointDone>& parts,
                            const std::string& kernels) {
    (void)position, (void)parts, (void)kernels;
  }
  // A deadline has been missed: a page that says who waits for what, from whom and since when, as far as the newest heartbeats
  // tell.
  virtual void OnHang(const std::string& page) { (void)page; }
  virtual void OnEvent(const std::string& text) = 0;
  // What the user should know when the run is over, too.
  virtual void OnWarning(const std::string& text) = 0;
};

}  // namespace cohort

#endif  // COHORT_SCHEDULER_RUN_OBSERVER_H_
