#include "server/part_state.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace cohort {
namespace {

constexpr std::size_t kGroupWords = kSlotGroupCount / 64;
constexpr std::uint64_t kMostWorkers = 1u << 20;

std::string GroupOfTable(TableId id) { return "shard/table_" + std::to_string(id) + "/"; }

template <typename T>
Status Write(ModelPartWriter* writer, const std::string& name, const std::vector<T>& values) {
  return writer->WriteArray<T>(name, values);
}

// One field of every element.
template <typename T, typename Elements, typename Field>
Status WriteFields(ModelPartWriter* writer, const std::string& name, const Elements& elements, Field field) {
  std::vector<T> values;
  for (const auto& element : elements) values.push_back(static_cast<T>(field(element)));
  return Write(writer, name, values);
}

Status WritePolicy(const TableState& table, ModelPartWriter* writer) {
  const std::string group = GroupOfTable(table.table);
  const PolicyState& p = table.policy;
  COHORT_RETURN_IF_ERROR(Write<std::uint64_t>(
      writer, group + "counts", {table.clipped_weights, p.not_admitted, p.evicted_idle, p.evicted_memory}));
  if (!table.has_policy) return {};
  COHORT_RETURN_IF_ERROR(Write<std::int64_t>(writer, group + "swept", {p.swept}));
  COHORT_RETURN_IF_ERROR(Write(writer, group + "sightings", p.sightings));
  COHORT_RETURN_IF_ERROR(Write(writer, group + "sketch_slots", p.sketch_slots));
  COHORT_RETURN_IF_ERROR(Write(writer, group + "sketch_added", p.sketch_added));
  return Write(writer, group + "sketch_counters", p.sketch_counters);
}

Result<TableState> ReadPolicy(const ModelPartReader& part, TableId id) {
  TableState table;
  table.table = id;
  const std::string group = GroupOfTable(id);
  COHORT_ASSIGN_OR_RETURN(const auto counts, part.ReadArray<std::uint64_t>(group + "counts"));
  if (counts.size() != 4) return Error(ErrorCode::kCorrupt, group + "counts");
  PolicyState& p = table.policy;
  table.clipped_weights = counts[0];
  p.not_admitted = counts[1];
  p.evicted_idle = counts[2];
  p.evicted_memory = counts[3];
  table.has_policy = part.Has(group + "swept");
  if (!table.has_policy) return table;
  COHORT_ASSIGN_OR_RETURN(const auto swept, part.ReadArray<std::int64_t>(group + "swept"));
  if (swept.size() != 1) return Error(ErrorCode::kCorrupt, group + "swept");
  p.swept = swept[0];
  COHORT_ASSIGN_OR_RETURN(p.sightings, part.ReadArray<std::uint64_t>(group + "sightings"));
  COHORT_ASSIGN_OR_RETURN(p.sketch_slots, part.ReadArray<std::uint32_t>(group + "sketch_slots"));
  COHORT_ASSIGN_OR_RETURN(p.sketch_added, part.ReadArray<std::uint64_t>(group + "sketch_added"));
  COHORT_ASSIGN_OR_RETURN(p.sketch_counters, part.ReadArray<std::uint8_t>(group + "sketch_counters"));
  return table;
}

Result<ShardState> Read(const ModelPartReader& part, std::span<const TableId> tables) {
  const auto bad = [](const char* what) { return Error(ErrorCode::kCorrupt, std::string("shard/") + what); };
  if (!part.Has("shard/closed")) {
    return Error(ErrorCode::kInvalidInput, "is a part of a model, which does not know how training went on");
  }
  ShardState state;
  COHORT_ASSIGN_OR_RETURN(const auto groups, part.ReadArray<std::uint8_t>("shard/groups"));
  if (groups.size() != kSlotGroupCount) return bad("groups");
  for (std::size_t group = 0; group < kSlotGroupCount; ++group) state.groups[group] = groups[group] != 0;
  COHORT_ASSIGN_OR_RETURN(const auto phase, part.ReadArray<std::int64_t>("shard/phase"));
  if (phase.size() != 2) return bad("phase");
  state.phase = static_cast<std::uint32_t>(phase[0]);
  state.first_clock = phase[1];
  COHORT_ASSIGN_OR_RETURN(state.closed, part.ReadArray<std::int64_t>("shard/closed"));
  COHORT_ASSIGN_OR_RETURN(const auto counts, part.ReadArray<std::uint64_t>("shard/counts"));
  if (counts.size() != 5 || state.closed.size() > kMostWorkers) return bad("counts");
  state.counts = {counts[0], counts[1], counts[2], counts[3], counts[4]};

  COHORT_ASSIGN_OR_RETURN(const auto worker, part.ReadArray<std::uint32_t>("shard/applied_worker"));
  COHORT_ASSIGN_OR_RETURN(const auto table, part.ReadArray<std::uint32_t>("shard/applied_table"));
  COHORT_ASSIGN_OR_RETURN(const auto node, part.ReadArray<std::uint32_t>("shard/applied_node"));
  COHORT_ASSIGN_OR_RETURN(const auto clock, part.ReadArray<std::int64_t>("shard/applied_clock"));
  COHORT_ASSIGN_OR_RETURN(const auto bits, part.ReadArray<std::uint64_t>("shard/applied_groups"));
  if (table.size() != worker.size() || node.size() != worker.size() || clock.size() != worker.size() ||
      bits.size() != worker.size() * kGroupWords) {
    return bad("applied_worker");
  }
  for (std::size_t i = 0; i < worker.size(); ++i) {
    if (worker[i] >= state.closed.size()) return bad("applied_worker");
    AppliedPart applied{
        worker[i], {clock[i], static_cast<TableId>(table[i]), static_cast<std::uint16_t>(node[i])}, {}};
    for (std::size_t group = 0; group < kSlotGroupCount; ++group)
      applied.groups[group] = (bits[i * kGroupWords + group / 64] >> group % 64 & 1) != 0;
    state.applied.push_back(applied);
  }
  COHORT_ASSIGN_OR_RETURN(const auto floor_worker, part.ReadArray<std::uint32_t>("shard/floor_worker"));
  COHORT_ASSIGN_OR_RETURN(const auto floor_group, part.ReadArray<std::uint32_t>("shard/floor_group"));
  COHORT_ASSIGN_OR_RETURN(const auto floor_clock, part.ReadArray<std::int64_t>("shard/floor_clock"));
  if (floor_group.size() != floor_worker.size() || floor_clock.size() != floor_worker.size())
    return bad("floor_worker");
  for (std::size_t i = 0; i < floor_worker.size(); ++i) {
    if (floor_worker[i] >= state.closed.size() || floor_group[i] >= kSlotGroupCount)
      return bad("floor_worker");
    state.floors.push_back({floor_worker[i], static_cast<std::uint16_t>(floor_group[i]), floor_clock[i]});
  }
  for (const TableId id : tables) {
    COHORT_ASSIGN_OR_RETURN(TableState found, ReadPolicy(part, id));
    state.tables.push_back(std::move(found));
  }
  return state;
}

}  // namespace

Status WriteShardState(const ShardState& state, ModelPartWriter* writer) {
  std::vector<std::uint8_t> groups(kSlotGroupCount);
  for (std::size_t group = 0; group < kSlotGroupCount; ++group) groups[group] = state.groups[group];
  COHORT_RETURN_IF_ERROR(Write(writer, "shard/groups", groups));
  COHORT_RETURN_IF_ERROR(Write<std::int64_t>(writer, "shard/phase", {state.phase, state.first_clock}));
  COHORT_RETURN_IF_ERROR(Write<std::int64_t>(writer, "shard/closed", state.closed));
  const ShardCounts& c = state.counts;
  COHORT_RETURN_IF_ERROR(Write<std::uint64_t>(
      writer, "shard/counts",
      {c.parts_acknowledged, c.parts_duplicated, c.absent_rows, c.non_finite, c.clipped_values}));

  const auto& applied = state.applied;
  using Part = const AppliedPart&;
  COHORT_RETURN_IF_ERROR(
      WriteFields<std::uint32_t>(writer, "shard/applied_worker", applied, [](Part p) { return p.worker; }));
  COHORT_RETURN_IF_ERROR(WriteFields<std::uint32_t>(writer, "shard/applied_table", applied,
                                                    [](Part p) { return p.push.table; }));
  COHORT_RETURN_IF_ERROR(
      WriteFields<std::uint32_t>(writer, "shard/applied_node", applied, [](Part p) { return p.push.node; }));
  COHORT_RETURN_IF_ERROR(
      WriteFields<std::int64_t>(writer, "shard/applied_clock", applied, [](Part p) { return p.push.clock; }));
  std::vector<std::uint64_t> bits(applied.size() * kGroupWords);
  for (std::size_t i = 0; i < applied.size(); ++i) {
    for (std::size_t group = 0; group < kSlotGroupCount; ++group)
      bits[i * kGroupWords + group / 64] |= std::uint64_t{applied[i].groups[group]} << group % 64;
  }
  COHORT_RETURN_IF_ERROR(Write(writer, "shard/applied_groups", bits));
  using Floor = const AppliedFloor&;
  COHORT_RETURN_IF_ERROR(WriteFields<std::uint32_t>(writer, "shard/floor_worker", state.floors,
                                                    [](Floor f) { return f.worker; }));
  COHORT_RETURN_IF_ERROR(
      WriteFields<std::uint32_t>(writer, "shard/floor_group", state.floors, [](Floor f) { return f.group; }));
  COHORT_RETURN_IF_ERROR(
      WriteFields<std::int64_t>(writer, "shard/floor_clock", state.floors, [](Floor f) { return f.clock; }));
  for (const TableState& table : state.tables) COHORT_RETURN_IF_ERROR(WritePolicy(table, writer));
  return {};
}

Result<ShardState> ReadShardState(const ModelPartReader& part, const std::string& path,
                                  std::span<const TableId> tables) {
  auto state = Read(part, tables);
  if (!state) {
    const Status& why = state.error();
    return Error(
        why.code(),
        path + ": " +
            (why.code() == ErrorCode::kCorrupt ? "what the shard was is not as it is written: " : "") +
            why.text());
  }
  return state;
}

}  // namespace cohort
