// The small types that every role shares: keys, clocks, nodes, time.
#ifndef COHORT_COMMON_TYPES_H_
#define COHORT_COMMON_TYPES_H_

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <string>

namespace cohort {

// Names a row of a table. All 2^64 values are legal; none is reserved.
using Key = std::uint64_t;
using TableId = std::uint16_t;

// Counts a worker's mini-batches from 0. In bsp all workers share one count.
using Clock = std::int64_t;
// The clock of a worker without data: it has closed everything until the next phase.
inline constexpr Clock kClockInfinity = std::numeric_limits<Clock>::max();

// Keys map to slots, slots to shards (slot_map.h). A slot group is what moves between shards and what one `part` of
// a push covers: 64 consecutive slots.
inline constexpr int kSlotCount = 16384;
inline constexpr int kSlotGroupCount = 256;
inline constexpr int kSlotsPerGroup = kSlotCount / kSlotGroupCount;
inline constexpr int kMaxShards = kSlotGroupCount;
// Numbers of workers are below this, of those that come later as well; none is given twice in a run.
inline constexpr std::uint32_t kMaxWorkers = 4096;

// Who sends or receives a message. A server process runs several shards; each shard is a node of its own. A backup has
// the index of the shard that it follows.
enum class Role : std::uint8_t { kScheduler = 0, kShard = 1, kWorker = 2, kBackup = 3 };
const char* RoleName(Role role);

struct NodeId {
  Role role = Role::kScheduler;
  std::uint32_t index = 0;
  auto operator<=>(const NodeId&) const = default;
};
inline constexpr NodeId kSchedulerNode{Role::kScheduler, 0};
inline NodeId ShardNode(std::uint32_t index) { return {Role::kShard, index}; }
inline NodeId WorkerNode(std::uint32_t index) { return {Role::kWorker, index}; }
inline NodeId BackupNode(std::uint32_t index) { return {Role::kBackup, index}; }
std::string ToString(NodeId node);  // "worker 3"

// "Now" is always an argument: real drivers pass a steady clock, the simulation passes virtual time.
using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
inline constexpr TimePoint kNever = TimePoint::max();

enum class Consistency : std::uint8_t { kBsp = 0, kSsp = 1, kAsp = 2 };
const char* ConsistencyName(Consistency consistency);  // "bsp"
enum class Split : std::uint8_t { kTrain = 0, kValid = 1, kTest = 2 };
inline constexpr int kSplitCount = 3;
const char* SplitName(Split split);  // "train" | "valid" | "test"

}  // namespace cohort

template <>
struct std::hash<cohort::NodeId> {
  std::size_t operator()(const cohort::NodeId& node) const noexcept {
    return (static_cast<std::size_t>(node.role) << 32) ^ node.index;
  }
};

#endif  // COHORT_COMMON_TYPES_H_
