#include "lifecycle/item_similarity.h"

#include <algorithm>
#include <cmath>

namespace cohort {
namespace {

constexpr double kLeastFading = 1e-3;

}  // namespace

ItemSimilarity::ItemSimilarity(const TasteMatrix& tastes, const std::vector<std::string>& names,
                               const SimilarityOptions& options,
                               const std::function<void(std::size_t)>& progress)
    : tastes_(tastes), names_(names), options_(options), sums_(tastes.items()) {
  const std::size_t items = tastes.items();
  const auto latest_of = [&](std::uint32_t user) {
    const std::span<const Taste> all = tastes.OfUser(user);
    return all.last(std::min(all.size(), options.most_items));
  };
  std::vector<double> squares(items);
  for (std::uint32_t user = 0; user < tastes.users(); ++user) {
    for (const Taste& taste : latest_of(user))
      squares[taste.other] += static_cast<double>(taste.strength) * taste.strength;
  }
  std::vector<float> products(items);
  std::vector<std::uint32_t> both(items), touched;
  std::vector<Neighbour> row;
  first_.push_back(0);
  for (std::uint32_t item = 0; item < items; ++item) {
    touched.clear();
    for (const Taste& taker : tastes.OfItem(item)) {
      const std::span<const Taste> latest = latest_of(taker.other);
      if (latest.size() == options.most_items &&
          std::none_of(latest.begin(), latest.end(), [&](const Taste& taste) { return taste.other == item; }))
        continue;
      for (const Taste& taste : latest) {
        if (both[taste.other]++ == 0) touched.push_back(taste.other);
        products[taste.other] += taker.strength * taste.strength;
      }
    }
    row.clear();
    for (const std::uint32_t other : touched) {
      const double count = both[other];
      if (other != item) {
        const double cosine = products[other] / std::sqrt(squares[item] * squares[other]);
        row.push_back({other, static_cast<float>(cosine * count / (count + options.shrink))});
      }
      both[other] = 0;
      products[other] = 0;
    }
    const std::size_t kept = std::min(row.size(), options.neighbours);
    std::partial_sort(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(kept), row.end(),
                      [](const Neighbour& a, const Neighbour& b) {
                        return a.similarity != b.similarity ? a.similarity > b.similarity : a.item < b.item;
                      });
    neighbours_.insert(neighbours_.end(), row.begin(), row.begin() + static_cast<std::ptrdiff_t>(kept));
    first_.push_back(neighbours_.size());
    if (progress && item % 64 == 0) progress(item);
  }
}

double ItemSimilarity::Fading(std::size_t feature, std::size_t k) const {
  return feature == 0 ? 1.0 : std::exp2(-static_cast<double>(k) / options_.half_life);
}

double ItemSimilarity::Accumulate(std::uint32_t user, std::size_t feature) const {
  const std::span<const Taste> taken = tastes_.OfUser(user);
  double total = 0;
  for (std::size_t k = 0; k < std::min(taken.size(), options_.most_items); ++k) {
    const Taste& taste = taken[taken.size() - 1 - k];
    const double fading = Fading(feature, k);
    if (fading < kLeastFading) break;
    total += fading * taste.strength;
    const float weight = static_cast<float>(fading * taste.strength);
    for (const Neighbour& neighbour : Neighbours(taste.other)) {
      float& sum = sums_[neighbour.item];
      if (sum == 0) summed_.push_back(neighbour.item);
      sum += weight * neighbour.similarity;
    }
  }
  return total;
}

void ItemSimilarity::Clear() const {
  for (const std::uint32_t item : summed_) sums_[item] = 0;
  summed_.clear();
}

void ItemSimilarity::Score(std::uint32_t user, std::span<const std::uint32_t> items,
                           std::span<float> scores) const {
  const float floor = static_cast<float>(options_.floor), log_floor = std::log(floor);
  for (std::size_t feature = 0; feature < 2; ++feature) {
    const double total = Accumulate(user, feature);
    const float scale = total > 0 ? static_cast<float>(1 / total) : 0;
    float* out = scores.data() + feature * items.size();
    for (const std::uint32_t item : items) {
      const float sum = sums_[item];
      *out++ = sum == 0 ? log_floor : std::log(floor + scale * sum);
    }
    Clear();
  }
}

std::vector<std::uint32_t> ItemSimilarity::Retrieve(std::uint32_t user, std::size_t) const {
  Accumulate(user, 0);
  std::vector<std::uint32_t> items = summed_;
  Clear();
  return items;
}

std::string ItemSimilarity::Reason(std::uint32_t user, std::uint32_t item, std::size_t feature) const {
  const std::span<const Taste> taken = tastes_.OfUser(user);
  double most = 0;
  std::uint32_t cause = kNoItem;
  for (std::size_t k = 0; k < std::min(taken.size(), options_.most_items); ++k) {
    const Taste& taste = taken[taken.size() - 1 - k];
    const double fading = Fading(feature, k);
    if (fading < kLeastFading) break;
    for (const Neighbour& neighbour : Neighbours(taste.other)) {
      if (neighbour.item != item) continue;
      const double share = fading * static_cast<double>(taste.strength) * neighbour.similarity;
      if (share > most) {
        most = share;
        cause = taste.other;
      }
      break;
    }
  }
  if (cause == kNoItem) return "like what you took";
  return "taken with " + names_[cause] + (feature == 0 ? ", which you took" : ", which you took lately");
}

}  // namespace cohort
