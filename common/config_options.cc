#include <cmath>
#include <cstdint>
#include <limits>

#include "common/option_builders.h"

namespace cohort {
namespace {

const std::vector<std::string> kModelKinds = {"single", "shared_bottom", "mmoe",     "ple",
                                              "esmm",   "aitm",          "two_tower"};
const std::vector<std::string> kConsistencies = {"bsp", "ssp", "asp"};
const std::vector<std::string> kBalances = {"fixed", "uncertainty", "gradnorm", "pcgrad"};
const std::vector<std::string> kStoppingMetrics = {"loss", "ranking"};
const std::vector<std::string> kFloatTypes = {"float32", "bfloat16", "float16"};
const std::vector<std::string> kAdmissions = {"always", "count", "probability"};
const std::vector<std::string> kSamplings = {"uniform", "frequency"};
const std::vector<std::string> kTowerLosses = {"logistic", "softmax"};
constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();

std::vector<Option> BuildOptions() {
  std::vector<Option> o;
  o.push_back(Text("data", "the path of a dataset written by `cohort prepare`", true,
                   "the dataset, relative to this file", COHORT_FIELD(data)));
  o.push_back(Whole("seed", 0, kMaxInt, "", "of initial values and shuffles", COHORT_FIELD(seed)));
  o.push_back(
      Flag("strict", "any dropped, defaulted, clipped or NaN value is an error", COHORT_FIELD(strict)));

  o.push_back(Choice(
      "model.kind", kModelKinds, "what the tasks share",
      [](RunConfig& c, std::size_t i) { c.model.kind = kModelKinds[i]; },
      [](const RunConfig& c) {
        for (std::size_t i = 0; i < kModelKinds.size(); ++i) {
          if (kModelKinds[i] == c.model.kind) return i;
        }
        return kModelKinds.size() - 1;
      }));
  o.push_back(Whole("model.embedding_dim", 1, 1024, "floats",
                    "width of an embedding row; of a feature's own: [feature.NAME]",
                    COHORT_FIELD(model.embedding_dim)));
  o.push_back(Real("model.embedding_init", 0, 1000, false, "", "rows start uniform in [-x, x)",
                   COHORT_FIELD(model.embedding_init)));
  o.push_back(Whole("model.experts", 1, 64, "", "mmoe, ple: experts shared by the tasks",
                    COHORT_FIELD(model.experts)));
  o.push_back(Whole("model.task_experts", 1, 64, "", "ple: experts of each task's own",
                    COHORT_FIELD(model.task_experts)));
  o.push_back(
      Names("model.chain",
            "esmm, aitm: tasks in the order of a user's steps; none: all of them (esmm: all binary ones)",
            "[\"click\", \"buy\"]", COHORT_FIELD(model.chain)));
  o.push_back(Real("model.calibration", 0, HUGE_VAL, false, "",
                   "aitm: weight of the penalty when a step looks likelier than the one before it",
                   COHORT_FIELD(model.calibration)));
  o.push_back(Whole("model.expert_levels", 1, 8, "", "ple: levels of experts and gates",
                    COHORT_FIELD(model.expert_levels)));
  o.push_back(
      Flag("model.soft_bins",
           "mixes the embeddings of the two bins that a number lies between, instead of taking its bin's",
           COHORT_FIELD(model.soft_bins)));
  o.push_back(Flag("model.linear", "adds a linear term of the inputs to every raw output",
                   COHORT_FIELD(model.linear)));
  o.push_back(Real("model.dropout", 0, 0.95, false, "",
                   "share of the outputs of hidden layers dropped in training", COHORT_FIELD(model.dropout)));
  o.push_back(Real("model.embedding_dropout", 0, 0.95, false, "",
                   "share of the embeddings' values dropped in training",
                   COHORT_FIELD(model.embedding_dropout)));
  o.push_back(Choice(
      "model.compute", {"float32", "bfloat16"},
      "of the matrix products of hidden layers; bfloat16 where all processors have AVX512-BF16, else float32",
      [](RunConfig& c, std::size_t i) { c.model.compute = static_cast<FloatType>(i); },
      [](const RunConfig& c) { return static_cast<std::size_t>(c.model.compute); }));
  o.push_back(Widths("model.expert_layers",
                     "of an expert, the shared bottom, or each single network's bottom",
                     COHORT_FIELD(model.expert_layers)));
  o.push_back(Widths("model.tower_layers", "of a task's tower", COHORT_FIELD(model.tower_layers)));

  o.push_back(Real("autoencoder.weight", 0, HUGE_VAL, false, "",
                   "of the loss of reconstructing numbers and bags; 0: no autoencoder",
                   COHORT_FIELD(model.autoencoder.weight)));
  o.push_back(Whole("autoencoder.bottleneck", 1, 4096, "units",
                    "width of the bottleneck, which tasks read too",
                    COHORT_FIELD(model.autoencoder.bottleneck)));
  o.push_back(Whole("autoencoder.buckets", 2, 65536, "", "hash buckets that stand for the ids of a bag",
                    COHORT_FIELD(model.autoencoder.buckets)));

  o.push_back(Names("two_tower.item",
                    "features of the item's side, the item's id first; the others are the user's side",
                    "[\"item\", \"genres\"]", COHORT_FIELD(model.two_tower.item)));
  o.push_back(Whole("two_tower.negatives", 1, 1024, "items", "drawn for each row of label 1 in training",
                    COHORT_FIELD(model.two_tower.negatives)));
  o.push_back(Choice(
      "two_tower.sampling", kSamplings, "how items are drawn; frequency: by their rows in the train split",
      [](RunConfig& c, std::size_t i) { c.model.two_tower.sampling = static_cast<NegativeSampling>(i); },
      [](const RunConfig& c) { return static_cast<std::size_t>(c.model.two_tower.sampling); }));
  o.push_back(Real("two_tower.frequency_power", 0, 2, false, "",
                   "frequency: an item's share is its number of rows to this power",
                   COHORT_FIELD(model.two_tower.frequency_power)));
  o.push_back(Flag("two_tower.log_q", "frequency: corrects the scores in the loss for how items are drawn",
                   COHORT_FIELD(model.two_tower.log_q)));
  o.push_back(Flag("two_tower.skip_own_item", "an item drawn that is the row's own is drawn again",
                   COHORT_FIELD(model.two_tower.skip_own_item)));
  o.push_back(Choice(
      "two_tower.loss", kTowerLosses, "of a row: its item against the items drawn, one by one or all at once",
      [](RunConfig& c, std::size_t i) { c.model.two_tower.loss = static_cast<TowerLoss>(i); },
      [](const RunConfig& c) { return static_cast<std::size_t>(c.model.two_tower.loss); }));
  o.push_back(Widths("two_tower.user_layers", "of the user's tower; none: its embeddings are summed",
                     COHORT_FIELD(model.two_tower.user_layers)));
  o.push_back(Widths("two_tower.item_layers", "of the item's tower; none: its embeddings are summed",
                     COHORT_FIELD(model.two_tower.item_layers)));

  o.push_back(
      Whole("train.epochs", 0, 1000000, "", "passes over the train split", COHORT_FIELD(train.epochs)));
  o.push_back(Whole("train.batch_size", 1, 1 << 20, "rows", "global, divided among the workers",
                    COHORT_FIELD(train.batch_size)));
  o.push_back(Whole("train.slices", 1, kMaxWorkers, "",
                    "pieces a batch is summed in: a power of two, at most batch_size",
                    COHORT_FIELD(train.slices)));
  o.push_back(Choice(
      "train.consistency", kConsistencies, "how far workers may run apart",
      [](RunConfig& c, std::size_t i) { c.train.consistency = static_cast<Consistency>(i); },
      [](const RunConfig& c) { return static_cast<std::size_t>(c.train.consistency); }));
  o.push_back(Whole("train.staleness", 0, 1000000, "clocks", "ssp: how many clocks the fastest may be ahead",
                    COHORT_FIELD(train.staleness)));
  o.push_back(Whole("train.shuffle_rows", 1024, 1 << 28, "rows",
                    "shuffled together; bounds a worker's memory", COHORT_FIELD(train.shuffle_rows)));
  o.push_back(Choice(
      "train.balance", kBalances,
      "how tasks share the weights (docs/models.md); gradnorm, pcgrad: a backward "
      "pass for each task",
      [](RunConfig& c, std::size_t i) { c.train.balance = static_cast<Balance>(i); },
      [](const RunConfig& c) { return static_cast<std::size_t>(c.train.balance); }));
  o.push_back(Real("train.gradnorm_alpha", 0, 10, false, "",
                   "gradnorm: how strongly tasks that train slowly are favoured",
                   COHORT_FIELD(train.gradnorm_alpha)));
  o.push_back(Real("train.clip_norm", 0, HUGE_VAL, false, "",
                   "largest norm of a batch's gradient; a longer one is scaled down; 0: no limit",
                   COHORT_FIELD(train.clip_norm)));
  o.push_back(
      Whole("train.early_stopping", 0, 1000000, "epochs",
            "without improvement on the valid split until training ends and the best epoch's model is "
            "kept; 0: all epochs, the last one's model",
            COHORT_FIELD(train.early_stopping)));
  o.push_back(Choice(
      "train.early_stopping_metric", kStoppingMetrics,
      "loss: by task weight, logloss, or 1 - r2 for numbers; ranking: gauc with groups, auc, or spearman",
      [](RunConfig& c, std::size_t i) { c.train.early_stopping_metric = static_cast<StoppingMetric>(i); },
      [](const RunConfig& c) { return static_cast<std::size_t>(c.train.early_stopping_metric); }));
  o.push_back(Flag("train.evaluate_train", "metrics of the train split at the end",
                   COHORT_FIELD(train.evaluate_train)));
  o.push_back(Flag("train.evaluate_each_epoch", "metrics of the valid split after every epoch",
                   COHORT_FIELD(train.evaluate_each_epoch)));

  o.push_back(Wholes("evaluation.top", 16, 1000000, "rows",
                     "k of hr@k, ndcg@k and recall@k, where the dataset has groups", "[5, 10]",
                     COHORT_FIELD(evaluation.top)));

  o.push_back(Choice(
      "embedding.dtype", kFloatTypes, "of the weights in the servers' memory; optimizer state is float32",
      [](RunConfig& c, std::size_t i) { c.embedding.dtype = static_cast<FloatType>(i); },
      [](const RunConfig& c) { return static_cast<std::size_t>(c.embedding.dtype); }));
  o.push_back(Real("embedding.l2", 0, HUGE_VAL, false, "",
                   "lambda: the objective has 1/2 lambda |w|^2 for each row that a batch touches; not ftrl",
                   COHORT_FIELD(embedding_optimizer.l2)));
  o.push_back(Choice(
      "embedding.admit", kAdmissions, "which keys get a row with their first gradient",
      [](RunConfig& c, std::size_t i) { c.embedding.policy.admit = static_cast<Admission>(i); },
      [](const RunConfig& c) { return static_cast<std::size_t>(c.embedding.policy.admit); }));
  o.push_back(Whole("embedding.admit_count", 1, 255, "sightings",
                    "admit = \"count\": the sighting at which a key gets its row",
                    COHORT_FIELD(embedding.policy.admit_count)));
  o.push_back(Real("embedding.admit_probability", 0, 1, true, "",
                   "admit = \"probability\": of getting a row at each sighting",
                   COHORT_FIELD(embedding.policy.admit_probability)));
  o.push_back(Whole("embedding.sketch_bytes", kSlotCount * 64, std::int64_t{1} << 40, "bytes",
                    "admit = \"count\": of a table's counters, over all servers",
                    COHORT_FIELD(embedding.policy.sketch_bytes)));
  o.push_back(Whole("embedding.evict_idle_clocks", 0, std::int64_t{1} << 40, "clocks",
                    "rows not updated for so long are evicted, within a quarter more; 0: never",
                    COHORT_FIELD(embedding.policy.evict_idle_clocks)));
  o.push_back(Whole(
      "embedding.max_bytes", 0, kMaxInt, "bytes",
      "of the rows of a table on all servers; beyond it the least frequently used are evicted; 0: no limit",
      COHORT_FIELD(embedding.policy.max_bytes)));
  o.push_back(Text("embedding.log", "a path", false,
                   "lists rows refused and evicted, in PATH.<shard>, and by backups in "
                   "PATH.<shard>.backup-N; not given: no list",
                   COHORT_FIELD(embedding.log)));

  o.push_back(
      Text("tier.path", "a path", false,
           "a folder on each server's local disk for rows that do not fit into memory; not given: none",
           COHORT_FIELD(tier.path)));
  o.push_back(Whole("tier.max_bytes", 4096, kMaxInt, "bytes",
                    "of embedding rows in the memory of a server, of all tables",
                    COHORT_FIELD(tier.max_bytes)));
  o.push_back(Whole("tier.max_disk_bytes", 0, kMaxInt, "bytes",
                    "of a server's rows on disk, in pieces of 1 MiB for each shard; beyond it rows stay in "
                    "memory, as when the "
                    "disk is full; 0: what the disk holds",
                    COHORT_FIELD(tier.max_disk_bytes)));

  AddOptimizer("optimizer.embedding", "the embeddings", COHORT_FIELD(embedding_optimizer), &o);
  AddOptimizer("optimizer.dense", "the dense weights", COHORT_FIELD(dense_optimizer), &o);

  o.push_back(
      Whole("checkpoint.every_steps", 0, kMaxInt, "clocks",
            "between two checkpoints, from which a run goes on after a death or with --resume; 0: none",
            COHORT_FIELD(checkpoint.every_steps)));
  o.push_back(Whole("checkpoint.keep", 1, 1000, "", "checkpoints kept, the newest ones",
                    COHORT_FIELD(checkpoint.keep)));
  o.push_back(
      Whole("checkpoint.full_every", 1, 32, "checkpoints",
            "of which one has all rows, and the others those that have changed since the one before; 1: "
            "all rows, always",
            COHORT_FIELD(checkpoint.full_every)));
  o.push_back(Real("checkpoint.core_share", 0.01, 1, false, "cores",
                   "that a shard spends on writing a checkpoint while it serves; 1: as fast as it can",
                   COHORT_FIELD(checkpoint.core_share)));

  o.push_back(Whole("cluster.servers", 1, kMaxShards, "processes", "server processes",
                    COHORT_FIELD(cluster.servers)));
  o.push_back(Whole("cluster.shards_per_server", 1, kMaxShards, "threads",
                    "shards, a thread each, of a server", COHORT_FIELD(cluster.shards_per_server)));
  o.push_back(
      Whole("cluster.workers", 1, 1024, "processes", "worker processes", COHORT_FIELD(cluster.workers)));
  o.push_back(Whole(
      "cluster.replicas", 0, 1, "",
      "copies of each row beside the first, in another server process: with 1, the death of a server costs "
      "no steps; twice the memory, and twice the servers' work",
      COHORT_FIELD(cluster.replicas)));
  o.push_back(Whole("cluster.recoveries", 0, 1000000, "",
                    "dead processes that are made up for, by a replacement or from a checkpoint, before the "
                    "run is given up",
                    COHORT_FIELD(cluster.recoveries)));
  const auto seconds = [&o](const char* name, double least, double most, const char* help, auto field) {
    o.push_back(Real(name, least, most, false, "s", help, field));
  };
  seconds("cluster.startup_seconds", 1, 86400, "until every process has registered",
          COHORT_FIELD(cluster.startup_seconds));
  seconds("cluster.heartbeat_seconds", 0.01, 3600, "between two heartbeats",
          COHORT_FIELD(cluster.heartbeat_seconds));
  seconds("cluster.dead_after_seconds", 0.1, 86400, "without a heartbeat until a process counts as dead",
          COHORT_FIELD(cluster.dead_after_seconds));
  seconds("cluster.retry_seconds", 0.01, 3600, "until a request without reply is sent again",
          COHORT_FIELD(cluster.retry_seconds));
  seconds("cluster.request_seconds", 1, 86400,
          "until a request without any sign of life from its receiver fails the run",
          COHORT_FIELD(cluster.request_seconds));
  seconds("cluster.wait_seconds", 1, 864000, "until a pull that waits for another worker fails the run",
          COHORT_FIELD(cluster.wait_seconds));
  o.push_back(Whole("cluster.credit_bytes", 1 << 16, std::int64_t{1} << 36, "bytes",
                    "outstanding per worker and shard; pulls and pushes have one each",
                    COHORT_FIELD(cluster.credit_bytes)));
  o.push_back(Whole("cluster.request_rows", 1, 1 << 20, "rows",
                    "of a pull or push message, about; of rows wider than 16 as many bytes",
                    COHORT_FIELD(cluster.request_rows)));
  o.push_back(Choice(
      "cluster.encryption", {"auto", "on", "off"},
      "of all connections, by the run's key; auto: of runs that span hosts, on: always, off: never",
      [](RunConfig& c, std::size_t i) { c.cluster.encryption = static_cast<Encryption>(i); },
      [](const RunConfig& c) { return static_cast<std::size_t>(c.cluster.encryption); }));
  o.push_back(Text("cluster.interface", "the name of a network interface, or an IPv4 address", false,
                   "what processes of a run that spans hosts listen on; not given: the first that is up",
                   COHORT_FIELD(cluster.interface)));
  o.push_back(Whole("cluster.slow_worker", -1, 1023, "",
                    "an experiment's handicap: this worker is slowed; -1: none",
                    COHORT_FIELD(cluster.slow_worker)));
  o.push_back(Real("cluster.slow_factor", 1, 1000, false, "", "times the slow worker takes for its computing",
                   COHORT_FIELD(cluster.slow_factor)));

  const auto value_type = [&o](const char* name, const char* help, auto field) {
    o.push_back(Choice(
        name, kFloatTypes, help,
        [field](RunConfig& c, std::size_t i) { field(c) = static_cast<FloatType>(i); },
        [field](const RunConfig& c) { return static_cast<std::size_t>(field(const_cast<RunConfig&>(c))); }));
  };
  value_type("wire.pull_values", "embedding rows on their way to workers in training; scoring is float32",
             COHORT_FIELD(wire.pull_values));
  value_type("wire.push_values", "gradients of embedding rows on their way to servers",
             COHORT_FIELD(wire.push_values));
  o.push_back(Choice(
      "wire.push_rows", {"keys", "positions"},
      "how a push names its rows: by keys, or by their positions in its own pull",
      [](RunConfig& c, std::size_t i) { c.wire.push_rows = static_cast<PushRowNames>(i); },
      [](const RunConfig& c) { return static_cast<std::size_t>(c.wire.push_rows); }));
  o.push_back(
      Whole("wire.kept_pull_bytes", 1 << 16, std::int64_t{1} << 40, "bytes",
            "positions: of a shard, for the row lists of pulls; beyond it the oldest pushes go by keys",
            COHORT_FIELD(wire.kept_pull_bytes)));

  o.push_back(Whole("cache.rows", 0, std::int64_t{1} << 32, "rows",
                    "ssp, asp: embedding rows of a table that a worker keeps to serve later pulls; 0: none",
                    COHORT_FIELD(cache.rows)));
  o.push_back(Whole("cache.max_age", 1, 1000000, "clocks",
                    "asp: for how many of its own clocks a kept row may serve; in ssp train.staleness says",
                    COHORT_FIELD(cache.max_age)));
  return o;
}

}  // namespace

const std::vector<Option>& Options() {
  static const std::vector<Option> options = BuildOptions();
  return options;
}

}  // namespace cohort
