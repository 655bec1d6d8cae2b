#include "worker/model/task_balance.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/random.h"
#include "worker/model/base_rates.h"

namespace cohort {
namespace {

constexpr std::uint64_t kOrderStream = 0x7063677261640000;
constexpr double kLeastRatio = 1e-3;  // of a loss to the first one

}  // namespace

template <typename T>
void TaskBalance<T>::AddGroups(const LayerShape& layer, std::uint32_t first, std::uint32_t count,
                               std::vector<Range>* ranges) {
  if (count == 0) return;
  const std::uint64_t outputs = layer.outputs;
  if (layer.shared_input) {
    for (std::uint64_t row = 0; row < layer.inputs; ++row)
      ranges->push_back({layer.weights + row * layer.Width() + first * outputs, count * outputs});
  } else {
    ranges->push_back({layer.weights + first * layer.inputs * outputs, count * layer.inputs * outputs});
  }
  ranges->push_back({layer.biases + first * outputs, count * outputs});
}

template <typename T>
void TaskBalance<T>::FindShared(const ModelLayout& layout) {
  const auto add = [&](const LayerShape& layer, std::uint32_t first, bool last) {
    if (balance_ == Balance::kPcGrad) AddGroups(layer, first, layer.groups - first, &ranges_);
    if (balance_ == Balance::kGradNorm && last) AddGroups(layer, first, layer.groups - first, &last_ranges_);
  };
  for (const LayerShape& layer : layout.bottom) {
    if (layer.groups == 1) add(layer, 0, &layer == &layout.bottom.back());
  }
  for (const ExpertLevelShape& level : layout.levels) {
    const std::vector<LayerShape>& experts = level.stacks.back();
    const std::uint32_t own = level.first ? level.tasks * level.task_experts : 0;
    for (const LayerShape& layer : experts)
      add(layer, own, &level == &layout.levels.back() && &layer == &experts.back());
    if (level.shared_gate) add(*level.shared_gate, 0, false);
  }
  for (const Range& range : ranges_) shared_count_ += range.count;
}

template <typename T>
TaskBalance<T>::TaskBalance(const ModelSpec& spec, const ModelLayout& layout)
    : kernels_(ActiveKernels<T>()),
      balance_(spec.balance),
      alpha_(static_cast<T>(spec.gradnorm_alpha)),
      tasks_(spec.tasks),
      learned_(layout.learned_balance),
      learned_factors_(spec.tasks.size(), T{1}),
      norms_(spec.tasks.size()),
      ratios_(spec.tasks.size()) {
  for (const ModelTask& task : tasks_) {
    factors_.push_back(static_cast<double>(task.config.weight));
    first_losses_.push_back(BaseRatesOf(task).loss);
  }
  if (!ByTask()) return;
  FindShared(layout);
  dense_.resize(layout.dense_count);
  shared_.resize(tasks_.size());
}

template <typename T>
bool TaskBalance<T>::Learns(std::size_t task) const {
  return balance_ == Balance::kGradNorm ||
         (balance_ == Balance::kUncertainty && tasks_[task].info.type != TaskType::kValue);
}

template <typename T>
void TaskBalance<T>::SetWeights(const T* dense) {
  const std::size_t n = tasks_.size();
  if (balance_ == Balance::kUncertainty) {
    for (std::size_t j = 0; j < n; ++j) learned_factors_[j] = T{-2} * dense[learned_ + j];
    kernels_.exp(n, learned_factors_.data(), learned_factors_.data());
  } else if (balance_ == Balance::kGradNorm) {
    const auto row = static_cast<std::ptrdiff_t>(n);
    kernels_.softmax(1, n, dense + learned_, row, learned_factors_.data(), row, nullptr);
    for (T& factor : learned_factors_) factor *= static_cast<T>(n);
  }
  for (std::size_t j = 0; j < n; ++j) {
    factors_[j] = static_cast<double>(tasks_[j].config.weight);
    if (Learns(j)) factors_[j] *= static_cast<double>(learned_factors_[j]);
  }
}

template <typename T>
double TaskBalance<T>::Dot(std::size_t count, const T* x, const T* y) const {
  T dot{0};
  const auto row = static_cast<std::ptrdiff_t>(count);
  kernels_.row_dots(1, count, x, row, y, row, &dot, 1);
  return static_cast<double>(dot);
}

template <typename T>
void TaskBalance<T>::Start(const std::vector<std::size_t>& embedding_sizes) {
  embedding_sizes_ = embedding_sizes;
  embedding_size_ = std::accumulate(embedding_sizes.begin(), embedding_sizes.end(), std::size_t{0});
  const std::size_t size = shared_count_ + embedding_size_;
  for (std::vector<T>& shared : shared_) shared.resize(size);
  projected_.resize(size);
  sum_.resize(size);
}

template <typename T>
T* const* TaskBalance<T>::embedding(std::size_t task) {
  T* begin = shared_[task].data() + shared_count_;
  embeddings_.clear();
  for (const std::size_t size : embedding_sizes_) {
    embeddings_.push_back(begin);
    begin += size;
  }
  return embeddings_.data();
}

template <typename T>
void TaskBalance<T>::CopyEmbeddings(const T* from, T* const* to) const {
  for (std::size_t t = 0; t < embedding_sizes_.size(); ++t, ++to) {
    std::copy_n(from, embedding_sizes_[t], *to);
    from += embedding_sizes_[t];
  }
}

template <typename T>
void TaskBalance<T>::Add(std::size_t task, T* dense_gradient) {
  if (task == 0) {
    std::copy(dense_.begin(), dense_.end(), dense_gradient);
  } else {
    kernels_.axpy(dense_.size(), T{1}, dense_.data(), dense_gradient);
  }
  std::vector<T>& shared = shared_[task];
  T* to = shared.data();
  for (const Range& range : ranges_) to = std::copy_n(dense_.data() + range.begin, range.count, to);
  if (balance_ == Balance::kPcGrad) {
    norms_[task] = Dot(shared.size(), shared.data(), shared.data());
    return;
  }
  double squares = 0.0;
  for (const Range& range : last_ranges_)
    squares += Dot(range.count, dense_.data() + range.begin, dense_.data() + range.begin);
  if (last_ranges_.empty()) squares = Dot(embedding_size_, EmbeddingsOf(task), EmbeddingsOf(task));
  norms_[task] = std::sqrt(squares);
}

template <typename T>
void TaskBalance<T>::Combine(std::uint64_t key, T* dense_gradient, T* const* embedding_gradient) {
  if (balance_ == Balance::kPcGrad) return SumProjections(key, dense_gradient, embedding_gradient);
  for (std::size_t j = 1; j < tasks_.size(); ++j)
    kernels_.axpy(embedding_size_, T{1}, EmbeddingsOf(j), shared_[0].data() + shared_count_);
  CopyEmbeddings(EmbeddingsOf(0), embedding_gradient);
}

template <typename T>
void TaskBalance<T>::SumProjections(std::uint64_t key, T* dense_gradient, T* const* embedding_gradient) {
  const std::size_t size = sum_.size();
  for (std::uint32_t j = 0; j < tasks_.size(); ++j) {
    std::copy(shared_[j].begin(), shared_[j].end(), projected_.begin());
    RandomStream random(RandomBits(key, kOrderStream), j);
    order_.clear();
    for (std::uint32_t k = 0; k < tasks_.size(); ++k) {
      if (k != j) order_.push_back(k);
    }
    for (std::size_t k = order_.size(); k > 1; --k) std::swap(order_[k - 1], order_[random.Below(k)]);
    for (const std::uint32_t k : order_) {
      const double dot = Dot(size, projected_.data(), shared_[k].data());
      if (dot < 0.0 && norms_[k] > 0.0)
        kernels_.axpy(size, static_cast<T>(-dot / norms_[k]), shared_[k].data(), projected_.data());
    }
    if (j == 0) {
      std::swap(sum_, projected_);
    } else {
      kernels_.axpy(size, T{1}, projected_.data(), sum_.data());
    }
  }
  const T* from = sum_.data();
  for (const Range& range : ranges_) {
    std::copy_n(from, range.count, dense_gradient + range.begin);
    from += range.count;
  }
  CopyEmbeddings(from, embedding_gradient);
}

template <typename T>
void TaskBalance<T>::LearnedGradient(const SliceLosses& slice, T* dense_gradient) {
  const std::size_t n = tasks_.size();
  T* const out = dense_gradient + learned_;
  if (balance_ == Balance::kUncertainty) {
    for (std::size_t j = 0; j < n; ++j) {
      out[j] = T{0};
      if (!Learns(j) || !(slice.total_weight[j] > 0.0)) continue;
      const double own = slice.first_slice ? static_cast<double>(tasks_[j].config.weight) : 0.0;
      out[j] = static_cast<T>(own - 2.0 * factors_[j] * slice.loss_sum[j] / slice.total_weight[j]);
    }
    return;
  }
  if (balance_ != Balance::kGradNorm) return;
  std::fill_n(out, n, T{0});
  const auto has = [&](std::size_t j) {
    return slice.labelled_weight[j] > 0.0 && slice.total_weight[j] > 0.0;
  };
  double count = 0.0, share = 0.0, mean_norm = 0.0, mean_ratio = 0.0, total = 0.0;
  for (std::size_t j = 0; j < n; ++j) {
    total += slice.total_weight[j] > 0.0 ? 1.0 : 0.0;
    ratios_[j] = T{1};
    if (!has(j)) continue;
    const double part = slice.labelled_weight[j] / slice.total_weight[j];
    norms_[j] /= part;  // of the slice's own mean loss
    const double ratio = slice.loss_sum[j] / slice.labelled_weight[j] / first_losses_[j];
    ratios_[j] = static_cast<T>(std::max(ratio, kLeastRatio));
    count += 1.0;
    share += part;
    mean_norm += norms_[j];
    mean_ratio += static_cast<double>(ratios_[j]);
  }
  if (count < 2.0 || !(mean_norm > 0.0)) return;
  mean_norm /= count;
  mean_ratio /= count;
  // r^alpha = exp(alpha log r).
  for (std::size_t j = 0; j < n; ++j)
    ratios_[j] = has(j) ? static_cast<T>(static_cast<double>(ratios_[j]) / mean_ratio) : T{1};
  kernels_.log(n, ratios_.data(), ratios_.data());
  for (T& each : ratios_) each *= alpha_;
  kernels_.exp(n, ratios_.data(), ratios_.data());
  // d|G_j - target_j| / dv_k = sign_j G_j (1{j = k} - f_k / n), as G_j grows in proportion to f_j. A slice counts by its share
  // of the labels.
  const auto pull = [&](std::size_t j) {
    const double above = norms_[j] - mean_norm * static_cast<double>(ratios_[j]);
    return !has(j) || above == 0.0 ? 0.0 : above > 0.0 ? norms_[j] : -norms_[j];
  };
  double sum = 0.0;
  for (std::size_t j = 0; j < n; ++j) sum += pull(j);
  for (std::size_t k = 0; k < n; ++k) {
    const double slope = pull(k) - static_cast<double>(learned_factors_[k]) / static_cast<double>(n) * sum;
    out[k] = static_cast<T>(share / total * slope / mean_norm);
  }
}

template class TaskBalance<float>;
template class TaskBalance<double>;

}  // namespace cohort
