#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/atomic_file.h"
#include "launch/commands/commands.h"

namespace cohort {

Status CheckOutput(const std::string& path, bool overwrite) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !overwrite)
    return {ErrorCode::kInvalidInput, path + " exists; choose another file, or replace it with --overwrite"};
  if (!std::filesystem::is_directory(DirectoryOf(path), error))
    return {ErrorCode::kInvalidInput, path + ": its folder does not exist"};
  if (::access(DirectoryOf(path).c_str(), W_OK | X_OK) != 0)
    return {ErrorCode::kInvalidInput, path + ": its folder cannot be written: " + std::strerror(errno)};
  return {};
}

}  // namespace cohort
