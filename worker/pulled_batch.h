// PulledBatch: a batch together with the weights it was, or is being, pulled for.
#ifndef COHORT_WORKER_PULLED_BATCH_H_
#define COHORT_WORKER_PULLED_BATCH_H_

#include <memory>
#include <vector>

#include "common/message.h"
#include "worker/batch.h"
#include "worker/worker_loop.h"

namespace cohort {

// The dense table's keys: 0 .. rows-1.
Buffer DenseKeys(const ModelSpec& spec);

// Memory is reused from batch to batch. Must not move or be destroyed while a pull is under way.
struct PulledBatch {
  std::unique_ptr<Batch> batch;
  std::vector<float> dense;       // DenseRows x kDenseRowWidth
  std::vector<std::vector<float>> embeddings;  // by table: batch->keys x dim
  ParameterClient::Ticket dense_ticket = 0;
  std::vector<ParameterClient::Ticket> embedding_tickets;  // by table
  bool with_dense = false;

  // Begins the pulls for `next` at `clock`. `dense_keys` empty: the dense weights are not pulled. `keep`: their rows
  // will be pushed by ParameterClient::PushRows.
  void Start(std::unique_ptr<Batch> next, const ModelSpec& spec, const Buffer& dense_keys, Clock clock,
             AbsentRow absent, bool keep, WorkerLoop& loop);
  Status Wait(WorkerLoop& loop) const;
};

}  // namespace cohort

#endif  // COHORT_WORKER_PULLED_BATCH_H_
