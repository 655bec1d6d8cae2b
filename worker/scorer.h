// Scorer: a worker's share of an evaluation or scoring phase: leases of blocks, whose predictions are summed up here or
// sent to the scheduler.
#ifndef COHORT_WORKER_SCORER_H_
#define COHORT_WORKER_SCORER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "common/evaluation_sums.h"
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
  // `spec` must outlive the scorer. `top`: of EvaluationConfig.
  Scorer(const ModelSpec& spec, std::vector<std::uint32_t> top);
  // Until the phase has no more blocks and every prediction is acknowledged. Evaluation: what the rows come to
  // (PhaseDone::evaluation).
  Result<Buffer> Score(const PhaseOrder& order, WorkerLoop& loop, BatchReader& reader);
  std::uint64_t samples() const { return samples_; }

 private:
  static constexpr std::size_t kOutstandingBlocks =
      8;  // bounds what the scheduler may have to hold of one worker

  Status Take(const PhaseOrder& order, const Batch& batch, const std::vector<float>* embeddings,
              WorkerLoop& loop);
  void Evaluate(const Batch& batch, const std::vector<float>& predictions);

  const ModelSpec& spec_;
  const std::vector<std::uint32_t> top_;
  Model<float> model_;
  Buffer dense_keys_;
  ObjectPool<std::vector<float>> pool_;
  std::optional<EvaluationSums> sums_;  // of the phase
  std::vector<float> labels_;
  std::uint64_t samples_ = 0;
};

}  // namespace cohort

#endif  // COHORT_WORKER_SCORER_H_
