#include "launch/plan/stand_in.h"

#include <algorithm>
#include <thread>
#include <variant>

#include "common/check.h"
#include "common/float16.h"
#include "common/wire.h"
#include "worker/model/kernels.h"

namespace cohort {
namespace {

// What endpoints look like, for the length of a Welcome.
constexpr const char* kSomeEndpoint = "tcp://127.0.0.1:40000";

// float32 values as a pull's answer carries them.
Buffer AsType(FloatType type, std::vector<float> values) {
  if (type == FloatType::kFloat32) return Buffer::Own(std::move(values));
  std::vector<std::uint16_t> halves(values.size());
  NarrowToNearest(type, values.data(), values.size(), halves.data());
  return Buffer::Own(std::move(halves));
}

}  // namespace

LinkLoad& LinkLoad::operator+=(const LinkLoad& other) {
  to_shard += other.to_shard, to_worker += other.to_worker;
  to_backup += other.to_backup, from_backup += other.from_backup;
  pulls += other.pulls, pushes += other.pushes;
  pulled_rows += other.pulled_rows, pulled_bytes += other.pulled_bytes;
  pushed_rows += other.pushed_rows, pushed_bytes += other.pushed_bytes;
  return *this;
}

void WorkLoad::Add(const WorkLoad& other) {
  batches += other.batches, rows += other.rows;
  links.resize(std::max(links.size(), other.links.size()));
  for (std::size_t shard = 0; shard < other.links.size(); ++shard) links[shard] += other.links[shard];
}

StandIn::StandIn(const RunInputs& inputs, const RunPlan& plan, std::uint32_t worker,
                 std::vector<RehearsedPhase> phases, std::function<void(std::size_t)> done)
    : inputs_(inputs),
      plan_(plan),
      index_(worker),
      phases_(std::move(phases)),
      done_(std::move(done)),
      loads_(phases_.size()),
      closed_(plan.shards, -1) {}

void StandIn::Run(Outbox& out, Duration at_most) {
  COHORT_CHECK(node_ != nullptr);
  const auto send = [this](Outbox& from) {
    (void)from.TakeConnections();
    for (const Outgoing& outgoing : from.Take()) Take(outgoing);
  };
  send(out);
  if (Now() >= node_->NextTimer()) {
    Outbox more;
    node_->OnTimer(Now(), more);
    send(more);
  }
  // Nothing but a batch that is still being read can be waited for.
  if (answers_.empty() && at_most > Duration::zero())
    std::this_thread::sleep_for(std::min<Duration>(at_most, std::chrono::milliseconds(1)));
  while (!answers_.empty()) {
    Answer answer = std::move(answers_.front());
    answers_.pop_front();
    Stamp stamp{answer.from, plan_.run_id};
    stamp.term = plan_.term;
    stamp.generation = 1;
    Outbox more;
    node_->OnMessage(stamp, std::move(answer.message), Now(), more);
    send(more);
  }
}

std::uint64_t StandIn::BytesOf(NodeId from, NodeId to, const Message& message) const {
  return SizeOf(Encode(Stamp{from, plan_.run_id}, to, message));
}

void StandIn::Say(Message message) {
  const std::uint64_t bytes = BytesOf(kSchedulerNode, WorkerNode(index_), message);
  if (phase_ < loads_.size() && !std::holds_alternative<HeartbeatReply>(message) &&
      !std::holds_alternative<Welcome>(message))
    loads_[phase_].control += bytes;
  if (std::holds_alternative<Welcome>(message)) welcome_bytes_ = bytes;
  answers_.push_back({kSchedulerNode, std::move(message), {}});
}

void StandIn::Take(const Outgoing& outgoing) {
  Frames frames = Encode(node_->stamp(), outgoing.to, outgoing.message);
  if (outgoing.to.role == Role::kScheduler) return TakeControl(outgoing.message, SizeOf(frames));
  TakeData(outgoing.to.index, outgoing.message, std::move(frames));
}

// ---------------------------------------------------------------- as the scheduler

void StandIn::TakeControl(const Message& message, std::uint64_t bytes) {
  if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    const HeartbeatReply reply{heartbeat->request_id};
    heartbeat_bytes_ = bytes + BytesOf(kSchedulerNode, WorkerNode(index_), reply);
    return Say(reply);
  }
  if (const auto* registration = std::get_if<Register>(&message)) {
    Welcome welcome;
    welcome.request_id = registration->request_id;
    welcome.term = plan_.term;
    welcome.worker_count = plan_.workers;
    welcome.seed = plan_.seed;
    welcome.consistency = plan_.consistency;
    welcome.staleness = plan_.staleness;
    welcome.slices = plan_.slices;
    welcome.slot_map = SlotMap::Even(plan_.shards);
    welcome.shard_endpoints.assign(plan_.shards, kSomeEndpoint);
    welcome.tables = plan_.tables;
    welcome.run_config = plan_.run_config;
    welcome.kernels = BestKernelPath();
    Say(std::move(welcome));
    return NextPhase();
  }
  if (phase_ >= loads_.size()) return;
  PhaseLoad& load = loads_[phase_];
  if (const auto* lease = std::get_if<LeaseRequest>(&message)) {
    load.control += bytes;
    return Say(GrantLease(*lease));
  }
  if (const auto* done = std::get_if<PhaseDone>(&message)) {
    (done->evaluation.empty() ? load.control : load.sums) += bytes;
    load.counters = *done->counters;
    Say(Ack{done->request_id});
    done_(phase_);
    ++phase_;
    return NextPhase();
  }
  load.control += bytes;
}

void StandIn::NextPhase() {
  PhaseOrder order;
  order.kind = PhaseKind::kStop;
  if (phase_ < phases_.size()) {
    order = phases_[phase_].order;
    const bool train = order.kind == PhaseKind::kTrain;
    const std::uint64_t rows = RowsOf(plan_, order.split);
    std::uint64_t blocks = train ? Leases::TrainingBlocks(rows, plan_.shuffle_rows, plan_.workers)
                                 : Leases::ScoringBlocks(rows, plan_.workers);
    if (train && plan_.consistency == Consistency::kBsp) blocks = 0;
    leases_ = Leases(rows, blocks, std::max(1u, plan_.batch_size / plan_.workers), 1);
    epoch_.reset();
    if (train) epoch_.emplace(plan_.seed, rows, order.epoch);
  }
  order.request_id = phase_ + 1;
  order.phase = static_cast<std::uint32_t>(phase_ + 1);
  std::fill(closed_.begin(), closed_.end(), order.first_clock - 1);
  kept_.clear();
  Say(std::move(order));
}

LeaseReply StandIn::GrantLease(const LeaseRequest& request) {
  PhaseLoad& load = loads_[phase_];
  if (load.rows >= phases_[phase_].most_rows) return leases_.Refuse(index_, request);
  LeaseReply reply = leases_.Grant(index_, request);
  if (!reply.granted) return reply;
  // In training a lease is a run of blocks of the epoch's order, which may have the short one.
  load.rows +=
      epoch_ ? epoch_->RowsOfWindow(reply.first_block, reply.block_count) : leases_.Find(reply.lease)->rows;
  return reply;
}

// ---------------------------------------------------------------- as the shards

const TableSpec& StandIn::Table(TableId id) const {
  const auto found = std::find_if(plan_.tables.begin(), plan_.tables.end(),
                                  [id](const TableSpec& table) { return table.id == id; });
  COHORT_CHECK(found != plan_.tables.end(), "table %u", static_cast<unsigned>(id));
  return *found;
}

WorkLoad& StandIn::LoadOf(Clock clock) {
  const bool by_clock =
      phases_[phase_].order.kind == PhaseKind::kTrain && plan_.consistency == Consistency::kBsp;
  return loads_[phase_].clocks[by_clock ? clock : 0];
}

LinkLoad& StandIn::LinkOf(WorkLoad& load, std::uint32_t shard) const {
  load.links.resize(plan_.shards);
  return load.links[shard];
}

PullReply StandIn::AnswerPull(std::uint32_t shard, const PullRequest& pull) {
  const TableSpec& table = Table(pull.table);
  const std::span<const Key> keys = pull.keys.As<Key>();
  std::vector<float> values(keys.size() * table.dim);
  for (std::size_t i = 0; i < keys.size(); ++i)
    InitializeRow(table, plan_.seed, keys[i], values.data() + i * table.dim);
  PullReply reply;
  reply.request_id = pull.request_id;
  reply.table = pull.table;
  reply.dim = table.dim;
  reply.type = pull.type;
  reply.values = AsType(pull.type, std::move(values));
  reply.applied_to = closed_[shard];  // as if the others were as far
  return reply;
}

void StandIn::CountReplica(const PushRequest& push, LinkLoad* link) const {
  ReplicaPush replica{0, index_, push};
  if (const auto pull = kept_.find(push.pull); pull != kept_.end()) {
    const Buffer& keys = pull->second.second;
    replica.push.pull = 0;
    const std::size_t rows =
        push.rows.empty() ? keys.size() / sizeof(Key) : push.rows.size() / sizeof(std::uint32_t);
    replica.push.rows = {};
    replica.push.keys = keys.Slice(0, rows * sizeof(Key));  // as many bytes, whichever keys
  }
  const NodeId shard = ShardNode(0), backup = BackupNode(0);
  link->to_backup += BytesOf(shard, backup, replica);
  link->from_backup += BytesOf(backup, shard, ReplicaAck{});
}

void StandIn::TakeData(std::uint32_t shard, const Message& message, Frames frames) {
  COHORT_CHECK(phase_ < phases_.size());
  const std::uint64_t bytes = SizeOf(frames);
  Message reply;
  LinkLoad* link = nullptr;
  if (const auto* pull = std::get_if<PullRequest>(&message)) {
    const bool once = pull->table == kDenseTable && phases_[phase_].order.kind != PhaseKind::kTrain;
    link = &LinkOf(once ? loads_[phase_].once : LoadOf(pull->clock), shard);
    ++link->pulls;
    if (pull->keep && plan_.backups) kept_[pull->request_id] = {pull->clock, pull->keys};
    PullReply answer = AnswerPull(shard, *pull);
    link->pulled_rows += pull->keys.size() / sizeof(Key);
    link->pulled_bytes += answer.values.size();
    reply = std::move(answer);
  } else if (const auto* push = std::get_if<PushRequest>(&message)) {
    link = &LinkOf(LoadOf(push->clock), shard);
    ++link->pushes;
    link->pushed_bytes += bytes;
    link->pushed_rows += push->values.size() / (push->dim * SizeOf(push->type));
    if (plan_.backups) CountReplica(*push, link);
    reply = PushReply{push->request_id, static_cast<std::uint32_t>(push->runs.size() / sizeof(GroupRun)), 0};
  } else if (const auto* close = std::get_if<CloseRequest>(&message)) {
    // The end of a phase of leases belongs to no clock.
    link = &LinkOf(LoadOf(close->clock == kClockInfinity ? 0 : close->clock), shard);
    closed_[shard] = std::max(closed_[shard], close->clock);
    const Clock everywhere = *std::min_element(closed_.begin(), closed_.end());
    std::erase_if(kept_, [&](const auto& each) { return each.second.first <= everywhere; });
    if (plan_.backups) {
      ReplicaEvent event;
      event.phase.workers.clear();
      link->to_backup += BytesOf(ShardNode(0), BackupNode(0), event);
      link->from_backup += BytesOf(BackupNode(0), ShardNode(0), ReplicaAck{});
    }
    reply = CloseReply{close->request_id};
  } else {
    COHORT_CHECK(false, "a worker has sent a shard %s", MessageName(message));
  }
  link->to_shard += bytes;
  link->to_worker += BytesOf(ShardNode(shard), WorkerNode(index_), reply);
  answers_.push_back({ShardNode(shard), std::move(reply), std::move(frames)});
}

}  // namespace cohort
