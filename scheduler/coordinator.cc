#include "scheduler/coordinator.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/check.h"
#include "common/seconds.h"

namespace cohort {
namespace {

double ToSeconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Coordinator::Coordinator(RunPlan plan, ScoreSink* sink, RunObserver* observer)
    : plan_(std::move(plan)),
      sink_(sink),
      observer_(observer),
      membership_(plan_.shards, plan_.workers, plan_.backups ? plan_.shards : 0, plan_.dead_after),
      slot_map_(SlotMap::Even(plan_.shards)) {
  if (!plan_.resume) return;
  step_ = plan_.resume->step;
  phase_ = plan_.resume->phase - 1;
  next_clock_ = plan_.resume->first_clock;
}

Stamp Coordinator::stamp() const {
  Stamp stamp;
  stamp.sender = kSchedulerNode;
  stamp.run_id = plan_.run_id;
  stamp.term = plan_.term;
  stamp.generation = slot_map_.generation;
  return stamp;
}

void Coordinator::Start(TimePoint now) {
  started_at_ = last_sample_ = last_progress_ = now;
  membership_.Judge(now);
}

// ---------------------------------------------------------------- messages

void Coordinator::OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) {
  if (from.run_id != plan_.run_id || state_ == State::kFinished) {
    ++ignored_messages_;
    return;
  }
  Member* member = membership_.Find(from.sender);
  if (auto* registration = std::get_if<Register>(&message)) {
    Record(from, message, now);
    return OnRegister(from, member, std::move(*registration), now, out);
  }
  if (member == nullptr || !member->registered() || from.incarnation != member->incarnation) {
    ++ignored_messages_;
    return;
  }
  if (member->state == MemberState::kDead) return;
  Record(from, message, now);
  membership_.Heard(*member, now);

  if (auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    OnHeartbeat(*member, std::move(*heartbeat), now, out);
  } else if (auto* reply = std::get_if<PhaseReply>(&message)) {
    OnPhaseReply(*member, *reply, now, out);
  } else if (auto* done = std::get_if<PhaseDone>(&message)) {
    OnPhaseDone(*member, std::move(*done), now, out);
  } else if (auto* lease = std::get_if<LeaseRequest>(&message)) {
    OnLeaseRequest(*member, *lease, out);
  } else if (auto* block = std::get_if<ScoreBlock>(&message)) {
    OnScoreBlock(*member, std::move(*block), now, out);
  } else if (auto* snapshot = std::get_if<SnapshotDone>(&message)) {
    OnSnapshotDone(*member, std::move(*snapshot), now, out);
  } else if (auto* checkpoint = std::get_if<CheckpointDone>(&message)) {
    OnCheckpointDone(*member, std::move(*checkpoint), out);
  } else if (auto* fence = std::get_if<FenceDone>(&message)) {
    OnFenceDone(*member, *fence, now, out);
  } else if (auto* ready = std::get_if<BackupReady>(&message)) {
    OnBackupReady(*member, *ready, now, out);
  } else if (auto* failure = std::get_if<Failure>(&message)) {
    out.Send(member->node, Ack{failure->request_id});
    if (IsComing(member->node)) {
      GiveUpChange(Describe(*member) + " failed before it took part: " + failure->text, now);
    } else if (!decided()) {
      Stop({ErrorCode::kUnavailable,
            Describe(*member) + " failed: " + failure->text + " (in " + StepName() + ")"},
           now, out);
    }
  } else if (auto* warning = std::get_if<Warning>(&message)) {
    out.Send(member->node, Ack{warning->request_id});
    // Once, however often it is sent; a member's request ids ascend.
    if (warning->request_id <= member->newest_warning) return;
    member->newest_warning = warning->request_id;
    if (observer_ != nullptr) observer_->OnWarning(Describe(*member) + ": " + warning->text);
  } else if (auto* ack = std::get_if<Ack>(&message)) {
    notices_.erase(ack->request_id);
    // A shard has received its snapshot order; the deadline for SnapshotDone stays.
    const auto order = orders_.find(member->node);
    if (order != orders_.end() && order->second.id == ack->request_id) order->second.next_retry = kNever;
  } else {
    ++ignored_messages_;
  }
}

void Coordinator::OnRegister(const Stamp& from, Member* member, Register message, TimePoint now,
                             Outbox& out) {
  if (member == nullptr || member->left()) {
    ErrorReply error{message.request_id, ErrorReason::kMalformed, {}};
    error.text = member != nullptr ? ToString(from.sender) + " has left this run, and nobody takes its place"
                                   : "this run has " + std::to_string(plan_.shards) + " shards and " +
                                         std::to_string(plan_.workers) + " workers; " +
                                         ToString(from.sender) + " is none of them";
    out.Send(from.sender, std::move(error));
    return;
  }
  const bool is_new = !member->registered();
  if (!membership_.Add(*member, message, from.incarnation, now)) {
    ErrorReply error{message.request_id, ErrorReason::kStaleIncarnation, {}};
    error.text = Describe(*member) + " has registered already; this one is pid " +
                 std::to_string(message.pid) + " on host " + message.host;
    out.Send(from.sender, std::move(error));
    return;
  }
  if (member->state == MemberState::kDead) return;
  membership_.Heard(*member, now);
  if (decided()) {
    PhaseOrder stop;
    stop.request_id = next_id_++;
    stop.phase = phase_;
    stop.kind = PhaseKind::kStop;
    stop.reason = verdict_.text();
    out.Send(from.sender, std::move(stop));
    return;
  }
  if (is_new) {
    member->orders_from = next_id_;
    // Until it has confirmed its first phase it may be busy opening or loading files.
    const bool replaces = state_ != State::kRegistering;  // a worker, which has but a dataset to open
    membership_.Allow(*member,
                      replaces                   ? std::min(plan_.request, 4 * plan_.dead_after)
                      : plan_.model_path.empty() ? plan_.request
                                                 : plan_.wait,
                      now);
    Event(Describe(*member) + " registered" +
          (message.endpoint.empty() ? "" : ", listens on " + message.endpoint) + ", kernels " +
          message.kernels);
  }
  if (state_ != State::kRegistering) {
    if (is_new && from.sender.role == Role::kBackup) return AdmitBackup(*member, now, out);
    if (is_new && from.sender.role == Role::kShard) return AdmitPromoted(*member, now, out);
    if (is_new) return AdmitReplacement(*member, now, out);
    if (!fences_.contains(from.sender.index) || from.sender.role != Role::kWorker)
      return SendWelcome(from.sender, message.request_id, out);
    out.Send(from.sender, RegisterPending{message.request_id, "its fence at the shards"});
    return;
  }
  if (!membership_.complete()) {
    out.Send(from.sender, RegisterPending{message.request_id, membership_.Missing()});
    return;
  }

  kernels_ = membership_.CommonKernels();
  NotePlaces();
  NoteWorkers(now);
  Event("everyone has registered: " + std::to_string(plan_.shards) + " shards, " +
        std::to_string(plan_.workers) + " workers, kernels " + kernels_);
  for (const Member& each : membership_.all()) {
    if (each.registered()) SendWelcome(each.node, each.registration.request_id, out);
  }
  for (std::uint32_t shard = 0; plan_.backups && shard < plan_.shards; ++shard) {
    membership_.Allow(*membership_.Find(BackupNode(shard)), std::nullopt, now);
    OrderBackup(shard, now, out);
  }
  next_sample_ = now + kSampleInterval;
  NextStep(now, out);
}

void Coordinator::SendWelcome(NodeId node, RequestId id, Outbox& out) const {
  Welcome welcome;
  welcome.request_id = id;
  welcome.term = plan_.term;
  welcome.worker_count = plan_.workers;
  welcome.seed = plan_.seed;
  welcome.consistency = plan_.consistency;
  welcome.staleness = plan_.staleness;
  welcome.slices = plan_.slices;
  welcome.slot_map = slot_map_;
  for (std::uint32_t shard = 0; shard < plan_.shards; ++shard) {
    welcome.shard_endpoints.push_back(membership_.Find(ShardNode(shard))->registration.endpoint);
  }
  welcome.tables = plan_.tables;
  welcome.run_config = plan_.run_config;
  welcome.model_path = plan_.model_path;
  welcome.kernels = kernels_;
  welcome.resume = plan_.resume.has_value();
  welcome.checkpoint_path = plan_.checkpoint_path;
  welcome.checkpoint_every = plan_.consistency == Consistency::kBsp ? plan_.checkpoint_every : 0;
  welcome.orders_from = membership_.Find(node)->orders_from;
  out.Send(node, std::move(welcome));
}

void Coordinator::UpdateCounters(Member& member, std::uint32_t phase, Counters counters, TimePoint now) {
  AddPast(member.past, phase == member.past_phase, &counters);
  // A late heartbeat of an earlier phase, or one overtaken by a newer, must not turn the counters back.
  if (phase < member.phase || (phase == member.phase && counters.samples < member.counters.samples)) return;
  if (phase != member.phase || counters.samples != member.counters.samples ||
      counters.clock != member.counters.clock) {
    last_progress_ = now;
  }
  member.phase = phase;
  member.counters = std::move(counters);
}

void Coordinator::OnHeartbeat(Member& member, Heartbeat message, TimePoint now, Outbox& out) {
  out.Send(member.node, HeartbeatReply{message.request_id});
  member.waiting = std::move(message.waiting);
  // One that leaves is in a phase beyond all others.
  UpdateCounters(member, std::min(message.phase, phase_), std::move(*message.counters), now);
  FollowRecovery(now);
}

void Coordinator::OnPhaseReply(Member& member, const PhaseReply& message, TimePoint now, Outbox& out) {
  if (const auto leaving = leaving_.find(member.node); leaving != leaving_.end() && !decided()) {
    if (leaving->second.id == message.request_id) HasLeft(member, now, out);
    return;  // what it has not begun, whoever comes after it will
  }
  const auto order = orders_.find(member.node);
  if (order == orders_.end() || order->second.id != message.request_id) return;
  orders_.erase(order);
  if (member.silence_allowed != plan_.dead_after) membership_.Allow(member, std::nullopt, now);
  if (state_ == State::kStopping && orders_.empty()) {
    state_ = State::kFinished;
  } else if (state_ == State::kOrderingShards && orders_.empty() && promoted_until_.empty()) {
    OrderWorkers(now, out);
  }
}

void Coordinator::OnPhaseDone(Member& member, PhaseDone message, TimePoint now, Outbox& out) {
  if (message.phase > phase_ || member.node.role != Role::kWorker) {
    out.Send(member.node, ErrorReply{message.request_id, ErrorReason::kMalformed,
                                     "the end of phase " + std::to_string(message.phase) +
                                         ", but the run is in phase " + std::to_string(phase_)});
    return;
  }
  out.Send(member.node, Ack{message.request_id});
  if (message.phase < phase_ || state_ != State::kRunning) return;
  orders_.erase(member.node);
  UpdateCounters(member, message.phase, std::move(*message.counters), now);
  if (!workers_done_.insert(member.node.index).second) return;
  last_progress_ = now;
  if (order_.kind == PhaseKind::kEvaluate && sink_ != nullptr) {
    const Status status = sink_->OnEvaluation(message.evaluation);
    if (!status.ok()) return Stop(status.Within(Describe(member) + ", " + StepName()), now, out);
  }
  if (message.next_clock != kClockInfinity) next_clock_ = std::max(next_clock_, message.next_clock);
  FinishPhaseIfDone(now, out);
  FollowChange(now, out);
}

void Coordinator::OnLeaseRequest(const Member& member, const LeaseRequest& message, Outbox& out) {
  if (state_ != State::kRunning || message.phase != phase_ || member.node.role != Role::kWorker) {
    const bool future =
        message.phase > phase_ || (message.phase == phase_ && state_ == State::kOrderingShards);
    out.Send(member.node,
             ErrorReply{message.request_id, future ? ErrorReason::kFuturePhase : ErrorReason::kStalePhase,
                        "a lease for phase " + std::to_string(message.phase) + ", but the run is in phase " +
                            std::to_string(phase_)});
    return;
  }
  const std::uint32_t worker = member.node.index;
  if (const auto repeated = leases_.Repeat(worker, message.request_id)) {
    out.Send(member.node, *repeated);
    return;
  }
  const auto same = [&](const auto& waiting) {
    return waiting.first == worker && waiting.second.request_id == message.request_id;
  };
  if (std::any_of(waiting_leases_.begin(), waiting_leases_.end(), same)) return;
  waiting_leases_.emplace_back(worker, message);
  GrantWaitingLeases(out);
}

bool Coordinator::MayGrant() const {
  if (leases_.has_queued()) return true;
  if (order_.kind != PhaseKind::kScore || leases_.exhausted()) return true;
  // Blocks ahead of the first missing row are held in memory: no lease too far ahead of it.
  return leases_.next_row() < row_order_.next_row() + 4 * order_.workers.size() * leases_.lease_rows();
}

void Coordinator::GrantWaitingLeases(Outbox& out) {
  std::erase_if(waiting_leases_, [&](const auto& waiting) {
    const auto& [worker, request] = waiting;
    if (Stays(worker) || !leases_.MayRefuse(worker)) return false;
    out.Send(WorkerNode(worker), leases_.Refuse(worker, request));
    return true;
  });
  std::size_t granted = 0;
  for (; granted < waiting_leases_.size() && MayGrant(); ++granted) {
    const auto& [worker, request] = waiting_leases_[granted];
    out.Send(WorkerNode(worker), leases_.Grant(worker, request));
  }
  waiting_leases_.erase(waiting_leases_.begin(),
                        waiting_leases_.begin() + static_cast<std::ptrdiff_t>(granted));
}

void Coordinator::OnScoreBlock(Member& member, ScoreBlock message, TimePoint now, Outbox& out) {
  const RequestId id = message.request_id;
  if (message.phase < phase_ || state_ != State::kRunning || order_.kind != PhaseKind::kScore) {
    // Of a phase that is over: every row of it has been taken.
    if (message.phase <= phase_) out.Send(member.node, Ack{id});
    return;
  }
  const LeaseRecord* lease = leases_.Find(message.lease);
  if (message.phase > phase_ || lease == nullptr || WorkerNode(lease->worker) != member.node) {
    out.Send(member.node,
             ErrorReply{id, ErrorReason::kMalformed,
                        "predictions under lease " + std::to_string(message.lease) + " of phase " +
                            std::to_string(message.phase) + ", which this worker does not hold"});
    return;
  }
  Status status = row_order_.Take(std::move(message), *lease, plan_.prediction_columns);
  if (!status.ok()) {
    out.Send(member.node, ErrorReply{id, ErrorReason::kMalformed, status.text()});
    return;
  }
  out.Send(member.node, Ack{id});
  last_progress_ = now;
  while (auto block = row_order_.Next()) {
    if (sink_ != nullptr) status = sink_->OnBlock(*block);
    if (!status.ok()) return Stop(status.Within(StepName()), now, out);
  }
  GrantWaitingLeases(out);
  FinishPhaseIfDone(now, out);
}

void Coordinator::OnSnapshotDone(Member& member, SnapshotDone message, TimePoint now, Outbox& out) {
  out.Send(member.node, Ack{message.request_id});
  if (state_ != State::kSnapshot || member.node.role != Role::kShard) return;
  // A late repetition of the answer to an earlier order; a shard's request ids ascend.
  RequestId& newest = newest_written_[member.node.index];
  if (message.request_id <= newest) return;
  newest = message.request_id;
  if (!message.error.empty()) {
    Stop({ErrorCode::kIo, Describe(member) + " could not write its part of the model to " +
                              plan_.steps[step_].directory + ": " + message.error},
         now, out);
    return;
  }
  orders_.erase(member.node);
  membership_.Allow(member, std::nullopt, now);
  if (!shards_written_.insert(member.node.index).second) return;
  snapshots_[member.node.index] = std::move(message);
  if (shards_written_.size() < plan_.shards) return;
  Event("the model's parts are written to " + plan_.steps[step_].directory);
  if (observer_ != nullptr) observer_->OnSnapshot(plan_.steps[step_].directory, snapshots_, kernels_);
  ++step_;
  NextStep(now, out);
}

// ---------------------------------------------------------------- the plan's steps

void Coordinator::SendOrder(const Member& member, PhaseOrder order, TimePoint now, Outbox& out) {
  order.request_id = next_id_++;
  PendingOrder pending;
  pending.id = order.request_id;
  pending.next_retry = now + plan_.retry;
  // While it still loads a model its silence limit is the longer one; so is this.
  pending.deadline = now + std::max(plan_.request, member.silence_allowed);
  pending.message = order;
  out.Send(member.node, std::move(order));
  orders_.insert_or_assign(member.node, std::move(pending));
}

void Coordinator::NextStep(TimePoint now, Outbox& out) {
  const bool best = sink_ == nullptr || sink_->BestSoFar();
  while (step_ < plan_.steps.size() && plan_.steps[step_].only_if_best && !best) ++step_;
  if (step_ == plan_.steps.size()) return Stop({}, now, out);
  const PlanStep& step = plan_.steps[step_];
  if (!step.snapshot && step.kind == PhaseKind::kTrain && sink_ != nullptr && sink_->TrainedEnough()) {
    Event("training ends before epoch " + std::to_string(step.epoch));
    return Stop({}, now, out);
  }
  orders_.clear();
  if (step.snapshot) {
    state_ = State::kSnapshot;
    shards_written_.clear();
    snapshots_.assign(plan_.shards, {});
    for (std::uint32_t shard = 0; shard < plan_.shards; ++shard)
      OrderSnapshot(*membership_.Find(ShardNode(shard)), now, out);
    return;
  }
  state_ = State::kOrderingShards;
  ++phase_;
  order_ = PhaseOrder{};
  order_.phase = phase_;
  order_.kind = step.kind;
  order_.epoch = step.epoch;
  order_.split = step.split;
  order_.first_clock = order_.resume_clock = next_clock_;
  TakeInWorker();
  order_.workers = workers_;
  workers_done_.clear();
  resume_clocks_.clear();
  waiting_leases_.clear();

  // A checkpoint of the training phase before may still be under way.
  if (!trained_.empty() && trained_.back().phase + 1 == phase_) {
    for (TrainPhase& each : trained_) each.leases = {};
    trained_.back().leases = leases_.journal();
  }
  const std::uint64_t rows = plan_.rows[static_cast<std::size_t>(step.split)];
  next_lease_ = std::max(next_lease_, leases_.next_lease());
  const auto workers = static_cast<std::uint32_t>(workers_.size());
  if (Scoring()) {
    leases_ = Leases(rows, Leases::ScoringBlocks(rows, workers), plan_.batch_size, next_lease_);
  } else {
    const bool leased = plan_.consistency != Consistency::kBsp;
    leases_ = Leases(rows, leased ? Leases::TrainingBlocks(rows, plan_.shuffle_rows, workers) : 0,
                     std::max(1u, plan_.batch_size / plan_.workers), next_lease_);
  }
  row_order_ = RowOrder(order_.kind == PhaseKind::kScore ? rows : 0);
  if (order_.kind == PhaseKind::kTrain) trained_.push_back({phase_, step_, next_clock_, {}});
  if (plan_.resume && phase_ == plan_.resume->phase) ResumePhase();
  if (Scoring() && sink_ != nullptr) {
    const Status status = sink_->OnPhase(order_);
    if (!status.ok()) return Stop(status.Within(StepName()), now, out);
  }
  for (std::uint32_t shard = 0; shard < plan_.shards; ++shard) {
    SendOrder(*membership_.Find(ShardNode(shard)), order_, now, out);
  }
}

void Coordinator::OrderSnapshot(Member& member, TimePoint now, Outbox& out) {
  membership_.Allow(member, plan_.wait, now);
  SnapshotOrder order{next_id_++, plan_.steps[step_].directory};
  PendingOrder pending{order, order.request_id, now + plan_.retry, now + plan_.wait};
  out.Send(member.node, std::move(order));
  orders_.insert_or_assign(member.node, std::move(pending));
}

void Coordinator::OrderWorkers(TimePoint now, Outbox& out) {
  state_ = State::kRunning;
  phase_started_ = last_progress_ = now;
  samples_before_phase_.clear();
  for (const std::uint32_t worker : order_.workers) {
    const Member& member = *membership_.Find(WorkerNode(worker));
    samples_before_phase_[worker] = member.counters.samples;
    // One that is being replaced gets its order when it is here.
    PhaseOrder order = order_;
    if (const auto resume = resume_clocks_.find(worker); resume != resume_clocks_.end())
      order.resume_clock = resume->second;
    if (member.registered() && !fences_.contains(worker)) SendOrder(member, order, now, out);
  }
  Event(StepName() + " begins at clock " + std::to_string(order_.first_clock));
  FollowChange(now, out);
}

void Coordinator::FinishPhaseIfDone(TimePoint now, Outbox& out) {
  if (state_ != State::kRunning || workers_done_.size() < order_.workers.size()) return;
  if (Scoring()) {
    if (!row_order_.complete()) {
      Stop({ErrorCode::kInternal, StepName() + ": all workers have finished, but predictions from row " +
                                      std::to_string(row_order_.next_row()) + " on are missing"},
           now, out);
      return;
    }
    const Status status = sink_ != nullptr ? sink_->OnPhaseEnd() : Status();
    if (!status.ok()) return Stop(status.Within(StepName()), now, out);
  }
  // A worker that took the place of another when nothing was left to do does not know how far that one had come; the
  // leases do. In bsp the clocks are everyone's; else each worker's own.
  const bool leased = plan_.consistency != Consistency::kBsp && order_.kind == PhaseKind::kTrain;
  if (leased) next_clock_ = std::max(next_clock_, leases_.EndClock());
  PhaseSummary summary;
  summary.phase = phase_;
  summary.kind = order_.kind;
  summary.epoch = order_.epoch;
  summary.split = order_.split;
  summary.start_seconds = SecondsSinceStart(phase_started_);
  summary.seconds = ToSeconds(now - phase_started_);
  // What a worker has counted since its last heartbeat is lost with it; in training every row has been visited once.
  summary.samples =
      (replaced_ > 0 || (plan_.resume && phase_ == plan_.resume->phase)) && order_.kind == PhaseKind::kTrain
          ? plan_.rows[static_cast<std::size_t>(order_.split)]
          : PhaseSamples();
  summary.steps = leased ? leases_.Steps(order_.first_clock)
                         : static_cast<std::uint64_t>(next_clock_ - order_.first_clock);
  std::vector<double> weight;
  Losses(&summary.loss, &weight);
  for (std::size_t task = 0; task < weight.size(); ++task) {
    summary.loss[task] =
        weight[task] > 0 ? summary.loss[task] / weight[task] : std::numeric_limits<double>::quiet_NaN();
  }
  summary.first_clock = order_.first_clock;
  summary.next_clock = next_clock_;
  Event(StepName() + " is done after " + Seconds(now - phase_started_));
  if (observer_ != nullptr) observer_->OnPhaseEnd(summary);
  ++step_;
  NextStep(now, out);
}

void Coordinator::Stop(Status verdict, TimePoint now, Outbox& out) {
  if (decided()) return;
  if (!verdict.ok()) {
    Event("the run fails: " + verdict.text());
    ReportHang(verdict.text(), now);
  }
  verdict_ = std::move(verdict);
  state_ = State::kStopping;
  stop_deadline_ = now + plan_.stop;
  ++phase_;
  PhaseOrder order;
  order.phase = phase_;
  order.kind = PhaseKind::kStop;
  order.first_clock = next_clock_;
  order.reason = verdict_.text();
  orders_.clear();
  for (const Member& member : membership_.all()) {
    if (member.registered() && member.state != MemberState::kDead) SendOrder(member, order, now, out);
  }
  if (orders_.empty()) state_ = State::kFinished;
}

void Coordinator::Abort(const Status& reason, TimePoint now, Outbox& out) { Stop(reason, now, out); }

void Coordinator::OnProcessDeath(NodeId node, TimePoint now, Outbox& out) {
  Member* member = membership_.Find(node);
  if (member == nullptr || !member->registered() || member->state == MemberState::kDead) return;
  member->state = MemberState::kDead;
  OnDeath(*member, "its process is gone", now, out);
  if (state_ == State::kStopping && orders_.empty()) state_ = State::kFinished;
}

// ---------------------------------------------------------------- time

void Coordinator::OnTimer(TimePoint now, Outbox& out) {
  if (state_ == State::kFinished) return;
  for (Member* member : membership_.Judge(now)) {
    const Duration silence = now - member->last_heard;
    if (member->state == MemberState::kSuspected) {
      Event(Describe(*member) + " has been silent for " + Seconds(silence));
    } else if (member->state == MemberState::kDead) {
      ReportHang(Describe(*member) + " is silent for " + Seconds(silence) + " (limit " +
                     Seconds(member->silence_allowed) + ")",
                 now);
      OnDeath(*member,
              "no heartbeat for " + Seconds(silence) + " (limit " + Seconds(member->silence_allowed) + ")",
              now, out);
    }
  }
  if (state_ == State::kStopping && (orders_.empty() || now >= stop_deadline_)) {
    if (!orders_.empty()) Event("no confirmation of the end from " + WaitingFor());
    state_ = State::kFinished;
    return;
  }
  if (state_ == State::kRegistering && now >= started_at_ + plan_.startup) {
    return Stop({ErrorCode::kTimeout, "not everyone registered within " + Seconds(plan_.startup) +
                                          " (cluster.startup_seconds): missing " + membership_.Missing()},
                now, out);
  }
  for (auto& [node, order] : orders_) {
    if (state_ != State::kStopping && now >= order.deadline) {
      Member& member = *membership_.Find(node);
      if (Replaceable(member)) {
        member.state = MemberState::kDead;
        OnDeath(member, "no confirmation of " + StepName() + " in time", now, out);
        break;  // of the orders, one is gone; the others have their turn next time
      }
      return Stop(
          {ErrorCode::kTimeout, Describe(member) + " has not confirmed " + StepName() + " in time; it " +
                                    (member.waiting.empty() ? "sent heartbeats" : "says: " + member.waiting)},
          now, out);
    }
    if (now >= order.next_retry) {
      out.Send(node, order.message);
      order.next_retry = now + plan_.retry;
    }
  }
  if (!decided()) FollowFences(now, out);
  if (!decided()) FollowBackups(now, out);
  if (!decided()) FollowChange(now, out);
  if (state_ == State::kRunning && now >= last_progress_ + plan_.wait + plan_.request) {
    return Stop(
        {ErrorCode::kTimeout, "no progress for " + Seconds(now - last_progress_) + " in " + WaitingFor()},
        now, out);
  }
  if (now < next_sample_) return;
  TakeSample(now);
  OrderCheckpoint(now, out);
}

TimePoint Coordinator::NextTimer() const {
  if (state_ == State::kFinished) return kNever;
  TimePoint next = std::min(next_sample_, membership_.NextJudgement());
  if (state_ == State::kRegistering) next = std::min(next, started_at_ + plan_.startup);
  if (state_ == State::kStopping) next = std::min(next, stop_deadline_);
  for (const auto& [node, order] : orders_) {
    next = std::min(next, order.next_retry);
    if (state_ != State::kStopping) next = std::min(next, order.deadline);
  }
  if (decided()) return next;
  for (const auto& [worker, fence] : fences_) next = std::min({next, fence.next_retry, fence.deadline});
  for (const auto& [worker, until] : wanted_until_) next = std::min(next, until);
  for (const auto& [id, notice] : notices_) next = std::min(next, notice.next_retry);
  for (const auto& [shard, until] : promoted_until_) next = std::min(next, until);
  return next;
}

}  // namespace cohort
