#include "launch/checkpoints.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/fault_point.h"
#include "common/model_files.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

Status CheckWhole(const std::string& folder) {
  COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(folder));
  if (manifest.checkpoint.empty()) return {ErrorCode::kCorrupt, folder + ": a model, no checkpoint"};
  for (const ModelPart& part : manifest.parts) COHORT_RETURN_IF_ERROR(CheckModelPart(folder, part));
  return {};
}

// Without its manifest it is no checkpoint any more, whatever else is left of it.
void Remove(const std::string& folder) {
  std::error_code ignored;
  std::filesystem::remove(folder + "/" + kManifestFile, ignored);
  FaultPoint("checkpoint: manifest of an old one removed", folder);
  std::filesystem::remove_all(folder, ignored);
}

}  // namespace

std::string ToJson(const RunProgress& progress) {
  return Json{{"position", Json::parse(ToJson(progress.position))}, {"result", Json::parse(progress.result)}}
      .dump();
}

Result<RunProgress> RunProgressFromJson(const std::string& text, const std::string& origin) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("position") || !json.contains("result"))
    return Error(ErrorCode::kCorrupt,
                 origin + ": does not say where in a run it was made; a checkpoint does");
  RunProgress progress;
  auto position = PositionFromJson(json["position"].dump());
  if (!position) return tl::unexpected<Status>(position.error().Within(origin));
  progress.position = std::move(*position);
  progress.result = json["result"].dump();
  return progress;
}

Result<RunProgress> ReadProgress(const std::string& folder) {
  COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(folder));
  return RunProgressFromJson(manifest.checkpoint, folder);
}

std::optional<std::string> NewestCheckpoint(const std::string& checkpoint_path,
                                            const std::function<void(const std::string&)>& note) {
  std::vector<std::uint64_t> numbers = ListCheckpoints(checkpoint_path);
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
    const std::string folder = CheckpointFolder(checkpoint_path, *number);
    const Status status = CheckWhole(folder);
    if (status.ok()) return folder;
    // Without a manifest it was being written when its run ended: nothing to speak of.
    std::error_code ignored;
    if (note && std::filesystem::exists(folder + "/" + kManifestFile, ignored))
      note("checkpoint " + std::to_string(*number) + " is not used: " + status.text());
  }
  return std::nullopt;
}

bool HasCheckpoint(const std::string& checkpoint_path) {
  const std::vector<std::uint64_t> numbers = ListCheckpoints(checkpoint_path);
  std::error_code ignored;
  return std::any_of(numbers.begin(), numbers.end(), [&](std::uint64_t number) {
    return std::filesystem::exists(CheckpointFolder(checkpoint_path, number) + "/" + kManifestFile, ignored);
  });
}

void RemoveCheckpointsAfter(const std::string& checkpoint_path, std::uint64_t number) {
  for (const std::uint64_t each : ListCheckpoints(checkpoint_path)) {
    if (each > number) Remove(CheckpointFolder(checkpoint_path, each));
  }
}

void RemoveOldCheckpoints(const std::string& checkpoint_path, std::uint64_t newest, std::uint32_t keep) {
  const std::vector<std::uint64_t> numbers = ListCheckpoints(checkpoint_path);
  std::uint32_t kept = 0;
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
    if (*number > newest) continue;  // being written
    const std::string folder = CheckpointFolder(checkpoint_path, *number);
    if (ReadModelManifest(folder).has_value() && kept++ < keep) continue;
    Remove(folder);
  }
}

}  // namespace cohort
