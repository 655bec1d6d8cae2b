// DenseInputs: the rows of a dataset as rows of numbers, for learners that take nothing else (BoostedTrees).
//
//   numeric, vector   as they are; missing: NaN
//   categorical       a column for each of the kMostLevels most frequent values of the train split, 1 where the row has it; what is
//                     missing is a value
// Bags and sequences are left out: skipped() names them.
#ifndef COHORT_LIFECYCLE_DENSE_INPUTS_H_
#define COHORT_LIFECYCLE_DENSE_INPUTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"

namespace cohort {

class DenseInputs {
 public:
  static constexpr std::size_t kMostLevels = 24;

  // Of all features but those in `without`. Reads the train split once. kInvalidInput: no such feature; nothing is left.
  static Result<DenseInputs> Of(DatasetReader& data, const std::vector<std::string>& without);

  std::size_t width() const { return width_; }
  const std::vector<std::string>& skipped() const { return skipped_; }
  // Appends width() numbers per row of the block.
  void Append(const RowBlock& block, std::vector<float>* inputs) const;
  // The column that is 1 where a categorical feature has this value; none: no such feature, or the value is not among its levels.
  std::optional<std::size_t> ColumnOf(const std::string& feature, const std::string& value) const;

 private:
  struct Source {
    std::string feature;
    FeatureType type;
    std::uint32_t column;     // in the block
    std::uint32_t length;     // of a vector; else 1
    std::vector<Key> levels;  // ascending
    std::size_t first;        // of its columns here
  };
  std::vector<Source> sources_;
  std::vector<std::string> skipped_;
  std::size_t width_ = 0, numeric_ = 0, categorical_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_DENSE_INPUTS_H_
