#include "common/config_option.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <type_traits>
#include <utility>

#include "common/toml_guard.h"

#include <toml++/toml.h>

namespace cohort {

std::string Number(double value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof(text), value);
  return std::string(text, end.ptr);
}
std::string Number(float value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof(text), value);
  return std::string(text, end.ptr);
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\', quoted += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04X", byte);
      quoted += escape;
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

namespace {

// As TOML writes floats: with a point or an exponent.
template <typename T>
std::string FloatText(T value) {
  std::string text = Number(value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

// `field` is a function RunConfig& -> T&.
template <typename F>
auto& FieldOf(const RunConfig& config, F field) {
  return field(const_cast<RunConfig&>(config));
}

template <typename F>
Option Whole(std::string name, std::int64_t least, std::int64_t most, std::string unit, std::string help,
             F field) {
  Option option{std::move(name), {}, std::move(unit), std::move(help), {}, {}};
  option.expected = "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  option.set = [=](const toml::node& node, RunConfig& config) {
    const auto value = node.is_integer() ? node.value<std::int64_t>() : std::nullopt;
    if (!value || *value < least || *value > most) return false;
    auto& target = field(config);
    target = static_cast<std::remove_reference_t<decltype(target)>>(*value);
    return true;
  };
  option.get = [=](const RunConfig& config) { return std::to_string(FieldOf(config, field)); };
  return option;
}

// A float or double in [least, most], or (least, most] when `open`.
template <typename F>
Option Real(std::string name, double least, double most, bool open, std::string unit, std::string help,
            F field) {
  Option option{std::move(name), {}, std::move(unit), std::move(help), {}, {}};
  option.expected = std::string("a number ") + (open ? "above " : "from ") + Number(least) +
                    (most == HUGE_VAL ? "" : (open ? " and at most " : " to ") + Number(most)) +
                    (most == HUGE_VAL && !open ? " on" : "");
  option.set = [=](const toml::node& node, RunConfig& config) {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !std::isfinite(*value) || *value < least || (open && *value == least) || *value > most)
      return false;
    auto& target = field(config);
    using T = std::remove_reference_t<decltype(target)>;
    if (std::abs(*value) > static_cast<double>(std::numeric_limits<T>::max())) return false;
    target = static_cast<T>(*value);
    return true;
  };
  option.get = [=](const RunConfig& config) { return FloatText(FieldOf(config, field)); };
  return option;
}

template <typename F>
Option Flag(std::string name, std::string help, F field) {
  Option option{std::move(name), "true or false", "", std::move(help), {}, {}};
  option.set = [=](const toml::node& node, RunConfig& config) {
    const auto value = node.is_boolean() ? node.value<bool>() : std::nullopt;
    if (!value) return false;
    field(config) = *value;
    return true;
  };
  option.get = [=](const RunConfig& config) { return FieldOf(config, field) ? "true" : "false"; };
  return option;
}

// One of several words; `read` and `write` convert between the word's index and the field.
Option Choice(std::string name, std::vector<std::string> words, std::string help,
              std::function<void(RunConfig&, std::size_t)> read,
              std::function<std::size_t(const RunConfig&)> write) {
  Option option{std::move(name), "", "", std::move(help), {}, {}};
  for (const std::string& word : words)
    option.expected += (option.expected.empty() ? "" : " | ") + Quoted(word);
  option.words = words;
  option.set = [=](const toml::node& node, RunConfig& config) {
    const auto value = node.is_string() ? node.value<std::string>() : std::nullopt;
    for (std::size_t i = 0; value && i < words.size(); ++i) {
      if (words[i] == *value) return read(config, i), true;
    }
    return false;
  };
  option.get = [=](const RunConfig& config) { return Quoted(words[write(config)]); };
  return option;
}

// Whole numbers from 1, at most `most` of them up to `largest`.
template <typename F>
Option Wholes(std::string name, std::size_t most, std::int64_t largest, std::string unit, std::string help,
              const char* example, F field) {
  Option option{std::move(name), {}, std::move(unit), std::move(help), {}, {}};
  option.expected = "a list of at most " + std::to_string(most) + " whole numbers from 1 to " +
                    std::to_string(largest) + ", for example " + example;
  option.set = [=](const toml::node& node, RunConfig& config) {
    const toml::array* array = node.as_array();
    if (array == nullptr || array->size() > most) return false;
    std::vector<std::uint32_t> numbers;
    for (const toml::node& each : *array) {
      const auto value = each.is_integer() ? each.value<std::int64_t>() : std::nullopt;
      if (!value || *value < 1 || *value > largest) return false;
      numbers.push_back(static_cast<std::uint32_t>(*value));
    }
    field(config) = std::move(numbers);
    return true;
  };
  option.get = [=](const RunConfig& config) {
    std::string text;
    for (const std::uint32_t number : FieldOf(config, field))
      text += (text.empty() ? "" : ", ") + std::to_string(number);
    return "[" + text + "]";
  };
  return option;
}

template <typename F>
Option Widths(std::string name, std::string help, F field) {
  return Wholes(std::move(name), /*most=*/16, /*largest=*/65536, "units", std::move(help), "[64, 32]", field);
}

template <typename F>
Option Names(std::string name, std::string help, const char* example, F field) {
  constexpr std::size_t kMostNames = 64;
  Option option{std::move(name), {}, "", std::move(help), {}, {}};
  option.expected =
      "a list of at most " + std::to_string(kMostNames) + " names, for example " + example;
  option.set = [=](const toml::node& node, RunConfig& config) {
    const toml::array* array = node.as_array();
    if (array == nullptr || array->size() > kMostNames) return false;
    std::vector<std::string> names;
    for (const toml::node& each : *array) {
      const auto value = each.is_string() ? each.value<std::string>() : std::nullopt;
      if (!value || value->empty() || value->find('\0') != std::string::npos) return false;
      names.push_back(*value);
    }
    field(config) = std::move(names);
    return true;
  };
  option.get = [=](const RunConfig& config) {
    std::string text;
    for (const std::string& each : FieldOf(config, field)) text += (text.empty() ? "" : ", ") + Quoted(each);
    return "[" + text + "]";
  };
  return option;
}

template <typename F>
Option Text(std::string name, std::string expected, bool required, std::string help, F field) {
  Option option{std::move(name), std::move(expected), "", std::move(help), {}, {}};
  option.required = required;
  option.set = [=](const toml::node& node, RunConfig& config) {
    const auto value = node.is_string() ? node.value<std::string>() : std::nullopt;
    if (!value || (required && value->empty()) || value->find('\0') != std::string::npos) return false;
    field(config) = *value;
    return true;
  };
  option.get = [=](const RunConfig& config) { return Quoted(FieldOf(config, field)); };
  return option;
}

#define COHORT_FIELD(path) \
  [](RunConfig & c) -> auto& { return c.path; }

constexpr OptimizerKind kOptimizers[] = {OptimizerKind::kSgd,     OptimizerKind::kMomentum,
                                         OptimizerKind::kAdagrad, OptimizerKind::kRowwiseAdagrad,
                                         OptimizerKind::kAdam,    OptimizerKind::kFtrl};

const std::vector<std::string> kSchedules = {"constant", "step", "cosine", "one_cycle"};

std::vector<std::string> OptimizerNames() {
  std::vector<std::string> names;
  for (const OptimizerKind kind : kOptimizers) names.push_back(OptimizerName(kind));
  return names;
}

template <typename F>
void AddOptimizer(const std::string& section, const std::string& what, F spec, std::vector<Option>* options) {
  const auto field = [spec](auto member) {
    return [ spec, member ](RunConfig & c) -> auto& { return spec(c).*member; };
  };
  const double inf = HUGE_VAL;
  options->push_back(Choice(
      section + ".kind", OptimizerNames(), "optimizer of " + what,
      [spec](RunConfig& c, std::size_t i) { spec(c).kind = kOptimizers[i]; },
      [spec](const RunConfig& c) { return static_cast<std::size_t>(spec(const_cast<RunConfig&>(c)).kind); }));
  options->push_back(
      Real(section + ".learning_rate", 0, inf, true, "", "step size", field(&OptimizerSpec::learning_rate)));
  options->push_back(Real(section + ".momentum", 0, 1, false, "", "momentum: decay of the velocity",
                          field(&OptimizerSpec::momentum)));
  options->push_back(Real(section + ".initial_accumulator", 0, inf, false, "",
                          "adagrad, rowwise_adagrad, ftrl: first value of the squared-gradient sum",
                          field(&OptimizerSpec::initial_accumulator)));
  options->push_back(Real(section + ".beta1", 0, 1, false, "", "adam: decay of the first moment, below 1",
                          field(&OptimizerSpec::beta1)));
  options->push_back(Real(section + ".beta2", 0, 1, false, "", "adam: decay of the second moment, below 1",
                          field(&OptimizerSpec::beta2)));
  options->push_back(Real(section + ".epsilon", 0, inf, true, "",
                          "adam, adagrad, rowwise_adagrad: keeps divisors off 0",
                          field(&OptimizerSpec::epsilon)));
  options->push_back(
      Real(section + ".ftrl_l1", 0, inf, false, "", "ftrl: L1 strength", field(&OptimizerSpec::ftrl_l1)));
  options->push_back(
      Real(section + ".ftrl_l2", 0, inf, false, "", "ftrl: L2 strength", field(&OptimizerSpec::ftrl_l2)));
  options->push_back(Real(section + ".ftrl_beta", 0, inf, false, "", "ftrl: learning-rate smoothing",
                          field(&OptimizerSpec::ftrl_beta)));
  options->push_back(Real(section + ".weight_decay", 0, 1, false, "",
                          "decoupled: an update shrinks its weights by this times the rate; not ftrl",
                          field(&OptimizerSpec::weight_decay)));
  const auto of_schedule = [spec](auto member) {
    return [ spec, member ](RunConfig & c) -> auto& { return spec(c).schedule.*member; };
  };
  options->push_back(Choice(
      section + ".schedule", kSchedules,
      "how the learning rate moves over the run (common/rate_schedule.h); not ftrl",
      [spec](RunConfig& c, std::size_t i) { spec(c).schedule.kind = static_cast<ScheduleKind>(i); },
      [spec](const RunConfig& c) {
        return static_cast<std::size_t>(spec(const_cast<RunConfig&>(c)).schedule.kind);
      }));
  options->push_back(Real(section + ".warmup", 0, 0.99, false, "of the run",
                          "share of the training's steps in which the rate rises",
                          of_schedule(&RateSchedule::warmup)));
  options->push_back(Real(section + ".final_share", 0, 1, false, "of the rate",
                          "cosine, one_cycle: at the end", of_schedule(&RateSchedule::final_share)));
  options->push_back(Real(section + ".step_every", 0.001, 1, false, "of the run",
                          "step: the rate falls this often", of_schedule(&RateSchedule::step_every)));
  options->push_back(Real(section + ".step_factor", 0, 1, true, "", "step: to so much of what it was",
                          of_schedule(&RateSchedule::step_factor)));
}

const std::vector<std::string> kModelKinds = {"single", "shared_bottom", "mmoe", "ple", "esmm", "aitm", "two_tower"};
const std::vector<std::string> kConsistencies = {"bsp", "ssp", "asp"};
const std::vector<std::string> kBalances = {"fixed", "uncertainty", "gradnorm", "pcgrad"};
const std::vector<std::string> kStoppingMetrics = {"loss", "ranking"};
const std::vector<std::string> kFloatTypes = {"float32", "bfloat16", "float16"};
const std::vector<std::string> kAdmissions = {"always", "count", "probability"};
const std::vector<std::string> kSamplings = {"uniform", "frequency"};
const std::vector<std::string> kTowerLosses = {"logistic", "softmax"};
const std::vector<std::string> kSequenceEncoders = {"mean", "sum", "attention", "gru", "convolution"};
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
  o.push_back(Whole("model.embedding_dim", 1, 1024, "floats", "width of an embedding row",
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
            "[\"click\", \"buy\"]",
            COHORT_FIELD(model.chain)));
  o.push_back(Real("model.calibration", 0, HUGE_VAL, false, "",
                   "aitm: weight of the penalty when a step looks likelier than the one before it",
                   COHORT_FIELD(model.calibration)));
  o.push_back(Whole("model.expert_levels", 1, 8, "", "ple: levels of experts and gates",
                    COHORT_FIELD(model.expert_levels)));
  o.push_back(Flag("model.soft_bins",
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
  o.push_back(Whole("train.slices", 1, 64, "",
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
                    "admit = \"count\": of the counters, over all servers",
                    COHORT_FIELD(embedding.policy.sketch_bytes)));
  o.push_back(Whole("embedding.evict_idle_clocks", 0, std::int64_t{1} << 40, "clocks",
                    "rows not updated for so long are evicted, within a quarter more; 0: never",
                    COHORT_FIELD(embedding.policy.evict_idle_clocks)));
  o.push_back(
      Whole("embedding.max_bytes", 0, kMaxInt, "bytes",
            "of all rows on all servers; beyond it the least frequently used are evicted; 0: no limit",
            COHORT_FIELD(embedding.policy.max_bytes)));
  o.push_back(Text("embedding.log", "a path", false,
                   "lists rows refused and evicted, in PATH.<shard>; not given: no list",
                   COHORT_FIELD(embedding.log)));

  o.push_back(
      Text("tier.path", "a path", false,
           "a folder on each server's local disk for rows that do not fit into memory; not given: none",
           COHORT_FIELD(tier.path)));
  o.push_back(Whole("tier.max_bytes", 4096, kMaxInt, "bytes", "of embedding rows in the memory of a server",
                    COHORT_FIELD(tier.max_bytes)));
  o.push_back(Whole("tier.max_disk_bytes", 0, kMaxInt, "bytes",
                    "of a server's rows on disk, in pieces of 1 MiB for each shard; beyond it rows stay in "
                    "memory, as when the "
                    "disk is full; 0: what the disk holds",
                    COHORT_FIELD(tier.max_disk_bytes)));

  AddOptimizer("optimizer.embedding", "the embeddings", COHORT_FIELD(embedding_optimizer), &o);
  AddOptimizer("optimizer.dense", "the dense weights", COHORT_FIELD(dense_optimizer), &o);

  o.push_back(Whole("checkpoint.every_steps", 0, kMaxInt, "clocks",
                    "between two checkpoints, from which a run goes on after a death or with --resume; 0: none",
                    COHORT_FIELD(checkpoint.every_steps)));
  o.push_back(Whole("checkpoint.keep", 1, 1000, "", "checkpoints kept, the newest ones", COHORT_FIELD(checkpoint.keep)));
  o.push_back(Real("checkpoint.core_share", 0.01, 1, false, "cores",
                   "that a shard spends on writing a checkpoint while it serves; 1: as fast as it can",
                   COHORT_FIELD(checkpoint.core_share)));

  o.push_back(Whole("cluster.servers", 1, kMaxShards, "processes", "server processes",
                    COHORT_FIELD(cluster.servers)));
  o.push_back(Whole("cluster.shards_per_server", 1, kMaxShards, "threads",
                    "shards, a thread each, of a server", COHORT_FIELD(cluster.shards_per_server)));
  o.push_back(
      Whole("cluster.workers", 1, 1024, "processes", "worker processes", COHORT_FIELD(cluster.workers)));
  o.push_back(Whole("cluster.replicas", 0, 0, "",
                    "copies of each row beside the first; more than 0 is not there yet",
                    COHORT_FIELD(cluster.replicas)));
  o.push_back(Whole("cluster.recoveries", 0, 1000000, "",
                    "dead processes that are made up for, by a replacement or from a checkpoint, before the run is given up",
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
  o.push_back(Whole("cluster.slow_worker", -1, 1023, "",
                    "an experiment's handicap: this worker is slowed; -1: none",
                    COHORT_FIELD(cluster.slow_worker)));
  o.push_back(Real("cluster.slow_factor", 1, 1000, false, "", "times the slow worker takes for its computing",
                   COHORT_FIELD(cluster.slow_factor)));

  const auto value_type = [&o](const char* name, const char* help, auto field) {
    o.push_back(Choice(
        name, kFloatTypes, help,
        [field](RunConfig& c, std::size_t i) { field(c) = static_cast<FloatType>(i); },
        [field](const RunConfig& c) { return static_cast<std::size_t>(FieldOf(c, field)); }));
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
                    "ssp, asp: embedding rows that a worker keeps to serve later pulls; 0: none",
                    COHORT_FIELD(cache.rows)));
  o.push_back(Whole("cache.max_age", 1, 1000000, "clocks",
                    "asp: for how many of its own clocks a kept row may serve; in ssp train.staleness says",
                    COHORT_FIELD(cache.max_age)));
  return o;
}

// The options of a [task.NAME] table, by their last word.
std::vector<Option> TaskOptions(const std::string& task) {
  const auto field = [task](auto member) {
    return [ task, member ](RunConfig & c) -> auto& { return c.tasks[task].*member; };
  };
  const std::string section = "task." + task;
  std::vector<Option> o;
  o.push_back(Real(section + ".weight", 0, HUGE_VAL, false, "", "of the task's loss in the objective",
                   field(&TaskConfig::weight)));
  o.push_back(Real(section + ".l2", 0, HUGE_VAL, false, "", "lambda of the task's own weights",
                   field(&TaskConfig::l2)));
  o.push_back(
      Flag(section + ".enabled", "false leaves the task out of the model", field(&TaskConfig::enabled)));
  o.push_back(Choice(
      section + ".loss", {"default", "huber", "focal"},
      "huber: regression; focal: binary, multiclass; default: squared error, cross-entropy, likelihood",
      [task](RunConfig& c, std::size_t i) { c.tasks[task].loss = static_cast<TaskLoss>(i); },
      [task](const RunConfig& c) { return static_cast<std::size_t>(c.tasks.at(task).loss); }));
  o.push_back(Real(section + ".delta", 0, HUGE_VAL, true, "deviations of the label",
                   "huber: the loss is linear beyond it", field(&TaskConfig::delta)));
  o.push_back(Real(section + ".gamma", 0, 10, false, "",
                   "focal: how much less a row counts that is predicted well", field(&TaskConfig::gamma)));
  o.push_back(Real(section + ".alpha", 0.001, 0.999, false, "",
                   "focal, binary: weight of label 1; label 0 has 1 - alpha", field(&TaskConfig::alpha)));
  o.push_back(Real(section + ".label_smoothing", 0, 0.9, false, "of the label",
                   "binary, multiclass: share spread evenly over the classes; not with focal",
                   field(&TaskConfig::label_smoothing)));
  return o;
}

// The options of a [sequence.NAME] table, by their last word.
std::vector<Option> SequenceOptions(const std::string& feature) {
  const auto field = [feature](auto member) {
    return [ feature, member ](RunConfig & c) -> auto& { return c.model.sequences[feature].*member; };
  };
  const std::string section = "sequence." + feature;
  const auto encoder = field(&SequenceConfig::encoder);
  std::vector<Option> o;
  o.push_back(Choice(
      section + ".encoder", kSequenceEncoders, "how the steps of the sequence become one input",
      [encoder](RunConfig& c, std::size_t i) { encoder(c) = static_cast<SequenceEncoderKind>(i); },
      [encoder](const RunConfig& c) { return static_cast<std::size_t>(FieldOf(c, encoder)); }));
  o.push_back(Text(section + ".target", "the name of a categorical feature", false,
                   "attention: the feature that each step is compared with", field(&SequenceConfig::target)));
  o.push_back(Whole(section + ".width", 1, 4096, "units",
                    "attention: of the hidden layer; gru: of the state; convolution: channels",
                    field(&SequenceConfig::width)));
  o.push_back(
      Whole(section + ".kernel", 1, 64, "steps", "convolution: of a window", field(&SequenceConfig::kernel)));
  return o;
}

}  // namespace

const std::vector<Option>& Options() {
  static const std::vector<Option> options = BuildOptions();
  return options;
}

bool IsNamed(const std::string& section) { return section == "task" || section == "sequence"; }
std::vector<Option> NamedOptions(const std::string& section, const std::string& name) {
  return section == "task" ? TaskOptions(name) : SequenceOptions(name);
}

}  // namespace cohort
