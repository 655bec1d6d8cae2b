// cohort bench: speed of the data plane, the table and a training step, each beside its limit on the same
// machine (docs/performance.md).
#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/process.h"
#include "launch/bench/checkpoint_bench.h"
#include "launch/bench/data_plane.h"
#include "launch/bench/in_process.h"
#include "launch/bench/machine_bench.h"
#include "launch/bench/options.h"
#include "launch/bench/report.h"
#include "launch/bench/tier_bench.h"
#include "launch/bench/train_bench.h"
#include "launch/commands/commands.h"
#include "launch/commands/number_range.h"

namespace cohort {
namespace {

using bench::Operation;
using bench::Options;
using bench::Progress;
using bench::Report;

using Benchmark = std::function<Result<Report>(const Options&, const Progress&)>;

const std::map<std::string, OptimizerKind> kOptimizers = {
    {"sgd", OptimizerKind::kSgd},         {"momentum", OptimizerKind::kMomentum},
    {"adagrad", OptimizerKind::kAdagrad}, {"rowwise_adagrad", OptimizerKind::kRowwiseAdagrad},
    {"adam", OptimizerKind::kAdam},       {"ftrl", OptimizerKind::kFtrl}};
const std::map<std::string, PushRowNames> kPushRowNames = {{"keys", PushRowNames::kKeys},
                                                           {"positions", PushRowNames::kPositions}};
const std::map<std::string, FloatType> kFloatTypes = {
    {"float32", FloatType::kFloat32}, {"bfloat16", FloatType::kBfloat16}, {"float16", FloatType::kFloat16}};
const std::map<std::string, FloatType> kComputeTypes = {{"float32", FloatType::kFloat32},
                                                        {"bfloat16", FloatType::kBfloat16}};
const std::map<std::string, Consistency> kConsistencies = {
    {"bsp", Consistency::kBsp}, {"ssp", Consistency::kSsp}, {"asp", Consistency::kAsp}};

template <typename T>
void AddChoice(CLI::App& command, const std::string& name, const std::map<std::string, T>& choices, T* value,
               const std::string& default_name, const std::string& description) {
  command
      .add_option_function<std::string>(
          name, [&choices, value](const std::string& choice) { *value = choices.at(choice); }, description)
      ->check(CLI::IsMember(choices))
      ->default_str(default_name);
}

// Options that several benchmarks share.
void AddRepetitions(CLI::App& command, Options& options) {
  command.add_option("--repetitions", options.repetitions, "each figure is the median of this many")
      ->check(Between(1, 1000))
      ->capture_default_str();
  command.add_option("--seconds", options.seconds, "of each repetition and side, about")
      ->check(Between(0.001, 60.0))
      ->capture_default_str();
}
void AddDim(CLI::App& command, Options& options) {
  command.add_option("--dim", options.dim, "floats of a row")->check(Between(1, 4096))->capture_default_str();
}
void AddSeed(CLI::App& command, Options& options) {
  command.add_option("--seed", options.seed, "of what is drawn at random")->capture_default_str();
}
void AddRequestRows(CLI::App& command, Options& options) {
  command
      .add_option(
          "--request-rows", options.request_rows,
          "cluster.request_rows of a run: rows per message, about; of rows wider than 16 as many bytes")
      ->check(Between(1, 1 << 20))
      ->capture_default_str();
}
void AddShape(CLI::App& command, Options& options) {
  AddDim(command, options);
  command.add_option("--rows", options.rows, "rows in the table")
      ->check(Between(1.0, 4e9))
      ->capture_default_str();
  command.add_option("--batch", options.batch, "keys of a batch: distinct ones, or draws with --zipf")
      ->check(Between(1, 1 << 20))
      ->capture_default_str();
  AddSeed(command, options);
}
void AddOptimizer(CLI::App& command, Options& options) {
  AddChoice(command, "--optimizer", kOptimizers, &options.optimizer, "sgd", "what a push does to a row");
}
void AddCluster(CLI::App& command, Options& options) {
  command.add_option("--servers", options.servers, "server processes")
      ->check(Between(1, 256))
      ->capture_default_str();
  command.add_option("--shards", options.shards, "shards (threads) of each server")
      ->check(Between(1, 256))
      ->capture_default_str();
  command.add_option("--workers", options.workers, "worker processes")
      ->check(Between(1, 64))
      ->capture_default_str();
  command.add_option("--transport", options.transport, "tcp (loopback) or ipc (Unix-domain sockets)")
      ->check(CLI::IsMember({"tcp", "ipc"}))
      ->capture_default_str();
  command.add_flag_callback(
      "--encrypt",
      [&options] {
        auto key = RunKey::New();
        if (!key) throw CLI::ValidationError("--encrypt", key.error().text());
        options.key = std::move(*key);
      },
      "encrypt the cluster's connections, as between hosts (the ceiling is measured without)");
  command.add_option("--zipf", options.zipf, "exponent of Zipf's law for the keys; 0: uniform")
      ->check(Between(0.0, 10.0))
      ->capture_default_str();
  command.add_option("--window", options.window, "batches outstanding per worker")
      ->check(Between(1, 256))
      ->capture_default_str();
  AddChoice(command, "--consistency", kConsistencies, &options.consistency, "asp",
            "in bsp each batch waits for the one before, whatever the window");
  command.add_option("--staleness", options.staleness, "clocks, ssp only")
      ->check(Between(0, 1000))
      ->capture_default_str();
  AddRequestRows(command, options);
  AddChoice(command, "--push-rows", kPushRowNames, &options.push_rows, "positions",
            "how pushes name their rows: wire.push_rows of a run");
  AddChoice(command, "--pull-values", kFloatTypes, &options.pull_values, "float32",
            "as what pulled rows travel: wire.pull_values of a run");
  AddChoice(command, "--push-values", kFloatTypes, &options.push_values, "float32",
            "as what gradients travel: wire.push_values of a run");
  command.add_option("--credit-bytes", options.credit_bytes, "cluster.credit_bytes of a run")
      ->check(Between(1.0, 1e12))
      ->capture_default_str();
}

void AddCache(CLI::App& command, Options& options) {
  command
      .add_option("--cache-rows", options.cache_rows,
                  "cache.rows of a run: rows that a worker keeps for later pulls, ssp and asp only; the "
                  "ceiling has none")
      ->check(Between(0.0, 4e9))
      ->capture_default_str();
}

Status RunBenchmark(const Benchmark& benchmark, const Options& options, Console& console) {
  CatchStopSignals();
  COHORT_ASSIGN_OR_RETURN(const Report report,
                          benchmark(options, [&](const std::string& line) { console.Progress(line); }));
  console.Print(report.ToText());
  console.SetJson(report.ToJson());
  return {};
}

}  // namespace

void AddBench(CLI::App& app, Commands& commands) {
  CLI::App* bench = app.add_subcommand("bench", "speed of the data plane, beside the limits of this machine");
  bench->require_subcommand(1);
  struct Chosen {
    Benchmark run;
    Options options;
  };
  auto benchmarks = std::make_shared<std::map<const CLI::App*, Chosen>>();
  // Options are bound by address: a map's elements stay where they are.
  const auto add = [&](const std::string& name, const std::string& description, Benchmark run,
                       const std::function<void(CLI::App&, Options&)>& add_options) {
    CLI::App* command = bench->add_subcommand(name, description);
    Chosen& chosen = (*benchmarks)[command];
    chosen.run = std::move(run);
    add_options(*command, chosen.options);
    AddRepetitions(*command, chosen.options);
  };
  const auto data_plane = [](CLI::App& command, Options& options) {
    AddShape(command, options);
    AddOptimizer(command, options);
    AddCluster(command, options);
  };
  const auto pulls = [data_plane](CLI::App& command, Options& options) {
    data_plane(command, options);
    AddCache(command, options);
  };
  const auto operation = [](Operation which) {
    return [which](const Options& options, const Progress& progress) {
      return bench::RunDataPlane(options, which, progress);
    };
  };
  add("pull", "workers pull batches from servers, beside the bare transport", operation(Operation::kPull),
      pulls);
  add("push", "workers push gradients to servers, beside the bare transport", operation(Operation::kPush),
      data_plane);
  add("pull-push", "each batch is pulled, then pushed; a row counts once", operation(Operation::kPullPush),
      pulls);
  add("transport", "ZeroMQ alone with the frames of pulls and pushes: the ceiling", bench::RunTransport,
      data_plane);
  add("table", "lookups and additions in one shard's table, beside the random gather of as many rows",
      bench::RunTable, [](CLI::App& command, Options& options) {
        options.rows = 10'000'000;
        AddShape(command, options);
        AddOptimizer(command, options);
        AddRequestRows(command, options);
        command
            .add_option("--grow-to", options.grow_to,
                        "rows up to which a table grows while single requests are timed; 0: no growth")
            ->check(Between(0.0, 4e9))
            ->capture_default_str();
      });
  add("memory", "memcpy and the random gather of rows: the floor", bench::RunMemory,
      [](CLI::App& command, Options& options) {
        options.rows = 10'000'000;
        AddShape(command, options);
      });
  add("tier", "pulls from a table larger than its memory, beside the random reads of the disk",
      bench::RunTier, [](CLI::App& command, Options& options) {
        options.zipf = 1.05;
        options.seconds = 2;
        AddShape(command, options);
        AddOptimizer(command, options);
        command
            .add_option("--tier", options.tier, "a folder on the disk that is measured: tier.path of a run")
            ->required();
        command
            .add_option("--memory-share", options.memory_share,
                        "of the rows, that fit into memory: what tier.max_bytes is set to")
            ->check(Between(0.01, 1.0))
            ->capture_default_str();
        command.add_option("--zipf", options.zipf, "exponent of Zipf's law for the keys; 0: uniform")
            ->check(Between(0.0, 10.0))
            ->capture_default_str();
        command.add_option("--window", options.window, "batches outstanding per worker")
            ->check(Between(1, 256))
            ->capture_default_str();
        AddRequestRows(command, options);
      });
  add("checkpoint",
      "a shard that writes a checkpoint while it serves, beside the same shard and the disk alone",
      bench::RunCheckpoint, [](CLI::App& command, Options& options) {
        options.rows = 10'000'000;
        options.seconds = 2;
        AddShape(command, options);
        AddOptimizer(command, options);
        command.add_option("--zipf", options.zipf, "exponent of Zipf's law for the keys; 0: uniform")
            ->check(Between(0.0, 10.0))
            ->capture_default_str();
        command.add_option("--folder", options.folder,
                           "on the disk that is measured: the system's for temporary files");
        command.add_option("--core-share", options.core_share, "checkpoint.core_share of a run")
            ->check(Between(0.01, 1.0))
            ->capture_default_str();
        command
            .add_option("--measure", options.measure,
                        "pushes: the checkpoint beside pushes only; idle: the one beside dd only")
            ->check(CLI::IsMember({"all", "pushes", "idle"}))
            ->capture_default_str();
        AddRequestRows(command, options);
      });
  add("step", "a training step of a mid-size model in one thread, beside its matrix products alone",
      bench::RunStep, [](CLI::App& command, Options& options) {
        options.batch = TrainConfig().batch_size;
        AddDim(command, options);
        AddChoice(command, "--compute", kComputeTypes, &options.compute, "float32", "model.compute of a run");
        command.add_option("--batch", options.batch, "samples of a step")
            ->check(Between(1, 1 << 20))
            ->capture_default_str();
        command.add_option("--slices", options.slices, "equal parts that are computed one after the other")
            ->check(Between(1, 64))
            ->capture_default_str();
        AddSeed(command, options);
      });
  add("train", "whole jobs in one thread and on a cluster, beside the arithmetic of their model",
      bench::RunTrain, [](CLI::App& command, Options& options) {
        options.rows = 10'000'000;
        options.batch = 4096;
        options.workers = 2;
        command
            .add_option(
                "--job", options.job,
                "gemm: 26 ids and 13 numbers into an mmoe; embedding: 40 bags of 8 ids into a small network")
            ->check(CLI::IsMember({"gemm", "embedding"}))
            ->capture_default_str();
        command.add_option("--samples", options.samples, "of the dataset that is drawn")
            ->check(Between(1.0, 1e9))
            ->capture_default_str();
        command
            .add_option("--epochs", options.epochs, "that are measured in a repetition, after a first one")
            ->check(Between(1, 1000))
            ->capture_default_str();
        command.add_option("--slices", options.slices, "train.slices of a run")
            ->check(Between(1, 64))
            ->capture_default_str();
        command.add_option("--folder", options.folder, "where data and runs lie meanwhile");
        AddShape(command, options);
        command.add_option("--servers", options.servers, "server processes")
            ->check(Between(1, 256))
            ->capture_default_str();
        command.add_option("--shards", options.shards, "shards (threads) of each server")
            ->check(Between(1, 256))
            ->capture_default_str();
        command.add_option("--workers", options.workers, "worker processes")
            ->check(Between(1, 64))
            ->capture_default_str();
        AddChoice(command, "--consistency", kConsistencies, &options.consistency, "asp",
                  "train.consistency of a run");
        AddChoice(command, "--compute", kComputeTypes, &options.compute, "float32", "model.compute of a run");
        AddChoice(command, "--pull-values", kFloatTypes, &options.pull_values, "float32",
                  "wire.pull_values of a run");
        AddChoice(command, "--push-values", kFloatTypes, &options.push_values, "float32",
                  "wire.push_values of a run");
      });
  add("machine", "what a message, a row and a byte cost here, for `cohort simulate`", bench::RunMachine,
      [](CLI::App& command, Options& options) {
        options.rows = 1'000'000;
        options.seconds = 0.5;
        command.add_option("--out", options.out, "the file to write: `cohort simulate --machine`")
            ->required()
            ->type_name(kOutputType);
        command.add_flag("--overwrite")->description("replace a file that is there");
        AddSeed(command, options);
      });
  commands[bench] = [bench, benchmarks](Console& console) {
    const Chosen& chosen = benchmarks->at(bench->get_subcommands().front());
    return RunBenchmark(chosen.run, chosen.options, console);
  };
}

}  // namespace cohort
