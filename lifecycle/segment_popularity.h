// SegmentPopularity: what customers of the user's segment take: for users and items without a history of their own.
//
//   P(i)     = (n_i + 1/2) / (n + items / 2)                                     over all acts before now
//   P(c | s) = (n_sc + P(c) categories) / (n_s + categories)
//   P(i | s) = (n_si + items P(i) P(c_i | s) / P(c_i)) / (n_s + items)
//
// of a segment s and the category c of an item: a segment's few acts say most about categories. Scores are logarithms.
#ifndef COHORT_LIFECYCLE_SEGMENT_POPULARITY_H_
#define COHORT_LIFECYCLE_SEGMENT_POPULARITY_H_

#include <string>
#include <vector>

#include "lifecycle/score_source.h"
#include "lifecycle/shop_history.h"
#include "lifecycle/user_segments.h"

namespace cohort {

class SegmentPopularity : public ScoreSource {
 public:
  static constexpr std::size_t kListed = 4096;

  // `segments` outlives this. `target`: the kind of event that is recommended for; its acts have a score of their own beside that of
  // all, unless the log has no others. Memory: segments x items x 4 bytes a feature.
  SegmentPopularity(const ShopHistory& history, Time now, const UserSegments& segments, EventKind target);

  std::string name() const override { return "popular"; }
  std::vector<std::string> features() const override { return features_; }
  void Score(std::uint32_t user, std::span<const std::uint32_t> items,
             std::span<float> scores) const override;
  // Keeps the kListed best items of each segment.
  void Index(std::span<const std::uint32_t> items, std::span<const double> weights,
             const Progress& progress) override;
  std::vector<std::uint32_t> Retrieve(std::uint32_t user, std::size_t n) const override;
  std::string Reason(std::uint32_t user, std::uint32_t item, std::size_t feature) const override;

 private:
  const UserSegments& segments_;
  std::size_t items_;
  std::vector<std::string> features_;
  std::vector<std::vector<float>> scores_;  // by feature: segments x items
  std::vector<std::uint32_t> listed_;       // segments x listed_of_segment_, best first
  std::size_t listed_of_segment_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_SEGMENT_POPULARITY_H_
