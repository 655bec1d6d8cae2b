#include "server/shard_state.h"

#include "common/byte_stream.h"

namespace cohort {

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
