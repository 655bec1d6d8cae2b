// "Did you mean …?": the candidate nearest to a misspelt word.
#ifndef COHORT_COMMON_NEAREST_H_
#define COHORT_COMMON_NEAREST_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cohort {

// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string
// alignment).
std::size_t EditDistance(std::string_view a, std::string_view b);

// The candidate nearest to `word` (case ignored; the first of equals), or "" when none is near: more than one edit and more
// than a third of the longer word away, or with no letter in common. Where none is, the first of which the word is a part, or whose
// name it ends in: "user_age" for "age".
std::string NearestOf(const std::string& word, const std::vector<std::string>& candidates);

// "; did you mean \"x\"?" or "".
std::string DidYouMean(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace cohort

#endif  // COHORT_COMMON_NEAREST_H_
