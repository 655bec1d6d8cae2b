// Where the checkpoints of a run lie: a folder for each below the run's checkpoint folder, named by its number
// ("0000001000"), made by whoever comes first. In it are one part per shard (model_part.h), and, last, the manifest
// (model_files.h), by which the parts become a checkpoint: a model that also knows how to go on.
#ifndef COHORT_COMMON_CHECKPOINT_FILES_H_
#define COHORT_COMMON_CHECKPOINT_FILES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace cohort {

std::string CheckpointFolder(const std::string& checkpoint_path, std::uint64_t number);
// The number that a folder's name stands for; nothing: it is no checkpoint's.
std::optional<std::uint64_t> CheckpointNumber(std::string_view name);
// "part-00003.h5"
std::string CheckpointPartName(std::uint32_t shard);
// The same file as a layer below the part of a later, incremental checkpoint, `number` being that which it was written for:
// "part-00003-0000001000.h5".
std::string CheckpointLayerName(std::uint32_t shard, std::uint64_t number);

// Makes the folder, durably. That it is there already is no error: what it held is no checkpoint any more, durably, before
// any part of it is replaced.
Status MakeCheckpointFolder(const std::string& checkpoint_path, std::uint64_t number);
// The numbers of all checkpoint folders, whole or not, ascending. None if there is no folder at all.
std::vector<std::uint64_t> ListCheckpoints(const std::string& checkpoint_path);
// Removes what a dead process has left of a shard's unfinished parts, in all checkpoint folders. What a living process
// is writing stays.
void RemoveUnfinishedParts(const std::string& checkpoint_path, std::uint32_t shard);

}  // namespace cohort

#endif  // COHORT_COMMON_CHECKPOINT_FILES_H_
