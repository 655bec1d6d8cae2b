// The checkpoints of a run, as its scheduler and `cohort train` see them: which is the newest that can be used, what it says
// of the run, and which are too many. How they lie on the disk: common/checkpoint_files.h.
#ifndef COHORT_LAUNCH_CHECKPOINTS_H_
#define COHORT_LAUNCH_CHECKPOINTS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "common/checkpoint_files.h"
#include "common/status.h"
#include "scheduler/run_position.h"

namespace cohort {

inline constexpr const char* kCheckpointsFolder = "checkpoints";  // in RUN_DIR

// What the manifest of a checkpoint carries beside the model (ModelManifest::checkpoint).
struct RunProgress {
  RunPosition position;
  std::string result;  // scheduler/result.h, ProgressToJson
};
std::string ToJson(const RunProgress& progress);
// kCorrupt: not what ToJson writes.
Result<RunProgress> RunProgressFromJson(const std::string& text, const std::string& origin);
// Of the checkpoint in `folder`. kCorrupt: it is none.
Result<RunProgress> ReadProgress(const std::string& folder);

// The folder of the newest checkpoint that is whole: its manifest and the sizes and checksums of its parts are right. `note`
// hears why newer ones are left out. Nothing: there is none.
std::optional<std::string> NewestCheckpoint(const std::string& checkpoint_path,
                                            const std::function<void(const std::string&)>& note);

// Whether one is there with its manifest, so that going on is worth a try; its parts are not looked at.
bool HasCheckpoint(const std::string& checkpoint_path);

// What lies beyond checkpoint `number`, whole or not, is of a life of the run that is over: removes it, manifests first, so that
// none of it is taken for what the next life writes under the same number. Errors are ignored, here and below: what stays
// takes room, and is found damaged.
void RemoveCheckpointsAfter(const std::string& checkpoint_path, std::uint64_t number);
// `newest` has just been written: removes what is older, all but the newest `keep` whole ones, this one included.
void RemoveOldCheckpoints(const std::string& checkpoint_path, std::uint64_t newest, std::uint32_t keep);

}  // namespace cohort

#endif  // COHORT_LAUNCH_CHECKPOINTS_H_
