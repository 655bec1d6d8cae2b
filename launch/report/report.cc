#include "launch/report/report.h"

#include <filesystem>

#include "common/atomic_file.h"
#include "launch/report/best_reachable.h"
#include "launch/report/page.h"
#include "launch/report/run_data.h"

namespace cohort {

Result<ReportSummary> WriteReport(const ReportOptions& options) {
  if (options.truth.empty() != options.data.empty()) {
    return InvalidInput(
        "--truth and --data belong together: the truth is matched to the rows of that dataset");
  }
  COHORT_ASSIGN_OR_RETURN(RunData run, ReadRunData(options.run_directory));
  if (!options.truth.empty()) {
    COHORT_ASSIGN_OR_RETURN(run.reachable, ComputeBestReachable(options.data, options.truth));
  }
  ReportSummary summary;
  summary.path = options.out.empty() ? (std::filesystem::path(options.run_directory) / "report.html").string()
                                     : options.out;
  COHORT_RETURN_IF_ERROR(WriteFileAtomically(summary.path, RenderPage(run)));
  if (!run.evaluation.empty()) {
    std::string split = run.evaluation.back().split;
    for (const SplitEvaluation& each : run.evaluation) split = each.split == "test" ? each.split : split;
    summary.table = MetricsTable(run.evaluation, split, run.reachable ? &*run.reachable : nullptr);
  }
  summary.run_status = run.status;
  summary.reason = run.reason;
  return summary;
}

}  // namespace cohort
