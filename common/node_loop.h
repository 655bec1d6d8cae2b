// NodeLoop: runs a Node on a Transport and the real clock: frames in, Decode, OnMessage, timers, Outbox,
// Encode, frames out. One thread.
//
// A frame that cannot be read is counted and dropped; one whose checksum is right but whose content makes no
// sense is also answered with an ErrorReply, if its sender waits for an answer. A send that fails is counted;
// the roles send again. Nothing here blocks longer than the caller allowed or the node's next timer.
#ifndef COHORT_COMMON_NODE_LOOP_H_
#define COHORT_COMMON_NODE_LOOP_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/node.h"
#include "common/status.h"
#include "common/transport.h"
#include "common/types.h"

namespace cohort {

// Cumulative.
struct LoopCounters {
  std::uint64_t messages_received = 0, messages_sent = 0;
  std::uint64_t bytes_received = 0, bytes_sent = 0;  // frames; without the transport's own bytes
  std::uint64_t bad_frames = 0;                      // refused by Decode, or meant for another node
  std::uint64_t send_errors = 0;
};

class NodeLoop {
 public:
  // Does not own its arguments. `now` is the steady clock unless a test says otherwise.
  NodeLoop(
      Node* node, Transport* transport,
      std::function<TimePoint()> now = [] { return TimePoint(std::chrono::steady_clock::now()); });

  // Handles messages and timers until `until()` is true; it is asked after every batch of messages and at
  // least every `check`.
  void Run(const std::function<bool()>& until, Duration check = std::chrono::milliseconds(50));
  // Waits up to `timeout` for something to do (a message, a timer), then does all that there is to do without
  // waiting again. Zero: only what is there already. True: at least one message was handled.
  bool Pump(Duration timeout);
  // Sends what a caller outside of the node's callbacks wants sent (Node::stamp() is put on it).
  void Flush(Outbox& out);

  TimePoint Now() const { return now_(); }
  const LoopCounters& counters() const { return counters_; }
  const Status& last_send_error() const { return last_send_error_; }

 private:
  void Deliver(const Frames& frames);
  void FireTimer();

  NodeId self_;
  std::uint32_t incarnation_;
  Node* const node_;
  Transport* const transport_;
  const std::function<TimePoint()> now_;
  Outbox outbox_;
  std::vector<Outgoing> outgoing_;  // memory for Flush
  LoopCounters counters_;
  Status last_send_error_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_NODE_LOOP_H_
