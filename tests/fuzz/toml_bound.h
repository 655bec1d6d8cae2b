// toml++ takes a node of about 60 to 200 bytes for every value, key and table, which a text may have for two bytes each: no
// bound of 16 x the input holds. The most that was measured is 95 x; the size of the files is limited instead
// (docs/correctness.md).
#ifndef COHORT_TESTS_FUZZ_TOML_BOUND_H_
#define COHORT_TESTS_FUZZ_TOML_BOUND_H_

#include "tests/fuzz/fuzz.h"

namespace cohort::fuzz {

inline constexpr Bound kTomlBound{.multiple = 128, .slack = 64u << 10};

}  // namespace cohort::fuzz

#endif  // COHORT_TESTS_FUZZ_TOML_BOUND_H_
