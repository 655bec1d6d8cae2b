#include "tests/simulation/sim_checkpoints.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <variant>

#include "common/checkpoint_files.h"

namespace cohort {

void CheckpointingShard::OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) {
  if (auto* welcome = std::get_if<Welcome>(&message)) {
    welcome->checkpoint_path = kPath;
    welcome->checkpoint_every = every_;
    scheduler_ = from;
  }
  Outbox mine;
  shard_->OnMessage(from, std::move(message), now, mine);
  const bool trains = shard_->phase().phase != 0 && shard_->phase().kind == PhaseKind::kTrain;
  if (every_ == 0 && trains && random_.Below(30) == 0) {
    ++orders_;
    shard_->OnMessage(scheduler_, CheckpointOrder{orders_, orders_}, now, mine);
  }
  PassOn(mine, now, out);
}

void CheckpointingShard::OnTimer(TimePoint now, Outbox& out) {
  Outbox mine;
  shard_->OnTimer(now, mine);
  PassOn(mine, now, out);
}

void CheckpointingShard::PassOn(Outbox& from, TimePoint now, Outbox& out) {
  for (Outgoing& outgoing : from.Take()) {
    if (const auto* done = std::get_if<CheckpointDone>(&outgoing.message)) {
      Outbox none;
      shard_->OnMessage(scheduler_, Ack{done->request_id}, now, none);
      for (Outgoing& more : none.Take()) out.Send(more.to, std::move(more.message));
    } else if (!(std::holds_alternative<Ack>(outgoing.message) && outgoing.to == kSchedulerNode &&
                 std::get<Ack>(outgoing.message).request_id <= orders_ && every_ == 0)) {
      out.Send(outgoing.to, std::move(outgoing.message));
    }
  }
}

namespace {

// Closed clocks and applied parts are those of the phase; all that was pushed before is in it.
bool Counted(const MemoryCheckpoints::Part& part, std::uint32_t phase, std::uint32_t worker,
             const PushName& push, int group) {
  if (phase != part.state.phase) return phase < part.state.phase;
  if (worker >= part.state.closed.size()) return false;  // it comes later in the phase
  if (push.clock <= part.state.closed[worker]) return true;
  for (const AppliedPart& applied : part.state.applied) {
    if (applied.worker == worker && applied.push == push && applied.groups[static_cast<std::size_t>(group)])
      return true;
  }
  return false;
}

// How many clocks before `end` give the owner of markers (bsp: a slice) data.
std::uint64_t ClocksWithData(const SimPlan& plan, std::uint32_t slice, Clock end) {
  std::uint64_t count = 0;
  for (Clock c = 0; c < end; ++c) {
    const std::uint64_t batch = static_cast<std::uint64_t>(c) % plan.BatchesPerEpoch();
    const RowRange rows = RowsOfSlice(plan.train_rows, plan.batch_size, plan.slices, batch, slice);
    count += rows.begin < rows.end;
  }
  return count;
}

struct Wanted {
  std::map<TableId, std::map<Key, std::vector<float>>> rows;
  void Add(const SimPlan& plan, TableId table, Key key, const std::vector<float>& values, float sign) {
    std::vector<float>& row = rows[table][key];
    const TableSpec& spec = plan.workload.Table(table);
    if (row.empty()) row.assign(spec.dim, spec.init[0].mean);
    for (std::size_t i = 0; i < spec.dim; ++i) row[i] += sign * values[i];
  }
};

std::string Compare(TableId table, const std::map<Key, std::vector<float>>& wanted,
                    const std::map<Key, MemoryCheckpoints::Row>& found) {
  for (const auto& [key, values] : wanted) {
    const auto at = found.find(key);
    const std::string name = "table " + std::to_string(table) + " key " + std::to_string(key);
    if (at == found.end()) return name + " has no row";
    const std::vector<float>& have = at->second.values;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (have.size() != values.size() || std::memcmp(&have[i], &values[i], sizeof(float)) != 0)
        return name + " value " + std::to_string(i) + " is " + std::to_string(have[i]) + ", expected " +
               std::to_string(values[i]);
    }
  }
  if (wanted.size() != found.size())
    return "table " + std::to_string(table) + " has " + std::to_string(found.size()) + " rows, expected " +
           std::to_string(wanted.size());
  return {};
}

}  // namespace

std::string JudgeCheckpoints(const SimPlan& plan, const MemoryCheckpoints& checkpoints,
                             const Markers& markers, const std::vector<PlainTables>& by_clock,
                             const PushJournal& journal, std::uint32_t shards) {
  if (!checkpoints.bug.empty()) return checkpoints.bug;
  const bool bsp = plan.consistency == Consistency::kBsp;
  const TableSpec& sparse = plan.workload.Table(kEmbeddingTable);
  // Outside bsp, which rows a policy admits, and what is rounded, depends on the order of arrival.
  const bool exact = bsp || (!sparse.policy.Any() && sparse.dtype == FloatType::kFloat32);
  const SlotMap map = SlotMap::Even(shards);
  for (const auto& [folder, parts] : checkpoints.parts) {
    const auto number = static_cast<std::size_t>(*CheckpointNumber(
        std::string_view(folder).substr(std::string_view(CheckpointingShard::kPath).size() + 1)));
    for (const auto& [shard, part] : parts) {
      const auto here = [&, shard = shard](TableId table, Key key) {
        return map.ShardOfGroup(GroupOf(RingPosition(plan.workload.Table(table), key))) == shard;
      };
      Wanted wanted;
      if (bsp) {
        if (number == 0 || number > by_clock.size()) return folder + " should not be there";
        for (const auto& [table, rows] : by_clock[number - 1]) {
          for (const auto& [position, row] : rows) {
            if (here(table, row.key)) wanted.rows[table][row.key] = row.values;
          }
        }
        for (std::uint32_t owner = 0; owner < markers.owners(); ++owner) {
          const std::uint64_t count = ClocksWithData(plan, owner, static_cast<Clock>(number));
          for (const Key key : markers.KeysOfOwner(owner)) {
            if (count > 0 && here(kEmbeddingTable, key))
              wanted.Add(plan, kEmbeddingTable, key,
                         std::vector<float>(sparse.dim, static_cast<float>(count)), 1);
          }
        }
      } else {
        for (Key key = 0; key < plan.workload.Table(kDenseTable).row_count; ++key) {
          if (here(kDenseTable, key))
            wanted.Add(plan, kDenseTable, key, std::vector<float>(plan.workload.Table(kDenseTable).dim, 0.0f),
                       1);
        }
        for (const auto& [name, pushed] : journal) {
          for (const auto& [table, rows] : pushed.gradients) {
            for (const auto& [position, row] : rows) {
              if (here(table, row.key) &&
                  Counted(part, pushed.phase, name.first, {name.second, table, 1}, GroupOf(position)))
                wanted.Add(plan, table, row.key, row.values, -1);
            }
          }
        }
      }
      for (const TableId table : {kDenseTable, kEmbeddingTable}) {
        if (table == kEmbeddingTable && !exact) continue;
        const auto found = part.rows.find(table);
        const auto rows = found == part.rows.end() ? std::map<Key, MemoryCheckpoints::Row>() : found->second;
        if (auto wrong = Compare(table, wanted.rows[table], rows); !wrong.empty())
          return folder + ", shard " + std::to_string(shard) + ": " + wrong;
      }
    }
  }
  return {};
}

}  // namespace cohort
