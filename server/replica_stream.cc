#include "server/replica_stream.h"

#include <type_traits>
#include <utility>
#include <variant>

#include "common/check.h"

namespace cohort {
namespace {

// Of rows on their way to a new backup: few enough that pushes in between are not kept waiting for long.
constexpr std::uint64_t kMostRowBytes = 4u << 20;

std::uint64_t BytesOf(const Message& message) {
  if (const auto* push = std::get_if<ReplicaPush>(&message))
    return push->push.keys.size() + push->push.values.size() + push->push.counts.size();
  if (const auto* rows = std::get_if<ReplicaRows>(&message))
    return rows->positions.size() + rows->words.size() + rows->statistics.size();
  if (const auto* state = std::get_if<ReplicaState>(&message)) return state->state.size();
  return 0;
}

}  // namespace

void ReplicaStream::Send(Message message, TimePoint now, Outbox& out) {
  const RequestId number = ++sent_;
  std::visit(
      [number](auto& body) {
        using T = std::decay_t<decltype(body)>;
        constexpr bool kOfStream = std::is_same_v<T, ReplicaPush> || std::is_same_v<T, ReplicaEvent> ||
                                   std::is_same_v<T, ReplicaRows> || std::is_same_v<T, ReplicaState>;
        COHORT_CHECK(kOfStream, "message that no backup receives");
        body.request_id = number;
      },
      message);
  out.Send(backup_, message);
  const std::uint64_t bytes = BytesOf(message);
  bytes_ += bytes;
  unacknowledged_.push_back({std::move(message), bytes, now + retry_});
}

void ReplicaStream::Hold(NodeId to, Message message, Outbox& out) {
  if (acknowledged_ == sent_) {
    out.Send(to, std::move(message));
  } else {
    held_.push_back({sent_, to, std::move(message)});
  }
}

void ReplicaStream::OnAck(RequestId number, Outbox& out) {
  if (number > sent_) return;
  for (; acknowledged_ < number; ++acknowledged_) {
    bytes_ -= unacknowledged_.front().bytes;
    unacknowledged_.pop_front();
  }
  for (; !held_.empty() && held_.front().number <= acknowledged_; held_.pop_front())
    out.Send(held_.front().to, std::move(held_.front().message));
}

void ReplicaStream::OnTimer(TimePoint now, Outbox& out) {
  if (NextTimer() > now) return;
  for (Sent& each : unacknowledged_) {
    if (each.due > now) continue;
    out.Send(backup_, each.message);
    each.due = now + retry_;
    ++retries_;
  }
}

void ReplicaStream::Release(Outbox& out) {
  for (; !held_.empty(); held_.pop_front()) out.Send(held_.front().to, std::move(held_.front().message));
  acknowledged_ = sent_;
  unacknowledged_.clear();
  bytes_ = 0;
}

void ReplicaWriter::Append(CopiedRows rows, TimePoint) {
  if (cancelled_ || rows.positions.empty()) return;
  ReplicaRows message;
  message.table = rows.table;
  message.positions = Buffer::Own(std::move(rows.positions));
  message.words = Buffer::Own(std::move(rows.words));
  message.statistics = Buffer::Own(std::move(rows.statistics));
  ready_.push_back(std::move(message));
}

void ReplicaWriter::Finish(ShardState state, TimePoint) {
  ready_.push_back(ReplicaState{0, phase_, EncodeShardState(state)});
  finished_ = true;
}

bool ReplicaWriter::HasRoom(TimePoint) const { return stream_->unacknowledged_bytes() < kMostRowBytes; }

std::optional<CheckpointDone> ReplicaWriter::Take(TimePoint) {
  CheckpointDone done;
  if (cancelled_) {
    done.error = "the backup is gone";
    return done;
  }
  if (!finished_ || !ready_.empty()) return std::nullopt;
  return done;
}

std::optional<Message> ReplicaWriter::Next() {
  if (ready_.empty()) return std::nullopt;
  Message message = std::move(ready_.front());
  ready_.pop_front();
  return message;
}

}  // namespace cohort
