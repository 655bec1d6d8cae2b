#include "server/shard_state.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/byte_stream.h"

namespace cohort {
namespace {

Status Mismatch(const std::string& what) {
  return {ErrorCode::kCorrupt, "the parts' states do not fit together: " + what};
}

// Adds what a former shard knew of some slot groups of a table.
Status AddPolicy(const PolicyState& former, const OwnedGroups& groups, bool first, bool counts,
                 PolicyState* policy) {
  const auto concerns = [&groups](std::size_t slot) { return groups[slot / kSlotsPerGroup]; };
  policy->swept = first ? former.swept : std::min(policy->swept, former.swept);
  if (first) policy->sightings.resize(former.sightings.size());
  if (former.sightings.size() != policy->sightings.size() ||
      (!former.sightings.empty() && former.sightings.size() != kSlotCount))
    return Mismatch("sightings of other slots");
  for (std::size_t slot = 0; slot < former.sightings.size(); ++slot) {
    if (concerns(slot)) policy->sightings[slot] = former.sightings[slot];
  }
  const std::size_t sketches = former.sketch_slots.size();
  const std::size_t bytes = sketches == 0 ? 0 : former.sketch_counters.size() / sketches;
  if (former.sketch_added.size() != sketches || former.sketch_counters.size() != bytes * sketches ||
      (!policy->sketch_slots.empty() && sketches != 0 &&
       policy->sketch_counters.size() != bytes * policy->sketch_slots.size()))
    return Mismatch("sketches of other sizes");
  for (std::size_t i = 0; i < sketches; ++i) {
    if (former.sketch_slots[i] >= kSlotCount) return Mismatch("a sketch of no slot");
    if (!concerns(former.sketch_slots[i])) continue;
    policy->sketch_slots.push_back(former.sketch_slots[i]);
    policy->sketch_added.push_back(former.sketch_added[i]);
    const auto begin = former.sketch_counters.begin() + static_cast<std::ptrdiff_t>(i * bytes);
    policy->sketch_counters.insert(policy->sketch_counters.end(), begin,
                                   begin + static_cast<std::ptrdiff_t>(bytes));
  }
  if (!counts) return {};
  policy->not_admitted += former.not_admitted;
  policy->evicted_idle += former.evicted_idle;
  policy->evicted_memory += former.evicted_memory;
  return {};
}

}  // namespace

bool TakesCounts(const ShardState& former, const OwnedGroups& owned) {
  std::size_t first = 0;
  while (first < former.groups.size() && !former.groups[first]) ++first;
  return first < former.groups.size() && owned[first];
}

TakenClocks TakeOverClocks(const std::vector<ShardState>& former, const OwnedGroups& owned,
                           std::uint32_t workers, Clock phase_first, Clock first) {
  // closed[worker][group], of the groups that are here.
  std::vector<std::array<Clock, kSlotGroupCount>> closed(workers);
  for (auto& groups : closed) groups.fill(first - 1);
  for (const ShardState& state : former) {
    if (state.first_clock < phase_first) continue;
    for (std::uint32_t worker = 0; worker < std::min<std::size_t>(workers, state.closed.size()); ++worker) {
      for (std::size_t group = 0; group < kSlotGroupCount; ++group) {
        if (state.groups[group])
          closed[worker][group] = std::max(closed[worker][group], state.closed[worker]);
      }
    }
    for (const AppliedFloor& floor : state.floors) {
      Clock& clock = closed[floor.worker][floor.group];
      if (state.groups[floor.group]) clock = std::max(clock, floor.clock);
    }
  }
  TakenClocks taken{std::vector<Clock>(workers, kClockInfinity), AppliedPushes(workers)};
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    Clock& lowest = taken.closed[worker];
    for (std::size_t group = 0; group < kSlotGroupCount; ++group) {
      if (owned[group]) lowest = std::min(lowest, closed[worker][group]);
    }
    for (std::size_t group = 0; group < kSlotGroupCount; ++group) {
      if (owned[group] && closed[worker][group] > lowest)
        taken.applied.RaiseFloor(worker, static_cast<int>(group), closed[worker][group]);
    }
  }
  for (const ShardState& state : former) {
    if (state.first_clock < phase_first) continue;
    for (const AppliedPart& part : state.applied) {
      for (std::size_t group = 0; group < kSlotGroupCount; ++group) {
        if (part.groups[group] && state.groups[group] && owned[group] &&
            part.push.clock > taken.closed[part.worker])
          taken.applied.Mark(part.worker, part.push, static_cast<int>(group));
      }
    }
  }
  return taken;
}

Result<ShardState> StateOfGroups(const std::vector<ShardState>& former, const OwnedGroups& owned) {
  ShardState state;
  state.groups = owned;
  std::vector<ShardState> concerned;
  OwnedGroups found;
  for (const ShardState& each : former) {
    if ((found & each.groups).any()) return tl::unexpected(Mismatch("two have the same slot group"));
    found |= each.groups;
    if (each.closed.size() != former[0].closed.size() || each.tables.size() != former[0].tables.size())
      return tl::unexpected(Mismatch("other workers or tables"));
    if (each.first_clock > state.first_clock || each.phase > state.phase) {
      state.phase = each.phase;
      state.first_clock = each.first_clock;
    }
    if ((each.groups & owned).any()) concerned.push_back(each);
  }
  if ((owned & ~found).any()) return tl::unexpected(Mismatch("some slot groups are in none"));

  const auto workers = static_cast<std::uint32_t>(former[0].closed.size());
  TakenClocks taken = TakeOverClocks(concerned, owned, workers, state.first_clock, state.first_clock);
  state.closed = std::move(taken.closed);
  state.applied = taken.applied.Parts();
  state.floors = taken.applied.Floors();
  for (std::size_t each = 0; each < concerned.size(); ++each) {
    const ShardState& from = concerned[each];
    const bool counts = TakesCounts(from, owned);
    if (each == 0) state.tables.resize(from.tables.size());
    for (std::size_t i = 0; i < from.tables.size(); ++i) {
      TableState& table = state.tables[i];
      const TableState& before = from.tables[i];
      if (each == 0) table.table = before.table, table.has_policy = before.has_policy;
      if (table.table != before.table || table.has_policy != before.has_policy)
        return tl::unexpected(Mismatch("other tables or policies"));
      if (counts) table.clipped_weights += before.clipped_weights;
      if (const Status added =
              AddPolicy(before.policy, before.has_policy ? from.groups & owned : OwnedGroups(), each == 0,
                        counts, &table.policy);
          !added.ok())
        return tl::unexpected(added);
    }
    if (counts) state.counts += from.counts;
  }
  return state;
}

Buffer EncodeShardState(const ShardState& state) {
  ByteWriter out;
  out.Put(state.groups);
  out.Put(state.phase);
  out.Put(state.first_clock);
  out.PutList(state.closed);
  out.PutList(state.applied);
  out.PutList(state.floors);
  out.Put(state.counts);
  out.Put<std::uint64_t>(state.tables.size());
  for (const TableState& table : state.tables) {
    out.Put(table.table);
    out.Put(table.clipped_weights);
    out.Put<std::uint8_t>(table.has_policy);
    const PolicyState& policy = table.policy;
    out.Put(policy.swept);
    out.Put(policy.not_admitted);
    out.Put(policy.evicted_idle);
    out.Put(policy.evicted_memory);
    out.PutList(policy.sightings);
    out.PutList(policy.sketch_slots);
    out.PutList(policy.sketch_added);
    out.PutList(policy.sketch_counters);
  }
  return Buffer::Own(out.Take());
}

std::optional<ShardState> DecodeShardState(std::span<const std::byte> bytes) {
  ShardState state;
  ByteReader in(bytes);
  std::uint64_t tables = 0;
  bool ok = in.Get(&state.groups) && in.Get(&state.phase) && in.Get(&state.first_clock) &&
            in.GetList(&state.closed) && in.GetList(&state.applied) && in.GetList(&state.floors) &&
            in.Get(&state.counts) && in.Get(&tables);
  for (std::uint64_t i = 0; ok && i < tables; ++i) {
    TableState& table = state.tables.emplace_back();
    PolicyState& policy = table.policy;
    std::uint8_t has_policy = 0;
    ok = in.Get(&table.table) && in.Get(&table.clipped_weights) && in.Get(&has_policy) && has_policy <= 1 &&
         in.Get(&policy.swept) && in.Get(&policy.not_admitted) && in.Get(&policy.evicted_idle) &&
         in.Get(&policy.evicted_memory) && in.GetList(&policy.sightings) &&
         in.GetList(&policy.sketch_slots) && in.GetList(&policy.sketch_added) &&
         in.GetList(&policy.sketch_counters);
    table.has_policy = has_policy != 0;
  }
  if (!ok || !in.AtEnd()) return std::nullopt;
  return state;
}

}  // namespace cohort
