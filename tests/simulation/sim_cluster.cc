#include "tests/simulation/sim_cluster.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/sim_cold_rows.h"
#include "tests/simulation/sim_oracle.h"

namespace cohort {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

SchedulerClient::Options FollowerOptions(const RunPlan& run, std::uint32_t incarnation, Duration dead_after,
                                         std::uint32_t term) {
  SchedulerClient::Options options;
  options.heartbeat = milliseconds(200);
  options.retry = milliseconds(60);
  options.dead_after = dead_after;
  options.startup = seconds(20);
  options.run_id = run.run_id;
  options.incarnation = incarnation;
  options.term = term;
  return options;
}

}  // namespace

SimCluster::SimCluster(std::uint64_t seed, const Shape& shape, Options options, SimNetwork* network,
                       SnapshotStore* store, Markers* markers,
                       std::function<std::unique_ptr<ScoreSink>()> sinks, RunObserver* observer)
    : seed_(seed),
      shape_(shape),
      options_(std::move(options)),
      network_(network),
      store_(store),
      markers_(markers),
      observer_(observer),
      sinks_(std::move(sinks)) {
  MakeScheduler();
}

void SimCluster::MakeScheduler() {
  Scheduler made;
  made.sink = sinks_ ? sinks_() : nullptr;
  RunPlan plan = options_.run;
  plan.term += static_cast<std::uint32_t>(schedulers_.size());
  made.coordinator = std::make_unique<Coordinator>(std::move(plan), made.sink.get(), observer_);
  made.unfenced = WithoutFence(options_.bug, made.coordinator.get());
  schedulers_.push_back(std::move(made));
}

void SimCluster::AddScheduler(TimePoint start) {
  Coordinator* coordinator = schedulers_.back().coordinator.get();
  coordinator->KeepJournal(&scheduler_journal_);
  network_->SetNode(kSchedulerNode, schedulers_.back().node(), start,
                    [coordinator](TimePoint now, Outbox&) { coordinator->Start(now); });
}

void SimCluster::ReplaceScheduler(TimePoint start) {
  scheduler().KeepJournal(nullptr);
  MakeScheduler();
  Coordinator* coordinator = schedulers_.back().coordinator.get();
  coordinator->Start(TimePoint{});
  auto& entries = scheduler_journal_.entries;
  if (options_.bug == PlantedBug::kAnswerBeforeJournal && !entries.empty()) entries.pop_back();
  for (const JournalEntry& entry : entries) coordinator->Replay(entry);
  coordinator->KeepJournal(&scheduler_journal_);
  network_->SetNode(kSchedulerNode, schedulers_.back().node(), start,
                    [coordinator](TimePoint now, Outbox&) { coordinator->TakeOver(now); });
}

void SimCluster::AddShard(std::size_t turn_bytes, std::size_t block_bytes, TimePoint start) {
  const auto index = static_cast<std::uint32_t>(shards_.size());
  const NodeId self = ShardNode(index);
  const std::uint32_t server = index / shape_.shards_per_server;
  ShardOptions options{Register{0, server, "sim:" + std::to_string(index), "sim", index, "avx2"},
                       FollowerOptions(options_.run, options_.incarnation, options_.dead_after, Term())};
  options.kept_pull_bytes = shape_.kept_pull_bytes;
  options.checkpoint_turn_bytes = turn_bytes;
  options.checkpoint_block_bytes = block_bytes;
  if (shape_.tier_bytes) {
    options.tier_bytes = *shape_.tier_bytes;
    options.cold_rows = [this, index](std::uint32_t words) -> Result<std::unique_ptr<ColdRows>> {
      return std::make_unique<SimColdRows>(RandomBits(seed_, index), shape_.slowest_read, words);
    };
  }
  shards_.push_back(NewShard(options_.bug, self, std::move(options), *store_));
  Shard* shard = shards_.back().get();
  Node* node = shard;
  if (options_.checkpoint_every) {
    checkpointing_.push_back(
        std::make_unique<CheckpointingShard>(shard, *options_.checkpoint_every, RandomBits(seed_, index)));
    node = checkpointing_.back().get();
  }
  network_->SetNode(self, node, start, [shard](TimePoint now, Outbox& out) { shard->Start(now, out); });
}

void SimCluster::AddBackup(std::uint32_t index, std::uint32_t server, std::uint32_t incarnation,
                           std::uint64_t pid, TimePoint start) {
  const NodeId self = BackupNode(index);
  ShardOptions options{Register{0, server, "sim:b" + std::to_string(pid), "sim", pid, "avx2"},
                       FollowerOptions(options_.run, incarnation, options_.dead_after, Term())};
  options.kept_pull_bytes = shape_.kept_pull_bytes;
  options.checkpoint_turn_bytes = 500;
  options.checkpoint_block_bytes = 300;
  auto& backup = backups_[index];
  if (backup != nullptr) dead_shards_.push_back(std::move(backup));
  backup = NewShard(options_.bug, self, std::move(options), *store_);
  Shard* shard = backup.get();
  network_->SetNode(self, shard, start, [shard](TimePoint now, Outbox& out) { shard->Start(now, out); });
}

void SimCluster::Follow() {
  for (auto& [index, backup] : backups_) {
    if (backup == nullptr || backup->following()) continue;
    dead_shards_.push_back(std::exchange(shards_[index], std::move(backup)));
  }
}

void SimCluster::AddWorker(std::uint32_t index, const Life& life, Duration compute, TimePoint start) {
  ParameterClient::Options parameters;
  parameters.retry = milliseconds(60);
  parameters.request_deadline = seconds(20);
  parameters.wait_deadline = seconds(60);
  parameters.credit_bytes = shape_.credit_bytes;
  parameters.request_rows = shape_.request_rows;
  parameters.cache_rows = shape_.cache_rows;
  parameters.cache_max_age = shape_.cache_max_age;
  parameters.incarnation = life.incarnation;
  auto made = std::make_unique<SimWorker>(
      index, shape_.plan, markers_,
      FollowerOptions(options_.run, life.incarnation, options_.dead_after, Term()), parameters,
      ClientFaults(options_.bug), compute, life.seed, life.replaces, life.pid);
  SimWorker* worker = made.get();
  worker->KeepJournal(options_.journal);
  if (index == workers_.size()) {
    workers_.push_back(std::move(made));
  } else {
    dead_.push_back(std::exchange(workers_[index], std::move(made)));
  }
  network_->SetNode(WorkerNode(index), worker, start,
                    [worker](TimePoint now, Outbox& out) { worker->Start(now, out); });
}

bool SimCluster::Broken() const {
  return std::any_of(workers_.begin(), workers_.end(), [&](const auto& worker) {
    return !worker->violation().empty() ||
           (network_->Runs(worker->stamp().sender) && !worker->failure().ok());
  });
}

std::string SimCluster::Violation(bool ended) const {
  if (!network_->violation().empty()) return network_->violation();
  for (const auto* lives : {&dead_, &workers_}) {
    for (const auto& worker : *lives) {
      if (!worker->violation().empty()) return worker->violation();
    }
  }
  if (!scheduler().verdict().ok()) return "the run failed: " + scheduler().verdict().text();
  for (const auto& worker : workers_) {
    if (network_->Runs(worker->stamp().sender) && !worker->failure().ok())
      return "a worker failed: " + worker->failure().text() +
             (scheduler().verdict().ok() ? "" : "; the run: " + scheduler().verdict().text());
  }
  if (ended) return {};
  std::string waiting = scheduler().WaitingFor();
  for (const auto& worker : workers_) waiting += "; " + worker->Waiting(network_->now());
  return "not ended after " + std::to_string(network_->now().time_since_epoch().count() / 1000000) +
         " ms of virtual time: " + waiting;
}

std::string SimCluster::CollectRows(PlainTables* rows) const {
  for (std::uint32_t index = 0; index < shape_.shards; ++index) {
    for (TableId table : {kDenseTable, kEmbeddingTable}) {
      auto wrong = Merge(RowsOf(*shards_[index]->table(table)), index, shape_.shards, rows);
      if (!wrong.empty()) return wrong;
    }
  }
  return {};
}

void SimCluster::AddCounts(Counts* all) const {
  Counts& counts = *all;
  std::vector<const Shard*> all_shards;
  for (const auto& shard : shards_) all_shards.push_back(shard.get());
  for (const auto& shard : dead_shards_) all_shards.push_back(shard.get());
  for (const auto& [index, backup] : backups_) {
    if (backup != nullptr) all_shards.push_back(backup.get());
  }
  for (const Shard* shard : all_shards) {
    for (std::size_t event = 0; event < static_cast<std::size_t>(ShardEvent::kCount); ++event) {
      counts[std::string("shard: ") + ShardEventName(static_cast<ShardEvent>(event))] +=
          shard->count(static_cast<ShardEvent>(event));
    }
    const Counters of_shard = shard->counters();
    counts["shard: pull forgotten for want of room"] += of_shard.pulls_forgotten;
    counts["shard: row on disk at the end"] += of_shard.cold_rows;
    counts["shard: row read from disk"] += of_shard.rows_read;
  }
  for (const auto& worker : workers_) {
    const ParameterClientCounters& c = worker->parameters().counters();
    counts["worker: request sent again"] += c.retries;
    counts["worker: parked notice"] += c.parked;
    counts["worker: row served by the cache"] += c.cached_rows;
    counts["worker: push by rows sent again with keys"] += c.unknown_pulls;
    counts["worker: refused for now, asked again"] += c.refused;
    counts["worker: late or repeated reply ignored"] += c.stale_replies;
    counts["worker: waited for credit"] += c.credit_waits;
    counts["worker: close held for acknowledgements"] += c.held_closes;
    counts["worker: absent row pulled"] += c.absent_rows;
    counts["worker: push part acknowledged as duplicate"] += c.parts_duplicated;
    counts["worker: clock without data"] += worker->clocks_without_data();
  }
  counts["scheduler: shard taken over by its backup"] += scheduler().failovers();
  counts["scheduler: shard moved on purpose"] += scheduler().moved();
  counts["scheduler: backup built"] += scheduler().backups_built();
  counts["scheduler: another one from the journal"] += schedulers_.size() - 1;
  counts["scheduler: worker replaced"] += scheduler().replaced();
  counts["scheduler: message ignored"] += scheduler().ignored_messages();
  counts["scheduler: lease granted"] += scheduler().leases().journal().records.size();
}

}  // namespace cohort
