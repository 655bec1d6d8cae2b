// What results look like: the report, a self-contained HTML page (launch/report/page.h) of one or several results, measured and
// simulated, on the same plots; and a table for a terminal.
#ifndef COHORT_LAUNCH_SCALE_SCALE_PAGE_H_
#define COHORT_LAUNCH_SCALE_SCALE_PAGE_H_

#include <string>
#include <vector>

#include "common/status.h"
#include "launch/scale/results.h"

namespace cohort::scale {

inline constexpr const char* kScaleReport = "report.html";  // in OUT

// REQUIRES: not empty. Points without repetitions are left out.
std::string RenderScalePage(const std::vector<ScaleResults>& all);

// By point: medians, and what they are of the baseline's.
std::string ScaleTable(const ScaleResults& results);

// Writes OUT/scale.json, and OUT/report.html with `others` on the same plots.
Status WriteScale(const std::string& out, const ScaleResults& results,
                  const std::vector<ScaleResults>& others);

}  // namespace cohort::scale

#endif  // COHORT_LAUNCH_SCALE_SCALE_PAGE_H_
