// StandIn: scheduler and shards for one worker in a rehearsal. They answer at once, with the values that rows begin with, and
// count what goes over each link, in frames as the protocol encodes them (wire.h). The worker is the real one, so that what is
// counted follows every change of trainer, parameter client and wire.
//
// What a worker would hear of others is left out: pulls of bsp are not parked (traffic.h adds those messages), and no shard
// takes part in checkpoints.
#ifndef COHORT_LAUNCH_PLAN_STAND_IN_H_
#define COHORT_LAUNCH_PLAN_STAND_IN_H_

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/message.h"
#include "common/node.h"
#include "common/table_spec.h"
#include "common/transport.h"
#include "launch/run_plan.h"
#include "scheduler/leases.h"
#include "worker/epoch_order.h"
#include "worker/pump.h"
#include "worker/worker.h"

namespace cohort {

// Between one worker and one shard, in bytes of frames unless it says otherwise.
struct LinkLoad {
  std::uint64_t to_shard = 0, to_worker = 0;
  std::uint64_t to_backup = 0, from_backup = 0;     // what the shard would exchange with its backup for it
  std::uint64_t pulls = 0, pushes = 0;              // messages
  std::uint64_t pulled_rows = 0, pulled_bytes = 0;  // values
  std::uint64_t pushed_rows = 0, pushed_bytes = 0;  // frames of pushes

  LinkLoad& operator+=(const LinkLoad& other);
  std::uint64_t bytes() const { return to_shard + to_worker; }
};

// What a worker did in a run of batches.
struct WorkLoad {
  std::uint64_t batches = 0, rows = 0;
  std::vector<LinkLoad> links;  // by shard
  void Add(const WorkLoad& other);
};

inline std::uint64_t RowsOf(const RunPlan& plan, Split split) {
  return plan.rows[static_cast<std::size_t>(split)];
}

// How much of a phase is rehearsed.
struct RehearsedPhase {
  PhaseOrder order;
  std::uint64_t most_rows = 0;  // of leases that are granted; bsp: order.resume_clock says
};

// What came of it.
struct PhaseLoad {
  std::map<Clock, WorkLoad> clocks;  // training in bsp, but for `rows`; else all of it is at clock 0
  WorkLoad once;                     // evaluation: the dense weights, which a worker pulls once
  std::uint64_t rows = 0;            // leases: granted
  std::uint64_t control = 0;         // with the scheduler, without heartbeats and `sums`
  std::uint64_t sums = 0;            // evaluation: the message with what the rows come to
  Counters counters;                 // at its end
};

class StandIn : public Pump {
 public:
  // All of them must outlive it. `worker`: which one of the plan's is rehearsed. `done(i)`: phase i has ended.
  StandIn(const RunInputs& inputs, const RunPlan& plan, std::uint32_t worker,
          std::vector<RehearsedPhase> phases, std::function<void(std::size_t)> done);
  // Before the first Run. `worker` must outlive it.
  void Attach(Worker* worker) { node_ = worker; }

  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
  void Run(Outbox& out, Duration at_most) override;

  const std::vector<PhaseLoad>& loads() const { return loads_; }
  std::uint64_t welcome_bytes() const { return welcome_bytes_; }
  std::uint64_t heartbeat_bytes() const { return heartbeat_bytes_; }  // of the last one, and its answer

 private:
  struct Answer {
    NodeId from;
    Message message;
    Frames request;  // held until the answer is there, as a socket holds it
  };

  void Take(const Outgoing& outgoing);
  void TakeControl(const Message& message, std::uint64_t bytes);
  void TakeData(std::uint32_t shard, const Message& message, Frames frames);
  PullReply AnswerPull(std::uint32_t shard, const PullRequest& pull);
  // What the shard sends its backup for a push, and what that answers.
  void CountReplica(const PushRequest& push, LinkLoad* link) const;
  WorkLoad& LoadOf(Clock clock);
  LinkLoad& LinkOf(WorkLoad& load, std::uint32_t shard) const;
  void NextPhase();
  LeaseReply GrantLease(const LeaseRequest& request);
  void Say(Message message);  // as the scheduler
  std::uint64_t BytesOf(NodeId from, NodeId to, const Message& message) const;
  const TableSpec& Table(TableId id) const;

  const RunInputs& inputs_;
  const RunPlan& plan_;
  const std::uint32_t index_;
  const std::vector<RehearsedPhase> phases_;
  const std::function<void(std::size_t)> done_;
  Worker* node_ = nullptr;
  std::deque<Answer> answers_;
  std::vector<PhaseLoad> loads_;
  std::size_t phase_ = 0;
  Leases leases_;
  std::optional<EpochOrder> epoch_;
  std::map<RequestId, std::pair<Clock, Buffer>>
      kept_;                   // pulls that are kept, until their clock is closed; with backups only
  std::vector<Clock> closed_;  // by shard
  std::uint64_t welcome_bytes_ = 0, heartbeat_bytes_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_PLAN_STAND_IN_H_
