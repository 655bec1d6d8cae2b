#include "launch/bench/training_job.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "common/random.h"
#include "launch/bench/keys.h"
#include "launch/bench/stopwatch.h"

namespace cohort::bench {
namespace {

constexpr std::uint32_t kGemmIds = 26, kGemmNumbers = 13, kBags = 40;
constexpr std::uint32_t kFewestIds = 4, kMostIds = 12;  // of a bag: 8 on average
constexpr double kLowestZipf = 1.05, kHighestZipf = 1.2;
constexpr double kNoise = 0.5;

bool IsGemm(const Options& options) { return options.job == "gemm"; }

DatasetInfo Describe(const Options& options) {
  DatasetInfo info;
  const auto add = [&](FeatureType type, std::uint32_t count, const char* name) {
    for (std::uint32_t i = 0; i < count; ++i) {
      FeatureInfo feature;
      feature.name = name + std::to_string(i);
      feature.type = type;
      info.features.push_back(std::move(feature));
    }
  };
  if (IsGemm(options)) {
    add(FeatureType::kCategorical, kGemmIds, "id ");
    add(FeatureType::kNumeric, kGemmNumbers, "number ");
  } else {
    add(FeatureType::kBag, kBags, "bag ");
  }
  for (std::uint32_t j = 0; j < (IsGemm(options) ? 4u : 2u); ++j) {
    TaskInfo task;
    task.name = "task " + std::to_string(j);
    task.type = IsGemm(options) && j == 0 ? TaskType::kRegression : TaskType::kBinary;
    info.tasks.push_back(std::move(task));
  }
  info.rows[static_cast<std::size_t>(Split::kTrain)] = options.samples;
  return info;
}

// What an id, or a number, adds to a task's score: uniform in [-1, 1).
double Effect(std::uint64_t seed, std::size_t task, Key key) {
  return 2 * UniformDouble(RandomBits(seed ^ 0xeffec7, key, task)) - 1;
}

// The labels' statistics, which training starts from.
class Labels {
 public:
  explicit Labels(DatasetInfo* info) : info_(info), sum_(info->tasks.size()), square_(sum_.size()) {}

  // `score` of each task, of about unit variance.
  void Append(const std::vector<double>& score, RandomStream& random, std::vector<float>* labels) {
    for (std::size_t j = 0; j < score.size(); ++j) {
      const bool regression = info_->tasks[j].type == TaskType::kRegression;
      const double label = regression ? 3 + score[j] + kNoise * (2 * random.Uniform() - 1)
                                      : random.Uniform() < 1 / (1 + std::exp(1 - 2 * score[j]));
      labels->push_back(static_cast<float>(label));
      sum_[j] += label, square_[j] += label * label;
    }
    ++rows_;
  }

  void Finish() {
    for (std::size_t j = 0; j < sum_.size(); ++j) {
      TaskInfo& task = info_->tasks[j];
      const double count = static_cast<double>(rows_);
      task.mean = sum_[j] / count;
      task.deviation = std::sqrt(std::max(square_[j] / count - task.mean * task.mean, 1e-12));
      task.labelled = rows_;
    }
  }

 private:
  DatasetInfo* const info_;
  std::uint64_t rows_ = 0;
  std::vector<double> sum_, square_;
};

}  // namespace

RunConfig ConfigOf(const Options& options) {
  RunConfig config;
  config.seed = options.seed;
  config.model.embedding_dim = options.dim;
  config.model.compute = options.compute;
  if (IsGemm(options)) {
    config.model.kind = "mmoe";
    config.model.experts = 4;
    config.model.expert_layers = {128, 64};
    config.model.tower_layers = {64, 32};
  } else {
    config.model.kind = "single";
    config.model.expert_layers = {};
    config.model.tower_layers = {64};
  }
  config.embedding_optimizer.kind = OptimizerKind::kRowwiseAdagrad;
  config.embedding_optimizer.learning_rate = 0.05f;
  config.dense_optimizer.kind = OptimizerKind::kAdam;
  config.dense_optimizer.learning_rate = 0.001f;
  config.train.batch_size = options.batch;
  config.train.slices = options.slices;
  config.train.consistency = options.consistency;
  config.train.staleness = options.staleness;
  config.train.evaluate_train = false;
  config.cluster.servers = options.servers;
  config.cluster.shards_per_server = options.shards;
  config.cluster.workers = options.workers;
  config.wire.pull_values = options.pull_values;
  config.wire.push_values = options.push_values;
  return config;
}

Result<DatasetInfo> WriteTrainingData(const Options& options, const std::string& path,
                                      const Progress& progress) {
  DatasetInfo info = Describe(options);
  COHORT_ASSIGN_OR_RETURN(const auto writer, DatasetWriter::Create(path, info));
  const std::uint32_t fields = IsGemm(options) ? kGemmIds : kBags;
  const std::uint64_t values = std::max<std::uint64_t>(options.rows / fields, 1);
  std::vector<ZipfSampler> samplers;
  std::vector<FeatureKeys> keys;
  for (std::uint32_t f = 0; f < fields; ++f) {
    const double step = IsGemm(options) ? (kHighestZipf - kLowestZipf) / (fields - 1) : 0;
    samplers.emplace_back(values, kLowestZipf + step * f);
    keys.emplace_back(info.features[f].name);
  }
  RandomStream random(options.seed, 0x7ea1);
  Labels labels(&info);
  RowBlock block;
  for (std::uint64_t row = 0; row < options.samples;) {
    block = {};
    block.first_row = row;
    block.rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, options.samples - row));
    if (!IsGemm(options)) {
      block.bag_offsets.assign(kBags, {0});
      block.bag_keys.resize(kBags);
    }
    for (std::uint32_t i = 0; i < block.rows; ++i, ++row) {
      std::vector<double> score(info.tasks.size(), 0.0);
      const auto draw = [&](std::uint32_t field, double weight) {
        const Key key = keys[field].Category(std::to_string(samplers[field].Draw(random)));
        for (std::size_t j = 0; j < score.size(); ++j) score[j] += weight * Effect(options.seed, j, key);
        return key;
      };
      for (std::uint32_t f = 0; f < fields; ++f) {
        if (IsGemm(options)) {
          block.categorical.push_back(draw(f, 1.5 / std::sqrt(kGemmIds)));
          continue;
        }
        const auto ids = kFewestIds + static_cast<std::uint32_t>(random.Below(kMostIds - kFewestIds + 1));
        for (std::uint32_t n = 0; n < ids; ++n)
          block.bag_keys[f].push_back(draw(f, 1.5 / std::sqrt(kBags * ids)));
        block.bag_offsets[f].push_back(block.bag_keys[f].size());
      }
      for (std::uint32_t n = 0; IsGemm(options) && n < kGemmNumbers; ++n) {
        const double x = (2 * random.Uniform() - 1) * std::sqrt(3.0);
        block.numeric.push_back(static_cast<float>(x));
        for (std::size_t j = 0; j < score.size(); ++j)
          score[j] += 0.1 * x * Effect(options.seed, j, fields + n);
      }
      labels.Append(score, random, &block.labels);
      block.input_rows.push_back(row);
    }
    COHORT_RETURN_IF_ERROR(writer->Append(Split::kTrain, block));
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    progress("drawing samples: " + std::to_string(row) + " of " + std::to_string(options.samples));
  }
  labels.Finish();
  COHORT_RETURN_IF_ERROR(writer->Finish(info));
  return info;
}

}  // namespace cohort::bench
