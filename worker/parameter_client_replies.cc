// ParameterClient: requests on their way: sent within credits, sent again, answered, refused, given up.
#include <algorithm>
#include <numeric>
#include <utility>

#include "common/check.h"
#include "common/float16.h"
#include "common/seconds.h"
#include "worker/parameter_client.h"

namespace cohort {
namespace {

std::string ClockName(Clock clock) {
  return clock == kClockInfinity ? "the end of the phase" : "clock " + std::to_string(clock);
}

const char* ReasonText(ErrorReason reason) {
  switch (reason) {
    case ErrorReason::kMalformed:
      return "what it holds cannot be used";
    case ErrorReason::kUnknownTable:
      return "it does not know the table";
    case ErrorReason::kWrongShard:
      return "a key belongs to another shard";
    case ErrorReason::kStaleGeneration:
      return "the slot map is out of date";
    case ErrorReason::kStaleIncarnation:
      return "this worker has been replaced";
    case ErrorReason::kStalePhase:
      return "the phase is over";
    case ErrorReason::kFuturePhase:
      return "the phase has not begun there";
    case ErrorReason::kNotReady:
      return "it is not ready";
    case ErrorReason::kWrongRun:
      return "it belongs to another run";
    case ErrorReason::kUnknownPull:
      return "it does not know the pull";
  }
  return "unknown reason";
}

}  // namespace

void ParameterClient::Enqueue(Request& request, TimePoint now, Outbox& out) {
  const std::uint32_t shard = request.shard;
  Lane& lane = LaneOf(request);
  const auto slot = static_cast<std::uint32_t>(request.id & kSlotMask);
  (lane.first == kNone ? lane.first : requests_[lane.last].next) = slot;
  lane.last = slot;
  const RequestId id = request.id;
  SendQueued(shard, lane, now, out);
  if (!Find(id)->sent) ++counters_.credit_waits;
}

void ParameterClient::SendQueued(std::uint32_t shard, Lane& lane, TimePoint now, Outbox& out) {
  while (lane.first != kNone) {
    Request& request = requests_[lane.first];
    // A request larger than the whole credit goes alone.
    if (lane.outstanding_bytes > 0 && lane.outstanding_bytes + request.bytes > options_.credit_bytes) return;
    lane.first = std::exchange(request.next, kNone);
    lane.outstanding_bytes += request.bytes;
    request.sent = true;
    request.first_sent = now;
    COHORT_CHECK(request.shard == shard);
    switch (request.kind) {
      case Kind::kPull:
        ++counters_.pulls;
        break;
      case Kind::kPush:
        ++counters_.pushes;
        break;
      case Kind::kClose:
        ++counters_.closes;
        break;
    }
    Transmit(request, now, out);
  }
}

void ParameterClient::Transmit(const Request& request, TimePoint now, Outbox& out) {
  Send(request, out);
  retries_.push_back({now + options_.retry, request.id});
}

void ParameterClient::Send(const Request& request, Outbox& out) {
  const NodeId to = ShardNode(request.shard);
  switch (request.kind) {
    case Kind::kPull:
      out.Send(to, PullRequest{request.id, phase_, request.clock, request.table, request.absent, request.keys,
                               request.keep, request.type});
      break;
    case Kind::kPush:
      out.Send(to, PushRequest{request.id, phase_, request.clock, request.table, request.node, request.dim,
                               request.runs, request.pull == 0 ? request.keys : Buffer(), request.values,
                               request.counts, request.pull, request.rows, request.type});
      break;
    case Kind::kClose:
      out.Send(to, CloseRequest{request.id, phase_, request.clock});
      break;
  }
}

bool ParameterClient::OnMessage(const Stamp& from, Message& message, TimePoint now, Outbox& out) {
  if (from.sender.role != Role::kShard) return false;
  RequestId id = 0;
  if (auto* reply = std::get_if<PullReply>(&message)) {
    id = reply->request_id;
  } else if (auto* parked = std::get_if<PullParked>(&message)) {
    id = parked->request_id;
  } else if (auto* pushed = std::get_if<PushReply>(&message)) {
    id = pushed->request_id;
  } else if (auto* closed = std::get_if<CloseReply>(&message)) {
    id = closed->request_id;
  } else if (auto* error = std::get_if<ErrorReply>(&message)) {
    id = error->request_id;
  } else {
    return false;
  }
  if (from.sender.index < shards_.size()) {
    Shard& shard = shards_[from.sender.index];
    if (from.incarnation < shard.incarnation) {  // of a process that has been replaced
      ++counters_.stale_replies;
      return true;
    }
    shard.incarnation = from.incarnation;
    shard.last_heard = std::max(shard.last_heard, now);
  }
  Request* request = Find(id);
  // A reply to an answered request (the network or a retry doubled it), or one that nobody can have meant for
  // us.
  if (request == nullptr || !request->sent || request->shard != from.sender.index) {
    ++counters_.stale_replies;
    return true;
  }
  const Kind kind = request->kind;
  if (auto* reply = std::get_if<PullReply>(&message); reply && kind == Kind::kPull) {
    OnReply(*reply, *request);
    if (failure_.ok()) Finish(*request, now, out);
  } else if (auto* parked = std::get_if<PullParked>(&message); parked && kind == Kind::kPull) {
    ++counters_.parked;
    request->parked = true;
    request->parked_behind = parked->waiting_for;
    request->parked_closed = parked->its_closed;
  } else if (auto* pushed = std::get_if<PushReply>(&message); pushed && kind == Kind::kPush) {
    counters_.parts_applied += pushed->applied_parts;
    counters_.parts_duplicated += pushed->duplicate_parts;
    counters_.bytes_pushed +=
        (request->pull == 0 ? request->keys : request->rows).size() + request->values.size();
    Finish(*request, now, out);
  } else if (std::holds_alternative<CloseReply>(message) && kind == Kind::kClose) {
    Shard& shard = shards_[request->shard];
    shard.closed = std::max(shard.closed, request->clock);
    Finish(*request, now, out);
  } else if (auto* error = std::get_if<ErrorReply>(&message)) {
    OnError(*error, *request, out);
  } else {
    ++counters_.stale_replies;
  }
  return true;
}

void ParameterClient::OnShardMoved(const ShardMoved& moved, TimePoint now, Outbox& out) {
  if (moved.shard >= shards_.size()) return;
  Shard& shard = shards_[moved.shard];
  if (moved.incarnation < shard.incarnation) return;
  shard.incarnation = moved.incarnation;
  shard.last_heard = now;
  for (const Request& request : requests_) {
    if (request.id == 0 || !request.sent || request.shard != moved.shard) continue;
    ++counters_.retries;
    Send(request, out);  // its retry is due as before
  }
}

void ParameterClient::OnReply(const PullReply& reply, Request& request) {
  const std::size_t count = request.keys.size() / sizeof(Key) * request.dim;
  const std::size_t expected = count * SizeOf(request.type);
  if (reply.table != request.table || reply.dim != request.dim || reply.type != request.type ||
      reply.values.size() != expected) {
    Fail(ErrorCode::kCorrupt, ToString(ShardNode(request.shard)) + " answered a pull of table " +
                                  std::to_string(request.table) + " with " +
                                  std::to_string(reply.values.size()) + " bytes, expected " +
                                  std::to_string(expected) + ": the programs do not fit together");
    return;
  }
  const std::span<const std::uint32_t> places = request.rows.As<std::uint32_t>();
  const std::size_t row_bytes = request.dim * SizeOf(request.type);
  if (places.empty()) DecodeValues(request.type, reply.values.data(), count, request.target);
  for (std::size_t i = 0; i < places.size(); ++i) {
    DecodeValues(request.type, reply.values.data() + i * row_bytes, request.dim,
                 request.target + std::size_t{places[i]} * request.dim);
  }
  if (HotRows* cache = CacheOf(request.table, request.absent)) {
    const TableSpec& table = Table(request.table);
    const std::span<const Key> keys = request.keys.As<Key>();
    const Clock as_of = consistency_ == Consistency::kSsp ? reply.applied_to : request.clock;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const std::size_t place = places.empty() ? i : places[i];
      cache->Offer(RingPosition(table, keys[i]), as_of, request.target + place * request.dim);
    }
  }
  counters_.bytes_pulled += expected;
  counters_.absent_rows += reply.absent_rows;
}

void ParameterClient::OnError(const ErrorReply& error, Request& request, Outbox& out) {
  if (error.reason == ErrorReason::kNotReady || error.reason == ErrorReason::kFuturePhase) {
    ++counters_.refused;  // its retry is due anyway
    return;
  }
  if (error.reason == ErrorReason::kUnknownPull && request.kind == Kind::kPush) {
    if (request.pull == 0) {  // it has been sent with keys since
      ++counters_.stale_replies;
      return;
    }
    ++counters_.unknown_pulls;
    NameByKeys(request);
    Send(request, out);  // its retry is due as before
    return;
  }
  const bool stale = error.reason == ErrorReason::kStaleIncarnation ||
                     error.reason == ErrorReason::kStalePhase ||
                     error.reason == ErrorReason::kStaleGeneration;
  Fail(stale ? ErrorCode::kStale : ErrorCode::kInternal,
       ToString(ShardNode(request.shard)) + " refused a " +
           (request.kind == Kind::kPull   ? "pull"
            : request.kind == Kind::kPush ? "push"
                                          : "close") +
           " of " + ToString(self_) + " at " + ClockName(request.clock) + ": " + ReasonText(error.reason) +
           (error.text.empty() ? "" : " (" + error.text + ")"));
}

void ParameterClient::Finish(Request& request, TimePoint now, Outbox& out) {
  const std::uint32_t shard = request.shard;
  Lane& lane = LaneOf(request);
  lane.outstanding_bytes -= request.bytes;
  if (request.kind != Kind::kClose) {
    TicketState& ticket = tickets_[request.ticket_slot];
    --ticket.remaining;
    FreeIfDone(ticket.id);
  }
  bool clock_done = false;
  if (request.kind == Kind::kPush) {
    auto count = std::lower_bound(pushes_.begin(), pushes_.end(), request.clock,
                                  [](const PushCount& p, Clock c) { return p.clock < c; });
    if (--count->unacknowledged == 0) {
      pushes_.erase(count);
      clock_done = true;
    }
  }
  free_.push_back(static_cast<std::uint32_t>(request.id & kSlotMask));
  // In order again, so that those of the next batch lie side by side.
  if (outstanding() == 0) std::iota(free_.rbegin(), free_.rend(), 0u);
  request = Request();
  while (!retries_.empty() && Find(retries_.front().id) == nullptr) retries_.pop_front();
  SendQueued(shard, lane, now, out);
  if (clock_done) SendReadyCloses(now, out);
}

void ParameterClient::NoticeTime(TimePoint now) {
  // Called much later than asked for: this process was stopped, starved or computing. That time says nothing
  // about the shards.
  const Duration late = now - retries_.front().due;
  if (late <= options_.retry) return;
  for (Shard& shard : shards_) shard.last_heard = std::min(now, shard.last_heard + late);
  for (Request& request : requests_) {
    if (request.sent) request.first_sent = std::min(now, request.first_sent + late);
  }
}

void ParameterClient::OnTimer(TimePoint now, Outbox& out) {
  if (retries_.empty() || retries_.front().due > now) return;
  NoticeTime(now);
  while (!retries_.empty() && retries_.front().due <= now) {
    const Retry retry = retries_.front();
    retries_.pop_front();
    Request* request = Find(retry.id);
    if (request == nullptr) continue;
    const Duration silence = now - std::max(shards_[request->shard].last_heard, request->first_sent);
    if (silence > options_.request_deadline) {
      Fail(ErrorCode::kTimeout, ToString(self_) + ": no sign of life from " +
                                    ToString(ShardNode(request->shard)) + " for " + Seconds(silence) +
                                    " (limit cluster.request_seconds): " + Describe(*request, now));
    } else if (now - request->first_sent > options_.wait_deadline) {
      Fail(ErrorCode::kTimeout,
           ToString(self_) + ": waited too long (limit cluster.wait_seconds): " + Describe(*request, now));
    }
    ++counters_.retries;
    Transmit(*request, now, out);
  }
}

TimePoint ParameterClient::NextTimer() const { return retries_.empty() ? kNever : retries_.front().due; }

void ParameterClient::Fail(ErrorCode code, std::string text) {
  if (failure_.ok()) failure_ = Status(code, std::move(text));
}

std::string ParameterClient::Describe(const Request& request, TimePoint now) const {
  std::string text;
  switch (request.kind) {
    case Kind::kPull:
      text = "pull of table " + std::to_string(request.table) + " at " + ClockName(request.clock) + " from ";
      break;
    case Kind::kPush:
      text = "push to table " + std::to_string(request.table) + " at " + ClockName(request.clock) + " to ";
      break;
    case Kind::kClose:
      text = "close of " + ClockName(request.clock) + " at ";
      break;
  }
  text += ToString(ShardNode(request.shard)) + ", since " + Seconds(now - request.first_sent);
  if (request.parked) {
    text += ", behind " + ToString(WorkerNode(request.parked_behind)) + " which has closed ";
    text += request.parked_closed < 0 ? "nothing" : ClockName(request.parked_closed);
    text += " there";
  }
  return text;
}

std::string ParameterClient::Waiting(TimePoint now) const {
  const Request* oldest = nullptr;
  std::size_t sent = 0, queued = 0;
  for (const Request& request : requests_) {
    if (request.id == 0) continue;
    ++(request.sent ? sent : queued);
    if (request.sent && (oldest == nullptr || request.first_sent < oldest->first_sent)) oldest = &request;
  }
  if (oldest == nullptr) return {};
  return Describe(*oldest, now) + " (" + std::to_string(sent) + " requests sent, " + std::to_string(queued) +
         " waiting for credit)";
}

}  // namespace cohort
