// What the options of a run file are made of: numbers, words, lists, each read from TOML and written as it (option_builders.cc).
#ifndef COHORT_COMMON_OPTION_BUILDERS_H_
#define COHORT_COMMON_OPTION_BUILDERS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/config_option.h"

namespace cohort {

// Where an option's value lies.
template <typename T>
using FieldOfConfig = std::function<T&(RunConfig&)>;
#define COHORT_FIELD(path) \
  [](RunConfig & c) -> auto& { return c.path; }

// As TOML writes floats: with a point or an exponent.
std::string FloatText(double value);
std::string FloatText(float value);

Option WholeOption(std::string name, std::int64_t least, std::int64_t most, std::string unit, std::string help,
                   std::function<void(RunConfig&, std::int64_t)> write,
                   std::function<std::string(const RunConfig&)> get);
// `field`: a function RunConfig& -> an integer&.
template <typename F>
Option Whole(std::string name, std::int64_t least, std::int64_t most, std::string unit, std::string help,
             F field) {
  return WholeOption(
      std::move(name), least, most, std::move(unit), std::move(help),
      [field](RunConfig& config, std::int64_t value) {
        auto& target = field(config);
        target = static_cast<std::remove_reference_t<decltype(target)>>(value);
      },
      [field](const RunConfig& config) { return std::to_string(field(const_cast<RunConfig&>(config))); });
}

// In [least, most], or (least, most] when `open`, and at most `largest`, which the type holds.
Option RealOption(std::string name, double least, double most, bool open, double largest, std::string unit,
                  std::string help, std::function<void(RunConfig&, double)> write,
                  std::function<std::string(const RunConfig&)> get);
// `field`: a function RunConfig& -> float& or double&.
template <typename F>
Option Real(std::string name, double least, double most, bool open, std::string unit, std::string help,
            F field) {
  using T = std::remove_reference_t<decltype(field(std::declval<RunConfig&>()))>;
  return RealOption(
      std::move(name), least, most, open, static_cast<double>(std::numeric_limits<T>::max()), std::move(unit),
      std::move(help), [field](RunConfig& config, double value) { field(config) = static_cast<T>(value); },
      [field](const RunConfig& config) { return FloatText(field(const_cast<RunConfig&>(config))); });
}

Option Flag(std::string name, std::string help, FieldOfConfig<bool> field);

// One of several words; `read` and `write` convert between the word's index and the field.
Option Choice(std::string name, std::vector<std::string> words, std::string help,
              std::function<void(RunConfig&, std::size_t)> read,
              std::function<std::size_t(const RunConfig&)> write);

// Whole numbers from 1, at most `most` of them up to `largest`.
Option Wholes(std::string name, std::size_t most, std::int64_t largest, std::string unit, std::string help,
              const char* example, FieldOfConfig<std::vector<std::uint32_t>> field);
// Of layers.
Option Widths(std::string name, std::string help, FieldOfConfig<std::vector<std::uint32_t>> field);

Option Names(std::string name, std::string help, const char* example,
             FieldOfConfig<std::vector<std::string>> field);
Option Text(std::string name, std::string expected, bool required, std::string help,
            FieldOfConfig<std::string> field);

// All options of an optimizer.
void AddOptimizer(const std::string& section, const std::string& what, const FieldOfConfig<OptimizerSpec>& spec,
                  std::vector<Option>* options);

}  // namespace cohort

#endif  // COHORT_COMMON_OPTION_BUILDERS_H_
