#include "lifecycle/list_diversity.h"

#include <algorithm>
#include <map>
#include <string>

namespace cohort {

ItemLabels::ItemLabels(const ShopHistory& history) {
  std::map<std::string, std::uint32_t> numbers;
  first_.push_back(0);
  for (const ItemWords& item : history.items) {
    std::vector<std::string> words = item.tags;
    if (words.empty() && !item.category.empty()) words.push_back(item.category);
    for (const std::string& word : words)
      labels_.push_back(numbers.emplace(word, numbers.size()).first->second);
    const auto begin = labels_.begin() + static_cast<std::ptrdiff_t>(first_.back());
    std::sort(begin, labels_.end());
    labels_.erase(std::unique(begin, labels_.end()), labels_.end());
    first_.push_back(labels_.size());
  }
}

float ItemLabels::Distance(std::uint32_t a, std::uint32_t b) const {
  std::uint64_t i = first_[a], j = first_[b], common = 0;
  const std::uint64_t i_end = first_[a + 1], j_end = first_[b + 1];
  const std::uint64_t both = i_end - i + j_end - j;
  while (i < i_end && j < j_end) {
    if (labels_[i] == labels_[j]) {
      ++common, ++i, ++j;
    } else {
      labels_[i] < labels_[j] ? ++i : ++j;
    }
  }
  return common == 0 ? 1.0f : 1.0f - static_cast<float>(common) / static_cast<float>(both - common);
}

double ItemLabels::MeanDistance(std::span<const std::uint32_t> list) const {
  double sum = 0;
  std::size_t pairs = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j, ++pairs) sum += Distance(list[i], list[j]);
  }
  return pairs == 0 ? 0 : sum / static_cast<double>(pairs);
}

std::vector<Candidate> DiverseList(std::span<const Candidate> candidates, const ItemLabels& labels,
                                   double diversity, std::size_t n) {
  n = std::min(n, candidates.size());
  std::vector<Candidate> chosen;
  std::vector<float> likeness(candidates.size());  // to those chosen, summed
  std::vector<bool> taken(candidates.size());
  while (chosen.size() < n) {
    std::size_t best = candidates.size();
    double best_value = 0;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (taken[i]) continue;
      const double value = (1 - diversity) * candidates[i].utility - diversity * likeness[i];
      if (best == candidates.size() || value > best_value) {
        best = i;
        best_value = value;
      }
    }
    taken[best] = true;
    chosen.push_back(candidates[best]);
    for (std::size_t i = 0; diversity > 0 && i < candidates.size(); ++i) {
      if (!taken[i]) likeness[i] += 1 - labels.Distance(candidates[i].item, candidates[best].item);
    }
  }
  std::stable_sort(chosen.begin(), chosen.end(),
                   [](const Candidate& a, const Candidate& b) { return a.utility > b.utility; });
  return chosen;
}

}  // namespace cohort
