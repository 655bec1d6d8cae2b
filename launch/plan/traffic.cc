#include "launch/plan/traffic.h"

#include <algorithm>
#include <cmath>

#include "common/wire.h"
#include "scheduler/leases.h"
#include "worker/batch_reader.h"

namespace cohort {
namespace {

// In bsp a worker asks for the rows of the next clock before anyone has closed this one: the shard tells nearly every pull that it
// waits. 75 to 94 % of them in runs of 47 to 750 clocks on two cores (docs/plan.md).
constexpr double kParkedShare = 0.9;

double BytesOf(const Message& message) {
  return Real(SizeOf(Encode(Stamp{kSchedulerNode}, WorkerNode(0), message)));
}

double ParkedBytes() { return BytesOf(PullParked{}) * kParkedShare; }

// How often a worker's sample goes into an epoch: its whole batches, and the short one at the end.
struct Share {
  double whole = 0, last = 0;
};

Share ShareOf(const RunPlan& plan, const Rehearsal& rehearsal, std::uint32_t workers_alike) {
  const std::uint64_t rows = RowsOf(plan, Split::kTrain);
  if (plan.consistency != Consistency::kBsp) {
    const double sampled = Real(rehearsal.whole.rows) * workers_alike;  // rows of leases
    return {sampled == 0 ? 0 : Real(rows) / sampled, 0};
  }
  const double batches = Real(rehearsal.whole.batches);
  return {batches == 0 ? 0 : Real(rows / plan.batch_size) / batches, Real(rehearsal.last.batches)};
}

// Of one of two parts of a sample, `times` over: training and replication of an epoch.
void AddWork(const RunPlan& plan, const WorkLoad& work, double times, Traffic* traffic) {
  for (const LinkLoad& link : work.links) {
    traffic->training += times * Real(link.bytes());
    if (plan.consistency == Consistency::kBsp) traffic->training += times * Real(link.pulls) * ParkedBytes();
    traffic->replication += times * Real(link.to_backup + link.from_backup);
  }
}

double StandardError(const std::vector<double>& values) {
  const double n = Real(values.size());
  if (n < 2) return 0;
  double sum = 0, square = 0;
  for (const double value : values) sum += value, square += value * value;
  const double mean = sum / n, variance = std::max(0.0, square / n - mean * mean) * n / (n - 1);
  return mean == 0 ? 0 : std::sqrt(variance / n) / mean;
}

// What each process sends and receives in a step.
void AddFlows(const RunPlan& plan, std::uint32_t shards_per_server, const SampledRun& sample,
              Traffic* traffic) {
  traffic->workers.resize(plan.workers);
  traffic->servers.resize(plan.shards / shards_per_server);
  for (const WorkerKind& kind : sample.kinds) {
    const Rehearsal& rehearsal = kind.rehearsal;
    // Of leases: the sample's rows, in batches of a worker.
    const double batches = plan.consistency == Consistency::kBsp
                               ? Real(rehearsal.whole.batches)
                               : Real(rehearsal.whole.rows) / std::max(1u, plan.batch_size / plan.workers);
    if (batches == 0) continue;
    std::vector<double> links(traffic->servers.size());
    const double alike = Real(kind.workers.size());
    for (std::size_t shard = 0; shard < rehearsal.whole.links.size(); ++shard) {
      const LinkLoad& link = rehearsal.whole.links[shard];
      const std::size_t server = shard / shards_per_server;
      const double to = Real(link.to_shard) / batches, from = Real(link.to_worker) / batches;
      for (const std::uint32_t worker : kind.workers)
        traffic->workers[worker].sent += to, traffic->workers[worker].received += from;
      traffic->servers[server].received += alike * to;
      traffic->servers[server].sent += alike * from;
      // The backup is on another server, and each has as many of both.
      const double up = Real(link.to_backup) / batches, down = Real(link.from_backup) / batches;
      traffic->servers[server].sent += alike * (up + down);
      traffic->servers[server].received += alike * (up + down);
      links[server] += to + from;
      traffic->step_messages += alike * 2 * Real(link.pulls + link.pushes + 1) / batches;
    }
    for (const double bytes : links) traffic->largest_link = std::max(traffic->largest_link, bytes);
  }
}

// One evaluation of a split.
void AddEvaluation(const RunPlan& plan, const EvaluationRehearsal& rehearsal, const SampledRun& sample,
                   Traffic* traffic) {
  const std::uint64_t rows = RowsOf(plan, rehearsal.split);
  if (rehearsal.blocks.rows == 0) return;
  const double times = Real(rows) / Real(rehearsal.blocks.rows);
  for (const LinkLoad& link : rehearsal.blocks.links) traffic->evaluation += times * Real(link.bytes());
  const std::uint64_t leases =
      BatchCount(rows, static_cast<std::uint32_t>(Leases::ScoringBlocks(rows, plan.workers) * kBlockRows));
  const double busy = std::min(Real(plan.workers), Real(leases));
  for (const LinkLoad& link : rehearsal.once.links) traffic->evaluation += busy * Real(link.bytes());
  // A worker's sums grow with its rows until its sketches are full.
  const double share = Real(rows) / plan.workers;
  double sums = Real(rehearsal.sums) * share / Real(rehearsal.blocks.rows);
  if (Real(rehearsal.blocks.rows) < share)
    sums = std::min(sums, std::max(sample.evaluation.message, Real(rehearsal.sums)));
  traffic->evaluation += sums * plan.workers;
  traffic->control += times * Real(rehearsal.control);
}

}  // namespace

Traffic PlanTraffic(const RunInputs& inputs, const RunPlan& plan, const SampledRun& sample) {
  Traffic traffic;
  double epochs = 0, phases = 0;
  for (const PlanStep& step : plan.steps) {
    epochs += !step.snapshot && step.kind == PhaseKind::kTrain;
    phases += !step.snapshot;
  }
  for (const WorkerKind& kind : sample.kinds) {
    const double alike = Real(kind.workers.size());
    const Share share = ShareOf(plan, kind.rehearsal, static_cast<std::uint32_t>(kind.workers.size()));
    AddWork(plan, kind.rehearsal.whole, epochs * alike * share.whole, &traffic);
    AddWork(plan, kind.rehearsal.last, epochs * alike * share.last, &traffic);
    traffic.control += epochs * alike * Real(kind.rehearsal.control);
  }
  const Rehearsal& first = sample.first();
  const std::uint64_t rows = RowsOf(plan, Split::kTrain);
  const bool bsp = plan.consistency == Consistency::kBsp;
  traffic.steps =
      Real(BatchCount(rows, bsp ? plan.batch_size : std::max(1u, plan.batch_size / plan.workers)));
  if (bsp && first.whole.batches < rows / plan.batch_size)
    traffic.sampling_error = StandardError(first.batch_bytes);
  AddFlows(plan, inputs.config.cluster.shards_per_server, sample, &traffic);
  for (const PlanStep& step : plan.steps) {
    if (step.snapshot || step.kind != PhaseKind::kEvaluate) continue;
    for (const EvaluationRehearsal& evaluation : first.evaluations)
      if (evaluation.split == step.split) AddEvaluation(plan, evaluation, sample, &traffic);
  }
  // Everyone registers and is welcomed; each phase is ordered, and confirmed behind a heartbeat, by shards as by workers.
  const double shards = plan.shards * (plan.backups ? 2.0 : 1.0), members = plan.workers + shards;
  Register registration;
  registration.endpoint = "tcp://127.0.0.1:40000";
  registration.host = "host";
  registration.kernels = "avx512";
  traffic.control += members * (Real(first.welcome) + BytesOf(registration));
  traffic.control += shards * phases * (BytesOf(PhaseOrder{}) + BytesOf(PhaseReply{}));
  traffic.control += members * phases * Real(first.heartbeat);
  traffic.heartbeats_per_second = members * Real(first.heartbeat) / inputs.config.cluster.heartbeat_seconds;
  return traffic;
}

}  // namespace cohort
