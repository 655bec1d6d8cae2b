#include "worker/encoder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "common/check.h"

namespace cohort {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

double Log1p(double x) { return std::copysign(std::log1p(std::abs(x)), x); }

const FeatureInfo* FindFeature(const DatasetInfo& data, const std::string& name, std::size_t* index) {
  for (std::size_t i = 0; i < data.features.size(); ++i) {
    if (data.features[i].name == name) {
      *index = i;
      return &data.features[i];
    }
  }
  return nullptr;
}

const char* TypeName(FeatureType type) {
  switch (type) {
    case FeatureType::kNumeric:
      return "numeric";
    case FeatureType::kCategorical:
      return "categorical";
    case FeatureType::kBag:
      return "bag";
    case FeatureType::kVector:
      return "vector";
  }
  return "unknown";
}

void AppendIds(std::span<const Key> ids, DistinctKeys* keys, std::vector<std::uint32_t>* positions) {
  if (ids.size() == 1) {
    positions->push_back(keys->Add(ids[0]));
    return;
  }
  const std::size_t first = positions->size();
  positions->resize(first + ids.size());
  const std::uint32_t number = keys->Add(ids);
  std::iota(positions->begin() + static_cast<std::ptrdiff_t>(first), positions->end(), number);
}

}  // namespace

Result<Encoder> Encoder::Create(const ModelSpec& spec, const DatasetInfo& data) {
  Encoder encoder;
  encoder.numeric_columns_ = data.CountOf(FeatureType::kNumeric);
  encoder.categorical_columns_ = data.CountOf(FeatureType::kCategorical);
  encoder.label_columns_ = static_cast<std::uint32_t>(data.tasks.size());

  auto column_of = [&](const FeatureInfo& wanted) -> Result<std::uint32_t> {
    std::size_t index = 0;
    const FeatureInfo* found = FindFeature(data, wanted.name, &index);
    if (found == nullptr) {
      return InvalidInput(
          "the dataset has no feature '" + wanted.name +
          "', which the model was trained on; prepare it with the schema of the training data");
    }
    if (found->type != wanted.type) {
      return InvalidInput("feature '" + wanted.name + "' is " + TypeName(found->type) +
                          " in the dataset and " + TypeName(wanted.type) +
                          " in the model; prepare it with the schema of the training data");
    }
    if (found->length != wanted.length) {
      return InvalidInput("vector '" + wanted.name + "' has " + std::to_string(found->length) +
                          " numbers in the dataset and " + std::to_string(wanted.length) +
                          " in the model; prepare it with the schema of the training data");
    }
    return data.ColumnOf(index);
  };

  for (const NumericInput& input : spec.numerics) {
    const FeatureInfo& feature = spec.data.features[input.feature];
    COHORT_ASSIGN_OR_RETURN(std::uint32_t column, column_of(feature));
    Numeric numeric{-1, column, encoder.numeric_columns_, input.missing_indicator, feature.scale, 0.0, 1.0};
    if (feature.type == FeatureType::kVector) {
      numeric.vector = column;
      numeric.column = input.element;
      numeric.width = feature.length;
    }
    switch (feature.scale) {
      case NumericScale::kStandard:
      case NumericScale::kLog1p:
        numeric.shift = feature.mean;
        numeric.factor = feature.deviation > 0 ? 1.0 / feature.deviation : 1.0;
        break;
      case NumericScale::kMinMax:
        numeric.shift = feature.minimum;
        numeric.factor = feature.maximum > feature.minimum ? 1.0 / (feature.maximum - feature.minimum) : 1.0;
        break;
      case NumericScale::kNone:
        break;
    }
    encoder.numerics_.push_back(numeric);
  }
  for (const EmbeddedField& embedded : spec.fields) {
    const FeatureInfo& feature = spec.data.features[embedded.feature];
    COHORT_ASSIGN_OR_RETURN(std::uint32_t column, column_of(feature));
    Field field{.type = feature.type,
                .column = column,
                .missing_key = MissingKey(feature.name),
                .table = embedded.table,
                .place = embedded.place};
    if (embedded.bin) {
      field.edges = feature.bin_edges;
      for (int bin = 0; bin <= static_cast<int>(field.edges.size()); ++bin) {
        field.bin_keys.push_back(BinKey(feature.name, bin));
      }
      field.missing_key = BinKey(feature.name, -1);
      field.soft = embedded.soft;
    }
    encoder.fields_.push_back(std::move(field));
  }
  for (const TaskInfo& task : spec.data.tasks) {
    Label label{-1, task.periods, {}};
    for (std::size_t i = 0; i < data.tasks.size(); ++i) {
      if (data.tasks[i].name != task.name || data.tasks[i].type != task.type) continue;
      label.column = static_cast<std::int64_t>(i);
      for (const std::string& name : data.tasks[i].classes) {
        const auto found = std::find(task.classes.begin(), task.classes.end(), name);
        label.class_map.push_back(
            found == task.classes.end() ? kNaN : static_cast<float>(found - task.classes.begin()));
      }
    }
    encoder.labels_.push_back(std::move(label));
  }
  encoder.tables_ = spec.tables;
  encoder.two_tower_ = spec.config.two_tower;
  encoder.item_fields_ = spec.item_fields;
  for (const ModelTask& task : spec.tasks) encoder.task_labels_.push_back(task.label_column);
  return encoder;
}

float Encoder::LabelOf(const RowBlock& block, std::uint32_t row, std::size_t task) const {
  const Label& label = labels_[task];
  if (label.column < 0) return kNaN;
  const float value =
      block.labels[static_cast<std::size_t>(row) * label_columns_ + static_cast<std::size_t>(label.column)];
  if (label.periods > 0 && std::abs(value) > static_cast<float>(label.periods))
    return -static_cast<float>(label.periods);
  if (label.class_map.empty() || std::isnan(value)) return value;
  const auto index = static_cast<std::size_t>(value);
  return index < label.class_map.size() ? label.class_map[index] : kNaN;
}

void Encoder::Start(std::uint32_t padded_rows, Slice* slice, std::uint32_t negatives) const {
  slice->negatives = negatives;
  slice->corrections.clear();
  slice->rows = 0;
  slice->padded_rows = padded_rows;
  slice->numeric.assign(static_cast<std::size_t>(padded_rows) * numerics_.size(), 0.0f);
  slice->ids.resize(tables_.size());
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    SliceIds& ids = slice->ids[t];
    ids.offsets.resize(padded_rows * OffsetRow(*slice, t) + 1);
    ids.offsets[0] = 0;
    ids.positions.clear();
    ids.distinct.clear();
  }
  slice->shares.clear();
  slice->labels.assign(static_cast<std::size_t>(padded_rows) * labels_.size(), kNaN);
  slice->weights.assign(padded_rows, 0.0f);
}

std::span<const Key> Encoder::KeysOf(const Field& field, const RowBlock& block, std::uint32_t row) const {
  switch (field.type) {
    case FeatureType::kNumeric: {
      const float cell = block.numeric[static_cast<std::size_t>(row) * numeric_columns_ + field.column];
      if (std::isnan(cell)) return {&field.missing_key, 1};
      const auto bin = std::upper_bound(field.edges.begin(), field.edges.end(), cell) - field.edges.begin();
      return {&field.bin_keys[static_cast<std::size_t>(bin)], 1};
    }
    case FeatureType::kCategorical:
      return {&block.categorical[static_cast<std::size_t>(row) * categorical_columns_ + field.column], 1};
    case FeatureType::kBag: {
      const std::uint64_t* offsets = block.bag_offsets[field.column].data() + row;
      return {block.bag_keys[field.column].data() + offsets[0], offsets[1] - offsets[0]};
    }
    case FeatureType::kVector:  // is no field
      break;
  }
  return {};
}

// A bin's middle is halfway between its edges; the first and the last bin, which have but one, count in full beyond it.
// Bins follow each other in bin_keys.
std::span<const Key> Encoder::BinsOf(const Field& field, float cell, float* share) const {
  if (std::isnan(cell)) return {&field.missing_key, 1};
  const std::vector<float>& edges = field.edges;
  const auto bin = static_cast<std::size_t>(std::upper_bound(edges.begin(), edges.end(), cell) - edges.begin());
  const std::size_t last = edges.size();
  if (bin == 0 || bin == last) return {&field.bin_keys[bin], 1};
  const auto middle = [&](std::size_t b) {
    const double below = edges[b == 0 ? 0 : b - 1], above = edges[b == last ? last - 1 : b];
    return (below + above) / 2;
  };
  const std::size_t first = cell < middle(bin) ? bin - 1 : bin;
  *share = static_cast<float>((cell - middle(first)) / (middle(first + 1) - middle(first)));
  return {&field.bin_keys[first], 2};
}

void Encoder::Append(const RowBlock& block, std::uint32_t row, DistinctKeys* keys, Slice* slice) const {
  COHORT_CHECK(slice->rows < slice->padded_rows);
  const std::size_t at = slice->rows++;
  float* out = slice->numeric.data() + at * numerics_.size();
  for (const Numeric& numeric : numerics_) {
    const std::vector<float>& values =
        numeric.vector < 0 ? block.numeric : block.vectors[static_cast<std::size_t>(numeric.vector)];
    const float cell = values[static_cast<std::size_t>(row) * numeric.width + numeric.column];
    const bool missing = std::isnan(cell);
    if (numeric.missing_indicator) {
      *out++ = missing ? 1.0f : 0.0f;
    } else if (missing) {
      *out++ = 0.0f;  // the mean, after scaling
    } else {
      const double value = numeric.scale == NumericScale::kLog1p ? Log1p(cell) : static_cast<double>(cell);
      *out++ = static_cast<float>((value - numeric.shift) * numeric.factor);
    }
  }
  SliceIds* ids = nullptr;  // of the table of the field at hand; neighbours mostly have the same
  std::uint32_t* offsets = nullptr;
  for (const Field& field : fields_) {
    if (SliceIds* const of_table = &slice->ids[field.table]; of_table != ids) {
      ids = of_table;
      offsets = ids->offsets.data() + at * OffsetRow(*slice, field.table) + 1;
    }
    if (field.soft) {
      const float cell = block.numeric[static_cast<std::size_t>(row) * numeric_columns_ + field.column];
      AppendIds(BinsOf(field, cell, &slice->shares.emplace_back()), keys + field.table, &ids->positions);
    } else {
      AppendIds(KeysOf(field, block, row), keys + field.table, &ids->positions);
    }
    offsets[field.place] = static_cast<std::uint32_t>(ids->positions.size());
  }
  float* labels = slice->labels.data() + at * labels_.size();
  for (std::size_t task = 0; task < labels_.size(); ++task) labels[task] = LabelOf(block, row, task);
  slice->weights[at] = block.weights.empty() ? 1.0f : block.weights[row];
}

void Encoder::FetchPlaces(const RowBlock& block, std::uint32_t row) const {
  const auto fetch = [row](const auto& values, std::size_t width) {
    constexpr std::size_t kLine = 64 / sizeof(values[0]);
    const auto* of_row = values.data() + row * width;
    for (std::size_t i = 0; i < width; i += kLine) __builtin_prefetch(of_row + i);
  };
  fetch(block.numeric, numeric_columns_);
  fetch(block.categorical, categorical_columns_);
  fetch(block.labels, label_columns_);
  for (const Field& field : fields_)
    if (field.type == FeatureType::kBag) fetch(block.bag_offsets[field.column], 1);
}

void Encoder::FetchIds(const RowBlock& block, std::uint32_t row) const {
  constexpr std::uint64_t kLine = 64 / sizeof(Key);
  for (const Field& field : fields_) {
    if (field.type != FeatureType::kBag) continue;
    const std::uint64_t* offsets = block.bag_offsets[field.column].data() + row;
    const Key* ids = block.bag_keys[field.column].data();
    for (std::uint64_t i = offsets[0]; i < offsets[1]; i += kLine) __builtin_prefetch(ids + i);
  }
}

void Encoder::AppendItemField(std::span<const Key> ids, std::uint32_t nth, std::uint32_t field,
                              DistinctKeys* keys, Slice* slice) const {
  const Field& own = fields_[fields_.size() - item_fields_ + field];
  SliceIds& into = slice->ids[own.table];
  AppendIds(ids, keys + own.table, &into.positions);
  const std::size_t row = slice->rows - 1;
  into.offsets[row * OffsetRow(*slice, own.table) + own.place +
               (nth + std::size_t{1}) * tables_[own.table].item_fields + 1] =
      static_cast<std::uint32_t>(into.positions.size());
}

void Encoder::Finish(Slice* slice) const {
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    SliceIds& ids = slice->ids[t];
    std::fill(ids.offsets.begin() + static_cast<std::ptrdiff_t>(slice->rows * OffsetRow(*slice, t)) + 1,
              ids.offsets.end(), static_cast<std::uint32_t>(ids.positions.size()));
  }
}

void Encoder::AddLabelledWeight(const RowBlock& block, std::uint32_t row, double* total_weight) const {
  const float weight = block.weights.empty() ? 1.0f : block.weights[row];
  for (std::size_t task = 0; task < task_labels_.size(); ++task) {
    if (!std::isnan(LabelOf(block, row, task_labels_[task])))
      total_weight[task] += static_cast<double>(weight);
  }
}

}  // namespace cohort
