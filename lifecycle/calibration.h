// Calibration: what predictions of one kind have meant, on rows whose labels are known; and how far off they were.
//
// The judged rows, in the order of their predictions, are cut into groups of equal size; their means are made to ascend by pooling
// neighbours that do not (isotonic regression: Barlow, Bartholomew, Bremner & Brunk 1972; Zadrozny & Elkan, KDD 2002). A prediction
// then stands for the mean of the group that it falls into, interpolated between the groups' mean predictions. Intervals are of level 90 %:
//   probabilities   of the rate of users with such a prediction: Wilson's score interval (1927) of the group's labels
//   numbers         of the value of one user with such a prediction: from the 5th to the 95th percentile of the group's labels
#ifndef COHORT_LIFECYCLE_CALIBRATION_H_
#define COHORT_LIFECYCLE_CALIBRATION_H_

#include <cstddef>
#include <span>
#include <vector>

namespace cohort {

struct CalibratedPrediction {
  double value = 0, low = 0, high = 0;
};

class Calibration {
 public:
  static constexpr std::size_t kGroups = 50, kLeastRows = 40;  // of a group
  // `labels`: NaN is left out; of probabilities 0 or 1. All others finite.
  Calibration(std::span<const float> predictions, std::span<const float> labels, bool probabilities);

  std::size_t rows() const { return rows_; }
  bool known() const { return !groups_.empty(); }  // rows() >= kLeastRows
  // REQUIRES: known().
  CalibratedPrediction Of(float prediction) const;

 private:
  struct Group {
    double prediction = 0, label = 0;  // means
    double low = 0, high = 0;
  };
  std::size_t rows_ = 0;
  std::vector<Group> groups_;  // by prediction, ascending
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_CALIBRATION_H_
