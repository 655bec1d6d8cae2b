#include "worker/model/autoencoder.h"

#include <algorithm>

#include "common/check.h"
#include "common/random.h"

namespace cohort {

ReconstructedInputs ReconstructedOf(const ModelSpec& spec) {
  ReconstructedInputs inputs;
  for (std::uint32_t i = 0; i < spec.numerics.size(); ++i) {
    const NumericInput& numeric = spec.numerics[i];
    if (!numeric.missing_indicator) {
      inputs.numbers.push_back({i, -1});
      continue;
    }
    for (ReconstructedInputs::Number& number : inputs.numbers) {
      if (spec.numerics[number.value].feature == numeric.feature) number.indicator = i;
    }
  }
  for (std::uint32_t f = 0; f < spec.PooledFields(); ++f) {
    if (spec.data.features[spec.fields[f].feature].type == FeatureType::kBag) inputs.bags.push_back(f);
  }
  return inputs;
}

std::uint32_t BucketOf(Key key, std::uint32_t buckets) {
  return static_cast<std::uint32_t>((static_cast<unsigned __int128>(Mix64(key)) * buckets) >> 64);
}

template <typename T>
Autoencoder<T>::Autoencoder(const ModelSpec& spec, const AutoencoderShape& shape, std::size_t rows)
    : spec_(spec),
      kernels_(ActiveKernels<T>()),
      reconstructed_(ReconstructedOf(spec)),
      pooled_(spec.PooledWidth()),
      bottleneck_(spec.EmbeddedWidth() - spec.config.autoencoder.bottleneck),
      inputs_(rows, shape.encoder.inputs),
      inputs_gradient_(rows, std::max<std::size_t>(pooled_, 1)),
      encoder_(shape.encoder, rows, pooled_),
      decoder_(shape.decoder, rows, shape.decoder.inputs) {}

template <typename T>
void Autoencoder<T>::SetWeights(const T* dense) {
  encoder_.SetWeights(dense);
  decoder_.SetWeights(dense);
}

template <typename T>
void Autoencoder<T>::Forward(std::size_t rows, MatrixView<T> x) {
  const std::size_t width = spec_.config.autoencoder.bottleneck;
  for (std::size_t i = 0; i < rows; ++i) {
    T* inputs = std::copy_n(x.Row(i), pooled_, inputs_.view().Row(i));
    std::copy_n(x.Row(i) + bottleneck_ + width, spec_.numerics.size(), inputs);
  }
  encoder_.Forward(rows, Const(inputs_.view()));
  for (std::size_t i = 0; i < rows; ++i) std::copy_n(encoder_.output().Row(i), width, x.Row(i) + bottleneck_);
}

template <typename T>
double Autoencoder<T>::Reconstruct(const SliceInput<T>& input) {
  const AutoencoderConfig& config = spec_.config.autoencoder;
  const std::size_t buckets = config.buckets;
  const auto numbers = static_cast<T>(std::max<std::size_t>(reconstructed_.numbers.size(), 1));
  const auto bags = static_cast<T>(std::max<std::size_t>(reconstructed_.bags.size(), 1));
  double loss = 0;
  for (std::size_t i = 0; i < input.rows; ++i) {
    const T* values = input.numeric + i * spec_.numerics.size();
    const T* o = decoder_.output().Row(i);
    T* gradient = decoder_.output_gradient().Row(i);
    const T weight = static_cast<T>(input.weights[i]);
    const T scale = static_cast<T>(config.weight) * weight / static_cast<T>(input.global_rows);
    T row_loss{0};
    for (const ReconstructedInputs::Number& number : reconstructed_.numbers) {
      const bool missing = number.indicator >= 0 && values[number.indicator] != T{0};
      const T difference = missing ? T{0} : *o - values[number.value];
      row_loss += T{0.5} * difference * difference / numbers;
      *gradient++ = scale * difference / numbers;
      ++o;
    }
    for (const std::uint32_t bag : reconstructed_.bags) {
      const EmbeddedField& field = spec_.fields[bag];
      const SliceIds& ids = input.ids[field.table];
      const std::vector<Key>& keys = *input.keys[field.table];
      const std::uint32_t* offsets = ids.offsets.data() + i * spec_.tables[field.table].fields + field.place;
      const std::uint32_t count = offsets[1] - offsets[0];
      if (count == 0) {
        std::fill_n(gradient, buckets, T{0});
      } else {
        T log_sum{0};
        kernels_.softmax(1, buckets, o, 0, gradient, 0, &log_sum);
        for (std::size_t k = 0; k < buckets; ++k) gradient[k] *= scale / bags;
        const T share = T{1} / (static_cast<T>(count) * bags);
        for (std::uint32_t p = offsets[0]; p < offsets[1]; ++p) {
          const std::uint32_t bucket = BucketOf(keys[ids.distinct[ids.positions[p]]], config.buckets);
          row_loss += share * (log_sum - o[bucket]);
          gradient[bucket] -= scale * share;
        }
      }
      o += buckets;
      gradient += buckets;
    }
    loss += static_cast<double>(weight) * static_cast<double>(row_loss);
  }
  return loss;
}

template <typename T>
double Autoencoder<T>::Backward(const SliceInput<T>& input, MatrixView<T> dx, T* dense_gradient) {
  COHORT_CHECK(input.global_rows > 0 && input.keys != nullptr,
               "an autoencoder needs the batch's rows and keys");
  const std::size_t width = spec_.config.autoencoder.bottleneck;
  decoder_.Forward(input.rows, Const(encoder_.output()));
  const double loss = Reconstruct(input);
  for (std::size_t i = 0; i < input.rows; ++i)
    std::copy_n(dx.Row(i) + bottleneck_, width, encoder_.output_gradient().Row(i));
  decoder_.Backward(input.rows, Const(encoder_.output()), dense_gradient, encoder_.output_gradient(), true);
  encoder_.Backward(input.rows, Const(inputs_.view()), dense_gradient, inputs_gradient_.view(), false);
  for (std::size_t i = 0; i < input.rows; ++i)
    kernels_.axpy(pooled_, T{1}, inputs_gradient_.view().Row(i), dx.Row(i));
  return loss;
}

template class Autoencoder<float>;
template class Autoencoder<double>;

}  // namespace cohort
