// The same model or checkpoint in another number of parts, for `cohort reshard`. Nobody needs that to go on from a checkpoint,
// which any number of shards can; but parts of another size may suit a disk, a copy or another tool better.
#ifndef COHORT_LAUNCH_RESHARD_H_
#define COHORT_LAUNCH_RESHARD_H_

#include <cstdint>
#include <functional>
#include <string>

#include "common/model_files.h"
#include "common/status.h"

namespace cohort {

// Writes to the folder `out`, which is made, what `path` holds as `shards` parts, as that many shards would have written it: the
// rows, and of a checkpoint what the shards were beside. The hash stays the same. Rows lie in no order, as in a checkpoint.
// Everything is checked on the way. Takes memory for a block of rows for each part and table, and for a checkpoint's sketches.
// `progress` hears of the rows written so far, and of how many there are.
// Errors: kInvalidInput, there is no model, or something is at `out` already; kCorrupt, the model is damaged. Then nothing
// stays.
Result<ModelManifest> Reshard(const std::string& path, std::uint32_t shards, const std::string& out,
                              const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});

// The same in as many parts as there are, without the rows of embedding tables whose key is `gone`; `*rows_gone` counts them. What
// shards were beside their rows stays, sketches of sightings too. The hash is that of the rows that stay.
Result<ModelManifest> WriteWithoutKeys(
    const std::string& path, const std::function<bool(Key)>& gone, const std::string& out,
    std::uint64_t* rows_gone, const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});

}  // namespace cohort

#endif  // COHORT_LAUNCH_RESHARD_H_
