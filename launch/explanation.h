// Explanation: what a model's predictions for rows of a dataset owe to each feature (worker/model/attribution.h).
//
// The baseline is the average input: the mean, over rows of the dataset, of what the model's first layer reads. A feature's share
// is the sum over its columns of that input; shares sum to the prediction less that of the average input.
#ifndef COHORT_LAUNCH_EXPLANATION_H_
#define COHORT_LAUNCH_EXPLANATION_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/dataset.h"
#include "common/partitions.h"
#include "common/status.h"

namespace cohort {

struct ExplainRequest {
  std::string model;  // its directory, or a run's
  std::string data;
  Split split = Split::kTest;
  std::vector<std::string> users;  // ids: all their rows in the split; none: `rows`, spread over the split
  std::uint32_t rows = 1000;       // at most
  std::vector<std::string>
      outputs;  // columns as `cohort score` names them; none: of each task the one that says most (below)
  std::uint32_t background = 1000;  // rows of the train split (of `split`, if it has none) that are averaged
  std::function<void(const std::string&)> progress;
};

struct FeatureShare {
  std::string feature;
  std::string value;  // a number, "missing", "12 ids"; of a category, whose text a dataset does not keep, ""
  double share = 0;   // in units of the prediction
};
struct Explanation {
  std::string id;         // of the row, or its number in the input
  std::uint64_t row = 0;  // of the split
  std::string output;
  double prediction = 0, baseline = 0;
  double sum = 0;  // of the shares
  // Of what `sum` may be off by. A probability: 1; another number: |prediction - baseline|, at least 0.001 label deviations.
  double unit = 1;
  std::vector<FeatureShare> shares;  // as the dataset's features; the autoencoder's bottleneck, if any, last
};

// Of every row and output, in the order of rows, made by `partitions`. Memory: the rows' inputs and the embedding rows they name. Each
// process that makes parts reads the model through once. Without `outputs`: of a multiclass task the class that is predicted for the row, of a hazard its first period, else
// the task's column. Errors: kInvalidInput, a user that the split does not hold, an output that the model does not have, a model of
// two towers; kCorrupt, a damaged model.
Result<std::vector<Explanation>> Explain(const ExplainRequest& request, Partitions& partitions);

}  // namespace cohort

#endif  // COHORT_LAUNCH_EXPLANATION_H_
