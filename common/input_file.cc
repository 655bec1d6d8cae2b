#include "common/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/atomic_file.h"

namespace cohort {

Status CheckRegularFile(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0 || S_ISREG(found.st_mode)) return {};
  const char* what = S_ISDIR(found.st_mode)    ? "a folder"
                     : S_ISFIFO(found.st_mode) ? "a pipe"
                     : S_ISSOCK(found.st_mode) ? "a socket"
                                               : "a device";
  return {ErrorCode::kInvalidInput, path + ": is " + what + "; expected a regular file"};
}

Result<int> OpenInput(const std::string& path) {
  const bool handed_open = path == "/dev/stdin" || path.starts_with("/dev/fd/");
  if (!handed_open) COHORT_RETURN_IF_ERROR(CheckRegularFile(path));
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) return descriptor;
  const bool user = errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP ||
                    errno == ENAMETOOLONG || errno == ENXIO;
  return Error(user ? ErrorCode::kInvalidInput : ErrorCode::kIo,
               path + ": cannot open: " + std::strerror(errno));
}

Status CheckOutput(const std::string& path, bool overwrite, const std::vector<std::string>& inputs) {
  COHORT_RETURN_IF_ERROR(CheckRegularFile(path));
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

Status MakeOutputFolder(const std::string& folder, std::span<const char* const> files, bool overwrite) {
  std::error_code error;
  for (const char* name : files) {
    const std::filesystem::path file = std::filesystem::path(folder) / name;
    COHORT_RETURN_IF_ERROR(CheckRegularFile(file.string()));
    if (std::filesystem::exists(file, error) && !overwrite)
      return {ErrorCode::kInvalidInput,
              file.string() + " exists; choose another --out, or replace what is there with --overwrite"};
  }
  for (const char* name : files) {
    const std::filesystem::path parent = (std::filesystem::path(folder) / name).parent_path();
    std::filesystem::create_directories(parent, error);
    if (error)
      return {ErrorCode::kInvalidInput,
              parent.string() + ": the folder cannot be made: " + error.message() + "; choose another --out"};
  }
  return {};
}

}  // namespace cohort
