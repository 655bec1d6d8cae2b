// Which clocks each member (worker of the run) has closed at this shard, and what follows from it
// (DESIGN 2.1). Pure logic: no messages, no time.
//
// The rule, for all consistencies: a pull at clock c may be answered when every member has closed c - 1 -
// staleness. bsp is staleness 0, asp unbounded, ssp between.
#ifndef COHORT_SERVER_CLOCKS_H_
#define COHORT_SERVER_CLOCKS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "common/types.h"

namespace cohort {

class Clocks {
 public:
  Clocks() = default;
  // Members 0 to members - 1, until a phase begins. REQUIRES: members >= 1.
  Clocks(std::uint32_t members, Consistency consistency, std::uint32_t staleness);

  // A phase begins: its members have closed everything below its first clock, and nothing from there on. Nobody waits for
  // others: they have closed all. `members`: ascending.
  void BeginPhase(Clock first_clock, std::span<const std::uint32_t> members);
  // Somebody comes in the middle of a phase, and counts as having closed what all others have.
  void Join(std::uint32_t member);
  // kClockInfinity: no more data in this phase. Closing what is closed already changes nothing.
  void Close(std::uint32_t member, Clock clock);

  Clock closed(std::uint32_t member) const {
    return member < closed_.size() ? closed_[member] : kClockInfinity;
  }
  // The highest clock that all members have closed.
  Clock lowest() const { return closed_[slowest_]; }
  // A member that closed no more than lowest(); the first one.
  std::uint32_t slowest() const { return slowest_; }
  bool MayAnswer(Clock pull_clock) const;

 private:
  void FindSlowest();

  std::vector<Clock> closed_;
  bool bounded_ = true;
  Clock staleness_ = 0;
  std::uint32_t slowest_ = 0;
};

}  // namespace cohort

#endif  // COHORT_SERVER_CLOCKS_H_
