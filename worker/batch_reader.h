// Reads, encodes and cuts batches on a thread of its own, ahead of the computation by at most kReadyBatches.
//
// Memory: one shuffle window of raw rows (shuffle_rows, or the lease), plus the encoded batches in flight. It
// does not grow with the dataset. In training of a two_tower model the catalogue of the items beside (item_catalogue.h).
#ifndef COHORT_WORKER_BATCH_READER_H_
#define COHORT_WORKER_BATCH_READER_H_

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"
#include "worker/batch.h"
#include "worker/encoder.h"
#include "worker/epoch_order.h"
#include "worker/item_catalogue.h"
#include "worker/object_pool.h"

namespace cohort {

// bsp: every clock of an epoch; of each global batch the slices of one worker. A batch without rows of this
// worker is delivered too: its clock must be closed.
struct BspEpoch {
  std::uint32_t epoch = 0;
  Clock first_clock = 0;
  std::uint32_t worker = 0, workers = 1;  // our place among those who take part
  std::uint32_t batch_size = 0;  // global
  std::uint32_t slices = 1;
  std::uint32_t shuffle_rows = 0;
  Clock resume_clock = 0;  // batches of earlier clocks are left out
};
// ssp and asp: the batches of a lease, each in LeasedSlices(batch_rows) slices.
struct TrainLease {
  std::uint32_t epoch = 0;
  std::uint64_t lease = 0, first_block = 0, block_count = 0;
  Clock first_clock = 0;
  std::uint32_t batch_rows = 0;
  Clock resume_clock = 0;  // as above
};
// Evaluation and scoring: consecutive blocks of a split in input order, a block per batch.
struct ScoreLease {
  Split split = Split::kTest;
  std::uint64_t lease = 0, first_block = 0, block_count = 0;
};
using BatchSource = std::variant<BspEpoch, TrainLease, ScoreLease>;

// Outside bsp slices are a matter of speed alone: as few as keep what a slice computes within a processor's caches (a power of
// two). Batches of 4,096 rows as one slice took twice the CPU time with both cores busy.
std::uint32_t LeasedSlices(std::uint32_t batch_rows);

// Clocks of an epoch, or batches of a lease.
std::uint64_t BatchCount(std::uint64_t rows, std::uint32_t batch_rows);

// Start, Next and Recycle are for one thread, which is not the reader's own.
class BatchReader {
 public:
  static constexpr std::size_t kReadyBatches = 2;

  BatchReader(std::unique_ptr<DatasetReader> dataset, Encoder encoder, std::size_t task_count,
              std::uint64_t seed);
  ~BatchReader();

  // Appends a source; its batches follow those of the sources before it.
  void Start(BatchSource source);
  // The next batch, or nothing within `timeout`. An error (unreadable data) ends the reader.
  Result<std::unique_ptr<Batch>> Next(Duration timeout);
  // Gives a batch's memory back.
  void Recycle(std::unique_ptr<Batch> batch);
  // True when every source given was read to its end (batches may still wait in Next).
  bool ReadAll() const;

 private:
  void Run();
  Status Read(const BspEpoch& source);
  Status Read(const TrainLease& source);
  Status Read(const ScoreLease& source);
  // Reads the blocks at places [first, first + count) of the order into window_, and their visiting order.
  Status LoadWindow(const EpochOrder& order, std::uint64_t first, std::uint64_t count);
  // Has what will be read of the rows after the one at `place` of the window brought near.
  void FetchAhead(std::size_t place) const;
  std::unique_ptr<Batch> NewBatch();
  void BeginBatch(Batch* batch, std::size_t slice_count, std::uint32_t padded_rows,
                  std::uint32_t negatives = 0);
  // two_tower: the catalogue, for the first batch that trains.
  Status PrepareItems();
  // Appends row `place` of the batch to train on; two_tower: and the items drawn for it, a function of (seed, lease, clock,
  // place).
  void AppendTraining(const RowBlock& block, std::uint32_t row, const Batch& batch, std::uint32_t place,
                      Slice* slice);
  void FinishBatch(Batch* batch);
  // Ranks the ids of a table, and makes them distinct in each slice.
  void FinishTable(std::size_t table, Batch* batch);
  bool Deliver(std::unique_ptr<Batch> batch);  // false: stop
  bool stopping() const;

  const std::unique_ptr<DatasetReader> dataset_;
  const Encoder encoder_;
  const std::size_t task_count_;
  const std::uint64_t seed_;

  // The reader thread's own.
  std::optional<ItemCatalogue> items_;
  std::uint32_t negatives_ = 0;  // of a row
  std::vector<RowBlock> window_;
  std::vector<EpochOrder::Place> places_;
  std::vector<DistinctKeys> distinct_;  // by table
  std::vector<std::uint32_t> local_;  // batch rank -> index within the slice
  std::vector<std::uint64_t> present_;  // a bit for each of the batch's distinct keys: in this slice
  std::chrono::steady_clock::time_point began_;  // its work on the batch at hand
  std::vector<ObjectPool<std::vector<Key>>> key_pools_;  // by table

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<BatchSource> sources_;
  bool reading_ = false;
  bool stop_ = false;
  Status status_;
  std::deque<std::unique_ptr<Batch>> ready_;
  std::vector<std::unique_ptr<Batch>> free_;

  std::thread thread_;
};

}  // namespace cohort

#endif  // COHORT_WORKER_BATCH_READER_H_
