// The faults of a simulated run: how likely they are, where a seed decides them as the run goes; or a list of them, one by one,
// as a run has met them. A run may write down its list, and another be driven by one that has been made shorter (sim_shrink.h).
#ifndef COHORT_TESTS_SIMULATION_SIM_FAULTS_H_
#define COHORT_TESTS_SIMULATION_SIM_FAULTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/types.h"

namespace cohort {

// A directed link does not carry what is sent from `begin` to `end`: it is lost, or, clogged, arrives after `end`.
struct LinkFault {
  NodeId from, to;
  TimePoint begin{}, end{};
  bool clogged = false;
};

struct NetworkFaults {
  double lose = 0, repeat = 0, late = 0, flip = 0, ghost = 0;  // chances per message
  Duration min_delay{}, max_delay{};
  Duration max_late{};  // on top, when late
  double pauses_per_second = 0;
  Duration max_pause{};
  std::vector<LinkFault> links;
  TimePoint end = kNever;  // of all of them
};

enum class FaultKind : std::uint8_t {
  // Of a message.
  kLost,
  kRepeated,  // after `duration`
  kLate,      // by `duration`
  kFlipped,   // bit `detail`
  kGhost,     // of kind `detail`, after `duration`
  // Of a node.
  kPause,   // of `to` at `at`, for `duration`
  kKilled,  // `to` at `at`; the scheduler is told after `duration`, or, below 0, not at all
  // Of a link, from `at` on for `duration`.
  kCut,
  kClogged,
  // Of all.
  kDeath,      // of the whole run; at `at`, or in the middle of a write
  kPowerLost,  // with it
  kRot         // of file number `detail` after it
};

struct Fault {
  FaultKind kind = FaultKind::kLost;
  std::uint32_t life = 0;  // of a run that dies as a whole
  NodeId from, to;
  std::uint64_t number = 0;  // of the message on its link
  TimePoint at{};
  Duration duration{};
  std::uint64_t detail = 0;

  std::string Describe() const;
};

// All that a run is driven by beside its seed.
struct FaultSchedule {
  std::vector<Fault> faults;
  // How long messages take, by life, link and number, and processes to start, by life and number; shortest: the rest.
  std::map<std::tuple<std::uint32_t, NodeId, NodeId, std::uint64_t>, Duration> delays;
  std::map<std::pair<std::uint32_t, std::uint64_t>, Duration> starts;
  // When a pause was drawn that paused nobody, by life: the supervisor looks at the run between any two events.
  std::vector<std::pair<std::uint32_t, TimePoint>> ticks;

  bool Has(FaultKind kind, std::uint32_t life, std::uint64_t detail = 0) const;
};

// Takes a line of a run's trace.
using TraceSink = std::function<void(const std::string&)>;

// Where faults come from and go to. All may be null.
struct FaultScript {
  const FaultSchedule* replay = nullptr;  // instead of what the seed would decide
  FaultSchedule* record = nullptr;
  TraceSink trace;

  void Record(Fault fault) const {
    if (record != nullptr) record->faults.push_back(fault);
  }
  // Whether a fault that the seed decides for happens; it is recorded then.
  bool Happens(const Fault& fault) const {
    if (replay != nullptr && !replay->Has(fault.kind, fault.life, fault.detail)) return false;
    Record(fault);
    return true;
  }
};

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_FAULTS_H_
