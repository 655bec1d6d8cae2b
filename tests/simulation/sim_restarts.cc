#include <algorithm>
#include <string>

#include "common/checkpoint_files.h"
#include "tests/simulation/sim_checkpoint_files.h"
#include "tests/simulation/sim_checkpoints.h"
#include "tests/simulation/sim_cluster.h"
#include "tests/simulation/sim_disk.h"
#include "tests/simulation/sim_oracle.h"
#include "tests/simulation/sim_run.h"

namespace cohort {

using std::chrono::milliseconds;

SimOutcome SimulateRestarts(std::uint64_t seed, const SimOptions& how) {
  Shape shape = DrawShape(seed, Scenario::kPlain, how.limits);
  RandomStream random(seed, 0x72657374617274);
  SimPlan& plan = shape.plan;
  const bool bsp = plan.consistency == Consistency::kBsp;
  shape.max_compute = Pick<Duration>(random, {milliseconds(10), milliseconds(50), milliseconds(200)});
  if (!bsp) {  // long enough for checkpoints, which follow heartbeats
    shape.max_compute *= 2;
    plan.train_rows = std::min(how.limits.train_rows, 2000 + random.Below(6000));
  }
  plan.test_rows = std::min(how.limits.test_rows, 1 + random.Below(100));
  SimOutcome outcome;
  outcome.shape = shape.Describe();
  const SimOracle oracle(plan, shape.epochs);
  const Duration slowest_step = Pick<Duration>(random, {milliseconds(1), milliseconds(10), milliseconds(60)});
  SimDisk disk(seed);
  disk.SetFullChance(Pick(random, {0.0, 0.0, 0.1}));
  SimCheckpointFiles files(
      &disk, CheckpointingShard::kPath, 1 + static_cast<std::uint32_t>(random.Below(3)),
      [&] { return Duration(random.Below(static_cast<std::uint64_t>(slowest_step.count()))); }, how.bug);
  const std::uint64_t every = 1 + random.Below(4);
  const std::uint64_t deaths = random.Below(5);

  for (std::uint32_t life = 0; outcome.violation.empty(); ++life) {
    const auto happens = [&](FaultKind kind, std::uint64_t detail = 0) {
      return how.script.Happens({kind, life, {}, {}, 0, {}, {}, detail});
    };
    shape.shards = std::min(how.limits.shards, 1 + static_cast<std::uint32_t>(random.Below(4)));
    if (bsp) plan.workers = std::min(how.limits.workers, 1 + static_cast<std::uint32_t>(random.Below(5)));
    RunPlan run = PlanOf(shape, 100 + life);
    run.checkpoint_path = CheckpointingShard::kPath;
    run.checkpoint_every = every;
    if (life > 0) {
      const bool power = random.Below(2) == 0 && happens(FaultKind::kPowerLost);
      disk.Restart(power);
      if (power) ++outcome.counts["fault: power lost"];
      for (std::uint64_t left = random.Below(4) == 0 ? 1 + random.Below(3) : 0; left > 0; --left) {
        if (!happens(FaultKind::kRot, left)) continue;
        files.Rot();
        ++outcome.counts["fault: file damaged"];
      }
      run.resume = files.GoOn();
      outcome.violation = files.violation();
      if (!outcome.violation.empty()) break;
    }
    if (run.resume) {
      run.model_path = CheckpointFolder(CheckpointingShard::kPath, run.resume->number);
      ++outcome.counts[bsp ? "restart from a checkpoint, bsp" : "restart from a checkpoint, ssp or asp"];
    } else if (life > 0) {
      ++outcome.counts["restart from the start"];
    }
    // It ends at some moment, or in the middle of what is done to the disk.
    const bool dies = life < deaths && happens(FaultKind::kDeath);
    const TimePoint death = dies ? TimePoint(Duration(random.Below(4'000'000'000))) : kNever;
    if (dies && random.Below(2) == 0) disk.DieAfter(random.Below(100));
    SimNetwork network(RandomBits(seed, life), shape.faults, how.script, life);
    Markers markers(plan, /*none=*/true);
    SimCluster::Options options;
    options.run = run;
    options.bug = how.bug;
    SimCluster cluster(seed, shape, std::move(options), &network, &files, &markers, nullptr, &files);
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
    const bool ended = network.Run(
        [&] {
          return cluster.scheduler().finished() || network.now() >= death || disk.dead() || cluster.Broken();
        },
        shape.Deadline());
    outcome.virtual_time += network.now().time_since_epoch();
    outcome.fingerprint = RandomBits(outcome.fingerprint, network.fingerprint());
    for (const auto& [name, count] : network.counts()) outcome.counts[name] += count;
    outcome.violation = cluster.Violation(ended);
    if (!outcome.violation.empty()) break;
    if (!cluster.scheduler().finished()) {
      if (disk.dead()) ++outcome.counts["fault: death in the middle of a write"];
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
  outcome.counts["path: damaged checkpoint refused"] = files.refused();
  return outcome;
}

}  // namespace cohort
