#include "launch/watch/run_state.h"

namespace cohort {

const char* RunStageName(RunStage stage) {
  switch (stage) {
    case RunStage::kStarting:
      return "starting";
    case RunStage::kRunning:
      return "running";
    case RunStage::kSilent:
      return "silent";
    case RunStage::kDied:
      return "died";
    case RunStage::kDone:
      return "done";
    case RunStage::kFailed:
      return "failed";
  }
  return "unknown";
}

const char* EventKindName(RunEvent::Kind kind) {
  switch (kind) {
    case RunEvent::Kind::kProgress:
      return "progress";
    case RunEvent::Kind::kCheckpoint:
      return "checkpoint";
    case RunEvent::Kind::kFault:
      return "fault";
    case RunEvent::Kind::kRecovery:
      return "recovery";
    case RunEvent::Kind::kWarning:
      return "warning";
  }
  return "unknown";
}

double RunState::Result(const std::string& path) const {
  for (const auto& number : result) {
    if (number.first == path) return number.second;
  }
  return kUnknown;
}

}  // namespace cohort
