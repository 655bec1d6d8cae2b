// What a finished (or failed) run left in its folder, as plain structs for the report.
#ifndef COHORT_LAUNCH_REPORT_RUN_DATA_H_
#define COHORT_LAUNCH_REPORT_RUN_DATA_H_

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/report/best_reachable.h"
#include "scheduler/evaluation_json.h"

namespace cohort {

// A process's node at one moment; numbers not in the file are NaN.
struct MemberPoint {
  std::string node;                      // "worker 0"
  std::map<std::string, double> values;  // the counters of common/message.h by name
  std::vector<std::pair<std::string, double>> step_seconds;  // workers: by part of a step
  double Value(const std::string& name) const;
};

// A line of metrics.jsonl.
struct RunSample {
  std::string kind;  // "train" | "evaluate" | "score" | ...
  std::string split;
  std::map<std::string, double> values;  // seconds, samples_per_second, epoch, lowest_clock, ...
  std::map<std::string, double> loss;    // by task
  std::vector<MemberPoint> members;
  double Value(const std::string& name) const;
};

// An epoch as result.json tells it.
struct RunEpoch {
  double epoch = 0;                                            // from 0
  double seconds = std::numeric_limits<double>::quiet_NaN(), samples = seconds;
  std::map<std::string, double> loss;                          // training, by task
  std::map<std::string, std::map<std::string, double>> valid;  // metrics by task
};

struct RunData {
  std::string name;  // the folder's
  std::string status = "unknown", reason, model_hash;
  std::vector<std::string> warnings;  // what the user should know
  std::string stopped;                // early stopping: why training ended; empty without it
  double samples_per_second = std::numeric_limits<double>::quiet_NaN(), seconds = samples_per_second,
         steps = samples_per_second;
  // Every other number of result.json by dotted path: "pushes.lost" -> 0.
  std::vector<std::pair<std::string, double>> numbers;
  double Number(const std::string& path) const;
  std::vector<SplitEvaluation> evaluation;
  std::optional<BestReachable> reachable;
  std::vector<RunEpoch> epochs;
  std::vector<RunSample> samples;
  std::uint64_t unreadable_samples =
      0;               // lines of metrics.jsonl that are not JSON: a run cut off while writing
  std::string config;  // run.toml, as resolved; empty when it is not there
};

// Reads result.json (must be there), evaluation.json, metrics.jsonl, run.toml and best_reachable.json (may be
// missing). Errors: kInvalidInput when the folder holds no run; kCorrupt for a file that is not what it must
// be.
Result<RunData> ReadRunData(const std::string& directory);

}  // namespace cohort

#endif  // COHORT_LAUNCH_REPORT_RUN_DATA_H_
