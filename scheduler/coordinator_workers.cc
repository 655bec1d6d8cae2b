// Coordinator: workers that come to a run that goes on, and leave it (docs/recovery.md, "Elasticity").
//
// Who takes part is fixed by the order of each phase, which shards and workers get alike: a point that all agree upon.
//
//   remove: it gets no lease any more ─► it has done what it had ─► it is told to stop ─► it has
//   add: somebody starts it ─► it registers ─► the next phase begins, with it
//
// Where leases go to whoever asks (ssp, asp, evaluation, scoring) one that comes need not wait for the next phase: the shards
// are told by a fence that names the phase. Each counts it as having closed what all others have closed there; then, once more,
// as having closed the highest of these clocks, so that all that it will push is new at every shard, and it holds nobody up.
//
// Until it takes part, the death of one that comes is no loss: the change is given up. From then on it is replaced like any other.
#include <algorithm>
#include <utility>

#include "scheduler/coordinator.h"

namespace cohort {
namespace {

bool Contains(const std::vector<std::uint32_t>& ascending, std::uint32_t worker) {
  return std::binary_search(ascending.begin(), ascending.end(), worker);
}

std::string List(const std::vector<std::uint32_t>& workers) {
  std::string text;
  for (const std::uint32_t worker : workers) text += (text.empty() ? "" : ", ") + std::to_string(worker);
  return text;
}

}  // namespace

bool Coordinator::Stays(std::uint32_t worker) const { return Contains(workers_, worker); }

bool Coordinator::TakesPart(NodeId node) const {
  return node.role == Role::kWorker && Contains(order_.workers, node.index);
}

bool Coordinator::HasWork(std::uint32_t worker) const {
  return (state_ == State::kOrderingShards || state_ == State::kRunning) && TakesPart(WorkerNode(worker)) &&
         !workers_done_.contains(worker);
}

bool Coordinator::Leased() const {
  return order_.kind != PhaseKind::kTrain || plan_.consistency != Consistency::kBsp;
}

// Everyone has registered. A run that goes on from a checkpoint needs those as well who came later, and had leases then, which
// only they can finish.
void Coordinator::NoteWorkers(TimePoint now) {
  for (; next_worker_ < plan_.workers; ++next_worker_) workers_.push_back(next_worker_);
  if (!plan_.resume || plan_.consistency == Consistency::kBsp) return;
  const std::string host = membership_.Find(WorkerNode(0))->registration.host;
  for (; next_worker_ < plan_.resume->closed.size(); ++next_worker_) {
    if (plan_.resume->closed[next_worker_] == kClockInfinity) continue;
    membership_.AddWorker(next_worker_, host);
    workers_.push_back(next_worker_);
    wanted_until_[next_worker_] = now + plan_.startup;
  }
}

Status Coordinator::MayAddWorker() const {
  if (next_worker_ >= kMaxWorkers) {
    return {ErrorCode::kInvalidInput,
            "the run has had " + std::to_string(next_worker_) + " workers, and no number is given twice"};
  }
  if (plan_.consistency == Consistency::kBsp && workers_.size() >= plan_.slices) {
    return {ErrorCode::kInvalidInput,
            "the run has " + std::to_string(workers_.size()) +
                " workers, and in bsp a batch is cut into train.slices = " + std::to_string(plan_.slices) +
                ": one more would have nothing to do"};
  }
  const bool at_once = state_ == State::kRunning && Leased() && !leases_.exhausted();
  const auto next = plan_.steps.begin() + static_cast<std::ptrdiff_t>(step_) + 1;
  const bool later =
      step_ < plan_.steps.size() &&
      std::any_of(next, plan_.steps.end(), [](const PlanStep& step) { return !step.snapshot; });
  if (at_once || later) return {};
  return {ErrorCode::kInvalidInput, "nothing is left for it to do: the run is in " + StepName() +
                                        (Leased() ? "" : ", whose workers stay as they are,") +
                                        " and no other phase comes after that"};
}

Status Coordinator::MayRemoveWorker(std::uint32_t worker) const {
  if (!Stays(worker)) {
    return {ErrorCode::kInvalidInput, "there is no worker " + std::to_string(worker) + "; there are " +
                                          List(workers_) + " (`cohort cluster status`)"};
  }
  if (workers_.size() == 1) {
    return {ErrorCode::kInvalidInput,
            "worker " + std::to_string(worker) +
                " is the last one; add another first (`cohort cluster add-worker`)"};
  }
  return {};
}

Status Coordinator::BeginWorkerChange(const ClusterChange& change, TimePoint now, Outbox& out) {
  const bool add = change.kind == ClusterChange::Kind::kAddWorker;
  COHORT_RETURN_IF_ERROR(add ? MayAddWorker() : MayRemoveWorker(change.index));
  change_ = Change{change, {}, now};
  if (add) {
    change_->what.index = next_worker_++;
    membership_.AddWorker(change_->what.index, change.host);
  } else {
    std::erase(workers_, change.index);
  }
  RecordChange(JournalEntry::Kind::kChange, kSchedulerNode, "", now);
  Event(std::string(KindName(change.kind)) + " " + std::to_string(change_->what.index) + " begins in " +
        StepName());
  GrantWaitingLeases(out);
  FollowChange(now, out);
  return {};
}

void Coordinator::FollowWorkerChange(TimePoint now, Outbox& out) {
  const NodeId node = WorkerNode(change_->what.index);
  const Member& member = *membership_.Find(node);
  const bool add = change_->what.kind == ClusterChange::Kind::kAddWorker;
  if (add ? TakesPart(node) && !fences_.contains(node.index) : member.left()) {
    RecordChange(JournalEntry::Kind::kChangeDone, kSchedulerNode, "", now);
    return EndChange({});
  }
  if (add) {
    if (!IsComing(node) || member.registered() || now < change_->since + plan_.startup) return;
    return GiveUpChange(ToString(node) + " did not come up on host " + member.registration.host +
                            " in time (cluster.startup_seconds)",
                        now);
  }
  if (member.registered() && !Leaves(node) && !HasWork(node.index)) TellToLeave(member, now, out);
}

std::string Coordinator::WorkerChangeWaitsFor() const {
  const NodeId node = WorkerNode(change_->what.index);
  const Member& member = *membership_.Find(node);
  const std::string who = ToString(node);
  if (change_->what.kind == ClusterChange::Kind::kRemoveWorker) {
    if (Leaves(node)) return who + " to stop";
    if (!HasWork(node.index))
      return who + (member.registered() ? " to be told to stop" : ", which died, to be replaced");
    return who + (member.registered() ? "" : ", which died, to be replaced, and") +
           (Leased() ? " to finish what it has of " : " to finish its share of ") + StepName();
  }
  if (!member.registered()) return who + " to start on host " + member.registration.host;
  if (!IsComing(node)) return "the shards to count " + who + " in";
  if (state_ == State::kSnapshot)
    return "the model to be written; " + who + " takes part in the phase after that";
  return StepName() + " to end; " + who + " takes part from the next phase on";
}

bool Coordinator::IsComing(NodeId node) const {
  return change_ && change_->what.kind == ClusterChange::Kind::kAddWorker &&
         node == WorkerNode(change_->what.index) && !Stays(node.index);
}

// A phase begins.
void Coordinator::TakeInWorker() {
  if (!change_ || !IsComing(WorkerNode(change_->what.index))) return;
  if (membership_.Find(WorkerNode(change_->what.index))->registered())
    workers_.push_back(change_->what.index);
}

bool Coordinator::JoinsAtOnce(NodeId node) const {
  return IsComing(node) && state_ == State::kRunning && Leased() && !leases_.exhausted();
}

void Coordinator::CountIn(std::uint32_t worker, TimePoint now, Outbox& out) {
  workers_.push_back(worker);
  order_.workers.push_back(worker);
  samples_before_phase_[worker] = 0;
  Fence& fence = fences_[worker] = Fence{};
  fence.joins = true;
  fence.in_training = order_.kind == PhaseKind::kTrain;
  Event(ToString(WorkerNode(worker)) + " comes in the middle of " + StepName());
  BeginFence(worker, now, out);
}

}  // namespace cohort
