// RequestDesk: takes what `cohort cluster` asks of a run to its coordinator, and says how far it is.
#ifndef COHORT_LAUNCH_REQUEST_DESK_H_
#define COHORT_LAUNCH_REQUEST_DESK_H_

#include <cstdint>
#include <optional>
#include <string>

#include "common/node.h"
#include "common/types.h"
#include "launch/cluster_requests.h"
#include "scheduler/coordinator.h"

namespace cohort {

// The scheduler's thread.
class RequestDesk {
 public:
  // `folder`: RUN_DIR. `supervised`: somebody starts processes for the run; `took_over`: the coordinator has taken the place of
  // another. It must outlive the desk.
  RequestDesk(const std::string& folder, bool supervised, bool took_over, Coordinator* coordinator);

  // Between messages; looks for new requests now and then.
  void Follow(TimePoint now, Outbox& out);

 private:
  Status Begin(ClusterChange change, TimePoint now, Outbox& out);
  // Of the request under way.
  RequestAnswer Answer() const;

  const bool supervised_;
  Coordinator* const coordinator_;
  RequestInbox inbox_;
  std::optional<std::uint32_t> request_;  // under way
  std::uint64_t leaving_pid_ = 0;         // of the process that is to end, if that is to be seen from here
  TimePoint next_look_{};
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_REQUEST_DESK_H_
