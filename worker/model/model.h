// The multi-task model on one slice of a batch: shared inputs, a sharing structure, a tower and a loss per
// task; or the two towers of a recommender. Equations and sources: structure.h, losses.h, two_tower.h. Everything is templated on the scalar: float for
// training (kernels chosen at run time), double for the finite-difference checks.
#ifndef COHORT_WORKER_MODEL_MODEL_H_
#define COHORT_WORKER_MODEL_MODEL_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/dataset.h"
#include "common/status.h"
#include "common/table_spec.h"

namespace cohort {

// One task of the model.
struct ModelTask {
  TaskInfo info;
  TaskConfig config;
  std::uint32_t label_column = 0;       // in RowBlock::labels
  std::uint32_t outputs = 1;            // raw outputs of the tower (losses.h)
  std::uint32_t prediction_column = 0;  // first of info.PredictionColumns() columns
  // An offset (losses.h): offset_shift + offset_factor * numerics[offset_input] is added to z; its mean and deviation over the
  // train split.
  bool has_offset = false;
  std::uint32_t offset_input = 0;
  double offset_shift = 0, offset_factor = 1;
  double offset_mean = 0, offset_deviation = 0;
};

// An embedded field: a categorical or bag feature, or the quantile bin of a numeric one.
struct EmbeddedField {
  std::size_t feature = 0;  // in DatasetInfo::features
  bool bin = false;
  Pooling pooling = Pooling::kMean;  // bags
  bool soft = false;                 // a bin, or two of them that a number lies between
  std::uint32_t table = 0;           // in ModelSpec::tables
  std::uint32_t place = 0;           // among the table's fields
  std::uint32_t dim = 0;             // of its embeddings
  std::uint32_t column = 0;          // pooled: its first one of the first layer's input
};
// A table of embeddings: features of one width and one optimizer share it.
struct FieldTable {
  std::string name;               // "embedding", "embedding.city"
  FeatureConfig rows;             // what they are like
  std::uint32_t fields = 0;       // that are its
  std::uint32_t item_fields = 0;  // two_tower: of these, the last ones, of the item's side
};
inline TableId EmbeddingTableAt(std::size_t index) {  // in ModelSpec::tables
  return static_cast<TableId>(kEmbeddingTable + index);
}
// A field whose ids are steps in order, read by a layer of its own (sequence.h).
struct SequenceField {
  SequenceConfig config;
  std::uint32_t field = 0;   // in ModelSpec::fields
  std::uint32_t target = 0;  // attention: the field that steps are compared with
  std::uint32_t width = 0;   // columns of the first layer's input
};
// A dense input: a scaled numeric value or one of a vector's, or its missing indicator (only for features that miss values
// in training).
struct NumericInput {
  std::size_t feature = 0;
  bool missing_indicator = false;
  std::uint32_t element = 0;  // of the vector
};

// What a configuration and a dataset make of the model: inputs, tasks, and the layout of the dense vector.
struct ModelSpec {
  ModelConfig config;
  DatasetInfo data;
  // Those that are pooled, table after table, then those of `sequences`, in the same order. two_tower: the user's, then the
  // item's, its id first.
  std::vector<EmbeddedField> fields;
  // The first one is that of the features of which the run file says nothing, though there may be none.
  std::vector<FieldTable> tables;
  std::vector<SequenceField> sequences;
  std::vector<NumericInput> numerics;
  std::vector<ModelTask> tasks;      // enabled ones, in dataset order
  std::vector<std::uint32_t> chain;  // esmm, aitm: tasks in the order of the user's steps, at least two
  Balance balance = Balance::kFixed;
  float gradnorm_alpha = 0.0f;
  std::uint32_t prediction_columns = 0;
  std::uint64_t dense_count = 0;  // dense weights, without padding
  std::vector<InitSegment>
      dense_init;  // He/Glorot-uniform by layer; biases 0 (output biases: the label's base rate)
  std::uint32_t item_fields = 0;  // two_tower: the last ones of `fields`
  bool IsTwoTower() const { return item_fields > 0; }
  std::uint32_t UserFields() const { return static_cast<std::uint32_t>(fields.size()) - item_fields; }
  std::uint32_t PooledFields() const { return static_cast<std::uint32_t>(fields.size() - sequences.size()); }
  std::uint32_t SoftFields() const {
    return static_cast<std::uint32_t>(
        std::count_if(fields.begin(), fields.end(), [](const EmbeddedField& field) { return field.soft; }));
  }
  bool HasAutoencoder() const { return config.autoencoder.weight > 0.0f; }
  std::uint32_t PooledWidth() const {  // columns of the pooled fields
    std::uint32_t width = 0;
    for (std::size_t f = 0; f < PooledFields(); ++f) width += fields[f].dim;
    return width;
  }
  // Columns of the first layer's input that have a gradient: the pooled fields', the sequences' outputs, the bottleneck.
  std::uint32_t EmbeddedWidth() const {
    std::uint32_t width = PooledWidth();
    if (HasAutoencoder()) width += config.autoencoder.bottleneck;
    for (const SequenceField& sequence : sequences) width += sequence.width;
    return width;
  }
  std::uint32_t InputWidth() const {  // then the numerics
    return EmbeddedWidth() + static_cast<std::uint32_t>(numerics.size());
  }
  std::uint64_t DenseRows() const { return (dense_count + kDenseRowWidth - 1) / kDenseRowWidth; }
};
// Errors (kInvalidInput): a [task.x] of the run file that the data does not have; no task left; no feature.
Result<ModelSpec> BuildModelSpec(const RunConfig& config, const DatasetInfo& data);
// Of the enabled tasks, in the order of the predictions.
std::vector<TaskInfo> TaskInfosOf(const ModelSpec& spec);
// What the user should know: steps of a chain that are more frequent than the one before, a calibration without effect.
std::vector<std::string> WarningsOf(const ModelSpec& spec);
// The tables of the model: kDenseTable, then those of the embeddings, EmbeddingTableAt(0) and on.
std::vector<TableSpec> TablesOf(const ModelSpec& spec, const RunConfig& config);

// The ids of a slice that are of one table, whose F fields are numbered by EmbeddedField::place.
struct SliceIds {
  // Of row i, field f: positions[offsets[i*F+f] .. offsets[i*F+f+1]), each an index into `distinct`. padded_rows * F + 1.
  std::vector<std::uint32_t> offsets;
  std::vector<std::uint32_t> positions;
  std::vector<std::uint32_t> distinct;  // the slice's distinct keys: each a row of the batch's, ascending
};

// A slice, padded to `padded_rows`: rows at and beyond `rows` have no ids, zero numerics, zero weight.
template <typename T>
struct SliceInput {
  std::uint32_t rows = 0;
  std::uint32_t padded_rows = 0;
  const T* numeric = nullptr;     // padded_rows x numerics.size(), scaled
  const SliceIds* ids = nullptr;  // by table
  // Row i's shares of the second one of two bins, by the fields that are soft: rows x spec.SoftFields().
  const T* shares = nullptr;
  const std::vector<T>* embeddings = nullptr;  // by table: the batch's pulled rows
  const float* labels = nullptr;               // padded_rows x data.tasks.size(), NaN = missing
  const float* weights = nullptr;              // padded_rows; 0 in the padding
  std::uint64_t dropout_key = 0;  // names the slice, for dropout (dropout.h) and pcgrad's order; Step only
  // two_tower, in training: `negatives` items were drawn for each row, whose fields (item_fields each) follow the row's own
  // in every table, so that its F is fields + negatives * item_fields. Rows whose label is not 1 have no ids there.
  std::uint32_t negatives = 0;
  const float* corrections =
      nullptr;  // padded_rows x (1 + negatives), of the scores of a row's items; null: none
  // Autoencoder, in training: by table the keys that `distinct` counts, and the rows of the global batch.
  const std::shared_ptr<std::vector<Key>>* keys = nullptr;
  std::uint32_t global_rows = 0;
};

template <typename T>
struct SliceResult {
  T* dense_gradient = nullptr;             // dense_count: replaced
  T* const* embedding_gradient = nullptr;  // by table, distinct.size() x dim: replaced
  double* loss_sum = nullptr;              // by task: sum of weight * loss over labelled rows: replaced
  double* reconstruction_loss = nullptr;   // autoencoder: sum of weight * loss over rows; may be null
};

// Memory is allocated at construction (for padded_rows) and grows only with the number of steps of sequences and of items
// drawn for a row; a steady-state step allocates nothing. One thread at a time.
template <typename T>
class Model {
 public:
  Model(const ModelSpec& spec, std::uint32_t padded_rows);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // Takes the dense weights for the coming slices (keeps the pointer until the next call): dense_count
  // values.
  void SetDense(const T* dense);

  // Forward (with dropout), loss, backward. The loss of task j is averaged over the global batch: its gradient is divided by
  // total_weight[j], the summed weight of the labelled rows of the whole global batch (0: the task is
  // absent). The tasks are weighed as task_balance.h says. `with_l2`: adds what counts once per global batch, the gradient
  // of sum_j l2_j/2 |W_j|^2 (for the slice of its first row).
  void Step(const SliceInput<T>& input, const double* total_weight, bool with_l2,
            const SliceResult<T>& result);

  // When the last Step had its losses and began the backward pass.
  std::chrono::steady_clock::time_point backward_began() const;

  // predictions: rows x prediction_columns, row-major: probabilities; regression and value in the label's own
  // unit.
  void Predict(const SliceInput<T>& input, T* predictions);

  // What the sharing structure reads, without dropout: rows x spec.InputWidth(), row-major (attribution.h). REQUIRES: not a
  // two_tower.
  void Inputs(const SliceInput<T>& input, T* inputs);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

extern template class Model<float>;
extern template class Model<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_MODEL_H_
