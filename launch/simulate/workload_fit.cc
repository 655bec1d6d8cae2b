#include "launch/simulate/workload_fit.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/dataset.h"
#include "launch/bench/child_processes.h"
#include "launch/bench/plain_step.h"
#include "launch/bench/stopwatch.h"
#include "launch/machine.h"
#include "worker/batch_reader.h"
#include "worker/encoder.h"
#include "worker/model/model.h"

namespace cohort {
namespace {

constexpr std::size_t kMostBatches = 8;
constexpr std::size_t kWindows = 3;  // at least, and as many as take kReadSeconds
constexpr double kReadSeconds = 0.5;
constexpr double kComputeSeconds = 1.0;
constexpr int kTurns = 21;  // of one process and of all
constexpr double kTurnSeconds = 0.15;
constexpr std::chrono::seconds kLongestTurn{60};
constexpr std::uint32_t kManyWorkers = 32;  // so that what they load is not lost beside what one encodes
constexpr int kFits = 8;
constexpr double kFitGood = 1e-3, kFitTolerable = 0.02;

struct ReadBatches {
  std::vector<std::unique_ptr<Batch>> batches;
  double cpu_seconds = 0;  // for a row of its own
};

// Reads as worker 0 of `workers`, whose own rows are `batch_rows` in `slices`: window by window, since the reader loads them as a whole. The first
// one gives the batches, and takes the memory that a run takes but once; the time is the median of those after it.
Result<ReadBatches> Read(const RunConfig& config, const ModelSpec& spec, std::uint32_t batch_rows,
                         std::uint32_t slices, std::uint32_t workers) {
  COHORT_ASSIGN_OR_RETURN(auto dataset, DatasetReader::Open(config.data));
  COHORT_ASSIGN_OR_RETURN(Encoder encoder, Encoder::Create(spec, dataset->info()));
  BatchReader reader(std::move(dataset), std::move(encoder), spec.tasks.size(), config.seed);
  BspEpoch epoch{0, 0, 0, workers, batch_rows * workers, slices * workers, config.train.shuffle_rows};
  reader.Start(epoch);
  ReadBatches read;
  std::vector<double> times;
  double all = 0;
  for (std::size_t window = 0; window <= kWindows || all < kReadSeconds; ++window) {
    const double before = ReadProcessUsage().cpu_seconds;
    double rows = 0;
    for (bool last = false; !last && rows * workers < config.train.shuffle_rows;) {
      COHORT_ASSIGN_OR_RETURN(auto batch, reader.Next(std::chrono::seconds(60)));
      if (!batch) return Error(ErrorCode::kTimeout, config.data + ": no batch within 60 s");
      last = batch->last_of_source;
      rows += batch->rows;
      if (window == 0 && read.batches.size() < kMostBatches && (!last || read.batches.empty())) {
        read.batches.push_back(std::move(batch));  // whole ones
      } else {
        reader.Recycle(std::move(batch));
      }
      if (last) ++epoch.epoch, reader.Start(epoch);
    }
    if (window == 0) continue;
    const double taken = ReadProcessUsage().cpu_seconds - before;
    times.push_back(taken / rows);
    all += taken;
  }
  read.cpu_seconds = bench::Quantile(std::move(times), 0.5);
  return read;
}

SimulatedWorkload::Table TableOf(double rows, std::uint32_t dim, const WireConfig& wire) {
  return {rows, dim, static_cast<std::uint32_t>(SizeOf(wire.pull_values)),
          static_cast<std::uint32_t>(SizeOf(wire.push_values))};
}

// How many times as long a step takes while every core of this machine is at one, each core's in a process of its own. In turns, and the
// median: others use the machine as well.
Result<double> CrowdFactor(const std::function<void(bench::PlainStep&, std::uint64_t)>& run,
                           const std::function<std::unique_ptr<bench::PlainStep>()>& make) {
  const unsigned cores = ThisMachine().cores;
  if (cores < 2) return 1.0;
  bench::ChildProcesses children;
  std::vector<bench::ChildProcesses::Child*> all;
  for (unsigned i = 0; i < cores; ++i) {
    COHORT_ASSIGN_OR_RETURN(
        auto* child, children.Start("computing " + std::to_string(i), [&](bench::Channel& channel) -> Status {
          const auto step = make();
          run(*step, 0);
          for (int turn = 0; turn < (i == 0 ? 2 : 1) * kTurns; ++turn) {
            char go = 0;
            COHORT_RETURN_IF_ERROR(channel.Receive(&go, sizeof go, kLongestTurn));
            const double each =
                1 / bench::Repeat(kTurnSeconds, [&](std::uint64_t n) { run(*step, n); }).PerSecond();
            COHORT_RETURN_IF_ERROR(channel.Send(&each, sizeof each));
          }
          return {};
        }));
    all.push_back(child);
  }
  const auto mean = [&](unsigned count) -> Result<double> {
    double sum = 0;
    for (unsigned i = 0; i < count; ++i) COHORT_RETURN_IF_ERROR(all[i]->channel->Send("", 1));
    for (unsigned i = 0; i < count; ++i) {
      double each = 0;
      COHORT_RETURN_IF_ERROR(all[i]->channel->Receive(&each, sizeof each, kLongestTurn));
      sum += each;
    }
    return sum / count;
  };
  std::vector<double> factors;
  for (int turn = 0; turn < kTurns; ++turn) {
    COHORT_ASSIGN_OR_RETURN(const double alone, mean(1));
    COHORT_ASSIGN_OR_RETURN(const double together, mean(cores));
    factors.push_back(together / alone);
  }
  COHORT_RETURN_IF_ERROR(children.Join(kLongestTurn));
  return std::max(1.0, bench::Quantile(std::move(factors), 0.5));
}

}  // namespace

Result<SimulatedWorkload> MeasureWorkload(const RunConfig& config, std::uint32_t workers) {
  const std::uint32_t batch_rows = std::max(1u, config.train.batch_size / workers);
  const std::uint32_t slices = config.train.consistency == Consistency::kBsp
                                   ? std::bit_floor(std::max(1u, config.train.slices / workers))
                                   : LeasedSlices(batch_rows);
  COHORT_ASSIGN_OR_RETURN(const auto dataset, DatasetReader::Open(config.data));
  COHORT_ASSIGN_OR_RETURN(const ModelSpec spec, BuildModelSpec(config, dataset->info()));
  SimulatedWorkload workload;
  workload.batch_rows = batch_rows;
  COHORT_ASSIGN_OR_RETURN(const ReadBatches own, Read(config, spec, batch_rows, slices, 1));
  COHORT_ASSIGN_OR_RETURN(const ReadBatches shared, Read(config, spec, batch_rows, slices, kManyWorkers));
  // For each own row one is loaded and encoded, or one encoded and kManyWorkers loaded.
  const double one = own.cpu_seconds, many = shared.cpu_seconds;
  workload.load_seconds = std::clamp((many - one) / (kManyWorkers - 1), 0.0, one);
  workload.encode_seconds = one - workload.load_seconds;

  workload.dense = TableOf(static_cast<double>(spec.DenseRows()), kDenseRowWidth, WireConfig());
  std::vector<std::vector<float>> embeddings(spec.tables.size());
  const auto batches = static_cast<double>(own.batches.size());
  for (std::size_t t = 0; t < spec.tables.size(); ++t) {
    const std::uint32_t dim = spec.tables[t].rows.embedding_dim;
    double rows = 0;
    for (const auto& batch : own.batches) {
      rows += static_cast<double>(batch->keys[t]->size());
      embeddings[t].resize(std::max(embeddings[t].size(), batch->keys[t]->size() * dim));
    }
    workload.embeddings.push_back(TableOf(rows / batches, dim, config.wire));
  }
  const std::vector<float> dense(spec.DenseRows() * kDenseRowWidth);
  const auto make = [&] { return std::make_unique<bench::PlainStep>(spec, batch_rows, slices); };
  const auto run = [&](bench::PlainStep& step, std::uint64_t n) {
    step.Run(*own.batches[n % own.batches.size()], dense.data(), embeddings.data());
  };
  const auto step = make();
  run(*step, 0);
  const bench::Repeated steps = bench::Repeat(kComputeSeconds, [&](std::uint64_t n) { run(*step, n); });
  workload.compute_seconds = 1 / (steps.PerSecond() * batch_rows);
  COHORT_ASSIGN_OR_RETURN(workload.crowd_factor, CrowdFactor(run, make));
  return workload;
}

void WorkloadFit::Apply(SimulationInput* input) const {
  const auto scale = [](ExchangeCosts* costs, double factor) {
    costs->message *= factor, costs->row *= factor, costs->byte *= factor;
  };
  scale(&input->costs.worker_pull, worker);
  scale(&input->costs.worker_push, worker);
  scale(&input->costs.server_pull, server);
  scale(&input->costs.server_push, server);
  input->workload.load_seconds *= worker;
  input->workload.encode_seconds *= worker;
  input->workload.compute_seconds *= worker;
}

Result<WorkloadFit> FitWorkload(const SimulationInput& input, double worker_cpu_s_per_msample,
                                double server_cpu_s_per_msample) {
  if (!(worker_cpu_s_per_msample > 0 && server_cpu_s_per_msample > 0)) {
    return InvalidInput(
        "the measured point has no CPU seconds per million samples: its epochs were too short for that; "
        "expected some seconds each (more job.samples, or epochs)");
  }
  // All but changes of process is proportional to the factors; how many these are may jump with them, so the best is taken.
  WorkloadFit fit, best;
  double best_error = std::numeric_limits<double>::infinity();
  for (int turn = 0; turn < kFits && best_error > kFitGood; ++turn) {
    SimulationInput scaled = input;
    fit.Apply(&scaled);
    COHORT_ASSIGN_OR_RETURN(const SimulationResult result, SimulateCluster(scaled, {}));
    if (!(result.worker_cpu_seconds > 0 && result.server_cpu_seconds > 0)) break;
    const double msamples = static_cast<double>(result.samples) * 1e-6;
    const double worker = worker_cpu_s_per_msample * msamples / result.worker_cpu_seconds;
    const double server = server_cpu_s_per_msample * msamples / result.server_cpu_seconds;
    const double error = std::max(std::abs(worker - 1), std::abs(server - 1));
    if (error < best_error) best_error = error, best = fit;
    fit.worker *= worker;
    fit.server *= server;
  }
  if (best_error <= kFitTolerable) return best;
  return InvalidInput(
      "no costs of reading, computing, messages and rows give the CPU seconds of the measured point, " +
      std::to_string(worker_cpu_s_per_msample) + " for a million samples at the worker and " +
      std::to_string(server_cpu_s_per_msample) +
      " at the server: --machine's changes of process alone take more; measure it anew on a quiet machine");
}

}  // namespace cohort
