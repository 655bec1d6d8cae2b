// A network in virtual time: one seed decides every delay, loss, repetition, reordering, bit flip, pause and ghost.
// Every message goes through Encode and Decode. Nodes are the real state machines.
//
// A ghost is a message that nobody now alive has sent: of an earlier incarnation of a process, of another run, of a slot
// map or a phase that is not this one. It must change nothing.
//
// A crash is Kill, and later SetNode with another node of the next incarnation. SetNode without Kill leaves the earlier process
// alive, unheard of: it hears nothing any more, as replies go to the newer one, and what it says is delivered. A node that changes
// its name (a backup that becomes its shard) takes that place in the same way.
#ifndef COHORT_TESTS_SIMULATION_SIM_NETWORK_H_
#define COHORT_TESTS_SIMULATION_SIM_NETWORK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "common/node.h"
#include "common/random.h"
#include "common/transport.h"
#include "common/types.h"
#include "tests/simulation/sim_faults.h"

namespace cohort {

// How often each kind of fault was delivered and each path taken.
using Counts = std::map<std::string, std::uint64_t>;

class SimNetwork {
 public:
  // `life`: of a run that dies as a whole. What `script` points to must outlive the network; with a list to replay, `faults`
  // says only how long messages take at least.
  SimNetwork(std::uint64_t seed, NetworkFaults faults, FaultScript script = {}, std::uint32_t life = 0);

  // `start` runs at `at`; before that, the node hears nothing.
  void SetNode(NodeId id, Node* node, TimePoint at, std::function<void(TimePoint, Outbox&)> start);
  // From now on the node hears nothing and says nothing: it is over, or killed. REQUIRES: it runs.
  void End(NodeId id);
  void Kill(NodeId id);
  bool Runs(NodeId id) const;
  // Something of the outside happens to a node now. REQUIRES: it runs.
  void Poke(NodeId id, const std::function<void(TimePoint, Outbox&)>& what);
  // Puts a message on the wire that no node has sent.
  void Inject(const Stamp& stamp, NodeId to, const Message& message, TimePoint at);
  // Until `done` or until `deadline` has passed. False: the deadline; or violation() says what else.
  bool Run(const std::function<bool()>& done, TimePoint deadline);

  TimePoint now() const { return now_; }
  const Counts& counts() const { return counts_; }
  const std::string& violation() const { return violation_; }
  // Of all that has happened: two runs with the same one are the same run.
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  // What happens to a message, beside faults of its link.
  struct Fate {
    Duration delay{}, late{};
    bool lost = false, flipped = false;
    std::uint64_t flipped_bit = 0;
    Duration repeat = Duration::max();  // no repetition
  };
  enum class EventKind : std::uint8_t { kStart, kDeliver, kTimer, kPause };
  struct Event {
    EventKind kind = EventKind::kTimer;
    NodeId from, to;
    Frames frames;
    std::uint64_t link_number = 0;  // of the message on its link
    bool damaged = false;
    bool ghost = false;
  };
  struct Place {
    Node* node = nullptr;
    NodeId name;  // what it calls itself
    std::function<void(TimePoint, Outbox&)> start;
    bool running = false;
    bool welcomed = false;
    TimePoint paused_until{};
    TimePoint timer = kNever;  // scheduled
  };

  void At(TimePoint time, Event event);
  // Whoever is at a place, and lives, is heard of no more.
  void MakeUnheard(NodeId id);
  // Sends what the node has to say; it may have changed its name.
  void AfterTurn(NodeId id, Outbox& out);
  void Handle(Event event);
  void Deliver(Place& place, Event& event);
  void SendAll(NodeId from, Node& node, Outbox& out);
  void SendOne(NodeId from, const Stamp& stamp, Outgoing outgoing);
  Fate FateOf(NodeId from, NodeId to, std::uint64_t number, std::uint64_t bytes);
  bool HasHeard(NodeId listener, const Stamp& speaker) const;
  void MaybeGhost(NodeId from, const Stamp& stamp, NodeId to, std::uint64_t number, const Message& message);
  void ScheduleTimer(NodeId id, Place& place);
  void Pause();
  void PauseNode(NodeId id, Place& place, Duration length);
  Duration Delay();
  Duration Late();
  // The fault of a link now; null: none.
  const LinkFault* FaultOf(NodeId from, NodeId to) const;
  bool Chance(double p) { return p > 0 && now_ < faults_.end && random_.Uniform() < p; }
  void Trace(const char* what, const Event& event);
  void TraceLine(const char* what, const std::string& of);
  void Fingerprint(const Event& event);

  RandomStream random_;
  NetworkFaults faults_;
  const FaultScript script_;
  const std::uint32_t life_;
  std::map<std::tuple<NodeId, NodeId, std::uint64_t>, std::vector<Fault>> replayed_;  // of messages
  std::vector<Fault> pauses_;                                                         // likewise
  TimePoint now_{};
  std::uint64_t next_event_ = 0, events_handled_ = 0, fingerprint_ = 0;
  std::map<std::pair<TimePoint, std::uint64_t>, Event> events_;
  std::map<NodeId, Place> places_;
  std::map<std::pair<NodeId, NodeId>, std::pair<std::uint64_t, std::uint64_t>>
      links_;                                                          // sent, newest delivered
  std::set<std::tuple<NodeId, std::size_t, std::uint64_t>> requests_;  // sender, type, id
  std::map<std::pair<NodeId, NodeId>, std::uint32_t>
      heard_;  // answers of the first have reached the second: of this incarnation of it, at most
  Counts counts_;
  std::uint32_t replaced_alive_ = 0;
  std::string violation_;
};

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_NETWORK_H_
