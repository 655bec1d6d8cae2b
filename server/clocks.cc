#include "server/clocks.h"

#include <algorithm>

#include "common/check.h"

namespace cohort {

Clocks::Clocks(std::uint32_t members, Consistency consistency, std::uint32_t staleness)
    : closed_(members, -1),
      bounded_(consistency != Consistency::kAsp),
      staleness_(consistency == Consistency::kSsp ? staleness : 0) {
  COHORT_CHECK(members >= 1);
}

void Clocks::BeginPhase(Clock first_clock, std::span<const std::uint32_t> members) {
  std::fill(closed_.begin(), closed_.end(), kClockInfinity);
  for (const std::uint32_t member : members) {
    if (member >= closed_.size()) closed_.resize(member + 1, kClockInfinity);
    closed_[member] = first_clock - 1;
  }
  FindSlowest();
}

void Clocks::Join(std::uint32_t member) {
  const Clock closed = lowest();
  if (member >= closed_.size()) closed_.resize(member + 1, kClockInfinity);
  closed_[member] = closed;
}

void Clocks::Close(std::uint32_t member, Clock clock) {
  if (clock <= closed_[member]) return;
  closed_[member] = clock;
  if (member == slowest_) FindSlowest();
}

void Clocks::FindSlowest() {
  slowest_ = static_cast<std::uint32_t>(std::min_element(closed_.begin(), closed_.end()) - closed_.begin());
}

bool Clocks::MayAnswer(Clock pull_clock) const {
  // Subtracting from a clock that may be near its lowest value must not wrap; lowest() may be infinity.
  return !bounded_ || pull_clock <= 0 || lowest() >= pull_clock - 1 - staleness_;
}

}  // namespace cohort
