// Checkpoints in simulated runs: shards write them to a slow disk while training goes on, and each part must be the state of
// one instant.
//
//  - bsp: a part with number n is the reference after n clocks, bit for bit, optimizer state included;
//  - ssp, asp: with whole-number gradients at rate 1, a part's rows are the exact sum of the pushes that its own closed clocks
//    and memory of applied pushes name.
#ifndef COHORT_TESTS_SIMULATION_SIM_CHECKPOINTS_H_
#define COHORT_TESTS_SIMULATION_SIM_CHECKPOINTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/node.h"
#include "common/random.h"
#include "server/shard.h"
#include "tests/simulation/sim_worker.h"
#include "tests/support/memory_checkpoints.h"
#include "tests/support/workload.h"

namespace cohort {

// A shard whose scheduler knows of checkpoints: the run has a folder for them, orders come (ssp, asp), parts are
// acknowledged.
class CheckpointingShard : public Node {
 public:
  // `every`: clocks between two in bsp.
  CheckpointingShard(Shard* shard, std::uint64_t every, std::uint64_t seed)
      : shard_(shard), every_(every), random_(seed, 0x6f72646572) {}

  void OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) override;
  void OnTimer(TimePoint now, Outbox& out) override;
  TimePoint NextTimer() const override { return shard_->NextTimer(); }
  Stamp stamp() const override { return shard_->stamp(); }

  static constexpr const char* kPath = "checkpoints";

 private:
  void PassOn(Outbox& from, TimePoint now, Outbox& out);

  Shard* const shard_;
  const std::uint64_t every_;
  RandomStream random_;
  Stamp scheduler_;
  std::uint64_t orders_ = 0;
};

// Judges all parts. `by_clock`: bsp: the reference after each clock, without markers. Empty: all is well.
std::string JudgeCheckpoints(const SimPlan& plan, const MemoryCheckpoints& checkpoints,
                             const Markers& markers, const std::vector<PlainTables>& by_clock,
                             const PushJournal& journal, std::uint32_t shards);

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_CHECKPOINTS_H_
