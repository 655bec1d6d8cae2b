// PartWriter: writes a part of a checkpoint on a thread of its own: makes floats and keys of the rows as they lie in
// memory, hashes them, writes them to part-<shard>.h5.tmp in the checkpoint's folder, and gives the file its name when all
// of it is on the disk. The files of a former checkpoint that the part lies over get a second name there (hard links), so that
// either checkpoint can be removed.
//
// With a core_share below 1 the thread sleeps so that it takes no more than this of a core. Since it takes no more than
// kRoomBytes ahead, this also slows down the shard's copying; but rows that are about to change cannot wait, and while more than
// kMostBehindBytes of them do, it does not sleep.
#ifndef COHORT_SERVER_PART_WRITER_H_
#define COHORT_SERVER_PART_WRITER_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/model_part.h"
#include "common/wake_signal.h"
#include "server/snapshot_store.h"

namespace cohort {

class PartWriter : public CheckpointWriter {
 public:
  static constexpr std::size_t kRoomBytes = 8u << 20;  // that wait to be written
  static constexpr std::size_t kMostBehindBytes = 128u << 20;

  // `wake` may be null and must outlive the writer.
  PartWriter(CheckpointPart part, WakeSignal* wake, double core_share);
  ~PartWriter() override;

  void Append(CopiedRows rows, TimePoint now) override;
  void Finish(ShardState state, TimePoint now) override;
  bool HasRoom(TimePoint) const override { return waiting_bytes_ < kRoomBytes; }
  std::optional<CheckpointDone> Take(TimePoint now) override;
  CopiedRows TakeSpare() override;
  TimePoint NextEvent() const override { return done_ && !taken_ ? TimePoint() : kNever; }

 private:
  // ---- the thread
  void Run();
  Result<ModelPartSummary> Write();
  Status LinkLayers() const;
  std::string LayerPath(const PartLayer& layer) const;
  Result<bool> WriteNext(ModelPartWriter& writer);  // true: something was written; false: all has been
  Status WriteRows(const CopiedRows& rows, ModelPartWriter& writer);
  void Rest();

  const CheckpointPart part_;
  WakeSignal* const wake_;
  const double core_share_;
  bool taken_ = false;      // the owner's
  CheckpointDone outcome_;  // the thread's until done_

  std::atomic<std::size_t> waiting_bytes_{0};
  std::atomic<bool> done_{false};
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<CopiedRows> waiting_;
  std::vector<CopiedRows> spare_;
  std::optional<ShardState> state_;  // when all rows have come
  bool stop_ = false;

  // The thread's.
  std::vector<Key> keys_;
  std::vector<float> values_;
  std::uint64_t unsynced_bytes_ = 0;
  double rested_for_ = 0;  // CPU seconds of the thread
  std::thread thread_;
};

}  // namespace cohort

#endif  // COHORT_SERVER_PART_WRITER_H_
