#include "common/node_loop.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "common/wire.h"

namespace cohort {
namespace {

// Messages handled before timers and the caller have their turn.
constexpr int kBatch = 256;

}  // namespace

NodeLoop::NodeLoop(Node* node, Transport* transport, std::function<TimePoint()> now)
    : self_(node->stamp().sender),
      incarnation_(node->stamp().incarnation),
      node_(node),
      transport_(transport),
      now_(std::move(now)) {}

void NodeLoop::Run(const std::function<bool()>& until, Duration check) {
  while (!until()) Pump(check);
}

bool NodeLoop::Pump(Duration timeout) {
  Duration wait = std::max(timeout, Duration::zero());
  if (const TimePoint timer = node_->NextTimer(); timer != kNever) {
    wait = std::clamp(timer - now_(), Duration::zero(), wait);
  }
  bool handled = false;
  for (int i = 0; i < kBatch; ++i) {
    std::optional<Frames> frames = transport_->Receive(i == 0 ? wait : Duration::zero());
    if (!frames) break;
    handled = true;
    Deliver(*frames);
  }
  // Messages first: after a pause of this process they show that the others live.
  FireTimer();
  return handled;
}

void NodeLoop::FireTimer() {
  const TimePoint now = now_();
  if (node_->NextTimer() > now) return;
  node_->OnTimer(now, outbox_);
  Flush(outbox_);
}

void NodeLoop::Deliver(const Frames& frames) {
  ++counters_.messages_received;
  counters_.bytes_received += SizeOf(frames);
  auto decoded = Decode(frames);
  if (!decoded) {
    ++counters_.bad_frames;
    const auto origin = ReadOrigin(frames);
    if (origin && origin->is_request && origin->receiver == self_) {
      outbox_.Send(origin->stamp.sender,
                   ErrorReply{origin->request_id, ErrorReason::kMalformed, decoded.error().text()});
      Flush(outbox_);
    }
    return;
  }
  if (decoded->receiver != self_) {
    ++counters_.bad_frames;
    return;
  }
  node_->OnMessage(decoded->stamp, std::move(decoded->message), now_(), outbox_);
  Flush(outbox_);
}

void NodeLoop::Flush(Outbox& out) {
  if (out.empty()) return;
  const Stamp stamp = node_->stamp();
  if (stamp.sender != self_ || stamp.incarnation != incarnation_) {
    self_ = stamp.sender;
    incarnation_ = stamp.incarnation;
    if (Status status = transport_->Rename(self_, incarnation_); !status.ok()) {
      ++counters_.send_errors;
      last_send_error_ = std::move(status);
    }
  }
  for (const auto& [to, endpoint] : out.TakeConnections()) {
    if (Status status = transport_->Connect(to, endpoint); !status.ok()) {
      ++counters_.send_errors;
      last_send_error_ = std::move(status);
    }
  }
  out.Take(&outgoing_);
  for (Outgoing& outgoing : outgoing_) {
    Frames frames = Encode(stamp, outgoing.to, outgoing.message);
    const std::size_t size = SizeOf(frames);
    Status status = transport_->Send(outgoing.to, std::move(frames));
    if (status.ok()) {
      ++counters_.messages_sent;
      counters_.bytes_sent += size;
    } else {
      ++counters_.send_errors;
      last_send_error_ = std::move(status);
    }
  }
  outgoing_.clear();  // lets go of its buffers
}

}  // namespace cohort
