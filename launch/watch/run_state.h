// What can be seen of a run from outside, as plain values: what the page, /metrics and `cohort top` show.
#ifndef COHORT_LAUNCH_WATCH_RUN_STATE_H_
#define COHORT_LAUNCH_WATCH_RUN_STATE_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "launch/watch/history.h"

namespace cohort {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

enum class RunStage {
  kStarting,  // nothing has been measured yet
  kRunning,
  kSilent,  // no verdict, and nothing new for kSilenceSeconds
  kDied,    // the same, and its scheduler, which was on this host, is gone
  kDone,
  kFailed,
};
inline constexpr RunStage kRunStages[] = {RunStage::kStarting, RunStage::kRunning, RunStage::kSilent,
                                          RunStage::kDied,     RunStage::kDone,    RunStage::kFailed};
const char* RunStageName(RunStage stage);  // "starting", "running", ...
inline bool IsOver(RunStage stage) { return stage == RunStage::kDone || stage == RunStage::kFailed; }

// A worker, a shard or a backup. What is not known, or makes no sense for the role, is kUnknown. Memory and CPU time are those of
// its process, which the shards and backups of a server share. Rates are over the last second or two.
struct WatchedMember {
  std::string role;  // "worker" | "shard" | "backup"
  std::string node;  // "worker 0"
  std::string host;
  std::string
      presence;  // "alive" | "missing" (another one is to come) | "gone" (for good) | "ended" (with the run); empty: not known
  std::string waiting;  // at its last heartbeat: for what, from whom, since when
  double server = kUnknown, pid = kUnknown;
  double clock = kUnknown;  // infinite: it has no more data in this phase
  double queue_depth = kUnknown;
  double memory_bytes = kUnknown;
  double cpu_seconds = kUnknown;
  double load = kUnknown;  // cores busy
  double bytes_sent = kUnknown;
  double refused_peers = kUnknown;  // connections of strangers to it (docs/security.md)
  double samples = kUnknown, samples_per_second = kUnknown;             // workers
  double rows = kUnknown;                                               // shards: held
  double rows_served = kUnknown, rows_per_second = kUnknown;            // shards: pulled
  double pushes_acknowledged = kUnknown, pushes_duplicated = kUnknown;  // shards: parts
  double pulls_parked = kUnknown;                                       // shards: requests, so far
};

// The metrics of a split (docs/metrics.md), by name.
struct JudgedSplit {
  std::string split;
  double epoch = kUnknown;  // after which it was judged, from 0
  std::map<std::string, double> metrics;
};

struct WatchedTask {
  std::string name;
  double loss = kUnknown;           // the newest one: a mean over about a second of training
  std::vector<JudgedSplit> judged;  // the newest of each split
  std::vector<JudgedSplit> valid;   // of the valid split, by epoch
};

// A line of log.txt.
struct RunEvent {
  enum class Kind { kProgress, kCheckpoint, kFault, kRecovery, kWarning };
  std::string time;  // "12:34:56", as its host's clock was; empty for what other programs print
  std::string who;   // "scheduler"
  std::string text;
  Kind kind = Kind::kProgress;
};
const char* EventKindName(RunEvent::Kind kind);  // "progress", "checkpoint", ...

struct RunState {
  std::string name;  // the folder's
  RunStage stage = RunStage::kStarting;
  std::string reason;                 // of a failure
  std::vector<std::string> problems;  // what of the folder cannot be read
  std::vector<std::string> warnings;  // of result.json
  std::string model_hash;
  double age_seconds = kUnknown;  // of the newest line of metrics.jsonl
  double read_share = 1;          // of metrics.jsonl

  std::string kind,
      split;  // of the current phase: "train" | "evaluate" | "score" | "stop"; "train" | "valid" | "test"
  double phase = kUnknown, epoch = kUnknown, phase_rows = kUnknown, phase_samples = kUnknown;
  double seconds = kUnknown;  // since the start, or since the newest restart
  double samples_per_second = kUnknown;
  double rows_per_second = kUnknown;   // pulled, from all shards
  double bytes_per_second = kUnknown;  // sent, by all
  double lowest_clock = kUnknown, highest_clock = kUnknown, clock_spread = kUnknown;
  double queue_depth = kUnknown;
  double rows = kUnknown;          // held by the shards
  double memory_bytes = kUnknown;  // of all processes that are there, without the scheduler
  double bytes_sent = kUnknown;
  double refused_peers =
      kUnknown;  // connections of strangers to servers; at the end, in `result`, to the scheduler too
  double acknowledged = kUnknown, duplicated = kUnknown;  // parts of pushes
  std::map<std::string, double> recoveries;  // as in result.json: "workers_replaced", ..., "checkpoints"
  std::vector<WatchedTask> tasks;
  std::vector<WatchedMember> members;

  std::vector<RunEvent> events;            // the newest, the last one at the end
  std::vector<std::uint64_t> checkpoints;  // whole ones on the disk, by their clock, ascending
  double hang_reports = 0;                 // pages
  std::string hang_report;                 // the newest of them
  std::vector<std::pair<std::string, double>>
      result;  // of a run that is over: numbers of result.json by dotted path
  // Times are seconds of the run, restarts laid end to end. Series: samples_per_second, rows_per_second, bytes_per_second,
  // clock_spread, queue_depth, rows, memory_bytes; "loss/TASK"; for the first kChartedNodes of a role
  // "samples_per_second/worker 0", "rows_per_second/shard 0", "load/shard 0", "memory_bytes/shard 0".
  History history;

  // A number of result.json; kUnknown before the end.
  double Result(const std::string& path) const;
};
inline constexpr double kChartedNodes = 6;
inline constexpr double kSilenceSeconds = 5;  // metrics.jsonl gets a line every second

}  // namespace cohort

#endif  // COHORT_LAUNCH_WATCH_RUN_STATE_H_
