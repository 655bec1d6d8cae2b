// A role as a plain state machine: a message or a timer in, messages out. It sees no socket, thread, wall clock, file
// or MPI. Three drivers run the same classes: NodeLoop (real sockets), the simulated network of the tests, and the
// scaling simulator.
#ifndef COHORT_COMMON_NODE_H_
#define COHORT_COMMON_NODE_H_

#include <string>
#include <utility>
#include <vector>

#include "common/message.h"
#include "common/types.h"

namespace cohort {

struct Outgoing {
  NodeId to;
  Message message;
};

// Messages that a role wants sent, in order. The driver stamps the header (who, run, epoch, generation …) from
// Node::stamp() when it takes them.
class Outbox {
 public:
  void Send(NodeId to, Message message) { messages_.push_back({to, std::move(message)}); }
  // From now on `to` is reached at this endpoint: before any message that is sent here.
  void Connect(NodeId to, std::string endpoint) { connections_.emplace_back(to, std::move(endpoint)); }
  std::vector<Outgoing> Take() { return std::exchange(messages_, {}); }
  // The same; `taken` is replaced, its memory comes back to serve again.
  void Take(std::vector<Outgoing>* taken) {
    taken->clear();
    messages_.swap(*taken);
  }
  std::vector<std::pair<NodeId, std::string>> TakeConnections() { return std::exchange(connections_, {}); }
  bool empty() const { return messages_.empty() && connections_.empty(); }

 private:
  std::vector<Outgoing> messages_;
  std::vector<std::pair<NodeId, std::string>> connections_;
};

class Node {
 public:
  virtual ~Node() = default;
  // `message` passed the wire's checks of form; whether it is stale or makes sense is the role's to decide.
  virtual void OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) = 0;
  // Called at or after NextTimer().
  virtual void OnTimer(TimePoint now, Outbox& out) = 0;
  // When OnTimer wants to be called next; kNever if nothing is waited for.
  virtual TimePoint NextTimer() const = 0;
  // What the header of this role's messages says now. A node whose sender changes (a backup that becomes its shard) is
  // addressed by the new one from then on.
  virtual Stamp stamp() const = 0;
};

}  // namespace cohort

#endif  // COHORT_COMMON_NODE_H_
