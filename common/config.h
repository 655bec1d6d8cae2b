// RUN.toml: everything a run can be told, one struct. `cohort train --help-config` lists each option with its default,
// unit and range, from the same table that parses it (config.cc).
#ifndef COHORT_COMMON_CONFIG_H_
#define COHORT_COMMON_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "common/table_spec.h"
#include "common/types.h"

namespace cohort {

// How a sequence of the data becomes a part of the model's input (worker/model/sequence.h has the equations).
enum class SequenceEncoderKind : std::uint8_t { kMean = 0, kSum, kAttention, kGru, kConvolution };
inline bool IsPooling(SequenceEncoderKind kind) { return kind <= SequenceEncoderKind::kSum; }
struct SequenceConfig {
  SequenceEncoderKind encoder = SequenceEncoderKind::kMean;
  std::string target;        // attention: the categorical feature that steps are compared with
  std::uint32_t width = 32;  // attention: units of the hidden layer; gru: of the state; convolution: channels
  std::uint32_t kernel = 3;  // convolution: steps of a window

  bool operator==(const SequenceConfig&) const = default;
};

// A bottleneck that reconstructs the inputs (worker/model/autoencoder.h).
struct AutoencoderConfig {
  float weight = 0.0f;            // of the reconstruction's loss; 0: there is none
  std::uint32_t bottleneck = 32;  // columns that the tasks read beside the other inputs
  std::uint32_t buckets = 256;    // a bag's ids are hashed into so many to be reconstructed

  bool operator==(const AutoencoderConfig&) const = default;
};

// How a two_tower model draws the items that a row is held against (worker/item_catalogue.h), and what it loses.
enum class NegativeSampling : std::uint8_t { kUniform = 0, kFrequency };
enum class TowerLoss : std::uint8_t { kLogistic = 0, kSoftmax };

// The kind two_tower (worker/model/two_tower.h).
struct TwoTowerConfig {
  std::vector<std::string> item;  // features of the item's side, its id first; the rest are the user's
  std::uint32_t negatives = 8;    // items drawn for a row
  NegativeSampling sampling = NegativeSampling::kUniform;
  float frequency_power = 0.75f;  // frequency: items are drawn in proportion to their rows to this power
  bool log_q = true;              // frequency: scores are corrected for it
  bool skip_own_item = true;      // an item drawn that is the row's own is drawn again
  TowerLoss loss = TowerLoss::kLogistic;
  std::vector<std::uint32_t> user_layers, item_layers;  // empty: the sum of the embeddings is the vector

  bool operator==(const TwoTowerConfig&) const = default;
};

// What a feature's embeddings have of their own.
struct FeatureConfig {
  std::uint32_t embedding_dim = 16;
  OptimizerSpec optimizer;

  bool operator==(const FeatureConfig&) const = default;
};

struct ModelConfig {
  std::string kind = "mmoe";  // single | shared_bottom | mmoe | ple | esmm | aitm | two_tower
  std::uint32_t embedding_dim = 16;
  float embedding_init = 0.05f;     // rows start uniform in [-x, x)
  std::uint32_t experts = 4;        // mmoe, ple: shared by the tasks
  std::uint32_t task_experts = 2;   // ple: of each task
  std::uint32_t expert_levels = 2;  // ple
  std::vector<std::string>
      chain;  // esmm, aitm: tasks in the order of a user's steps; empty: all (esmm: binary) ones
  float calibration = 0.6f;  // aitm: weight of max(p_t - p_(t-1), 0)
  bool soft_bins = false;    // a number's bin embedding is mixed from those of its two neighbouring bins
  bool linear = false;       // adds a linear term of the inputs to every raw output
  float dropout = 0.0f;      // of the outputs of hidden layers
  float embedding_dropout = 0.0f;  // of the embeddings at the input
  FloatType compute =
      FloatType::kFloat32;  // of hidden layers' products; kBfloat16 where all processors have it
  AutoencoderConfig autoencoder;
  TwoTowerConfig two_tower;
  std::map<std::string, SequenceConfig>
      sequences;  // by feature; one without an entry is pooled as the schema says
  std::map<std::string, FeatureConfig> features;  // by feature; one without an entry is as UsualFeature says

  bool operator==(const ModelConfig&) const = default;
  std::vector<std::uint32_t> expert_layers = {
      128, 64};  // also the shared bottom, and the bottom of each single network
  std::vector<std::uint32_t> tower_layers = {64, 32};
};

// How the tasks share the model's weights (worker/model/task_balance.h).
enum class Balance : std::uint8_t { kFixed = 0, kUncertainty, kGradNorm, kPcGrad };
// Whether it learns a weight for each task.
inline bool LearnsBalance(Balance balance) {
  return balance == Balance::kUncertainty || balance == Balance::kGradNorm;
}
// What early stopping judges an epoch by (scheduler/early_stopping.h).
enum class StoppingMetric : std::uint8_t { kLoss = 0, kRanking };

struct TrainConfig {
  std::uint32_t epochs = 1;
  std::uint32_t batch_size = 1024;  // global, divided among the workers
  std::uint32_t slices = 8;  // power of two, <= kMaxWorkers: in bsp no more workers have work (DESIGN 2.2)
  Consistency consistency = Consistency::kBsp;
  std::uint32_t staleness = 4;         // ssp only, clocks
  std::uint32_t shuffle_rows = 65536;  // rows shuffled together; bounds a worker's memory
  Balance balance = Balance::kFixed;
  float gradnorm_alpha = 1.5f;       // gradnorm: how much faster slower tasks are to train
  float clip_norm = 0.0f;            // of a batch's gradient (worker/gradient_clip.h); 0: not clipped
  std::uint32_t early_stopping = 0;  // patience, epochs without improvement on the valid split; 0: off
  StoppingMetric early_stopping_metric = StoppingMetric::kLoss;
  bool evaluate_train = true;       // metrics of the train split at the end
  bool evaluate_each_epoch = true;  // metrics of the valid split after every epoch
};

struct EvaluationConfig {
  std::vector<std::uint32_t> top = {5, 10};  // k of hr@k, ndcg@k, recall@k
};

// The loss of a task (worker/model/losses.h); kDefault: its type's own.
enum class TaskLoss : std::uint8_t { kDefault = 0, kHuber, kFocal, kPoisson };

struct TaskConfig {
  float weight = 1.0f;
  float l2 = 0.0f;      // lambda of the task's own weights (DESIGN 5)
  bool enabled = true;  // false: the task is left out of the model
  TaskLoss loss = TaskLoss::kDefault;
  float delta = 1.0f;            // huber: where the loss becomes linear, in deviations of the label
  float gamma = 2.0f;            // focal
  float alpha = 0.25f;           // focal, binary: weight of label 1; 1 - alpha of label 0
  float label_smoothing = 0.0f;  // cross-entropy of binary and multiclass
  std::string offset;  // count, poisson: a numeric feature that is added to the logarithm of the mean
};

enum class Encryption : std::uint8_t { kAuto, kOn, kOff };  // auto: between hosts

struct ClusterConfig {
  std::uint32_t servers = 2;
  std::uint32_t shards_per_server = 1;
  std::uint32_t workers = 2;
  std::uint32_t replicas = 0;
  std::uint32_t recoveries =
      100;  // replaced processes and restarts from a checkpoint, before the run is given up
  // Deadlines and limits, in seconds and bytes. Every wait of the system is one of these.
  double startup_seconds = 60;     // until every process has registered
  double heartbeat_seconds = 0.5;  // between two heartbeats
  double dead_after_seconds = 3;   // without a heartbeat
  double retry_seconds = 1;        // until a request without reply is sent again
  double request_seconds = 60;     // until a request without any sign of life from its receiver fails the run
  double wait_seconds = 600;       // until a pull that is parked behind another worker fails the run
  std::uint64_t credit_bytes = 16u << 20;  // outstanding per worker and shard; pulls and pushes have one each
  std::uint32_t request_rows =
      4096;  // per pull or push message, about; of more than 16 floats: fewer, as many bytes
  Encryption encryption = Encryption::kAuto;
  std::string
      interface;  // to listen on, between hosts: a name ("eth1") or an IPv4 address of it; empty: the first that is up
  // An experiment's handicap: worker `slow_worker` takes slow_factor times as long for its computing.
  std::int64_t slow_worker = -1;
  double slow_factor = 1;
};

// The embedding table.
struct EmbeddingConfig {
  FloatType dtype = FloatType::kFloat32;  // of the weights in the table
  RowPolicySpec policy;
  std::string
      log;  // where rows refused and evicted are listed, a file per shard; absolute after loading; empty: nowhere
};

// How pushes name their rows.
enum class PushRowNames : std::uint8_t { kKeys = 0, kPositions = 1 };

// What travels between workers and shards, and how (docs/protocol.md).
struct WireConfig {
  FloatType pull_values = FloatType::kFloat32;  // of embedding rows in training
  FloatType push_values = FloatType::kFloat32;  // of their gradients
  PushRowNames push_rows = PushRowNames::kPositions;
  std::uint64_t kept_pull_bytes = 64u << 20;  // a shard's memory for pulls that pushes may name
};

// Where rows of the embedding table lie that do not fit into memory.
struct TierConfig {
  std::string
      path;  // a folder on each server's local disk; absolute after loading; empty: all rows stay in memory
  std::uint64_t max_bytes = 1ull << 30;  // of rows in the memory of a server
  std::uint64_t max_disk_bytes = 0;      // of a server; 0: what the disk holds
};

// A worker's cache of pulled embedding rows (ssp, asp).
struct CacheConfig {
  std::uint64_t rows = 0;     // 0: off
  std::uint32_t max_age = 4;  // asp only, clocks of the worker
};

// Checkpoints of a run in training, from which it goes on after a death or with --resume.
struct CheckpointConfig {
  std::uint64_t every_steps = 1000;  // clocks; 0: none
  std::uint32_t keep = 3;            // the newest ones
  // Every so many has all rows; those between only the rows that have changed since the one before. 1: all rows, always.
  std::uint32_t full_every = 1;
  // Of a core: what a shard may spend on writing one while it serves; 1: as fast as it can.
  double core_share = 0.25;
};

struct RunConfig {
  std::string data;  // DATASET.h5, relative to the file that names it; absolute after loading
  std::uint64_t seed = 1;
  bool strict = false;  // any dropped, defaulted, clipped or NaN value is an error
  ModelConfig model;
  TrainConfig train;
  EvaluationConfig evaluation;
  EmbeddingConfig embedding;
  TierConfig tier;
  OptimizerSpec embedding_optimizer;        // default: adagrad 0.05
  OptimizerSpec dense_optimizer;            // default: adam 0.001
  std::map<std::string, TaskConfig> tasks;  // by name; a task without an entry has the defaults
  ClusterConfig cluster;
  WireConfig wire;
  CacheConfig cache;
  CheckpointConfig checkpoint;

  RunConfig();
};

// A feature of which [feature.NAME] says nothing, and what is taken where it leaves something out.
FeatureConfig UsualFeature(const RunConfig& config);

// Reads RUN.toml; `overrides` are "a.b=value" texts (--set) applied on top, checked like the file. Errors name file, line
// and column (or the override), the nearest known key, the range expected.
Result<RunConfig> LoadRunConfig(const std::string& path, const std::vector<std::string>& overrides = {});
// The same from a text; `origin` names it in errors, `directory` is what relative paths are relative to.
Result<RunConfig> ParseRunConfig(const std::string& text, const std::string& origin,
                                 const std::string& directory,
                                 const std::vector<std::string>& overrides = {});
// A TOML text from which ParseRunConfig gives the same configuration.
std::string ToToml(const RunConfig& config);
// What is allowed but hardly meant, a line each.
std::vector<std::string> WarningsOf(const RunConfig& config);
// The table for --help-config.
std::string DescribeRunConfig();

}  // namespace cohort

#endif  // COHORT_COMMON_CONFIG_H_
