// ParameterClient: a worker's side of the data plane: pulls, pushes and closes, cut by shard and slot group,
// sent within credits, sent again until answered, each answer counted once. START HERE for the protocol of
// section "Data plane" of docs/protocol.md. A plain state machine (node.h): one thread, virtual or real time;
// its owner forwards messages of shards and timers to it.
//
//   Pull/Push/Close ─► request per shard ─► credit? ─► outstanding ─► reply: counted once, credit given back
//                                             │ no        │  ▲
//                                             ▼           └──┘ every `retry`: sent again with the same id
//                                        lane's queue
//
// A push by rows refers to the requests of its pull, so both are cut at the same places: whole slot groups of one shard,
// about request_rows rows.
//
// Each shard has two lanes with a credit each: pulls, and pushes with closes; a pull that is parked at the
// shard never delays a push.
//
// In ssp and asp a pull of training may be served, row by row, by what earlier pulls brought (hot_rows.h), if it shows
// no less than the shard would have to show now: in ssp all pushes up to clock - 1 - staleness. Where the
// cache had a row of a request, its rows are pushed by keys.
//
// Values are floats here; on the wire they are what their table says (TableSpec::pull_values, push_values).
//
// No wait is without end: failure() tells when a shard has been silent for `request_deadline`, when a request
// has not been answered within `wait_deadline` although its shard lives (a pull parked behind a slow worker),
// or when a shard refused a request for good. It never becomes ok again. Deadlines are looked at when a
// request is due to be sent again, so they are exact to one `retry`.
#ifndef COHORT_WORKER_PARAMETER_CLIENT_H_
#define COHORT_WORKER_PARAMETER_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/buffer_pool.h"
#include "common/message.h"
#include "common/node.h"
#include "common/status.h"
#include "common/table_spec.h"
#include "common/types.h"
#include "worker/hot_rows.h"

namespace cohort {

// Cumulative since construction.
struct ParameterClientCounters {
  std::uint64_t pulls = 0;  // requests sent (each counted once, however often it was sent again)
  std::uint64_t pushes = 0;
  std::uint64_t closes = 0;
  std::uint64_t retries = 0;        // requests sent again
  std::uint64_t parked = 0;         // PullParked notices that belonged to an outstanding pull
  std::uint64_t unknown_pulls = 0;  // pushes by rows whose pull the shard had forgotten: sent again with keys
  std::uint64_t refused = 0;  // ErrorReplies after which the request is sent again (not ready, future phase)
  std::uint64_t stale_replies = 0;  // late or repeated replies, ignored
  std::uint64_t credit_waits = 0;   // requests that had to wait for credit
  std::uint64_t held_closes = 0;    // closes that had to wait for acknowledgements
  std::uint64_t bytes_pulled = 0;   // values received
  std::uint64_t bytes_pushed = 0;   // keys or rows, and values, acknowledged
  std::uint64_t absent_rows = 0;    // pulled rows that no shard had
  std::uint64_t cached_rows = 0;    // pulled rows that the cache had
  std::uint64_t parts_applied = 0;  // as the shards acknowledged them
  std::uint64_t parts_duplicated = 0;
  std::uint64_t clipped_values = 0;  // of pushes, beyond what a 16-bit value can say (float16.h)
};

// Bugs that the simulation plants to show that it would find them (tests/simulation). Never set elsewhere.
struct ParameterClientFaults {
  bool close_before_acknowledgements = false;
  bool cache_beyond_the_bound = false;  // rows serve one clock too long
};

class ParameterClient {
 public:
  struct Options {
    Duration retry = std::chrono::seconds(1);              // until a request without reply is sent again
    Duration request_deadline = std::chrono::seconds(60);  // of silence of a shard that owes a reply
    Duration wait_deadline = std::chrono::seconds(600);    // from first sent to answered, parked or not
    std::uint64_t credit_bytes = 16u << 20;  // outstanding per shard and lane; one request may exceed it
    std::uint32_t request_rows =
        4096;  // per pull or push message, about; of more than 16 floats: fewer, as many bytes
    // Rows of each sparse table to keep for later pulls of training, 0: none. Not in bsp, where none may serve twice.
    std::uint64_t cache_rows = 0;
    // asp: clocks of this worker for which a row may serve; ssp: the staleness says.
    std::uint32_t cache_max_age = 0;
    // Part of request ids, so that an answer to a predecessor's request is never taken for one to ours.
    std::uint32_t incarnation = 0;
  };
  // Names a Pull or Push of this client.
  using Ticket = std::uint64_t;

  explicit ParameterClient(NodeId self, Options options, ParameterClientFaults faults = {});

  // Tables and slot map. Before anything else; again when the scheduler has changed the map. REQUIRES:
  // nothing outstanding.
  void SetView(const Welcome& welcome);
  // Clocks of earlier phases are forgotten. REQUIRES: nothing outstanding.
  void BeginPhase(std::uint32_t phase);

  // Asks for rows. `keys` is Key[n], ascending by ring position, distinct. Row i is written to values[i *
  // dim], as replies arrive; `values` belongs to the caller and must stay until Done. `keep`: the clock's pushes
  // will be by PushRows.
  Ticket Pull(TableId table, Clock clock, AbsentRow absent, Buffer keys, float* values, TimePoint now,
              Outbox& out, bool keep = false);
  // Sends the gradients of one sub-tree of slices (gradient_tree.h): `keys` as above, `values` float[n *
  // dim]. `counts`, how often each key occurred, is uint32[n] if the table's policy needs counts, else empty.
  // Requests hold whole slot groups and refer to parts of the buffers. REQUIRES: clock is not closed.
  Ticket Push(TableId table, Clock clock, std::uint16_t node, Buffer keys, Buffer values, TimePoint now,
              Outbox& out, Buffer counts = {});
  // The same for rows of a pull, at its clock: their keys do not travel a second time. `rows` is uint32[n], the
  // places of the rows in the pull's keys, ascending, distinct; empty: all of them. REQUIRES: the pull was asked to be
  // kept and is done; its clock is not closed.
  Ticket PushRows(Ticket pull, std::uint16_t node, Buffer rows, Buffer values, TimePoint now, Outbox& out,
                  Buffer counts = {});
  // Tells every shard that all clocks up to this one are closed, as soon as all pushes up to it are
  // acknowledged. REQUIRES: higher than every clock closed before in this phase; no push up to it comes
  // after.
  void Close(Clock clock, TimePoint now, Outbox& out);

  // Every shard has answered; `values` of a pull are complete.
  bool Done(Ticket ticket) const;
  // Every shard has acknowledged a close of this clock or of a higher one of this phase.
  bool ClosedEverywhere(Clock clock) const;
  std::size_t outstanding() const {
    return requests_.size() - free_.size();
  }  // requests not answered, sent or not

  // A shard is another process now, which the driver has connected to: it gets at once what its former one has not
  // answered.
  void OnShardMoved(const ShardMoved& moved, TimePoint now, Outbox& out);
  // True: the message came from a shard and has been dealt with.
  bool OnMessage(const Stamp& from, Message& message, TimePoint now, Outbox& out);
  void OnTimer(TimePoint now, Outbox& out);
  TimePoint NextTimer() const;

  const Status& failure() const { return failure_; }
  // What for, from whom, since when; empty when nothing is outstanding. For heartbeats and hang reports.
  std::string Waiting(TimePoint now) const;
  const ParameterClientCounters& counters() const { return counters_; }

 private:
  // An id: 12 bits of incarnation, 32 of sequence, and its place in the slab, so that a reply finds its request
  // without a search.
  static constexpr int kSequenceBits = 32;
  static constexpr int kSlotBits = 20;
  static constexpr std::uint64_t kSlotMask = (1u << kSlotBits) - 1;
  static constexpr std::uint32_t kNone = ~0u;

  enum class Kind : std::uint8_t { kPull, kPush, kClose };
  struct Request {
    RequestId id = 0;  // incarnation, sequence, index in requests_; 0: free
    Kind kind = Kind::kPull;
    bool sent = false;
    std::uint32_t shard = 0;
    std::uint32_t next = kNone;  // behind it in its lane
    std::uint32_t ticket_slot = 0;
    TableId table = 0;
    AbsentRow absent = AbsentRow::kInitial;
    std::uint16_t node = 0;
    std::uint32_t dim = 0;
    Clock clock = 0;
    std::uint64_t bytes = 0;               // of credit
    bool keep = false;                     // pull
    FloatType type = FloatType::kFloat32;  // of the values, as they travel
    Buffer keys, values, runs, counts;
    RequestId pull =
        0;  // push by rows: the request that pulled them; `keys` are its keys, in case it is forgotten
    // Push by rows: of that pull, as in PushRequest. Pull: where its rows belong in `target`, when not one after the
    // other (uint32[n], the cache had those between).
    Buffer rows;
    float* target = nullptr;  // where a pull's values go
    TimePoint first_sent{};
    bool parked = false;
    std::uint32_t parked_behind = 0;  // worker index
    Clock parked_closed = 0;          // what it has closed
  };
  struct Lane {
    std::uint64_t outstanding_bytes = 0;
    // The requests that wait for credit, linked by `next`; as indices in requests_.
    std::uint32_t first = kNone, last = kNone;
  };
  struct Shard {
    Lane pulls, pushes;
    TimePoint last_heard{};
    std::uint32_t incarnation = 0;  // the newest heard of
    Clock closed = -1;              // acknowledged
  };
  struct TicketState {
    Ticket id = 0;  // incarnation, sequence, index in tickets_; 0: free
    std::uint32_t remaining = 0;
  };
  // Whole slot groups that one request asks for or pushes.
  struct Piece {
    RequestId id = 0;  // of the request; 0: the cache had some of the pull's rows
    std::uint32_t shard = 0;
    std::size_t first_run = 0, runs = 0;
    std::size_t first_row = 0, rows = 0;
  };
  // A pull whose rows may be pushed by their places.
  struct KeptPull {
    Ticket ticket = 0;
    TableId table = 0;
    Clock clock = 0;
    Buffer keys;
    Buffer runs;  // GroupRun[] of `keys`
    std::vector<Piece> pieces;
  };
  struct PushCount {
    Clock clock = 0;
    std::uint32_t unacknowledged = 0;
  };
  struct Retry {
    TimePoint due;
    RequestId id;
  };

  const TableSpec& Table(TableId table) const;
  Lane& LaneOf(const Request& request);
  Ticket NewTicket();
  void FreeIfDone(Ticket ticket);
  Request& NewRequest(Kind kind, std::uint32_t shard, TimePoint now);
  Request* Find(RequestId id);
  void Enqueue(Request& request, TimePoint now, Outbox& out);
  void SendQueued(std::uint32_t shard, Lane& lane, TimePoint now, Outbox& out);
  void Transmit(const Request& request, TimePoint now, Outbox& out);
  void Finish(Request& request, TimePoint now, Outbox& out);
  void SendReadyCloses(TimePoint now, Outbox& out);
  // Cuts slot groups into requests.
  void Cut(std::span<const GroupRun> runs, std::uint32_t dim, std::vector<Piece>* pieces) const;
  // Null: pulls of this kind and table are not cached.
  HotRows* CacheOf(TableId table, AbsentRow absent);
  // Writes what the cache has of the piece to its places in `target`. Returns how many rows that is; if not 0, the
  // places and keys of the others are left in missing_.
  std::size_t FromCache(HotRows& cache, const TableSpec& table, Clock clock, std::span<const Key> keys,
                        float* target);
  static void NameByKeys(Request& request);
  // Gradients as the table's pushes carry them.
  Buffer EncodeGradients(const TableSpec& table, Buffer values);
  Request& NewPush(Ticket ticket, TableId table, Clock clock, std::uint16_t node, std::uint32_t shard,
                   TimePoint now);
  void Send(const Request& request, Outbox& out);
  void OnReply(const PullReply& reply, Request& request);
  void OnError(const ErrorReply& error, Request& request, Outbox& out);
  void NoticeTime(TimePoint now);
  void Fail(ErrorCode code, std::string text);
  std::string Describe(const Request& request, TimePoint now) const;
  const NodeId self_;
  const Options options_;
  const ParameterClientFaults faults_;
  std::vector<TableSpec> tables_;
  SlotMap slot_map_;
  std::uint32_t phase_ = 0;
  std::uint64_t next_sequence_;
  std::vector<Request> requests_;
  std::vector<std::uint32_t> free_;  // of requests_
  std::vector<TicketState> tickets_;
  std::vector<std::uint32_t> free_tickets_;
  std::vector<KeptPull> kept_;  // until their clocks are closed
  std::vector<Piece> pieces_;   // memory for Cut
  BufferPool halves_;           // values that travel as 16 bits
  Consistency consistency_ = Consistency::kBsp;
  Clock staleness_ = 0;
  std::vector<std::optional<HotRows>> caches_;  // as tables_
  struct {
    std::vector<std::uint32_t> places;
    std::vector<Key> keys;
  } missing_;
  std::vector<Shard> shards_;
  std::deque<Retry> retries_;      // ascending: the interval is the same for all
  std::vector<PushCount> pushes_;  // clocks with unacknowledged pushes, ascending
  std::deque<Clock> closes_;       // waiting for acknowledgements, ascending
  Status failure_;
  ParameterClientCounters counters_;
};

}  // namespace cohort

#endif  // COHORT_WORKER_PARAMETER_CLIENT_H_
