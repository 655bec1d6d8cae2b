// Turns rows of a dataset into the model's inputs: scaling with the statistics of the data the model was
// trained on, quantile bins, missing indicators, and labels in the model's classes.
#ifndef COHORT_WORKER_ENCODER_H_
#define COHORT_WORKER_ENCODER_H_

#include <cstdint>
#include <vector>

#include "common/dataset.h"
#include "common/status.h"
#include "worker/batch.h"
#include "worker/distinct_keys.h"
#include "worker/model/model.h"

namespace cohort {

// Immutable after Create: any thread.
class Encoder {
 public:
  // `data` describes the file that rows will come from; features and tasks are found in it by name. Errors
  // (kInvalidInput): a feature of the model that `data` lacks or that has another type. A task or class that
  // `data` lacks counts as missing labels.
  static Result<Encoder> Create(const ModelSpec& spec, const DatasetInfo& data);

  // Makes `slice` empty with room for padded_rows rows.
  void Start(std::uint32_t padded_rows, Slice* slice) const;
  // Appends a row; ids go to `keys`, whose numbers stand in slice->positions until they are ranked.
  void Append(const RowBlock& block, std::uint32_t row, DistinctKeys* keys, Slice* slice) const;
  // Fills the padding.
  void Finish(Slice* slice) const;
  // Adds the row's weight to the total of every task it has a label for.
  void AddLabelledWeight(const RowBlock& block, std::uint32_t row, double* total_weight) const;
  // Ids of one row, at most and about: sizes the table of distinct keys.
  std::size_t fields() const { return fields_.size(); }

 private:
  struct Numeric {
    std::int64_t vector;   // its number; -1: of the numeric columns
    std::uint32_t column;  // of `width`: values of a row from one to the next
    std::uint32_t width;
    bool missing_indicator;
    NumericScale scale;
    double shift, factor;
  };
  struct Field {
    FeatureType type;  // kNumeric: the quantile bin
    std::uint32_t column;
    std::vector<float> edges;
    std::vector<Key> bin_keys;  // edges + 1 bins
    Key missing_key;
  };
  struct Label {
    std::int64_t column;           // -1: not in the data
    std::uint32_t periods = 0;  // hazard: of the model; rows that were seen longer are censored at their end
    std::vector<float> class_map;  // multiclass: class of the data -> class of the model (NaN: unknown)
  };
  float LabelOf(const RowBlock& block, std::uint32_t row, std::size_t task) const;

  std::vector<Numeric> numerics_;
  std::vector<Field> fields_;
  std::vector<Label> labels_;             // by task of the model's data
  std::vector<std::size_t> task_labels_;  // by model task: its column among labels_
  std::uint32_t numeric_columns_ = 0, categorical_columns_ = 0, label_columns_ = 0;  // of the file
};

}  // namespace cohort

#endif  // COHORT_WORKER_ENCODER_H_
