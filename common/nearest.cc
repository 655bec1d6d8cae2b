#include "common/nearest.h"

#include <algorithm>
#include <cctype>

namespace cohort {

std::size_t EditDistance(std::string_view a, std::string_view b) {
  // Three rows of the dynamic programme are enough: swaps look two rows back.
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      current[j] = std::min({last[j] + 1, current[j - 1] + 1, last[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, current);
  }
  return last[b.size()];
}

namespace {

// Whether the short one is a whole part at an end of the long one: "age" of "user_age", "cart" of "activation.cart".
bool IsPartOf(const std::string& part, const std::string& whole) {
  const auto joins = [](char c) { return c == '_' || c == '.'; };
  if (part.empty() || part.size() >= whole.size()) return false;
  return (whole.ends_with(part) && joins(whole[whole.size() - part.size() - 1])) ||
         (whole.starts_with(part) && joins(whole[part.size()]));
}

}  // namespace

std::string NearestOf(const std::string& word, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongest = 200;  // longer words are no typing errors, and cost quadratic time
  if (word.size() > kLongest) return "";
  auto lower = [](std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
  };
  const std::string wanted = lower(word);
  std::size_t best_distance = 0;
  const std::string* best = nullptr;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    std::size_t distance = EditDistance(wanted, lower(candidate));
    const std::size_t longer = std::max(word.size(), candidate.size());
    const std::size_t near = std::max<std::size_t>(1, longer / 3);
    if (distance <= near && distance < longer && (best == nullptr || distance < best_distance)) {
      best = &candidate;
      best_distance = distance;
    }
  }
  if (best != nullptr) return *best;
  for (const std::string& candidate : candidates) {
    if (IsPartOf(wanted, lower(candidate)) || wanted.ends_with("_" + lower(candidate))) return candidate;
  }
  return "";
}

std::string DidYouMean(const std::string& word, const std::vector<std::string>& candidates) {
  std::string nearest = NearestOf(word, candidates);
  return nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?";
}

}  // namespace cohort
