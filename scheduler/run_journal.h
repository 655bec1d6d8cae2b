// RunJournal: what a scheduler heard and saw that its decisions depend on, in order, written down before it acts on it. A
// coordinator is a plain state machine: another one that is fed with the same (Coordinator::Replay) decides the same, and
// takes the place of the first when that has died (docs/recovery.md). Heartbeats and timers are not in it: they decide
// nothing but deaths, which are.
#ifndef COHORT_SCHEDULER_RUN_JOURNAL_H_
#define COHORT_SCHEDULER_RUN_JOURNAL_H_

#include <cstdint>
#include <string>

#include "common/message.h"
#include "common/types.h"
#include "scheduler/cluster_change.h"

namespace cohort {

struct JournalEntry {
  enum class Kind : std::uint8_t {
    kMessage = 0,
    kDeath,
    // Of changes of who takes part, whose steps follow from time as well (coordinator_elastic.cc).
    kChange,  // has begun
    kLeave,   // somebody is told to
    kChangeDone,
    kChangeGivenUp,
  };
  Kind kind = Kind::kMessage;
  Duration at{};          // since the run's start
  RequestId next_id = 0;  // of the next order, when it happened
  Stamp from;             // who spoke; of a death, or of who leaves, the sender alone
  Message message;        // what it said; of a death: its newest heartbeat
  std::string text;       // of a death: how it was noticed; of what is given up: why
  ClusterChange change;   // kChange
};

class RunJournal {
 public:
  virtual ~RunJournal() = default;
  // When it returns, the entry survives this process.
  virtual void Append(const JournalEntry& entry) = 0;
};

}  // namespace cohort

#endif  // COHORT_SCHEDULER_RUN_JOURNAL_H_
