#include "launch/simulate/simulated_worker.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/check.h"
#include "common/dataset.h"

namespace cohort {
namespace {

constexpr std::size_t kReadyBatches = 2;      // as BatchReader
constexpr std::uint32_t kRequestFloats = 16;  // request_rows is of rows of so many floats, or fewer

// Of a table whose rows have `dim` floats, in one message.
double RowsOfRequest(std::uint32_t request_rows, std::uint32_t dim) {
  return std::max(1.0, static_cast<double>(request_rows) * kRequestFloats / std::max(dim, kRequestFloats));
}

TableSpec Represent(TableId id, std::uint64_t keys) {
  TableSpec table;
  table.id = id;
  table.name = id == kDenseTable ? "dense" : "embeddings " + std::to_string(id);
  table.kind = TableKind::kDense;  // key k is the k-th run of rows on the ring
  table.dim = 1;
  table.row_count = keys;
  table.init = {InitSegment{}};
  return table;
}

}  // namespace

SimulatedJob SimulatedJob::Make(const SimulatedWorkload& workload, Consistency consistency,
                                std::uint32_t slices, std::uint32_t batch_size, std::uint64_t rows,
                                std::uint32_t request_rows, std::uint32_t shards) {
  SimulatedJob job;
  job.workload = workload;
  job.consistency = consistency;
  job.slices = slices;
  job.batch_size = batch_size;
  job.rows = rows;
  // Each table's keys stand for so many rows that all are cut after the same number of keys.
  double keys_of_request = 1e9;
  for (const auto& table : workload.embeddings) {
    keys_of_request = std::min(keys_of_request, RowsOfRequest(request_rows, table.dim) /
                                                    std::max(1.0, table.rows / kSlotGroupCount));
  }
  keys_of_request = std::max(1.0, std::floor(keys_of_request));
  job.request_rows = static_cast<std::uint32_t>(keys_of_request);
  const auto add = [&](const SimulatedWorkload::Table& table, std::uint64_t keys) {
    const auto id = static_cast<TableId>(job.tables.size());
    job.tables.push_back(Represent(id, keys));
    job.rows_of_key.push_back(table.rows / static_cast<double>(keys));
    std::vector<Key> list(keys);
    for (std::uint64_t k = 0; k < keys; ++k) list[k] = k;
    job.keys.push_back(Buffer::Own(std::move(list)));
  };
  const double dense_messages = workload.dense.rows / RowsOfRequest(request_rows, workload.dense.dim);
  const auto dense_rows = static_cast<std::uint64_t>(std::max(1.0, workload.dense.rows));
  add(workload.dense, std::clamp<std::uint64_t>(static_cast<std::uint64_t>(dense_messages * keys_of_request),
                                                std::min<std::uint64_t>(dense_rows, shards), dense_rows));
  for (const auto& table : workload.embeddings) add(table, kSlotGroupCount);
  return job;
}

SimulatedWorker::SimulatedWorker(std::uint32_t index, const SimulatedJob& job,
                                 SchedulerClient::Options scheduler, ParameterClient::Options parameters,
                                 std::uint64_t pid)
    : index_(index),
      job_(job),
      scheduler_(WorkerNode(index), Register{0, 0, "", "host", pid, "avx2"}, scheduler),
      parameters_(WorkerNode(index), parameters) {
  std::size_t most = 0;
  for (const Buffer& keys : job.keys) most = std::max(most, keys.size() / sizeof(Key));
  gradients_ = Buffer::Own(std::vector<float>(most));
  scheduler_.SetHeartbeat([this] {
    Heartbeat heartbeat;
    heartbeat.phase = phase_.phase;
    heartbeat.counters->clock = next_clock_;
    heartbeat.counters->samples = samples_;
    return heartbeat;
  });
}

void SimulatedWorker::OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) {
  if (!scheduler_.OnMessage(from, message, now, out)) parameters_.OnMessage(from, message, now, out);
  Advance(now, out);
}

void SimulatedWorker::OnTimer(TimePoint now, Outbox& out) {
  scheduler_.OnTimer(now, out);
  parameters_.OnTimer(now, out);
  Advance(now, out);
}

TimePoint SimulatedWorker::NextTimer() const {
  return std::min(scheduler_.NextTimer(), parameters_.NextTimer());
}

std::optional<double> SimulatedWorker::TakeReading() {
  if (!being_read_) {
    Batch batch;
    if (ready_.size() >= kReadyBatches || !NextToRead(&batch)) return std::nullopt;
    being_read_ = batch;
    read_taken_ = false;
  }
  if (std::exchange(read_taken_, true)) return std::nullopt;
  return job_.workload.load_seconds * being_read_->global_rows +
         job_.workload.encode_seconds * being_read_->rows;
}

void SimulatedWorker::OnRead(TimePoint now, Outbox& out) {
  COHORT_CHECK(being_read_.has_value());
  ready_.push_back(*being_read_);
  being_read_.reset();
  Advance(now, out);
}

std::optional<double> SimulatedWorker::TakeComputing() {
  if (pulled_.empty() || !pulled_.front()->computing || std::exchange(compute_taken_, true))
    return std::nullopt;
  return job_.workload.compute_seconds * pulled_.front()->batch.rows;
}

void SimulatedWorker::OnComputed(TimePoint now, Outbox& out) {
  const Pulled& pulled = *pulled_.front();
  samples_ += pulled.batch.rows;
  ++steps_;
  Push(pulled, now, out);
  parameters_.Close(pulled.batch.clock, now, out);
  Recycle();
  compute_taken_ = false;
  Advance(now, out);
}

double SimulatedWorker::ShareOf(std::uint16_t node) const {
  if (!Bsp()) return 1;
  const SliceRange below = SlicesOfNode(job_.slices, node);
  return static_cast<double>(below.end - below.begin) / std::max(1u, mine_.end - mine_.begin);
}

void SimulatedWorker::Advance(TimePoint now, Outbox& out) {
  if (!has_view_) {
    if (scheduler_.welcome() == nullptr) return;
    parameters_.SetView(*scheduler_.welcome());
    has_view_ = true;
  }
  while (const auto moved = scheduler_.TakeShardMoved()) parameters_.OnShardMoved(*moved, now, out);
  while (!stopped_ && (training_ ? Train(now, out) : BeginPhase(now, out))) {
  }
  Note(now);
}

bool SimulatedWorker::BeginPhase(TimePoint now, Outbox& out) {
  auto order = scheduler_.TakePhaseOrder();
  if (!order) return false;
  phase_ = *order;
  stopped_ = order->kind == PhaseKind::kStop;
  if (!stopped_) {
    COHORT_CHECK(order->kind == PhaseKind::kTrain);
    parameters_.BeginPhase(order->phase);
    training_ = true;
    const bool nothing_left = order->resume_clock == kClockInfinity;
    next_clock_ = nothing_left ? order->first_clock : std::max(order->first_clock, order->resume_clock);
    read_clock_ = next_clock_;
    asked_ = closing_ = false;
    exhausted_ = Bsp() || nothing_left;
    unread_ = 0;
    if (Bsp()) {
      const auto place = std::find(order->workers.begin(), order->workers.end(), index_);
      COHORT_CHECK(place != order->workers.end());
      mine_ = SlicesOfWorker(job_.slices, static_cast<std::uint32_t>(order->workers.size()),
                             static_cast<std::uint32_t>(place - order->workers.begin()));
      nodes_ = MaximalNodes(job_.slices, mine_.begin, mine_.end);
      const auto done = static_cast<std::uint64_t>(next_clock_ - order->first_clock) * job_.batch_size;
      unread_ = job_.rows - std::min(job_.rows, done);
      read_rows_ = job_.batch_size;
    } else {
      nodes_ = {1};
    }
    activity_ = Activity::kReadWait;
    since_ = now;
  }
  scheduler_.ConfirmPhase(*order, now, out);
  return !stopped_;
}

// The next batch of what is unread. False: there is none.
bool SimulatedWorker::NextToRead(Batch* batch) {
  if (!training_ || unread_ == 0) return false;
  batch->clock = read_clock_++;
  batch->global_rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(unread_, read_rows_));
  unread_ -= batch->global_rows;
  batch->rows = batch->global_rows;
  if (Bsp()) {
    const double share = static_cast<double>(mine_.end - mine_.begin) / job_.slices;
    batch->rows = static_cast<std::uint32_t>(std::lround(share * batch->global_rows));
  }
  return true;
}

bool SimulatedWorker::KeepLeasesComing(TimePoint now, Outbox& out) {
  if (asked_) {
    auto lease = scheduler_.TakeLease();
    if (!lease) return false;
    asked_ = false;
    exhausted_ = !lease->granted;
    if (lease->granted) {
      const std::uint64_t first = lease->first_block * kBlockRows;
      unread_ = std::min(job_.rows, first + lease->block_count * kBlockRows) - first;
      read_clock_ = std::max(read_clock_, lease->first_clock);
      read_rows_ = lease->batch_rows;
      if (phase_.resume_clock > lease->first_clock) {
        const auto done = static_cast<std::uint64_t>(phase_.resume_clock - lease->first_clock) * read_rows_;
        unread_ -= std::min(unread_, done);
      }
    }
    return true;
  }
  if (exhausted_ || unread_ > 0 || being_read_) return false;
  scheduler_.SendReliably(LeaseRequest{0, phase_.phase, std::max(next_clock_, read_clock_)}, now, out);
  return asked_ = true;
}

bool SimulatedWorker::Fetch(TimePoint now, Outbox& out) {
  if (ready_.empty() || pulled_.size() >= (Bsp() ? 1u : 2u)) return false;
  std::unique_ptr<Pulled> pulled;
  if (free_.empty()) {
    pulled = std::make_unique<Pulled>();
  } else {
    pulled = std::move(free_.back());
    free_.pop_back();
  }
  const Batch batch = pulled->batch = ready_.front();
  ready_.pop_front();
  pulled->computing = false;
  pulled->tickets.clear();
  pulled->values.resize(job_.tables.size());
  next_clock_ = batch.clock + 1;
  fullness_ = static_cast<double>(batch.rows) / job_.workload.batch_rows;
  for (std::size_t t = 0; batch.rows > 0 && t < job_.tables.size(); ++t) {
    pulled->values[t].resize(job_.keys[t].size() / sizeof(Key));
    pulled->tickets.push_back(parameters_.Pull(static_cast<TableId>(t), batch.clock, AbsentRow::kInitial,
                                               job_.keys[t], pulled->values[t].data(), now, out,
                                               /*keep=*/true));
  }
  pulled_.push_back(std::move(pulled));
  return true;
}

void SimulatedWorker::Recycle() {
  free_.push_back(std::move(pulled_.front()));
  pulled_.pop_front();
}

bool SimulatedWorker::PullsDone(const Pulled& pulled) const {
  return std::all_of(pulled.tickets.begin(), pulled.tickets.end(),
                     [&](ParameterClient::Ticket ticket) { return parameters_.Done(ticket); });
}

bool SimulatedWorker::Train(TimePoint now, Outbox& out) {
  if (KeepLeasesComing(now, out) || Fetch(now, out)) return true;
  if (!pulled_.empty()) {
    Pulled& pulled = *pulled_.front();
    if (pulled.computing || !PullsDone(pulled)) return false;
    if (pulled.batch.rows > 0) {
      pulled.computing = true;
      return false;  // until OnComputed
    }
    parameters_.Close(pulled.batch.clock, now, out);  // nothing of it is ours
    Recycle();
    return true;
  }
  if (!exhausted_ || unread_ > 0 || being_read_ || !ready_.empty()) return false;
  if (!std::exchange(closing_, true) && !Bsp()) parameters_.Close(kClockInfinity, now, out);
  if (next_clock_ > phase_.first_clock &&
      !parameters_.ClosedEverywhere(Bsp() ? next_clock_ - 1 : kClockInfinity)) {
    return false;
  }
  if (parameters_.outstanding() > 0) return false;
  PhaseDone done;
  done.phase = phase_.phase;
  done.next_clock = next_clock_;
  done.counters->samples = samples_;
  done.counters->clock = next_clock_;
  scheduler_.SendReliably(std::move(done), now, out);
  Note(now);
  training_ = false;
  return true;
}

void SimulatedWorker::Push(const Pulled& pulled, TimePoint now, Outbox& out) {
  for (const std::uint16_t node : nodes_) {
    for (std::size_t t = 0; t < job_.tables.size(); ++t) {
      const std::size_t rows = job_.keys[t].size() / sizeof(Key);
      parameters_.PushRows(pulled.tickets[t], node, {}, gradients_.Slice(0, rows * sizeof(float)), now, out);
    }
  }
}

void SimulatedWorker::Note(TimePoint now) {
  Activity next = Activity::kStarting;
  if (training_) {
    if (!pulled_.empty()) {
      next = pulled_.front()->computing ? Activity::kCompute : Activity::kPullWait;
    } else {
      next = closing_ ? Activity::kEndWait : Activity::kReadWait;
    }
  }
  if (activity_ != Activity::kStarting)
    seconds_[static_cast<std::size_t>(activity_)] += std::chrono::duration<double>(now - since_).count();
  activity_ = next;
  since_ = now;
}

}  // namespace cohort
