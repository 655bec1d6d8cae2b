// `cohort report`: the page of a run, from its folder to a file.
#ifndef COHORT_LAUNCH_REPORT_REPORT_H_
#define COHORT_LAUNCH_REPORT_REPORT_H_

#include <string>

#include "common/status.h"

namespace cohort {

struct ReportOptions {
  std::string run_directory;
  std::string out;  // empty: RUN_DIR/report.html
  std::string
      truth;  // with data: judge the run by this truth (best_reachable.h) where it was trained without one
  std::string data;  // the dataset that the truth belongs to
};
struct ReportSummary {
  std::string path;   // of the page
  std::string table;  // the test metrics (valid, when there is no test split) for a terminal
  std::string run_status, reason;  // of the run: "done", or what it ended with and why
};

// Writes the page; a page that is there is replaced. Errors: kInvalidInput names what is missing.
Result<ReportSummary> WriteReport(const ReportOptions& options);

}  // namespace cohort

#endif  // COHORT_LAUNCH_REPORT_REPORT_H_
