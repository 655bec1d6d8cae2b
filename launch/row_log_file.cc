#include "launch/row_log_file.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <utility>

namespace cohort {
namespace {

constexpr const char* kFates[] = {"not_admitted", "idle", "memory"};

}  // namespace

Result<std::unique_ptr<RowLogFile>> RowLogFile::Create(const std::string& path, const std::string& name) {
  const std::string file_name = path + "." + name;
  std::FILE* file = std::fopen(file_name.c_str(), "we");
  if (file == nullptr) {
    return InvalidInput("embedding.log: cannot write " + file_name + ": " + std::strerror(errno) +
                        "; give a path in a folder that exists on every server's host");
  }
  std::unique_ptr<RowLogFile> log(new RowLogFile(file_name, file));
  if (std::fputs("clock,table,fate,key,age,score\n", file) < 0) log->Failed();
  return log;
}

void RowLogFile::Record(const RowRecord& record) {
  const int written = std::fprintf(file_.get(), "%" PRId64 ",%u,%s,%" PRIu64 ",%" PRId64 ",%" PRIu64 "\n",
                                   record.clock, record.table, kFates[static_cast<std::size_t>(record.fate)],
                                   record.key, record.age, record.score);
  if (written < 0) Failed();
}

Status RowLogFile::Close() {
  if (file_ && std::fclose(file_.release()) != 0) Failed();
  return failure_;
}

void RowLogFile::Failed() {
  if (!failure_.ok()) return;
  failure_ = {ErrorCode::kIo, path_ + ": cannot be written: " + std::strerror(errno) +
                                  "; make room, or run without embedding.log"};
}

}  // namespace cohort
