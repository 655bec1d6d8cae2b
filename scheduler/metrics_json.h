// metrics.jsonl: a line per second, each one JSON object:
//
//   seconds               since the start of the run
//   phase, kind, epoch, split   the current phase; kind "train" | "evaluate" | "score" | "stop"
//   phase_rows            rows of the phase's split
//   phase_samples         of them handled so far, by all workers
//   samples_per_second    since the line before
//   loss                  {task: mean since the line before}; null when nothing was labelled; training only
//   lowest_clock, highest_clock   over the workers
//   queue_depth           requests parked at the shards
//   bytes_sent            by all processes since they started
//   rows                  held by the shards
//   acknowledged          parts of pushes, by the shards
//   recoveries            so far, as in result.json
//   evaluations           [{split, epoch, tasks: {task: {metric: value}}}] since the line before; absent if there were none
//   members               [{node: "worker 0" | "shard 1", host, pid, server (of a shard), waiting, and each of Counters
//                         (message.h) by its name: clock, samples, rows, bytes_sent, busy_seconds, ...;
//                         step_seconds: {"read": ...}, by StepPart (workers),
//                         step_times: [[milliseconds, training steps that took about as long]], since the start (workers)}]
#ifndef COHORT_SCHEDULER_METRICS_JSON_H_
#define COHORT_SCHEDULER_METRICS_JSON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "scheduler/evaluation_json.h"
#include "scheduler/result.h"
#include "scheduler/run_observer.h"

namespace cohort {

const char* PhaseKindName(PhaseKind kind);

struct EpochEvaluation {
  std::uint32_t epoch = 0;  // after which the split was judged
  SplitEvaluation evaluation;
};

// One line, without its end. `so_far`: names the tasks, and has the recoveries; `evaluations`: since the line before.
std::string ToJsonLine(const MetricsSample& sample, const RunResult& so_far,
                       const std::vector<EpochEvaluation>& evaluations = {});

// What a terminal shows of a line: "epoch 1: 45 %, 12.3 k samples/s, loss income 0.123"; empty if it is no
// such line.
std::string ProgressText(const std::string& json_line);

}  // namespace cohort

#endif  // COHORT_SCHEDULER_METRICS_JSON_H_
