#include "launch/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "common/atomic_file.h"
#include "common/config.h"
#include "launch/checkpoints.h"
#include "launch/cluster_file.h"
#include "launch/cluster_requests.h"
#include "launch/journal_file.h"

namespace cohort {
namespace {

namespace fs = std::filesystem;

// All that a run of this version or `cohort report` leaves: files, and folders.
constexpr const char* kOwn[] = {
    kRunFile,        kResultFile,  kMetricsFile, kEvaluationFile, kLogFile,    "best_reachable.json",
    "report.html",   kClusterFile, kJournalFile, kHostsFile,      kWarmFolder, kCheckpointsFolder,
    kRequestsFolder, kModelFolder};

// Whether a path is another one, or leads into it; by whatever names.
bool LiesIn(const std::string& path, const std::string& other) {
  std::error_code error;
  const fs::path inner = fs::weakly_canonical(path, error), outer = fs::weakly_canonical(other, error);
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

}  // namespace

std::string NewestMetrics(const std::string& folder) {
  constexpr off_t kMaxTail = 1 << 20;
  const int file = open((folder + "/" + kMetricsFile).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  const off_t size = lseek(file, 0, SEEK_END);
  std::string tail(static_cast<std::size_t>(std::clamp<off_t>(size, 0, kMaxTail)), '\0');
  const ssize_t got = pread(file, tail.data(), tail.size(), size - static_cast<off_t>(tail.size()));
  close(file);
  if (got <= 0) return "";
  tail.resize(static_cast<std::size_t>(got));
  const std::size_t end = tail.rfind('\n');
  if (end == std::string::npos) return "";
  const std::size_t before = end == 0 ? std::string::npos : tail.rfind('\n', end - 1);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  return tail.substr(begin, end - begin);
}

Result<RunFolder> RunFolder::Create(const std::string& given, bool overwrite,
                                    const std::vector<std::string>& inputs) {
  std::error_code error;
  const std::string path = fs::absolute(given, error).lexically_normal().string();
  const fs::file_status before = fs::status(path, error);
  if (fs::exists(before) && !fs::is_directory(before)) {
    return InvalidInput(given + " is a file; expected a folder for the run, or a name for a new one");
  }
  if (!fs::create_directories(path, error) && error)
    return InvalidInput(given + " cannot be made: " + error.message());
  COHORT_ASSIGN_OR_RETURN(RunFolder folder, Hold(path, given, "choose another --out"));
  if (fs::is_empty(path, error)) return folder;
  if (!overwrite) {
    return InvalidInput(given +
                        " exists and is not empty; choose another --out, or replace it with --overwrite");
  }
  // A run file alone may be somebody's own.
  if (!fs::exists(folder / kResultFile, error) && !fs::exists(folder / kLogFile, error)) {
    return InvalidInput(given + " is not empty and holds no run; --overwrite replaces nothing but runs");
  }
  bool reads_run_file = false;
  for (const std::string& input : inputs) {
    for (const char* name : kOwn) {
      if (input.empty() || !LiesIn(input, folder / name)) continue;
      if (name != std::string_view(kRunFile))
        return InvalidInput(input + " would be removed with " + folder / name +
                            ", which this run replaces; choose another --out, or move it");
      reads_run_file = true;
    }
  }
  if (reads_run_file) COHORT_RETURN_IF_ERROR(folder.KeepRunFile());
  for (const char* name : kOwn) {
    fs::remove_all(folder / name, error);
    if (error) return Error(ErrorCode::kIo, folder / name + " cannot be removed: " + error.message());
  }
  return folder;
}

Status RunFolder::KeepRunFile() {
  const std::string file = *this / kRunFile;
  const auto text = ReadFile(file);
  const auto config = LoadRunConfig(file);
  if (text && config && ToToml(*config) == *text) return {};  // as a run has written it
  std::error_code error;
  std::string kept;
  for (int number = 1; kept.empty() || fs::exists(kept, error); ++number)
    kept = file + "." + std::to_string(number);
  fs::rename(file, kept, error);
  if (error) return {ErrorCode::kIo, file + " cannot be kept as " + kept + ": " + error.message()};
  kept_run_file_ = kept;
  return {};
}

Result<RunFolder> RunFolder::Hold(const std::string& path, const std::string& given, const char* mend) {
  const int lock = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock < 0) return InvalidInput(given + " cannot be opened: " + std::strerror(errno));
  RunFolder folder(path, lock);
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) return InvalidInput(given + " is in use by another run; " + mend);
  return folder;
}

Result<RunFolder> RunFolder::Reopen(const std::string& given) {
  std::error_code error;
  const std::string path = fs::absolute(given, error).lexically_normal().string();
  if (!fs::exists(path + "/" + kRunFile, error)) {
    return InvalidInput(given + " holds no run (" + kRunFile +
                        " is missing); expected the RUN_DIR of one that has not ended");
  }
  return Hold(path, given, "wait for its end");
}

bool RunFolder::IsHeld(const std::string& path) {
  const int lock = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock < 0) return false;
  const bool held = flock(lock, LOCK_SH | LOCK_NB) != 0;
  close(lock);
  return held;
}

RunFolder& RunFolder::operator=(RunFolder&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(kept_run_file_, other.kept_run_file_);
  std::swap(lock_, other.lock_);
  return *this;
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) close(lock_);
}

std::string ScratchBase() {
  const char* base = std::getenv("TMPDIR");
  return base != nullptr && *base != '\0' ? base : "/tmp";
}

Result<ScratchFolder> ScratchFolder::Create(const std::string& parent) {
  std::string name = (parent.empty() ? ScratchBase() : parent) + "/cohort-job-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    if (!parent.empty())
      return InvalidInput(parent + ": no folder can be made there: " + std::strerror(errno));
    return Error(ErrorCode::kIo,
                 name + " cannot be made: " + std::strerror(errno) + "; set TMPDIR to a folder with space");
  }
  return ScratchFolder(std::move(name));
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

}  // namespace cohort
