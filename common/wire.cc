#include "common/wire.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <cereal/cereal.hpp>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/float16.h"

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

namespace cohort {
namespace {

struct Header {
  std::uint32_t magic = kWireMagic;
  std::uint16_t version = kWireVersion;
  std::uint16_t type = 0;
  std::uint64_t run_id = 0;
  std::uint32_t epoch = 0;
  std::uint32_t incarnation = 0;
  std::uint32_t term = 0;
  std::uint32_t generation = 0;
  std::uint32_t sender_index = 0;
  std::uint8_t sender_role = 0;
  std::uint8_t receiver_role = 0;
  std::uint8_t bulk_frames = 0;
  std::uint8_t reserved0 = 0;
  std::uint32_t receiver_index = 0;
  std::uint32_t body_bytes = 0;
  std::uint64_t bulk_bytes[kMaxBulkFrames] = {};
  std::uint64_t checksum = 0;
  std::uint64_t reserved1 = 0;
};
static_assert(sizeof(Header) == kHeaderBytes && std::has_unique_object_representations_v<Header>);

// ---------------------------------------------------------------- fixed bodies

struct PullRequestBody {
  RequestId request_id;
  Clock clock;
  std::uint32_t phase;
  std::uint16_t table;
  std::uint8_t absent, keep;
  std::uint8_t type, reserved[7];
};
struct PullReplyBody {
  RequestId request_id;
  std::uint32_t dim, absent_rows;
  std::uint16_t table;
  std::uint8_t type, reserved[5];
  Clock applied_to;
};
struct PullParkedBody {
  RequestId request_id;
  Clock its_closed;
  std::uint32_t waiting_for, reserved;
};
struct PushRequestBody {
  RequestId request_id;
  Clock clock;
  std::uint32_t phase, dim;
  std::uint16_t table, node;
  std::uint8_t type, reserved[3];
  RequestId pull;
};
struct ReplicaPushBody {
  RequestId request_id;
  std::uint32_t worker, reserved;
  PushRequestBody push;
};
struct ReplicaRowsBody {
  RequestId request_id;
  std::uint16_t table;
  std::uint8_t reserved[6];
};
struct PushReplyBody {
  RequestId request_id;
  std::uint32_t applied_parts, duplicate_parts;
};
struct CloseRequestBody {
  RequestId request_id;
  Clock clock;
  std::uint32_t phase, reserved;
};
struct CloseReplyBody {
  RequestId request_id;
};
struct ScoreBlockBody {
  RequestId request_id;
  std::uint64_t lease, first_row;
  std::uint32_t phase, rows, prediction_columns;
  std::uint8_t last_of_lease, reserved[3];
};
static_assert(sizeof(GroupRun) == 8 && sizeof(PushRequestBody) == 40 && sizeof(ScoreBlockBody) == 40);

// ---------------------------------------------------------------- Cereal, bounded

class BodyWriter : public cereal::OutputArchive<BodyWriter, cereal::AllowEmptyClassElision> {
 public:
  explicit BodyWriter(std::vector<std::byte>* out)
      : OutputArchive<BodyWriter, cereal::AllowEmptyClassElision>(this), out_(out) {}
  void Write(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    out_->insert(out_->end(), bytes, bytes + size);
  }

 private:
  std::vector<std::byte>* out_;
};

// Never reads past its bytes and allocates nothing before the bytes that fill it have been seen: Cereal's own
// archives trust the sizes that they read.
class BodyReader : public cereal::InputArchive<BodyReader, cereal::AllowEmptyClassElision> {
 public:
  explicit BodyReader(std::span<const std::byte> in)
      : InputArchive<BodyReader, cereal::AllowEmptyClassElision>(this), in_(in) {}
  void Read(void* data, std::size_t size) {
    if (size > in_.size()) throw cereal::Exception("the body ends early");
    std::memcpy(data, in_.data(), size);
    in_ = in_.subspan(size);
  }
  std::size_t remaining() const { return in_.size(); }

 private:
  std::span<const std::byte> in_;
};

template <typename T>
concept Number = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

template <Number T>
void CEREAL_SAVE_FUNCTION_NAME(BodyWriter& archive, const T& value) {
  archive.Write(&value, sizeof(value));
}
template <Number T>
void CEREAL_LOAD_FUNCTION_NAME(BodyReader& archive, T& value) {
  archive.Read(&value, sizeof(value));
}
void CEREAL_SAVE_FUNCTION_NAME(BodyWriter& archive, const bool& value) {
  const std::uint8_t byte = value ? 1 : 0;
  archive.Write(&byte, 1);
}
void CEREAL_LOAD_FUNCTION_NAME(BodyReader& archive, bool& value) {
  std::uint8_t byte = 0;
  archive.Read(&byte, 1);
  if (byte > 1) throw cereal::Exception("a truth value that is neither 0 nor 1");
  value = byte != 0;
}
void CEREAL_SAVE_FUNCTION_NAME(BodyWriter& archive, const std::string& text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  archive.Write(&size, sizeof(size));
  archive.Write(text.data(), size);
}
void CEREAL_LOAD_FUNCTION_NAME(BodyReader& archive, std::string& text) {
  std::uint32_t size = 0;
  archive.Read(&size, sizeof(size));
  if (size > archive.remaining()) throw cereal::Exception("a text longer than its message");
  text.resize(size);
  archive.Read(text.data(), size);
}
template <typename T>
void CEREAL_SAVE_FUNCTION_NAME(BodyWriter& archive, const std::vector<T>& values) {
  const auto size = static_cast<std::uint32_t>(values.size());
  archive.Write(&size, sizeof(size));
  for (const T& value : values) archive(value);
}
// Of an element of a list: what it takes at the least. A text may be empty, and takes 8 times that in memory.
template <typename T>
constexpr std::size_t kLeastBytes = sizeof(T);
template <>
constexpr std::size_t kLeastBytes<std::string> = sizeof(std::uint32_t);
template <>
constexpr std::size_t kLeastBytes<TableSpec> = 128;
static_assert(sizeof(TableSpec) <= 2 * kLeastBytes<TableSpec>);

template <typename T>
void CEREAL_LOAD_FUNCTION_NAME(BodyReader& archive, std::vector<T>& values) {
  std::uint32_t size = 0;
  archive.Read(&size, sizeof(size));
  if (size > archive.remaining() / kLeastBytes<T>) throw cereal::Exception("a list longer than its message");
  values.clear();
  values.reserve(size);  // a list that grows by doubling has three times its size at a time
  for (std::uint32_t i = 0; i < size; ++i) archive(values.emplace_back());
}

}  // namespace

// Members in the order of docs/protocol.md. Counters, SlotMap, TableSpec and their parts bring their own.
template <class Archive>
void serialize(Archive& archive, ErrorReply& m) {
  archive(m.request_id, m.reason, m.text);
}
template <class Archive>
void serialize(Archive& archive, Register& m) {
  archive(m.request_id, m.server, m.endpoint, m.host, m.pid, m.kernels);
}
template <class Archive>
void serialize(Archive& archive, RegisterPending& m) {
  archive(m.request_id, m.waiting_for);
}
template <class Archive>
void serialize(Archive& archive, Welcome& m) {
  archive(m.request_id, m.term, m.worker_count, m.seed, m.consistency, m.staleness, m.slices, m.slot_map,
          m.shard_endpoints, m.tables, m.run_config, m.model_path, m.kernels, m.resume, m.checkpoint_path,
          m.orders_from, m.checkpoint_every);
}
template <class Archive>
void serialize(Archive& archive, Heartbeat& m) {
  archive(m.request_id, m.phase, m.counters, m.waiting);
}
template <class Archive>
void serialize(Archive& archive, HeartbeatReply& m) {
  archive(m.request_id);
}
template <class Archive>
void serialize(Archive& archive, PhaseOrder& m) {
  archive(m.request_id, m.phase, m.kind, m.epoch, m.split, m.first_clock, m.reason, m.resume_clock);
}
template <class Archive>
void serialize(Archive& archive, PhaseReply& m) {
  archive(m.request_id);
}
template <class Archive>
void serialize(Archive& archive, PhaseDone& m) {
  archive(m.request_id, m.phase, m.next_clock, m.counters);
}
template <class Archive>
void serialize(Archive& archive, LeaseRequest& m) {
  archive(m.request_id, m.phase, m.next_clock);
}
template <class Archive>
void serialize(Archive& archive, LeaseReply& m) {
  archive(m.request_id, m.granted, m.lease, m.first_block, m.block_count, m.first_clock, m.batch_rows);
}
template <class Archive>
void serialize(Archive& archive, SnapshotOrder& m) {
  archive(m.request_id, m.directory);
}
template <class Archive>
void serialize(Archive& archive, SnapshotDone& m) {
  archive(m.request_id, m.error, m.file, m.bytes, m.checksum, m.rows, m.hash_low, m.hash_high);
}
template <class Archive>
void serialize(Archive& archive, Failure& m) {
  archive(m.request_id, m.text);
}
template <class Archive>
void serialize(Archive& archive, Ack& m) {
  archive(m.request_id);
}
template <class Archive>
void serialize(Archive& archive, Warning& m) {
  archive(m.request_id, m.text);
}
template <class Archive>
void serialize(Archive& archive, FenceOrder& m) {
  archive(m.request_id, m.worker, m.incarnation);
}
template <class Archive>
void serialize(Archive& archive, FenceDone& m) {
  archive(m.request_id, m.closed);
}
template <class Archive>
void serialize(Archive& archive, CheckpointOrder& m) {
  archive(m.request_id, m.number);
}
template <class Archive>
void serialize(Archive& archive, CheckpointDone& m) {
  archive(m.request_id, m.number, m.error, m.file, m.bytes, m.checksum, m.rows, m.hash_low, m.hash_high,
          m.phase, m.closed);
}

template <class Archive>
void serialize(Archive& archive, ReplicaEvent& m) {
  archive(m.request_id, m.kind, m.worker, m.clock, m.incarnation, m.phase);
}
template <class Archive>
void serialize(Archive& archive, ReplicaState& m) {
  archive(m.request_id, m.phase);
}
template <class Archive>
void serialize(Archive& archive, ReplicaAck& m) {
  archive(m.request_id);
}
template <class Archive>
void serialize(Archive& archive, BackupOrder& m) {
  archive(m.request_id, m.endpoint, m.incarnation);
}
template <class Archive>
void serialize(Archive& archive, BackupReady& m) {
  archive(m.request_id);
}
template <class Archive>
void serialize(Archive& archive, PromoteOrder& m) {
  archive(m.request_id, m.incarnation);
}
template <class Archive>
void serialize(Archive& archive, ShardMoved& m) {
  archive(m.request_id, m.shard, m.endpoint, m.incarnation);
}

}  // namespace cohort

CEREAL_SETUP_ARCHIVE_TRAITS(cohort::BodyReader, cohort::BodyWriter)

namespace cohort {
namespace {

// What Encode fills: the body, and the bulk arrays in order.
struct Parts {
  std::vector<std::byte>& body;
  std::array<Buffer, kMaxBulkFrames>& bulk;
};
// What Decode reads from; the reason of the first thing that is wrong.
struct Source {
  std::span<const std::byte> body;
  std::span<const Buffer> bulk;
  std::string* why;
  bool Wrong(std::string text) const {
    *why = std::move(text);
    return false;
  }
};

template <typename Body>
void PutBody(const Body& body, Parts parts) {
  static_assert(std::has_unique_object_representations_v<Body>);
  const std::size_t at = parts.body.size();
  parts.body.resize(at + sizeof(Body));
  std::memcpy(parts.body.data() + at, &body, sizeof(Body));
}
template <typename Body>
bool GetBody(const Source& in, Body* body) {
  if (in.body.size() != sizeof(Body)) {
    return in.Wrong("a body of " + std::to_string(in.body.size()) + " bytes, expected " +
                    std::to_string(sizeof(Body)));
  }
  std::memcpy(body, in.body.data(), sizeof(Body));
  return true;
}

// `rows` rows of `width` elements of `element` bytes fill the bulk array exactly.
bool Fills(const Buffer& bulk, std::uint64_t rows, std::uint64_t width, std::uint64_t element) {
  // rows <= 2^32, width <= 2^32: the product with element (<= 8) may exceed 64 bits.
  return static_cast<unsigned __int128>(rows) * width * element == bulk.size();
}

template <std::size_t N>
bool AllZero(const std::uint8_t (&bytes)[N]) {
  std::uint8_t any = 0;
  for (const std::uint8_t byte : bytes) any |= byte;
  return any == 0;
}
bool KnownType(std::uint8_t type) { return type <= static_cast<std::uint8_t>(FloatType::kFloat16); }

// ---------------------------------------------------------------- one Put and one Get per message

void Put(const PullRequest& m, Parts parts) {
  PutBody(PullRequestBody{m.request_id,
                          m.clock,
                          m.phase,
                          m.table,
                          static_cast<std::uint8_t>(m.absent),
                          static_cast<std::uint8_t>(m.keep),
                          static_cast<std::uint8_t>(m.type),
                          {}},
          parts);
  parts.bulk[0] = m.keys;
}
bool Get(const Source& in, PullRequest* m) {
  PullRequestBody body;
  if (!GetBody(in, &body)) return false;
  if (body.absent > 1 || body.keep > 1 || !AllZero(body.reserved) || !KnownType(body.type)) {
    return in.Wrong("a value out of range");
  }
  if (body.clock < 0) return in.Wrong("a negative clock");
  if (in.bulk[0].size() % sizeof(Key) != 0) return in.Wrong("keys that are not a multiple of 8 bytes");
  *m = {body.request_id,
        body.phase,
        body.clock,
        body.table,
        static_cast<AbsentRow>(body.absent),
        in.bulk[0],
        body.keep != 0,
        static_cast<FloatType>(body.type)};
  return true;
}

void Put(const PullReply& m, Parts parts) {
  PutBody(
      PullReplyBody{
          m.request_id, m.dim, m.absent_rows, m.table, static_cast<std::uint8_t>(m.type), {}, m.applied_to},
      parts);
  parts.bulk[0] = m.values;
}
bool Get(const Source& in, PullReply* m) {
  PullReplyBody body;
  if (!GetBody(in, &body)) return false;
  if (!AllZero(body.reserved) || !KnownType(body.type)) return in.Wrong("a value out of range");
  if (body.dim < 1 || body.dim > kMaxDim) return in.Wrong("rows of " + std::to_string(body.dim) + " values");
  const auto type = static_cast<FloatType>(body.type);
  const std::uint64_t rows = in.bulk[0].size() / (SizeOf(type) * body.dim);
  if (!Fills(in.bulk[0], rows, body.dim, SizeOf(type))) return in.Wrong("values that do not fill whole rows");
  if (body.absent_rows > rows) return in.Wrong("more absent rows than rows");
  if (body.applied_to < -1) return in.Wrong("a negative clock");
  *m = {body.request_id, body.table, body.dim, body.absent_rows, in.bulk[0], type, body.applied_to};
  return true;
}

void Put(const PullParked& m, Parts parts) {
  PutBody(PullParkedBody{m.request_id, m.its_closed, m.waiting_for, 0}, parts);
}
bool Get(const Source& in, PullParked* m) {
  PullParkedBody body;
  if (!GetBody(in, &body)) return false;
  if (body.reserved != 0) return in.Wrong("a value out of range");
  *m = {body.request_id, body.waiting_for, body.its_closed};
  return true;
}

PushRequestBody BodyOf(const PushRequest& m) {
  return {m.request_id, m.clock, m.phase, m.dim, m.table, m.node, static_cast<std::uint8_t>(m.type),
          {},           m.pull};
}
void PutArrays(const PushRequest& m, Parts parts) {
  parts.bulk[0] = m.runs;
  parts.bulk[1] = m.pull == 0 ? m.keys : m.rows;
  parts.bulk[2] = m.values;
  parts.bulk[3] = m.counts;
}
void Put(const PushRequest& m, Parts parts) {
  PutBody(BodyOf(m), parts);
  PutArrays(m, parts);
}
bool GetPush(const Source& in, const PushRequestBody& body, PushRequest* m) {
  if (!AllZero(body.reserved) || !KnownType(body.type) || body.node < 1)
    return in.Wrong("a value out of range");
  if (body.clock < 0) return in.Wrong("a negative clock");
  if (body.dim < 1 || body.dim > kMaxDim) return in.Wrong("rows of " + std::to_string(body.dim) + " values");
  const Buffer &runs = in.bulk[0], &names = in.bulk[1], &values = in.bulk[2];
  const std::size_t value_bytes = SizeOf(static_cast<FloatType>(body.type));
  const std::size_t name_bytes = body.pull == 0 ? sizeof(Key) : sizeof(std::uint32_t);
  std::uint64_t rows = names.size() / name_bytes;
  if (!Fills(names, rows, 1, name_bytes)) {
    return in.Wrong("keys or rows that are not a multiple of " + std::to_string(name_bytes) + " bytes");
  }
  // Without names: all rows of the pull.
  if (body.pull != 0 && names.empty()) rows = values.size() / (value_bytes * body.dim);
  if (!Fills(values, rows, body.dim, value_bytes)) return in.Wrong("values that do not match the keys");
  if (!in.bulk[3].empty() && !Fills(in.bulk[3], rows, 1, sizeof(std::uint32_t))) {
    return in.Wrong("counts that do not match the keys");
  }
  if (runs.size() % sizeof(GroupRun) != 0 || runs.size() / sizeof(GroupRun) > kSlotGroupCount) {
    return in.Wrong("slot groups of " + std::to_string(runs.size()) + " bytes");
  }
  std::uint64_t covered = 0;
  std::int64_t last_group = -1;
  for (const GroupRun& run : runs.As<GroupRun>()) {
    if (run.group >= kSlotGroupCount || run.group <= last_group || run.rows == 0) {
      return in.Wrong("slot groups that do not ascend");
    }
    last_group = run.group;
    covered += run.rows;
  }
  if (covered != rows) return in.Wrong("slot groups that do not cover the keys");
  *m = {body.request_id,
        body.phase,
        body.clock,
        body.table,
        body.node,
        body.dim,
        runs,
        {},
        values,
        in.bulk[3],
        body.pull,
        {},
        static_cast<FloatType>(body.type)};
  (body.pull == 0 ? m->keys : m->rows) = names;
  return true;
}
bool Get(const Source& in, PushRequest* m) {
  PushRequestBody body;
  return GetBody(in, &body) && GetPush(in, body, m);
}

void Put(const ReplicaPush& m, Parts parts) {
  PutBody(ReplicaPushBody{m.request_id, m.worker, 0, BodyOf(m.push)}, parts);
  PutArrays(m.push, parts);
}
bool Get(const Source& in, ReplicaPush* m) {
  ReplicaPushBody body;
  if (!GetBody(in, &body) || !GetPush(in, body.push, &m->push)) return false;
  if (body.reserved != 0 || body.push.pull != 0) return in.Wrong("a value out of range");
  m->request_id = body.request_id;
  m->worker = body.worker;
  return true;
}

void Put(const ReplicaRows& m, Parts parts) {
  PutBody(ReplicaRowsBody{m.request_id, m.table, {}}, parts);
  parts.bulk[0] = m.positions;
  parts.bulk[1] = m.words;
  parts.bulk[2] = m.statistics;
}
bool Get(const Source& in, ReplicaRows* m) {
  ReplicaRowsBody body;
  if (!GetBody(in, &body)) return false;
  if (!AllZero(body.reserved)) return in.Wrong("a value out of range");
  const Buffer &positions = in.bulk[0], &words = in.bulk[1], &statistics = in.bulk[2];
  const std::uint64_t rows = positions.size() / sizeof(std::uint64_t);
  if (rows == 0 || !Fills(positions, rows, 1, sizeof(std::uint64_t)))
    return in.Wrong("positions that are not a multiple of 8 bytes");
  if (words.empty() || words.size() % (rows * sizeof(float)) != 0)
    return in.Wrong("words that do not fill whole rows");
  if (!statistics.empty() && statistics.size() != positions.size())
    return in.Wrong("statistics that do not match the rows");
  *m = {body.request_id, body.table, positions, words, statistics};
  return true;
}

void Put(const PushReply& m, Parts parts) {
  PutBody(PushReplyBody{m.request_id, m.applied_parts, m.duplicate_parts}, parts);
}
bool Get(const Source& in, PushReply* m) {
  PushReplyBody body;
  if (!GetBody(in, &body)) return false;
  *m = {body.request_id, body.applied_parts, body.duplicate_parts};
  return true;
}

void Put(const CloseRequest& m, Parts parts) {
  PutBody(CloseRequestBody{m.request_id, m.clock, m.phase, 0}, parts);
}
bool Get(const Source& in, CloseRequest* m) {
  CloseRequestBody body;
  if (!GetBody(in, &body)) return false;
  if (body.reserved != 0) return in.Wrong("a value out of range");
  if (body.clock < 0) return in.Wrong("a negative clock");
  *m = {body.request_id, body.phase, body.clock};
  return true;
}

void Put(const CloseReply& m, Parts parts) { PutBody(CloseReplyBody{m.request_id}, parts); }
bool Get(const Source& in, CloseReply* m) {
  CloseReplyBody body;
  if (!GetBody(in, &body)) return false;
  *m = {body.request_id};
  return true;
}

void Put(const ScoreBlock& m, Parts parts) {
  PutBody(ScoreBlockBody{m.request_id,
                         m.lease,
                         m.first_row,
                         m.phase,
                         m.rows,
                         m.prediction_columns,
                         static_cast<std::uint8_t>(m.last_of_lease),
                         {}},
          parts);
  parts.bulk[0] = m.predictions;
}
bool Get(const Source& in, ScoreBlock* m) {
  ScoreBlockBody body;
  if (!GetBody(in, &body)) return false;
  if (!AllZero(body.reserved) || body.last_of_lease > 1) return in.Wrong("a value out of range");
  if (!Fills(in.bulk[0], body.rows, body.prediction_columns, sizeof(float))) {
    return in.Wrong("predictions that do not match the rows");
  }
  *m = {body.request_id,
        body.phase,
        body.lease,
        body.last_of_lease != 0,
        body.first_row,
        body.rows,
        body.prediction_columns,
        in.bulk[0]};
  return true;
}

// What a receiver relies on without looking again: ranges of enumerations, counts that index or divide.
bool Check(const Source& in, const ErrorReply& m) {
  return m.reason <= ErrorReason::kUnknownPull || in.Wrong("an unknown reason");
}
bool Check(const Source& in, const TableSpec& table) {
  const OptimizerSpec& o = table.optimizer;
  if (table.kind > TableKind::kDense || o.kind > OptimizerKind::kFtrl ||
      table.pull_values > FloatType::kFloat16 || table.push_values > FloatType::kFloat16)
    return in.Wrong("a table of unknown kind");
  if (table.dim < 1 || table.dim > kMaxDim)
    return in.Wrong("rows of " + std::to_string(table.dim) + " values");
  if (table.kind == TableKind::kDense && (table.row_count < 1 || table.row_count > (1ull << 40))) {
    return in.Wrong("a dense table of " + std::to_string(table.row_count) + " rows");
  }
  for (float value : {o.learning_rate, o.momentum, o.initial_accumulator, o.beta1, o.beta2, o.epsilon,
                      o.ftrl_l1, o.ftrl_l2, o.ftrl_beta, o.weight_decay, o.l2, o.schedule.final_share}) {
    if (!std::isfinite(value)) return in.Wrong("an optimizer's value that is not finite");
  }
  const RateSchedule& schedule = o.schedule;
  if (schedule.kind > ScheduleKind::kOneCycle || !(schedule.warmup >= 0 && schedule.warmup < 1) ||
      !(schedule.step_every >= 1e-3f && schedule.step_every <= 1) ||
      !(schedule.step_factor > 0 && schedule.step_factor <= 1)) {
    return in.Wrong("a schedule of rates that cannot be");
  }
  if (o.kind == OptimizerKind::kFtrl && (o.weight_decay != 0.0f || o.l2 != 0.0f || !schedule.constant())) {
    return in.Wrong("ftrl with a weight decay, l2 or a schedule");
  }
  const RowPolicySpec& policy = table.policy;
  if (policy.admit > Admission::kProbability || policy.admit_count < 1 || policy.admit_count > 255 ||
      !(policy.admit_probability > 0 && policy.admit_probability <= 1) ||
      policy.evict_idle_clocks > (1ull << 40) || (table.kind == TableKind::kDense && policy.Any())) {
    return in.Wrong("a policy of rows that cannot be");
  }
  if (table.dtype > FloatType::kFloat16 ||
      (table.kind == TableKind::kDense && table.dtype != FloatType::kFloat32)) {
    return in.Wrong("a type of weights that cannot be");
  }
  for (std::size_t i = 0; i < table.init.size(); ++i) {
    if (!std::isfinite(table.init[i].mean) || !std::isfinite(table.init[i].scale) ||
        (i > 0 && table.init[i].begin <= table.init[i - 1].begin)) {
      return in.Wrong("initial values that are not finite or not in order");
    }
  }
  return true;
}
bool Check(const Source& in, const Welcome& m) {
  if (m.consistency > Consistency::kAsp) return in.Wrong("an unknown consistency");
  if (m.worker_count < 1) return in.Wrong("a run without workers");
  if (!std::has_single_bit(m.slices) || m.slices > (1u << 15))
    return in.Wrong("slices that are not a power of two");
  if (m.slot_map.shard_count < 1 || m.slot_map.shard_count > kMaxShards ||
      m.shard_endpoints.size() != m.slot_map.shard_count) {
    return in.Wrong("a slot map that does not match the shards");
  }
  for (std::uint16_t shard : m.slot_map.shard_of_group) {
    if (shard >= m.slot_map.shard_count) return in.Wrong("a slot map that names an unknown shard");
  }
  if (m.tables.size() > 1024) return in.Wrong("more than 1024 tables");
  for (std::size_t i = 0; i < m.tables.size(); ++i) {
    if (!Check(in, m.tables[i])) return false;
    for (std::size_t j = 0; j < i; ++j) {
      if (m.tables[i].id == m.tables[j].id) return in.Wrong("two tables of one id");
    }
  }
  return true;
}
bool Check(const Source& in, const PhaseOrder& m) {
  if (m.kind > PhaseKind::kStop || m.split > Split::kTest || m.first_clock < 0 || m.resume_clock < 0)
    return in.Wrong("a value out of range");
  return true;
}
bool Check(const Source& in, const ReplicaEvent& m) {
  if (m.kind > ReplicaEvent::Kind::kFence || m.clock < -1) return in.Wrong("a value out of range");
  return Check(in, m.phase);
}
bool Check(const Source& in, const ReplicaState& m) { return Check(in, m.phase); }
bool Check(const Source& in, const ShardMoved& m) {
  return (m.shard < kMaxShards && !m.endpoint.empty()) || in.Wrong("a shard that cannot be");
}
bool Check(const Source& in, const PhaseDone& m) { return m.next_clock >= 0 || in.Wrong("a negative clock"); }
bool Check(const Source& in, const LeaseRequest& m) {
  return m.next_clock >= 0 || in.Wrong("a negative clock");
}
bool Check(const Source& in, const LeaseReply& m) {
  return (m.first_clock >= 0 && (!m.granted || m.batch_rows > 0)) || in.Wrong("a lease that cannot be");
}
template <typename M>
bool Check(const Source&, const M&) {
  return true;
}

// Texts grow with the world (an error that quotes an error); a message that reports must not fail by its own
// length.
template <typename M>
bool NeedsCut(const M&) {
  return false;
}
bool NeedsCut(const ErrorReply& m) { return m.text.size() > kMaxTextBytes; }
bool NeedsCut(const Failure& m) { return m.text.size() > kMaxTextBytes; }
bool NeedsCut(const Warning& m) { return m.text.size() > kMaxTextBytes; }
bool NeedsCut(const RegisterPending& m) { return m.waiting_for.size() > kMaxTextBytes; }
bool NeedsCut(const Heartbeat& m) { return m.waiting.size() > kMaxTextBytes; }
bool NeedsCut(const PhaseOrder& m) { return m.reason.size() > kMaxTextBytes; }
bool NeedsCut(const ReplicaEvent& m) { return NeedsCut(m.phase); }
bool NeedsCut(const ReplicaState& m) { return NeedsCut(m.phase); }
bool NeedsCut(const SnapshotDone& m) { return m.error.size() > kMaxTextBytes; }
bool NeedsCut(const CheckpointDone& m) { return m.error.size() > kMaxTextBytes; }

// Of the bulk frames of these only the two ends know the structure.
void PutBulk(const PhaseDone& m, Parts parts) { parts.bulk[0] = m.evaluation; }
void GetBulk(const Source& in, PhaseDone* m) { m->evaluation = in.bulk[0]; }
void PutBulk(const ReplicaState& m, Parts parts) { parts.bulk[0] = m.state; }
void GetBulk(const Source& in, ReplicaState* m) { m->state = in.bulk[0]; }
template <typename M>
void PutBulk(const M&, Parts) {}
template <typename M>
void GetBulk(const Source&, M*) {}

template <typename M>
void Put(const M& m, Parts parts) {
  BodyWriter (&parts.body)(m);
  PutBulk(m, parts);
}
template <typename M>
bool Get(const Source& in, M* m) {
  try {
    BodyReader reader(in.body);
    reader(*m);
    if (reader.remaining() != 0) return in.Wrong("bytes behind the end of the body");
    GetBulk(in, m);
  } catch (const cereal::Exception& error) {
    return in.Wrong(error.what());
  }
  if (NeedsCut(*m)) return in.Wrong("a text longer than any that is sent");
  return Check(in, *m);
}

template <typename M>
void Cut(M&) {}
void Cut(ErrorReply& m) { m.text.resize(kMaxTextBytes); }
void Cut(Failure& m) { m.text.resize(kMaxTextBytes); }
void Cut(Warning& m) { m.text.resize(kMaxTextBytes); }
void Cut(RegisterPending& m) { m.waiting_for.resize(kMaxTextBytes); }
void Cut(Heartbeat& m) { m.waiting.resize(kMaxTextBytes); }
void Cut(PhaseOrder& m) { m.reason.resize(kMaxTextBytes); }
void Cut(ReplicaEvent& m) { Cut(m.phase); }
void Cut(ReplicaState& m) { Cut(m.phase); }
void Cut(SnapshotDone& m) { m.error.resize(kMaxTextBytes); }
void Cut(CheckpointDone& m) { m.error.resize(kMaxTextBytes); }

// ---------------------------------------------------------------- frames

struct TypeInfo {
  const char* name;
  std::uint8_t bulk_frames;
  bool is_request;
};
// By Message's index.
constexpr TypeInfo kTypes[] = {
    {"PullRequest", 1, true},      {"PullReply", 1, false},    {"PullParked", 0, false},
    {"PushRequest", 4, true},      {"PushReply", 0, false},    {"CloseRequest", 0, true},
    {"CloseReply", 0, false},      {"ErrorReply", 0, false},   {"Register", 0, true},
    {"RegisterPending", 0, false}, {"Welcome", 0, false},      {"Heartbeat", 0, true},
    {"HeartbeatReply", 0, false},  {"PhaseOrder", 0, true},    {"PhaseReply", 0, false},
    {"PhaseDone", 1, true},        {"LeaseRequest", 0, true},  {"LeaseReply", 0, false},
    {"ScoreBlock", 1, true},       {"SnapshotOrder", 0, true}, {"SnapshotDone", 0, true},
    {"Failure", 0, true},          {"Ack", 0, false},          {"Warning", 0, true},
    {"FenceOrder", 0, true},       {"FenceDone", 0, false},    {"CheckpointOrder", 0, true},
    {"CheckpointDone", 0, true},   {"ReplicaPush", 4, false},  {"ReplicaEvent", 0, false},
    {"ReplicaRows", 3, false},     {"ReplicaState", 1, false}, {"ReplicaAck", 0, false},
    {"BackupOrder", 0, true},      {"BackupReady", 0, true},   {"PromoteOrder", 0, true},
    {"ShardMoved", 0, true}};
constexpr std::size_t kTypeCount = std::size(kTypes);
static_assert(kTypeCount == std::variant_size_v<Message>);
static_assert(std::is_same_v<std::variant_alternative_t<18, Message>, ScoreBlock> &&
              std::is_same_v<std::variant_alternative_t<22, Message>, Ack>);

template <std::size_t... I>
bool GetByType(std::size_t type, const Source& in, Message* message, std::index_sequence<I...>) {
  using Getter = bool (*)(const Source&, Message*);
  static constexpr Getter kGetters[] = {
      [](const Source& source, Message* m) { return Get(source, &m->template emplace<I>()); }...};
  return kGetters[type](in, message);
}

// `frame` is header and body; the header's own checksum field counts as 0.
std::uint64_t Checksum(const Header& header, std::span<const std::byte> body, std::span<const Buffer> bulk) {
  Header blank = header;
  blank.checksum = 0;
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, &blank, sizeof(blank));
  XXH3_64bits_update(&state, body.data(), body.size());
  for (const Buffer& buffer : bulk) XXH3_64bits_update(&state, buffer.data(), buffer.size());
  return XXH3_64bits_digest(&state);
}

bool KnownNode(std::uint8_t role, std::uint32_t index) {
  switch (static_cast<Role>(role)) {
    case Role::kScheduler:
      return index == 0;
    case Role::kShard:
    case Role::kBackup:
      return index < static_cast<std::uint32_t>(kMaxShards);
    case Role::kWorker:
      return true;
  }
  return false;
}

// Header, sizes and checksum. Empty: all is well.
std::string ReadHeader(const Frames& frames, Header* header) {
  if (frames.empty() || frames[0].size() < kHeaderBytes) return "shorter than a header";
  std::memcpy(header, frames[0].data(), kHeaderBytes);
  if (header->magic != kWireMagic) return "not a message of Cohort";
  if (header->version != kWireVersion) {
    return "protocol version " + std::to_string(header->version) + ", this program speaks " +
           std::to_string(kWireVersion);
  }
  if (header->type >= kTypeCount) return "an unknown type, " + std::to_string(header->type);
  if (header->body_bytes > kMaxBodyBytes) return "a body of " + std::to_string(header->body_bytes) + " bytes";
  if (frames[0].size() != kHeaderBytes + header->body_bytes) return "a body of another size than announced";
  if (header->bulk_frames != kTypes[header->type].bulk_frames || frames.size() != 1u + header->bulk_frames) {
    return "another number of frames than its type has";
  }
  for (std::size_t i = 0; i < kMaxBulkFrames; ++i) {
    const std::size_t size = i < header->bulk_frames ? frames[i + 1].size() : 0;
    if (header->bulk_bytes[i] != size || size > kMaxBulkBytes)
      return "a bulk frame of another size than announced";
  }
  if (header->reserved0 != 0 || header->reserved1 != 0) {
    return "a reserved field that is not 0";
  }
  if (!KnownNode(header->sender_role, header->sender_index) ||
      !KnownNode(header->receiver_role, header->receiver_index)) {
    return "a sender or receiver that cannot be";
  }
  const std::span body(frames[0].data() + kHeaderBytes, header->body_bytes);
  const std::span bulk(frames.data() + 1, header->bulk_frames);
  if (header->checksum != Checksum(*header, body, bulk)) return "a wrong checksum";
  return {};
}

Stamp StampOf(const Header& header) {
  return {{static_cast<Role>(header.sender_role), header.sender_index},
          header.run_id,
          header.epoch,
          header.incarnation,
          header.term,
          header.generation};
}
NodeId ReceiverOf(const Header& header) {
  return {static_cast<Role>(header.receiver_role), header.receiver_index};
}

Buffer Aligned(const Buffer& buffer) {
  if (reinterpret_cast<std::uintptr_t>(buffer.data()) % 8 == 0) return buffer;
  auto copy = std::make_shared_for_overwrite<std::byte[]>(buffer.size());
  std::memcpy(copy.get(), buffer.data(), buffer.size());
  const void* data = copy.get();
  return Buffer(std::move(copy), data, buffer.size());
}

}  // namespace

Frames Encode(const Stamp& stamp, NodeId receiver, const Message& message) {
  Header header;
  header.type = static_cast<std::uint16_t>(message.index());
  header.run_id = stamp.run_id;
  header.epoch = stamp.epoch;
  header.incarnation = stamp.incarnation;
  header.term = stamp.term;
  header.generation = stamp.generation;
  header.sender_role = static_cast<std::uint8_t>(stamp.sender.role);
  header.sender_index = stamp.sender.index;
  header.receiver_role = static_cast<std::uint8_t>(receiver.role);
  header.receiver_index = receiver.index;
  header.bulk_frames = kTypes[header.type].bulk_frames;

  std::vector<std::byte> frame(kHeaderBytes);
  std::array<Buffer, kMaxBulkFrames> bulk;
  std::visit(
      [&](const auto& m) {
        if (NeedsCut(m)) {
          auto shorter = m;
          Cut(shorter);
          Put(shorter, Parts{frame, bulk});
        } else {
          Put(m, Parts{frame, bulk});
        }
      },
      message);
  COHORT_CHECK(frame.size() <= kHeaderBytes + kMaxBodyBytes, "%s of %zu bytes", MessageName(message),
               frame.size());
  header.body_bytes = static_cast<std::uint32_t>(frame.size() - kHeaderBytes);
  for (std::size_t i = 0; i < header.bulk_frames; ++i) {
    COHORT_CHECK(bulk[i].size() <= kMaxBulkBytes, "%s of %zu bytes", MessageName(message), bulk[i].size());
    header.bulk_bytes[i] = bulk[i].size();
  }
  header.checksum =
      Checksum(header, std::span(frame).subspan(kHeaderBytes), std::span(bulk).first(header.bulk_frames));
  std::memcpy(frame.data(), &header, kHeaderBytes);

  Frames frames;
  frames.reserve(1u + header.bulk_frames);
  frames.push_back(Buffer::Own(std::move(frame)));
  for (std::size_t i = 0; i < header.bulk_frames; ++i) frames.push_back(std::move(bulk[i]));
  return frames;
}

Result<Decoded> Decode(const Frames& frames) {
  Header header;
  if (std::string why = ReadHeader(frames, &header); !why.empty()) {
    return Error(ErrorCode::kCorrupt, "message refused: " + why);
  }
  std::array<Buffer, kMaxBulkFrames> bulk;
  for (std::size_t i = 0; i < header.bulk_frames; ++i) bulk[i] = Aligned(frames[i + 1]);
  Decoded decoded{StampOf(header), ReceiverOf(header), {}};
  std::string why;
  const Source source{std::span(frames[0].data() + kHeaderBytes, header.body_bytes),
                      std::span(bulk).first(header.bulk_frames), &why};
  if (!GetByType(header.type, source, &decoded.message, std::make_index_sequence<kTypeCount>())) {
    return Error(ErrorCode::kCorrupt, std::string(kTypes[header.type].name) + " of " +
                                          ToString(decoded.stamp.sender) + " refused: " + why);
  }
  return decoded;
}

std::optional<Origin> ReadOrigin(const Frames& frames) {
  Header header;
  if (!ReadHeader(frames, &header).empty()) return std::nullopt;
  Origin origin{StampOf(header), ReceiverOf(header), 0, kTypes[header.type].is_request};
  if (header.body_bytes >= sizeof(RequestId)) {
    std::memcpy(&origin.request_id, frames[0].data() + kHeaderBytes, sizeof(RequestId));
  }
  return origin;
}

std::size_t SizeOf(const Frames& frames) {
  std::size_t size = 0;
  for (const Buffer& frame : frames) size += frame.size();
  return size;
}

const char* MessageName(const Message& message) { return kTypes[message.index()].name; }

RequestId RequestIdOf(const Message& message) {
  return std::visit([](const auto& m) { return m.request_id; }, message);
}

}  // namespace cohort
