#include "launch/plan/memory.h"

#include <algorithm>
#include <numeric>

#include "common/slot_map.h"
#include "launch/plan/table_memory.h"

namespace cohort {
namespace {

// What a role's process takes before it has anything to do, and for every run: code, libraries (MPI, ZeroMQ, HDF5), their memory and
// that of the threads. Measured: docs/plan.md says with which command; tests/end_to_end/plan_test.cc holds them to it.
struct ProcessBase {
  double scheduler = 25.7e6, server = 25.8e6, worker = 24.3e6;
  double node = 0.8e6;  // a further shard or backup of a server: its thread, its socket
};
constexpr ProcessBase kBase;

void Add(ProcessMemory* process, const char* name, double bytes) {
  if (bytes > 0) process->parts.push_back({name, bytes});
}

int GroupsOf(const SlotMap& map, std::uint32_t shard) {
  return static_cast<int>(std::count(map.shard_of_group.begin(), map.shard_of_group.end(), shard));
}

// Batches of a worker that a rehearsal has made, of whole ones.
double BatchesOf(const RunPlan& plan, const Rehearsal& rehearsal) {
  if (plan.consistency == Consistency::kBsp) return Real(rehearsal.whole.batches);
  return Real(rehearsal.whole.rows) / std::max(1u, plan.batch_size / plan.workers);
}

// What all workers have under way at a shard at once: answers to the pulls of a clock, pushes that are held, the lists of rows that
// are kept.
double StepBytes(const RunPlan& plan, const RunConfig& config, const SampledRun& sample,
                 std::uint32_t shard) {
  double answers = 0, held = 0, lists = 0;
  for (const WorkerKind& kind : sample.kinds) {
    const Rehearsal& rehearsal = kind.rehearsal;
    if (shard >= rehearsal.whole.links.size()) continue;
    const LinkLoad& link = rehearsal.whole.links[shard];
    const double batches = BatchesOf(plan, rehearsal);
    if (batches == 0) continue;
    const double alike = Real(kind.workers.size());
    answers += alike * Real(link.pulled_bytes) / batches;
    held += alike * Real(link.pushed_bytes) / batches;
    lists += alike * 24 * Real(link.pulled_rows) / batches;
  }
  return answers + held + std::min(lists, Real(config.wire.kept_pull_bytes));
}

double RowsOfTable(const TableSpec& table, const SampledRun& sample) {
  if (table.kind == TableKind::kDense) return Real(table.row_count);
  const double rows = sample.rows[static_cast<std::size_t>(table.id - kEmbeddingTable)];
  if (table.policy.max_bytes == 0) return rows;
  return std::min(rows, Real(table.policy.max_bytes) / Real(BytesPerRow(table)));
}

double IndexOfTable(const TableSpec& table, const SampledRun& sample) {
  if (table.kind == TableKind::kDense) return 0;  // a few rows
  return sample.index[static_cast<std::size_t>(table.id - kEmbeddingTable)];
}

bool WritesCheckpoints(const RunPlan& plan) {
  const std::uint64_t rows = RowsOf(plan, Split::kTrain);
  std::uint64_t clocks = 0;
  for (const PlanStep& step : plan.steps)
    clocks +=
        !step.snapshot && step.kind == PhaseKind::kTrain ? (rows + plan.batch_size - 1) / plan.batch_size : 0;
  return plan.checkpoint_every > 0 && clocks >= plan.checkpoint_every;
}

ProcessMemory PlanServer(const RunInputs& inputs, const RunPlan& plan, const SampledRun& sample,
                         std::uint32_t server) {
  const RunConfig& config = inputs.config;
  const SlotMap map = SlotMap::Even(plan.shards);
  ProcessMemory process;
  process.process = "server " + std::to_string(server);
  double rows = 0, index = 0, spare = 0, writing = 0, checkpoints = 0, step = 0;
  const std::uint32_t per_server = config.cluster.shards_per_server;
  for (std::uint32_t shard = server * per_server; shard < (server + 1) * per_server; ++shard) {
    const double share = GroupsOf(map, shard) / (1.0 * kSlotGroupCount);
    double files = 0, parts = 0;
    for (const TableSpec& table : plan.tables) {
      const double held = RowsOfTable(table, sample) * share;
      const TableMemory memory = PlanTable(table, held, share * IndexOfTable(table, sample));
      rows += memory.rows, index += memory.index, spare += memory.spare;
      files = std::max(files, WritingBytes(table, held));  // one table after the other
      parts = std::max(parts, PartBytes(table, held));
    }
    if (WritesCheckpoints(plan)) checkpoints += parts;
    writing += files;
    step += StepBytes(plan, config, sample, shard);
  }
  const double copies = plan.backups ? 2 : 1;  // it holds as many shards' backups
  // A tier lets an eighth more in at times.
  if (!config.tier.path.empty()) rows = std::min(rows, 1.125 * Real(config.tier.max_bytes) / copies);
  Add(&process, "base", kBase.server + kBase.node * (copies * per_server - 1));
  Add(&process, "rows", copies * rows);
  Add(&process, "index", copies * index);
  Add(&process, "spare slabs", copies * spare);
  Add(&process, "messages of a step", copies * step);
  Add(&process, "writing checkpoints", checkpoints);
  Add(&process, "writing the model", writing);
  return process;
}

// Answers on their way: the transport's thread has its own memory for them, which a rehearsal has not.
double AnswerBytes(const RunPlan& plan, const Rehearsal& rehearsal) {
  const double batches = BatchesOf(plan, rehearsal);
  if (batches == 0) return 0;
  double bytes = 0;
  for (const LinkLoad& link : rehearsal.whole.links) bytes += Real(link.pulled_bytes);
  return bytes / batches * (plan.consistency == Consistency::kBsp ? 1 : 2);  // else two batches are under way
}

ProcessMemory PlanWorker(const RunPlan& plan, const SampledRun& sample, const WorkerKind& kind,
                         std::uint32_t worker) {
  ProcessMemory process;
  process.process = "worker " + std::to_string(worker);
  Add(&process, "base", kBase.worker);
  Add(&process, "training", Real(kind.rehearsal.growth));
  Add(&process, "answers on their way", AnswerBytes(plan, kind.rehearsal));
  Add(&process, "window of raw rows", Real(kind.rehearsal.raw_bytes));
  double evaluation = 0;
  for (const EvaluationRehearsal& each : sample.first().evaluations)
    evaluation = std::max(evaluation, Real(each.growth) - Real(sample.first().growth));
  evaluation += sample.evaluation.worker - sample.rehearsed.worker;
  Add(&process, "evaluation", evaluation);
  return process;
}

}  // namespace

double ProcessMemory::bytes() const {
  return std::accumulate(parts.begin(), parts.end(), 0.0,
                         [](double sum, const MemoryPart& part) { return sum + part.bytes; });
}

namespace {

double Largest(const std::vector<ProcessMemory>& processes) {
  double largest = 0;
  for (const ProcessMemory& process : processes) largest = std::max(largest, process.bytes());
  return largest;
}

}  // namespace

double MemoryPlan::largest_server() const { return Largest(servers); }
double MemoryPlan::largest_worker() const { return Largest(workers); }

double MemoryPlan::total() const {
  double bytes = scheduler.bytes();
  for (const auto* processes : {&servers, &workers})
    for (const ProcessMemory& process : *processes) bytes += process.bytes();
  return bytes;
}

MemoryPlan PlanMemory(const RunInputs& inputs, const RunPlan& plan, const SampledRun& sample) {
  MemoryPlan memory;
  memory.scheduler.process = "scheduler";
  Add(&memory.scheduler, "base", kBase.scheduler);
  Add(&memory.scheduler, "evaluation", sample.evaluation.scheduler);
  for (std::uint32_t server = 0; server < inputs.config.cluster.servers; ++server)
    memory.servers.push_back(PlanServer(inputs, plan, sample, server));
  memory.workers.resize(plan.workers);
  for (const WorkerKind& kind : sample.kinds)
    for (const std::uint32_t worker : kind.workers)
      memory.workers[worker] = PlanWorker(plan, sample, kind, worker);
  for (const TableSpec& table : plan.tables) {
    const double rows = RowsOfTable(table, sample);
    memory.model_bytes += FileBytes(table, rows);
    if (table.kind == TableKind::kSparse) memory.model_rows += rows;
  }
  memory.checkpoint_bytes = memory.model_bytes;
  return memory;
}

}  // namespace cohort
