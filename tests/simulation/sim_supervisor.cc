#include "tests/simulation/sim_supervisor.h"

#include <algorithm>

namespace cohort {

using std::chrono::seconds;

SimSupervisor::SimSupervisor(std::uint64_t seed, const Shape& shape, SimNetwork* network, SimCluster* cluster,
                             const FaultScript& script)
    : seed_(seed),
      shape_(shape),
      network_(network),
      cluster_(cluster),
      script_(script),
      fate_(seed, 0x66617465),
      deaths_left_(shape.deaths),
      next_death_(shape.max_start +
                  Duration(fate_.Below(static_cast<std::uint64_t>(shape.between_deaths.count())))),
      changes_(seed, 0x6368616e6765),
      changes_left_(shape.changes),
      next_change_(shape.max_start) {
  if (script_.replay == nullptr) return;
  deaths_left_ = 0;
  for (auto fault = script_.replay->faults.rbegin(); fault != script_.replay->faults.rend(); ++fault) {
    if (fault->kind == FaultKind::kKilled) kills_.push_back(*fault);
  }
}

SimCluster::Life SimSupervisor::NewLife(std::uint32_t incarnation) {
  ++births_;
  return {incarnation, RandomBits(seed_, births_), births_ > shape_.plan.workers, births_};
}

void SimSupervisor::StartWorker(std::uint32_t incarnation, Duration compute, TimePoint start) {
  const auto index = static_cast<std::uint32_t>(computes_.size());
  incarnations_.push_back(incarnation);
  computes_.push_back(compute);
  cluster_->AddWorker(index, NewLife(incarnation), compute, start);
}

void SimSupervisor::Follow() {
  const Coordinator& scheduler = cluster_->scheduler();
  if ((shape_.deaths == 0 && shape_.changes == 0) || scheduler.decided() || scheduler.kernels().empty())
    return;
  Change();
  EndRefused();
  KillSomebody();
  if (!network_->Runs(kSchedulerNode)) return;
  TellOfDeaths();
  EndLeavers();
  StartReplacements();
  StartMissingBackups();
}

// One of two copies must stay.
bool SimSupervisor::MayDie(NodeId victim) const {
  if (!network_->Runs(victim)) return false;
  if (victim == kSchedulerNode) return shape_.scheduler_dies;
  if (victim.role == Role::kWorker) return !cluster_->workers()[victim.index]->stopped();
  const auto backup = cluster_->backups().find(victim.index);
  const Shard& shard = *cluster_->shards()[victim.index];
  // One that leaves is as good as dead.
  if (shard.stopped() || cluster_->scheduler().Leaves(ShardNode(victim.index)) ||
      cluster_->scheduler().Leaves(BackupNode(victim.index)) || backup == cluster_->backups().end() ||
      backup->second == nullptr)
    return false;
  return network_->Runs(ShardNode(victim.index)) && network_->Runs(BackupNode(victim.index)) &&
         backup->second->failure().ok() &&
         (victim.role == Role::kBackup || cluster_->scheduler().BackupIsReady(victim.index));
}

void SimSupervisor::KillSomebody() {
  const TimePoint now = network_->now();
  for (; !kills_.empty() && now >= kills_.back().at; kills_.pop_back()) {
    const Fault& kill = kills_.back();
    if (kill.to.index < (kill.to.role == Role::kWorker ? incarnations_.size() : shape_.shards) &&
        MayDie(kill.to))
      Kill(kill.to, kill.duration);
  }
  if (deaths_left_ == 0 || now < next_death_ || now >= shape_.faults.end) return;
  next_death_ = now + Duration(fate_.Below(static_cast<std::uint64_t>(2 * shape_.between_deaths.count())));
  NodeId victim = WorkerNode(0);
  if (shape_.backups && fate_.Below(3) > 0)
    victim = {fate_.Below(3) > 0 ? Role::kShard : Role::kBackup,
              static_cast<std::uint32_t>(fate_.Below(shape_.shards))};
  if (victim.role == Role::kWorker)
    victim.index = static_cast<std::uint32_t>(fate_.Below(incarnations_.size()));
  if (shape_.scheduler_dies && fate_.Below(2) == 0) victim = kSchedulerNode;
  if (!MayDie(victim)) return;
  --deaths_left_;
  if (victim == kSchedulerNode) return Kill(victim, Duration(fate_.Below(3) == 0 ? -1 : 0));
  // A shard that is to write a file may be silent for longer than others have patience for a fence: such a death is seen in the
  // end.
  Kill(victim, fate_.Below(2) == 0           ? Duration(fate_.Below(300'000'000))
               : victim.role == Role::kShard ? Duration(seconds(8))
                                             : Duration(-1));
}

void SimSupervisor::Kill(NodeId victim, Duration told_after) {
  const bool unheard = victim == kSchedulerNode && told_after < Duration();
  if (!unheard) network_->Kill(victim);
  script_.Record({FaultKind::kKilled, 0, {}, victim, 0, network_->now(), told_after});
  if (victim == kSchedulerNode) {
    const TimePoint start = network_->now() + StartDelay();
    ++births_;  // names the delay
    return cluster_->ReplaceScheduler(start);
  }
  if (told_after >= Duration()) notices_[network_->now() + told_after] = victim;
}

void SimSupervisor::TellOfDeaths() {
  while (!notices_.empty() && notices_.begin()->first <= network_->now()) {
    const NodeId victim = notices_.begin()->second;
    notices_.erase(notices_.begin());
    // The scheduler looks at the process that it knows.
    if (network_->Runs(victim)) continue;
    network_->Poke(kSchedulerNode,
                   [&](TimePoint at, Outbox& out) { cluster_->scheduler().OnProcessDeath(victim, at, out); });
  }
}

// Now and then while one is under way, too, which must be refused.
void SimSupervisor::Change() {
  const Coordinator& scheduler = cluster_->scheduler();
  const bool under_way = scheduler.ChangeWaitsFor().has_value();
  if (change_ && !under_way) {
    ++counts_[std::string("change: ") + KindName(change_->kind) +
              (scheduler.change_verdict().ok() ? " done" : " given up")];
    if (scheduler.change_verdict().ok()) JudgeChange(*change_);
    change_.reset();
  }
  if (changes_left_ == 0 || network_->now() < next_change_ || !network_->Runs(kSchedulerNode)) return;
  next_change_ = network_->now() +
                 Duration(changes_.Below(static_cast<std::uint64_t>(2 * shape_.between_changes.count())));
  if (under_way && changes_.Below(10) > 0) return;
  --changes_left_;
  ClusterChange change;
  const bool worker = changes_.Uniform() < shape_.worker_changes, comes = changes_.Below(2) == 0;
  using Kind = ClusterChange::Kind;
  change.kind = worker ? (comes ? Kind::kAddWorker : Kind::kRemoveWorker)
                       : (comes ? Kind::kAddServer : Kind::kDrainServer);
  change.index = static_cast<std::uint32_t>(
      changes_.Below(worker ? incarnations_.size() + 1 : shape_.shards / shape_.shards_per_server + 2));
  change.host = "sim";
  network_->Poke(kSchedulerNode, [&](TimePoint at, Outbox& out) {
    const Status begun = cluster_->scheduler().BeginChange(change, at, out);
    ++counts_[std::string("change: ") + KindName(change.kind) + (begun.ok() ? " begun" : " refused")];
    if (under_way && begun.ok()) violation_ = "a change has begun while another one was under way";
    if (begun.ok()) change_ = change;
  });
}

// Done means done.
void SimSupervisor::JudgeChange(const ClusterChange& change) {
  if (change.OfWorkers()) {
    const Member* worker = cluster_->scheduler().membership().Find(WorkerNode(change.index));
    if (change.kind == ClusterChange::Kind::kRemoveWorker && !worker->left())
      violation_ = ToString(worker->node) + " is still there after a change that is done";
    return;
  }
  for (const Member& member : cluster_->scheduler().membership().all()) {
    if (member.node.role == Role::kWorker) continue;
    if (!member.registered()) violation_ = ToString(member.node) + " is missing after a change that is done";
    if (change.kind == ClusterChange::Kind::kDrainServer && member.registration.server == change.index)
      violation_ =
          ToString(member.node) + " is on server " + std::to_string(change.index) + ", which is drained";
  }
  for (std::uint32_t shard = 0; shard < shape_.shards && shape_.shards > shape_.shards_per_server; ++shard) {
    const Membership& members = cluster_->scheduler().membership();
    if (members.Find(ShardNode(shard))->registration.server ==
        members.Find(BackupNode(shard))->registration.server)
      violation_ = "both copies of shard " + std::to_string(shard) + " are in one server";
  }
}

void SimSupervisor::StartBackups(std::uint32_t incarnation) {
  for (std::uint32_t index = 0; shape_.backups && index < shape_.shards; ++index) {
    backups_.push_back(incarnation);
    const Duration start(RandomBits(seed_, 0x626b73, index) %
                         (static_cast<std::uint64_t>(shape_.max_start.count()) + 1));
    const std::uint32_t servers = (shape_.shards - 1) / shape_.shards_per_server + 1;
    const std::uint32_t server = (index / shape_.shards_per_server + 1) % servers;
    cluster_->AddBackup(index, server, incarnation, 1000 + index, TimePoint(start));
  }
}

void SimSupervisor::StartMissingBackups() {
  const TimePoint now = network_->now();
  for (std::uint32_t index = 0; index < backups_.size(); ++index) {
    const NodeId node = BackupNode(index);
    const Member& member = *cluster_->scheduler().membership().Find(node);
    const bool gone = !network_->Runs(node);
    if (member.registered() || (backups_[index] == member.incarnation && !gone)) continue;
    if (starting_nodes_.contains(node) && starting_nodes_[node] >= now) continue;
    backups_[index] = member.incarnation;
    const TimePoint start = now + StartDelay();
    starting_nodes_[node] = start;
    cluster_->AddBackup(index, member.registration.server, member.incarnation, 2000 + ++births_, start);
  }
}

Duration SimSupervisor::StartDelay() {
  const std::pair<std::uint32_t, std::uint64_t> name(0, births_);
  if (script_.replay != nullptr) {
    const auto found = script_.replay->starts.find(name);
    return found == script_.replay->starts.end() ? Duration(1) : found->second;
  }
  const Duration delay(1 + fate_.Below(static_cast<std::uint64_t>(shape_.max_start.count())));
  if (script_.record != nullptr) script_.record->starts[name] = delay;
  return delay;
}

// A process that has been told to stop ends, which the scheduler may see; and so does one that nobody wants any more.
void SimSupervisor::EndLeavers() {
  for (std::uint32_t index = 0; index < incarnations_.size(); ++index) {
    const NodeId node = WorkerNode(index);
    if (!network_->Runs(node)) continue;
    const Member* member = cluster_->scheduler().membership().Find(node);
    if (member != nullptr && member->left()) {
      network_->End(node);
    } else if (cluster_->workers()[index]->stopped()) {
      network_->End(node);
      if (RandomBits(seed_, 0x656e64, index) % 2 == 0) notices_[network_->now()] = node;
    }
  }
}

// Two lives of one incarnation: the first has died with its registration on the way, the second is refused and ends, whether
// or not there is a scheduler by then.
void SimSupervisor::EndRefused() {
  for (std::uint32_t index = 0; index < incarnations_.size(); ++index) {
    const std::string refusal = cluster_->workers()[index]->failure().text();
    if (network_->Runs(WorkerNode(index)) && refusal.find("has registered already") != std::string::npos)
      network_->Kill(WorkerNode(index));
  }
}

void SimSupervisor::StartReplacements() {
  const TimePoint now = network_->now();
  for (std::uint32_t index = 0;; ++index) {
    const Member* found = cluster_->scheduler().membership().Find(WorkerNode(index));
    if (found == nullptr) return;
    const Member& member = *found;
    if (index == incarnations_.size()) {  // one that was added
      incarnations_.push_back(member.incarnation);
      computes_.push_back(shape_.max_compute);
      const TimePoint start = now + StartDelay();
      starting_[index] = start;
      cluster_->AddWorker(index, NewLife(member.incarnation), computes_[index], start);
      continue;
    }
    if (member.left()) continue;
    const bool gone = !network_->Runs(WorkerNode(index));
    // One that has died before it registered is started again as it was.
    if (member.registered() || (incarnations_[index] == member.incarnation && !gone)) continue;
    if (starting_.contains(index) && starting_[index] >= now) continue;
    incarnations_[index] = member.incarnation;
    const TimePoint start = now + StartDelay();
    starting_[index] = start;
    cluster_->AddWorker(index, NewLife(member.incarnation), computes_[index], start);
  }
}

}  // namespace cohort
