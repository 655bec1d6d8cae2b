#include "worker/model/model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "common/check.h"
#include "worker/model/autoencoder.h"
#include "worker/model/chain_losses.h"
#include "worker/model/dropout.h"
#include "worker/model/field_tables.h"
#include "worker/model/kernels.h"
#include "worker/model/layout.h"
#include "worker/model/losses.h"
#include "worker/model/matrix.h"
#include "worker/model/sequence_inputs.h"
#include "worker/model/structure.h"
#include "worker/model/task_balance.h"
#include "worker/model/two_tower.h"

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
        embedded(spec.EmbeddedWidth()),
        dropped(embedded - (spec.HasAutoencoder() ? spec.config.autoencoder.bottleneck : 0)),
        soft_fields(spec.SoftFields()),
        runs(FieldRuns(spec, 0, spec.PooledFields())),
        sequences(spec, layout, rows),
        structure(layout, spec.chain, rows, embedded),
        losses(rows),
        chain_losses(spec, rows),
        balance(spec, layout),
        coefficients(spec.tasks.size()),
        labelled_weight(spec.tasks.size()),
        x(spec.IsTwoTower() ? 0 : rows, spec.InputWidth()),
        dx(spec.IsTwoTower() ? 0 : rows, std::max<std::size_t>(embedded, 1)),
        gradient_sizes(spec.tables.size()) {
    if (layout.autoencoder) autoencoder.emplace(spec, *layout.autoencoder, rows);
    for (const EmbeddedField& field : spec.fields) {
      const FeatureInfo& feature = spec.data.features[field.feature];
      const bool mean = feature.type == FeatureType::kBag && field.pooling == Pooling::kMean;
      pooling.push_back(field.soft ? kPoolShares : mean ? kPoolMean : kPoolSum);
    }
    if (spec.IsTwoTower()) two_tower.emplace(spec, layout, rows, pooling);
  }

  LookupArguments<T> Lookup(const SliceInput<T>& input, const FieldRun& run) const {
    const SliceIds& ids = input.ids[run.table];
    return {.rows = input.rows,
            .fields = run.fields,
            .dim = spec.fields[run.field].dim,
            .offset_row = spec.tables[run.table].fields,
            .offsets = ids.offsets.data() + run.place,
            .positions = ids.positions.data(),
            .pooling = pooling.data() + run.field,
            .shares = input.shares + run.soft,
            .share_row = soft_fields};
  }

  MatrixView<const T> Forward(const SliceInput<T>& input, const DropoutDraw& draw) {
    COHORT_CHECK(input.rows <= capacity, "%u rows in a model for %zu", input.rows, capacity);
    COHORT_CHECK(dense != nullptr, "SetDense has not been called");
    const MatrixView<T> view = x.view();
    for (const FieldRun& run : runs) {
      kernels.gather(Lookup(input, run), input.ids[run.table].distinct.data(),
                     input.embeddings[run.table].data(), view.From(spec.fields[run.field].column).data,
                     view.row);
    }
    sequences.Forward(input, view);
    DropOut(input.rows, dropped, spec.config.embedding_dropout, draw, kInputPlace, view);
    const std::size_t count = spec.numerics.size();
    for (std::size_t i = 0; i < input.rows; ++i) {
      std::copy_n(input.numeric + i * count, count, view.Row(i) + embedded);
    }
    if (autoencoder) autoencoder->Forward(input.rows, view);
    const MatrixView<const T> features{view.data, view.row};
    structure.Forward(input.rows, features, draw);
    for (std::size_t j = 0; j < spec.tasks.size(); ++j)
      AddOffset(spec.tasks[j], input.rows, features.From(embedded), structure.logits(j));
    return features;
  }

  // The losses of all tasks, and the gradients by their raw outputs at these coefficients (losses.h), by task.
  void RunLosses(const SliceInput<T>& input, double* loss_sum) {
    const std::size_t stride = spec.data.tasks.size();
    for (std::size_t j = 0; j < spec.tasks.size(); ++j) {
      if (chain_losses.Owns(j)) continue;
      const MatrixView<T> z = structure.logits(j);
      loss_sum[j] = losses.Gradient(spec.tasks[j], input.rows, {z.data, z.row},
                                    input.labels + spec.tasks[j].label_column, stride, input.weights,
                                    coefficients[j], structure.logit_gradient(j));
    }
    chain_losses.Gradient(input.rows, input.labels, stride, input.weights, coefficients.data(), structure,
                          loss_sum);
  }

  // From the gradient by the inputs to those of the sequences' layers and of the embedding rows.
  void InputsBackward(const SliceInput<T>& input, MatrixView<const T> features, T* dense_gradient,
                      T* const* gradient) {
    if (embedded == 0) return;
    DropOut(input.rows, dropped, spec.config.embedding_dropout, DropoutDraw{true, input.dropout_key},
            kInputPlace, dx.view());
    for (std::size_t t = 0; t < spec.tables.size(); ++t)
      std::fill_n(gradient[t], GradientSize(input, t), T{0});
    // What the encoders read was not dropped, what they gave was. Before the pooled fields': it adds to the gradients of the targets.
    sequences.Backward(input, features, dx.view(), dense_gradient, gradient);
    for (const FieldRun& run : runs) {
      kernels.scatter(Lookup(input, run), dx.view().From(spec.fields[run.field].column).data, dx.view().row,
                      gradient[run.table]);
    }
  }

  std::size_t GradientSize(const SliceInput<T>& input, std::size_t table) const {
    return input.ids[table].distinct.size() * spec.tables[table].rows.embedding_dim;
  }

  // Backward for all tasks at once.
  void BackwardTogether(const SliceInput<T>& input, MatrixView<const T> features, const double* total_weight,
                        const SliceResult<T>& result) {
    for (std::size_t j = 0; j < spec.tasks.size(); ++j) coefficients[j] = Coefficient(j, total_weight);
    RunLosses(input, result.loss_sum);
    backward_began = std::chrono::steady_clock::now();
    structure.Backward(input.rows, features, result.dense_gradient, dx.view());
    if (autoencoder) {
      const double loss = autoencoder->Backward(input, dx.view(), result.dense_gradient);
      if (result.reconstruction_loss != nullptr) *result.reconstruction_loss = loss;
    }
    InputsBackward(input, features, result.dense_gradient, result.embedding_gradient);
  }

  void StepOfTowers(const SliceInput<T>& input, const double* total_weight, const SliceResult<T>& result) {
    two_tower->Forward(input, {true, input.dropout_key});
    *result.loss_sum = two_tower->Loss(input, Coefficient(0, total_weight));
    backward_began = std::chrono::steady_clock::now();
    two_tower->Backward(input, result.dense_gradient, result.embedding_gradient);
  }

  // Backward for one task after the other, as the balance of tasks wants it.
  void BackwardByTask(const SliceInput<T>& input, MatrixView<const T> features, const double* total_weight,
                      const SliceResult<T>& result) {
    std::vector<std::size_t>& sizes = gradient_sizes;
    for (std::size_t t = 0; t < sizes.size(); ++t) sizes[t] = embedded > 0 ? GradientSize(input, t) : 0;
    balance.Start(sizes);
    for (std::size_t j = 0; j < spec.tasks.size(); ++j) {
      std::fill(coefficients.begin(), coefficients.end(), 0.0);
      coefficients[j] = Coefficient(j, total_weight);
      RunLosses(input, result.loss_sum);
      if (j == 0) backward_began = std::chrono::steady_clock::now();
      structure.Backward(input.rows, features, balance.dense(), dx.view());
      InputsBackward(input, features, balance.dense(), balance.embedding(j));
      balance.Add(j, result.dense_gradient);
    }
    balance.Combine(input.dropout_key, result.dense_gradient, result.embedding_gradient);
  }

  double Coefficient(std::size_t task, const double* total_weight) const {
    return total_weight[task] > 0.0 ? balance.Factor(task) / total_weight[task] : 0.0;
  }

  void SumLabelledWeights(const SliceInput<T>& input) {
    for (std::size_t j = 0; j < spec.tasks.size(); ++j) {
      const float* labels = input.labels + spec.tasks[j].label_column;
      labelled_weight[j] = 0.0;
      for (std::size_t i = 0; i < input.rows; ++i) {
        if (!std::isnan(labels[i * spec.data.tasks.size()]))
          labelled_weight[j] += static_cast<double>(input.weights[i]);
      }
    }
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
  const std::size_t embedded;  // columns of x that have a gradient: the first ones
  const std::size_t dropped;   // of them, those that embedding_dropout applies to: all but the bottleneck
  const std::size_t soft_fields;
  const std::vector<FieldRun> runs;  // of the pooled fields
  SequenceInputs<T> sequences;
  std::optional<Autoencoder<T>> autoencoder;
  Structure<T> structure;
  std::optional<TwoTower<T>> two_tower;  // then neither sequences, autoencoder nor structure
  Losses<T> losses;
  ChainLosses<T> chain_losses;
  TaskBalance<T> balance;
  std::vector<double> coefficients;     // by task, of the losses' gradients
  std::vector<double> labelled_weight;  // by task, of the slice
  Matrix<T> x, dx;
  std::vector<std::uint8_t> pooling;        // by field
  std::vector<std::size_t> gradient_sizes;  // by table, of the slice
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
  impl_->sequences.SetWeights(dense);
  if (impl_->autoencoder) impl_->autoencoder->SetWeights(dense);
  impl_->structure.SetWeights(dense);
  if (impl_->two_tower) impl_->two_tower->SetWeights(dense);
  impl_->balance.SetWeights(dense);
}

template <typename T>
void Model<T>::Step(const SliceInput<T>& input, const double* total_weight, bool with_l2,
                    const SliceResult<T>& result) {
  Impl& m = *impl_;
  if (m.two_tower) {
    m.StepOfTowers(input, total_weight, result);
    if (with_l2) m.AddL2(result.dense_gradient);
    return;
  }
  const DropoutDraw draw{true, input.dropout_key};
  const MatrixView<const T> x = m.Forward(input, draw);
  if (m.balance.ByTask()) {
    m.SumLabelledWeights(input);
    m.BackwardByTask(input, x, total_weight, result);
  } else {
    m.BackwardTogether(input, x, total_weight, result);
  }
  m.balance.LearnedGradient({result.loss_sum, m.labelled_weight.data(), total_weight, with_l2},
                            result.dense_gradient);
  if (with_l2) m.AddL2(result.dense_gradient);
}

template <typename T>
std::chrono::steady_clock::time_point Model<T>::backward_began() const {
  return impl_->backward_began;
}

template <typename T>
void Model<T>::Predict(const SliceInput<T>& input, T* predictions) {
  Impl& m = *impl_;
  if (m.two_tower) {
    m.two_tower->Forward(input);
    m.two_tower->Predict(input.rows, predictions);
    return;
  }
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

template <typename T>
void Model<T>::Inputs(const SliceInput<T>& input, T* inputs) {
  Impl& m = *impl_;
  COHORT_CHECK(!m.two_tower, "a two_tower has no structure");
  const MatrixView<const T> x = m.Forward(input, {});
  for (std::size_t i = 0; i < input.rows; ++i)
    std::copy_n(x.Row(i), m.spec.InputWidth(), inputs + i * m.spec.InputWidth());
}

template class Model<float>;
template class Model<double>;

}  // namespace cohort
