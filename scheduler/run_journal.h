// RunJournal: what a scheduler heard and saw that its decisions depend on, in order, written down before it acts on it. A
// coordinator is a plain state machine: another one that is fed with the same (Coordinator::Replay) decides the same, and
// takes the place of the first when that has died (docs/recovery.md). Heartbeats and timers are not in it: they decide
// nothing but deaths, which are.
#ifndef COHORT_SCHEDULER_RUN_JOURNAL_H_
#define COHORT_SCHEDULER_RUN_JOURNAL_H_

#include <optional>
#include <string>

#include "common/message.h"
#include "common/types.h"

namespace cohort {

struct JournalEntry {
  Duration at{};                     // since the run's start
  RequestId next_id = 0;             // of the next order, when it happened
  Stamp from;                        // who spoke; of a death the sender alone: who died
  Message message;                   // what it said; of a death: its newest heartbeat
  std::optional<std::string> death;  // how it was noticed
};

class RunJournal {
 public:
  virtual ~RunJournal() = default;
  // Has it survive this process when it returns.
  virtual void Append(const JournalEntry& entry) = 0;
};

}  // namespace cohort

#endif  // COHORT_SCHEDULER_RUN_JOURNAL_H_
