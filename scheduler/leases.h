// Leases: who works on which blocks of a split (dataset.h). Cut in order from the front; a repeated request
// gets the same lease again; every lease stays in the journal for as long as its phase.
#ifndef COHORT_SCHEDULER_LEASES_H_
#define COHORT_SCHEDULER_LEASES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/dataset.h"
#include "common/message.h"
#include "common/types.h"

namespace cohort {

struct LeaseRecord {
  std::uint64_t lease = 0;
  std::uint32_t worker = 0;
  RequestId request_id = 0;
  std::uint64_t first_block = 0;
  std::uint64_t block_count = 0;
  std::uint64_t first_row = 0;
  std::uint64_t rows = 0;
  Clock first_clock = 0;
};

// What was granted in a phase, and how far it took each worker.
struct LeaseJournal {
  std::vector<LeaseRecord> records;
  std::map<std::uint32_t, Clock>
      ends;  // training: by worker, its first clock without a lease; of those that were refused one
};

class Leases {
 public:
  // How long leases are: `block_count` blocks each, the last one shorter; 0: no lease at all (bsp training).
  // `first_lease`: the number of the first; numbers are unique within a run.
  Leases(std::uint64_t rows, std::uint64_t block_count, std::uint32_t batch_rows, std::uint64_t first_lease);
  Leases() : Leases(0, 0, 0, 0) {}

  // The blocks of a lease in training: about min(shuffle_rows, rows / (8 workers)) rows, at least one block.
  static std::uint64_t TrainingBlocks(std::uint64_t rows, std::uint32_t shuffle_rows, std::uint32_t workers);
  // In evaluation and scoring: small enough that every worker gets several, at most 8 blocks.
  static std::uint64_t ScoringBlocks(std::uint64_t rows, std::uint32_t workers);

  // Takes over what a former life of the run had granted; the next leases follow.
  void Restore(LeaseJournal journal);
  // Worker `worker` has been replaced by a process that knows nothing. Training: its leases that may reach beyond `from`
  // are granted to it once more, in order, before new ones. They are never cut anew: a push is named by worker and clock.
  void Redo(std::uint32_t worker, Clock from);
  // Evaluation and scoring: its leases go to whoever asks next, but for those of rows before `first_row`.
  void Requeue(std::uint32_t worker, std::uint64_t first_row);
  bool has_queued() const { return !queued_.empty(); }

  // The answer to a request, if it was answered before.
  std::optional<LeaseReply> Repeat(std::uint32_t worker, RequestId request) const;
  LeaseReply Grant(std::uint32_t worker, const LeaseRequest& request);
  // No lease for one that goes: whatever is left, others do. But what only it can do, or nobody else might, it has to.
  bool MayRefuse(std::uint32_t worker) const { return !redo_.contains(worker) && !has_queued(); }
  LeaseReply Refuse(std::uint32_t worker, const LeaseRequest& request);

  const LeaseRecord* Find(std::uint64_t lease) const;
  const LeaseJournal& journal() const { return journal_; }
  bool exhausted() const { return block_count_ == 0 || next_row() >= rows_; }  // of new leases
  // Training, when all workers have been refused a lease: the first clock that none of them has come to, and the clocks
  // from `first` on that they have used, summed over them.
  Clock EndClock() const;
  std::uint64_t Steps(Clock first) const;
  std::uint64_t next_row() const { return next_block_ * kBlockRows; }  // of the next lease
  std::uint64_t lease_rows() const { return block_count_ * kBlockRows; }
  std::uint64_t next_lease() const { return first_lease_ + journal_.records.size(); }

 private:
  // Which rows a lease has depends on the epoch's order: the end is this at most.
  Clock EndClockOf(const LeaseRecord& record) const;
  LeaseReply ReplyFor(const LeaseRecord& record, RequestId request) const;
  void ForgetAnswers(std::uint32_t worker);

  std::uint64_t rows_;
  std::uint64_t block_count_;
  std::uint32_t batch_rows_;
  std::uint64_t first_lease_;
  std::uint64_t next_block_ = 0;
  LeaseJournal journal_;
  // By worker and request id.
  std::map<std::pair<std::uint32_t, RequestId>, LeaseReply> answers_;
  // To be granted again, by their place in the journal: by worker, or to anyone.
  std::map<std::uint32_t, std::deque<std::size_t>> redo_;
  std::deque<std::size_t> queued_;
};

}  // namespace cohort

#endif  // COHORT_SCHEDULER_LEASES_H_
