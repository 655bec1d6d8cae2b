// Shard: pulls, pushes and closes.
#include <algorithm>
#include <cstring>
#include <utility>

#include "common/check.h"
#include "common/float16.h"
#include "server/request_check.h"
#include "server/shard.h"

namespace cohort {
namespace {

ShardEvent EventOf(ErrorReason reason) {
  return reason == ErrorReason::kWrongShard ? ShardEvent::kWrongShard : ShardEvent::kMalformed;
}

// Converted at a time, few enough to stay in the nearest caches: of rows that are pulled, of gradients to be applied.
constexpr std::size_t kFloatsPulled = 2048, kFloatsPushed = 8192;

// The first bytes of a row, in pieces of one cache line, which need no call.
void CopyWeights(const float* row, std::size_t bytes, void* values) {
  constexpr std::size_t kPiece = 64;
  const auto* in = reinterpret_cast<const std::byte*>(row);
  auto* out = static_cast<std::byte*>(values);
  for (; bytes >= kPiece; bytes -= kPiece, in += kPiece, out += kPiece) std::memcpy(out, in, kPiece);
  if (bytes != 0) std::memcpy(out, in, bytes);
}

}  // namespace

void Shard::Refuse(NodeId to, RequestId id, ErrorReason reason, ShardEvent event, std::string text,
                   Outbox& out) {
  Count(event);
  out.Send(to, ErrorReply{id, reason, ToString(self_) + ": " + std::move(text)});
}

ShardTable* Shard::FindTable(TableId id) const {
  for (const auto& table : tables_) {
    if (table->spec().id == id) return table.get();
  }
  return nullptr;
}

bool Shard::Admit(const Stamp& from, RequestId id, std::uint32_t phase, Outbox& out) {
  const auto refuse = [&](ErrorReason reason, ShardEvent event, std::string text) {
    Refuse(from.sender, id, reason, event, std::move(text), out);
    return false;
  };
  if (from.run_id != stamp().run_id) {
    return refuse(ErrorReason::kWrongRun, ShardEvent::kWrongRun,
                  "serves run " + std::to_string(stamp().run_id) + ", not " + std::to_string(from.run_id));
  }
  if (!joined_ || following_ || !failure_.ok())
    return refuse(ErrorReason::kNotReady, ShardEvent::kNotReady, "has not joined yet");
  // The worker will hear who has the rows now, or that the run ends.
  if (stopped_) return refuse(ErrorReason::kNotReady, ShardEvent::kNotReady, "has ended");
  const std::uint32_t worker = from.sender.index;
  if (from.sender.role != Role::kWorker || worker >= worker_count_) {
    return refuse(ErrorReason::kMalformed, ShardEvent::kMalformed,
                  ToString(from.sender) + " is no worker of this run");
  }
  if (from.incarnation < incarnations_[worker]) {
    return refuse(ErrorReason::kStaleIncarnation, ShardEvent::kStaleIncarnation,
                  ToString(from.sender) + " has been replaced");
  }
  incarnations_[worker] = from.incarnation;
  if (from.generation < generation_) {
    return refuse(
        ErrorReason::kStaleGeneration, ShardEvent::kStaleGeneration,
        "slot map " + std::to_string(from.generation) + " is older than " + std::to_string(generation_));
  }
  if (from.generation > generation_) {
    return refuse(ErrorReason::kNotReady, ShardEvent::kFutureGeneration,
                  "has not heard of slot map " + std::to_string(from.generation));
  }
  if (phase > phase_.phase) {
    return refuse(ErrorReason::kFuturePhase, ShardEvent::kFuturePhase,
                  "is in phase " + std::to_string(phase_.phase) + ", not yet in " + std::to_string(phase));
  }
  if (phase < phase_.phase) {
    return refuse(ErrorReason::kStalePhase, ShardEvent::kStalePhase,
                  "is in phase " + std::to_string(phase_.phase) + ", no longer in " + std::to_string(phase));
  }
  if (phase == 0) {
    return refuse(ErrorReason::kFuturePhase, ShardEvent::kFuturePhase, "no phase has begun");
  }
  if (!PlaceOf(worker)) {
    return refuse(ErrorReason::kMalformed, ShardEvent::kMalformed,
                  ToString(from.sender) + " takes no part in phase " + std::to_string(phase));
  }
  return true;
}

// ---------------------------------------------------------------- pulls

void Shard::OnPull(std::uint32_t worker, PullRequest request, Outbox& out) {
  const NodeId sender = WorkerNode(worker);
  const ShardTable* table = FindTable(request.table);
  if (table == nullptr) {
    Refuse(sender, request.request_id, ErrorReason::kUnknownTable, ShardEvent::kUnknownTable,
           "no table " + std::to_string(request.table), out);
    return;
  }
  if (auto fault = CheckPull(request, table->spec(), owned_, &positions_)) {
    Refuse(sender, request.request_id, fault->reason, EventOf(fault->reason), "pull: " + fault->text, out);
    return;
  }
  if (phase_.kind != PhaseKind::kTrain || MayAnswer(request.clock)) {
    ServePull(worker, std::move(request), out);
    return;
  }
  const RequestId id = request.request_id;
  if (parked_pulls_.empty()) parked_since_ = now_;
  Count(parked_pulls_.Park(worker, std::move(request)) ? ShardEvent::kPullParked
                                                       : ShardEvent::kPullParkedAgain);
  SendParked(worker, id, out);
}

void Shard::SendParked(std::uint32_t worker, RequestId id, Outbox& out) {
  out.Send(WorkerNode(worker), PullParked{id, clocks_.slowest(), clocks_.lowest()});
}

// `positions_` holds the ring positions of the request's keys; so it does for AnswerPull.
void Shard::ServePull(std::uint32_t worker, PullRequest request, Outbox& out) {
  if (tiered_ && WaitsForDisk(worker, request)) return;
  AnswerPull(worker, request, FindTable(request.table)->found(), out);
}

void Shard::AnswerPull(std::uint32_t worker, const PullRequest& request, std::span<float* const> found,
                       Outbox& out) {
  const EmbeddingTable* table = &FindTable(request.table)->rows();
  const std::span<const Key> keys = request.keys.As<Key>();
  const std::uint32_t dim = table->spec().dim;
  const FloatType type = request.type;
  const std::size_t row_bytes = dim * SizeOf(type);
  auto reply = replies_.Take<std::byte>(keys.size() * row_bytes);
  std::byte* const values = reply.values.data();
  std::uint32_t absent = 0;
  // A pull that comes again after its clock is closed will not be named any more.
  std::shared_ptr<KeptPull> kept;
  if (request.keep && phase_.kind == PhaseKind::kTrain && request.clock > clocks_.closed(worker)) {
    kept = kept_.NewList();
    kept->id = request.request_id;
    kept->table = request.table;
    kept->clock = request.clock;
    kept->keys = request.keys;
    kept->positions.swap(positions_);
    kept->rows.resize(table->rows_stay() ? keys.size() : 0);
  }
  float** const rows = kept && !kept->rows.empty() ? kept->rows.data() : nullptr;
  const RowLayout& layout = table->layout();
  const bool wide = layout.dtype == FloatType::kFloat32, as_it_is = layout.dtype == type;
  // What must be converted is collected first and converted some rows at a time: the fewer instructions lie between one
  // row and the next, the more rows are on their way from memory at once.
  const std::size_t most = as_it_is ? 1 : std::max<std::size_t>(kFloatsPulled / dim, 1);
  if (floats_.size() < most * dim) floats_.resize(most * dim);
  std::size_t collected = 0;
  table->ForEach(kept ? kept->positions : positions_, found, [&](std::size_t i, float* row) {
    if (rows != nullptr) rows[i] = row;
    if (row != nullptr && as_it_is) return CopyWeights(row, row_bytes, values + i * row_bytes);
    float* const floats = floats_.data() + collected++ * dim;
    if (row != nullptr) {
      wide ? CopyWeights(row, dim * sizeof(float), floats) : layout.LoadWeights(row, floats);
    } else {
      ++absent;
      if (request.absent == AbsentRow::kInitial) {
        table->InitialWeights(keys[i], floats);
      } else {
        std::fill_n(floats, dim, 0.0f);
      }
    }
    if (collected < most && i + 1 < keys.size()) return;
    counted_.clipped_values += EncodeValues(type, floats_.data(), collected * dim, values + (i + 1 - collected) * row_bytes);
    collected = 0;
  });
  if (kept) kept_.Keep(worker, std::move(kept));
  Count(ShardEvent::kPullAnswered);
  rows_pulled_ += keys.size();
  if (phase_.kind != PhaseKind::kTrain) counted_.absent_rows += absent;
  out.Send(WorkerNode(worker), PullReply{request.request_id, request.table, dim, absent,
                                         std::move(reply.buffer), type, clocks_.lowest()});
}

void Shard::ReleasePulls(Outbox& out) {
  parked_pulls_.Release([&](Clock clock) { return MayAnswer(clock); },
                        [&](std::uint32_t worker, PullRequest request) {
                          Count(ShardEvent::kPullReleased);
                          const bool valid =
                              !CheckPull(request, FindTable(request.table)->spec(), owned_, &positions_);
                          COHORT_CHECK(valid, "a parked pull was checked when it came");
                          ServePull(worker, std::move(request), out);
                        });
}

// ---------------------------------------------------------------- pushes

bool Shard::CountOnce(std::uint32_t worker, const PushName& push, int group) {
  return push.clock > clocks_.closed(worker) && applied_.Mark(worker, push, group);
}

std::size_t Shard::Sum(FloatType type, std::uint32_t dim, std::span<const std::uint16_t> nodes,
                       std::span<const GradientView> parts, GradientRows* out) {
  return tree_sum_.Sum(dim, nodes, parts, out, type);
}

void Shard::OnPush(std::uint32_t worker, PushRequest request, Outbox& out) {
  const NodeId sender = WorkerNode(worker);
  const RequestId id = request.request_id;
  const auto malformed = [&](std::string text) {
    Refuse(sender, id, ErrorReason::kMalformed, ShardEvent::kMalformed, "push: " + std::move(text), out);
  };
  ShardTable* table = FindTable(request.table);
  if (table == nullptr) {
    Refuse(sender, id, ErrorReason::kUnknownTable, ShardEvent::kUnknownTable,
           "no table " + std::to_string(request.table), out);
    return;
  }
  if (phase_.kind != PhaseKind::kTrain) return malformed("this phase does not train");
  std::shared_ptr<const KeptPull> pull;
  if (request.pull != 0) {
    pull = kept_.Find(worker, request.pull);
    if (pull == nullptr) {
      Refuse(sender, id, ErrorReason::kUnknownPull, ShardEvent::kUnknownPull,
             "push: pull " + std::to_string(request.pull) + " is not kept", out);
      return;
    }
  }
  if (auto fault = CheckPush(request, table->spec(), owned_, pull.get(), &positions_)) {
    Refuse(sender, id, fault->reason, EventOf(fault->reason), "push: " + fault->text, out);
    return;
  }
  if (!NodeIsOfWorker(consistency_, slices_, static_cast<std::uint32_t>(phase_.workers.size()),
                      *PlaceOf(worker), request.node)) {
    return malformed("node " + std::to_string(request.node) + " of " + std::to_string(slices_) +
                     " slices is not what " + ToString(sender) + " pushes");
  }
  const Clock closed = clocks_.closed(worker);
  if (request.clock < 0 || request.clock - kClockWindow > closed) {
    return malformed("clock " + std::to_string(request.clock) + ", with " + std::to_string(closed) +
                     " closed");
  }
  const std::size_t value_count = request.values.size() / SizeOf(request.type);
  if (const std::size_t bad = CountNonFinite(request.type, request.values.data(), value_count); bad != 0) {
    counted_.non_finite += bad;
    Refuse(sender, id, ErrorReason::kMalformed, ShardEvent::kNonFinite,
           std::to_string(bad) + " gradients of table " + table->spec().name + " at clock " +
               std::to_string(request.clock) +
               " are NaN or infinite; lower the learning rate or scale the inputs",
           out);
    return;
  }

  // From here on nothing is refused.
  if (tiered_ && consistency_ != Consistency::kBsp && WaitsForDisk(worker, request, pull)) return;
  CountPush(worker, std::move(request), std::move(pull), out);
}

// `positions_` holds the ring positions of the push's keys, if it names no pull.
void Shard::CountPush(std::uint32_t worker, PushRequest request, std::shared_ptr<const KeptPull> pull,
                      Outbox& out) {
  const NodeId sender = WorkerNode(worker);
  const RequestId id = request.request_id;
  ShardTable* table = FindTable(request.table);
  const PushName name{request.clock, request.table, request.node};
  new_runs_.clear();
  PushReply reply{id, 0, 0};
  const std::span<const GroupRun> runs = request.runs.As<GroupRun>();
  for (const GroupRun& run : runs) {
    if (CountOnce(worker, name, static_cast<int>(run.group))) {
      new_runs_.push_back(run);
      ++reply.applied_parts;
    } else {
      ++reply.duplicate_parts;
    }
  }
  counted_.parts_acknowledged += reply.applied_parts;
  counted_.parts_duplicated += reply.duplicate_parts;
  if (reply.duplicate_parts != 0) Count(ShardEvent::kPushDuplicate);
  if (pull != nullptr) Count(ShardEvent::kPushByRows);
  if (reply.applied_parts != 0) {
    ReplicatePush(worker, request, pull.get(), out);
    if (consistency_ == Consistency::kBsp) {
      Count(ShardEvent::kPushHeld);
      held_.Hold(worker, std::move(request), std::move(pull), new_runs_);
    } else {
      Count(ShardEvent::kPushApplied);
      if (pull == nullptr) {
        ApplyNow(*table, request,
                 {positions_.size(), request.keys.As<Key>().data(), positions_.data(), nullptr});
      } else {
        const std::size_t rows = request.values.size() / SizeOf(request.type) / request.dim;
        finder_.Start(rows);
        ApplyNow(*table, request, finder_.Find(request, pull.get(), table->spec(), 0, rows));
      }
    }
  }
  Reply(sender, reply, out);
}

// `rows` are all rows of the push, `new_runs_` what of it counts.
void Shard::ApplyNow(ShardTable& table, const PushRequest& push, const PushedRows& rows) {
  const std::span<const GroupRun> runs = push.runs.As<GroupRun>();
  const FloatType type = push.type;
  const std::byte* const gradients = push.values.data();
  const std::size_t row_bytes = push.dim * SizeOf(type);
  const std::span<const std::uint32_t> counts = push.counts.As<std::uint32_t>();
  if (new_runs_.size() == runs.size()) {
    Apply(table, rows, type, gradients, counts, push.clock);
    return;
  }
  std::size_t first = 0;
  auto next = new_runs_.begin();
  for (const GroupRun& run : runs) {
    if (next != new_runs_.end() && next->group == run.group) {
      Apply(table, rows.Part(first, run.rows), type, gradients + first * row_bytes,
            counts.empty() ? counts : counts.subspan(first, run.rows), push.clock);
      ++next;
    }
    first += run.rows;
  }
}

void Shard::Apply(ShardTable& table, const PushedRows& rows, FloatType type, const std::byte* gradients,
                  std::span<const std::uint32_t> counts, Clock clock) {
  if (type == FloatType::kFloat32) {
    table.Apply(rows, reinterpret_cast<const float*>(gradients), counts, clock);
    return;
  }
  // In pieces whose floats stay in the nearest caches; a policy decides by slot and sees all of them at once.
  const std::uint32_t dim = table.spec().dim;
  const std::size_t piece =
      table.spec().policy.Any() ? rows.count : std::max<std::size_t>(kFloatsPushed / dim, 1);
  for (std::size_t begin = 0; begin < rows.count; begin += piece) {
    const std::size_t count = std::min(piece, rows.count - begin);
    if (floats_.size() < count * dim) floats_.resize(count * dim);
    DecodeValues(type, gradients + begin * dim * SizeOf(type), count * dim, floats_.data());
    table.Apply(rows.Part(begin, count), floats_.data(),
                counts.empty() ? counts : counts.subspan(begin, count), clock);
  }
}

// ---------------------------------------------------------------- clocks

void Shard::OnClose(std::uint32_t worker, const CloseRequest& request, Outbox& out) {
  const Clock closed = clocks_.closed(worker);
  const Clock clock = request.clock;
  if (clock < -1 || (clock != kClockInfinity && clock - kClockWindow > closed)) {
    Refuse(WorkerNode(worker), request.request_id, ErrorReason::kMalformed, ShardEvent::kMalformed,
           "close: clock " + std::to_string(clock) + ", with " + std::to_string(closed) + " closed", out);
    return;
  }
  if (clock <= closed) {
    Count(ShardEvent::kCloseRepeated);
    return Reply(WorkerNode(worker), CloseReply{request.request_id}, out);
  }
  ReplicateClose(worker, clock, out);
  Reply(WorkerNode(worker), CloseReply{request.request_id}, out);
  CloseClock(worker, clock, out);
}

void Shard::CloseClock(std::uint32_t worker, Clock clock, Outbox& out) {
  Count(ShardEvent::kClose);
  clocks_.Close(worker, clock);
  applied_.Forget(worker, clock);
  kept_.Forget(worker, clock);
  ApplyClosedClocks();
  ReleasePulls(out);
}

void Shard::ApplyClosedClocks() {
  while (!applying_ && held_.TakeUpTo(clocks_.lowest(), &closing_)) {
    if (tiered_ && ClosingWaitsForDisk()) return;
    FinishClosing();
  }
  if (!applying_) EndClock(clocks_.lowest());
}

void Shard::FinishClosing() {
  Count(ShardEvent::kClockApplied);
  EndClock(closing_.clock() - 1);
  ApplyHeld(closing_);
  closing_.Clear();  // lets the frames go
}

void Shard::EndClock(Clock clock) {
  if (next_checkpoint_ != 0) BeginDueCheckpoints(clock);
  for (const auto& table : tables_) table->EndClock(clock);
}

void Shard::ApplyHeld(HeldPushes::OneClock& held) {
  std::stable_sort(held.parts.begin(), held.parts.end(),
                   [](const HeldPushes::Part& a, const HeldPushes::Part& b) {
                     return a.table != b.table ? a.table < b.table : a.group < b.group;
                   });
  auto begin = held.parts.begin();
  while (begin != held.parts.end()) {
    const auto end = std::find_if(begin, held.parts.end(), [begin](const HeldPushes::Part& part) {
      return part.table != begin->table || part.group != begin->group;
    });
    ShardTable& table = *FindTable(begin->table);
    const std::uint32_t dim = table.spec().dim;
    std::size_t rows = 0;
    for (auto part = begin; part != end; ++part) rows += part->rows;
    finder_.Start(rows);
    nodes_.clear();
    views_.clear();
    const FloatType type = table.spec().push_values;
    if (type != FloatType::kFloat32 && floats_.size() < rows * dim) floats_.resize(rows * dim);
    float* widened = floats_.data();
    PushedRows pushed;
    for (auto part = begin; part != end; ++part) {
      const PushRequest& push = held.messages[part->message].push;
      pushed = finder_.Find(push, held.messages[part->message].pull.get(), table.spec(), part->first_row,
                            part->rows);
      const std::size_t first = std::size_t{part->first_row} * dim, count = std::size_t{part->rows} * dim;
      const float* values = nullptr;
      if (type == FloatType::kFloat32) {
        values = push.values.As<float>().data() + first;
      } else {
        Widen(type, push.values.As<std::uint16_t>().data() + first, count, widened);
        values = widened;
        widened += count;
      }
      nodes_.push_back(part->node);
      views_.emplace_back(pushed.count, pushed.keys, pushed.positions, values);
    }
    const float* values = views_.front().values;
    if (views_.size() > 1) {
      counted_.clipped_values += Sum(type, dim, nodes_, views_, &sum_);
      pushed = {sum_.keys.size(), sum_.keys.data(), sum_.positions.data(), nullptr};
      values = sum_.values.data();
    }
    counts_.clear();
    if (table.spec().policy.NeedsCounts()) {
      // The order of whole numbers does not matter: part by part, through the rows of the sum.
      counts_.resize(pushed.count);
      auto view = views_.begin();
      for (auto part = begin; part != end; ++part, ++view) {
        const std::uint32_t* counts =
            held.messages[part->message].push.counts.As<std::uint32_t>().data() + part->first_row;
        std::size_t at = 0;
        for (std::size_t i = 0; i < view->count; ++i) {
          while (pushed.positions[at] < view->positions[i]) ++at;
          counts_[at] += counts[i];
        }
      }
    }
    table.Apply(pushed, values, counts_, held.clock());
    begin = end;
  }
}

}  // namespace cohort
