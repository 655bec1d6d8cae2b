#include "launch/plan/rehearsal.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include "common/evaluation_sums.h"
#include "common/process.h"
#include "launch/bench/child_processes.h"
#include "launch/plan/memory_growth.h"
#include "launch/role.h"
#include "worker/batch_reader.h"
#include "worker/model/kernels.h"
#include "worker/worker_job.h"

namespace cohort {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LinkLoad, to_shard, to_worker, to_backup, from_backup, pulls, pushes,
                                   pulled_rows, pulled_bytes, pushed_rows, pushed_bytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(WorkLoad, batches, rows, links)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(EvaluationRehearsal, split, blocks, once, sums, control, growth)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Rehearsal, worker, whole, last, batch_bytes, control, cpu_seconds,
                                   trained_rows, growth, raw_bytes, evaluations, welcome, heartbeat)

namespace {

constexpr std::uint64_t kFewestBatches = 8;
// Of a worker: as many as one sketch has cells (evaluation_sums.h); beyond that little grows.
constexpr std::uint64_t kMostEvaluated = kMostCellsOfASketch;
constexpr Duration kLongestRehearsal = std::chrono::hours(1);

double ThreadSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Counts the stand-in's own time, which no worker has.
class TimedPump : public Pump {
 public:
  explicit TimedPump(StandIn& pump) : pump_(pump) {}
  TimePoint Now() const override { return pump_.Now(); }
  void Run(Outbox& out, Duration at_most) override {
    const double began = ThreadSeconds();
    pump_.Run(out, at_most);
    seconds_ += ThreadSeconds() - began;
  }
  double seconds() const { return seconds_; }

 private:
  StandIn& pump_;
  double seconds_ = 0;
};

std::vector<RehearsedPhase> PhasesOf(const RunPlan& plan, std::uint64_t sample_rows) {
  std::vector<RehearsedPhase> phases;
  std::set<std::pair<PhaseKind, Split>> seen;
  Clock first_clock = 0;
  for (const PlanStep& step : plan.steps) {
    if (step.snapshot || !seen.emplace(step.kind, step.split).second) continue;
    RehearsedPhase phase;
    phase.order.kind = step.kind;
    phase.order.split = step.split;
    phase.order.first_clock = phase.order.resume_clock = first_clock;
    // No more than its share, but enough for two batches to be under way all the time.
    const std::uint64_t share = step.kind == PhaseKind::kTrain
                                    ? (RowsOf(plan, step.split) + plan.workers - 1) / plan.workers
                                    : EvaluationShare(plan, step.split);
    const std::uint64_t fewest = kFewestBatches * std::max(plan.batch_size / plan.workers, kBlockRows);
    const std::uint64_t wanted = step.kind == PhaseKind::kTrain ? sample_rows / plan.workers : kMostEvaluated;
    phase.most_rows = std::min(share, std::max(wanted, fewest));
    for (std::uint32_t worker = 0; worker < plan.workers; ++worker) phase.order.workers.push_back(worker);
    if (step.kind == PhaseKind::kTrain) {
      const auto clocks = static_cast<Clock>(BatchCount(RowsOf(plan, step.split), plan.batch_size));
      if (plan.consistency == Consistency::kBsp) {
        const auto batches =
            static_cast<Clock>(std::max(kFewestBatches, BatchCount(sample_rows, plan.batch_size)));
        phase.order.resume_clock = std::max<Clock>(0, clocks - batches);
      }
      first_clock = clocks;
    }
    phases.push_back(std::move(phase));
  }
  return phases;
}

// Bytes of the raw rows that a whole window of the epoch has beyond those of the last one, which was read.
Result<std::uint64_t> RawBytesBeyond(const RunInputs& inputs, const RunPlan& plan, const PhaseOrder& order) {
  const std::uint64_t rows = RowsOf(plan, Split::kTrain);
  const std::uint64_t window = std::max<std::uint64_t>(1, plan.shuffle_rows / kBlockRows) * kBlockRows;
  if (plan.consistency != Consistency::kBsp || rows <= window || order.resume_clock == order.first_clock)
    return std::uint64_t{0};
  // The windows from the first batch's on.
  const std::uint64_t first =
      static_cast<std::uint64_t>(order.resume_clock) * plan.batch_size / window * window;
  const std::uint64_t read = std::min(window, rows - first);
  COHORT_ASSIGN_OR_RETURN(const auto dataset, DatasetReader::Open(inputs.config.data));
  RowBlock block;
  COHORT_RETURN_IF_ERROR(dataset->Read(Split::kTrain, 0, kBlockRows, /*with_ids=*/false, &block));
  std::uint64_t bytes = block.numeric.size() * 4 + block.categorical.size() * 8 + block.labels.size() * 4 +
                        block.weights.size() * 4 + block.input_rows.size() * 8;
  for (const auto& offsets : block.bag_offsets) bytes += offsets.size() * 8;
  for (const auto& keys : block.bag_keys) bytes += keys.size() * 8;
  for (const auto& values : block.vectors) bytes += values.size() * 4;
  return (window - read) * bytes / kBlockRows;
}

void TakeTraining(const RunPlan& plan, const PhaseLoad& load, Rehearsal* rehearsal) {
  rehearsal->control = load.control;
  rehearsal->trained_rows = static_cast<double>(load.counters.samples);
  if (plan.consistency != Consistency::kBsp) {
    for (const auto& [clock, work] : load.clocks) rehearsal->whole.Add(work);
    rehearsal->whole.rows = load.rows;
    return;
  }
  const std::uint64_t rows = RowsOf(plan, Split::kTrain);
  const bool is_short = rows % plan.batch_size != 0;
  const auto last = static_cast<Clock>(BatchCount(rows, plan.batch_size)) - 1;
  for (const auto& [clock, work] : load.clocks) {
    WorkLoad& into = is_short && clock == last ? rehearsal->last : rehearsal->whole;
    into.Add(work);
    ++into.batches;
    into.rows += is_short && clock == last ? rows % plan.batch_size : plan.batch_size;
    if (&into == &rehearsal->last) continue;
    double bytes = 0;
    for (const LinkLoad& link : work.links) bytes += static_cast<double>(link.bytes());
    rehearsal->batch_bytes.push_back(bytes);
  }
}

Result<Rehearsal> RunHere(const RunInputs& inputs, const RunPlan& plan, std::uint32_t index,
                          std::uint64_t sample_rows) {
  KeepFreedMemory();
  const MemoryGrowth growth;
  Rehearsal rehearsal;
  rehearsal.worker = index;
  const std::vector<RehearsedPhase> phases = PhasesOf(plan, sample_rows);
  const RunConfig& config = inputs.config;
  Register registration;
  registration.host = HostName();
  registration.kernels = BestKernelPath();
  ParameterClient::Options parameters;
  parameters.credit_bytes = config.cluster.credit_bytes;
  parameters.request_rows = config.cluster.request_rows;
  parameters.cache_rows = config.cache.rows;
  parameters.cache_max_age = config.cache.max_age;
  Worker worker(index, registration, ClientOptions(config, plan.run_id), parameters);
  double began = 0, own_before = 0;  // CPU time, when the first phase began
  std::vector<std::uint64_t> growths;
  TimedPump* timed = nullptr;
  StandIn stand_in(inputs, plan, index, phases, [&](std::size_t phase) {
    growths.push_back(growth.Bytes());
    if (phases[phase].order.kind != PhaseKind::kTrain) return;
    rehearsal.cpu_seconds = ReadProcessUsage().cpu_seconds - began - (timed->seconds() - own_before);
  });
  stand_in.Attach(&worker);
  TimedPump pump(stand_in);
  timed = &pump;
  began = ReadProcessUsage().cpu_seconds;
  COHORT_RETURN_IF_ERROR(RunWorker(worker, pump, index, {}));

  for (std::size_t i = 0; i < phases.size(); ++i) {
    const PhaseLoad& load = stand_in.loads()[i];
    if (phases[i].order.kind == PhaseKind::kTrain) {
      TakeTraining(plan, load, &rehearsal);
      rehearsal.growth = growths[i];
      COHORT_ASSIGN_OR_RETURN(rehearsal.raw_bytes, RawBytesBeyond(inputs, plan, phases[i].order));
      continue;
    }
    EvaluationRehearsal& evaluation = rehearsal.evaluations.emplace_back();
    evaluation.split = phases[i].order.split;
    for (const auto& [clock, work] : load.clocks) evaluation.blocks.Add(work);
    evaluation.blocks.rows = load.rows;
    evaluation.once = load.once;
    evaluation.sums = load.sums;
    evaluation.control = load.control;
    evaluation.growth = growths[i];
  }
  rehearsal.welcome = stand_in.welcome_bytes();
  rehearsal.heartbeat = stand_in.heartbeat_bytes();
  return rehearsal;
}

}  // namespace

std::uint64_t EvaluationShare(const RunPlan& plan, Split split) {
  const std::uint64_t rows = RowsOf(plan, split);
  const std::uint64_t lease = Leases::ScoringBlocks(rows, plan.workers) * kBlockRows;
  const std::uint64_t leases = (rows + lease - 1) / lease;
  return std::min(rows, (leases + plan.workers - 1) / plan.workers * lease);
}

Result<Rehearsal> Rehearse(const RunInputs& inputs, const RunPlan& plan, std::uint32_t worker,
                           std::uint64_t sample_rows) {
  bench::ChildProcesses children;
  COHORT_ASSIGN_OR_RETURN(
      bench::ChildProcesses::Child* const child,
      children.Start("rehearsal of worker " + std::to_string(worker), [&](bench::Channel& channel) -> Status {
        COHORT_ASSIGN_OR_RETURN(const Rehearsal rehearsal, RunHere(inputs, plan, worker, sample_rows));
        return channel.SendText(nlohmann::json(rehearsal).dump());
      }));
  const auto text = child->channel->ReceiveText(kLongestRehearsal);
  if (!text) return tl::unexpected(children.Explain(*child, text.error()));
  COHORT_RETURN_IF_ERROR(children.Join(std::chrono::seconds(10)));
  return nlohmann::json::parse(*text).get<Rehearsal>();
}

}  // namespace cohort
