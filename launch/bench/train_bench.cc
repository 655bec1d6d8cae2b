#include "launch/bench/train_bench.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/atomic_file.h"
#include "launch/bench/matrix_products.h"
#include "launch/bench/plain_step.h"
#include "launch/bench/row_array.h"
#include "launch/bench/stopwatch.h"
#include "launch/bench/training_job.h"
#include "launch/bench/training_run.h"
#include "launch/prefaulted_slabs.h"
#include "launch/run_folder.h"
#include "server/embedding_table.h"
#include "worker/batch_reader.h"
#include "worker/encoder.h"
#include "worker/model/model.h"

namespace cohort::bench {
namespace {

constexpr std::size_t kBatchesInMemory = 16;
constexpr std::uint32_t kWarmEpochs = 1;  // in which most rows are made

// A worker's and a shard's way with a batch, in one thread and without messages. All features are of one table.
class PlainTrainer {
 public:
  PlainTrainer(const ModelSpec& spec, const RunConfig& config, std::vector<std::unique_ptr<Batch>> batches)
      : spec_(spec),
        tables_(TablesOf(spec, config)),
        batches_(std::move(batches)),
        dense_table_(tables_[kDenseTable], config.seed, &slabs_),
        table_(tables_[kEmbeddingTable], config.seed, &slabs_),
        step_(spec, config.train.batch_size, config.train.slices),
        dense_(spec.DenseRows() * kDenseRowWidth) {
    for (Key key = 0; key < spec.DenseRows(); ++key)
      dense_rows_.push_back(dense_table_.FindOrCreate(key, RingPosition(tables_[kDenseTable], key)));
  }

  // Returns the samples.
  std::uint32_t Step(std::uint64_t number) {
    const Batch& batch = *batches_[number % batches_.size()];
    const std::size_t dim = spec_.config.embedding_dim;
    const std::vector<Key>& keys = *batch.keys[0];
    Pull(keys);
    step_.Run(batch, dense_.data(), embeddings_.data());
    // push
    for (const SliceSum::Part& part : step_.parts()) {
      for (std::size_t i = 0; i < dense_rows_.size(); ++i)
        dense_table_.optimizer().Step(part.dense->data() + i * kDenseRowWidth, dense_rows_[i]);
      const std::vector<std::uint32_t>& rows = *part.embeddings[0].places;
      const std::vector<float>& gradients = part.embeddings[0].gradient->values;
      pushed_keys_.resize(rows.size());
      pushed_positions_.resize(rows.size());
      for (std::size_t i = 0; i < rows.size(); ++i)
        pushed_keys_[i] = keys[rows[i]], pushed_positions_[i] = positions_[rows[i]];
      table_.Update(pushed_keys_, pushed_positions_, {}, [&](std::size_t i, float* row) {
        table_.optimizer().Step(gradients.data() + i * dim, row);
      });
    }
    return batch.rows;
  }
  // Returns the samples.
  std::uint32_t Predict(std::uint64_t number) {
    const Batch& batch = *batches_[number % batches_.size()];
    Pull(*batch.keys[0]);
    step_.Predict(batch, dense_.data(), embeddings_.data());
    return batch.rows;
  }

  std::size_t batch_count() const { return batches_.size(); }
  // By sample.
  double DistinctRows() const {
    return Mean([](const Batch& batch) { return batch.keys[0]->size(); });
  }
  double Ids() const {
    return Mean([](const Batch& batch) {
      std::size_t ids = 0;
      for (std::size_t s = 0; s < batch.slice_count; ++s) ids += batch.slices[s].ids[0].positions.size();
      return ids;
    });
  }

 private:
  void Pull(const std::vector<Key>& keys) {
    const std::size_t dim = spec_.config.embedding_dim;
    for (std::size_t i = 0; i < dense_rows_.size(); ++i)
      std::memcpy(&dense_[i * kDenseRowWidth], dense_rows_[i], kDenseRowWidth * sizeof(float));
    positions_.resize(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i)
      positions_[i] = RingPosition(TableKind::kSparse, 0, keys[i]);
    std::vector<float>& embeddings = embeddings_[0];
    embeddings.resize(keys.size() * dim);
    table_.ForEach(positions_, {}, [&](std::size_t i, const float* row) {
      if (row != nullptr) {
        std::memcpy(&embeddings[i * dim], row, dim * sizeof(float));
      } else {
        table_.InitialWeights(keys[i], &embeddings[i * dim]);
      }
    });
  }

  template <typename Count>
  double Mean(Count count) const {
    double sum = 0, rows = 0;
    for (const auto& batch : batches_)
      sum += static_cast<double>(count(*batch)), rows += static_cast<double>(batch->rows);
    return sum / rows;
  }

  const ModelSpec& spec_;
  const std::vector<TableSpec> tables_;
  const std::vector<std::unique_ptr<Batch>> batches_;
  PrefaultedSlabs slabs_;
  EmbeddingTable dense_table_, table_;
  std::vector<float*> dense_rows_;
  PlainStep step_;
  std::vector<float> dense_;
  std::vector<std::vector<float>> embeddings_{1};
  std::vector<std::uint64_t> positions_, pushed_positions_;
  std::vector<Key> pushed_keys_;
};

// The first batches of an epoch, and the CPU time it took to read, encode and cut them, a sample.
struct ReadBatches {
  std::vector<std::unique_ptr<Batch>> batches;
  double cpu_seconds_per_sample = 0;
};
Result<ReadBatches> ReadSome(const std::string& path, const ModelSpec& spec, const RunConfig& config) {
  COHORT_ASSIGN_OR_RETURN(auto dataset, DatasetReader::Open(path));
  COHORT_ASSIGN_OR_RETURN(Encoder encoder, Encoder::Create(spec, dataset->info()));
  const double before = ReadProcessUsage().cpu_seconds;
  BatchReader reader(std::move(dataset), std::move(encoder), spec.tasks.size(), config.seed);
  reader.Start(BspEpoch{0, 0, 0, 1, config.train.batch_size, config.train.slices, config.train.shuffle_rows});
  ReadBatches read;
  double samples = 0;
  for (bool last = false; !last && read.batches.size() < kBatchesInMemory;) {
    COHORT_ASSIGN_OR_RETURN(auto batch, reader.Next(std::chrono::seconds(60)));
    if (!batch) return Error(ErrorCode::kTimeout, "no batch within 60 s");
    last = batch->last_of_source;
    samples += batch->rows;
    if (!last || read.batches.empty()) read.batches.push_back(std::move(batch));  // full ones
  }
  read.cpu_seconds_per_sample = (ReadProcessUsage().cpu_seconds - before) / samples;
  return read;
}

// Samples a second of the products in `threads` threads at once, by the clock.
double ProductsPerSecond(const ModelSpec& spec, std::uint32_t slice_rows, std::uint32_t threads,
                         double seconds) {
  std::atomic<std::uint64_t> runs{0};
  std::deque<MatrixProducts> products;
  for (std::uint32_t t = 0; t < threads; ++t) products.emplace_back(spec, slice_rows);
  const double start = WallSeconds();
  std::vector<std::thread> all;
  for (std::uint32_t t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      while (WallSeconds() < start + seconds && StopSignal() == 0) {
        products[t].Run();
        runs.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  for (std::thread& thread : all) thread.join();
  return static_cast<double>(runs) * slice_rows / (WallSeconds() - start);
}

// Rows a second that `threads` threads gather at once, by the clock.
double GathersPerSecond(const RowArray& rows, const std::vector<std::vector<std::uint32_t>>& places,
                        std::uint32_t dim, std::uint32_t threads, double seconds) {
  std::atomic<std::uint64_t> gathered{0};
  const double start = WallSeconds();
  std::vector<std::thread> all;
  for (std::uint32_t t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      std::vector<float> out(places[0].size() * dim);
      for (std::size_t n = t * places.size() / threads; WallSeconds() < start + seconds && StopSignal() == 0;
           ++n) {
        const auto& batch = places[n % places.size()];
        rows.Gather(batch, out.data());
        gathered.fetch_add(batch.size(), std::memory_order_relaxed);
      }
    });
  }
  for (std::thread& thread : all) thread.join();
  return static_cast<double>(gathered) / (WallSeconds() - start);
}

// By the CPU time of one thread, in turns, so that a machine that is slower for a while is slower for all.
struct Scoring {
  double samples = 0;   // predicted a second, rows looked up in the table
  double products = 0;  // samples a second of the forward products alone
  double gathers = 0;   // rows a second of the random gather alone
};
template <typename Predict, typename Gather>
Scoring MeasureScoring(double seconds, const MatrixProducts& forward, std::uint32_t slice_rows, Predict predict,
                       Gather gather) {
  constexpr int kTurns = 5;
  const double each = seconds / (3 * kTurns);
  double samples = 0, rows = 0;
  Repeated predicting, multiplying, gathering;
  const auto add = [](const Repeated& some, Repeated* sum) {
    sum->count += some.count, sum->cpu_seconds += some.cpu_seconds;
  };
  for (int t = 0; t < kTurns; ++t) {
    add(Repeat(each, [&](std::uint64_t n) { samples += static_cast<double>(predict(n)); }), &predicting);
    add(Repeat(each, [&](std::uint64_t) { forward.Run(); }), &multiplying);
    add(Repeat(each, [&](std::uint64_t n) { rows += static_cast<double>(gather(n)); }), &gathering);
  }
  return {samples / predicting.cpu_seconds, multiplying.PerSecond() * slice_rows, rows / gathering.cpu_seconds};
}

struct ClusterRun {
  double samples_per_second = 0, loss = 0;
  double scheduler_cpu = 0, server_cpu = 0, worker_cpu = 0;  // seconds, start and end included
  double samples = 0, bytes = 0;
};
Result<ClusterRun> RunCluster(const RunConfig& config, const std::string& folder, const Progress& progress) {
  COHORT_RETURN_IF_ERROR(RunTraining(config, folder, progress));
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder + "/" + kResultFile));
  const auto result = nlohmann::json::parse(text);
  ClusterRun run;
  double seconds = 0;
  for (const auto& epoch : result.at("epochs")) {
    const auto samples = epoch.at("samples").get<double>();
    run.samples += samples;
    if (epoch.at("epoch").get<std::uint32_t>() < kWarmEpochs) continue;
    run.samples_per_second += samples;
    seconds += epoch.at("seconds").get<double>();
    run.loss = 0;
    for (const auto& task : epoch.at("loss")) run.loss += task.get<double>();
  }
  run.samples_per_second /= seconds;
  run.bytes = result.at("traffic_bytes").get<double>();
  for (const auto& [process, cpu] : result.at("cpu_seconds").items()) {
    double& sum = process.starts_with("server")   ? run.server_cpu
                  : process.starts_with("worker") ? run.worker_cpu
                                                  : run.scheduler_cpu;
    sum += cpu.get<double>();
  }
  return run;
}

}  // namespace

Result<Report> RunTrain(const Options& options, const Progress& progress) {
  if (options.batch % options.slices != 0) {
    return InvalidInput("--batch " + std::to_string(options.batch) + " cannot be cut into " +
                        std::to_string(options.slices) + " equal slices (--slices): choose a multiple of it");
  }
  if (options.samples < 2 * std::uint64_t{options.batch})
    return InvalidInput("--samples " + std::to_string(options.samples) +
                        ": expected two batches (--batch) or more");
  COHORT_ASSIGN_OR_RETURN(const ScratchFolder folder, ScratchFolder::Create(options.folder));
  RunConfig config = ConfigOf(options);
  config.data = folder / "data.h5";
  config.train.epochs = kWarmEpochs + options.epochs;
  COHORT_ASSIGN_OR_RETURN(const DatasetInfo data, WriteTrainingData(options, config.data, progress));
  COHORT_ASSIGN_OR_RETURN(const ModelSpec spec, BuildModelSpec(config, data));
  progress("reading batches");
  COHORT_ASSIGN_OR_RETURN(ReadBatches read, ReadSome(config.data, spec, config));
  const double read_cpu = read.cpu_seconds_per_sample;
  PlainTrainer trainer(spec, config, std::move(read.batches));
  const std::uint32_t slice_rows = options.batch / options.slices;
  const MatrixProducts products(spec, slice_rows);
  const MatrixProducts forward(spec, slice_rows, MatrixProducts::Passes::kForward);
  COHORT_ASSIGN_OR_RETURN(const RowArray gathered,
                          RowArray::Create(options.rows, options.dim, RowArray::Pages::kHuge));
  const auto places = RowBatches(options.rows, options.batch, options.seed);
  std::vector<float> gathered_rows(places[0].size() * options.dim);

  // What a program that looked every id up in the table itself would read, and then read and write once for each
  // distinct row of a batch.
  const double row_visits = trainer.Ids() + 2 * trainer.DistinctRows();

  Report report("train", {{"job", options.job},
                          {"kernels", ActiveKernels<float>().name},
                          {"compute", options.compute == FloatType::kBfloat16 ? "bfloat16" : "float32"},
                          {"consistency", ConsistencyName(options.consistency)},
                          {"servers", options.servers},
                          {"shards", options.shards},
                          {"workers", options.workers},
                          {"dim", options.dim},
                          {"batch", options.batch},
                          {"slices", options.slices},
                          {"rows", options.rows},
                          {"samples", options.samples},
                          {"epochs", options.epochs}});
  progress("making rows");
  for (std::size_t i = 0; i < trainer.batch_count(); ++i) trainer.Step(i);
  const auto products_alone = [&](std::uint64_t) { products.Run(); };
  for (std::uint32_t i = 0; i < options.repetitions; ++i) {
    const std::string turn =
        "repetition " + std::to_string(i + 1) + " of " + std::to_string(options.repetitions);
    progress(turn + ": one thread");
    // In turns, so that a machine that is slower for a while is slower for both.
    Repeated floor, steps;
    double samples = 0;
    for (int t = 0; t < 5; ++t) {
      const Repeated some = Repeat(options.seconds / 5, products_alone);
      floor.count += some.count, floor.cpu_seconds += some.cpu_seconds;
      const Repeated work = Repeat(options.seconds / 5, [&](std::uint64_t n) { samples += trainer.Step(n); });
      steps.count += work.count, steps.cpu_seconds += work.cpu_seconds;
    }
    const Scoring scoring = MeasureScoring(
        options.seconds, forward, slice_rows, [&](std::uint64_t n) { return trainer.Predict(n); },
        [&](std::uint64_t n) {
          const auto& batch = places[n % places.size()];
          gathered.Gather(batch, gathered_rows.data());
          return batch.size();
        });
    const double score_floor = 1 / (1 / scoring.products + trainer.Ids() / scoring.gathers);
    const double two_before = ProductsPerSecond(spec, slice_rows, 2, options.seconds);
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    COHORT_ASSIGN_OR_RETURN(const ClusterRun run,
                            RunCluster(config, folder / "run", [&](const std::string& line) {
                              progress(turn + ": cluster, " + line);
                            }));
    const double two_after = ProductsPerSecond(spec, slice_rows, 2, options.seconds);
    const double floor_rate = floor.PerSecond() * slice_rows, step_rate = samples / steps.cpu_seconds;
    const double two_rate = (two_before + two_after) / 2;
    const double gathers = GathersPerSecond(gathered, places, options.dim, 2, options.seconds);
    report.Add({{"one_core_samples_per_second", step_rate},
                {"one_core_floor_samples_per_second", floor_rate},
                {"one_core_share_of_floor", step_rate / floor_rate},
                {"gemm_gflops", floor.PerSecond() * products.FloatingPointOperations() * 1e-9},
                {"score_samples_per_second", scoring.samples},
                {"score_floor_samples_per_second", score_floor},
                {"score_share_of_floor", scoring.samples / score_floor},
                {"samples_per_second", run.samples_per_second},
                {"floor_samples_per_second", two_rate},
                {"share_of_floor", run.samples_per_second / two_rate},
                {"gathered_rows_per_second", gathers},
                {"share_of_gather", run.samples_per_second * row_visits / gathers},
                {"loss_sum", run.loss},
                {"worker_cpu_s_per_msample", run.worker_cpu / run.samples * 1e6},
                {"server_cpu_s_per_msample", run.server_cpu / run.samples * 1e6},
                {"scheduler_cpu_s_per_msample", run.scheduler_cpu / run.samples * 1e6},
                {"bytes_per_sample", run.bytes / run.samples}});
  }
  report.Set("megaflop_per_sample", products.FloatingPointOperations() / slice_rows * 1e-6);
  report.Set("read_cpu_s_per_msample", read_cpu * 1e6);
  report.Set("ids_per_sample", trainer.Ids());
  report.Set("distinct_rows_per_sample", trainer.DistinctRows());
  return report;
}

}  // namespace cohort::bench
