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

bool IsHandedOpen(const std::string& path) { return path == "/dev/stdin" || path.starts_with("/dev/fd/"); }

Result<int> OpenInput(const std::string& path) {
  if (!IsHandedOpen(path)) COHORT_RETURN_IF_ERROR(CheckRegularFile(path));
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) return descriptor;
  const bool user = errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP ||
                    errno == ENAMETOOLONG || errno == ENXIO;
  return Error(user ? ErrorCode::kInvalidInput : ErrorCode::kIo,
               path + ": cannot open: " + std::strerror(errno));
}

namespace {

// Whether a file may take the place of what is there.
Status CheckReplaced(const std::string& path, bool overwrite, const std::vector<std::string>& inputs) {
  COHORT_RETURN_IF_ERROR(CheckRegularFile(path));
  std::error_code error;
  for (const std::string& input : inputs) {
    if (std::filesystem::equivalent(input, path, error))
      return {ErrorCode::kInvalidInput, path + ": the output is one of the inputs; choose another name"};
  }
  if (std::filesystem::exists(path, error) && !overwrite)
    return {ErrorCode::kInvalidInput, path + " exists; choose another file, or replace it with --overwrite"};
  COHORT_ASSIGN_OR_RETURN(const std::string file, FileBehind(path));
  for (const std::string& input : inputs) {
    if (std::filesystem::equivalent(input, file + ".tmp", error))
      return {ErrorCode::kInvalidInput, path + ": while it is written it is " + file +
                                            ".tmp, which is one of the inputs; choose another name"};
  }
  return {};
}

}  // namespace

Status CheckOutput(const std::string& path, bool overwrite, const std::vector<std::string>& inputs) {
  COHORT_RETURN_IF_ERROR(CheckReplaced(path, overwrite, inputs));
  COHORT_ASSIGN_OR_RETURN(const std::string file, FileBehind(path));
  const std::string folder = DirectoryOf(file);
  const std::string where =
      path + (file == path ? ": its folder" : ": is a link to " + file + ", whose folder");
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error))
    return {ErrorCode::kInvalidInput, where + " does not exist"};
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    return {ErrorCode::kInvalidInput, where + " cannot be written: " + std::strerror(errno)};
  return {};
}

Status MakeOutputFolder(const std::string& folder, std::span<const char* const> files, bool overwrite) {
  const std::filesystem::path base = folder;
  for (const char* name : files) COHORT_RETURN_IF_ERROR(CheckReplaced((base / name).string(), overwrite, {}));
  for (const char* name : files) {
    const std::filesystem::path parent = (base / name).parent_path();
    std::error_code error;
    std::filesystem::create_directories(parent, error);
    if (error)
      return {ErrorCode::kInvalidInput,
              parent.string() + ": the folder cannot be made: " + error.message() + "; choose another --out"};
  }
  return {};
}

}  // namespace cohort
