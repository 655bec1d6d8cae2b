// An autoencoder beside the tasks: a bottleneck from which the inputs can be reconstructed, and which the tasks read beside
// the inputs. What rows without labels say of the inputs' structure reaches the tasks this way.
//
//   b = relu(x W + c),   o = b V + d
//
// x: the pooled fields and the numbers; o: one column for each number v, and `buckets` for each bag. The loss of a row is
//
//   mean over numbers of 1/2 (o_v - v)^2  +  mean over bags of -1/n sum over its n ids of log softmax(o_bag)[bucket(id)]
//
// v as scaled; missing numbers and empty bags lose nothing. The first is an ordinary autoencoder's (Rumelhart, Hinton, Williams
// 1986), the second the multinomial likelihood of Liang, Krishnan, Hoffman, Jebara: "Variational Autoencoders for
// Collaborative Filtering", WWW 2018, with ids hashed into buckets (Weinberger et al. 2009). The model's loss gets
// weight / rows of the global batch * sum over rows of (row's weight * its loss); no target has a gradient.
// With embedding_dropout the bottleneck reads the dropped x and reconstructs the whole: a denoising autoencoder (Vincent,
// Larochelle, Bengio, Manzagol, ICML 2008).
#ifndef COHORT_WORKER_MODEL_AUTOENCODER_H_
#define COHORT_WORKER_MODEL_AUTOENCODER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "worker/model/kernels.h"
#include "worker/model/layers.h"
#include "worker/model/layout.h"
#include "worker/model/matrix.h"
#include "worker/model/model.h"

namespace cohort {

// What is reconstructed: places in the spec. The decoder's outputs have the same order.
struct ReconstructedInputs {
  struct Number {
    std::uint32_t value = 0;
    std::int64_t indicator = -1;  // the column that says that it is missing, if there is one
  };
  std::vector<Number> numbers;      // in ModelSpec::numerics
  std::vector<std::uint32_t> bags;  // in ModelSpec::fields
};
ReconstructedInputs ReconstructedOf(const ModelSpec& spec);

// The bucket of a key.
std::uint32_t BucketOf(Key key, std::uint32_t buckets);

// One thread at a time; memory for `rows` rows is allocated at construction.
template <typename T>
class Autoencoder {
 public:
  // `spec` must outlive this.
  Autoencoder(const ModelSpec& spec, const AutoencoderShape& shape, std::size_t rows);

  void SetWeights(const T* dense);
  // Writes the bottleneck's columns of x. REQUIRES: the pooled fields' and the numbers' are there.
  void Forward(std::size_t rows, MatrixView<T> x);
  // After Forward of the same slice, with the tasks' gradient in dx: writes the layers' part of dense_gradient, adds to the
  // pooled fields' columns of dx, and returns the sum over rows of weight * loss.
  double Backward(const SliceInput<T>& input, MatrixView<T> dx, T* dense_gradient);

 private:
  // From the decoder's output and the inputs: its gradient, and the loss.
  double Reconstruct(const SliceInput<T>& input);

  const ModelSpec& spec_;
  const KernelTable<T>& kernels_;
  const ReconstructedInputs reconstructed_;
  const std::size_t pooled_;      // columns of the pooled fields, in x and in inputs_
  const std::size_t bottleneck_;  // the bottleneck's first column of x
  Matrix<T> inputs_, inputs_gradient_;
  DenseLayer<T> encoder_, decoder_;
};

extern template class Autoencoder<float>;
extern template class Autoencoder<double>;

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_AUTOENCODER_H_
