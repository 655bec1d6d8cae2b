// RUN_DIR: created for one run, and held by it.
#ifndef COHORT_LAUNCH_RUN_FOLDER_H_
#define COHORT_LAUNCH_RUN_FOLDER_H_

#include <string>
#include <utility>
#include <vector>

#include "common/status.h"

namespace cohort {

// What a run leaves in its folder, beside model/.
inline constexpr const char* kRunFile = "run.toml";  // resolved: every option
inline constexpr const char* kResultFile = "result.json";
inline constexpr const char* kMetricsFile = "metrics.jsonl";
inline constexpr const char* kEvaluationFile = "evaluation.json";
inline constexpr const char* kLogFile = "log.txt";
inline constexpr const char* kHostsFile =
    "hosts";  // with --hostfile: the list as mpirun was given it (hostfile.h)
inline constexpr const char* kHangFile =
    "hang_report.md";  // who waited for whom when a deadline was missed; the newest last
inline constexpr const char* kModelFolder = "model";
inline constexpr const char* kWarmFolder = "warm";  // while a warm start runs: what it starts from (warm_start.h)

// The newest whole line of metrics.jsonl in a run's folder; empty if there is none.
std::string NewestMetrics(const std::string& folder);

// While the object lives, no other run uses the folder (a lock that ends with the process). Move-only.
class RunFolder {
 public:
  // Makes the folder and its parents. One that exists and is not empty is refused (kInvalidInput) unless `overwrite`:
  // then what an earlier run left there is removed, and nothing else. One that a run holds is refused always; and so is one that this run reads
  // what would be removed of: `inputs`, files and folders, empty ones passed over. But a run file in the place of the run's own may be read: with
  // anything in it that a run does not write (comments, an order) it is kept under another name, kept_run_file().
  static Result<RunFolder> Create(const std::string& path, bool overwrite,
                                  const std::vector<std::string>& inputs);
  // Holds the folder of a run that has ended, to go on with it. kInvalidInput: it holds none, or another process has it.
  static Result<RunFolder> Reopen(const std::string& path);
  // Whether a run holds it now, or goes on in it.
  static bool IsHeld(const std::string& path);
  RunFolder(RunFolder&& other) noexcept
      : path_(std::move(other.path_)),
        kept_run_file_(std::move(other.kept_run_file_)),
        lock_(std::exchange(other.lock_, -1)) {}
  RunFolder& operator=(RunFolder&& other) noexcept;
  ~RunFolder();

  const std::string& path() const { return path_; }  // absolute
  const std::string& kept_run_file() const { return kept_run_file_; }  // empty: none was
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  static Result<RunFolder> Hold(const std::string& path, const std::string& given, const char* mend);
  RunFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  Status KeepRunFile();
  std::string path_, kept_run_file_;
  int lock_;
};

// Where ScratchFolder makes its folders.
std::string ScratchBase();

// A folder for a job that leaves nothing behind: removed with the object. Move-only.
class ScratchFolder {
 public:
  // Under `parent`; empty: under $TMPDIR or /tmp. Errors: kIo, of a given parent kInvalidInput.
  static Result<ScratchFolder> Create(const std::string& parent = "");
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  ~ScratchFolder();
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_RUN_FOLDER_H_
