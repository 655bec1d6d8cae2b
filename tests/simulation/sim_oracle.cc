#include "tests/simulation/sim_oracle.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>

#include "common/float16.h"
#include "tests/support/rows_of.h"

namespace cohort {

std::string Difference(const PlainTables& expected, const PlainTables& found) {
  for (TableId table : {kDenseTable, kEmbeddingTable}) {
    const auto of = [&](const PlainTables& tables) {
      return tables.contains(table) ? tables.at(table) : PlainRows();
    };
    const PlainRows want = of(expected), have = of(found);
    for (const auto& [position, row] : want) {
      auto at = have.find(position);
      const std::string name = "table " + std::to_string(table) + " key " + std::to_string(row.key);
      if (at == have.end()) return name + " has no row";
      for (std::size_t i = 0; i < row.values.size(); ++i) {
        if (i < at->second.values.size() &&
            std::memcmp(&row.values[i], &at->second.values[i], sizeof(float)) == 0) {
          continue;
        }
        char text[96];
        std::snprintf(text, sizeof(text), " value %zu is %.9g, expected %.9g", i,
                      static_cast<double>(i < at->second.values.size() ? at->second.values[i] : NAN),
                      static_cast<double>(row.values[i]));
        return name + text;
      }
    }
    if (want.size() != have.size()) {
      return "table " + std::to_string(table) + " has " + std::to_string(have.size()) + " rows, expected " +
             std::to_string(want.size());
    }
  }
  return {};
}

namespace {

// Adds what the owners of markers have pushed by now.
void AddMarkers(const SimPlan& plan, const Markers& markers, PlainTables* tables) {
  const TableSpec& spec = plan.workload.Table(kEmbeddingTable);
  for (std::uint32_t owner = 0; owner < markers.owners(); ++owner) {
    if (markers.CountOf(owner) == 0) continue;
    for (Key key : markers.KeysOfOwner(owner)) {
      PlainRow& row = (*tables)[kEmbeddingTable][RingPosition(spec, key)];
      if (row.values.empty()) row = {key, std::vector<float>(spec.dim, spec.init[0].mean)};
      for (float& value : row.values) value += static_cast<float>(markers.CountOf(owner));
    }
  }
}

// What must hold of rows under a policy, or of 16-bit weights, whatever the order of arrival. `all` is the model that keeps
// every row. Empty: it holds.
std::string OptionBroken(const SimPlan& plan, const PlainTables& all, const PlainTables& found) {
  const TableSpec& spec = plan.workload.Table(kEmbeddingTable);
  std::map<int, std::uint64_t> rows_of_slot;
  if (found.contains(kEmbeddingTable)) {
    for (const auto& [position, row] : found.at(kEmbeddingTable)) {
      if (!all.at(kEmbeddingTable).contains(position))
        return "key " + std::to_string(row.key) + " has a row, yet was never pushed";
      ++rows_of_slot[SlotOf(position)];
    }
  }
  for (const auto& [slot, rows] : rows_of_slot) {
    if (spec.policy.max_bytes != 0 && rows > spec.policy.max_bytes / kSlotCount / BytesPerRow(spec))
      return "slot " + std::to_string(slot) + " holds " + std::to_string(rows) +
             " rows, more than its budget";
  }
  if (!spec.policy.Any() && found.at(kEmbeddingTable).size() != all.at(kEmbeddingTable).size())
    return "rows are missing";
  return Difference({{kDenseTable, all.at(kDenseTable)}}, {{kDenseTable, found.at(kDenseTable)}});
}

}  // namespace

SimOracle::SimOracle(const SimPlan& plan, std::uint32_t epochs)
    : plan_(plan),
      exact_(plan.consistency == Consistency::kBsp ||
             (!plan.workload.Table(kEmbeddingTable).policy.Any() &&
              plan.workload.Table(kEmbeddingTable).dtype == FloatType::kFloat32)),
      workload_(plan.workload) {
  if (!exact_) workload_.tables[kEmbeddingTable].policy = {};
  model_ = std::make_unique<PlainModel>(workload_);
  for (std::uint32_t epoch = 0; epoch < epochs; ++epoch) RunEpoch(epoch);
}

void SimOracle::RunEpoch(std::uint32_t epoch) {
  std::vector<float> pulled;
  const Lookup weights = [&](TableId table, Key key) -> const float* {
    const TableSpec& spec = workload_.Table(table);
    const float* row = model_->Weights(table, key, false);
    pulled.assign(row, row + spec.dim);
    RoundValues(spec.pull_values, pulled.data(), pulled.size());
    return pulled.data();
  };
  if (workload_.whole) {
    // Sums of whole numbers at rate 1: the order does not matter.
    const bool bsp = plan_.consistency == Consistency::kBsp;
    const std::uint64_t piece = bsp ? plan_.batch_size : plan_.train_rows;
    for (std::uint64_t begin = 0; begin < plan_.train_rows; begin += piece) {
      const std::uint64_t end = std::min(plan_.train_rows, begin + piece);
      model_->Apply(workload_.Gradients(epoch, begin, end, {}, weights), 0);
      if (bsp) after_clocks_.push_back(model_->tables());
    }
  } else {
    for (std::uint64_t batch = 0; batch < plan_.BatchesPerEpoch(); ++batch) {
      std::vector<std::optional<PlainTables>> slices(plan_.slices);
      for (std::uint32_t slice = 0; slice < plan_.slices; ++slice) {
        const RowRange rows = RowsOfSlice(plan_.train_rows, plan_.batch_size, plan_.slices, batch, slice);
        if (rows.begin < rows.end)
          slices[slice] = workload_.Rounded(workload_.Gradients(epoch, rows.begin, rows.end, {}, weights));
      }
      model_->Apply(*PlainTreeSum(workload_, slices, 0, plan_.slices),
                    static_cast<Clock>(epoch * plan_.BatchesPerEpoch() + batch));
      after_clocks_.push_back(model_->tables());
    }
  }
  after_epochs_.push_back(model_->tables());
}

PlainTables SimOracle::WithMarkers(const Markers& markers) const {
  PlainTables tables = after_epochs_.back();
  AddMarkers(plan_, markers, &tables);
  return tables;
}

std::string SimOracle::JudgeModel(const PlainTables& found, const Markers& markers) const {
  if (!exact_) return OptionBroken(plan_, after_epochs_.back(), found);
  const std::string wrong = Difference(WithMarkers(markers), found);
  return wrong.empty() ? "" : "final model: " + wrong;
}

std::string SimOracle::JudgeSnapshot(std::uint32_t epoch, PlainTables snapshot,
                                     const Markers& markers) const {
  if (!exact_) return {};
  const bool last = epoch + 1 == after_epochs_.size();
  if (!last) {  // how far the markers had come is known at the end only
    for (Key key : markers.all())
      snapshot[kEmbeddingTable].erase(RingPosition(plan_.workload.Table(kEmbeddingTable), key));
  }
  const std::string wrong = Difference(last ? WithMarkers(markers) : after_epochs_[epoch], snapshot);
  return wrong.empty() ? "" : "snapshot after epoch " + std::to_string(epoch) + ": " + wrong;
}

PlainTables RowsOf(const EmbeddingTable& table) {
  PlainTables out;
  for (const auto& [key, row] : AllRowsOf(table))
    out[table.spec().id][RingPosition(table.spec(), key)] = {key, row};
  return out;
}

std::string Merge(const PlainTables& part, std::uint32_t shard, std::uint32_t shards, PlainTables* all) {
  const SlotMap map = SlotMap::Even(shards);
  for (const auto& [table, rows] : part) {
    for (const auto& [position, row] : rows) {
      if (map.ShardOfGroup(GroupOf(position)) != shard || !(*all)[table].emplace(position, row).second) {
        return "shard " + std::to_string(shard) + " holds key " + std::to_string(row.key) +
               ", which is not its own";
      }
    }
  }
  return {};
}

Status CheckingSink::OnPhase(const PhaseOrder& order) {
  epoch_ = order.epoch;
  rows_.clear();
  return {};
}

Status CheckingSink::OnBlock(const ScoreBlock& block) {
  const auto predictions = block.predictions.As<float>();
  for (std::uint32_t i = 0; i < block.rows; ++i) {
    if (block.first_row + i != rows_.size()) {
      return {ErrorCode::kInternal, "row " + std::to_string(block.first_row + i) + " scored out of order"};
    }
    if (Status status = Check(block.first_row + i, predictions[i]); !status.ok()) return status;
  }
  return {};
}

Status CheckingSink::OnEvaluation(const Buffer& sums) {
  for (const EvaluatedRow& row : sums.As<EvaluatedRow>()) {
    if (Status status = Check(row.row, row.prediction); !status.ok()) return status;
  }
  return {};
}

Status CheckingSink::OnPhaseEnd() {
  return rows_.size() == plan_.test_rows ? Status() : Status(ErrorCode::kInternal, "rows were not scored");
}

Status CheckingSink::Check(std::uint64_t row, float prediction) {
  if (row >= plan_.test_rows || !rows_.insert(row).second)
    return {ErrorCode::kInternal, "row " + std::to_string(row) + " scored twice, or not there"};
  const Lookup weights = [&](TableId table, Key key) -> const float* {
    static const std::vector<float> kZeros(16, 0.0f);
    const PlainTables& tables = oracle_.after_epochs()[epoch_];
    auto rows = tables.find(table);
    if (rows == tables.end()) return kZeros.data();
    auto found = rows->second.find(RingPosition(plan_.workload.Table(table), key));
    return found == rows->second.end() ? kZeros.data() : found->second.values.data();
  };
  const float expected = plan_.workload.PredictionOf(kTestRows + row, weights);
  if (!oracle_.exact() || prediction == expected) return {};
  return {ErrorCode::kInternal, "row " + std::to_string(row) + " scored " + std::to_string(prediction) +
                                    ", expected " + std::to_string(expected)};
}

}  // namespace cohort
