#include "worker/model/two_tower.h"

#include <algorithm>
#include <cmath>

#include "common/check.h"
#include "worker/model/dropout.h"

namespace cohort {
namespace {

// DropOut's places of the embeddings: no layer has its weights there.
constexpr std::uint64_t kUserPlace = ~std::uint64_t{0}, kItemPlace = kUserPlace - 1;

}  // namespace

template <typename T>
TwoTower<T>::TwoTower(const ModelSpec& spec, const ModelLayout& layout, std::size_t capacity,
                      const std::vector<std::uint8_t>& pooling)
    : spec_(spec),
      layout_(layout),
      kernels_(ActiveKernels<T>()),
      capacity_(capacity),
      pooling_(pooling),
      dim_(spec.config.embedding_dim),
      vector_(layout.user_tower.empty() ? dim_ : layout.user_tower.back().outputs),
      log_sums_(capacity) {
  for (const FieldTable& table : spec.tables)
    COHORT_CHECK(table.fields == 0 || table.rows.embedding_dim == dim_,
                 "towers multiply embeddings of one width");
  user_.fields = spec.UserFields();
  user_.numbers = static_cast<std::uint32_t>(spec.numerics.size());
  user_.place = kUserPlace;
  item_.first_field = user_.fields;
  item_.fields = spec.item_fields;
  item_.place = kItemPlace;
  for (Side* side : {&user_, &item_}) side->runs = FieldRuns(spec_, side->first_field, side->fields);
  Reserve(layout.user_tower, 1, &user_);
  ReserveItems(1);
}

template <typename T>
void TwoTower<T>::Reserve(const std::vector<LayerShape>& layers, std::uint32_t blocks, Side* side) {
  const std::size_t count = capacity_ * blocks;
  side->pooling.clear();
  for (std::uint32_t b = 0; b < blocks; ++b)
    side->pooling.insert(side->pooling.end(), pooling_.begin() + side->first_field,
                         pooling_.begin() + side->first_field + side->fields);
  side->tower = LayerStack<T>(layers, count, side->fields * dim_);
  if (dense_ != nullptr) side->tower.SetWeights(dense_);
  side->vectors = AlignedArray<T>(count * vector_);
  side->gradient = AlignedArray<T>(count * vector_);
  if (side->IsOneEmbedding()) return;
  side->input = AlignedArray<T>(count * BlockWidth(*side));
  side->input_gradient = AlignedArray<T>(count * BlockWidth(*side));
}

template <typename T>
void TwoTower<T>::ReserveItems(std::uint32_t blocks) {
  if (blocks <= reserved_) return;
  reserved_ = blocks;
  Reserve(layout_.item_tower, blocks, &item_);
  scores_ = AlignedArray<T>(capacity_ * blocks);
  score_gradient_ = AlignedArray<T>(capacity_ * blocks);
  scratch_ = AlignedArray<T>(capacity_ * blocks);
}

template <typename T>
void TwoTower<T>::SetWeights(const T* dense) {
  dense_ = dense;
  user_.tower.SetWeights(dense);
  item_.tower.SetWeights(dense);
}

template <typename T>
template <typename Look>
void TwoTower<T>::EachLookup(const SliceInput<T>& input, const Side& side, const Look& look) const {
  const bool together = side.runs.size() == 1;
  for (const FieldRun& run : side.runs) {
    const FieldTable& table = spec_.tables[run.table];
    const SliceIds& ids = input.ids[run.table];
    LookupArguments<T> lookup{.rows = input.rows,
                              .fields = together ? side.blocks * side.fields : run.fields,
                              .dim = dim_,
                              .offset_row = table.fields + std::size_t{input.negatives} * table.item_fields,
                              .offsets = ids.offsets.data() + run.place,
                              .positions = ids.positions.data(),
                              .pooling = together ? side.pooling.data() : pooling_.data() + run.field};
    std::size_t column = (run.field - side.first_field) * dim_;
    for (std::uint32_t block = 0; block < (together ? 1 : side.blocks); ++block) {
      look(lookup, run.table, column);
      lookup.offsets += table.item_fields;  // a block's fields follow those of the one before
      column += BlockWidth(side);
    }
  }
}

template <typename T>
void TwoTower<T>::Embed(const SliceInput<T>& input, const DropoutDraw& draw, Side* side) {
  const std::size_t count = input.rows * std::size_t{side->blocks}, width = BlockWidth(*side);
  T* vectors = side->vectors.data();
  T* x = side->IsOneEmbedding() ? vectors : side->input.data();
  EachLookup(input, *side, [&](const LookupArguments<T>& lookup, std::uint32_t table, std::size_t column) {
    kernels_.gather(lookup, input.ids[table].distinct.data(), input.embeddings[table].data(), x + column,
                    static_cast<std::ptrdiff_t>(side->blocks * width));
  });
  const float rate = spec_.config.embedding_dropout;
  if (side->tower.empty()) {
    for (std::size_t i = 0; !side->IsOneEmbedding() && i < count; ++i) {
      std::copy_n(x + i * width, dim_, vectors + i * vector_);
      for (std::uint32_t f = 1; f < side->fields; ++f)
        kernels_.axpy(dim_, T{1}, x + i * width + f * dim_, vectors + i * vector_);
    }
    // The bias stays.
    DropOut<T>(count, vector_ - 1, rate, draw, side->place, {vectors, static_cast<std::ptrdiff_t>(vector_)});
    return;
  }
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(width);
  DropOut<T>(count, width - side->numbers, rate, draw, side->place, {x, row});
  for (std::size_t i = 0; i < count && side->numbers > 0; ++i)
    std::copy_n(input.numeric + i * side->numbers, side->numbers, x + (i + 1) * width - side->numbers);
  side->tower.Forward(count, {x, row}, draw);
  for (std::size_t i = 0; i < count; ++i)
    std::copy_n(side->tower.output().Row(i), vector_, vectors + i * vector_);
}

template <typename T>
void TwoTower<T>::Forward(const SliceInput<T>& input, const DropoutDraw& draw) {
  COHORT_CHECK(input.rows <= capacity_, "%u rows in a model for %zu", input.rows, capacity_);
  COHORT_CHECK(dense_ != nullptr, "SetWeights has not been called");
  const std::size_t items = 1 + input.negatives;
  ReserveItems(1 + input.negatives);
  draw_ = draw;
  user_.blocks = 1;
  item_.blocks = 1 + input.negatives;
  Embed(input, draw, &user_);
  Embed(input, draw, &item_);
  const T bias = dense_[layout_.score_bias];
  const std::ptrdiff_t next = static_cast<std::ptrdiff_t>(vector_);
  for (std::size_t i = 0; i < input.rows; ++i) {
    T* user = user_.vectors.data() + i * vector_;
    user[vector_ - 1] = T{1};  // what the item's bias is multiplied with
    kernels_.row_dots(items, vector_, user, 0, item_.vectors.data() + i * items * vector_, next,
                      scores_.data() + i * items, 1);
  }
  for (std::size_t i = 0; i < input.rows * items; ++i) scores_.data()[i] += bias;
}

template <typename T>
double TwoTower<T>::Loss(const SliceInput<T>& input, double coefficient) {
  const ModelTask& task = spec_.tasks[0];
  const std::size_t items = 1 + input.negatives, count = input.rows * items;
  const bool softmax = spec_.config.two_tower.loss == TowerLoss::kSoftmax;
  T *z = scores_.data(), *gradient = score_gradient_.data(), *softplus = scratch_.data();
  for (std::size_t i = 0; input.corrections != nullptr && i < count; ++i)
    z[i] -= static_cast<T>(input.corrections[i]);
  if (softmax) {
    const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(items);
    kernels_.softmax(input.rows, items, z, row, gradient, row, log_sums_.data());
  } else {
    kernels_.sigmoid(count, z, gradient, softplus);
  }
  double sum = 0.0;
  for (std::size_t i = 0; i < input.rows; ++i) {
    const float label = input.labels[i * spec_.data.tasks.size() + task.label_column];
    const double weight = static_cast<double>(input.weights[i]);
    T* g = gradient + i * items;
    const bool positive = label > 0.5f;  // false: no label, too
    const std::size_t counted = std::isnan(label) || !(weight > 0) || (softmax && !positive) ? 0
                                : positive                                                   ? items
                                                                                             : 1;
    if (counted > 0) {
      const T scale = static_cast<T>(coefficient * weight);
      double loss = softmax ? static_cast<double>(log_sums_.data()[i]) : 0.0;
      for (std::size_t j = 0; j < counted; ++j) {
        if (!softmax) loss += static_cast<double>(softplus[i * items + j]);
        g[j] = scale * (g[j] - (positive && j == 0 ? T{1} : T{0}));
      }
      if (positive) loss -= static_cast<double>(z[i * items]);
      sum += weight * loss;
    }
    std::fill(g + counted, g + items, T{0});
  }
  return sum;
}

template <typename T>
void TwoTower<T>::EmbedBackward(const SliceInput<T>& input, T* dense_gradient, T* const* embedding_gradient,
                                Side* side) {
  const std::size_t count = input.rows * std::size_t{side->blocks}, width = BlockWidth(*side);
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(width);
  const float rate = spec_.config.embedding_dropout;
  T *gradient = side->gradient.data(), *dx = side->IsOneEmbedding() ? gradient : side->input_gradient.data();
  if (side->tower.empty()) {
    DropOut<T>(count, vector_ - 1, rate, draw_, side->place,
               {gradient, static_cast<std::ptrdiff_t>(vector_)});
    for (std::size_t i = 0; !side->IsOneEmbedding() && i < count; ++i) {
      for (std::uint32_t f = 0; f < side->fields; ++f)
        std::copy_n(gradient + i * vector_, dim_, dx + i * width + f * dim_);
    }
  } else {
    for (std::size_t i = 0; i < count; ++i)
      std::copy_n(gradient + i * vector_, vector_, side->tower.output_gradient().Row(i));
    side->tower.Backward(count, {side->input.data(), row}, dense_gradient, {dx, row});
    DropOut<T>(count, width - side->numbers, rate, draw_, side->place, {dx, row});
  }
  EachLookup(input, *side, [&](const LookupArguments<T>& lookup, std::uint32_t table, std::size_t column) {
    kernels_.scatter(lookup, dx + column, row * static_cast<std::ptrdiff_t>(side->blocks),
                     embedding_gradient[table]);
  });
}

template <typename T>
void TwoTower<T>::Backward(const SliceInput<T>& input, T* dense_gradient, T* const* embedding_gradient) {
  const std::size_t items = 1 + input.negatives;
  const std::ptrdiff_t per_item = static_cast<std::ptrdiff_t>(items),
                       per_vector = static_cast<std::ptrdiff_t>(vector_), per_row = per_item * per_vector;
  const T* g = score_gradient_.data();
  T bias = T{0};
  for (std::size_t i = 0; i < input.rows * items; ++i) bias += g[i];
  dense_gradient[layout_.score_bias] = spec_.config.two_tower.loss == TowerLoss::kSoftmax ? T{0} : bias;
  kernels_.mix(input.rows, items, vector_, g, per_item, item_.vectors.data(), per_row, false,
               user_.gradient.data(), per_vector);
  for (std::size_t i = 0; i < input.rows; ++i) user_.gradient.data()[(i + 1) * vector_ - 1] = T{0};
  kernels_.mix_backward(input.rows, items, vector_, g, per_item, item_.vectors.data(), per_row,
                        user_.vectors.data(), per_vector, item_.gradient.data(), per_row, false,
                        scratch_.data(), per_item);
  for (std::size_t t = 0; t < spec_.tables.size(); ++t)
    std::fill_n(embedding_gradient[t], input.ids[t].distinct.size() * dim_, T{0});
  EmbedBackward(input, dense_gradient, embedding_gradient, &user_);
  EmbedBackward(input, dense_gradient, embedding_gradient, &item_);
}

template <typename T>
void TwoTower<T>::Predict(std::size_t rows, T* predictions) {
  kernels_.sigmoid(rows, scores_.data(), predictions, nullptr);
}

template class TwoTower<float>;
template class TwoTower<double>;

}  // namespace cohort
