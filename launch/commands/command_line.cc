#include "launch/commands/command_line.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/atomic_file.h"
#include "common/input_file.h"
#include "common/model_files.h"
#include "common/nearest.h"
#include "launch/commands/commands.h"
#include "launch/run_folder.h"
#include "prepare/toml_table.h"

namespace cohort {
namespace {

constexpr std::size_t kMostDescriptionBytes = std::size_t{1} << 20;

bool IsOutput(const CLI::Option& option) { return option.get_type_name() == kOutputType; }

// Every text in a TOML file; of another file none.
std::vector<std::string> TextsOf(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return {};
  const auto text = ReadFile(path, kMostDescriptionBytes);
  if (!text) return {};
  const auto document = TomlDocument::Parse(*text, path);
  return document ? (*document)->Texts() : std::vector<std::string>();
}

// What a command reads: what its options name, what the TOML files among that name, and of a run's folder the run and its model. Texts that
// name no file do no harm.
std::vector<std::string> InputsOf(const CLI::App& command) {
  const CLI::Option* data_directory = command.get_option_no_throw("--data-dir");
  std::vector<std::string> inputs;
  for (const CLI::Option* option : command.get_options({})) {
    if (IsOutput(*option)) continue;
    for (const std::string& value : option->results()) {
      inputs.push_back(value);
      for (const std::string& name : TextsOf(value)) {
        inputs.push_back((std::filesystem::path(DirectoryOf(value)) / name).string());
        if (data_directory != nullptr && !data_directory->empty())
          inputs.push_back((std::filesystem::path(data_directory->results().front()) / name).string());
      }
      for (const char* name : {kRunFile, kResultFile, kMetricsFile, kEvaluationFile})
        inputs.push_back(value + "/" + name);
      const auto model = FindModel(value);
      if (!model) continue;
      std::error_code error;
      for (const auto& part : std::filesystem::directory_iterator(*model, error))
        inputs.push_back(part.path().string());
    }
  }
  return inputs;
}

constexpr const char* kNoStdout =
    " is no file's name; an output does not go to stdout: it appears under its name when it is complete (for "
    "a summary "
    "on stdout: --json)";
constexpr const char* kEmpty = "the value is empty; expected one (is a variable of a script not set?)";

bool IsStandardStream(const std::string& path) {
  return path == "-" || path == "/dev/stdout" || path == "/dev/stderr" || IsHandedOpen(path);
}

// Whether the text is such a number in decimal digits. The parser takes what is beyond 64 bits for the largest number, -1 for it too where
// there is no sign, and 010 for 8.
template <typename T>
bool IsWhole(const std::string& text) {
  T number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  const std::size_t digits = text.starts_with('-') ? 1 : 0;
  return error == std::errc() && at == end && !(text.size() > digits + 1 && text[digits] == '0');
}

// What is wrong with the value of an option of this type (CLI11's name of it), or "".
std::string WhyNoValue(const std::string& type, const std::string& value) {
  if (value.empty()) return kEmpty;
  if (type.starts_with("FLOAT") && !std::isfinite(std::strtod(value.c_str(), nullptr)))
    return value + " is not a finite number";
  if (type.starts_with("UINT") && !IsWhole<std::uint64_t>(value))
    return value + ": expected a whole number from 0 to 2^64 - 1, in decimal digits";
  if (type.starts_with("INT") && !IsWhole<std::int64_t>(value))
    return value + ": expected a whole number below 2^63, in decimal digits";
  return "";
}

}  // namespace

void CheckValues(CLI::App& program) {
  for (CLI::App* command : program.get_subcommands(nullptr)) {
    for (CLI::Option* option : command->get_options()) {
      if (option->get_items_expected_max() == 0) {  // a flag
        option->check([](const std::string& value) -> std::string {
          return value == "true" ? "" : "takes no value; leave it out where it is not meant";
        });
        continue;
      }
      const std::string type = option->get_type_name();
      const bool output = IsOutput(*option) || option->get_name() == "--out";  // of a file, or a folder
      option->check([type, output](const std::string& value) {
        return output && IsStandardStream(value) ? value + kNoStdout : WhyNoValue(type, value);
      });
    }
    CheckValues(*command);
  }
}

Status CheckWords(int count, const char* const* words) {
  for (int i = 0; i < count; ++i) {
    const std::string word = words[i];
    if (word.starts_with("--") && word.find('=') + 1 == word.size())
      return Refused(word.substr(0, word.size() - 1) + ": " + kEmpty);
  }
  return {};
}

std::string WhyRefused(const CLI::App& command, const CLI::ParseError& error) {
  // A mistyped option first: what is missing may be what it was to give.
  for (const std::string& word : command.remaining()) {
    if (!word.starts_with('-')) continue;
    std::vector<std::string> names;
    for (const CLI::Option* option : command.get_options({})) {
      if (!option->get_lnames().empty() && !option->get_group().empty())
        names.push_back("--" + option->get_lnames().front());
    }
    const std::string name = word.substr(0, word.find('='));
    return "unknown option " + name + DidYouMean(name, names);
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    for (const CLI::Option* option : command.get_options({})) {
      if (option->get_items_expected_max() == 1 && option->results().size() > 1)
        return option->get_name() + " is given " + std::to_string(option->results().size()) +
               " times; give it once";
    }
  }
  return error.what();
}

Status CheckOutputs(const CLI::App& command) {
  const CLI::Option* overwrite = command.get_option_no_throw("--overwrite");
  const bool replaces = overwrite != nullptr && overwrite->count() > 0;
  const std::vector<std::string> inputs = InputsOf(command);
  std::map<std::filesystem::path, std::string> options;  // by output
  for (const CLI::Option* option : command.get_options({})) {
    if (!IsOutput(*option)) continue;
    for (const std::string& path : option->results()) {
      std::error_code error;
      if (overwrite == nullptr && std::filesystem::exists(path, error))
        return Refused(path + " exists; choose another file");
      COHORT_RETURN_IF_ERROR(CheckOutput(path, replaces, inputs));
      const auto [other, is_new] =
          options.emplace(std::filesystem::absolute(path, error).lexically_normal(), option->get_name());
      if (!is_new)
        return Refused(option->get_name() + " and " + other->second + " are the same file, " + path +
                       "; name two");
    }
  }
  return {};
}

}  // namespace cohort
