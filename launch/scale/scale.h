// Carries out an experiment: every point as often as it is to be, in turns, each as a training run of its own.
#ifndef COHORT_LAUNCH_SCALE_SCALE_H_
#define COHORT_LAUNCH_SCALE_SCALE_H_

#include <functional>
#include <string>

#include "common/status.h"
#include "launch/scale/experiment.h"
#include "launch/scale/results.h"

namespace cohort::scale {

struct ScaleOptions {
  std::string out;  // for points.jsonl, scale.json, report.html
  std::string
      folder;  // for the data and the runs, which are removed; empty: the system's for temporary files
  std::function<void(const std::string&)> progress;  // a line that replaces the one before
  std::function<void(const std::string&)> note;      // a line to keep
};

// Runs what is missing in options.out, and writes results and report there, also when it ends early. Catches stop signals (process.h): the
// run under way is ended, what is finished is kept. Errors: those of the files and of the first run that fails; kUnavailable: a signal.
Result<ScaleResults> RunScale(const Experiment& experiment, const ScaleOptions& options);

}  // namespace cohort::scale

#endif  // COHORT_LAUNCH_SCALE_SCALE_H_
