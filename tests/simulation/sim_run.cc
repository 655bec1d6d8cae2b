#include "tests/simulation/sim_run.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/simulation/sim_checkpoints.h"
#include "tests/simulation/sim_cluster.h"
#include "tests/simulation/sim_oracle.h"
#include "tests/simulation/sim_store.h"
#include "tests/simulation/sim_supervisor.h"

namespace cohort {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

std::string JudgePolicy(const SimOracle& oracle, const SimCluster& cluster) {
  if (!oracle.exact()) return {};
  for (const auto& [event, wanted] :
       {std::pair(ShardEvent::kNotAdmitted, oracle.policy().not_admitted),
        std::pair(ShardEvent::kEvictedIdle, oracle.policy().evicted_idle),
        std::pair(ShardEvent::kEvictedMemory, oracle.policy().evicted_memory)}) {
    std::uint64_t have = 0;
    for (const auto& shard : cluster.shards()) have += shard->count(event);
    if (have != wanted)
      return std::string(ShardEventName(event)) + " is " + std::to_string(have) + ", expected " +
             std::to_string(wanted);
  }
  return {};
}

}  // namespace

SimOutcome Simulate(std::uint64_t seed, Scenario scenario, const SimOptions& how) {
  if (scenario == Scenario::kRestarts) return SimulateRestarts(seed, how);
  const Shape shape = DrawShape(seed, scenario, how.limits);
  const SimPlan& plan = shape.plan;
  SimOutcome outcome;
  outcome.shape = shape.Describe();
  SimNetwork network(seed, shape.faults, how.script);
  RandomStream random(seed, 0x72756e);
  SimCluster::Options options;
  options.run = PlanOf(shape, 1 + random.Below(1000));
  options.incarnation = 1 + static_cast<std::uint32_t>(random.Below(3));
  options.dead_after = seconds(10);
  options.bug = how.bug;

  Markers markers(plan);
  const SimOracle oracle(plan, shape.epochs);
  RandomStream checkpoint_random(seed, 0x636865636b);
  const Duration slowest_block =
      Pick<Duration>(checkpoint_random, {microseconds(1), milliseconds(3), milliseconds(50)});
  MemoryStore store(
      {[&] { return Duration(checkpoint_random.Below(static_cast<std::uint64_t>(slowest_block.count()))); },
       [&] { return checkpoint_random.Below(1000) == 0; }});
  options.checkpoint_every =
      plan.consistency == Consistency::kBsp ? 1 + checkpoint_random.Below(4) : 0;  // clocks
  PushJournal journal;
  options.journal = &journal;
  const std::uint64_t run_id = options.run.run_id;
  const std::uint32_t incarnation = options.incarnation;
  SimCluster cluster(
      seed, shape, std::move(options), &network, &store, &markers,
      [&] { return std::make_unique<CheckingSink>(plan, oracle); }, nullptr);
  const auto start_at = [&] {
    return TimePoint(Duration(random.Below(static_cast<std::uint64_t>(shape.max_start.count()) + 1)));
  };
  cluster.AddScheduler(start_at());
  for (std::uint32_t index = 0; index < shape.shards; ++index) {
    // Runs with deaths are long.
    const std::uint64_t turn_bytes = (shape.deaths > 0 ? 200 : 1) + checkpoint_random.Below(600);
    const std::uint64_t block_bytes = 1 + checkpoint_random.Below(600);
    const TimePoint start = start_at();
    cluster.AddShard(turn_bytes, block_bytes, start);
    // What an earlier life of a worker had on its way arrives before the shard has joined.
    if (shape.faults.ghost > 0) {
      network.Inject(Stamp{WorkerNode(0), run_id, 0, 0, 7, 1}, ShardNode(index),
                     CloseRequest{1ull << 62, 1, 5}, start + microseconds(1));
    }
  }
  SimSupervisor supervisor(seed, shape, &network, &cluster, how.script);
  supervisor.StartBackups(incarnation);
  for (std::uint32_t index = 0; index < plan.workers; ++index) {
    // Some are slower than others.
    const Duration compute = shape.max_compute * (random.Below(4) == 0 ? 5 : 1);
    supervisor.StartWorker(incarnation, compute, start_at());
  }

  const bool ended = network.Run(
      [&] {
        cluster.Follow();
        supervisor.Follow();
        return cluster.scheduler().finished() || cluster.Broken() || !supervisor.violation().empty();
      },
      shape.Deadline());
  outcome.virtual_time = network.now().time_since_epoch();
  if (shape.faults.end != kNever) outcome.after_faults = network.now() - shape.faults.end;
  outcome.fingerprint = network.fingerprint();
  outcome.counts = network.counts();
  cluster.AddCounts(&outcome.counts);
  for (const auto& [name, count] : supervisor.counts()) outcome.counts[name] += count;

  outcome.violation = supervisor.violation();
  if (outcome.violation.empty()) outcome.violation = cluster.Violation(ended);
  const Coordinator& scheduler = cluster.scheduler();
  if (shape.backups && ended && scheduler.decided() && scheduler.recoverable() &&
      outcome.violation == "the run failed: " + scheduler.verdict().text()) {
    // A shard was taken for dead when its backup was not ready, or was taken for dead as well.
    ++outcome.counts["both copies lost: to be begun again from a checkpoint"];
    outcome.violation.clear();
    return outcome;
  }
  PlainTables found;
  const auto judge = [&](const auto& what) {
    if (outcome.violation.empty()) outcome.violation = what();
  };
  judge([&] { return cluster.CollectRows(&found); });
  judge([&] { return oracle.JudgeModel(found, markers); });
  for (std::uint32_t epoch = 0; epoch < shape.epochs; ++epoch) {
    PlainTables snapshot;
    for (const auto& [shard, part] : store.snapshots[std::to_string(epoch)])
      judge([&] { return Merge(part, shard, shape.shards, &snapshot); });
    judge([&] { return oracle.JudgeSnapshot(epoch, std::move(snapshot), markers); });
  }
  judge([&] {
    return JudgeCheckpoints(plan, store.checkpoints, markers, oracle.after_clocks(), journal, shape.shards);
  });
  judge([&] { return JudgePolicy(oracle, cluster); });
  return outcome;
}

}  // namespace cohort
