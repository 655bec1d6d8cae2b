#include "common/checkpoint_files.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "common/atomic_file.h"
#include "common/fault_point.h"
#include "common/model_files.h"

namespace cohort {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDigits = 10;  // at least

std::string FolderName(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(kDigits - std::min(kDigits, digits.size()), '0') + digits;
}

}  // namespace

std::string CheckpointFolder(const std::string& checkpoint_path, std::uint64_t number) {
  return checkpoint_path + "/" + FolderName(number);
}

std::optional<std::uint64_t> CheckpointNumber(std::string_view name) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || FolderName(number) != name)
    return std::nullopt;
  return number;
}

std::string CheckpointPartName(std::uint32_t shard) {
  char name[40];
  std::snprintf(name, sizeof(name), "part-%05u.h5", shard);
  return name;
}

std::string CheckpointLayerName(std::uint32_t shard, std::uint64_t number) {
  const std::string part = CheckpointPartName(shard);
  return part.substr(0, part.rfind('.')) + "-" + FolderName(number) + ".h5";
}

Status MakeCheckpointFolder(const std::string& checkpoint_path, std::uint64_t number) {
  const std::string folder = CheckpointFolder(checkpoint_path, number);
  std::error_code error;
  if (!fs::create_directories(folder, error) && error) {
    return {ErrorCode::kIo, folder + ": cannot be made: " + error.message() +
                                "; the checkpoints' folder must be writable on every server's host"};
  }
  COHORT_RETURN_IF_ERROR(SyncDirectory(checkpoint_path));
  FaultPoint("checkpoint: folder made", folder);
  if (!fs::remove(folder + "/" + kManifestFile, error)) {
    if (!error) return {};  // there was none
    return {ErrorCode::kIo, folder + "/" + kManifestFile +
                                ": of a former checkpoint, cannot be removed: " + error.message() +
                                "; the checkpoints' folder must be writable on every server's host"};
  }
  COHORT_RETURN_IF_ERROR(SyncDirectory(folder));
  FaultPoint("checkpoint: former manifest removed", folder);
  return {};
}

std::vector<std::uint64_t> ListCheckpoints(const std::string& checkpoint_path) {
  std::vector<std::uint64_t> numbers;
  std::error_code error;
  for (fs::directory_iterator entry(checkpoint_path, error), end; !error && entry != end;
       entry.increment(error)) {
    if (const auto number = CheckpointNumber(entry->path().filename().string())) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

void RemoveUnfinishedParts(const std::string& checkpoint_path, std::uint32_t shard) {
  for (const std::uint64_t number : ListCheckpoints(checkpoint_path)) {
    const std::string part = CheckpointFolder(checkpoint_path, number) + "/" + CheckpointPartName(shard);
    std::error_code error;
    if (!fs::exists(part + ".tmp", error)) continue;
    // Taken over, if nobody holds it, and let go: that removes it.
    (void)AtomicFile::Create(part);
  }
}

}  // namespace cohort
