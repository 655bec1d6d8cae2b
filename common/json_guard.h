// What stands between a JSON text and nlohmann::json, which is told neither how deep a text may be nor how large the tree
// of it. Depth costs most: written with indentation, 100 KB of brackets became 2.5 GB.
#ifndef COHORT_COMMON_JSON_GUARD_H_
#define COHORT_COMMON_JSON_GUARD_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace cohort {

inline constexpr std::size_t kMaxJsonDepth = 32;

// kCorrupt: not JSON, deeper than that, or of so many and so short values that its tree would take more than 10 times the
// text and 256 KiB. Takes no memory to speak of.
Status CheckJsonShape(std::string_view text);

// Thrown where a value is not what it must be, and caught by who reads the text.
struct BadJson {
  std::string text;
};

// The value of a key as the type of a field. nlohmann::json converts any number into any other, whatever becomes of it.
// Throws BadJson, or what json.at() throws.
template <typename Whole, typename Json>
Whole WholeFrom(const Json& json, const char* key) {
  const Json& value = json.at(key);
  if (!value.is_number_unsigned() ||
      value.template get<std::uint64_t>() > std::uint64_t{std::numeric_limits<Whole>::max()}) {
    throw BadJson{std::string(key) + " is " + value.dump() + ", which is no whole number from 0 to " +
                  std::to_string(std::numeric_limits<Whole>::max())};
  }
  return static_cast<Whole>(value.template get<std::uint64_t>());
}
inline float FloatFrom(double value, const char* key) {
  if (!(std::abs(value) <= static_cast<double>(std::numeric_limits<float>::max())))
    throw BadJson{std::string(key) + " is too large"};
  return static_cast<float>(value);
}
template <typename Json>
float FloatFrom(const Json& json, const char* key) {
  return FloatFrom(json.at(key).template get<double>(), key);
}

}  // namespace cohort

#endif  // COHORT_COMMON_JSON_GUARD_H_
