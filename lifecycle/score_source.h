// ScoreSource: a recommender: what speaks for each item, for a user, as of the moment that it was made for.
#ifndef COHORT_LIFECYCLE_SCORE_SOURCE_H_
#define COHORT_LIFECYCLE_SCORE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace cohort {

class ScoreSource {
 public:
  virtual ~ScoreSource() = default;
  virtual std::string name() const = 0;
  // One or more scores of an item; each is of the kind of a logarithm of a probability, up to a scale.
  virtual std::vector<std::string> features() const = 0;
  // scores[f * items.size() + i]: feature f of items[i], whatever else is in the list. REQUIRES: scores.size() == features().size() *
  // items.size(). One thread.
  virtual void Score(std::uint32_t user, std::span<const std::uint32_t> items,
                     std::span<float> scores) const = 0;

  using Progress = std::function<void(const std::string&)>;
  // Makes ready to retrieve from `items`, of equal ones the first, by weights . scores (weights: by feature).
  virtual void Index(std::span<const std::uint32_t> items, std::span<const double> weights,
                     const Progress& progress);
  // Items, the n best of those indexed among them, or most of these; without a look at all. In any order, each once; others may be there too.
  // REQUIRES: Index; n > 0.
  virtual std::vector<std::uint32_t> Retrieve(std::uint32_t user, std::size_t n) const = 0;

  // Why feature `feature` speaks for an item, in words: "like ..., which you took".
  virtual std::string Reason(std::uint32_t user, std::uint32_t item, std::size_t feature) const = 0;
};

inline void ScoreSource::Index(std::span<const std::uint32_t>, std::span<const double>, const Progress&) {}

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_SCORE_SOURCE_H_
