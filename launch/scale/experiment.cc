#include "launch/scale/experiment.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <utility>

#include "common/atomic_file.h"
#include "common/config_option.h"
#include "common/dataset.h"
#include "common/random.h"
#include "common/row_hash.h"
#include "launch/bench/training_job.h"
#include "prepare/toml_table.h"
#include "scheduler/leases.h"

namespace cohort::scale {
namespace {

constexpr std::size_t kMostPoints = 1000;
constexpr std::uint64_t kOrderStream = 0x5ca1e;
const std::vector<std::string> kConsistencyNames = {"bsp", "ssp", "asp"};  // by Consistency

// Options that a point sets, and where an experiment file says them.
constexpr std::pair<const char*, const char*> kOwned[] = {
    {"cluster.workers", "matrix.workers"},
    {"cluster.servers", "matrix.servers"},
    {"cluster.shards_per_server", "matrix.shards_per_server"},
    {"train.batch_size", "matrix.batch or matrix.batch_per_worker"},
    {"train.consistency", "matrix.consistency"},
    {"train.staleness", "matrix.staleness"},
    {"model.embedding_dim", "matrix.embedding_dim"},
    {"train.epochs", "experiment.epochs and experiment.warm_epochs"},
    {"train.early_stopping", "off, as every run is to have the epochs"},
};

std::string ShortNumber(double value) {
  return Number(value);
}  // common/config_option.h: as short as it can be

class ExperimentParser {
 public:
  ExperimentParser(TomlDocument* document, std::string path) : document_(document) {
    experiment_.path = std::move(path);
  }

  Result<Experiment> Parse() {
    const TomlTable root = document_->root();
    root.AllowOnly({"experiment", "job", "matrix", "set", "target"}, InputFileKind::kExperiment);
    if (!root.Has("experiment"))
      root.Fail(nullptr,
                "[experiment] is missing: it names the job, with job = \"gemm\" or run = \"run.toml\"");
    ReadExperiment(root.Table("experiment"));
    ReadJob(root.Table("job"));
    ReadSet(root.Table("set"));
    ReadTarget(root.Table("target"));
    COHORT_RETURN_IF_ERROR(document_->status());
    COHORT_ASSIGN_OR_RETURN(const Settings usual, UsualSettings());
    ReadMatrix(root.Table("matrix"), usual);
    COHORT_RETURN_IF_ERROR(document_->status());
    for (const Settings& point : experiment_.points) {
      const auto config = experiment_.ConfigOf(point, kSomeData);
      if (!config)
        return tl::unexpected(config.error().Within(experiment_.path + ": the point of " + Describe(point)));
    }
    COHORT_ASSIGN_OR_RETURN(experiment_.fingerprint, Fingerprint());
    return std::move(experiment_);
  }

 private:
  static constexpr const char* kSomeData = "data.h5";  // of a job, which has none yet

  void ReadExperiment(const TomlTable& table) {
    table.AllowOnly({"name", "job", "run", "repetitions", "warm_epochs", "epochs", "seed"});
    if (table.Has("job") == table.Has("run")) {
      table.Fail(
          table.Has("job") ? "run" : nullptr,
          "[experiment] needs either job = \"gemm\" or \"embedding\", a job of `cohort bench train`, or "
          "run = \"run.toml\", a run file of your own");
    }
    if (table.Has("job")) {
      const std::vector<std::string> jobs = {"gemm", "embedding"};
      experiment_.job = jobs[table.Choice("job", jobs, 0)];
    }
    if (table.Has("run")) {
      experiment_.run_file = std::filesystem::absolute(std::filesystem::path(DirectoryOf(experiment_.path)) /
                                                       table.Text("run", ""))
                                 .lexically_normal()
                                 .string();
    }
    experiment_.name = table.Text("name", experiment_.job.empty()
                                              ? std::filesystem::path(experiment_.run_file).stem().string()
                                              : experiment_.job);
    if (experiment_.name.empty()) table.Fail("name", "a name may not be empty");
    experiment_.repetitions =
        static_cast<std::uint32_t>(table.Integer("repetitions", experiment_.repetitions, 1, 1000));
    experiment_.warm_epochs =
        static_cast<std::uint32_t>(table.Integer("warm_epochs", experiment_.warm_epochs, 0, 1000));
    experiment_.epochs = static_cast<std::uint32_t>(table.Integer("epochs", experiment_.epochs, 1, 1000));
    experiment_.seed = static_cast<std::uint64_t>(table.Integer("seed", 1, 0, 1'000'000'000));
  }

  void ReadJob(const TomlTable& table) {
    table.AllowOnly({"samples", "rows"});
    if (experiment_.job.empty() && table.exists())
      table.Fail(nullptr, "[job] is of the data that a job = \"...\" draws; a run file names its own");
    experiment_.samples = static_cast<std::uint64_t>(
        table.Integer("samples", static_cast<std::int64_t>(experiment_.samples), 1000, 1'000'000'000));
    experiment_.rows = static_cast<std::uint64_t>(
        table.Integer("rows", static_cast<std::int64_t>(experiment_.rows), 100, 4'000'000'000));
  }

  void ReadSet(const TomlTable& table) {
    for (const TomlTable::Leaf& leaf : table.Leaves()) {
      for (const auto& [option, place] : kOwned) {
        if (leaf.name == option)
          document_->Fail(leaf.where, leaf.name + " is not for [set]: it is " + place + " of this file");
      }
      experiment_.set.push_back(leaf.name + "=" + leaf.value);
    }
  }

  void ReadTarget(const TomlTable& table) {
    if (!table.exists()) return;
    table.AllowOnly({"task", "loss"});
    if (!table.Has("task") || !table.Has("loss"))
      table.Fail(nullptr, "[target] needs task = \"...\" and loss = ...");
    experiment_.target = Target{table.Text("task", ""), table.Number("loss", 0, -1e9, 1e9)};
  }

  // What a point has where the matrix says nothing.
  Result<Settings> UsualSettings() const {
    Settings usual;
    if (!experiment_.job.empty()) return usual;
    COHORT_ASSIGN_OR_RETURN(const RunConfig config, LoadRunConfig(experiment_.run_file));
    usual.workers = config.cluster.workers;
    usual.servers = config.cluster.servers;
    usual.shards_per_server = config.cluster.shards_per_server;
    usual.batch = config.train.batch_size;
    usual.consistency = config.train.consistency;
    usual.staleness = config.train.staleness;
    usual.embedding_dim = config.model.embedding_dim;
    return usual;
  }

  // The values of an axis.
  std::vector<double> Axis(const TomlTable& table, const char* key, double usual, double least, double most,
                           bool whole) {
    if (!table.Has(key)) return {usual};
    std::vector<double> values = table.Numbers(key);
    if (values.empty())
      table.Fail(key, std::string("\"") + key + "\" may not be empty; leave it out instead");
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!(values[i] >= least && values[i] <= most) || (whole && values[i] != std::floor(values[i])))
        table.Fail(key, std::string(key) + " has " + ShortNumber(values[i]) + "; expected " +
                            (whole ? "whole numbers" : "numbers") + " from " + ShortNumber(least) + " to " +
                            ShortNumber(most));
      if (std::find(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(i), values[i]) !=
          values.begin() + static_cast<std::ptrdiff_t>(i))
        table.Fail(key, std::string(key) + " has " + ShortNumber(values[i]) + " twice");
    }
    return values;
  }

  std::vector<Consistency> ConsistencyAxis(const TomlTable& table, Consistency usual) {
    std::vector<Consistency> values;
    for (const std::string& name : table.Texts("consistency")) {
      const auto found = std::find(kConsistencyNames.begin(), kConsistencyNames.end(), name);
      if (found == kConsistencyNames.end()) {
        table.Fail("consistency", "unknown consistency \"" + name + "\" (known: bsp, ssp, asp)");
        continue;
      }
      values.push_back(static_cast<Consistency>(found - kConsistencyNames.begin()));
    }
    if (values.empty()) values.push_back(usual);
    return values;
  }

  void ReadMatrix(const TomlTable& table, const Settings& usual) {
    table.AllowOnly({"workers", "servers", "shards_per_server", "batch", "batch_per_worker", "consistency",
                     "staleness", "embedding_dim", "faults_per_hour", "link_mbit"});
    if (table.Has("batch") && table.Has("batch_per_worker"))
      table.Fail(
          "batch",
          "batch, of all workers together, and batch_per_worker are two ways to say one thing: keep one");
    const bool per_worker = table.Has("batch_per_worker");
    const std::vector<double> all[] = {
        Axis(table, "workers", usual.workers, 1, 1024, true),
        Axis(table, "servers", usual.servers, 1, kMaxShards, true),
        Axis(table, "shards_per_server", usual.shards_per_server, 1, kMaxShards, true),
        Axis(table, per_worker ? "batch_per_worker" : "batch", usual.batch, 1, 1 << 20, true),
        Axis(table, "embedding_dim", usual.embedding_dim, 1, 4096, true),
        Axis(table, "faults_per_hour", 0, 0, 100'000, false),
        Axis(table, "link_mbit", 0, 0, 100'000, false)};
    const std::vector<Consistency> consistencies = ConsistencyAxis(table, usual.consistency);
    const std::vector<double> stalenesses = Axis(table, "staleness", usual.staleness, 0, 1'000'000, true);
    std::vector<std::pair<Consistency, std::uint32_t>> ways;
    for (const Consistency consistency : consistencies) {
      for (const double staleness : stalenesses) {
        const bool ssp = consistency == Consistency::kSsp;
        if (ssp || staleness == stalenesses.front())
          ways.emplace_back(consistency, ssp ? static_cast<std::uint32_t>(staleness) : 0);
      }
    }
    if (table.Has("staleness") &&
        std::count(consistencies.begin(), consistencies.end(), Consistency::kSsp) == 0)
      table.Fail("staleness", "staleness is of ssp, which is not in consistency");
    std::size_t count = ways.size();
    for (const std::vector<double>& axis : all) count *= axis.size();
    if (count > kMostPoints) {
      table.Fail(nullptr, "[matrix] makes " + std::to_string(count) + " points; expected at most " +
                              std::to_string(kMostPoints) + ": shorten a list");
    }
    if (!document_->status().ok()) return;
    const auto whole = [](double value) { return static_cast<std::uint32_t>(value); };
    for (const double link : all[6])
      for (const double faults : all[5])
        for (const double dim : all[4])
          for (const auto& [consistency, staleness] : ways)
            for (const double batch : all[3])
              for (const double shards : all[2])
                for (const double servers : all[1])
                  for (const double workers : all[0])
                    experiment_.points.push_back({whole(workers), whole(servers), whole(shards), whole(batch),
                                                  per_worker, consistency, staleness, whole(dim), faults,
                                                  link});
  }

  Result<std::string> Fingerprint() const {
    COHORT_ASSIGN_OR_RETURN(RunConfig config, experiment_.ConfigOf(experiment_.points.front(), kSomeData));
    const RunConfig usual;
    config.cluster.workers = usual.cluster.workers;
    config.cluster.servers = usual.cluster.servers;
    config.cluster.shards_per_server = usual.cluster.shards_per_server;
    config.train.batch_size = usual.train.batch_size;
    config.train.consistency = usual.train.consistency;
    config.train.staleness = usual.train.staleness;
    config.model.embedding_dim = usual.model.embedding_dim;
    std::string text = ToToml(config) + experiment_.job;
    for (const std::uint64_t number :
         {experiment_.job.empty() ? 0 : experiment_.samples, experiment_.job.empty() ? 0 : experiment_.rows,
          std::uint64_t{experiment_.warm_epochs}, std::uint64_t{experiment_.epochs}, experiment_.seed})
      text += " " + std::to_string(number);
    if (experiment_.target) text += " " + experiment_.target->task + " " + Number(experiment_.target->loss);
    return ToHex(ChecksumOf(text));
  }

  TomlDocument* const document_;
  Experiment experiment_;
};

}  // namespace

bool Settings::SameButForSize(const Settings& other) const {
  Settings same = other;
  same.workers = workers;
  same.servers = servers;
  same.shards_per_server = shards_per_server;
  return same == *this;
}

std::string ConsistencyOf(const Settings& settings) {
  const std::string name = ConsistencyName(settings.consistency);
  return settings.consistency == Consistency::kSsp
             ? name + " with staleness " + std::to_string(settings.staleness)
             : name;
}

std::string Describe(const Settings& settings) {
  const auto counted = [](std::uint32_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
  };
  std::string text = counted(settings.workers, "worker") + ", " + counted(settings.servers, "server");
  if (settings.shards_per_server > 1) text += " of " + std::to_string(settings.shards_per_server) + " shards";
  text += ", batch " + std::to_string(settings.batch) + (settings.batch_per_worker ? " a worker" : "");
  text += ", " + ConsistencyOf(settings) + ", dim " + std::to_string(settings.embedding_dim);
  if (settings.faults_per_hour > 0) text += ", " + ShortNumber(settings.faults_per_hour) + " faults an hour";
  if (settings.link_mbit > 0) text += ", links of " + ShortNumber(settings.link_mbit) + " Mbit/s";
  return text;
}

Result<RunConfig> Experiment::ConfigOf(const Settings& settings, const std::string& data) const {
  std::vector<std::string> overrides = set;
  const auto add = [&](const char* option, std::uint64_t value) {
    overrides.push_back(option + ("=" + std::to_string(value)));
  };
  add("cluster.workers", settings.workers);
  add("cluster.servers", settings.servers);
  add("cluster.shards_per_server", settings.shards_per_server);
  add("train.batch_size", settings.GlobalBatch());
  add("model.embedding_dim", settings.embedding_dim);
  add("train.epochs", warm_epochs + epochs);
  add("train.early_stopping", 0);  // every run has the same epochs
  overrides.push_back(std::string("train.consistency=") + ConsistencyName(settings.consistency));
  if (settings.consistency == Consistency::kSsp) add("train.staleness", settings.staleness);
  const auto load = [&]() -> Result<RunConfig> {
    if (job.empty()) return LoadRunConfig(run_file, overrides);
    RunConfig base = bench::ConfigOf(DataOptions());
    base.data = std::filesystem::absolute(data).lexically_normal().string();
    return ParseRunConfig(ToToml(base), "the job " + job, "", overrides);
  };
  COHORT_ASSIGN_OR_RETURN(RunConfig config, load());
  const bool given = std::any_of(
      set.begin(), set.end(), [](const std::string& option) { return option.starts_with("train.slices="); });
  if (given || config.train.consistency != Consistency::kBsp || config.train.slices >= settings.workers)
    return config;
  add("train.slices", std::bit_ceil(settings.workers));  // else some had nothing to do
  return load();
}

bench::Options Experiment::DataOptions() const {
  bench::Options options;
  options.job = job;
  options.samples = samples;
  options.rows = rows;
  options.seed = seed;
  return options;
}

Result<Experiment> ParseExperiment(const std::string& text, const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(const auto document, TomlDocument::Parse(text, path));
  return ExperimentParser(document.get(), path).Parse();
}

Result<Experiment> LoadExperiment(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, std::size_t{512} << 10));
  return ParseExperiment(text, path);
}

std::vector<std::string> WarningsOf(const Experiment& experiment) {
  std::vector<std::string> warnings;
  if (experiment.job.empty()) return warnings;  // how many rows the data of a run file have is not known here
  for (const Settings& point : experiment.points) {
    if (point.consistency == Consistency::kBsp) continue;
    const std::uint64_t lease =
        Leases::TrainingBlocks(experiment.samples, TrainConfig().shuffle_rows, point.workers) * kBlockRows;
    const std::uint32_t batch = std::max(1u, point.GlobalBatch() / point.workers);
    if (lease >= batch) continue;
    warnings.push_back(
        Describe(point) + ": a worker is given " + std::to_string(lease) +
        " samples at a time, an eighth of its share, so that no batch is larger; raise job.samples to " +
        std::to_string(8ull * point.workers * batch) + " or lower the batch");
  }
  return warnings;
}

std::vector<Turn> Interleaved(const Experiment& experiment) {
  std::vector<Turn> turns;
  std::vector<std::uint32_t> order(experiment.points.size());
  for (std::uint32_t repetition = 0; repetition < experiment.repetitions; ++repetition) {
    std::iota(order.begin(), order.end(), 0u);
    RandomStream random(experiment.seed, kOrderStream + repetition);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.Below(i)]);
    for (const std::uint32_t point : order) turns.push_back({point, repetition});
  }
  return turns;
}

}  // namespace cohort::scale
