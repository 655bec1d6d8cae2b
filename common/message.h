// Every message that roles exchange: one plain struct each. This is the vocabulary of the protocol; docs/protocol.md
// gives the bytes, wire.h the encoding.
//
// Requests carry a request_id, unique per sender and incarnation; a request sent again carries the same id, and the
// reply repeats it. Every request may arrive twice, late or never: receivers answer a repeated one again and change
// nothing.
#ifndef COHORT_COMMON_MESSAGE_H_
#define COHORT_COMMON_MESSAGE_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/buffer.h"
#include "common/indirect.h"
#include "common/slot_map.h"
#include "common/table_spec.h"
#include "common/types.h"

namespace cohort {

using RequestId = std::uint64_t;

// The part of the header that roles read: who speaks, and how new what it knows is.
struct Stamp {
  NodeId sender;
  std::uint64_t run_id = 0;       // not "accidentally talking to the wrong run"
  std::uint32_t epoch = 0;        // raised by a rollback
  std::uint32_t incarnation = 0;  // raised when a process is replaced
  std::uint32_t term = 0;         // raised when the scheduler is replaced
  std::uint32_t generation = 0;   // of the slot map
};

// ---------------------------------------------------------------- data plane: worker <-> shard

// What a pull hands out for a key without a row: its initial values (training), or zeros (evaluation, scoring).
// Neither creates the row; only an applied push does.
enum class AbsentRow : std::uint8_t { kInitial = 0, kZero = 1 };

struct PullRequest {
  RequestId request_id = 0;
  std::uint32_t phase = 0;
  Clock clock = 0;  // answered when every member's pushes up to clock - 1 - staleness are applied
  TableId table = 0;
  AbsentRow absent = AbsentRow::kInitial;
  Buffer keys;  // Key[n], ascending by ring position, all of the receiving shard
  // A push will name its rows by their places in `keys`: remember them. The keys are distinct then.
  bool keep = false;
  FloatType type =
      FloatType::kFloat32;  // of the answer's values: the table's pull_values for kInitial, else float32
};
struct PullReply {
  RequestId request_id = 0;
  TableId table = 0;
  std::uint32_t dim = 0;
  std::uint32_t absent_rows = 0;  // how many of the keys had no row
  Buffer values;                  // n * dim of `type`, row i belongs to keys[i]
  FloatType type = FloatType::kFloat32;
  // All members' pushes up to this clock are in `values` (those of later ones may be): how long they may serve again.
  Clock applied_to = -1;
};
// A pull waits for a slower worker: the shard says for whom, so that the puller's deadline and hang report can name it.
struct PullParked {
  RequestId request_id = 0;
  std::uint32_t waiting_for = 0;  // worker index
  Clock its_closed = 0;           // the highest clock that worker has closed here
};

// The rows of a push that fall into one slot group; whole groups only, a group's rows never span two messages.
struct GroupRun {
  std::uint32_t group = 0;
  std::uint32_t rows = 0;
};
// Gradients of one sub-tree of slices (gradient_tree.h) of the worker's batch at `clock`. The push's parts, each
// counted once, are (worker, clock, table, node, group) for every run.
//
// Rows are named by their keys, or by their places in a pull of the same worker, table and clock that was asked to be
// kept. A shard that has forgotten the pull says so (kUnknownPull); the same push then comes again with keys.
struct PushRequest {
  RequestId request_id = 0;
  std::uint32_t phase = 0;
  Clock clock = 0;
  TableId table = 0;
  std::uint16_t node = 1;  // 1 is the root: the whole batch
  std::uint32_t dim = 0;
  Buffer runs;    // GroupRun[], ascending group; rows sum to n
  Buffer keys;    // Key[n], ascending by ring position, distinct; empty when `pull` names the rows
  Buffer values;  // n * dim of `type`
  Buffer
      counts;  // uint32[n], how often each key occurred; empty unless the table's policy asks (RowPolicySpec)
  RequestId pull = 0;  // a PullRequest's id; 0: `keys` names the rows
  Buffer rows;  // uint32[n], ascending, distinct, of that pull's keys; empty: all of them. Only with `pull`
  FloatType type = FloatType::kFloat32;  // of the values: the table's push_values
};
struct PushReply {
  RequestId request_id = 0;
  std::uint32_t applied_parts = 0;
  std::uint32_t duplicate_parts = 0;  // had been held or applied before; nothing was changed
};

// The worker has closed `clock`: every shard has acknowledged all its pushes up to it. kClockInfinity: no more data in
// this phase.
struct CloseRequest {
  RequestId request_id = 0;
  std::uint32_t phase = 0;
  Clock clock = 0;
};
struct CloseReply {
  RequestId request_id = 0;
};

enum class ErrorReason : std::uint8_t {
  kMalformed = 0,  // sizes or values that cannot be; sending it again is useless
  kUnknownTable,
  kWrongShard,  // a key of a slot that is not mine: refresh the slot map, then send again
  kStaleGeneration,
  kStaleIncarnation,
  kStalePhase,   // of an earlier phase: drop it
  kFuturePhase,  // of a phase that I have not heard of yet: send again later
  kNotReady,     // not registered or still loading: send again later
  kWrongRun,
  kUnknownPull,  // a push names rows by a pull that I do not know: send it again with keys
};
struct ErrorReply {
  RequestId request_id = 0;
  ErrorReason reason = ErrorReason::kMalformed;
  std::string text;
};

// ---------------------------------------------------------------- control plane: everyone <-> scheduler

struct Register {
  RequestId request_id = 0;
  std::uint32_t server = 0;  // a shard's server process
  std::string endpoint;      // where a shard listens; empty for workers
  std::string host;
  std::uint64_t pid = 0;
  std::string kernels;  // "avx2" | "avx512" | "avx512_bf16": what this host can run
};
// Not everyone is here yet.
struct RegisterPending {
  RequestId request_id = 0;
  std::string waiting_for;  // "shard 1, worker 0"
};
// What a node must know to take part. Sent when all have registered (and again to whoever asks again).
struct Welcome {
  RequestId request_id = 0;
  std::uint32_t term = 0;
  std::uint32_t worker_count = 0;  // at the run's start; who takes part in a phase, its order says
  std::uint64_t seed = 0;
  Consistency consistency = Consistency::kBsp;
  std::uint32_t staleness = 0;
  std::uint32_t slices = 1;
  Indirect<SlotMap> slot_map;
  std::vector<std::string> shard_endpoints;  // by shard index
  std::vector<TableSpec> tables;
  std::string run_config;  // the resolved run configuration, so that all roles work from one text (config.h)
  std::string model_path;  // a model to load before taking part; empty: start from initial values
  std::string kernels;     // the lowest common path, to be used by all
  bool resume =
      false;  // model_path is a checkpoint: clocks, applied pushes and policies' state are taken over too
  std::string checkpoint_path;  // folder of the run's checkpoints; empty: there are none
  RequestId orders_from = 0;    // orders with lower ids were for an earlier life of the receiver
  std::uint64_t checkpoint_every =
      0;  // bsp: shards write one whenever so many more clocks are applied; 0: on order only
};

// Where a worker's time in training goes; the parts of a step add up to its wall time (worker/trainer.h).
enum class StepPart : std::uint8_t {
  kRead = 0,
  kDistinct,
  kPullWait,
  kForward,
  kBackward,
  kPushWait,
  kCount
};
inline constexpr const char* kStepPartNames[] = {"read",    "distinct", "pull_wait",
                                                 "forward", "backward", "push_wait"};

// Cumulative since the process started, so that a lost heartbeat loses nothing.
struct Counters {
  Clock clock = 0;                  // worker: current; shard: lowest closed by all
  std::uint64_t samples = 0;        // worker
  std::vector<double> loss_sum;     // worker, by task, of the current phase: weighted sum over labelled rows
  std::vector<double> loss_weight;  // worker, by task
  std::uint64_t rows = 0;           // shard: rows held
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t pushes_acknowledged = 0;  // shard: parts
  std::uint64_t pushes_duplicated = 0;    // shard: parts that came again and were not counted again
  std::uint64_t pulls_served = 0;         // shard: rows
  std::uint64_t pulls_parked = 0;         // shard: requests
  std::uint64_t retries = 0;              // requests sent again
  std::uint64_t absent_rows = 0;      // pulled rows without an entry, in evaluation and scoring: defaulted
  std::uint64_t bad_frames = 0;       // frames refused
  std::uint64_t refused_peers = 0;    // connections refused (transport.h)
  std::uint64_t cached_rows = 0;      // worker: pulled rows that its cache had
  std::uint64_t nan_gradients = 0;    // shard: values refused
  std::uint64_t clipped_weights = 0;  // shard: values too large for the table's dtype
  std::uint64_t not_admitted = 0;     // shard: gradients dropped, one a row, because their keys have no row
  std::uint64_t evicted_idle = 0;     // shard: rows
  std::uint64_t evicted_memory = 0;   // shard: rows
  std::uint64_t pulls_forgotten = 0;  // shard: kept pulls let go for want of room
  std::uint64_t clipped_values = 0;   // beyond what a 16-bit value can say, made the largest one (float16.h)
  std::uint64_t clipped_gradients = 0;  // worker: of slices, by train.clip_norm
  std::uint64_t cold_rows = 0;          // shard: rows that lie on disk
  std::uint64_t rows_read = 0;          // shard: rows read from disk
  std::uint64_t queue_depth = 0;        // shard: parked pulls and pushes; worker: outstanding requests
  std::uint64_t memory_bytes = 0;       // resident
  std::uint64_t peak_memory_bytes = 0;
  double busy_seconds = 0;                // CPU time
  std::vector<double> step_seconds;       // worker: by StepPart
  std::vector<std::uint64_t> step_times;  // worker: training steps by their duration (duration_histogram.h)

  template <class Archive>
  void serialize(Archive& archive) {
    archive(clock, samples, loss_sum, loss_weight, rows, bytes_received, bytes_sent, pushes_acknowledged,
            pushes_duplicated, pulls_served, pulls_parked, retries, absent_rows, bad_frames, refused_peers,
            cached_rows, nan_gradients, clipped_weights, not_admitted, evicted_idle, evicted_memory,
            pulls_forgotten, clipped_values, clipped_gradients, cold_rows, rows_read, queue_depth,
            memory_bytes, peak_memory_bytes, busy_seconds, step_seconds, step_times);
  }
};
struct Heartbeat {
  RequestId request_id = 0;
  std::uint32_t phase = 0;
  Indirect<Counters> counters;
  std::string waiting;  // what for, from whom, since when; empty when working
};
struct HeartbeatReply {
  RequestId request_id = 0;
};

enum class PhaseKind : std::uint8_t { kTrain = 0, kEvaluate, kScore, kStop };
// Shards hear of a phase first; workers when every shard has confirmed. Phases start at a clock that all members have
// closed before.
struct PhaseOrder {
  RequestId request_id = 0;
  std::uint32_t phase = 0;  // 1, 2, …
  PhaseKind kind = PhaseKind::kTrain;
  std::uint32_t epoch = 0;
  Split split = Split::kTrain;
  Clock first_clock = 0;
  std::string reason;  // kStop: empty when all is well, else why the run ends
  // kTrain: the clocks before it, from first_clock on, are done: by an earlier life of the receiver, or before a
  // checkpoint. Else, and without such, first_clock.
  Clock resume_clock = 0;
  // Who takes part, ascending; kStop: nobody. In bsp a worker's place in it says which slices are its own.
  std::vector<std::uint32_t> workers;
};
struct PhaseReply {
  RequestId request_id = 0;
};
// A worker has finished its part of the phase.
struct PhaseDone {
  RequestId request_id = 0;
  std::uint32_t phase = 0;
  Clock next_clock = 0;  // the first clock it has not used
  Indirect<Counters> counters;  // final for the phase
  Buffer evaluation;     // kEvaluate: what the worker's rows come to (evaluation_sums.h); else empty
};

// A lease of blocks of a split (dataset.h), in the order of the phase's epoch: batches of `batch_rows` from
// `first_clock` on.
struct LeaseRequest {
  RequestId request_id = 0;
  std::uint32_t phase = 0;
  Clock next_clock = 0;
};
struct LeaseReply {
  RequestId request_id = 0;
  bool granted = false;  // false: the phase has no more data
  std::uint64_t lease = 0;
  std::uint64_t first_block = 0;
  std::uint64_t block_count = 0;
  Clock first_clock = 0;
  std::uint32_t batch_rows = 0;
};

// Predictions of consecutive rows of a split.
struct ScoreBlock {
  RequestId request_id = 0;
  std::uint32_t phase = 0;
  std::uint64_t lease = 0;
  bool last_of_lease = false;
  std::uint64_t first_row = 0;
  std::uint32_t rows = 0;
  std::uint32_t prediction_columns = 0;
  Buffer predictions;  // float[rows * prediction_columns]
};

struct SnapshotOrder {
  RequestId request_id = 0;
  std::string directory;  // exists
};
struct SnapshotDone {
  RequestId request_id = 0;
  std::string error;  // empty when written
  std::string file;   // name within the directory
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;  // XXH3-64 of the file
  std::uint64_t rows = 0;
  std::uint64_t hash_low = 0;  // sum of row hashes mod 2^128 (server/snapshot.h)
  std::uint64_t hash_high = 0;
};

// A worker is dead, or taken for dead: from now on its messages of an incarnation below this one are refused. Or it comes in
// the middle of a phase, which has leases.
struct FenceOrder {
  RequestId request_id = 0;
  std::uint32_t worker = 0;
  std::uint32_t incarnation = 0;
  std::uint32_t phase = 0;  // not 0: if this one goes on, the worker takes part in it from now on
  Clock closed = -1;        // that the worker counts as having closed in it, at least
};
struct FenceDone {
  RequestId request_id = 0;
  Clock closed = 0;  // the highest clock that the worker has closed at this shard in this phase
};

// ssp, asp: write a checkpoint of the state as it is on arrival. In bsp shards begin by themselves (Welcome).
struct CheckpointOrder {
  RequestId request_id = 0;
  std::uint64_t number = 0;
};
// A file below a shard's part of an incremental checkpoint: its part of a former one, written for checkpoint `number`.
struct PartLayer {
  std::uint64_t number = 0;
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;  // XXH3-64
  bool operator==(const PartLayer&) const = default;
};
// A shard's part of a checkpoint is on disk, synced: rows, clocks, applied pushes, policies' state, all of one instant.
struct CheckpointDone {
  RequestId request_id = 0;
  std::uint64_t number = 0;  // bsp: clocks applied, so that the state is that after clock number - 1
  std::string error;         // empty when written
  std::string file;          // within the checkpoint's folder (checkpoint_files.h)
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;  // XXH3-64 of the file
  std::uint64_t rows = 0;      // of all layers
  std::uint64_t hash_low = 0;  // sum of row hashes mod 2^128; of the file's, if there are layers
  std::uint64_t hash_high = 0;
  std::uint32_t phase = 0;        // that the shard was in
  std::vector<Clock> closed;      // by worker, at that instant
  std::vector<PartLayer> layers;  // the oldest first; none: the file has all rows
};

// ---------------------------------------------------------------- a shard and its backup (docs/recovery.md)
//
// What changes a shard is sent on to its backup, which does the same in the same order: numbered from 2^32 x the backup's
// incarnation + 1 on, sent again until acknowledged. What a shard tells others of it waits until the backup has it.

// A push that the shard holds or applies; its rows are named by keys.
struct ReplicaPush {
  RequestId request_id = 0;  // its number
  std::uint32_t worker = 0;
  PushRequest push;
};
struct ReplicaEvent {
  enum class Kind : std::uint8_t { kClose = 0, kPhase, kFence, kJoin };
  RequestId request_id = 0;  // its number
  Kind kind = Kind::kClose;
  std::uint32_t worker = 0;       // kClose, kFence, kJoin
  Clock clock = 0;                // kClose
  std::uint32_t incarnation = 0;  // kFence
  PhaseOrder phase;               // kPhase
};
// A new backup gets the rows as they were at one instant (server/table_copy.h) …
struct ReplicaRows {
  RequestId request_id = 0;  // its number
  TableId table = 0;
  Buffer positions;   // uint64[n], on the ring
  Buffer words;       // float[n x words of a row], as they lie in memory
  Buffer statistics;  // uint64[n]; empty if the table keeps none
};
// … and then what the shard was beside them. What came in between is done after it.
struct ReplicaState {
  RequestId request_id = 0;  // its number
  PhaseOrder phase;          // that the shard was in; phase 0: in none
  Buffer state;              // server/shard_state.h
};
// Everything up to this number is here.
struct ReplicaAck {
  RequestId request_id = 0;  // its number
};
// To a shard: send everything to this backup, the state first; without an endpoint there is no backup any more.
struct BackupOrder {
  RequestId request_id = 0;
  std::string endpoint;
  std::uint32_t incarnation = 0;  // of the backup
};
// The backup has the whole state, and can take the shard's place.
struct BackupReady {
  RequestId request_id = 0;
};
// To a backup: its shard is dead; be that shard, in this incarnation.
struct PromoteOrder {
  RequestId request_id = 0;
  std::uint32_t incarnation = 0;
};
// To a worker: a shard is at another place now.
struct ShardMoved {
  RequestId request_id = 0;
  std::uint32_t shard = 0;
  std::string endpoint;
  std::uint32_t incarnation = 0;
};

// A node cannot go on: the scheduler ends the run with this text.
struct Failure {
  RequestId request_id = 0;
  std::string text;
};
struct Ack {
  RequestId request_id = 0;
};
// What the user should know; the run goes on.
struct Warning {
  RequestId request_id = 0;
  std::string text;
};

using Message =
    std::variant<PullRequest, PullReply, PullParked, PushRequest, PushReply, CloseRequest, CloseReply,
                 ErrorReply, Register, RegisterPending, Welcome, Heartbeat, HeartbeatReply, PhaseOrder,
                 PhaseReply, PhaseDone, LeaseRequest, LeaseReply, ScoreBlock, SnapshotOrder, SnapshotDone,
                 Failure, Ack, Warning, FenceOrder, FenceDone, CheckpointOrder, CheckpointDone, ReplicaPush,
                 ReplicaEvent, ReplicaRows, ReplicaState, ReplicaAck, BackupOrder, BackupReady, PromoteOrder,
                 ShardMoved>;

}  // namespace cohort

#endif  // COHORT_COMMON_MESSAGE_H_
