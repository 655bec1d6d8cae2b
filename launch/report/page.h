// The report: one self-contained HTML page of a run. No script, no network: style and charts are inline.
#ifndef COHORT_LAUNCH_REPORT_PAGE_H_
#define COHORT_LAUNCH_REPORT_PAGE_H_

#include <string>

#include "launch/report/run_data.h"

namespace cohort {

std::string RenderPage(const RunData& run);

// The page's sections, in order.
std::string RenderHeadline(const RunData& run);  // what came out, and the run in numbers
std::string RenderMetrics(const RunData& run);   // every metric of every split
std::string RenderLosses(const RunData& run);    // loss curves per task
std::string RenderTasks(const RunData& run);     // ROC, calibration, scores, deciles of the test split
std::string RenderSystem(const RunData& run);    // speed over time, load per server and worker, counts
std::string StyleSheet();

// A whole page around what lies in <main>.
std::string HtmlPage(const std::string& title, const std::string& main);

}  // namespace cohort

#endif  // COHORT_LAUNCH_REPORT_PAGE_H_
