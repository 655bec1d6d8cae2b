#include "launch/bench/bench_worker.h"

#include <unistd.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "common/gradient_tree.h"
#include "common/node_loop.h"
#include "common/process.h"
#include "common/random.h"
#include "common/zmq_transport.h"
#include "launch/bench/keys.h"
#include "launch/bench/round.h"
#include "launch/network_pump.h"
#include "launch/role.h"
#include "worker/model/kernels.h"
#include "worker/worker.h"
#include "worker/worker_loop.h"

namespace cohort::bench {
namespace {

constexpr Duration kOrderCheck = std::chrono::milliseconds(10);

bool OnlyPulls(Work work) { return work == Work::kPull || work == Work::kPullHot; }

// Batches of the rows that are in memory, uniformly; few of them, as they are soon drawn.
Options HotOptions(Options options) {
  options.rows = options.HotRows();
  options.zipf = 0;
  options.batch = std::min(options.batch, static_cast<std::uint32_t>(options.rows));
  options.keys_drawn = 0;
  return options;
}

// A batch under way, and the memory it uses, which is used again by later ones.
struct Slot {
  Buffer keys;
  Clock clock = 0;
  ParameterClient::Ticket ticket = 0;
  bool pushed = false;
  TimePoint asked{};
  std::vector<float> values;  // pulled
  Buffer gradients;           // pushed: small random numbers
};

class Rounds {
 public:
  Rounds(const Options& options, std::uint32_t index, WorkerLoop& loop, NodeLoop& network, Clock first_clock)
      : options_(options),
        index_(index),
        keys_(options, index),
        hot_keys_(HotOptions(options), index),
        loop_(loop),
        network_(network),
        next_clock_(first_clock),
        slots_(options.window) {
    const std::uint32_t slices = SlicesOf(options);
    const SliceRange mine = SlicesOfWorker(slices, options.workers, index);
    if (options.consistency == Consistency::kBsp) node_ = MaximalNodes(slices, mine.begin, mine.end).front();
    RandomStream random(options.seed, 1u << 20 | index);
    for (Slot& slot : slots_) {
      slot.values.resize(std::size_t{options.batch} * options.dim);
      std::vector<float> gradients(slot.values.size());
      for (float& g : gradients) g = static_cast<float>(random.Uniform() - 0.5) * 1e-3f;
      slot.gradients = Buffer::Own(std::move(gradients));
    }
    zeros_ = Buffer::Own(std::vector<float>(std::size_t{options.batch} * options.dim));
  }

  Status Run(const RoundOrder& order, WorkerReport* report) {
    const LoopCounters before = network_.counters();
    const ParameterClientCounters client_before = client().counters();
    std::uint64_t issued = 0, done = 0;
    WaitForStart(order);
    while (done < order.batches) {
      for (; issued < order.batches && issued < done + options_.window; ++issued) Issue(order.work, issued);
      COHORT_RETURN_IF_ERROR(loop_.WaitUntil([&] { return Advance(order.work, &done, issued, report); }));
    }
    report->end_ns = loop_.Now().time_since_epoch() / std::chrono::nanoseconds(1);
    const LoopCounters& after = network_.counters();
    report->bytes = after.bytes_received - before.bytes_received + after.bytes_sent - before.bytes_sent;
    report->pulled_bytes = client().counters().bytes_pulled - client_before.bytes_pulled;
    report->cached_rows = client().counters().cached_rows - client_before.cached_rows;
    if (order.work == Work::kKeep) return {};
    // The next round finds nothing under way.
    return loop_.WaitUntil([&] { return loop_.parameters().ClosedEverywhere(next_clock_ - 1); });
  }

  Clock next_clock() const { return next_clock_; }

 private:
  ParameterClient& client() { return loop_.parameters(); }
  Slot& SlotOf(std::uint64_t batch) { return slots_[batch % slots_.size()]; }

  bool ByPosition() const { return options_.push_rows == PushRowNames::kPositions; }

  void Issue(Work work, std::uint64_t batch) {
    Slot& slot = SlotOf(batch);
    slot.asked = loop_.Now();
    slot.pushed = false;
    if (work == Work::kPush && ByPosition()) {
      const Slot& pulled = kept_.front();
      slot.keys = pulled.keys;
      slot.clock = pulled.clock;
      slot.ticket = pulled.ticket;
      kept_.pop_front();
      return Push(slot);
    }
    slot.keys = work == Work::kFill      ? FillBatch(options_, index_, batch)
                : work == Work::kPullHot ? hot_keys_[next_batch_++]
                                         : keys_[next_batch_++];
    slot.clock = next_clock_++;
    if (work == Work::kFill) return PushKeys(slot, zeros_);
    if (work == Work::kPush) return Push(slot);
    const bool keep = !OnlyPulls(work) && ByPosition();
    slot.ticket = client().Pull(kEmbeddingTable, slot.clock, AbsentRow::kInitial, slot.keys,
                                slot.values.data(), loop_.Now(), loop_.out(), keep);
    if (work == Work::kKeep) kept_.push_back({slot.keys, slot.clock, slot.ticket, false, {}, {}, {}});
  }

  Buffer ValuesOf(const Slot& slot, const Buffer& values) const {
    return values.Slice(0, slot.keys.size() / sizeof(Key) * options_.dim * sizeof(float));
  }
  void Push(Slot& slot) {
    if (!ByPosition()) return PushKeys(slot, slot.gradients);
    slot.ticket =
        client().PushRows(slot.ticket, node_, {}, ValuesOf(slot, slot.gradients), loop_.Now(), loop_.out());
    Close(slot);
  }
  void PushKeys(Slot& slot, const Buffer& values) {
    slot.ticket = client().Push(kEmbeddingTable, slot.clock, node_, slot.keys, ValuesOf(slot, values),
                                loop_.Now(), loop_.out());
    Close(slot);
  }
  // As the trainer does: the close waits in the client for the push's acknowledgements.
  void Close(Slot& slot) {
    client().Close(slot.clock, loop_.Now(), loop_.out());
    slot.pushed = true;
  }

  // Moves batches on and takes those that are done, in order. True: at least one is.
  bool Advance(Work work, std::uint64_t* done, std::uint64_t issued, WorkerReport* report) {
    const std::uint64_t before = *done;
    for (std::uint64_t batch = *done; batch < issued; ++batch) {
      Slot& slot = SlotOf(batch);
      if (!client().Done(slot.ticket)) break;
      if (work == Work::kPullPush && !slot.pushed) {
        Push(slot);
        continue;
      }
      if (batch != *done) continue;
      if (OnlyPulls(work)) client().Close(slot.clock, loop_.Now(), loop_.out());
      report->rows += slot.keys.size() / sizeof(Key);
      const std::chrono::duration<float, std::micro> took = loop_.Now() - slot.asked;
      report->latency_us.push_back(took.count());
      ++*done;
    }
    return *done > before;
  }

  const Options& options_;
  const std::uint32_t index_;
  const KeyBatches keys_, hot_keys_;
  WorkerLoop& loop_;
  NodeLoop& network_;
  std::uint16_t node_ = 1;
  std::uint64_t next_batch_ = 0;
  Clock next_clock_;
  std::vector<Slot> slots_;
  std::deque<Slot> kept_;  // pulled, to be pushed; without memory
  Buffer zeros_;
};

}  // namespace

Status RunBenchWorker(Channel& channel, const Options& options, std::uint32_t index,
                      const std::string& scheduler_endpoint, const SchedulerClient::Options& scheduler) {
  KeepFreedMemory();
  const NodeId self = WorkerNode(index);
  ZmqContext context(1, options.key);
  ZmqTransport::Options silent;
  silent.listen_host.clear();
  COHORT_ASSIGN_OR_RETURN(const auto transport, ZmqTransport::Create(context, self, silent));
  COHORT_RETURN_IF_ERROR(transport->Connect(kSchedulerNode, scheduler_endpoint));
  Register registration;
  registration.host = HostName();
  registration.pid = static_cast<std::uint64_t>(getpid());
  registration.kernels = BestKernelPath();
  ParameterClient::Options parameters;
  parameters.request_rows = options.request_rows;
  parameters.credit_bytes = options.credit_bytes;
  parameters.cache_rows = options.cache_rows;
  parameters.cache_max_age = CacheConfig().max_age;
  Worker worker(index, registration, scheduler, parameters);
  NodeLoop network(&worker, transport.get());
  NetworkPump pump(worker, network);
  WorkerLoop loop(worker, pump);
  Rounds rounds(options, index, loop, network, 0);
  worker.scheduler().SetHeartbeat([&] {
    Heartbeat heartbeat;
    heartbeat.counters->clock = rounds.next_clock();
    heartbeat.waiting = worker.parameters().Waiting(loop.Now());
    return heartbeat;
  });

  worker.scheduler().Start(loop.Now(), loop.out());
  COHORT_ASSIGN_OR_RETURN(const PhaseOrder phase, loop.NextPhase());
  if (phase.kind == PhaseKind::kStop) return {ErrorCode::kUnavailable, "the run ends: " + phase.reason};
  worker.parameters().BeginPhase(phase.phase);
  worker.scheduler().ConfirmPhase(phase, loop.Now(), loop.out());
  COHORT_RETURN_IF_ERROR(loop.Breathe());
  COHORT_RETURN_IF_ERROR(channel.SendText("ready"));
  for (;;) {
    while (!channel.Readable()) {
      pump.Run(loop.out(), kOrderCheck);
      COHORT_RETURN_IF_ERROR(loop.Breathe());
    }
    COHORT_ASSIGN_OR_RETURN(const RoundOrder order, ReceiveOrder(channel));
    if (order.work == Work::kStop) break;
    WorkerReport report;
    COHORT_RETURN_IF_ERROR(rounds.Run(order, &report));
    COHORT_RETURN_IF_ERROR(SendReport(channel, report));
  }
  // As a worker ends its training.
  worker.parameters().Close(kClockInfinity, loop.Now(), loop.out());
  COHORT_RETURN_IF_ERROR(
      loop.WaitUntil([&] { return worker.parameters().ClosedEverywhere(kClockInfinity); }));
  worker.scheduler().SendReliably(PhaseDone{0, phase.phase, rounds.next_clock(), {}}, loop.Now(), loop.out());
  COHORT_ASSIGN_OR_RETURN(const PhaseOrder stop, loop.NextPhase());
  worker.scheduler().ConfirmPhase(stop, loop.Now(), loop.out());
  (void)loop.Breathe();
  if (!stop.reason.empty()) return {ErrorCode::kUnavailable, "the run ends: " + stop.reason};
  return {};
}

}  // namespace cohort::bench
