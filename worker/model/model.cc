#include "worker/model/model.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"
#include "worker/model/chain_losses.h"
#include "worker/model/dropout.h"
#include "worker/model/kernels.h"
#include "worker/model/layout.h"
#include "worker/model/losses.h"
#include "worker/model/matrix.h"
#include "worker/model/structure.h"

namespace cohort {
namespace {

// DropOut's place of the input x: no layer has its weights there.
constexpr std::uint64_t kInputPlace = ~std::uint64_t{0};

}  // namespace

// Only the first input.rows rows of anything are computed: the padding costs nothing and cannot change a bit.
template <typename T>
struct Model<T>::Impl {
  Impl(const ModelSpec& model_spec, std::size_t rows)
      : spec(model_spec),
        layout(LayoutOf(spec)),
        kernels(ActiveKernels<T>()),
        capacity(rows),
        embedded(spec.fields.size() * spec.config.embedding_dim),
        structure(layout, spec.chain, rows, embedded),
        losses(rows),
        chain_losses(spec, rows),
        x(rows, spec.InputWidth()),
        dx(rows, std::max<std::size_t>(embedded, 1)) {
    for (const EmbeddedField& field : spec.fields) {
      const FeatureInfo& feature = spec.data.features[field.feature];
      mean.push_back(feature.type == FeatureType::kBag && feature.pooling == Pooling::kMean ? 1 : 0);
    }
  }

  LookupArguments<T> Lookup(const SliceInput<T>& input) const {
    return {.rows = input.rows,
            .fields = spec.fields.size(),
            .dim = spec.config.embedding_dim,
            .offsets = input.offsets,
            .positions = input.positions,
            .mean = mean.data()};
  }

  MatrixView<const T> Forward(const SliceInput<T>& input, const DropoutDraw& draw) {
    COHORT_CHECK(input.rows <= capacity, "%u rows in a model for %zu", input.rows, capacity);
    COHORT_CHECK(dense != nullptr, "SetDense has not been called");
    const MatrixView<T> view = x.view();
    if (embedded > 0) kernels.gather(Lookup(input), input.distinct, input.embeddings, view.data, view.row);
    DropOut(input.rows, embedded, spec.config.embedding_dropout, draw, kInputPlace, view);
    const std::size_t count = spec.numerics.size();
    for (std::size_t i = 0; i < input.rows; ++i) {
      std::copy_n(input.numeric + i * count, count, view.Row(i) + embedded);
    }
    const MatrixView<const T> features{view.data, view.row};
    structure.Forward(input.rows, features, draw);
    return features;
  }

  void AddL2(T* gradient) const {
    for (const OwnWeights& own : layout.own_weights) {
      const T lambda = static_cast<T>(spec.tasks[own.task].config.l2);
      if (lambda == T{0}) continue;
      for (std::uint64_t row = 0; row < own.rows; ++row) {
        const std::uint64_t begin = own.begin + row * own.stride;
        kernels.axpy(own.columns, lambda, dense + begin, gradient + begin);
      }
    }
  }

  const ModelSpec spec;
  const ModelLayout layout;
  const KernelTable<T>& kernels;
  const std::size_t capacity;
  const std::size_t embedded;  // columns of x that are embeddings: the first ones
  Structure<T> structure;
  Losses<T> losses;
  ChainLosses<T> chain_losses;
  Matrix<T> x, dx;
  std::vector<std::uint8_t> mean;
  const T* dense = nullptr;
  std::chrono::steady_clock::time_point backward_began{};
};

template <typename T>
Model<T>::Model(const ModelSpec& spec, std::uint32_t padded_rows)
    : impl_(std::make_unique<Impl>(spec, padded_rows)) {}
template <typename T>
Model<T>::~Model() = default;

template <typename T>
void Model<T>::SetDense(const T* dense) {
  impl_->dense = dense;
  impl_->structure.SetWeights(dense);
}

template <typename T>
void Model<T>::Step(const SliceInput<T>& input, const double* total_weight, bool with_l2,
                    const SliceResult<T>& result) {
  Impl& m = *impl_;
  const DropoutDraw draw{true, input.dropout_key};
  const MatrixView<const T> x = m.Forward(input, draw);
  for (std::size_t j = 0; j < m.spec.tasks.size(); ++j) {
    if (m.chain_losses.Owns(j)) continue;
    const ModelTask& task = m.spec.tasks[j];
    const MatrixView<T> z = m.structure.logits(j);
    result.loss_sum[j] = m.losses.Gradient(task, input.rows, {z.data, z.row},
                                           input.labels + task.label_column, m.spec.data.tasks.size(),
                                           input.weights, total_weight[j], m.structure.logit_gradient(j));
  }
  m.chain_losses.Gradient(input.rows, input.labels, m.spec.data.tasks.size(), input.weights, total_weight,
                          m.structure, result.loss_sum);
  m.backward_began = std::chrono::steady_clock::now();
  m.structure.Backward(input.rows, x, result.dense_gradient, m.dx.view());
  if (with_l2) m.AddL2(result.dense_gradient);
  if (m.embedded > 0) {
    DropOut(input.rows, m.embedded, m.spec.config.embedding_dropout, draw, kInputPlace, m.dx.view());
    std::fill_n(result.embedding_gradient, std::size_t{input.distinct_count} * m.spec.config.embedding_dim,
                T{0});
    m.kernels.scatter(m.Lookup(input), m.dx.view().data, m.dx.view().row, result.embedding_gradient);
  }
}

template <typename T>
std::chrono::steady_clock::time_point Model<T>::backward_began() const {
  return impl_->backward_began;
}

template <typename T>
void Model<T>::Predict(const SliceInput<T>& input, T* predictions) {
  Impl& m = *impl_;
  m.Forward(input, {});
  for (std::size_t j = 0; j < m.spec.tasks.size(); ++j) {
    if (m.chain_losses.Owns(j)) continue;
    const ModelTask& task = m.spec.tasks[j];
    const MatrixView<T> z = m.structure.logits(j);
    m.losses.Predict(task, input.rows, {z.data, z.row}, predictions + task.prediction_column,
                     m.spec.prediction_columns);
  }
  m.chain_losses.Predict(input.rows, m.structure, predictions, m.spec.prediction_columns);
}

template class Model<float>;
template class Model<double>;

}  // namespace cohort
