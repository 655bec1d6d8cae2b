#include "common/config.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>
#include <sstream>
#include <utility>

#include "common/atomic_file.h"
#include "common/config_option.h"
#include "common/input_file_kind.h"
#include "common/nearest.h"
#include "common/toml_guard.h"

#include <toml++/toml.h>

namespace cohort {
namespace {

constexpr std::size_t kMaxFileBytes = 512u << 10;
constexpr const char* kSections[] = {
    "model", "autoencoder", "two_tower",           "sequence",        "feature",
    "train", "task",        "evaluation",          "checkpoint",      "embedding",
    "tier",  "optimizer",   "optimizer.embedding", "optimizer.dense", "cluster",
    "wire",  "cache"};

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

// ---------------------------------------------------------------- reading

// What [feature.NAME] leaves out is taken from other sections, wherever they stand and whatever overrides say: it is read
// after everything else.
enum class Pass : std::uint8_t { kMain = 0, kFeatures };

// Applies a TOML tree to a configuration. `place` names a node's position: "run.toml:3:5".
class Reader {
 public:
  using Place = std::function<std::string(const toml::source_region&)>;
  Reader(RunConfig* config, Pass pass, Place place)
      : config_(config), pass_(pass), place_(std::move(place)) {}

  Status Read(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const std::string word(key.str());
      if (prefix.empty() && (word == "feature") != (pass_ == Pass::kFeatures)) continue;
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
    return std::find(std::begin(kSections), std::end(kSections), name) != std::end(kSections);
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
    AddNamed(section, word, config_);
    return ReadOptions(table, section + "." + word, NamedOptions(section, word));
  }

  Status ReadOptions(const toml::table& table, const std::string& prefix,
                     const std::vector<Option>& options) {
    for (const auto& [key, node] : table) {
      const std::string name = prefix + "." + std::string(key.str());
      const bool section = std::any_of(options.begin(), options.end(), [&](const Option& option) {
        return option.name.starts_with(name + ".");
      });
      if (section && !node.is_table())
        return Problem(node.source(),
                       name + " is " + Show(node) + "; expected a table, for example [" + name + "]");
      if (section) {
        COHORT_RETURN_IF_ERROR(ReadOptions(*node.as_table(), name, options));
        continue;
      }
      const Option* option = Find(options, name);
      const Status status = option == nullptr ? Unknown(key, name, options) : Set(*option, node);
      if (!status.ok()) return status;
    }
    return {};
  }

  Status Set(const Option& option, const toml::node& node) {
    if (option.set(node, *config_)) return {};
    return Problem(node.source(), option.name + " is " + Show(node) + "; expected " + option.expected +
                                      DidYouMean(node.value_or(std::string()), option.words));
  }

  Status Unknown(const toml::key& key, const std::string& name, const std::vector<Option>& options) const {
    std::vector<std::string> names;
    for (const Option& option : options) names.push_back(option.name);
    names.insert(names.end(), std::begin(kSections), std::end(kSections));
    std::string nearest = NearestOf(name, names);
    if (nearest.empty()) {
      // The right word in the wrong section.
      const std::string word = name.substr(name.rfind('.') + 1);
      for (const Option& option : options) {
        const std::string last = option.name.substr(option.name.rfind('.') + 1);
        if (nearest.empty() && NearestOf(word, {last}) == last) nearest = option.name;
      }
    }
    if (const std::string other = OtherKindOfFile(name, InputFileKind::kRun); !other.empty())
      return Problem(key.source(), "unknown key " + name + other);
    return Problem(key.source(), "unknown key " + name +
                                     (nearest.empty() ? "; `cohort train --help-config` lists all"
                                                      : "; did you mean " + nearest + "?"));
  }

  RunConfig* const config_;
  const Pass pass_;
  const Place place_;
};

// Options that name files: relative to the file that names them.
constexpr std::string& (*kPaths[])(RunConfig&) = {
    [](RunConfig& c) -> std::string& { return c.data; },
    [](RunConfig& c) -> std::string& { return c.embedding.log; },
    [](RunConfig& c) -> std::string& { return c.tier.path; },
};

Result<toml::parse_result> Parse(const std::string& text, const std::string& origin) {
  return ParseGuarded(text, origin,
                      [](std::string_view toml, const std::string& name) { return toml::parse(toml, name); });
}

std::string FirstLine(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

Status ApplyOverride(const std::string& text, Pass pass, RunConfig* config) {
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
  Result<toml::parse_result> parsed = Parse(key + " = " + value, origin);
  if (!parsed || !*parsed) parsed = Parse(key + " = " + Quoted(value), origin);
  if (!parsed) return parsed.error();
  if (!*parsed) {
    return {ErrorCode::kInvalidInput, origin + ": " + FirstLine(parsed->error().description()) +
                                          "; expected section.key=value, for example train.epochs=3"};
  }
  const RunConfig before = *config;
  Reader reader(config, pass, [&](const toml::source_region&) { return origin; });
  COHORT_RETURN_IF_ERROR(reader.Read(parsed->table(), ""));
  // A path on the command line is relative to where the command runs.
  for (const auto path : kPaths) {
    std::string& text_of = path(*config);
    if (text_of != path(const_cast<RunConfig&>(before)) && !text_of.empty())
      text_of = std::filesystem::absolute(text_of).lexically_normal().string();
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

FeatureConfig UsualFeature(const RunConfig& config) {
  return {config.model.embedding_dim, config.embedding_optimizer};
}

Result<RunConfig> ParseRunConfig(const std::string& text, const std::string& origin,
                                 const std::string& directory, const std::vector<std::string>& overrides) {
  COHORT_ASSIGN_OR_RETURN(const toml::parse_result parsed, Parse(text, origin));
  if (!parsed) {
    const toml::source_position where = parsed.error().source().begin;
    return InvalidInput(origin + ":" + std::to_string(where.line) + ":" + std::to_string(where.column) +
                        ": " + FirstLine(parsed.error().description()));
  }
  RunConfig config;
  const auto place = [&](const toml::source_region& region) {
    const toml::source_position where = region.begin;
    return origin + ":" + std::to_string(where.line) + ":" + std::to_string(where.column);
  };
  COHORT_RETURN_IF_ERROR(Reader(&config, Pass::kMain, place).Read(parsed.table(), ""));
  for (const auto path : kPaths) {
    std::string& relative = path(config);
    if (relative.empty()) continue;
    relative =
        std::filesystem::absolute(std::filesystem::path(directory) / relative).lexically_normal().string();
  }
  for (const std::string& each : overrides) COHORT_RETURN_IF_ERROR(ApplyOverride(each, Pass::kMain, &config));
  COHORT_RETURN_IF_ERROR(Reader(&config, Pass::kFeatures, place).Read(parsed.table(), ""));
  for (const std::string& each : overrides)
    COHORT_RETURN_IF_ERROR(ApplyOverride(each, Pass::kFeatures, &config));
  const Status status = CheckTogether(config);
  if (!status.ok()) return tl::unexpected(status.Within(origin));
  return config;
}

Result<RunConfig> LoadRunConfig(const std::string& path, const std::vector<std::string>& overrides) {
  const auto text = ReadFile(path, kMaxFileBytes);
  if (!text)
    return Error(text.error().code(),
                 text.error().text() + "; the run file is meant (see `cohort train --help`)");
  return ParseRunConfig(*text, path, std::filesystem::path(path).parent_path().string(), overrides);
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
      text += option.name.substr(named.size() + name.size() + 2) + " = " + option.get(config) + "\n";
    }
  };
  for (const auto& [feature, unused] : config.model.features) write_named("feature", feature);
  for (const auto& [feature, unused] : config.model.sequences) write_named("sequence", feature);
  for (const auto& [task, unused] : config.tasks) write_named("task", task);
  return text;
}

std::string DescribeRunConfig() {
  RunConfig defaults;
  std::vector<Option> options = Options();
  for (const char* named : {"feature", "sequence", "task"}) {
    AddNamed(named, "NAME", &defaults);
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

}  // namespace cohort
