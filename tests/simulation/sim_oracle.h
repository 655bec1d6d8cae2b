// What must come out of a simulated run: the model of a single process, and how what was found differs from it.
#ifndef COHORT_TESTS_SIMULATION_SIM_ORACLE_H_
#define COHORT_TESTS_SIMULATION_SIM_ORACLE_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/status.h"
#include "scheduler/score_sink.h"
#include "server/embedding_table.h"
#include "tests/simulation/sim_worker.h"
#include "tests/support/workload.h"

namespace cohort {

// Empty: both are the same, bit for bit.
std::string Difference(const PlainTables& expected, const PlainTables& found);

PlainTables RowsOf(const EmbeddingTable& table);

// Merges a shard's rows in. Not empty: a row is at two shards, or at one that does not own it.
std::string Merge(const PlainTables& part, std::uint32_t shard, std::uint32_t shards, PlainTables* all);

// The reference of a run, on one process.
class SimOracle {
 public:
  SimOracle(const SimPlan& plan, std::uint32_t epochs);

  // Outside bsp, which keys are admitted, and what is rounded, depends on the order in which pushes arrive: then the reference
  // only keeps every row.
  bool exact() const { return exact_; }
  const std::vector<PlainTables>& after_epochs() const { return after_epochs_; }
  const std::vector<PlainTables>& after_clocks() const { return after_clocks_; }  // bsp
  const PlainPolicy& policy() const { return model_->policy(kEmbeddingTable); }   // what it did

  // Empty: the model is what it must be, at the end and after each epoch.
  std::string JudgeModel(const PlainTables& found, const Markers& markers) const;
  std::string JudgeSnapshot(std::uint32_t epoch, PlainTables snapshot, const Markers& markers) const;

 private:
  void RunEpoch(std::uint32_t epoch);
  PlainTables WithMarkers(const Markers& markers) const;

  const SimPlan& plan_;
  const bool exact_;
  Workload workload_;
  std::unique_ptr<PlainModel> model_;  // of workload_
  std::vector<PlainTables> after_epochs_, after_clocks_;
};

// Takes predictions; each row must come once, in order when scored, and be what the reference predicts.
class CheckingSink : public ScoreSink {
 public:
  // Both must outlive the sink.
  CheckingSink(const SimPlan& plan, const SimOracle& oracle) : plan_(plan), oracle_(oracle) {}
  Status OnPhase(const PhaseOrder& order) override;
  Status OnBlock(const ScoreBlock& block) override;
  Status OnEvaluation(const Buffer& sums) override;
  Status OnPhaseEnd() override;

 private:
  Status Check(std::uint64_t row, float prediction);

  const SimPlan& plan_;
  const SimOracle& oracle_;
  std::uint32_t epoch_ = 0;
  std::set<std::uint64_t> rows_;
};

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_ORACLE_H_
