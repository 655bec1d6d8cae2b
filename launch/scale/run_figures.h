// The figures of a finished training run, as results.h names them, from the files of its folder.
#ifndef COHORT_LAUNCH_SCALE_RUN_FIGURES_H_
#define COHORT_LAUNCH_SCALE_RUN_FIGURES_H_

#include "launch/report/run_data.h"
#include "launch/scale/experiment.h"
#include "launch/scale/results.h"

namespace cohort::scale {

// What a run cannot tell is left out: an epoch of less than two or three seconds has too few samples in metrics.jsonl for figures of
// the measured epochs alone.
Figures FiguresOf(const RunData& run, const Experiment& experiment);

}  // namespace cohort::scale

#endif  // COHORT_LAUNCH_SCALE_RUN_FIGURES_H_
