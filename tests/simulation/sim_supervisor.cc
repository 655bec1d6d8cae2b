#include "tests/simulation/sim_supervisor.h"

namespace cohort {

using std::chrono::seconds;

SimSupervisor::SimSupervisor(std::uint64_t seed, const Shape& shape, SimNetwork* network, SimCluster* cluster)
    : seed_(seed),
      shape_(shape),
      network_(network),
      cluster_(cluster),
      fate_(seed, 0x66617465),
      deaths_left_(shape.deaths),
      next_death_(shape.max_start +
                  Duration(fate_.Below(static_cast<std::uint64_t>(shape.between_deaths.count())))) {}

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
  if (shape_.deaths == 0 || scheduler.decided() || scheduler.kernels().empty()) return;
  KillSomebody();
  TellOfDeaths();
  StartReplacements();
  StartMissingBackups();
}

// One of two copies must stay.
bool SimSupervisor::MayDie(NodeId victim) const {
  if (!network_->Runs(victim)) return false;
  if (victim.role == Role::kWorker) return !cluster_->workers()[victim.index]->stopped();
  const auto backup = cluster_->backups().find(victim.index);
  const Shard& shard = *cluster_->shards()[victim.index];
  if (shard.stopped() || backup == cluster_->backups().end() || backup->second == nullptr) return false;
  return network_->Runs(ShardNode(victim.index)) && network_->Runs(BackupNode(victim.index)) &&
         backup->second->failure().ok() &&
         (victim.role == Role::kBackup || cluster_->scheduler().BackupIsReady(victim.index));
}

void SimSupervisor::KillSomebody() {
  const TimePoint now = network_->now();
  if (deaths_left_ == 0 || now < next_death_ || now >= shape_.faults.end) return;
  next_death_ = now + Duration(fate_.Below(static_cast<std::uint64_t>(2 * shape_.between_deaths.count())));
  NodeId victim = WorkerNode(0);
  if (shape_.backups && fate_.Below(3) > 0)
    victim = {fate_.Below(3) > 0 ? Role::kShard : Role::kBackup,
              static_cast<std::uint32_t>(fate_.Below(shape_.shards))};
  if (victim.role == Role::kWorker)
    victim.index = static_cast<std::uint32_t>(fate_.Below(shape_.plan.workers));
  if (!MayDie(victim)) return;
  --deaths_left_;
  network_->Kill(victim);
  // A shard that is to write a file may be silent for longer than others have patience for a fence: such a death is seen in the
  // end.
  if (fate_.Below(2) == 0) {
    notices_[now + Duration(fate_.Below(300'000'000))] = victim;
  } else if (victim.role == Role::kShard) {
    notices_[now + seconds(8)] = victim;
  }
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

void SimSupervisor::StartBackups(std::uint32_t incarnation) {
  for (std::uint32_t index = 0; shape_.backups && index < shape_.shards; ++index) {
    backups_.push_back(incarnation);
    const Duration start(fate_.Below(static_cast<std::uint64_t>(shape_.max_start.count()) + 1));
    cluster_->AddBackup(index, incarnation, 1000 + index, TimePoint(start));
  }
}

void SimSupervisor::StartMissingBackups() {
  const TimePoint now = network_->now();
  for (std::uint32_t index = 0; index < backups_.size(); ++index) {
    const NodeId node = BackupNode(index);
    const Member& member = *cluster_->scheduler().membership().Find(node);
    const bool gone = !network_->Runs(node);
    if (member.registered() || (backups_[index] == member.incarnation && !gone)) continue;
    if (starting_nodes_.contains(node) && starting_nodes_[node] > now) continue;
    backups_[index] = member.incarnation;
    const TimePoint start =
        now + Duration(1 + fate_.Below(static_cast<std::uint64_t>(shape_.max_start.count())));
    starting_nodes_[node] = start;
    cluster_->AddBackup(index, member.incarnation, 2000 + ++births_, start);
  }
}

void SimSupervisor::StartReplacements() {
  const TimePoint now = network_->now();
  for (std::uint32_t index = 0; index < shape_.plan.workers; ++index) {
    const Member& member = *cluster_->scheduler().membership().Find(WorkerNode(index));
    const SimWorker& worker = *cluster_->workers()[index];
    const bool gone = !network_->Runs(WorkerNode(index));
    // Two lives of one incarnation: the first has died with its registration on the way, the second is refused and ends.
    if (!gone && !worker.failure().ok() && member.registration.pid != worker.pid()) {
      network_->Kill(WorkerNode(index));
      continue;
    }
    // One that has died before it registered is started again as it was.
    if (member.registered() || (incarnations_[index] == member.incarnation && !gone)) continue;
    if (starting_.contains(index) && starting_[index] > now) continue;
    incarnations_[index] = member.incarnation;
    const TimePoint start =
        now + Duration(1 + fate_.Below(static_cast<std::uint64_t>(shape_.max_start.count())));
    starting_[index] = start;
    cluster_->AddWorker(index, NewLife(member.incarnation), computes_[index], start);
  }
}

}  // namespace cohort
