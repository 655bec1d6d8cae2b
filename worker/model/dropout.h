// Dropout: in training, values are set to 0 with probability `rate`, the others divided by 1 - rate.
// Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: "Dropout: A Simple Way to Prevent Neural Networks from
// Overfitting", JMLR 15, 2014, in its inverted form, which leaves predictions as they are.
//
// Which values are dropped is a function of (key, row, column) alone, so the backward pass draws the same ones again, and
// in bsp, where the key names a slice of a batch, they are the same for any number of workers.
#ifndef COHORT_WORKER_MODEL_DROPOUT_H_
#define COHORT_WORKER_MODEL_DROPOUT_H_

#include <cstddef>
#include <cstdint>

#include "common/random.h"
#include "worker/model/matrix.h"

namespace cohort {

// What a forward pass and its backward pass drop.
struct DropoutDraw {
  bool training = false;  // false: nothing
  std::uint64_t key = 0;  // of the slice
};

// Drops values of the leading `columns` of x, in place. `place`: which of a model's matrices this is; rates are multiples
// of 2^-16, below 1.
template <typename T>
void DropOut(std::size_t rows, std::size_t columns, float rate, const DropoutDraw& draw, std::uint64_t place,
             MatrixView<T> x) {
  constexpr std::uint32_t kOne = 1u << 16;
  const auto threshold = static_cast<std::uint32_t>(static_cast<double>(rate) * kOne + 0.5);
  if (!draw.training || threshold == 0) return;
  const T kept = static_cast<T>(static_cast<double>(kOne) / (kOne - threshold));
  for (std::size_t i = 0; i < rows; ++i) {
    const std::uint64_t of_row = RandomBits(draw.key, place, i);
    T* row = x.Row(i);
    for (std::size_t j = 0; j < columns; j += 4) {  // four draws of 16 bits
      std::uint64_t bits = Mix64(of_row + j * 0x9e3779b97f4a7c15ULL);
      for (std::size_t c = j; c < columns && c < j + 4; ++c, bits >>= 16)
        row[c] = (bits & (kOne - 1)) < threshold ? T{0} : row[c] * kept;
    }
  }
}

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_DROPOUT_H_
