#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/config.h"
#include "common/process.h"
#include "launch/bench/in_process.h"
#include "launch/bench/keys.h"
#include "launch/bench/matrix_products.h"
#include "launch/bench/plain_step.h"
#include "launch/bench/stopwatch.h"
#include "worker/batch.h"
#include "worker/distinct_keys.h"
#include "worker/model/kernels.h"
#include "worker/model/model.h"

namespace cohort::bench {
namespace {

// The shape of the Criteo logs: 26 ids and 13 numbers; two binary tasks.
constexpr std::uint32_t kIds = 26, kNumbers = 13, kTasks = 2;
constexpr std::uint64_t kValues = 100'000;  // of each id feature
constexpr double kZipf = 1.05;

Result<ModelSpec> MidSizeModel(const Options& options) {
  RunConfig config;
  config.model.kind = "mmoe";
  config.model.embedding_dim = options.dim;
  config.model.compute = options.compute;
  config.model.experts = 8;
  DatasetInfo data;
  for (std::uint32_t i = 0; i < kIds + kNumbers; ++i) {
    FeatureInfo feature;
    feature.name = "feature " + std::to_string(i);
    feature.type = i < kIds ? FeatureType::kCategorical : FeatureType::kNumeric;
    data.features.push_back(std::move(feature));
  }
  for (std::uint32_t i = 0; i < kTasks; ++i) {
    TaskInfo task;
    task.name = "task " + std::to_string(i);
    task.mean = 0.2;
    task.labelled = 1;
    data.tasks.push_back(std::move(task));
  }
  return BuildModelSpec(config, data);
}

// A batch of random samples, as the worker's encoder leaves it.
Batch DrawBatch(const Options& options) {
  RandomStream random(options.seed);
  const ZipfSampler sampler(kValues, kZipf);
  DistinctKeys distinct;
  std::vector<std::uint32_t> numbers;  // of each id, in `distinct`
  for (std::uint32_t i = 0; i < options.batch * kIds; ++i) {
    numbers.push_back(distinct.Add(RandomBits(options.seed, i % kIds, sampler.Draw(random))));
  }
  distinct.Sort();

  Batch batch;
  batch.rows = batch.global_rows = options.batch;
  batch.keys = {std::make_shared<std::vector<Key>>(distinct.keys())};
  batch.total_weight.assign(kTasks, options.batch);
  std::uint32_t row = 0;
  for (std::uint32_t s = 0; s < options.slices; ++s) {
    const auto end = static_cast<std::uint32_t>(std::uint64_t{options.batch} * (s + 1) / options.slices);
    Slice slice;
    slice.index = s;
    slice.rows = slice.padded_rows = end - row;
    slice.numeric.resize(std::size_t{slice.rows} * kNumbers);
    for (float& x : slice.numeric) x = static_cast<float>(random.Uniform() * 2 - 1);
    slice.labels.resize(std::size_t{slice.rows} * kTasks);
    for (float& y : slice.labels) y = static_cast<float>(random.Below(2));
    slice.weights.assign(slice.rows, 1.0f);
    SliceIds& ids = slice.ids.emplace_back();
    ids.offsets = {0};
    for (std::uint32_t i = row * kIds; i < end * kIds; ++i) ids.distinct.push_back(distinct.Rank(numbers[i]));
    std::sort(ids.distinct.begin(), ids.distinct.end());
    ids.distinct.erase(std::unique(ids.distinct.begin(), ids.distinct.end()), ids.distinct.end());
    for (std::uint32_t i = row * kIds; i < end * kIds; ++i) {
      const auto place =
          std::lower_bound(ids.distinct.begin(), ids.distinct.end(), distinct.Rank(numbers[i]));
      ids.positions.push_back(static_cast<std::uint32_t>(place - ids.distinct.begin()));
      ids.offsets.push_back(static_cast<std::uint32_t>(ids.positions.size()));
    }
    batch.slices.push_back(std::move(slice));
    row = end;
  }
  batch.slice_count = batch.slices.size();
  return batch;
}

}  // namespace

Result<Report> RunStep(const Options& options, const Progress& progress) {
  if (options.batch < options.slices || options.batch % options.slices != 0) {
    return InvalidInput("--batch " + std::to_string(options.batch) + " cannot be cut into " +
                        std::to_string(options.slices) + " equal slices (--slices): choose a multiple of it");
  }
  progress("drawing a batch");
  COHORT_ASSIGN_OR_RETURN(const ModelSpec spec, MidSizeModel(options));
  const std::uint32_t slice_rows = options.batch / options.slices;
  const Batch batch = DrawBatch(options);
  PlainStep plain(spec, options.batch, options.slices);
  RandomStream random(options.seed, 3);
  const std::size_t keys = batch.keys[0]->size();
  std::vector<float> dense(spec.dense_count);
  std::vector<std::vector<float>> embeddings = {std::vector<float>(keys * options.dim)};
  for (float& w : dense) w = static_cast<float>(random.Uniform() * 0.2 - 0.1);
  for (float& w : embeddings[0]) w = static_cast<float>(random.Uniform() * 0.1 - 0.05);
  const auto step = [&](std::uint64_t) { plain.Run(batch, dense.data(), embeddings.data()); };
  const MatrixProducts products(spec, slice_rows);
  const auto floor = [&](std::uint64_t) {
    for (std::uint32_t s = 0; s < options.slices; ++s) products.Run();
  };
  step(0);
  floor(0);

  Report report("step", {{"model", "mmoe"},
                         {"kernels", ActiveKernels<float>().name},
                         {"compute", options.compute == FloatType::kBfloat16 ? "bfloat16" : "float32"},
                         {"dim", options.dim},
                         {"batch", options.batch},
                         {"slices", options.slices},
                         {"distinct_keys", std::uint64_t{keys}},
                         {"seconds", options.seconds}});
  const double operations = products.FloatingPointOperations() * options.slices;
  for (std::uint32_t i = 0; i < options.repetitions; ++i) {
    progress("repetition " + std::to_string(i + 1) + " of " + std::to_string(options.repetitions));
    const Repeated steps = Repeat(options.seconds, step);
    const Repeated floors = Repeat(options.seconds, floor);
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    const double samples = static_cast<double>(steps.count) * options.batch;
    report.Add({{"samples_per_second", steps.PerSecond() * options.batch},
                {"floor_samples_per_second", floors.PerSecond() * options.batch},
                {"share_of_floor", steps.PerSecond() / floors.PerSecond()},
                {"gemm_gflops", floors.PerSecond() * operations * 1e-9},
                {"cpu_s_per_msample", steps.cpu_seconds / samples * 1e6},
                {"p50_us", Quantile(steps.each_us, 0.5)},
                {"p99_us", Quantile(steps.each_us, 0.99)}});
  }
  report.Set("megaflop_per_sample", operations / options.batch * 1e-6);
  report.Set("peak_memory_bytes", static_cast<double>(ReadProcessUsage().peak_memory_bytes));
  return report;
}

}  // namespace cohort::bench
