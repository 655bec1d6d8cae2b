// Bodies written by Cereal: the control plane; and the choice among all messages.
#include <algorithm>
#include <cereal/cereal.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "common/wire_bodies.h"

namespace cohort {
namespace {

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
  archive(m.request_id, m.phase, m.kind, m.epoch, m.split, m.first_clock, m.reason, m.resume_clock,
          m.workers);
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
  archive(m.request_id, m.worker, m.incarnation, m.phase, m.closed);
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
void serialize(Archive& archive, PartLayer& layer) {
  archive(layer.number, layer.bytes, layer.checksum);
}
template <class Archive>
void serialize(Archive& archive, CheckpointDone& m) {
  archive(m.request_id, m.number, m.error, m.file, m.bytes, m.checksum, m.rows, m.hash_low, m.hash_high,
          m.phase, m.closed, m.layers);
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

namespace cohort::wire {
namespace {

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
  if (m.worker_count > kMaxWorkers) return in.Wrong("more workers than there can be");
  if (!std::has_single_bit(m.slices) || m.slices > (1u << 15))
    return in.Wrong("slices that are not a power of two");
  if (m.slot_map->shard_count < 1 || m.slot_map->shard_count > kMaxShards ||
      m.shard_endpoints.size() != m.slot_map->shard_count) {
    return in.Wrong("a slot map that does not match the shards");
  }
  for (std::uint16_t shard : m.slot_map->shard_of_group) {
    if (shard >= m.slot_map->shard_count) return in.Wrong("a slot map that names an unknown shard");
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
  const bool ascend =
      std::adjacent_find(m.workers.begin(), m.workers.end(), std::greater_equal<>()) == m.workers.end();
  if (!ascend || (!m.workers.empty() && m.workers.back() >= kMaxWorkers))
    return in.Wrong("workers that cannot be");
  return true;
}
bool Check(const Source& in, const FenceOrder& m) {
  return (m.worker < kMaxWorkers && m.closed >= -1) || in.Wrong("a fence that cannot be");
}
bool Check(const Source& in, const ReplicaEvent& m) {
  if (m.kind > ReplicaEvent::Kind::kJoin || m.clock < -1) return in.Wrong("a value out of range");
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
// length. Null: the message has no free text.
template <typename M>
const std::string* FreeTextOf(const M&) {
  return nullptr;
}
const std::string* FreeTextOf(const ErrorReply& m) { return &m.text; }
const std::string* FreeTextOf(const Failure& m) { return &m.text; }
const std::string* FreeTextOf(const Warning& m) { return &m.text; }
const std::string* FreeTextOf(const RegisterPending& m) { return &m.waiting_for; }
const std::string* FreeTextOf(const Heartbeat& m) { return &m.waiting; }
const std::string* FreeTextOf(const PhaseOrder& m) { return &m.reason; }
const std::string* FreeTextOf(const ReplicaEvent& m) { return &m.phase.reason; }
const std::string* FreeTextOf(const ReplicaState& m) { return &m.phase.reason; }
const std::string* FreeTextOf(const SnapshotDone& m) { return &m.error; }
const std::string* FreeTextOf(const CheckpointDone& m) { return &m.error; }
template <typename M>
bool NeedsCut(const M& m) {
  const std::string* const text = FreeTextOf(m);
  return text != nullptr && text->size() > kMaxTextBytes;
}

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

template <std::size_t... I>
bool GetByType(std::size_t type, const Source& in, Message* message, std::index_sequence<I...>) {
  using Getter = bool (*)(const Source&, Message*);
  static constexpr Getter kGetters[] = {
      [](const Source& source, Message* m) { return Get(source, &m->template emplace<I>()); }...};
  return kGetters[type](in, message);
}

}  // namespace

void PutMessage(const Message& message, Parts parts) {
  std::visit(
      [&](const auto& m) {
        if (!NeedsCut(m)) return Put(m, parts);
        auto shorter = m;
        const_cast<std::string*>(FreeTextOf(shorter))->resize(kMaxTextBytes);
        Put(shorter, parts);
      },
      message);
}

bool GetMessage(std::size_t type, const Source& in, Message* message) {
  return GetByType(type, in, message, std::make_index_sequence<std::variant_size_v<Message>>());
}

}  // namespace cohort::wire
