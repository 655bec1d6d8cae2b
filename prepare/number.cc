#include "prepare/number.h"

#include <charconv>
#include <cmath>
#include <system_error>

namespace cohort {
namespace {

template <typename Float>
NumberKind Parse(std::string_view cell, Float* value) {
  // Most cells of most files are small whole numbers.
  if (!cell.empty() && cell.size() <= 7) {
    unsigned number = 0;
    bool digits = true;
    for (char c : cell) {
      const unsigned digit = static_cast<unsigned>(c) - '0';
      digits &= digit < 10;
      number = number * 10 + digit;
    }
    if (digits) {
      *value = static_cast<Float>(number);  // below 10^7 < 2^24: exact
      return NumberKind::kNumber;
    }
  }
  const char *begin = cell.data(), *end = begin + cell.size();
  if (cell.size() > 1 && cell[0] == '+' && cell[1] != '-') ++begin;  // from_chars knows no plus
  Float parsed = 0;
  auto [stop, error] = std::from_chars(begin, end, parsed);
  if (stop != end || begin == end || error == std::errc::invalid_argument) return NumberKind::kNotANumber;
  if (error == std::errc::result_out_of_range) {
    // Too large, or so small that it is 0: the wider type tells which.
    long double wide = 0;
    if (std::from_chars(begin, end, wide).ec != std::errc() || std::abs(wide) > 1)
      return NumberKind::kNotFinite;
    parsed = static_cast<Float>(wide);
  }
  if (!std::isfinite(parsed)) return NumberKind::kNotFinite;
  *value = parsed;
  return NumberKind::kNumber;
}

}  // namespace

NumberKind ParseNumber(std::string_view cell, float* value) { return Parse(cell, value); }
NumberKind ParseNumber(std::string_view cell, double* value) { return Parse(cell, value); }

}  // namespace cohort
