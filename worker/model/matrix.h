// Memory and views of the model's activations: row-major, each row on a cache line of its own.
#ifndef COHORT_WORKER_MODEL_MATRIX_H_
#define COHORT_WORKER_MODEL_MATRIX_H_

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

namespace cohort {

// A zeroed array on a cache line's boundary. Move-only.
template <typename T>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(std::size_t size)
      : data_(static_cast<T*>(::operator new[](size * sizeof(T), std::align_val_t{64}))) {
    std::fill_n(data_.get(), size, T{0});
  }
  T* data() const { return data_.get(); }

 private:
  struct Delete {
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::unique_ptr<T[], Delete> data_;
};

// Elements from one row to the next for a matrix of `width` columns: whole cache lines, and never a multiple
// of 1 KB, because rows a power of two apart compete for the same few places of the first cache.
inline std::ptrdiff_t LeadingDimension(std::size_t width) {
  const std::size_t rounded = (width + 15) / 16 * 16;
  return static_cast<std::ptrdiff_t>(rounded % 256 == 0 ? rounded + 16 : rounded);
}

// Does not own.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  std::ptrdiff_t row = 0;
  T* Row(std::size_t i) const { return data + static_cast<std::ptrdiff_t>(i) * row; }
  MatrixView From(std::size_t column) const { return {data + column, row}; }
};

template <typename T>
MatrixView<const T> Const(MatrixView<T> m) {
  return {m.data, m.row};
}

// rows x columns with LeadingDimension, owned.
template <typename T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(std::size_t rows, std::size_t columns)
      : row_(LeadingDimension(columns)), values_(rows * static_cast<std::size_t>(row_)) {}
  MatrixView<T> view() const { return {values_.data(), row_}; }

 private:
  std::ptrdiff_t row_ = 0;
  AlignedArray<T> values_;
};

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_MATRIX_H_
