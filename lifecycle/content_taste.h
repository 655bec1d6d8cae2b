// ContentTaste: items whose category, tags, brand, price or words the user chooses more often than others do: content-based
// recommendation, which needs no other user's history with the item.
//
// Each field of an item holds values: its category, its tags, its brand, its price band (of kPriceBands that hold equal numbers of items), the
// words of its text, as hashes. With n_uv the strengths (taste_matrix.h) of the items of user u with value v, each item's spread evenly over
// its values, and b_s(v) the share of v in the user's segment, smoothed as in segment_popularity.h:
//
//   score(u, i) = mean over v of item i of log( (n_uv + prior b_s(v)) / (n_u + prior) / b_s(v) )
//
// the logarithm of how much more of the user's next choice than of the segment's falls on v, expected with a Dirichlet prior of weight `prior`
// about the segment (the multinomial of Pazzani and Billsus: "Content-Based Recommendation Systems", 2007, with that prior for the smoothing). An
// item without values scores as the user's unseen values with that of the segment: 0.
#ifndef COHORT_LIFECYCLE_CONTENT_TASTE_H_
#define COHORT_LIFECYCLE_CONTENT_TASTE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "lifecycle/score_source.h"
#include "lifecycle/taste_matrix.h"
#include "lifecycle/user_segments.h"

namespace cohort {

class ContentTaste : public ScoreSource {
 public:
  static constexpr int kPriceBands = 8;
  static constexpr std::size_t kMostMet = 10'000;

  // All outlive this. `prior` > 0: in units of strength. Fields that no item has are left out. Memory: 4 bytes a value of an item, and
  // segments x values x 4.
  ContentTaste(const ShopHistory& history, const TasteMatrix& tastes, const UserSegments& segments,
               double prior);

  std::string name() const override { return "content"; }
  std::vector<std::string> features() const override;
  void Score(std::uint32_t user, std::span<const std::uint32_t> items,
             std::span<float> scores) const override;
  // By lists of the items that have a value, those of most worth to the user first, until no other item can be better (Fagin, Lotem, Naor:
  // "Optimal Aggregation Algorithms for Middleware", PODS 2001) or kMostMet have been scored. Memory: 4 bytes more a value of an item.
  void Index(std::span<const std::uint32_t> items, std::span<const double> weights,
             const Progress& progress) override;
  std::vector<std::uint32_t> Retrieve(std::uint32_t user, std::size_t n) const override;
  std::string Reason(std::uint32_t user, std::uint32_t item, std::size_t feature) const override;

 private:
  struct Field {
    std::string name;
    std::vector<std::string> words;     // by value
    std::vector<std::uint64_t> first;   // by item, and the end
    std::vector<std::uint32_t> values;  // by item
    std::vector<float> shares;          // segments x values: b_s(v)
    double weight = 0;                  // from here on: of Index
    std::vector<std::uint64_t> first_item;  // by value, `no value` (words.size()), and the end
    std::vector<std::uint32_t> items;       // by value
    std::span<const std::uint32_t> Of(std::size_t item) const {
      return std::span(values).subspan(first[item], first[item + 1] - first[item]);
    }
    std::span<const std::uint32_t> With(std::size_t value) const {
      return std::span(items).subspan(first_item[value], first_item[value + 1] - first_item[value]);
    }
  };
  template <typename ValuesOf>
  void AddField(const std::string& name, const ValuesOf& values_of);
  // The logarithms, by value of the field.
  struct Seen {
    std::vector<std::uint32_t> values;  // that the user has
    float others;                       // the logarithm of all others
  };
  Seen Lifts(const Field& field, std::uint32_t user, std::vector<float>* lifts) const;
  // Their mean over the values of an item.
  static float MeanLift(const Field& field, std::uint32_t item, const std::vector<float>& lifts);

  const TasteMatrix& tastes_;
  const UserSegments& segments_;
  const double prior_;
  std::vector<Field> fields_;
  mutable std::vector<std::uint8_t> met_;  // by item: 0 between calls
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_CONTENT_TASTE_H_
