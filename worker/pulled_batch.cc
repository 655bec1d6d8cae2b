#include "worker/pulled_batch.h"

#include <algorithm>
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
  embeddings.resize(spec.tables.size());
  embedding_tickets.resize(spec.tables.size());
  for (std::size_t t = 0; t < spec.tables.size(); ++t) {
    embeddings[t].resize(batch->keys[t]->size() * spec.tables[t].rows.embedding_dim);
    embedding_tickets[t] =
        loop.parameters().Pull(EmbeddingTableAt(t), clock, absent, AsBuffer(batch->keys[t]),
                               embeddings[t].data(), loop.Now(), loop.out(), keep);
  }
}

Status PulledBatch::Wait(WorkerLoop& loop) const {
  const auto done = [&](ParameterClient::Ticket ticket) { return loop.parameters().Done(ticket); };
  return loop.WaitUntil([&] {
    return (!with_dense || done(dense_ticket)) &&
           std::all_of(embedding_tickets.begin(), embedding_tickets.end(), done);
  });
}

}  // namespace cohort
