// What stands between the text of a user and toml++ 3.3. Include it before <toml++/toml.h>, in every file that does.
//
//  - toml++ checks some of what a text may hold by assert(), which stays on in our release builds: "[%train]" stopped the
//    program (https://github.com/marzer/tomlplusplus/pull/301). Here a failed assertion is thrown, and becomes an error.
//  - Tables within tables are taken down by recursion, and a dotted key makes as many as it has parts: half a megabyte of
//    "a.a.a." overflowed the stack. Here their number is limited.
//  - A character beyond ASCII where TOML has none (outside of strings and comments), or behind a backslash in a text of
//    several lines, reaches code that is marked as unreachable. Here it is refused.
#ifndef COHORT_COMMON_TOML_GUARD_H_
#define COHORT_COMMON_TOML_GUARD_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "common/status.h"

#define TOML_EXCEPTIONS 0  // errors are values
#define TOML_ASSERT(condition) ::cohort::internal::CheckToml(static_cast<bool>(condition))

namespace cohort {

inline constexpr std::size_t kMaxTomlDots = 16;   // of a key
inline constexpr std::size_t kMaxTomlDepth = 16;  // of brackets

namespace internal {
struct TomlAssertion {};
constexpr void CheckToml(bool holds) {
  if (!holds) throw TomlAssertion{};
}
}  // namespace internal

// kInvalidInput: deeper than the limits, a table header without a name, a character that needs quotes. `origin` names the text in errors. Other
// mistakes are toml++'s affair.
Status CheckTomlShape(std::string_view text, const std::string& origin);

// The result of toml::parse, given as `parse`, for a text that it can be trusted with.
template <typename Parse>
auto ParseGuarded(const std::string& text, const std::string& origin, Parse parse)
    -> Result<decltype(parse(text, origin))> {
  COHORT_RETURN_IF_ERROR(CheckTomlShape(text, origin));
  try {
    return parse(text, origin);
  } catch (const internal::TomlAssertion&) {
    return InvalidInput(origin + ": not valid TOML: the parser stops without saying where");
  }
}

}  // namespace cohort

#endif  // COHORT_COMMON_TOML_GUARD_H_
