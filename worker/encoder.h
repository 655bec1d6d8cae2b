// Turns rows of a dataset into the model's inputs: scaling with the statistics of the data the model was
// trained on, quantile bins, missing indicators, and labels in the model's classes.
#ifndef COHORT_WORKER_ENCODER_H_
#define COHORT_WORKER_ENCODER_H_

#include <cstdint>
#include <span>
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

  // Makes `slice` empty with room for padded_rows rows, each with so many drawn items (two_tower).
  void Start(std::uint32_t padded_rows, Slice* slice, std::uint32_t negatives = 0) const;
  // Appends a row; ids go to `keys` of their table, whose numbers stand in the slice's positions until they are ranked.
  void Append(const RowBlock& block, std::uint32_t row, DistinctKeys* keys, Slice* slice) const;
  std::size_t table_count() const { return tables_.size(); }
  // Hints for a row that will be appended a few rows later; rows are visited in an order that no processor guesses.
  // FetchPlaces first, and FetchIds when what it asked for is likely to have come.
  void FetchPlaces(const RowBlock& block, std::uint32_t row) const;
  void FetchIds(const RowBlock& block, std::uint32_t row) const;
  // two_tower: appends a field of the `nth` item drawn for the row appended last.
  void AppendItemField(std::span<const Key> ids, std::uint32_t nth, std::uint32_t field, DistinctKeys* keys,
                       Slice* slice) const;
  // Fills the padding.
  void Finish(Slice* slice) const;
  // Adds the row's weight to the total of every task it has a label for.
  void AddLabelledWeight(const RowBlock& block, std::uint32_t row, double* total_weight) const;

  // two_tower: how items are drawn; item_fields() of 0: another kind.
  const TwoTowerConfig& two_tower() const { return two_tower_; }
  std::uint32_t item_fields() const { return item_fields_; }
  // The ids of a field of the item's side (0: the item's own id) in a row.
  std::span<const Key> ItemKeys(const RowBlock& block, std::uint32_t row, std::uint32_t field) const {
    return KeysOf(fields_[fields_.size() - item_fields_ + field], block, row);
  }
  // Whether items are drawn for the row: its label is 1.
  bool IsPositive(const RowBlock& block, std::uint32_t row) const {
    return LabelOf(block, row, task_labels_[0]) > 0.5f;
  }

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
    bool soft = false;
    Key missing_key;
    std::uint32_t table = 0, place = 0;  // as EmbeddedField's
  };
  struct Label {
    std::int64_t column;           // -1: not in the data
    std::uint32_t periods = 0;  // hazard: of the model; rows that were seen longer are censored at their end
    std::vector<float> class_map;  // multiclass: class of the data -> class of the model (NaN: unknown)
  };
  std::span<const Key> KeysOf(const Field& field, const RowBlock& block, std::uint32_t row) const;
  // A soft field's bins, and the share of the second one if there are two.
  std::span<const Key> BinsOf(const Field& field, float cell, float* share) const;
  // Of a table's `offsets`, from one row to the next.
  std::size_t OffsetRow(const Slice& slice, std::size_t table) const {
    return tables_[table].fields + std::size_t{slice.negatives} * tables_[table].item_fields;
  }
  float LabelOf(const RowBlock& block, std::uint32_t row, std::size_t task) const;

  std::vector<Numeric> numerics_;
  std::vector<Field> fields_;
  std::vector<FieldTable> tables_;
  TwoTowerConfig two_tower_;
  std::uint32_t item_fields_ = 0;
  std::vector<Label> labels_;             // by task of the model's data
  std::vector<std::size_t> task_labels_;  // by model task: its column among labels_
  std::uint32_t numeric_columns_ = 0, categorical_columns_ = 0, label_columns_ = 0;  // of the file
};

}  // namespace cohort

#endif  // COHORT_WORKER_ENCODER_H_
