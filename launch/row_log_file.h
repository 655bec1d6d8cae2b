// RowLogFile: the list of keys refused and rows evicted by one shard, as CSV (`embedding.log` of the run file).
#ifndef COHORT_LAUNCH_ROW_LOG_FILE_H_
#define COHORT_LAUNCH_ROW_LOG_FILE_H_

#include <cstdio>
#include <memory>
#include <string>

#include "common/status.h"
#include "server/row_log.h"

namespace cohort {

// One thread.
class RowLogFile : public RowLog {
 public:
  // Creates or replaces PATH.<name>. Errors: kInvalidInput, it cannot be written.
  static Result<std::unique_ptr<RowLogFile>> Create(const std::string& path, const std::string& name);
  // Not ok when the file lacks lines: the run is to end with it.
  const Status& failure() const { return failure_; }
  // Everything is on disk, as far as the kernel is concerned.
  Status Close();

  // "clock,table,fate,key,age,score": the clock at whose end it happened; "not_admitted", "idle" or "memory"; clocks
  // since the row's last update; how often the key was seen.
  void Record(const RowRecord& record) override;

 private:
  RowLogFile(std::string path, std::FILE* file) : path_(std::move(path)), file_(file, &std::fclose) {}
  void Failed();

  const std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  Status failure_;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_ROW_LOG_FILE_H_
