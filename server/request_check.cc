#include "server/request_check.h"

#include <bit>
#include <cstring>
#include <utility>

#include "common/float16.h"
#include "common/gradient_tree.h"

namespace cohort {
namespace {

RequestFault Malformed(std::string text) { return {ErrorReason::kMalformed, std::move(text)}; }

RequestFault WrongType(FloatType found, FloatType agreed, const TableSpec& table) {
  return Malformed(std::string("values in ") + FloatTypeName(found) + " for table " + table.name +
                   ", which has " + FloatTypeName(agreed) + " here");
}

// Whether an array's bytes are whole elements, aligned for them.
template <typename T>
bool Holds(const Buffer& buffer) {
  return buffer.size() % sizeof(T) == 0 && reinterpret_cast<std::uintptr_t>(buffer.data()) % alignof(T) == 0;
}

std::optional<RequestFault> CheckKeys(const TableSpec& table, const OwnedGroups& owned, bool distinct,
                                      const Buffer& buffer, std::vector<std::uint64_t>* positions) {
  if (!Holds<Key>(buffer)) return Malformed("keys of " + std::to_string(buffer.size()) + " bytes");
  const std::span<const Key> keys = buffer.As<Key>();
  if (keys.size() > kMaxRequestBytes / sizeof(float) / table.dim) {
    return Malformed(std::to_string(keys.size()) + " rows in one message; send fewer");
  }
  positions->resize(keys.size());
  std::uint64_t* const out = positions->data();
  const bool dense = table.kind == TableKind::kDense;
  if (dense) {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (keys[i] >= table.row_count) {
        return Malformed("row " + std::to_string(keys[i]) + " of table " + table.name + ", which has " +
                         std::to_string(table.row_count));
      }
      out[i] = RingPosition(TableKind::kDense, table.row_count, keys[i]);
    }
  } else {
    for (std::size_t i = 0; i < keys.size(); ++i) out[i] = Mix64(keys[i]);
  }
  for (std::size_t i = 1; i < keys.size(); ++i) {
    if (out[i - 1] > out[i] || (distinct && out[i - 1] == out[i])) {
      return Malformed("key " + std::to_string(i) + " does not lie behind its predecessor on the ring");
    }
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const int group = GroupOf(out[i]);
    if (owned[static_cast<std::size_t>(group)]) continue;
    return RequestFault{ErrorReason::kWrongShard, "slot group " + std::to_string(group) + " is not here"};
  }
  return std::nullopt;
}

// The owned groups need no look: the pull was answered here.
std::optional<RequestFault> CheckRowsOfPull(const PushRequest& request, const KeptPull& pull) {
  if (pull.table != request.table || pull.clock != request.clock) {
    return Malformed("it names a pull of table " + std::to_string(pull.table) + " at clock " +
                     std::to_string(pull.clock));
  }
  if (!request.keys.empty()) return Malformed("both keys and a pull name its rows");
  if (!Holds<std::uint32_t>(request.rows)) {
    return Malformed("rows of " + std::to_string(request.rows.size()) + " bytes");
  }
  const std::span<const std::uint32_t> rows = request.rows.As<std::uint32_t>();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] >= pull.size() || (i > 0 && rows[i - 1] >= rows[i])) {
      return Malformed("row " + std::to_string(rows[i]) + " of a pull of " + std::to_string(pull.size()) +
                       " rows, named as number " + std::to_string(i));
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<RequestFault> CheckPull(const PullRequest& request, const TableSpec& table,
                                      const OwnedGroups& owned, std::vector<std::uint64_t>* positions) {
  if (request.absent != AbsentRow::kInitial && request.absent != AbsentRow::kZero) {
    return Malformed("absent = " + std::to_string(static_cast<int>(request.absent)));
  }
  const FloatType agreed = request.absent == AbsentRow::kInitial ? table.pull_values : FloatType::kFloat32;
  if (request.type != agreed) return WrongType(request.type, agreed, table);
  return CheckKeys(table, owned, /*distinct=*/request.keep, request.keys, positions);
}

std::optional<RequestFault> CheckPush(const PushRequest& request, const TableSpec& table,
                                      const OwnedGroups& owned, const KeptPull* pull,
                                      std::vector<std::uint64_t>* positions) {
  if (request.dim != table.dim) {
    return Malformed("dim " + std::to_string(request.dim) + " for table " + table.name + " of dim " +
                     std::to_string(table.dim));
  }
  if (request.type != table.push_values) return WrongType(request.type, table.push_values, table);
  if (pull == nullptr) {
    if (auto fault = CheckKeys(table, owned, /*distinct=*/true, request.keys, positions)) return fault;
  } else if (auto fault = CheckRowsOfPull(request, *pull)) {
    return fault;
  }
  const std::size_t value_bytes = SizeOf(request.type);
  if (!Holds<GroupRun>(request.runs) || !Holds<std::uint16_t>(request.values) ||
      reinterpret_cast<std::uintptr_t>(request.values.data()) % value_bytes != 0) {
    return Malformed("runs of " + std::to_string(request.runs.size()) + " bytes, values of " +
                     std::to_string(request.values.size()));
  }
  // Where the i-th row of the push lies on the ring.
  const std::uint32_t* const named = request.rows.empty() ? nullptr : request.rows.As<std::uint32_t>().data();
  const auto position_of = [&](std::size_t i) {
    if (pull == nullptr) return (*positions)[i];
    return pull->positions[named == nullptr ? i : named[i]];
  };
  const std::size_t rows = pull == nullptr    ? positions->size()
                           : named == nullptr ? pull->size()
                                              : request.rows.size() / sizeof(std::uint32_t);
  if (request.values.size() != rows * table.dim * value_bytes) {
    return Malformed(std::to_string(request.values.size()) + " bytes of values for " + std::to_string(rows) +
                     " rows of dim " + std::to_string(table.dim));
  }
  if (!Holds<std::uint32_t>(request.counts) ||
      request.counts.size() != (table.policy.NeedsCounts() ? rows * sizeof(std::uint32_t) : 0)) {
    return Malformed(std::to_string(request.counts.size()) + " bytes of counts for " + std::to_string(rows) +
                     " rows of table " + table.name + ", whose policy needs " +
                     (table.policy.NeedsCounts() ? "4 a row" : "none"));
  }
  for (const std::uint32_t count : request.counts.As<std::uint32_t>()) {
    if (count == 0) return Malformed("a key that occurred 0 times");
  }
  std::size_t first = 0;
  std::int64_t last_group = -1;
  for (const GroupRun& run : request.runs.As<GroupRun>()) {
    if (run.group <= last_group || run.group >= kSlotGroupCount) {
      return Malformed("slot group " + std::to_string(run.group) + " after " + std::to_string(last_group));
    }
    if (run.rows == 0 || run.rows > rows - first) {
      return Malformed("slot group " + std::to_string(run.group) + " claims " + std::to_string(run.rows) +
                       " of " + std::to_string(rows - first) + " rows left");
    }
    const int expected = static_cast<int>(run.group);
    // Positions ascend: the ends tell for all between.
    if (GroupOf(position_of(first)) != expected || GroupOf(position_of(first + run.rows - 1)) != expected) {
      return Malformed("keys of another slot group in the run of " + std::to_string(run.group));
    }
    last_group = run.group;
    first += run.rows;
  }
  if (first != rows) {
    return Malformed("runs of " + std::to_string(first) + " rows for " + std::to_string(rows) + " keys");
  }
  return std::nullopt;
}

bool NodeIsOfWorker(Consistency consistency, std::uint32_t slices, std::uint32_t workers,
                    std::uint32_t worker, std::uint16_t node) {
  if (consistency != Consistency::kBsp) return node == 1;
  if (node == 0 || node >= 2 * slices) return false;
  const SliceRange mine = SlicesOfWorker(slices, workers, worker);
  const auto inside = [&](SliceRange range) { return mine.begin <= range.begin && range.end <= mine.end; };
  return inside(SlicesOfNode(slices, node)) &&
         (node == 1 || !inside(SlicesOfNode(slices, static_cast<std::uint16_t>(node / 2))));
}

}  // namespace cohort
