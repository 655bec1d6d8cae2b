#include "tests/simulation/sim_worker.h"

#include <algorithm>
#include <utility>

#include "common/dataset.h"
#include "common/float16.h"
#include "common/gradient_tree.h"

namespace cohort {
namespace {

constexpr std::uint32_t kMarkersPerOwner = 3;

Key MarkerKey(std::uint32_t owner, std::uint32_t i) { return RandomBits(0x6d61726b, owner, i); }

GradientRows ToRows(const PlainRows& plain) {
  GradientRows rows;
  for (const auto& [position, row] : plain) {
    rows.keys.push_back(row.key);
    rows.positions.push_back(position);
    rows.values.insert(rows.values.end(), row.values.begin(), row.values.end());
  }
  return rows;
}

}  // namespace

Markers::Markers(const SimPlan& plan, bool none) : plan_(plan) {
  if (none) return;
  const TableSpec& spec = plan.workload.Table(kEmbeddingTable);
  if (!plan.workload.whole || spec.policy.Any() || spec.dtype != FloatType::kFloat32) return;
  owners_.resize(plan.consistency == Consistency::kBsp ? plan.slices : plan.workers + plan.more_workers);
  for (std::uint32_t owner = 0; owner < owners_.size(); ++owner) {
    for (Key key : KeysOfOwner(owner)) all_.push_back(key);
  }
}

std::vector<Key> Markers::KeysOfOwner(std::uint32_t owner) const {
  std::vector<Key> keys;
  for (std::uint32_t i = 0; owner < owners_.size() && i < kMarkersPerOwner; ++i)
    keys.push_back(MarkerKey(owner, i));
  return keys;
}

std::string Markers::Judge(Clock clock, std::uint32_t owner, float increase) const {
  const auto wrong = [&](const std::string& expected) {
    return "a pull at clock " + std::to_string(clock) + " shows " + std::to_string(increase) + " clocks of " +
           (plan_.consistency == Consistency::kBsp ? "slice " : "worker ") + std::to_string(owner) +
           ", expected " + expected;
  };
  if (plan_.consistency == Consistency::kBsp) {
    // All clocks before this one, and no other.
    std::uint64_t expected = 0;
    for (std::uint64_t c = 0; c < static_cast<std::uint64_t>(clock); ++c) {
      const RowRange rows =
          RowsOfSlice(plan_.train_rows, plan_.batch_size, plan_.slices, c % plan_.BatchesPerEpoch(), owner);
      expected += rows.begin < rows.end;
    }
    return increase == static_cast<float>(expected) ? "" : wrong(std::to_string(expected));
  }
  const Owner& o = owners_[owner];
  if (increase > static_cast<float>(o.clocks.size()))
    return wrong("at most " + std::to_string(o.clocks.size()));
  if (plan_.consistency == Consistency::kAsp) return "";
  const Clock demanded = clock - 1 - static_cast<Clock>(plan_.staleness);
  const auto done = std::upper_bound(o.clocks.begin(), o.clocks.end(), demanded) - o.clocks.begin();
  if (increase < static_cast<float>(done)) return wrong("at least " + std::to_string(done));
  return "";
}

SimWorker::SimWorker(std::uint32_t index, const SimPlan& plan, Markers* markers,
                     SchedulerClient::Options scheduler, ParameterClient::Options parameters,
                     ParameterClientFaults faults, Duration max_compute, std::uint64_t seed, bool replaces,
                     std::uint64_t pid)
    : index_(index),
      replaces_(replaces),
      pid_(pid),
      plan_(plan),
      markers_(markers),
      max_compute_(max_compute),
      random_(seed, 1000 + index),
      scheduler_(WorkerNode(index), Register{0, 0, "", "sim", pid, "avx2"}, scheduler),
      client_(WorkerNode(index), parameters, faults) {
  scheduler_.SetHeartbeat([this] {
    Heartbeat heartbeat;
    heartbeat.phase = phase_.phase;
    heartbeat.counters->clock = next_clock_;
    heartbeat.counters->samples = rows_done_;  // progress, where clocks stand still
    return heartbeat;
  });
}

const Status& SimWorker::failure() const {
  return scheduler_.failure().ok() ? client_.failure() : scheduler_.failure();
}

std::string SimWorker::Waiting(TimePoint now) const {
  return "phase " + std::to_string(phase_.phase) + ", clock " + std::to_string(next_clock_) + ", " +
         std::to_string(batches_.size()) + " batches, " + client_.Waiting(now) + ", " +
         std::to_string(scheduler_.outstanding()) + " requests to the scheduler";
}

void SimWorker::OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) {
  if (!scheduler_.OnMessage(from, message, now, out)) client_.OnMessage(from, message, now, out);
  Advance(now, out);
}

void SimWorker::OnTimer(TimePoint now, Outbox& out) {
  scheduler_.OnTimer(now, out);
  client_.OnTimer(now, out);
  Advance(now, out);
}

TimePoint SimWorker::NextTimer() const {
  TimePoint next = std::min(scheduler_.NextTimer(), client_.NextTimer());
  if (!batches_.empty()) next = std::min(next, batches_.front()->computed);
  return next;
}

void SimWorker::Advance(TimePoint now, Outbox& out) {
  if (!has_view_) {
    if (scheduler_.welcome() == nullptr) return;
    client_.SetView(*scheduler_.welcome());
    has_view_ = true;
  }
  while (const auto moved = scheduler_.TakeShardMoved()) client_.OnShardMoved(*moved, now, out);
  for (bool moved = true; moved;) {
    switch (state_) {
      case State::kIdle:
        moved = BeginPhase(now, out);
        break;
      case State::kTraining:
        moved = ContinueTraining(now, out);
        break;
      case State::kScoring:
        moved = ContinueScoring(now, out);
        break;
      case State::kStopped:
        return;
    }
  }
}

bool SimWorker::BeginPhase(TimePoint now, Outbox& out) {
  auto order = scheduler_.TakePhaseOrder();
  if (!order) return false;
  phase_ = *order;
  if (order->kind == PhaseKind::kStop) {
    state_ = State::kStopped;
    scheduler_.ConfirmPhase(*order, now, out);
    return true;
  }
  client_.BeginPhase(order->phase);
  state_ = order->kind == PhaseKind::kTrain ? State::kTraining : State::kScoring;
  // After a death of an earlier life some clocks are done, perhaps all of them.
  const bool nothing_left = order->resume_clock == kClockInfinity;
  next_clock_ = nothing_left ? order->first_clock : std::max(order->first_clock, order->resume_clock);
  next_row_ = end_row_ = 0;
  asked_ = closing_ = false;
  exhausted_ = state_ == State::kTraining && nothing_left;
  if (state_ == State::kTraining && Bsp()) {
    end_row_ = plan_.train_rows;
    batch_rows_ = plan_.batch_size;
    next_row_ =
        std::min(end_row_, static_cast<std::uint64_t>(next_clock_ - order->first_clock) * batch_rows_);
    closing_ = next_row_ == end_row_;
    exhausted_ = true;  // nothing is to be asked for
  }
  if (state_ == State::kTraining && !Bsp() && markers_->owners() > 0) markers_->Exhausted(index_, false);
  scheduler_.ConfirmPhase(*order, now, out);
  return true;
}

SliceRange SimWorker::Mine() const {
  const auto place = std::find(phase_.workers.begin(), phase_.workers.end(), index_);
  return SlicesOfWorker(plan_.slices, static_cast<std::uint32_t>(phase_.workers.size()),
                        static_cast<std::uint32_t>(place - phase_.workers.begin()));
}

bool SimWorker::AskForData(TimePoint now, Outbox& out) {
  if (asked_) {
    auto lease = scheduler_.TakeLease();
    if (!lease) return false;
    asked_ = false;
    exhausted_ = !lease->granted;
    if (lease->granted) {
      const std::uint64_t rows = state_ == State::kTraining ? plan_.train_rows : plan_.test_rows;
      next_row_ = lease->first_block * kBlockRows;
      end_row_ = std::min(rows, next_row_ + lease->block_count * kBlockRows);
      next_clock_ = std::max(next_clock_, lease->first_clock);
      // Scoring in batches of a row or two only takes time.
      batch_rows_ = state_ == State::kScoring ? std::max(64u, lease->batch_rows) : lease->batch_rows;
      if (state_ == State::kTraining && phase_.resume_clock > lease->first_clock) {
        const auto done = static_cast<std::uint64_t>(phase_.resume_clock - lease->first_clock);
        next_row_ = std::min(end_row_, next_row_ + done * batch_rows_);
      }
      lease_ = lease->lease;
    }
    return true;
  }
  if (exhausted_ || next_row_ < end_row_) return false;
  scheduler_.SendReliably(LeaseRequest{0, phase_.phase, next_clock_}, now, out);
  return asked_ = true;
}

// Takes the next batch and pulls its rows.
bool SimWorker::Fetch(AbsentRow absent, TimePoint now, Outbox& out) {
  const bool scoring = state_ == State::kScoring;
  // While one batch is computed, the next one is pulled; in bsp its pull would only wait.
  if (next_row_ >= end_row_ || batches_.size() >= (Bsp() ? 1u : 2u)) return false;
  auto batch = std::make_unique<Batch>();
  batch->clock = scoring ? phase_.first_clock : next_clock_++;
  batch->begin = next_row_;
  batch->end = next_row_ = std::min(end_row_, next_row_ + batch_rows_);
  batch->lease = lease_;
  batch->last_of_lease = next_row_ == end_row_;
  std::uint64_t first = batch->begin, last = batch->end;
  if (!scoring && Bsp()) {  // only the rows of our slices
    const SliceRange mine = Mine();
    const std::uint64_t number = batch->begin / plan_.batch_size;
    first = RowsOfSlice(plan_.train_rows, plan_.batch_size, plan_.slices, number, mine.begin).begin;
    last = RowsOfSlice(plan_.train_rows, plan_.batch_size, plan_.slices, number, mine.end).begin;
    if (mine.begin == mine.end) last = first;
  }
  batch->has_data = first < last;
  if (batch->has_data) {
    const std::uint64_t offset = scoring ? kTestRows : 0;
    batch->keys = plan_.workload.KeysOf(offset + first, offset + last,
                                        scoring ? std::span<const Key>() : markers_->all());
    const bool keep = plan_.positions && !scoring;
    const std::vector<Key> dense_keys = plan_.workload.DenseKeys();
    batch->rows.resize(batch->keys.size() * plan_.workload.Table(kEmbeddingTable).dim);
    batch->dense.resize(dense_keys.size() * plan_.workload.Table(kDenseTable).dim);
    batch->tickets[0] = client_.Pull(kDenseTable, batch->clock, absent, Buffer::Own(dense_keys),
                                     batch->dense.data(), now, out, keep);
    batch->tickets[1] = client_.Pull(kEmbeddingTable, batch->clock, absent, Buffer::Copy<Key>(batch->keys),
                                     batch->rows.data(), now, out, keep);
  } else {
    ++clocks_without_data_;
  }
  batches_.push_back(std::move(batch));
  return true;
}

bool SimWorker::ContinueTraining(TimePoint now, Outbox& out) {
  if (AskForData(now, out) || Fetch(AbsentRow::kInitial, now, out)) return true;
  if (!batches_.empty()) {
    Batch& batch = *batches_.front();
    if (!batch.computing) {
      if (batch.has_data && !(client_.Done(batch.tickets[0]) && client_.Done(batch.tickets[1]))) return false;
      // What a replaced worker's earlier life had closed at one shard may be applied there already: its parts count as
      // duplicates.
      const bool done_before = replaces_ && Bsp() && batch.clock == phase_.resume_clock;
      if (batch.has_data && !done_before) CheckMarkers(batch);
      batch.computing = true;
      batch.computed = now + Duration(random_.Below(static_cast<std::uint64_t>(max_compute_.count()) + 1));
      return true;
    }
    if (now < batch.computed) return false;
    rows_done_ += batch.end - batch.begin;
    if (batch.has_data) PushGradients(batch, now, out);
    client_.Close(batch.clock, now, out);
    batches_.pop_front();
    return true;
  }
  if (!exhausted_) return false;
  if (!closing_) {
    closing_ = true;
    if (!Bsp()) {
      if (markers_->owners() > 0) markers_->Exhausted(index_, true);
      client_.Close(kClockInfinity, now, out);
    }
    return true;
  }
  const bool resumed_at_end = Bsp() && next_clock_ == phase_.resume_clock;  // and closed nothing
  if ((!resumed_at_end && !client_.ClosedEverywhere(Bsp() ? next_clock_ - 1 : kClockInfinity)) ||
      client_.outstanding() > 0) {
    return false;
  }
  FinishPhase(now, out);
  return true;
}

bool SimWorker::ContinueScoring(TimePoint now, Outbox& out) {
  if (AskForData(now, out) || Fetch(AbsentRow::kZero, now, out)) return true;
  if (!batches_.empty()) {
    Batch& batch = *batches_.front();
    if (!(client_.Done(batch.tickets[0]) && client_.Done(batch.tickets[1]))) return false;
    TakePredictions(batch, now, out);
    rows_done_ += batch.end - batch.begin;
    batches_.pop_front();
    return true;
  }
  if (!exhausted_ || scheduler_.outstanding() > 0) return false;
  FinishPhase(now, out);
  return true;
}

void SimWorker::FinishPhase(TimePoint now, Outbox& out) {
  PhaseDone done;
  done.phase = phase_.phase;
  done.next_clock = next_clock_;
  done.evaluation = Buffer::Own(std::move(evaluated_));
  evaluated_.clear();
  scheduler_.SendReliably(done, now, out);
  state_ = State::kIdle;
}

Lookup SimWorker::LookupOf(const Batch& batch) const {
  return [this, &batch](TableId table, Key key) -> const float* {
    const TableSpec& spec = plan_.workload.Table(table);
    if (table == kDenseTable) return batch.dense.data() + key * spec.dim;
    const std::uint64_t position = RingPosition(spec, key);
    auto found = std::lower_bound(batch.keys.begin(), batch.keys.end(), position,
                                  [&](Key k, std::uint64_t p) { return RingPosition(spec, k) < p; });
    return batch.rows.data() + static_cast<std::size_t>(found - batch.keys.begin()) * spec.dim;
  };
}

void SimWorker::CheckMarkers(const Batch& batch) {
  const Lookup weights = LookupOf(batch);
  const TableSpec& spec = plan_.workload.Table(kEmbeddingTable);
  for (std::uint32_t owner = 0; owner < markers_->owners(); ++owner) {
    for (Key key : markers_->KeysOfOwner(owner)) {
      const float increase = weights(kEmbeddingTable, key)[0] - spec.init[0].mean;
      if (std::string wrong = markers_->Judge(batch.clock, owner, increase);
          !wrong.empty() && violation_.empty()) {
        violation_ = "worker " + std::to_string(index_) + ": " + wrong;
      }
    }
  }
}

void SimWorker::PushGradients(const Batch& batch, TimePoint now, Outbox& out) {
  const Lookup weights = LookupOf(batch);
  const Workload& workload = plan_.workload;
  if (!Bsp()) {
    if (markers_->owners() > 0) markers_->Issued(index_, batch.clock);
    const PlainTables gradients =
        workload.Gradients(phase_.epoch, batch.begin, batch.end, markers_->KeysOfOwner(index_), weights);
    if (journal_ != nullptr) (*journal_)[{index_, batch.clock}] = {phase_.phase, gradients};
    for (const auto& [table, rows] : gradients)
      PushOne(batch, 1, table, ToRows(rows), std::vector{&rows}, now, out);
    return;
  }
  // The slices that are not empty, summed into the maximal sub-trees that are ours.
  const SliceRange mine = Mine();
  const std::uint64_t number = batch.begin / plan_.batch_size;
  std::map<std::uint32_t, PlainTables> slices;
  for (std::uint32_t slice = mine.begin; slice < mine.end; ++slice) {
    const RowRange rows = RowsOfSlice(plan_.train_rows, plan_.batch_size, plan_.slices, number, slice);
    if (rows.begin == rows.end) continue;
    if (markers_->owners() > 0) markers_->Issued(slice, batch.clock);
    slices[slice] =
        workload.Gradients(phase_.epoch, rows.begin, rows.end, markers_->KeysOfOwner(slice), weights);
  }
  TreeSum tree;
  for (std::uint16_t node : MaximalNodes(plan_.slices, mine.begin, mine.end)) {
    const SliceRange below = SlicesOfNode(plan_.slices, node);
    for (TableId table : {kDenseTable, kEmbeddingTable}) {
      const FloatType type = workload.Table(table).push_values;
      std::vector<std::uint16_t> leaves;
      std::vector<GradientRows> rows;
      std::vector<const PlainRows*> summed;
      for (auto slice = slices.lower_bound(below.begin); slice != slices.end() && slice->first < below.end;
           ++slice) {
        leaves.push_back(static_cast<std::uint16_t>(plan_.slices + slice->first));
        rows.push_back(ToRows(slice->second[table]));
        RoundValues(type, rows.back().values.data(), rows.back().values.size());
        summed.push_back(&slice->second[table]);
      }
      if (leaves.empty()) continue;
      std::vector<const GradientRows*> pointers;
      for (const GradientRows& one : rows) pointers.push_back(&one);
      GradientRows sum;
      tree.Sum(workload.Table(table).dim, leaves, pointers, &sum, type);
      PushOne(batch, node, table, sum, summed, now, out);
    }
  }
}

void SimWorker::PushOne(const Batch& batch, std::uint16_t node, TableId table, const GradientRows& rows,
                        std::span<const PlainRows* const> summed, TimePoint now, Outbox& out) {
  std::vector<std::uint32_t> occurrences;
  if (plan_.workload.Table(table).policy.NeedsCounts()) {
    for (const std::uint64_t position : rows.positions) {
      occurrences.push_back(0);
      for (const PlainRows* one : summed) {
        if (auto row = one->find(position); row != one->end()) occurrences.back() += row->second.count;
      }
    }
  }
  const Buffer values = Buffer::Copy<float>(rows.values);
  const Buffer counts = Buffer::Own(std::move(occurrences));
  if (!plan_.positions) {
    client_.Push(table, batch.clock, node, Buffer::Copy<Key>(rows.keys), values, now, out, counts);
    return;
  }
  const std::vector<Key> pulled = table == kDenseTable ? plan_.workload.DenseKeys() : batch.keys;
  std::vector<std::uint32_t> places;
  for (std::uint32_t i = 0; i < pulled.size() && places.size() < rows.keys.size(); ++i) {
    if (pulled[i] == rows.keys[places.size()]) places.push_back(i);
  }
  // All rows have a shorter name.
  if (places.size() == pulled.size() && random_.Below(2) == 0) places.clear();
  client_.PushRows(batch.tickets[table], node, Buffer::Own(std::move(places)), values, now, out, counts);
}

void SimWorker::TakePredictions(const Batch& batch, TimePoint now, Outbox& out) {
  const Lookup weights = LookupOf(batch);
  std::vector<float> predictions;
  for (std::uint64_t row = batch.begin; row < batch.end; ++row) {
    predictions.push_back(plan_.workload.PredictionOf(kTestRows + row, weights));
    if (phase_.kind == PhaseKind::kEvaluate) evaluated_.push_back({row, predictions.back(), 0});
  }
  if (phase_.kind == PhaseKind::kEvaluate) return;
  ScoreBlock block;
  block.phase = phase_.phase;
  block.lease = batch.lease;
  block.last_of_lease = batch.last_of_lease;
  block.first_row = batch.begin;
  block.rows = static_cast<std::uint32_t>(batch.end - batch.begin);
  block.prediction_columns = 1;
  block.predictions = Buffer::Own(std::move(predictions));
  scheduler_.SendReliably(std::move(block), now, out);
}

}  // namespace cohort
