#include "tests/simulation/sim_faults.h"

#include <algorithm>
#include <cstdio>

namespace cohort {

std::string Fault::Describe() const {
  const auto seconds = [](Duration time) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.6f s", std::chrono::duration<double>(time).count());
    return std::string(text);
  };
  const std::string link = ToString(from) + " -> " + ToString(to);
  const std::string message = "message " + std::to_string(number) + " of " + link;
  const std::string when = " at " + seconds(at.time_since_epoch());
  const std::string who = life > 0 ? "life " + std::to_string(life) + ": " : "";
  switch (kind) {
    case FaultKind::kLost:
      return who + message + " is lost";
    case FaultKind::kRepeated:
      return who + message + " comes again after " + seconds(duration);
    case FaultKind::kLate:
      return who + message + " is late by " + seconds(duration);
    case FaultKind::kFlipped:
      return who + message + " has bit " + std::to_string(detail) + " flipped";
    case FaultKind::kGhost:
      return who + message + " has a ghost after " + seconds(duration);
    case FaultKind::kPause:
      return who + ToString(to) + " pauses" + when + " for " + seconds(duration);
    case FaultKind::kKilled:
      return who + ToString(to) + " is killed" + when +
             (duration < Duration() ? ", unnoticed" : ", and noticed");
    case FaultKind::kCut:
      return who + link + " is cut" + when + " for " + seconds(duration);
    case FaultKind::kClogged:
      return who + link + " is clogged" + when + " for " + seconds(duration);
    case FaultKind::kDeath:
      return who + "all die";
    case FaultKind::kPowerLost:
      return who + "the power was lost before";
    case FaultKind::kRot:
      return who + "a file was damaged before";
  }
  return {};
}

bool FaultSchedule::Has(FaultKind kind, std::uint32_t life, std::uint64_t detail) const {
  return std::any_of(faults.begin(), faults.end(), [&](const Fault& fault) {
    return fault.kind == kind && fault.life == life && fault.detail == detail;
  });
}

}  // namespace cohort
