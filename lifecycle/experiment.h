// Experiment: rows of users who got one of several arms by chance, with what came of it.
#ifndef COHORT_LIFECYCLE_EXPERIMENT_H_
#define COHORT_LIFECYCLE_EXPERIMENT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"
#include "lifecycle/boosted_trees.h"
#include "lifecycle/dense_inputs.h"

namespace cohort {

inline constexpr std::size_t kMostArms = 32;

struct Experiment {
  std::vector<std::string> arms;     // the first is the control: no action
  std::vector<double> propensities;  // by arm: its probability, > 0; they sum to 1
  Link link = Link::kIdentity;       // of the outcome
  std::size_t width = 0;
  std::vector<float> inputs;        // (rows, width)
  std::vector<std::uint8_t> arm;    // by row
  std::vector<float> outcome;       // by row
  std::vector<std::uint64_t> user;  // by row: a hash of the user; rows of a user are not independent

  std::size_t rows() const { return arm.size(); }
  // A hash of all of it.
  std::uint64_t Fingerprint() const;
  Experiment Select(std::span<const std::uint32_t> rows) const;
};

struct ExperimentOptions {
  std::string arm;           // a multiclass task: its classes are the arms
  std::string control;       // one of them
  std::string outcome;       // a binary, value, count or regression task
  std::optional<Link> link;  // default: binary logit, value and count log, regression identity
};

// The rows of all splits that have an arm and an outcome. Each arm's propensity is its share of them: chance gave it to everybody alike.
// `left_out`: rows without. kInvalidInput: no such task, or of another type; an arm has less than kLeastArmRows rows; rows have weights.
inline constexpr std::size_t kLeastArmRows = 100;
Result<Experiment> ReadExperiment(DatasetReader& data, const DenseInputs& inputs,
                                  const ExperimentOptions& options, std::uint64_t* left_out);

// A hash of the row's user: of its id, or of its place where the dataset has none. `row`: within the block.
std::uint64_t UserHash(const RowBlock& block, std::size_t row, const DatasetInfo& info, Split split);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_EXPERIMENT_H_
