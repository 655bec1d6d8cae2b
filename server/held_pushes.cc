#include "server/held_pushes.h"

#include <utility>

namespace cohort {

void HeldPushes::Hold(std::uint32_t worker, PushRequest push, std::shared_ptr<const KeptPull> pull,
                      std::span<const GroupRun> accepted) {
  auto [it, fresh] = clocks_.try_emplace(push.clock);
  if (fresh && !spare_.empty()) {
    it->second = std::move(spare_.back());
    spare_.pop_back();
  }
  OneClock& one = it->second;
  const auto message = static_cast<std::uint32_t>(one.messages.size());
  std::uint32_t first = 0;
  auto next = accepted.begin();
  for (const GroupRun& run : push.runs.As<GroupRun>()) {
    if (next != accepted.end() && next->group == run.group) {
      one.parts.push_back(
          {push.table, static_cast<std::uint16_t>(run.group), push.node, message, first, run.rows});
      ++next;
    }
    first += run.rows;
  }
  one.messages.push_back({std::move(push), std::move(pull), worker});
}

bool HeldPushes::TakeUpTo(Clock closed, OneClock* out) {
  const auto it = clocks_.begin();
  if (it == clocks_.end() || it->first > closed) return false;
  out->Clear();
  std::swap(*out, it->second);
  if (spare_.size() < 2) spare_.push_back(std::move(it->second));
  clocks_.erase(it);
  return true;
}

std::size_t HeldPushes::parts() const {
  std::size_t sum = 0;
  for (const auto& [clock, one] : clocks_) sum += one.parts.size();
  return sum;
}

}  // namespace cohort
