// The range of an option's numbers, which `--help` shows and an error names in the digits that people write.
#ifndef COHORT_LAUNCH_COMMANDS_NUMBER_RANGE_H_
#define COHORT_LAUNCH_COMMANDS_NUMBER_RANGE_H_

#include <CLI/CLI.hpp>
#include <charconv>
#include <string>
#include <type_traits>

namespace cohort {

// In place of CLI::Range, of which 1e-9 is "0.000000". NaN passes: CheckValues (command_line.h) refuses it.
template <typename T>
CLI::Validator Between(T least, T most) {
  const auto digits = [](T number) {
    char text[40];
    return std::string(text, std::to_chars(text, text + sizeof text, number).ptr);
  };
  const std::string range = digits(least) + " to " + digits(most);
  const auto check = [least, most, range](const std::string& text) -> std::string {
    T number{};
    if (CLI::detail::lexical_cast(text, number) && !(number < least || number > most)) return "";
    return text + ": expected a " + (std::is_integral_v<T> ? "whole " : "") + "number from " + range;
  };
  return CLI::Validator(check, range);
}

}  // namespace cohort

#endif  // COHORT_LAUNCH_COMMANDS_NUMBER_RANGE_H_
