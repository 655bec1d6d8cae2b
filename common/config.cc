#include "common/config.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <set>
#include <sstream>
#include <type_traits>

#include "common/nearest.h"

// toml++ reports errors as values.
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace cohort {
namespace {

constexpr std::uintmax_t kMaxFileBytes = 512u << 10;

// ---------------------------------------------------------------- values

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
// As TOML writes floats: with a point or an exponent.
template <typename T>
std::string FloatText(T value) {
  std::string text = Number(value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
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

// A value as an error shows it: "\"three\" (a string)".
std::string Show(const toml::node& node) {
  std::ostringstream text;
  if (node.is_table()) return "a table";
  if (node.is_array()) {
    text << *node.as_array();
    return text.str() + " (an array)";
  }
  node.visit([&](const auto& value) {
    if constexpr (toml::is_value<decltype(value)>) text << value;
  });
  if (node.is_string()) return text.str() + " (a string)";
  if (node.is_integer()) return text.str();
  if (node.is_floating_point()) return text.str();
  return text.str();
}

// ---------------------------------------------------------------- the table of options

// One option: how it is called, described, read and written.
struct Option {
  std::string name;      // "train.batch_size"
  std::string expected;  // "a whole number from 1 to 1048576"
  std::string unit;
  std::string help;
  // False: the value is not what is expected.
  std::function<bool(const toml::node&, RunConfig&)> set;
  std::function<std::string(const RunConfig&)> get;  // as TOML
  bool required = false;
};

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
Option Names(std::string name, std::string help, F field) {
  constexpr std::size_t kMostNames = 64;
  Option option{std::move(name), {}, "", std::move(help), {}, {}};
  option.expected =
      "a list of at most " + std::to_string(kMostNames) + " names, for example [\"click\", \"buy\"]";
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

const std::vector<std::string> kModelKinds = {"single", "shared_bottom", "mmoe", "ple", "esmm", "aitm"};
const std::vector<std::string> kConsistencies = {"bsp", "ssp", "asp"};
const std::vector<std::string> kBalances = {"fixed", "uncertainty", "gradnorm", "pcgrad"};
const std::vector<std::string> kStoppingMetrics = {"loss", "ranking"};
const std::vector<std::string> kFloatTypes = {"float32", "bfloat16", "float16"};
const std::vector<std::string> kAdmissions = {"always", "count", "probability"};
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
            COHORT_FIELD(model.chain)));
  o.push_back(Real("model.calibration", 0, HUGE_VAL, false, "",
                   "aitm: weight of the penalty when a step looks likelier than the one before it",
                   COHORT_FIELD(model.calibration)));
  o.push_back(Whole("model.expert_levels", 1, 8, "", "ple: levels of experts and gates",
                    COHORT_FIELD(model.expert_levels)));
  o.push_back(Flag("model.linear", "adds a linear term of the inputs to every raw output", COHORT_FIELD(model.linear)));
  o.push_back(Real("model.dropout", 0, 0.95, false, "", "share of the outputs of hidden layers dropped in training",
                   COHORT_FIELD(model.dropout)));
  o.push_back(Real("model.embedding_dropout", 0, 0.95, false, "", "share of the embeddings' values dropped in training",
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
  o.push_back(Whole("autoencoder.bottleneck", 1, 4096, "units", "width of the bottleneck, which tasks read too",
                    COHORT_FIELD(model.autoencoder.bottleneck)));
  o.push_back(Whole("autoencoder.buckets", 2, 65536, "", "hash buckets that stand for the ids of a bag",
                    COHORT_FIELD(model.autoencoder.buckets)));

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
      "loss: by task weight, logloss, or 1 - r2 for numbers; ranking: auc, or spearman",
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

  o.push_back(Whole("cluster.servers", 1, kMaxShards, "processes", "server processes",
                    COHORT_FIELD(cluster.servers)));
  o.push_back(Whole("cluster.shards_per_server", 1, kMaxShards, "threads",
                    "shards, a thread each, of a server", COHORT_FIELD(cluster.shards_per_server)));
  o.push_back(
      Whole("cluster.workers", 1, 1024, "processes", "worker processes", COHORT_FIELD(cluster.workers)));
  o.push_back(Whole("cluster.replicas", 0, 0, "",
                    "copies of each row beside the first; more than 0 is not there yet",
                    COHORT_FIELD(cluster.replicas)));
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

const std::vector<Option>& Options() {
  static const std::vector<Option> options = BuildOptions();
  return options;
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
  o.push_back(Whole(section + ".kernel", 1, 64, "steps", "convolution: of a window",
                    field(&SequenceConfig::kernel)));
  return o;
}

// Sections of tables that carry names of the data: [task.NAME], [sequence.NAME].
bool IsNamed(const std::string& section) { return section == "task" || section == "sequence"; }
std::vector<Option> NamedOptions(const std::string& section, const std::string& name) {
  return section == "task" ? TaskOptions(name) : SequenceOptions(name);
}

// Words of the design that this version does not do yet: they deserve a better answer than "unknown".
std::string NotYet(const std::string& key, const toml::node& node) {
  if (key == "cluster.replicas" && node.value_or(std::int64_t{0}) > 0) {
    return "is not there yet: rows have one copy, so it must be 0";
  }
  return "";
}

// ---------------------------------------------------------------- reading

// Applies a TOML tree to a configuration. `place` names a node's position: "run.toml:3:5".
class Reader {
 public:
  using Place = std::function<std::string(const toml::source_region&)>;
  Reader(RunConfig* config, Place place) : config_(config), place_(std::move(place)) {}

  Status Read(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const std::string word(key.str());
      const std::string name = prefix.empty() ? word : prefix + "." + word;
      const bool named = IsNamed(prefix);
      if (node.is_table() && (IsSection(name) || named)) {
        const Status status =
            named ? ReadNamed(*node.as_table(), prefix, word) : Read(*node.as_table(), name);
        if (!status.ok()) return status;
        continue;
      }
      if (IsSection(name) || named) {
        return Problem(node.source(),
                       name + " is " + Show(node) + "; expected a table, for example [" + name + "]");
      }
      const Option* option = Find(Options(), name);
      if (option == nullptr) return Unknown(key, name, Options());
      const Status status = Set(*option, node);
      if (!status.ok()) return status;
    }
    return {};
  }

 private:
  static bool IsSection(const std::string& name) {
    static const std::set<std::string> sections = {
        "model",           "train", "evaluation", "embedding", "tier", "optimizer", "optimizer.embedding",
        "optimizer.dense", "task",  "sequence",   "autoencoder", "cluster", "wire", "cache"};
    return sections.contains(name);
  }
  static const Option* Find(const std::vector<Option>& options, const std::string& name) {
    for (const Option& option : options) {
      if (option.name == name) return &option;
    }
    return nullptr;
  }
  Status Problem(const toml::source_region& where, const std::string& text) const {
    return {ErrorCode::kInvalidInput, place_(where) + ": " + text};
  }

  Status ReadNamed(const toml::table& table, const std::string& section, const std::string& word) {
    section == "task" ? void(config_->tasks[word]) : void(config_->model.sequences[word]);
    const std::vector<Option> options = NamedOptions(section, word);
    for (const auto& [key, node] : table) {
      const std::string name = section + "." + word + "." + std::string(key.str());
      const Option* option = Find(options, name);
      const Status status = option == nullptr ? Unknown(key, name, options) : Set(*option, node);
      if (!status.ok()) return status;
    }
    return {};
  }

  Status Set(const Option& option, const toml::node& node) {
    if (option.set(node, *config_)) return {};
    const std::string not_yet = NotYet(option.name, node);
    if (!not_yet.empty()) return Problem(node.source(), option.name + " = " + Show(node) + " " + not_yet);
    return Problem(node.source(), option.name + " is " + Show(node) + "; expected " + option.expected);
  }

  Status Unknown(const toml::key& key, const std::string& name, const std::vector<Option>& options) const {
    if (name == "checkpoint" || name.starts_with("checkpoint.")) {
      return Problem(
          key.source(),
          "[checkpoint] is not there yet: the model is written at the end of the run; leave it out");
    }
    std::vector<std::string> names;
    for (const Option& option : options) names.push_back(option.name);
    for (const char* section :
         {"model", "train", "evaluation", "embedding", "tier", "optimizer", "optimizer.embedding",
          "optimizer.dense", "sequence", "autoencoder", "task", "cluster", "wire", "cache"}) {
      names.push_back(section);
    }
    std::string nearest = NearestOf(name, names);
    if (nearest.empty()) {
      // The right word in the wrong section.
      const std::string word = name.substr(name.rfind('.') + 1);
      for (const Option& option : options) {
        const std::string last = option.name.substr(option.name.rfind('.') + 1);
        if (nearest.empty() && NearestOf(word, {last}) == last) nearest = option.name;
      }
    }
    return Problem(key.source(), "unknown key " + name +
                                     (nearest.empty() ? "; `cohort train --help-config` lists all"
                                                      : "; did you mean " + nearest + "?"));
  }

  RunConfig* const config_;
  const Place place_;
};

// Options that name files: relative to the file that names them.
constexpr std::string& (*kPaths[])(RunConfig&) = {
    [](RunConfig& c) -> std::string& { return c.data; },
    [](RunConfig& c) -> std::string& { return c.embedding.log; },
    [](RunConfig& c) -> std::string& { return c.tier.path; },
};

std::string FirstLine(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

Status ApplyOverride(const std::string& text, RunConfig* config) {
  const std::string origin = "--set " + text;
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return {ErrorCode::kInvalidInput, origin + ": expected section.key=value, for example train.epochs=3"};
  }
  const auto trimmed = [](std::string part) {
    part.erase(0, part.find_first_not_of(" \t"));
    part.erase(part.find_last_not_of(" \t") + 1);
    return part;
  };
  const std::string key = trimmed(text.substr(0, equals)), value = trimmed(text.substr(equals + 1));
  if (value.find('\n') != std::string::npos)
    return {ErrorCode::kInvalidInput, origin + ": the value has a line break"};
  // A word without quotes is a string: --set train.consistency=asp.
  toml::parse_result parsed = toml::parse(key + " = " + value);
  if (!parsed) parsed = toml::parse(key + " = " + Quoted(value));
  if (!parsed) {
    return {ErrorCode::kInvalidInput, origin + ": " + FirstLine(parsed.error().description()) +
                                          "; expected section.key=value, for example train.epochs=3"};
  }
  const RunConfig before = *config;
  Reader reader(config, [&](const toml::source_region&) { return origin; });
  COHORT_RETURN_IF_ERROR(reader.Read(parsed.table(), ""));
  // A path on the command line is relative to where the command runs.
  for (const auto path : kPaths) {
    std::string& text_of = path(*config);
    if (text_of != path(const_cast<RunConfig&>(before)) && !text_of.empty())
      text_of = std::filesystem::absolute(text_of).lexically_normal().string();
  }
  return {};
}

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
  for (const auto* optimizer : {&c.embedding_optimizer, &c.dense_optimizer}) {
    const std::string section = optimizer == &c.dense_optimizer ? "optimizer.dense" : "optimizer.embedding";
    const RateSchedule& schedule = optimizer->schedule;
    if (optimizer->kind == OptimizerKind::kFtrl &&
        (optimizer->weight_decay > 0 || schedule.kind != ScheduleKind::kConstant || schedule.warmup > 0)) {
      return bad(
          section +
          ".kind is \"ftrl\", which computes its weights anew from all gradients at one rate; it takes "
          "no weight_decay, schedule or warmup (ftrl_l2 shrinks its weights)");
    }
    if (optimizer->kind == OptimizerKind::kFtrl && optimizer->l2 > 0) {
      return bad("embedding.l2 is " + Number(optimizer->l2) + ", but " + section +
                 ".kind is \"ftrl\", which has an l2 of its own; use " + section + ".ftrl_l2");
    }
    if (optimizer->kind == OptimizerKind::kAdam && (optimizer->beta1 >= 1 || optimizer->beta2 >= 1)) {
      return bad(section + ": beta1 and beta2 must be below 1");
    }
  }
  if (const RowPolicySpec& policy = c.embedding.policy; policy.max_bytes != 0) {
    TableSpec table;
    table.dim = c.model.embedding_dim;
    table.optimizer = c.embedding_optimizer;
    table.dtype = c.embedding.dtype;
    const std::uint64_t least = kSlotCount * BytesPerRow(table);
    if (policy.max_bytes < least) {
      return bad("embedding.max_bytes is " + std::to_string(policy.max_bytes) + "; expected at least " +
                 std::to_string(least) + ": a row of " + std::to_string(BytesPerRow(table)) +
                 " bytes in each of the " + std::to_string(kSlotCount) + " slots, or 0 for no limit");
    }
  }
  if (std::uint64_t{c.cluster.servers} * c.cluster.shards_per_server > kMaxShards) {
    return bad("cluster.servers x cluster.shards_per_server is " +
               std::to_string(std::uint64_t{c.cluster.servers} * c.cluster.shards_per_server) + "; at most " +
               std::to_string(kMaxShards) + " shards are possible");
  }
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

}  // namespace

RunConfig::RunConfig() {
  embedding_optimizer.kind = OptimizerKind::kAdagrad;
  embedding_optimizer.learning_rate = 0.05f;
  dense_optimizer.kind = OptimizerKind::kAdam;
  dense_optimizer.learning_rate = 0.001f;
}

Result<RunConfig> ParseRunConfig(const std::string& text, const std::string& origin,
                                 const std::string& directory, const std::vector<std::string>& overrides) {
  const toml::parse_result parsed = toml::parse(text, origin);
  if (!parsed) {
    const toml::source_position where = parsed.error().source().begin;
    return InvalidInput(origin + ":" + std::to_string(where.line) + ":" + std::to_string(where.column) +
                        ": " + FirstLine(parsed.error().description()));
  }
  RunConfig config;
  Reader reader(&config, [&](const toml::source_region& region) {
    const toml::source_position where = region.begin;
    return origin + ":" + std::to_string(where.line) + ":" + std::to_string(where.column);
  });
  COHORT_RETURN_IF_ERROR(reader.Read(parsed.table(), ""));
  for (const auto path : kPaths) {
    std::string& relative = path(config);
    if (relative.empty()) continue;
    relative =
        std::filesystem::absolute(std::filesystem::path(directory) / relative).lexically_normal().string();
  }
  for (const std::string& each : overrides) COHORT_RETURN_IF_ERROR(ApplyOverride(each, &config));
  const Status status = CheckTogether(config);
  if (!status.ok()) return tl::unexpected(status.Within(origin));
  return config;
}

Result<RunConfig> LoadRunConfig(const std::string& path, const std::vector<std::string>& overrides) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (error || !std::filesystem::exists(status)) {
    return InvalidInput(path + ": no such file; expected a run file (see `cohort train --help`)");
  }
  if (!std::filesystem::is_regular_file(status))
    return InvalidInput(path + ": not a file; expected a run file");
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (!error && size > kMaxFileBytes) {
    return InvalidInput(path + ": " + std::to_string(size) + " bytes; a run file has at most " +
                        std::to_string(kMaxFileBytes));
  }
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return InvalidInput(path + ": cannot be read: " + std::strerror(errno));
  return ParseRunConfig(text.str(), path, std::filesystem::path(path).parent_path().string(), overrides);
}

std::string ToToml(const RunConfig& config) {
  std::string text, section;
  const auto write = [&](const Option& option) {
    const std::size_t dot = option.name.rfind('.');
    const std::string own = dot == std::string::npos ? "" : option.name.substr(0, dot);
    if (own != section) text += "\n[" + own + "]\n";
    section = own;
    text += option.name.substr(dot == std::string::npos ? 0 : dot + 1) + " = " + option.get(config) + "\n";
  };
  for (const Option& option : Options()) write(option);
  const auto write_named = [&](const std::string& named, const std::string& name) {
    text += "\n[" + named + "." + Quoted(name) + "]\n";
    for (const Option& option : NamedOptions(named, name)) {
      text += option.name.substr(option.name.rfind('.') + 1) + " = " + option.get(config) + "\n";
    }
  };
  for (const auto& [feature, unused] : config.model.sequences) write_named("sequence", feature);
  for (const auto& [task, unused] : config.tasks) write_named("task", task);
  return text;
}

std::string DescribeRunConfig() {
  RunConfig defaults;
  defaults.tasks["NAME"];
  defaults.model.sequences["NAME"];
  std::vector<Option> options = Options();
  for (const char* named : {"sequence", "task"}) {
    for (Option& option : NamedOptions(named, "NAME")) options.push_back(std::move(option));
  }
  std::string text = "Options of a run file (RUN.toml). `--set section.key=value` overrides one.\n";
  std::string section = "-";
  for (const Option& option : options) {
    const std::size_t dot = option.name.rfind('.');
    const std::string own = dot == std::string::npos ? "" : option.name.substr(0, dot);
    if (own != section) text += own.empty() ? "\n" : "\n[" + own + "]\n";
    section = own;
    std::string left = option.name.substr(dot == std::string::npos ? 0 : dot + 1);
    const std::string value = option.get(defaults);
    left +=
        option.required ? "   (required)" : " = " + value + (option.unit.empty() ? "" : " " + option.unit);
    left.resize(std::max<std::size_t>(left.size(), 34), ' ');
    text += left + "  " + option.help + "; " + option.expected + "\n";
  }
  return text;
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
  const bool by_count = policy.admit == Admission::kCount;
  const char* const count = "embedding.admit = \"count\"";
  idle("embedding.admit_count", policy.admit_count != usual.admit_count, by_count, count);
  idle("embedding.sketch_bytes", policy.sketch_bytes != usual.sketch_bytes, by_count, count);
  idle("embedding.admit_probability", policy.admit_probability != usual.admit_probability,
       policy.admit == Admission::kProbability, "embedding.admit = \"probability\"");
  for (const auto* optimizer : {&config.embedding_optimizer, &config.dense_optimizer}) {
    const std::string section =
        optimizer == &config.dense_optimizer ? "optimizer.dense" : "optimizer.embedding";
    const RateSchedule &schedule = optimizer->schedule, plain;
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
