#include "worker/scorer.h"

#include <string>
#include <utility>

#include "common/wire.h"

namespace cohort {

Scorer::Scorer(const ModelSpec& spec, std::vector<std::uint32_t> top)
    : spec_(spec), top_(std::move(top)), model_(spec, kBlockRows), dense_keys_(DenseKeys(spec)) {}

Result<Buffer> Scorer::Score(const PhaseOrder& order, WorkerLoop& loop, BatchReader& reader) {
  sums_.reset();
  if (order.kind == PhaseKind::kEvaluate) sums_.emplace(TaskInfosOf(spec_), top_);
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
    // The next batch is pulled while this one is computed, but within a lease only: the scheduler may grant no other before
    // it has this one's predictions (they may be the first that it lacks), and would be waited for without end.
    const bool last = current->batch->last_of_source;
    if (!last) COHORT_RETURN_IF_ERROR(fetch(next));
    COHORT_RETURN_IF_ERROR(current->Wait(loop));
    if (current->with_dense)
      model_.SetDense(slots[0].dense.data());  // the first batch is in slots[0], which stays
    COHORT_RETURN_IF_ERROR(Take(order, *current->batch, current->embeddings.data(), loop));
    samples_ += current->batch->rows;
    reader.Recycle(std::move(current->batch));
    if (last) COHORT_RETURN_IF_ERROR(fetch(next));
    std::swap(current, next);
  }
  COHORT_RETURN_IF_ERROR(loop.WaitUntil([&] { return loop.scheduler().outstanding() == 0; }));
  if (!sums_) return Buffer();
  sums_->Finish();
  Buffer bytes = sums_->ToBytes();
  // Only groups have no bound of their own.
  if (bytes.size() > kMaxBulkBytes) {
    return InvalidInput("the groups at the ends of leases hold " + std::to_string(bytes.size()) +
                        " bytes of rows; at most " + std::to_string(kMaxBulkBytes) +
                        " can be sent: are the groups of [group] what rows are to be ranked within?");
  }
  return bytes;
}

Status Scorer::Take(const PhaseOrder& order, const Batch& batch, const std::vector<float>* embeddings,
                    WorkerLoop& loop) {
  auto predictions = pool_.Take();
  predictions->resize(static_cast<std::size_t>(batch.rows) * spec_.prediction_columns);
  model_.Predict(batch.slices[0].Input(embeddings), predictions->data());
  if (order.kind == PhaseKind::kEvaluate) {
    Evaluate(batch, *predictions);
    return loop.Breathe();
  }
  ScoreBlock block;
  block.phase = order.phase;
  block.lease = batch.lease;
  block.last_of_lease = batch.last_of_source;
  block.first_row = batch.first_row;
  block.rows = batch.rows;
  block.prediction_columns = spec_.prediction_columns;
  block.predictions = AsBuffer(predictions);
  COHORT_RETURN_IF_ERROR(loop.WaitUntil([&] { return loop.scheduler().outstanding() < kOutstandingBlocks; }));
  loop.scheduler().SendReliably(std::move(block), loop.Now(), loop.out());
  return loop.Breathe();
}

void Scorer::Evaluate(const Batch& batch, const std::vector<float>& predictions) {
  const Slice& slice = batch.slices[0];
  labels_.clear();
  for (std::uint32_t row = 0; row < batch.rows; ++row) {
    for (const ModelTask& task : spec_.tasks) {
      labels_.push_back(
          slice.labels[static_cast<std::size_t>(row) * spec_.data.tasks.size() + task.label_column]);
    }
  }
  sums_->Add(batch.first_row, predictions, labels_, std::span(slice.weights).first(batch.rows), batch.groups,
             batch.rows);
}

}  // namespace cohort
