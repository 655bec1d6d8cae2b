#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/atomic_file.h"
#include "launch/commands/commands.h"

namespace cohort {

Status CheckOutput(const std::string& path, bool overwrite, const std::vector<std::string>& inputs) {
  std::error_code error;
  for (const std::string& input : inputs) {
    if (std::filesystem::equivalent(input, path, error))
      return {ErrorCode::kInvalidInput, path + ": the output is one of the inputs; choose another name"};
  }
  if (std::filesystem::exists(path, error) && !overwrite)
    return {ErrorCode::kInvalidInput, path + " exists; choose another file, or replace it with --overwrite"};
  if (!std::filesystem::is_directory(DirectoryOf(path), error))
    return {ErrorCode::kInvalidInput, path + ": its folder does not exist"};
  if (::access(DirectoryOf(path).c_str(), W_OK | X_OK) != 0)
    return {ErrorCode::kInvalidInput, path + ": its folder cannot be written: " + std::strerror(errno)};
  return {};
}

}  // namespace cohort
