// The protocol under faults, in virtual time. COHORT_SIM_SEEDS says how many seeds (default 500), COHORT_SIM_FIRST the
// first one, COHORT_SIM_SEED runs one alone with a trace of every message.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "tests/simulation/sim_run.h"

namespace cohort {
namespace {

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Every kind of fault that must have been delivered, and every path that must have been taken, over all seeds.
constexpr const char* kRequired[] = {"fault: lost",
                                     "fault: repeated",
                                     "fault: very late",
                                     "fault: overtaken",
                                     "fault: bit flipped, frame refused",
                                     "fault: pause",
                                     "fault: event during a pause",
                                     "fault: receiver not there yet",
                                     "ghost: earlier incarnation",
                                     "ghost: other run",
                                     "ghost: earlier slot map",
                                     "ghost: later slot map",
                                     "ghost: earlier phase",
                                     "ghost: later phase",
                                     "path: sent again: PullRequest",
                                     "path: sent again: PushRequest",
                                     "path: sent again: CloseRequest",
                                     "path: sent again: Register",
                                     "path: sent again: PhaseOrder",
                                     "path: sent again: PhaseDone",
                                     "path: sent again: LeaseRequest",
                                     "path: sent again: ScoreBlock",
                                     "path: sent again: SnapshotOrder",
                                     "path: sent again: SnapshotDone",
                                     "shard: pull_answered",
                                     "shard: pull_parked",
                                     "shard: pull_parked_again",
                                     "shard: pull_released",
                                     "shard: push_applied",
                                     "shard: push_held",
                                     "shard: push_duplicate",
                                     "shard: clock_applied",
                                     "shard: close",
                                     "shard: close_repeated",
                                     "shard: phase_begun",
                                     "shard: snapshot",
                                     "shard: checkpoint_begun",
                                     "shard: checkpoint_written",
                                     "shard: checkpoint_failed",
                                     "shard: checkpoint_skipped",
                                     "shard: row_copied",
                                     "shard: row_saved",
                                     "shard: stale_generation",
                                     "shard: future_generation",
                                     "shard: stale_incarnation",
                                     "shard: stale_phase",
                                     "shard: future_phase",
                                     "shard: not_ready",
                                     "shard: wrong_run",
                                     "worker: request sent again",
                                     "worker: parked notice",
                                     "worker: refused for now, asked again",
                                     "worker: late or repeated reply ignored",
                                     "worker: waited for credit",
                                     "worker: close held for acknowledgements",
                                     "worker: absent row pulled",
                                     "worker: push part acknowledged as duplicate",
                                     "worker: clock without data",
                                     "scheduler: message ignored",
                                     "scheduler: lease granted"};

// Runs seeds of a scenario; each of `required` must have happened, if there were seeds enough.
void ExpectInvariants(Scenario scenario, std::uint64_t seeds, std::uint64_t enough,
                      std::span<const char* const> required) {
  if (const char* one = std::getenv("COHORT_SIM_SEED")) {
    const std::uint64_t seed = std::strtoull(one, nullptr, 10);
    const SimOutcome outcome = Simulate(seed, scenario, PlantedBug::kNone, true);
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), outcome.shape.c_str());
    EXPECT_EQ(outcome.violation, "");
    return;
  }
  const std::uint64_t first = FromEnvironment("COHORT_SIM_FIRST", 1);
  Counts total;
  std::uint64_t violations = 0, done = 0;
  Duration virtual_time{}, longest{};
  for (std::uint64_t seed = first; seed < first + seeds && violations < 10; ++seed) {
    const SimOutcome outcome = Simulate(seed, scenario);
    ++done;
    if (!outcome.violation.empty()) {
      ++violations;
      ADD_FAILURE() << "seed " << seed << " (" << outcome.shape << "): " << outcome.violation
                    << "\n  again with a trace: COHORT_SIM_SEED=" << seed;
    }
    for (const auto& [name, count] : outcome.counts) total[name] += count;
    virtual_time += outcome.virtual_time;
    longest = std::max(longest, outcome.after_faults);
  }
  std::printf("%llu seeds, %.0f s of virtual time, %llu violations\n", static_cast<unsigned long long>(done),
              std::chrono::duration<double>(virtual_time).count(),
              static_cast<unsigned long long>(violations));
  if (longest > Duration())
    std::printf("ended at most %.1f s after the last fault\n",
                std::chrono::duration<double>(longest).count());
  for (const auto& [name, count] : total)
    std::printf("  %12llu  %s\n", static_cast<unsigned long long>(count), name.c_str());
  if (seeds < enough) return;  // too few to have met everything
  for (const char* name : required) EXPECT_GT(total[name], 0u) << "never happened: " << name;
}

TEST(Simulation, InvariantsHoldUnderEveryFault) {
  ExpectInvariants(Scenario::kPlain, FromEnvironment("COHORT_SIM_SEEDS", 500), 500, kRequired);
}

TEST(Simulation, PoliciesOfRowsDecideTheSameUnderEveryFault) {
  constexpr const char* kDecided[] = {
      "fault: lost",           "fault: repeated",           "shard: push_duplicate",
      "shard: pull_parked",    "shard: not_admitted",       "shard: evicted_idle",
      "shard: evicted_memory", "worker: absent row pulled", "shard: push_by_rows"};
  ExpectInvariants(Scenario::kPolicies, FromEnvironment("COHORT_SIM_SEEDS", 500) / 3, 150, kDecided);
}

TEST(Simulation, NarrowRowsRoundTheSameUnderEveryFault) {
  constexpr const char* kMet[] = {"fault: lost",        "fault: repeated",      "shard: push_duplicate",
                                  "shard: pull_parked", "shard: clock_applied", "shard: push_applied",
                                  "shard: push_by_rows"};
  ExpectInvariants(Scenario::kNarrow, FromEnvironment("COHORT_SIM_SEEDS", 500) / 3, 150, kMet);
}

// The reference rounds at every node of the tree, as workers and shards must wherever the batch is cut.
TEST(Simulation, HalfValuesRoundTheSameUnderEveryFault) {
  constexpr const char* kMet[] = {"fault: lost",
                                  "fault: repeated",
                                  "shard: push_duplicate",
                                  "shard: pull_parked",
                                  "shard: push_held",
                                  "shard: push_applied",
                                  "shard: push_by_rows",
                                  "path: PullReply in bfloat16",
                                  "path: PullReply in float16",
                                  "path: PushRequest in bfloat16",
                                  "path: PushRequest in float16"};
  ExpectInvariants(Scenario::kHalfValues, FromEnvironment("COHORT_SIM_SEEDS", 500) / 3, 150, kMet);
}

// A pull asked to be kept is named by a push, is forgotten for want of room, and comes too late to be kept.
TEST(Simulation, RowPositionsMeanTheirKeysUnderEveryFault) {
  constexpr const char* kMet[] = {"fault: lost",
                                  "fault: repeated",
                                  "shard: push_duplicate",
                                  "shard: pull_parked",
                                  "shard: push_by_rows",
                                  "shard: unknown_pull",
                                  "shard: pull forgotten for want of room",
                                  "worker: push by rows sent again with keys"};
  ExpectInvariants(Scenario::kPositions, FromEnvironment("COHORT_SIM_SEEDS", 500) / 3, 150, kMet);
}

TEST(Simulation, RowsOnASlowDiskChangeNothingUnderEveryFault) {
  constexpr const char* kMet[] = {"fault: lost",
                                  "fault: repeated",
                                  "shard: push_duplicate",
                                  "shard: pull_fetched",
                                  "shard: push_fetched",
                                  "shard: clock_fetched",
                                  "shard: fetched_again",
                                  "shard: push_by_rows",
                                  "shard: evicted_idle",
                                  "shard: evicted_memory",
                                  "shard: row on disk at the end",
                                  "shard: disk_full",
                                  "shard: checkpoint_written",
                                  "shard: row_saved"};
  ExpectInvariants(Scenario::kTier, FromEnvironment("COHORT_SIM_SEEDS", 500) / 3, 150, kMet);
}

// Markers tell of each row, whoever served it, whether it shows all pushes up to the pull's clock - 1 - staleness.
TEST(Simulation, CachedRowsStayWithinTheBoundUnderEveryFault) {
  constexpr const char* kMet[] = {"fault: lost",           "fault: repeated",
                                  "shard: push_duplicate", "shard: pull_parked",
                                  "shard: push_by_rows",   "worker: row served by the cache"};
  ExpectInvariants(Scenario::kCache, FromEnvironment("COHORT_SIM_SEEDS", 500) / 3, 150, kMet);
}

TEST(Simulation, WorkersThatDieAreReplacedUnderEveryFault) {
  constexpr const char* kMet[] = {"fault: lost",
                                  "fault: repeated",
                                  "fault: killed worker",
                                  "shard: fence",
                                  "scheduler: worker replaced",
                                  "shard: push_duplicate",
                                  "shard: push_applied",
                                  "shard: push_held"};
  ExpectInvariants(Scenario::kDeaths, FromEnvironment("COHORT_SIM_SEEDS", 500), 150, kMet);
}

TEST(Simulation, BackupsTakeTheirShardsPlacesUnderEveryFault) {
  constexpr const char* kMet[] = {"fault: lost",
                                  "fault: killed worker",
                                  "fault: killed shard",
                                  "fault: killed backup",
                                  "fault: replaced while alive",
                                  "scheduler: shard taken over by its backup",
                                  "scheduler: worker replaced",
                                  "shard: backup_whole",
                                  "shard: push_duplicate",
                                  "shard: push_applied",
                                  "shard: push_held"};
  ExpectInvariants(Scenario::kBackups, FromEnvironment("COHORT_SIM_SEEDS", 500), 150, kMet);
}

TEST(Simulation, PartitionsAreOutlivedAndTheRunEndsSoonAfter) {
  constexpr const char* kMet[] = {
      "fault: link cut",       "fault: link clogged",          "fault: lost",
      "shard: push_duplicate", "path: sent again: PhaseOrder", "worker: request sent again"};
  ExpectInvariants(Scenario::kPartitions, FromEnvironment("COHORT_SIM_SEEDS", 500) / 3, 150, kMet);
}

TEST(Simulation, PartitionsAndDeathsAreOutlivedAndTheRunEndsSoonAfter) {
  constexpr const char* kMet[] = {
      "fault: link cut", "fault: link clogged",        "fault: killed worker",  "fault: replaced while alive",
      "shard: fence",    "scheduler: worker replaced", "shard: push_duplicate", "shard: stale_incarnation"};
  ExpectInvariants(Scenario::kPartitionsAndDeaths, FromEnvironment("COHORT_SIM_SEEDS", 500) / 2, 150, kMet);
}

TEST(Simulation, AllOptionsOfTheWireAtOnceUnderEveryFault) {
  constexpr const char* kMet[] = {"fault: lost",
                                  "fault: repeated",
                                  "shard: push_duplicate",
                                  "shard: pull_parked",
                                  "shard: push_by_rows",
                                  "path: PullReply in bfloat16",
                                  "path: PushRequest in float16",
                                  "worker: push by rows sent again with keys",
                                  "worker: row served by the cache"};
  ExpectInvariants(Scenario::kAll, FromEnvironment("COHORT_SIM_SEEDS", 500) / 3, 150, kMet);
}

TEST(Simulation, ARunThatDiesGoesOnFromItsCheckpoints) {
  const std::uint64_t seeds = FromEnvironment("COHORT_SIM_SEEDS", 500);
  const std::uint64_t first = FromEnvironment("COHORT_SIM_FIRST", 1);
  Counts total;
  int violations = 0;
  for (std::uint64_t seed = first; seed < first + seeds && violations < 10; ++seed) {
    const SimOutcome outcome = SimulateRestarts(seed);
    for (const auto& [name, count] : outcome.counts) total[name] += count;
    if (outcome.violation.empty()) continue;
    ++violations;
    ADD_FAILURE() << "seed " << seed << " (" << outcome.shape << "): " << outcome.violation;
  }
  constexpr const char* kMet[] = {"death of all",
                                  "restart from a checkpoint, bsp",
                                  "restart from a checkpoint, ssp or asp",
                                  "restart from the start",
                                  "fault: power lost",
                                  "fault: file damaged",
                                  "fault: death in the middle of a write",
                                  "path: damaged checkpoint refused",
                                  "fault: lost",
                                  "fault: repeated"};
  for (const char* name : kMet) {
    std::printf("  %12llu  %s\n", static_cast<unsigned long long>(total[name]), name);
    if (seeds >= 150) {
      EXPECT_GT(total[name], 0u) << "never happened: " << name;
    }
  }
}

// Bugs of ours must not get past the invariants.
template <typename Run>
void ExpectFound(const char* name, const Run& run) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    const SimOutcome outcome = run(seed);
    if (outcome.violation.empty()) continue;
    std::printf("%s: found after %llu seeds: %s\n", name, static_cast<unsigned long long>(seed),
                outcome.violation.c_str());
    return;
  }
  ADD_FAILURE() << name << " was not found within 2,000 seeds";
}

void ExpectFound(PlantedBug bug, const char* name, Scenario scenario = Scenario::kPlain) {
  ExpectFound(name, [&](std::uint64_t seed) { return Simulate(seed, scenario, bug); });
}

void ExpectFoundByRestarts(PlantedBug bug, const char* name) {
  ExpectFound(name, [&](std::uint64_t seed) { return SimulateRestarts(seed, bug); });
}

TEST(PlantedBugs, LostAckIsFound) { ExpectFound(PlantedBug::kLostAck, "lost ack"); }
TEST(PlantedBugs, DoubleApplyIsFound) { ExpectFound(PlantedBug::kNoDuplicateCheck, "double apply"); }
TEST(PlantedBugs, StaleReadAfterFailoverIsFound) {
  ExpectFoundByRestarts(PlantedBug::kStaleAfterFailover, "stale read after failover");
}
TEST(PlantedBugs, AckBeforeTheBackupHasItIsFound) {
  ExpectFound(PlantedBug::kAckBeforeBackup, "ack before the backup has it", Scenario::kBackups);
}
TEST(PlantedBugs, MissingFenceIsFound) {
  ExpectFound(PlantedBug::kMissingFence, "missing fence", Scenario::kPartitionsAndDeaths);
}
TEST(PlantedBugs, ManifestBeforeDataIsFound) {
  ExpectFoundByRestarts(PlantedBug::kManifestBeforeData, "manifest before data");
}
TEST(PlantedBugs, MissingFsyncIsFound) { ExpectFoundByRestarts(PlantedBug::kMissingFsync, "missing fsync"); }
TEST(PlantedBugs, WrongSlotAfterReshardIsFound) {
  ExpectFoundByRestarts(PlantedBug::kWrongSlotAfterReshard, "wrong slot after reshard");
}
TEST(PlantedBugs, ForgottenOptimizerSlotIsFound) {
  ExpectFoundByRestarts(PlantedBug::kForgottenOptimizerSlot, "forgotten optimizer slot");
}
TEST(PlantedBugs, CloseBeforeTheAcknowledgementsIsFound) {
  ExpectFound(PlantedBug::kCloseBeforeAcknowledgements, "close before the acknowledgements");
}
TEST(PlantedBugs, SumInArrivalOrderIsFound) {
  ExpectFound(PlantedBug::kSumInArrivalOrder, "sum in arrival order");
}
TEST(PlantedBugs, CacheBeyondTheBoundIsFound) {
  ExpectFound(PlantedBug::kCacheBeyondTheBound, "cache that serves one clock too long", Scenario::kCache);
}

TEST(Simulation, OneSeedIsOneRun) {
  for (std::uint64_t seed : {3ull, 17ull, 99ull}) {
    const SimOutcome once = Simulate(seed), again = Simulate(seed);
    EXPECT_EQ(once.counts, again.counts);
    EXPECT_EQ(once.virtual_time, again.virtual_time);
    EXPECT_EQ(once.fingerprint, again.fingerprint);
  }
}

}  // namespace
}  // namespace cohort
