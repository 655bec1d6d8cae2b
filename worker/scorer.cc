#include "worker/scorer.h"

#include <algorithm>
#include <utility>

namespace cohort {

Scorer::Scorer(const ModelSpec& spec) : spec_(spec), model_(spec, kBlockRows), dense_keys_(DenseKeys(spec)) {}

Status Scorer::Score(const PhaseOrder& order, WorkerLoop& loop, BatchReader& reader) {
  bool asked = false, exhausted = false;
  const auto keep_leases_coming = [&] {
    if (std::optional<LeaseReply> lease = loop.scheduler().TakeLease()) {
      asked = false;
      exhausted = !lease->granted;
      if (lease->granted)
        reader.Start(ScoreLease{order.split, lease->lease, lease->first_block, lease->block_count});
    }
    if (!asked && !exhausted && reader.ReadAll()) {
      loop.scheduler().SendReliably(LeaseRequest{0, order.phase, order.first_clock}, loop.Now(), loop.out());
      asked = true;
    }
    return exhausted && !asked && reader.ReadAll();
  };
  bool have_dense = false;
  // The weights do not change within the phase: the dense ones are pulled with the first batch only.
  const auto fetch = [&](PulledBatch* into) -> Status {
    std::unique_ptr<Batch> batch;
    COHORT_ASSIGN_OR_RETURN(batch, loop.NextBatch(reader, keep_leases_coming));
    if (!batch) {
      into->batch.reset();
      return Status();
    }
    into->Start(std::move(batch), spec_, have_dense ? Buffer() : dense_keys_, order.first_clock,
                AbsentRow::kZero, /*keep=*/false, loop);
    have_dense = true;
    return Status();
  };

  PulledBatch slots[2];
  PulledBatch* current = &slots[0];
  PulledBatch* next = &slots[1];
  COHORT_RETURN_IF_ERROR(fetch(current));
  while (current->batch) {
    COHORT_RETURN_IF_ERROR(fetch(next));
    COHORT_RETURN_IF_ERROR(current->Wait(loop));
    if (current->with_dense)
      model_.SetDense(slots[0].dense.data());  // the first batch is in slots[0], which stays
    COHORT_RETURN_IF_ERROR(Send(order, *current->batch, current->embeddings.data(), loop));
    samples_ += current->batch->rows;
    reader.Recycle(std::move(current->batch));
    std::swap(current, next);
  }
  return loop.WaitUntil([&] { return loop.scheduler().outstanding() == 0; });
}

Status Scorer::Send(const PhaseOrder& order, const Batch& batch, const float* embeddings, WorkerLoop& loop) {
  const Slice& slice = batch.slices[0];
  auto predictions = pool_.Take();
  predictions->resize(static_cast<std::size_t>(batch.rows) * spec_.prediction_columns);
  model_.Predict(slice.Input(embeddings), predictions->data());

  ScoreBlock block;
  block.phase = order.phase;
  block.lease = batch.lease;
  block.last_of_lease = batch.last_of_source;
  block.first_row = batch.first_row;
  block.rows = batch.rows;
  block.prediction_columns = spec_.prediction_columns;
  block.predictions = AsBuffer(predictions);
  if (order.kind == PhaseKind::kEvaluate) {
    block.label_columns = static_cast<std::uint32_t>(spec_.tasks.size());
    auto labels = pool_.Take();
    labels->clear();
    for (std::uint32_t row = 0; row < batch.rows; ++row) {
      for (const ModelTask& task : spec_.tasks) {
        labels->push_back(
            slice.labels[static_cast<std::size_t>(row) * spec_.data.tasks.size() + task.label_column]);
      }
    }
    block.labels = AsBuffer(labels);
    if (std::any_of(slice.weights.begin(), slice.weights.begin() + batch.rows,
                    [](float w) { return w != 1.0f; })) {
      auto weights = pool_.Take();
      weights->assign(slice.weights.begin(), slice.weights.begin() + batch.rows);
      block.weights = AsBuffer(weights);
    }
  }
  COHORT_RETURN_IF_ERROR(loop.WaitUntil([&] { return loop.scheduler().outstanding() < kOutstandingBlocks; }));
  loop.scheduler().SendReliably(std::move(block), loop.Now(), loop.out());
  return loop.Breathe();
}

}  // namespace cohort
