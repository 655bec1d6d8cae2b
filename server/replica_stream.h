// ReplicaStream: what a shard sends to its backup, in order, each message again until it is acknowledged; and what the
// shard wants to tell others, held back until the backup has all that it speaks of. So whatever anyone has been told
// survives the death of either.
#ifndef COHORT_SERVER_REPLICA_STREAM_H_
#define COHORT_SERVER_REPLICA_STREAM_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "common/message.h"
#include "common/node.h"
#include "common/types.h"
#include "server/shard_state.h"
#include "server/snapshot_store.h"

namespace cohort {

// Messages are numbered from here on: what was for an earlier backup is told from what is for this one.
inline RequestId FirstNumber(std::uint32_t incarnation) { return (RequestId{incarnation} << 32) + 1; }

// One thread.
class ReplicaStream {
 public:
  // To this incarnation of the backup. `retry`: until a message without acknowledgement is sent again.
  ReplicaStream(NodeId backup, std::uint32_t incarnation, Duration retry)
      : backup_(backup),
        incarnation_(incarnation),
        retry_(retry),
        sent_(FirstNumber(incarnation) - 1),
        acknowledged_(sent_) {}

  NodeId backup() const { return backup_; }
  std::uint32_t incarnation() const { return incarnation_; }
  // REQUIRES: one of ReplicaPush, ReplicaEvent, ReplicaRows, ReplicaState. Gives it its number.
  void Send(Message message, TimePoint now, Outbox& out);
  // Sends a message to somebody else once the backup has all that was sent so far.
  void Hold(NodeId to, Message message, Outbox& out);
  void OnAck(RequestId number, Outbox& out);
  void OnTimer(TimePoint now, Outbox& out);
  TimePoint NextTimer() const { return unacknowledged_.empty() ? kNever : unacknowledged_.front().due; }
  // There is no backup any more: nothing is held back.
  void Release(Outbox& out);

  RequestId sent() const { return sent_; }
  RequestId acknowledged() const { return acknowledged_; }
  std::uint64_t unacknowledged_bytes() const { return bytes_; }
  std::uint64_t retries() const { return retries_; }  // messages sent again

 private:
  struct Sent {
    Message message;
    std::uint64_t bytes = 0;
    TimePoint due;
  };
  struct Held {
    RequestId number = 0;
    NodeId to;
    Message message;
  };

  const NodeId backup_;
  const std::uint32_t incarnation_;
  const Duration retry_;
  RequestId sent_, acknowledged_;
  std::deque<Sent> unacknowledged_;  // numbers acknowledged_ + 1, …
  std::uint64_t bytes_ = 0;
  std::deque<Held> held_;
  std::uint64_t retries_ = 0;
};

// The state of a shard on its way to a new backup: takes what a part of a checkpoint would take.
class ReplicaWriter : public CheckpointWriter {
 public:
  // `phase`: that the shard is in at that instant.
  ReplicaWriter(std::shared_ptr<const ReplicaStream> stream, PhaseOrder phase)
      : stream_(std::move(stream)), phase_(std::move(phase)) {}

  void Append(CopiedRows rows, TimePoint now) override;
  void Finish(ShardState state, TimePoint now) override;
  bool HasRoom(TimePoint now) const override;
  std::optional<CheckpointDone> Take(TimePoint now) override;
  TimePoint NextEvent() const override { return kNever; }  // acknowledgements come as messages
  // What is to be sent now.
  std::optional<Message> Next();
  // The backup is gone.
  void Cancel() { cancelled_ = true; }

 private:
  const std::shared_ptr<const ReplicaStream> stream_;
  const PhaseOrder phase_;
  std::deque<Message> ready_;
  bool finished_ = false, cancelled_ = false;
};

}  // namespace cohort

#endif  // COHORT_SERVER_REPLICA_STREAM_H_
