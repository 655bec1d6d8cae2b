#include "launch/simulate/simulated_cluster.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "common/process.h"
#include "common/random.h"
#include "launch/simulate/event_queue.h"
#include "launch/simulate/parcel.h"
#include "launch/simulate/simulated_host.h"
#include "launch/simulate/simulated_worker.h"
#include "scheduler/coordinator.h"
#include "server/shard.h"

namespace cohort {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr VirtualTime kForEver = std::numeric_limits<VirtualTime>::max();
constexpr double kLongestRun = 1e7;  // virtual seconds
constexpr std::uint64_t kProgressEvents = 1u << 18;
constexpr std::uint32_t kRecoveries = 1'000'000;

TimePoint At(VirtualTime t) { return TimePoint(Duration(t)); }

// Nothing is loaded or written.
class NoStore : public SnapshotStore {
 public:
  SnapshotDone Write(const std::string&, std::uint32_t, std::span<const EmbeddingTable* const>) override {
    return {};
  }
  Status Load(const std::string&, const OwnedGroups&, std::span<EmbeddingTable* const>) override {
    return {};
  }
  bool HasCheckpoint(const std::string&, std::uint64_t) override { return false; }
  std::unique_ptr<CheckpointWriter> WriteCheckpoint(const CheckpointPart&) override { return nullptr; }
  Result<std::vector<ShardState>> Resume(const std::string&, const OwnedGroups&,
                                         std::span<EmbeddingTable* const>) override {
    return std::vector<ShardState>();
  }
};

class EpochObserver : public RunObserver {
 public:
  void OnSample(const MetricsSample&) override {}
  void OnPhaseEnd(const PhaseSummary& summary) override { seconds = summary.seconds; }
  void OnEvent(const std::string&) override {}
  void OnWarning(const std::string&) override {}
  double seconds = 0;
};

class Simulation : public SimulatedHosts::Driver {
 public:
  explicit Simulation(const SimulationInput& input);
  Result<SimulationResult> Run(const std::function<void(double)>& progress);

  VirtualTime Begin(SimulatedHosts::ThreadId thread, const SimulatedHosts::Job& job,
                    VirtualTime now) override;
  void End(SimulatedHosts::ThreadId thread, const SimulatedHosts::Job& job, VirtualTime now) override;
  void WakeAt(VirtualTime at, SimulatedHosts::ThreadId thread, std::uint32_t ticket) override {
    Schedule(at, EventKind::kWake, thread, ticket);
  }

 private:
  enum class EventKind : std::uint8_t { kTravel, kArrive, kTimer, kWake, kTurn, kWorkDone, kFault, kReplace };
  struct Event {
    EventKind kind = EventKind::kArrive;
    std::uint32_t what = 0, more = 0;
  };
  // What a node's main thread can be asked to do.
  enum class Turn : std::uint8_t { kStart, kTimer, kRead, kComputed, kMessage, kDeath };
  static constexpr std::uint32_t kTurns = 6;
  // Jobs of threads: turns first, then what is no turn.
  static constexpr std::uint32_t kIoSend = 10, kIoReceive = 11, kReading = 12, kComputing = 13;

  struct Link {
    VirtualTime out_free = 0, in_free = 0;
    VirtualTime busy_out = 0, busy_in = 0;
  };
  struct Place {
    NodeId id;
    Node* node = nullptr;  // null: dead
    SimulatedWorker* worker = nullptr;
    Shard* shard = nullptr;
    std::uint32_t host = 0, process = 0;
    SimulatedHosts::ThreadId main = 0, io = 0, reader = 0;
    VirtualTime timer = kForEver;
    std::uint32_t life = 1;                  // its incarnation
    VirtualTime reading = 0, computing = 0;  // CPU time of the next job
    std::vector<std::uint32_t> leaving;      // parcels that the turn under way has made
    std::uint64_t clocks_applied = 0;
    std::map<Clock, double> held;  // bsp: CPU seconds of applying what is held
  };

  void Schedule(VirtualTime at, EventKind kind, std::uint32_t what, std::uint32_t more = 0) {
    events_.Push(at, {kind, what, more});
  }
  void MakeCluster();
  std::uint32_t AddPlace(NodeId id, std::uint32_t host, bool own_io);
  std::uint32_t PlaceOf(NodeId id) const;
  void MakeWorker(Place& place);
  void FetchAhead();
  void Handle(VirtualTime now, const Event& event);
  // Has the main thread take a turn, at once or when it can.
  void Ask(std::uint32_t place, Turn turn, std::uint32_t more, VirtualTime now);
  // The turn itself. `more`: of kMessage the parcel, of kDeath whose place, of kRead and kComputed in which life it was
  // begun. Returns its CPU time; what it sends is in `leaving`.
  VirtualTime Take(std::uint32_t place, Turn turn, std::uint32_t more, VirtualTime now);
  void AfterTurn(std::uint32_t place, VirtualTime now);
  VirtualTime Collect(Place& place, std::uint32_t from, Outbox& out);
  VirtualTime AppliedClocks(Place& place);
  void Depart(std::uint32_t parcel, VirtualTime now);
  void Travel(std::uint32_t parcel, VirtualTime now);
  VirtualTime LinkTime(const Parcel& parcel) const;
  bool ComeIn(std::uint32_t parcel, VirtualTime now);
  void Kill(VirtualTime now);
  SchedulerClient::Options ClientOptions(std::uint32_t incarnation) const;
  SimulationResult Summary() const;

  const SimulationInput& input_;
  const SimulatedJob job_;
  const ParcelCosts costs_;
  SimulatedHosts hosts_;
  NoStore store_;
  EpochObserver observer_;
  RandomStream random_;
  std::unique_ptr<Coordinator> coordinator_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::unique_ptr<SimulatedWorker>> workers_;  // all lives
  std::vector<Place> places_;
  std::vector<Link> links_;               // by host
  std::vector<std::uint32_t> computing_;  // by host: workers that compute, or wait for a core to
  ParcelPool parcels_;
  Outbox outbox_;                   // of the turn under way
  std::vector<Outgoing> outgoing_;  // what was in it
  VirtualTime clock_ = 0;  // of the event being handled
  VirtualTime local_hop_ = 0, shared_free_ = 0, shared_busy_ = 0;
  EventQueue<Event> events_;
  std::uint64_t handled_ = 0, messages_ = 0;
  std::uint64_t worker_bytes_ = 0, server_bytes_ = 0;
  std::uint64_t pid_ = 0;
};

SimulatedJob JobOf(const SimulationInput& input) {
  return SimulatedJob::Make(input.workload, input.consistency, input.slices, input.batch_size, input.rows,
                            input.request_rows, input.servers * input.shards_per_server);
}

Simulation::Simulation(const SimulationInput& input)
    : input_(input),
      job_(JobOf(input)),
      costs_(input.costs, job_),
      hosts_(this, ToVirtual(input.costs.switch_seconds)),
      random_(input.seed, 0x73696d) {
  const MachineCosts& costs = input.costs;
  local_hop_ = ToVirtual(
      std::max(0.0, (costs.round_trip_seconds - costs.worker_pull.message - costs.server_pull.message) / 2));
  MakeCluster();
}

std::uint32_t Simulation::AddPlace(NodeId id, std::uint32_t host, bool own_io) {
  Place place;
  place.id = id;
  place.host = host;
  place.process = own_io ? static_cast<std::uint32_t>(places_.size()) : places_.back().process;
  place.main = hosts_.AddThread(host, place.process);
  place.io = own_io ? hosts_.AddThread(host, place.process) : places_.back().io;
  places_.push_back(std::move(place));
  return static_cast<std::uint32_t>(places_.size() - 1);
}

std::uint32_t Simulation::PlaceOf(NodeId id) const {
  if (id.role == Role::kScheduler) return 0;
  if (id.role == Role::kShard) return 1 + id.index;
  return 1 + static_cast<std::uint32_t>(shards_.size()) + id.index;
}

SchedulerClient::Options Simulation::ClientOptions(std::uint32_t incarnation) const {
  SchedulerClient::Options options;
  options.run_id = 1;
  options.incarnation = incarnation;
  options.term = 1;
  return options;
}

void Simulation::MakeWorker(Place& place) {
  ParameterClient::Options parameters;
  parameters.request_rows = job_.request_rows;
  parameters.incarnation = place.life;
  workers_.push_back(
      std::make_unique<SimulatedWorker>(place.id.index, job_, ClientOptions(place.life), parameters, ++pid_));
  place.node = place.worker = workers_.back().get();
  place.timer = kForEver;
}

// Servers first, then workers, in turn over the hosts; the scheduler with the first of them.
void Simulation::MakeCluster() {
  RunPlan plan;
  plan.run_id = 1;
  plan.shards = input_.servers * input_.shards_per_server;
  plan.workers = input_.workers;
  plan.seed = input_.seed;
  plan.consistency = input_.consistency;
  plan.staleness = input_.staleness;
  plan.slices = input_.consistency == Consistency::kBsp ? input_.slices : 1;
  plan.batch_size = input_.batch_size;
  plan.shuffle_rows = 65536;
  plan.rows[static_cast<std::size_t>(Split::kTrain)] = job_.rows;
  plan.tables = job_.tables;
  plan.steps = {PlanStep::Phase(PhaseKind::kTrain, 0, Split::kTrain)};
  plan.recoveries = kRecoveries;
  coordinator_ = std::make_unique<Coordinator>(std::move(plan), nullptr, &observer_);

  const bool apart = input_.hosts == 0;
  const std::uint32_t processes = input_.servers + input_.workers;
  const std::uint32_t hosts = apart ? processes + 1 : input_.hosts;
  for (std::uint32_t h = 0; h < hosts; ++h) hosts_.AddHost(input_.cores_per_host);
  links_.resize(hosts);
  computing_.resize(hosts);
  const auto host_of = [&](std::uint32_t process) { return apart ? process + 1 : process % hosts; };
  places_.reserve(1 + input_.servers * input_.shards_per_server + input_.workers);
  places_[AddPlace(kSchedulerNode, 0, true)].node = coordinator_.get();
  for (std::uint32_t s = 0; s < input_.servers; ++s) {
    for (std::uint32_t i = 0; i < input_.shards_per_server; ++i) {
      const auto index = static_cast<std::uint32_t>(shards_.size());
      ShardOptions options{Register{0, s, "simulated:" + std::to_string(index), "host", ++pid_, "avx2"},
                           ClientOptions(1)};
      shards_.push_back(std::make_unique<Shard>(ShardNode(index), std::move(options), store_));
      Place& place = places_[AddPlace(ShardNode(index), host_of(s), i == 0)];
      place.node = place.shard = shards_.back().get();
    }
  }
  for (std::uint32_t w = 0; w < input_.workers; ++w) {
    Place& place = places_[AddPlace(WorkerNode(w), host_of(input_.servers + w), true)];
    place.reader = hosts_.AddThread(place.host, place.process);
    MakeWorker(place);
  }
  coordinator_->Start(TimePoint{});
  for (std::uint32_t p = 0; p < places_.size(); ++p)
    Schedule(0, EventKind::kTurn, p, static_cast<std::uint32_t>(Turn::kStart));
  if (input_.faults_per_hour > 0)
    Schedule(ToVirtual(-std::log(1 - random_.Uniform()) * 3600 / input_.faults_per_hour), EventKind::kFault,
             0);
}

Result<SimulationResult> Simulation::Run(const std::function<void(double)>& progress) {
  while (!coordinator_->decided()) {
    if (events_.empty())
      return Error(ErrorCode::kInternal, "the simulated run stands still: " + coordinator_->WaitingFor());
    const auto [at, number, event] = events_.Pop();
    FetchAhead();
    if (ToSeconds(at) > kLongestRun) {
      return InvalidInput("the simulated run has not ended after " + std::to_string(kLongestRun) +
                          " s of its own time: " + coordinator_->WaitingFor());
    }
    clock_ = at;
    Handle(at, event);
    if (++handled_ % kProgressEvents == 0 && progress) {
      std::uint64_t samples = 0;
      for (const auto& worker : workers_) samples += worker->samples();
      progress(static_cast<double>(samples) / static_cast<double>(job_.rows));
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
    }
  }
  if (!coordinator_->verdict().ok()) return tl::unexpected(coordinator_->verdict());
  return Summary();
}

// Thousands of processes' memory is in no cache: what will be needed is asked for early, the parcel before its receiver.
void Simulation::FetchAhead() {
  constexpr std::size_t kParcel = 12, kReceiver = 5;
  if (const Event* far = events_.Peek(kParcel); far != nullptr && far->kind == EventKind::kArrive)
    parcels_.FetchAhead(far->what);
  const Event* near = events_.Peek(kReceiver);
  if (near == nullptr || near->kind != EventKind::kArrive) return;
  const Place& place = places_[parcels_[near->what].to];
  for (std::size_t i = 0; i < 4; ++i) __builtin_prefetch(reinterpret_cast<const char*>(place.node) + 64 * i);
}

void Simulation::Handle(VirtualTime now, const Event& event) {
  switch (event.kind) {
    case EventKind::kTravel:
      Travel(event.what, now);
      break;
    case EventKind::kArrive: {
      if (!ComeIn(event.what, now)) break;
      const Parcel& parcel = parcels_[event.what];
      const Place& place = places_[parcel.to];
      if (hosts_.Roomy(place.io)) {
        const VirtualTime here =
            hosts_.RunAlone(place.io, hosts_.FreeAt(place.io, now), parcel.cost.io_receive);
        Ask(parcel.to, Turn::kMessage, event.what, here);
      } else {
        hosts_.Submit(place.io, {kIoReceive, event.what}, now);
      }
      break;
    }
    case EventKind::kTimer: {
      Place& place = places_[event.what];
      if (place.timer != now || place.node == nullptr) break;
      place.timer = kForEver;
      Ask(event.what, Turn::kTimer, 0, now);
      break;
    }
    case EventKind::kWake:
      hosts_.Wake(event.what, event.more, now);
      break;
    case EventKind::kTurn:
      Ask(event.what, static_cast<Turn>(event.more), 0, now);
      break;
    case EventKind::kWorkDone:
      Ask(event.what, static_cast<Turn>(event.more % kTurns), event.more / kTurns, now);
      break;
    case EventKind::kFault:
      Kill(now);
      Schedule(now + ToVirtual(-std::log(1 - random_.Uniform()) * 3600 / input_.faults_per_hour),
               EventKind::kFault, 0);
      break;
    case EventKind::kReplace: {
      Place& place = places_[event.what];
      ++place.life;
      MakeWorker(place);
      Ask(event.what, Turn::kStart, 0, now);
      break;
    }
  }
}

void Simulation::Ask(std::uint32_t index, Turn turn, std::uint32_t more, VirtualTime now) {
  Place& place = places_[index];
  if (!hosts_.Roomy(place.main)) {
    hosts_.Submit(place.main, {static_cast<std::uint32_t>(turn), index, more}, now);
    return;
  }
  const VirtualTime begin = hosts_.FreeAt(place.main, now);
  const VirtualTime end = hosts_.RunAlone(place.main, begin, Take(index, turn, more, begin));
  AfterTurn(index, end);
}

VirtualTime Simulation::Begin(SimulatedHosts::ThreadId, const SimulatedHosts::Job& job, VirtualTime now) {
  switch (job.kind) {
    case kIoSend:
      return parcels_[job.what].cost.io_send;
    case kIoReceive:
      return parcels_[job.what].cost.io_receive;
    case kReading:
      return places_[job.what].reading;
    case kComputing:
      return places_[job.what].computing;
    default:
      return Take(job.what, static_cast<Turn>(job.kind), job.more, now);
  }
}

void Simulation::End(SimulatedHosts::ThreadId, const SimulatedHosts::Job& job, VirtualTime now) {
  switch (job.kind) {
    case kIoSend:
      return Travel(job.what, now);
    case kIoReceive:
      return Ask(parcels_[job.what].to, Turn::kMessage, job.what, now);
    case kReading:
      return Ask(job.what, Turn::kRead, job.more, now);
    case kComputing:
      return Ask(job.what, Turn::kComputed, job.more, now);
    default:
      return AfterTurn(job.what, now);
  }
}

VirtualTime Simulation::Take(std::uint32_t index, Turn turn, std::uint32_t more, VirtualTime now) {
  Place& place = places_[index];
  Outbox& out = outbox_;
  VirtualTime cost = 0;
  if (turn == Turn::kComputed) --computing_[place.host];
  if (turn == Turn::kMessage) {
    Parcel& parcel = parcels_[more];
    cost = parcel.cost.main_receive;
    if (place.node != nullptr) {
      if (parcel.cost.applying > 0) {
        const auto& push = std::get<PushRequest>(parcel.message);
        place.held[push.clock] += parcel.cost.applying;
      }
      place.node->OnMessage(parcel.from, std::move(parcel.message), At(now), out);
    }
    parcels_.Free(more);
  } else if (place.node == nullptr) {
    return 0;
  } else if (turn == Turn::kTimer) {
    if (place.node->NextTimer() <= At(now)) place.node->OnTimer(At(now), out);
  } else if (turn == Turn::kDeath) {
    coordinator_->OnProcessDeath(places_[more].id, At(now), out);
  } else if (turn == Turn::kStart) {
    if (place.worker != nullptr) place.worker->Start(At(now), out);
    if (place.shard != nullptr) place.shard->Start(At(now), out);
  } else if (more == place.life) {  // else it was begun in an earlier one
    turn == Turn::kRead ? place.worker->OnRead(At(now), out) : place.worker->OnComputed(At(now), out);
  }
  if (place.shard != nullptr) cost += AppliedClocks(place);
  return cost + Collect(place, index, out);
}

// What the clocks took that this turn has applied.
VirtualTime Simulation::AppliedClocks(Place& place) {
  const std::uint64_t applied = place.shard->count(ShardEvent::kClockApplied);
  double cost = 0;
  for (; place.clocks_applied < applied && !place.held.empty(); ++place.clocks_applied) {
    cost += place.held.begin()->second;
    place.held.erase(place.held.begin());
  }
  return ToVirtual(cost);
}

// Makes parcels of what the turn sends. Returns what that takes.
VirtualTime Simulation::Collect(Place& place, std::uint32_t from, Outbox& out) {
  VirtualTime cost = 0;
  const Stamp stamp = place.node == nullptr ? Stamp{} : place.node->stamp();
  out.Take(&outgoing_);
  for (Outgoing& outgoing : outgoing_) {
    const std::uint32_t to = PlaceOf(outgoing.to);
    const SimulatedWorker* worker = place.worker != nullptr ? place.worker : places_[to].worker;
    const ParcelCost of_it = costs_.Of(outgoing.message, worker);
    cost += of_it.main_send;
    if (place.id.role != Role::kScheduler) {
      (place.worker != nullptr ? worker_bytes_ : server_bytes_) += of_it.bytes;
      ++messages_;
    }
    place.leaving.push_back(parcels_.Add({stamp, from, to, of_it, false, std::move(outgoing.message)}));
  }
  out.TakeConnections();
  return cost;
}

void Simulation::AfterTurn(std::uint32_t index, VirtualTime now) {
  Place& place = places_[index];
  for (const std::uint32_t parcel : place.leaving) Depart(parcel, now);
  place.leaving.clear();
  if (place.node == nullptr) return;
  if (const VirtualTime next = place.node->NextTimer() == kNever
                                   ? kForEver
                                   : std::max(now, place.node->NextTimer().time_since_epoch().count());
      next < place.timer) {
    place.timer = next;
    Schedule(next, EventKind::kTimer, index);
  }
  if (place.worker == nullptr) return;
  const auto begin = [&](SimulatedHosts::ThreadId thread, VirtualTime taken, Turn turn, std::uint32_t job) {
    if (hosts_.Roomy(thread)) {
      Schedule(hosts_.RunAlone(thread, hosts_.FreeAt(thread, now), taken), EventKind::kWorkDone, index,
               static_cast<std::uint32_t>(turn) + kTurns * place.life);
    } else {
      hosts_.Submit(thread, {job, index, place.life}, now);
    }
  };
  if (const auto reading = place.worker->TakeReading()) {
    place.reading = ToVirtual(*reading);
    begin(place.reader, place.reading, Turn::kRead, kReading);
  }
  if (const auto computing = place.worker->TakeComputing()) {
    const bool straggles = UniformDouble(RandomBits(input_.seed ^ 0x736c6f77, place.id.index,
                                                    place.worker->steps())) < input_.straggler_share;
    std::uint32_t& others = computing_[place.host];
    const double crowded =
        input_.cores_per_host > 1 ? std::min(1.0, others / (input_.cores_per_host - 1.0)) : 0;
    ++others;
    place.computing = ToVirtual(*computing * (straggles ? input_.straggler_factor : 1) *
                                (1 + crowded * (input_.workload.crowd_factor - 1)));
    begin(place.main, place.computing, Turn::kComputed, kComputing);
  }
}

void Simulation::Depart(std::uint32_t parcel, VirtualTime now) {
  const Place& from = places_[parcels_[parcel].sender];
  if (hosts_.Roomy(from.io)) {
    Travel(parcel, hosts_.RunAlone(from.io, hosts_.FreeAt(from.io, now), parcels_[parcel].cost.io_send));
  } else {
    hosts_.Submit(from.io, {kIoSend, parcel}, now);
  }
}

void Simulation::Travel(std::uint32_t number, VirtualTime now) {
  const Parcel& parcel = parcels_[number];
  const std::uint32_t from = places_[parcel.sender].host, to = places_[parcel.to].host;
  const bool apart = input_.hosts == 0;
  // What others share is taken in the order of time: a thread's work may be known long before it is done.
  if (now > clock_ && (input_.shared_link_bytes_per_second > 0 || (from != to && !apart)))
    return Schedule(now, EventKind::kTravel, number);
  VirtualTime at = now;
  if (input_.shared_link_bytes_per_second > 0) {
    const double taken = static_cast<double>(parcel.cost.bytes) / input_.shared_link_bytes_per_second;
    at = shared_free_ = std::max(shared_free_, at) + ToVirtual(taken);
    shared_busy_ += ToVirtual(taken);
  }
  if (from != to) {
    const VirtualTime taken = LinkTime(parcel);
    Link& out = links_[from];
    out.busy_out += taken;
    at = out.out_free = std::max(out.out_free, at) + taken;
    at += ToVirtual(input_.link_latency_seconds);
  }
  Schedule(at + local_hop_, EventKind::kArrive, number);
}

VirtualTime Simulation::LinkTime(const Parcel& parcel) const {
  if (input_.link_bytes_per_second <= 0) return 0;
  return ToVirtual(static_cast<double>(parcel.cost.bytes) / input_.link_bytes_per_second);
}

// The first bytes of a parcel are at its host. True: the last ones, too; else it will arrive once more.
bool Simulation::ComeIn(std::uint32_t number, VirtualTime now) {
  Parcel& parcel = parcels_[number];
  const std::uint32_t host = places_[parcel.to].host;
  if (parcel.came_in || places_[parcel.sender].host == host) return true;
  const VirtualTime taken = LinkTime(parcel);
  Link& in = links_[host];
  in.busy_in += taken;
  // It comes in while it goes out, unless others are coming in as well.
  in.in_free = std::max(in.in_free + taken, now);
  parcel.came_in = true;
  if (in.in_free == now) return true;
  Schedule(in.in_free, EventKind::kArrive, number);
  return false;
}

// A worker dies; who started it notices at once.
void Simulation::Kill(VirtualTime now) {
  const auto first = 1 + static_cast<std::uint32_t>(shards_.size());
  const auto victim = first + static_cast<std::uint32_t>(random_.Below(input_.workers));
  Place& place = places_[victim];
  if (place.node == nullptr || place.worker->steps() == 0 || place.worker->stopped()) return;
  place.node = nullptr, place.worker = nullptr;
  Ask(0, Turn::kDeath, victim, now);
  Schedule(now + ToVirtual(input_.restart_seconds), EventKind::kReplace, victim);
}

SimulationResult Simulation::Summary() const {
  SimulationResult result;
  result.seconds = observer_.seconds;
  result.worker_bytes = static_cast<double>(worker_bytes_);
  result.server_bytes = static_cast<double>(server_bytes_);
  result.messages = messages_;
  result.workers_replaced = coordinator_->replaced();
  result.events = handled_;
  const double all = result.seconds;
  const auto raise = [all](double* most, VirtualTime ran) { *most = std::max(*most, ToSeconds(ran) / all); };
  std::vector<double> by_host(links_.size());
  for (const Place& place : places_) {
    double cpu = ToSeconds(hosts_.ran(place.main));
    if (place.shard == nullptr || place.io == place.main + 1)
      cpu += ToSeconds(hosts_.ran(place.io));  // a server's, once
    if (place.id.role == Role::kWorker) cpu += ToSeconds(hosts_.ran(place.reader));
    by_host[place.host] += cpu;
    switch (place.id.role) {
      case Role::kScheduler:
        result.scheduler_cpu_seconds += cpu;
        raise(&result.scheduler_thread, hosts_.ran(place.main));
        break;
      case Role::kShard:
        result.server_cpu_seconds += cpu;
        raise(&result.busiest_shard_thread, hosts_.ran(place.main));
        raise(&result.busiest_server_io, hosts_.ran(place.io));
        break;
      default:
        result.worker_cpu_seconds += cpu;
        raise(&result.busiest_worker_thread, hosts_.ran(place.main));
        raise(&result.busiest_reader, hosts_.ran(place.reader));
    }
  }
  for (const double cpu : by_host)
    result.busiest_host = std::max(result.busiest_host, cpu / all / input_.cores_per_host);
  for (const Link& link : links_) raise(&result.busiest_link, std::max(link.busy_in, link.busy_out));
  raise(&result.busiest_link, shared_busy_);
  for (const auto& worker : workers_) {
    result.samples += worker->samples(), result.steps += worker->steps();
    const auto share = [&](Activity activity) { return worker->seconds(activity) / all / input_.workers; };
    result.compute_share += share(Activity::kCompute);
    result.pull_wait_share += share(Activity::kPullWait);
    result.read_wait_share += share(Activity::kReadWait);
    result.end_wait_share += share(Activity::kEndWait);
  }
  return result;
}

}  // namespace

Result<SimulationResult> SimulateCluster(const SimulationInput& input,
                                         const std::function<void(double)>& progress) {
  if (input.servers * input.shards_per_server > static_cast<std::uint32_t>(kMaxShards)) {
    return InvalidInput(
        "servers x shards per server = " + std::to_string(input.servers * input.shards_per_server) +
        ": at most " + std::to_string(kMaxShards) + " shards");
  }
  if (input.workers > kMaxWorkers)
    return InvalidInput("workers = " + std::to_string(input.workers) + ": at most " +
                        std::to_string(kMaxWorkers));
  return std::make_unique<Simulation>(input)->Run(progress);
}

}  // namespace cohort
