#include <map>
#include <string>
#include <vector>

#include "scheduler/run_observer.h"
#include "tests/simulation/sim_checkpoints.h"
#include "tests/simulation/sim_cluster.h"
#include "tests/simulation/sim_oracle.h"
#include "tests/simulation/sim_run.h"
#include "tests/simulation/sim_store.h"

namespace cohort {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Notes which checkpoints are whole.
class WholeCheckpoints : public RunObserver {
 public:
  explicit WholeCheckpoints(MemoryCheckpoints* disk) : disk_(disk) {}
  void OnSample(const MetricsSample&) override {}
  void OnPhaseEnd(const PhaseSummary&) override {}
  void OnEvent(const std::string&) override {}
  void OnWarning(const std::string&) override {}
  void OnCheckpoint(const RunPosition& position, const std::vector<CheckpointDone>& parts,
                    const std::string&) override {
    // Those of the same number that a former life with more shards has left are not of it.
    auto& all = disk_->parts[CheckpointFolder(CheckpointingShard::kPath, position.number)];
    all.erase(all.lower_bound(static_cast<std::uint32_t>(parts.size())), all.end());
    std::erase_if(positions, [&](const RunPosition& other) { return other.number >= position.number; });
    positions.push_back(position);
  }
  std::vector<RunPosition> positions;  // ascending by number

 private:
  MemoryCheckpoints* const disk_;
};

}  // namespace

SimOutcome SimulateRestarts(std::uint64_t seed, bool trace) {
  Shape shape = DrawShape(seed, Scenario::kPlain);
  RandomStream random(seed, 0x72657374617274);
  SimPlan& plan = shape.plan;
  const bool bsp = plan.consistency == Consistency::kBsp;
  shape.max_compute = Pick<Duration>(random, {milliseconds(2), milliseconds(30), milliseconds(100)});
  if (!bsp) plan.train_rows = 2000 + random.Below(6000);
  plan.test_rows = 1 + random.Below(100);
  SimOutcome outcome;
  outcome.shape = shape.Describe();
  const SimOracle oracle(plan, shape.epochs);
  MemoryStore store(
      {[&] { return Duration(random.Below(3'000'000)); }, [&] { return random.Below(1000) == 0; }});
  WholeCheckpoints whole(&store.checkpoints);
  const std::uint64_t every = 1 + random.Below(4);
  const std::uint64_t deaths = random.Below(5);

  for (std::uint64_t life = 0; outcome.violation.empty(); ++life) {
    const bool last = life == deaths;
    shape.shards = 1 + static_cast<std::uint32_t>(random.Below(4));
    if (bsp) plan.workers = 1 + static_cast<std::uint32_t>(random.Below(5));
    RunPlan run = PlanOf(shape, 100 + life);
    run.checkpoint_path = CheckpointingShard::kPath;
    run.checkpoint_every = every;
    // The newest may be damaged.
    if (!whole.positions.empty() && random.Below(5) == 0) whole.positions.pop_back();
    if (!whole.positions.empty()) {
      run.resume = whole.positions.back();
      run.model_path = CheckpointFolder(CheckpointingShard::kPath, run.resume->number);
      ++outcome.counts[bsp ? "restart from a checkpoint, bsp" : "restart from a checkpoint, ssp or asp"];
    } else if (life > 0) {
      ++outcome.counts["restart from the start"];
    }
    SimNetwork network(RandomBits(seed, life), shape.faults, trace);
    Markers markers(plan, /*none=*/true);
    SimCluster::Options options;
    options.run = run;
    SimCluster cluster(seed, shape, std::move(options), &network, &store, &markers, nullptr, &whole);
    cluster.AddScheduler(TimePoint{});
    for (std::uint32_t index = 0; index < shape.shards; ++index) {
      const std::uint64_t turn_bytes = 200 + random.Below(600);
      const std::uint64_t block_bytes = 1 + random.Below(600);
      cluster.AddShard(turn_bytes, block_bytes, TimePoint(Duration(random.Below(1'000'000))));
    }
    for (std::uint32_t index = 0; index < plan.workers; ++index) {
      cluster.AddWorker(index, {2, RandomBits(seed, life, index), false, index}, shape.max_compute,
                        TimePoint(Duration(random.Below(1'000'000))));
    }
    const TimePoint death = last ? kNever : TimePoint(Duration(random.Below(4'000'000'000)));
    const bool ended = network.Run(
        [&] { return cluster.scheduler().finished() || network.now() >= death || cluster.Broken(); },
        TimePoint(seconds(300)));
    outcome.virtual_time += network.now().time_since_epoch();
    outcome.fingerprint = RandomBits(outcome.fingerprint, network.fingerprint());
    for (const auto& [name, count] : network.counts()) outcome.counts[name] += count;
    outcome.violation = cluster.Violation(ended);
    if (!outcome.violation.empty()) break;
    if (!cluster.scheduler().finished()) {
      ++outcome.counts["death of all"];
      continue;
    }
    PlainTables found;
    outcome.violation = cluster.CollectRows(&found);
    if (outcome.violation.empty()) outcome.violation = oracle.JudgeModel(found, markers);
    if (!outcome.violation.empty())
      outcome.violation = "after " + std::to_string(life) + " restarts: " + outcome.violation;
    break;
  }
  return outcome;
}

}  // namespace cohort
