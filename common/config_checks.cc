// What the options of a run file must be, and should be, together.
#include <algorithm>
#include <bit>
#include <string>
#include <utility>
#include <vector>

#include "common/config_option.h"

namespace cohort {
namespace {

// Of kind = "two_tower": what would contradict it. What the data must have, BuildModelSpec says.
Status CheckTwoTower(const RunConfig& config) {
  const ModelConfig& model = config.model;
  const TwoTowerConfig& towers = model.two_tower;
  const auto bad = [](const std::string& option, const std::string& text) {
    return Status(ErrorCode::kInvalidInput, option + ", but model.kind is \"two_tower\", which " + text);
  };
  if (towers.item.empty())
    return bad("two_tower.item is empty",
               "needs the features of the item's side, its id first: item = [\"item\"]");
  for (const auto& [name, feature] : model.features) {
    if (feature.embedding_dim == model.embedding_dim) continue;
    return bad("feature." + name + ".embedding_dim is " + std::to_string(feature.embedding_dim) +
                   " and model.embedding_dim " + std::to_string(model.embedding_dim),
               "adds and multiplies embeddings, so that all must be as wide; leave it out there (an optimizer of its "
               "own a feature may have)");
  }
  const std::uint32_t user = towers.user_layers.empty() ? model.embedding_dim : towers.user_layers.back();
  const std::uint32_t item = towers.item_layers.empty() ? model.embedding_dim : towers.item_layers.back();
  if (user != item)
    return bad(
        "the user's vector has " + std::to_string(user) + " values, the item's " + std::to_string(item),
        "multiplies them: end two_tower.user_layers and two_tower.item_layers with the same width "
        "(without layers it is model.embedding_dim)");
  if (user < 2)
    return bad(
        "vectors have 1 value",
        "takes the last one as the item's bias: use model.embedding_dim (or last layers) of 2 or more");
  if (model.soft_bins) return bad("model.soft_bins is true", "takes a number's bin as an id; leave it out");
  if (model.linear) return bad("model.linear is true", "has an item's bias instead; leave it out");
  if (model.autoencoder.weight > 0) return bad("autoencoder.weight is above 0", "has none; leave it out");
  if (config.train.balance != Balance::kFixed)
    return bad("train.balance weighs tasks", "has one task; leave it out");
  return {};
}

// An optimizer, and the section that it stands in.
struct Placed {
  std::string section;
  const OptimizerSpec* optimizer;
  std::string feature;  // whose own it is, or empty
  std::string l2;       // where its l2 stands

  bool embeds() const { return section != "optimizer.dense"; }
  // What must be said where values may come from elsewhere.
  std::string Inherited() const {
    return feature.empty() ? "" : "; what [" + section + "] leaves out is that of [optimizer.embedding]";
  }
};
// Those of the embeddings and of the dense weights, and of features that have another than the embeddings'.
std::vector<Placed> OptimizersOf(const RunConfig& config) {
  std::vector<Placed> all = {{"optimizer.embedding", &config.embedding_optimizer, "", "embedding.l2"},
                             {"optimizer.dense", &config.dense_optimizer, "", ""}};
  for (const auto& [name, feature] : config.model.features) {
    if (feature.optimizer != config.embedding_optimizer)
      all.push_back({"feature." + name + ".optimizer", &feature.optimizer, name, "feature." + name + ".l2"});
  }
  return all;
}

// The kinds of embedding rows that a run may have: the usual one, and those of features.
std::vector<std::pair<std::string, FeatureConfig>> KindsOfRows(const RunConfig& config) {
  std::vector<std::pair<std::string, FeatureConfig>> kinds = {{"", UsualFeature(config)}};
  for (const auto& entry : config.model.features) {
    if (std::none_of(kinds.begin(), kinds.end(), [&](const auto& kind) { return kind.second == entry.second; }))
      kinds.push_back(entry);
  }
  return kinds;
}

}  // namespace

Status CheckTogether(const RunConfig& c) {
  const auto bad = [](std::string text) { return Status(ErrorCode::kInvalidInput, std::move(text)); };
  if (c.data.empty())
    return bad("data is missing: expected data = \"DATASET.h5\", a file written by `cohort prepare`");
  if (!std::has_single_bit(c.train.slices)) {
    return bad("train.slices is " + std::to_string(c.train.slices) +
               "; expected a power of two from 1 to 64");
  }
  if (c.train.slices > c.train.batch_size) {
    return bad("train.slices is " + std::to_string(c.train.slices) + ", more than train.batch_size = " +
               std::to_string(c.train.batch_size) + "; a slice needs at least one row");
  }
  if (c.train.consistency != Consistency::kBsp && c.train.batch_size < c.cluster.workers) {
    return bad("train.batch_size is " + std::to_string(c.train.batch_size) +
               ", less than cluster.workers = " + std::to_string(c.cluster.workers) +
               "; each worker needs at least one row of it");
  }
  if (c.cache.rows > 0 && c.train.consistency == Consistency::kBsp) {
    return bad("cache.rows is " + std::to_string(c.cache.rows) +
               ", but train.consistency is \"bsp\", where no row may serve two clocks; use 0, or \"ssp\" or "
               "\"asp\"");
  }
  if (c.cache.rows > 0 && c.train.consistency == Consistency::kSsp && c.train.staleness == 0) {
    return bad("cache.rows is " + std::to_string(c.cache.rows) +
               ", but with train.staleness = 0 no row may serve two clocks; use 0, or a greater staleness");
  }
  if (c.model.kind == "two_tower") COHORT_RETURN_IF_ERROR(CheckTwoTower(c));
  if (c.train.early_stopping > 0 && !c.train.evaluate_each_epoch) {
    return bad(
        "train.early_stopping is " + std::to_string(c.train.early_stopping) +
        ", but train.evaluate_each_epoch is false: it judges each epoch by the valid split; set it to true, "
        "or early_stopping to 0");
  }
  if (c.dense_optimizer.kind == OptimizerKind::kRowwiseAdagrad) {
    return bad(
        "optimizer.dense.kind is \"rowwise_adagrad\", which is for embeddings: rows of the dense weights are "
        "cut "
        "without regard to layers; use \"adagrad\" or \"adam\"");
  }
  for (const Placed& placed : OptimizersOf(c)) {
    const OptimizerSpec* const optimizer = placed.optimizer;
    const std::string& section = placed.section;
    const RateSchedule& schedule = optimizer->schedule;
    if (optimizer->kind == OptimizerKind::kFtrl &&
        (optimizer->weight_decay > 0 || schedule.kind != ScheduleKind::kConstant || schedule.warmup > 0)) {
      return bad(
          section +
          ".kind is \"ftrl\", which computes its weights anew from all gradients at one rate; it takes "
          "no weight_decay, schedule or warmup (ftrl_l2 shrinks its weights)" + placed.Inherited());
    }
    if (optimizer->kind == OptimizerKind::kFtrl && optimizer->l2 > 0) {
      return bad(placed.l2 + " is " + Number(optimizer->l2) + ", but " + section +
                 ".kind is \"ftrl\", which has an l2 of its own; use " + section + ".ftrl_l2" +
                 (placed.feature.empty() ? "" : ", and 0 here (not given, it is embedding.l2)"));
    }
    if (optimizer->kind == OptimizerKind::kAdam && (optimizer->beta1 >= 1 || optimizer->beta2 >= 1)) {
      return bad(section + ": beta1 and beta2 must be below 1");
    }
  }
  const std::uint64_t max_bytes = c.embedding.policy.max_bytes;
  for (const auto& [feature, kind] : KindsOfRows(c)) {
    if (max_bytes == 0) break;
    TableSpec table;
    table.dim = kind.embedding_dim;
    table.optimizer = kind.optimizer;
    table.dtype = c.embedding.dtype;
    const std::uint64_t least = kSlotCount * BytesPerRow(table);
    if (max_bytes < least) {
      return bad("embedding.max_bytes is " + std::to_string(max_bytes) + "; expected at least " +
                 std::to_string(least) + ": a row of " + std::to_string(BytesPerRow(table)) + " bytes" +
                 (feature.empty() ? "" : " (of feature " + feature + ")") +
                 " in each of the " + std::to_string(kSlotCount) + " slots, or 0 for no limit");
    }
  }
  if (std::uint64_t{c.cluster.servers} * c.cluster.shards_per_server > kMaxShards) {
    return bad("cluster.servers x cluster.shards_per_server is " +
               std::to_string(std::uint64_t{c.cluster.servers} * c.cluster.shards_per_server) + "; at most " +
               std::to_string(kMaxShards) + " shards are possible");
  }
  if (c.cluster.replicas > 0 && c.cluster.servers < 2) {
    return bad("cluster.replicas is " + std::to_string(c.cluster.replicas) +
               ", but there is one server: the second copy of a row lies in another server process; set "
               "cluster.servers to 2 or more");
  }
  if (c.cluster.replicas > 0 && !c.tier.path.empty())
    return bad("cluster.replicas is " + std::to_string(c.cluster.replicas) +
               ", and tier.path is set: rows on disk have one copy only; leave one of them out");
  if (c.cluster.dead_after_seconds < 3 * c.cluster.heartbeat_seconds) {
    return bad("cluster.dead_after_seconds is " + Number(c.cluster.dead_after_seconds) +
               "; expected at least 3 x cluster.heartbeat_seconds = " +
               Number(3 * c.cluster.heartbeat_seconds) + ", so that a late heartbeat is not a death");
  }
  if (c.cluster.request_seconds < 2 * c.cluster.retry_seconds) {
    return bad("cluster.request_seconds is " + Number(c.cluster.request_seconds) +
               "; expected at least 2 x cluster.retry_seconds = " + Number(2 * c.cluster.retry_seconds));
  }
  if (c.cluster.slow_worker >= static_cast<std::int64_t>(c.cluster.workers)) {
    return bad("cluster.slow_worker is " + std::to_string(c.cluster.slow_worker) +
               ", but workers are numbered 0 to " + std::to_string(c.cluster.workers - 1));
  }
  return {};
}

std::vector<std::string> WarningsOf(const RunConfig& config) {
  std::vector<std::string> warnings;
  if (config.train.consistency == Consistency::kBsp && config.cluster.workers > config.train.slices) {
    warnings.push_back(
        "cluster.workers is " + std::to_string(config.cluster.workers) + ", but a batch has only " +
        std::to_string(config.train.slices) + " slices (train.slices): " +
        std::to_string(config.cluster.workers - config.train.slices) + " workers will have nothing to do");
  }
  if (config.strict && config.embedding.policy.Any()) {
    warnings.push_back(
        "strict = true makes the first row that [embedding] does not admit, or evicts, fail the run");
  }
  const auto idle = [&](const std::string& option, bool changed, bool used, const char* needs) {
    if (changed && !used) warnings.push_back(option + " changes nothing: it needs " + needs);
  };
  const RowPolicySpec &policy = config.embedding.policy, usual;
  if (const std::size_t tables = KindsOfRows(config).size(); tables > 1 && policy.max_bytes != 0) {
    warnings.push_back("embedding.max_bytes = " + std::to_string(policy.max_bytes) +
                       " is the limit of each table of embeddings; with [feature.NAME] there may be " +
                       std::to_string(tables));
  }
  const bool by_count = policy.admit == Admission::kCount;
  const char* const count = "embedding.admit = \"count\"";
  idle("embedding.admit_count", policy.admit_count != usual.admit_count, by_count, count);
  idle("embedding.sketch_bytes", policy.sketch_bytes != usual.sketch_bytes, by_count, count);
  idle("embedding.admit_probability", policy.admit_probability != usual.admit_probability,
       policy.admit == Admission::kProbability, "embedding.admit = \"probability\"");
  for (const auto& [section, optimizer, feature, l2] : OptimizersOf(config)) {
    const RateSchedule& schedule = optimizer->schedule;
    // A feature is warned of what it does not share with all.
    const RateSchedule plain = feature.empty() ? RateSchedule() : config.embedding_optimizer.schedule;
    if (schedule == plain) continue;
    const bool steps = schedule.kind == ScheduleKind::kStep;
    const bool falls = schedule.kind == ScheduleKind::kCosine || schedule.kind == ScheduleKind::kOneCycle;
    idle(section + ".step_every", schedule.step_every != plain.step_every, steps, "schedule = \"step\"");
    idle(section + ".step_factor", schedule.step_factor != plain.step_factor, steps, "schedule = \"step\"");
    idle(section + ".final_share", schedule.final_share != plain.final_share, falls,
         "schedule = \"cosine\" or \"one_cycle\"");
    if (schedule.kind == ScheduleKind::kOneCycle && schedule.warmup == 0.0f)
      warnings.push_back(section +
                         ".schedule = \"one_cycle\" without warmup is \"cosine\"; usual is warmup = 0.3");
  }
  idle("train.gradnorm_alpha", config.train.gradnorm_alpha != TrainConfig().gradnorm_alpha,
       config.train.balance == Balance::kGradNorm, "train.balance = \"gradnorm\"");
  idle("train.early_stopping_metric", config.train.early_stopping_metric != StoppingMetric::kLoss,
       config.train.early_stopping > 0, "train.early_stopping");
  const std::string& kind = config.model.kind;
  const ModelConfig usual_model;
  const bool progressive = kind == "ple";
  idle("model.experts", config.model.experts != usual_model.experts, progressive || kind == "mmoe",
       "model.kind = \"mmoe\" or \"ple\"");
  idle("model.task_experts", config.model.task_experts != usual_model.task_experts, progressive,
       "model.kind = \"ple\"");
  idle("model.expert_levels", config.model.expert_levels != usual_model.expert_levels, progressive,
       "model.kind = \"ple\"");
  idle("model.calibration", config.model.calibration != usual_model.calibration, kind == "aitm",
       "model.kind = \"aitm\"");
  idle("model.chain", !config.model.chain.empty(), kind == "esmm" || kind == "aitm",
       "model.kind = \"esmm\" or \"aitm\"");
  const TwoTowerConfig &towers = config.model.two_tower, usual_towers;
  const bool two_tower = kind == "two_tower";
  const char* const other_kind = "a kind other than \"two_tower\" (which has [two_tower])";
  idle("model.expert_layers", config.model.expert_layers != usual_model.expert_layers, !two_tower,
       other_kind);
  idle("model.tower_layers", config.model.tower_layers != usual_model.tower_layers, !two_tower, other_kind);
  const bool layers = !two_tower || towers.user_layers.size() > 1 || towers.item_layers.size() > 1;
  const char* const some_layers = "two_tower.user_layers or two_tower.item_layers of two layers or more";
  idle("model.dropout", config.model.dropout != usual_model.dropout, layers, some_layers);
  idle("model.compute", config.model.compute != usual_model.compute, layers, some_layers);
  for (const Placed& placed : OptimizersOf(config)) {
    const OptimizerSpec& rows = *placed.optimizer;
    if (!two_tower || !placed.embeds() || rows.initial_accumulator == 0 ||
        (rows.kind != OptimizerKind::kAdagrad && rows.kind != OptimizerKind::kRowwiseAdagrad))
      continue;
    warnings.push_back(
        placed.section + ".initial_accumulator = " + std::to_string(rows.initial_accumulator) +
        " outweighs the small gradients of a two_tower model's rows for long, so that it learns next to "
        "nothing; use 0");
  }
  if (two_tower && config.train.early_stopping > 0 &&
      config.train.early_stopping_metric == StoppingMetric::kLoss) {
    warnings.push_back(
        "train.early_stopping_metric = \"loss\" judges a two_tower model by how near its scores are to "
        "probabilities, not "
        "by its lists; \"ranking\" takes gauc, with [group] in the schema");
  }
  if (!two_tower && towers != usual_towers)
    warnings.push_back("[two_tower] changes nothing: it needs model.kind = \"two_tower\"");
  const bool by_frequency = !two_tower || towers.sampling == NegativeSampling::kFrequency;
  const char* const frequency = "two_tower.sampling = \"frequency\"";
  idle("two_tower.frequency_power", towers.frequency_power != usual_towers.frequency_power, by_frequency,
       frequency);
  idle("two_tower.log_q", towers.log_q != usual_towers.log_q, by_frequency, frequency);
  const bool encoded = config.model.autoencoder.weight > 0;
  idle("autoencoder.bottleneck", config.model.autoencoder.bottleneck != usual_model.autoencoder.bottleneck,
       encoded, "autoencoder.weight above 0");
  idle("autoencoder.buckets", config.model.autoencoder.buckets != usual_model.autoencoder.buckets, encoded,
       "autoencoder.weight above 0");
  for (const auto& [name, sequence] : config.model.sequences) {
    const SequenceConfig usual_sequence;
    const SequenceEncoderKind encoder = sequence.encoder;
    const std::string section = "sequence." + name;
    idle(section + ".target", !sequence.target.empty(), encoder == SequenceEncoderKind::kAttention,
         "encoder = \"attention\"");
    idle(section + ".width", sequence.width != usual_sequence.width, !IsPooling(encoder),
         "encoder = \"attention\", \"gru\" or \"convolution\"");
    idle(section + ".kernel", sequence.kernel != usual_sequence.kernel,
         encoder == SequenceEncoderKind::kConvolution, "encoder = \"convolution\"");
  }
  const TierConfig no_tier;
  const bool tiered = !config.tier.path.empty();
  idle("tier.max_bytes", config.tier.max_bytes != no_tier.max_bytes, tiered, "tier.path");
  idle("tier.max_disk_bytes", config.tier.max_disk_bytes != no_tier.max_disk_bytes, tiered, "tier.path");
  const bool cached = config.cache.rows > 0 && config.train.consistency == Consistency::kAsp;
  idle("cache.max_age", config.cache.max_age != CacheConfig().max_age, cached,
       "cache.rows and train.consistency = \"asp\" (in ssp, train.staleness is the bound)");
  if (!config.embedding.log.empty() && !config.embedding.policy.Any())
    warnings.push_back("embedding.log stays empty: no option of [embedding] refuses or evicts rows");
  if (config.train.epochs == 0) warnings.push_back("train.epochs is 0: the model keeps its initial values");
  return warnings;
}

}  // namespace cohort
