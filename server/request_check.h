// Checks of pulls and pushes, whole, before any state is touched. What fails here is another process's fault,
// never ours: the answer says what is wrong.
#ifndef COHORT_SERVER_REQUEST_CHECK_H_
#define COHORT_SERVER_REQUEST_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/message.h"
#include "common/table_spec.h"
#include "server/embedding_table.h"
#include "server/kept_pulls.h"

namespace cohort {

// A shard answers no pull whose values exceed this, and takes no push beyond it: the wire's own limit for an
// array.
inline constexpr std::size_t kMaxRequestBytes = 256u << 20;
// How far beyond a worker's closed clock its pushes and closes may be: far more than credits allow, and a
// bound for the memory of applied pushes.
inline constexpr Clock kClockWindow = 1024;

struct RequestFault {
  ErrorReason reason = ErrorReason::kMalformed;
  std::string text;
};

// Keys ascend by ring position, exist in the table, and lie in owned groups; those of a pull to be kept are
// distinct. Their positions are left in `positions`.
std::optional<RequestFault> CheckPull(const PullRequest& request, const TableSpec& table,
                                      const OwnedGroups& owned, std::vector<std::uint64_t>* positions);
// Also: keys are distinct; dim, types, sizes and runs agree; counts are there if and only if the table's policy needs
// them, and none is 0; groups ascend and are those of their keys. A push that names a pull is checked against
// `pull`, which is that one (null otherwise), and leaves `positions` as they are. Gradients
// are not looked at (CountNonFinite, common/float16.h).
std::optional<RequestFault> CheckPush(const PushRequest& request, const TableSpec& table,
                                      const OwnedGroups& owned, const KeptPull* pull,
                                      std::vector<std::uint64_t>* positions);
// Whether worker `worker` of `workers` may push the sum of `node`: in bsp one of the maximal sub-trees of its
// slices, else the root, its whole batch.
bool NodeIsOfWorker(Consistency consistency, std::uint32_t slices, std::uint32_t workers,
                    std::uint32_t worker, std::uint16_t node);

}  // namespace cohort

#endif  // COHORT_SERVER_REQUEST_CHECK_H_
