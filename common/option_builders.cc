#include "common/option_builders.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
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

template <typename T>
std::string WithPoint(T value) {
  std::string text = Number(value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

template <typename T>
const T& FieldOf(const RunConfig& config, const FieldOfConfig<T>& field) {
  return field(const_cast<RunConfig&>(config));
}

}  // namespace

std::string FloatText(double value) { return WithPoint(value); }
std::string FloatText(float value) { return WithPoint(value); }

Option WholeOption(std::string name, std::int64_t least, std::int64_t most, std::string unit,
                   std::string help, std::function<void(RunConfig&, std::int64_t)> write,
                   std::function<std::string(const RunConfig&)> get) {
  Option option{std::move(name), {}, std::move(unit), std::move(help), {}, {}};
  option.expected = "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  option.set = [=](const toml::node& node, RunConfig& config) {
    const auto value = node.is_integer() ? node.value<std::int64_t>() : std::nullopt;
    if (!value || *value < least || *value > most) return false;
    write(config, *value);
    return true;
  };
  option.get = std::move(get);
  return option;
}

Option RealOption(std::string name, double least, double most, bool open, double largest, std::string unit,
                  std::string help, std::function<void(RunConfig&, double)> write,
                  std::function<std::string(const RunConfig&)> get) {
  Option option{std::move(name), {}, std::move(unit), std::move(help), {}, {}};
  option.expected = std::string("a number ") + (open ? "above " : "from ") + Number(least) +
                    (most == HUGE_VAL ? "" : (open ? " and at most " : " to ") + Number(most)) +
                    (most == HUGE_VAL && !open ? " on" : "");
  option.set = [=](const toml::node& node, RunConfig& config) {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !std::isfinite(*value) || *value < least || (open && *value == least) || *value > most)
      return false;
    if (std::abs(*value) > largest) return false;
    write(config, *value);
    return true;
  };
  option.get = std::move(get);
  return option;
}

Option Flag(std::string name, std::string help, FieldOfConfig<bool> field) {
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

Option Wholes(std::string name, std::size_t most, std::int64_t largest, std::string unit, std::string help,
              const char* example, FieldOfConfig<std::vector<std::uint32_t>> field) {
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

Option Widths(std::string name, std::string help, FieldOfConfig<std::vector<std::uint32_t>> field) {
  return Wholes(std::move(name), /*most=*/16, /*largest=*/65536, "units", std::move(help), "[64, 32]",
                std::move(field));
}

Option Names(std::string name, std::string help, const char* example,
             FieldOfConfig<std::vector<std::string>> field) {
  constexpr std::size_t kMostNames = 64;
  Option option{std::move(name), {}, "", std::move(help), {}, {}};
  option.expected = "a list of at most " + std::to_string(kMostNames) + " names, for example " + example;
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

Option Text(std::string name, std::string expected, bool required, std::string help,
            FieldOfConfig<std::string> field) {
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

namespace {

constexpr OptimizerKind kOptimizers[] = {OptimizerKind::kSgd,     OptimizerKind::kMomentum,
                                         OptimizerKind::kAdagrad, OptimizerKind::kRowwiseAdagrad,
                                         OptimizerKind::kAdam,    OptimizerKind::kFtrl};

const std::vector<std::string> kSchedules = {"constant", "step", "cosine", "one_cycle"};

std::vector<std::string> OptimizerNames() {
  std::vector<std::string> names;
  for (const OptimizerKind kind : kOptimizers) names.push_back(OptimizerName(kind));
  return names;
}

}  // namespace

void AddOptimizer(const std::string& section, const std::string& what,
                  const FieldOfConfig<OptimizerSpec>& spec, std::vector<Option>* options) {
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

}  // namespace cohort
