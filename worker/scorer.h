// Scorer: a worker's share of an evaluation or scoring phase: leases of blocks, predictions sent to the
// scheduler.
#ifndef COHORT_WORKER_SCORER_H_
#define COHORT_WORKER_SCORER_H_

#include <cstdint>

#include "common/message.h"
#include "common/status.h"
#include "worker/batch_reader.h"
#include "worker/model/model.h"
#include "worker/object_pool.h"
#include "worker/pulled_batch.h"
#include "worker/worker_loop.h"

namespace cohort {

// One thread. Keys without a row are scored with zeros, and counted (Counters::absent_rows).
class Scorer {
 public:
  // `spec` must outlive the scorer.
  explicit Scorer(const ModelSpec& spec);
  // Until the phase has no more blocks and every prediction is acknowledged.
  Status Score(const PhaseOrder& order, WorkerLoop& loop, BatchReader& reader);
  std::uint64_t samples() const { return samples_; }

 private:
  static constexpr std::size_t kOutstandingBlocks =
      8;  // bounds what the scheduler may have to hold of one worker

  Status Send(const PhaseOrder& order, const Batch& batch, const float* embeddings, WorkerLoop& loop);

  const ModelSpec& spec_;
  Model<float> model_;
  Buffer dense_keys_;
  ObjectPool<std::vector<float>> pool_;
  std::uint64_t samples_ = 0;
};

}  // namespace cohort

#endif  // COHORT_WORKER_SCORER_H_
