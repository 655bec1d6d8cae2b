#include "worker/trainer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/gradient_tree.h"
#include "worker/gradient_clip.h"

namespace cohort {

void StepTimer::Lap(StepPart part, Time now) {
  seconds_[static_cast<std::size_t>(part)] += std::chrono::duration<double>(now - last_).count();
  last_ = now;
}

void StepTimer::LapOfBatch(const Batch* batch, Time now) {
  const double work = batch == nullptr ? 0 : batch->read_seconds + batch->distinct_seconds;
  if (work > 0) {
    Lap(StepPart::kDistinct, last_ + std::chrono::duration_cast<Time::duration>(
                                         (now - last_) * (batch->distinct_seconds / work)));
  }
  Lap(StepPart::kRead, now);
}

void StepTimer::EndStep() {
  steps_.Add(std::chrono::duration<double>(last_ - step_began_).count());
  step_began_ = last_;
}

namespace {

// Of a worker's batch outside bsp, as the leases say (scheduler/leases.h).
std::uint32_t LeasedRows(const RunConfig& config, std::uint32_t workers) {
  return std::max(1u, config.train.batch_size / workers);
}

}  // namespace

std::uint32_t SliceRows(const RunConfig& config, std::uint32_t workers) {
  const bool bsp = config.train.consistency == Consistency::kBsp;
  const std::uint32_t rows = bsp ? config.train.batch_size : LeasedRows(config, workers);
  const std::uint32_t slices = bsp ? config.train.slices : LeasedSlices(rows);
  return (rows + slices - 1) / slices;
}

Trainer::Trainer(const ModelSpec& spec, const RunConfig& config, std::uint32_t worker, std::uint32_t workers)
    : spec_(spec),
      config_(config),
      worker_(worker),
      slices_(config.train.consistency == Consistency::kBsp ? config.train.slices
                                                            : LeasedSlices(LeasedRows(config, workers))),
      model_(spec, SliceRows(config, workers)),
      sum_(spec, config.wire.push_values),
      dense_keys_(DenseKeys(spec)),
      keys_pools_(spec.tables.size()),
      slice_loss_(spec.tasks.size()) {}

Result<Clock> Trainer::Train(const PhaseOrder& order, WorkerLoop& loop, BatchReader& reader) {
  progress_.timer.Start();
  progress_.clock = order.first_clock;
  progress_.loss_sum.assign(spec_.tasks.size(), 0.0);
  progress_.loss_weight.assign(spec_.tasks.size(), 0.0);
  return config_.train.consistency == Consistency::kBsp ? TrainBsp(order, loop, reader)
                                                        : TrainLeased(order, loop, reader);
}

Result<Clock> Trainer::TrainBsp(const PhaseOrder& order, WorkerLoop& loop, BatchReader& reader) {
  const TrainConfig& train = config_.train;
  const auto place = std::find(order.workers.begin(), order.workers.end(), worker_);
  if (place == order.workers.end()) {
    return Error(ErrorCode::kInternal,
                 "the order of phase " + std::to_string(order.phase) + " is here, but names others alone");
  }
  place_ = static_cast<std::uint32_t>(place - order.workers.begin());
  workers_ = static_cast<std::uint32_t>(order.workers.size());
  reader.Start(BspEpoch{order.epoch, order.first_clock, place_, workers_, train.batch_size, train.slices,
                        train.shuffle_rows, order.resume_clock});
  PulledBatch pulled;
  const std::uint64_t rows = spec_.data.rows[static_cast<std::size_t>(Split::kTrain)];
  const Clock end = order.first_clock + static_cast<Clock>(BatchCount(rows, train.batch_size));
  Clock next_clock = end;
  for (bool last = order.resume_clock >= end; !last;) {
    COHORT_ASSIGN_OR_RETURN(std::unique_ptr<Batch> batch, loop.NextBatch(reader, [] { return false; }));
    progress_.timer.LapOfBatch(batch.get());
    last = batch->last_of_source;
    progress_.clock = batch->clock;
    next_clock = batch->clock + 1;
    if (batch->slice_count == 0) {  // nothing of this batch is ours, but its clock must be closed
      loop.parameters().Close(batch->clock, loop.Now(), loop.out());
      COHORT_RETURN_IF_ERROR(
          loop.WaitUntil([&] { return loop.parameters().ClosedEverywhere(batch->clock); }));
      progress_.timer.Lap(StepPart::kPushWait);
      reader.Recycle(std::move(batch));
      continue;
    }
    StartPull(&pulled, std::move(batch), loop);
    COHORT_RETURN_IF_ERROR(pulled.Wait(loop));
    progress_.timer.Lap(StepPart::kPullWait);
    COHORT_RETURN_IF_ERROR(Step(pulled, loop));
    progress_.timer.EndStep();
    reader.Recycle(std::move(pulled.batch));
  }
  if (order.resume_clock < end) {
    COHORT_RETURN_IF_ERROR(
        loop.WaitUntil([&] { return loop.parameters().ClosedEverywhere(next_clock - 1); }));
  }
  progress_.timer.Lap(StepPart::kPushWait);
  return next_clock;
}

Result<Clock> Trainer::TrainLeased(const PhaseOrder& order, WorkerLoop& loop, BatchReader& reader) {
  const std::uint64_t rows = spec_.data.rows[static_cast<std::size_t>(Split::kTrain)];
  const EpochOrder epoch(config_.seed, rows, order.epoch);
  const bool resumes = order.resume_clock != kClockInfinity;  // else: nothing is left of an earlier life
  Clock next_clock = resumes ? std::max(order.first_clock, order.resume_clock)
                             : order.first_clock;  // after all leases taken so far
  bool asked = false, exhausted = !resumes;

  // Asks for a lease when the reader has come to the end of the last one, and hands it to the reader when it
  // comes.
  const auto keep_leases_coming = [&] {
    if (std::optional<LeaseReply> lease = loop.scheduler().TakeLease()) {
      asked = false;
      if (lease->granted) {
        reader.Start(TrainLease{order.epoch, lease->lease, lease->first_block, lease->block_count,
                                lease->first_clock, lease->batch_rows, order.resume_clock});
        next_clock = std::max(
            next_clock, lease->first_clock + static_cast<Clock>(BatchCount(
                                                 epoch.RowsOfWindow(lease->first_block, lease->block_count),
                                                 lease->batch_rows)));
      } else {
        exhausted = true;
      }
    }
    if (!asked && !exhausted && reader.ReadAll()) {
      loop.scheduler().SendReliably(LeaseRequest{0, order.phase, next_clock}, loop.Now(), loop.out());
      asked = true;
    }
    return exhausted && !asked && reader.ReadAll();
  };
  // The next batch, its pull begun. No batch: the phase has no more data for us.
  const auto fetch = [&](PulledBatch* into) -> Status {
    COHORT_ASSIGN_OR_RETURN(std::unique_ptr<Batch> batch, loop.NextBatch(reader, keep_leases_coming));
    progress_.timer.LapOfBatch(batch.get());
    if (!batch) {
      into->batch.reset();
      return Status();
    }
    StartPull(into, std::move(batch), loop);
    progress_.timer.Lap(StepPart::kPullWait);
    return Status();
  };

  // While one batch is computed, the next one is pulled.
  PulledBatch slots[2];
  PulledBatch* current = &slots[0];
  PulledBatch* next = &slots[1];
  COHORT_RETURN_IF_ERROR(fetch(current));
  while (current->batch) {
    COHORT_RETURN_IF_ERROR(fetch(next));
    COHORT_RETURN_IF_ERROR(current->Wait(loop));
    progress_.timer.Lap(StepPart::kPullWait);
    progress_.clock = current->batch->clock;
    COHORT_RETURN_IF_ERROR(Step(*current, loop));
    progress_.timer.EndStep();
    reader.Recycle(std::move(current->batch));
    std::swap(current, next);
  }
  loop.parameters().Close(kClockInfinity, loop.Now(), loop.out());
  COHORT_RETURN_IF_ERROR(loop.WaitUntil([&] { return loop.parameters().ClosedEverywhere(kClockInfinity); }));
  progress_.timer.Lap(StepPart::kPushWait);
  return next_clock;
}

Status Trainer::Step(const PulledBatch& pulled, WorkerLoop& loop) {
  const Batch& batch = *pulled.batch;
  StepTimer& timer = progress_.timer;
  const double before = timer.Sum(StepPart::kForward) + timer.Sum(StepPart::kBackward);
  model_.SetDense(pulled.dense.data());
  const bool bsp = config_.train.consistency == Consistency::kBsp;
  sum_.Start(slices_, bsp ? SlicesOfWorker(slices_, workers_, place_) : SliceRange{0, slices_});
  for (std::size_t s = 0; s < batch.slice_count; ++s) {
    const Slice& slice = batch.slices[s];
    sum_.Prepare(slice);
    // The batch's first row is in slice 0 on whichever worker: it carries the once-per-batch L2.
    model_.Step(TrainingInput(batch, slice, pulled.embeddings.data(), config_.seed),
                batch.total_weight.data(),
                /*with_l2=*/slice.index == 0, {sum_.dense(), sum_.embeddings(), slice_loss_.data()});
    timer.Lap(StepPart::kForward, model_.backward_began());
    if (config_.train.clip_norm > 0) {
      const double share = static_cast<double>(slice.rows) / batch.global_rows;
      gradient_pieces_.assign(1, {sum_.dense(), spec_.dense_count});
      for (std::size_t t = 0; t < spec_.tables.size(); ++t) {
        const std::size_t size = slice.ids[t].distinct.size() * spec_.tables[t].rows.embedding_dim;
        gradient_pieces_.emplace_back(sum_.embeddings()[t], size);
      }
      clipped_gradients_ += ClipNorm(config_.train.clip_norm * share, gradient_pieces_);
    }
    sum_.Add(slice);
    for (std::size_t task = 0; task < slice_loss_.size(); ++task)
      progress_.loss_sum[task] += slice_loss_[task];
    COHORT_RETURN_IF_ERROR(loop.Breathe());
    timer.Lap(StepPart::kBackward);
  }
  sum_.Finish();
  timer.Lap(StepPart::kBackward);
  const double computed = timer.Sum(StepPart::kForward) + timer.Sum(StepPart::kBackward) - before;
  COHORT_RETURN_IF_ERROR(
      SlowDown(std::chrono::duration_cast<Duration>(std::chrono::duration<double>(computed)), loop));
  timer.Lap(StepPart::kBackward);
  for (std::size_t task = 0; task < batch.total_weight.size(); ++task) {
    // In bsp every worker knows the whole batch's total and reports its rows' share of it: the shares sum to
    // the total.
    const double share = static_cast<double>(batch.rows) / std::max(1u, batch.global_rows);
    progress_.loss_weight[task] += batch.total_weight[task] * share;
  }
  progress_.samples += batch.rows;
  for (const SliceSum::Part& part : sum_.parts()) Push(pulled, part, loop);
  loop.parameters().Close(batch.clock, loop.Now(), loop.out());
  COHORT_RETURN_IF_ERROR(loop.Breathe());
  timer.Lap(StepPart::kPushWait);
  return Status();
}

void Trainer::StartPull(PulledBatch* pulled, std::unique_ptr<Batch> batch, WorkerLoop& loop) {
  const Clock clock = batch->clock;
  pulled->Start(std::move(batch), spec_, dense_keys_, clock, AbsentRow::kInitial,
                /*keep=*/config_.wire.push_rows == PushRowNames::kPositions, loop);
}

void Trainer::Push(const PulledBatch& pulled, const SliceSum::Part& part, WorkerLoop& loop) {
  ParameterClient& client = loop.parameters();
  const Clock clock = pulled.batch->clock;
  const Buffer dense = AsBuffer(part.dense);
  const bool by_position = config_.wire.push_rows == PushRowNames::kPositions;
  if (by_position) {
    client.PushRows(pulled.dense_ticket, part.node, {}, dense, loop.Now(), loop.out());
  } else {
    client.Push(kDenseTable, clock, part.node, dense_keys_, dense, loop.Now(), loop.out());
  }
  for (std::size_t t = 0; t < part.embeddings.size(); ++t) {
    const auto& [gradient, places] = part.embeddings[t];
    if (places->empty()) continue;  // none of its rows has an id of the table
    const Buffer values(gradient, gradient->values.data(), gradient->values.size() * sizeof(float));
    const std::vector<Key>& keys = *pulled.batch->keys[t];
    Buffer counts;
    if (config_.embedding.policy.NeedsCounts())
      counts = occurrences_.Count(*pulled.batch, t, SlicesOfNode(slices_, part.node), *gradient);
    if (by_position) {
      client.PushRows(pulled.embedding_tickets[t], part.node,
                      places->size() == keys.size() ? Buffer() : AsBuffer(places), values, loop.Now(),
                      loop.out(), std::move(counts));
      continue;
    }
    auto named = keys_pools_[t].Take();
    named->resize(places->size());
    for (std::size_t i = 0; i < places->size(); ++i) (*named)[i] = keys[(*places)[i]];
    client.Push(EmbeddingTableAt(t), clock, part.node, AsBuffer(named), values, loop.Now(), loop.out(),
                std::move(counts));
  }
}

Status Trainer::SlowDown(Duration computed, WorkerLoop& loop) {
  if (config_.cluster.slow_worker != static_cast<std::int64_t>(worker_) || config_.cluster.slow_factor <= 1)
    return Status();
  const auto extra = std::chrono::duration_cast<Duration>(computed * (config_.cluster.slow_factor - 1));
  const TimePoint until = loop.Now() + extra;
  return loop.WaitUntil([&] { return loop.Now() >= until; });
}

}  // namespace cohort
