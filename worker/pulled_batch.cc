#include "worker/pulled_batch.h"

#include <numeric>
#include <utility>

#include "worker/object_pool.h"

namespace cohort {

Buffer DenseKeys(const ModelSpec& spec) {
  std::vector<Key> keys(spec.DenseRows());
  std::iota(keys.begin(), keys.end(), 0);
  return Buffer::Own(std::move(keys));
}

void PulledBatch::Start(std::unique_ptr<Batch> next, const ModelSpec& spec, const Buffer& dense_keys,
                        Clock clock, AbsentRow absent, bool keep, WorkerLoop& loop) {
  batch = std::move(next);
  with_dense = !dense_keys.empty();
  if (with_dense) {
    dense.resize(spec.DenseRows() * kDenseRowWidth);
    dense_ticket = loop.parameters().Pull(kDenseTable, clock, absent, dense_keys, dense.data(), loop.Now(),
                                          loop.out(), keep);
  }
  embeddings.resize(batch->keys->size() * spec.config.embedding_dim);
  embedding_ticket = loop.parameters().Pull(kEmbeddingTable, clock, absent, AsBuffer(batch->keys),
                                            embeddings.data(), loop.Now(), loop.out(), keep);
}

Status PulledBatch::Wait(WorkerLoop& loop) const {
  return loop.WaitUntil([&] {
    return (!with_dense || loop.parameters().Done(dense_ticket)) && loop.parameters().Done(embedding_ticket);
  });
}

}  // namespace cohort
