// The kernels in double, as plain loops: the reference for the float kernels and for the finite-difference
// checks.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "worker/model/kernels.h"

namespace cohort {
namespace {

std::size_t RoundUp(std::size_t n) { return (n + kPanelColumns - 1) / kPanelColumns * kPanelColumns; }

void MatrixProduct(const GemmArguments<double>& g) {
  for (std::size_t i = 0; i < g.rows; ++i) {
    double* c = g.c + static_cast<std::ptrdiff_t>(i) * g.c_row;
    if (!g.accumulate) {
      for (std::size_t j = 0; j < g.columns; ++j) c[j] = g.bias ? g.bias[j] : 0.0;
    }
    for (std::size_t k = 0; k < g.depth; ++k) {
      const double a =
          g.a[static_cast<std::ptrdiff_t>(i) * g.a_row + static_cast<std::ptrdiff_t>(k) * g.a_column];
      const double* b = g.b + static_cast<std::ptrdiff_t>(k) * g.b_row;
      for (std::size_t j = 0; j < g.columns; ++j) {
        c[j] += a * b[static_cast<std::ptrdiff_t>(j / kPanelColumns) * g.b_panel +
                      static_cast<std::ptrdiff_t>(j % kPanelColumns)];
      }
    }
    for (std::size_t j = 0; g.relu && j < g.columns; ++j) c[j] = c[j] < 0.0 ? 0.0 : c[j];
  }
}

void Pack(std::size_t depth, std::size_t columns, const double* b, std::ptrdiff_t b_row, double* packed) {
  for (std::size_t j = 0; j < RoundUp(columns); ++j) {
    for (std::size_t k = 0; k < depth; ++k) {
      packed[(j / kPanelColumns * depth + k) * kPanelColumns + j % kPanelColumns] =
          j < columns ? b[static_cast<std::ptrdiff_t>(k) * b_row + static_cast<std::ptrdiff_t>(j)] : 0.0;
    }
  }
}

void PackTransposed(std::size_t depth, std::size_t columns, const double* bt, std::ptrdiff_t bt_row,
                    double* packed) {
  for (std::size_t j = 0; j < RoundUp(columns); ++j) {
    for (std::size_t k = 0; k < depth; ++k) {
      packed[(j / kPanelColumns * depth + k) * kPanelColumns + j % kPanelColumns] =
          j < columns ? bt[static_cast<std::ptrdiff_t>(j) * bt_row + static_cast<std::ptrdiff_t>(k)] : 0.0;
    }
  }
}

void BiasGradient(std::size_t rows, std::size_t columns, const double* y, std::ptrdiff_t y_row, double* dy,
                  std::ptrdiff_t dy_row, double* sums) {
  std::memset(sums, 0, columns * sizeof(double));
  for (std::size_t i = 0; i < rows; ++i, dy += dy_row) {
    for (std::size_t j = 0; j < columns; ++j) {
      if (y && !(y[static_cast<std::ptrdiff_t>(i) * y_row + static_cast<std::ptrdiff_t>(j)] > 0.0))
        dy[j] = 0.0;
      sums[j] += dy[j];
    }
  }
}

void Axpy(std::size_t n, double alpha, const double* x, double* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] += alpha * x[i];
}

// What the lookup's `nth` id of a cell's `count` counts.
double FactorOf(const LookupArguments<double>& l, std::size_t cell, std::uint32_t nth, std::uint32_t count) {
  const std::size_t field = cell % l.fields;
  if (l.pooling[field] == kPoolMean) return 1.0 / count;
  if (l.pooling[field] == kPoolSum || count < 2) return 1;
  const auto before = static_cast<std::size_t>(std::count(l.pooling, l.pooling + field, kPoolShares));
  const double share = l.shares[cell / l.fields * l.share_row + before];
  return nth == 0 ? 1 - share : share;
}

void Gather(const LookupArguments<double>& l, const std::uint32_t* distinct, const double* embeddings,
            double* x, std::ptrdiff_t x_row) {
  for (std::size_t cell = 0; cell < l.rows * l.fields; ++cell) {
    const std::size_t field = cell % l.fields;
    double* out = x + static_cast<std::ptrdiff_t>(cell / l.fields) * x_row + field * l.dim;
    const std::uint32_t* offsets = l.offsets + cell / l.fields * l.offset_row + field;
    const std::uint32_t count = offsets[1] - offsets[0];
    std::memset(out, 0, l.dim * sizeof(double));
    for (std::uint32_t p = offsets[0]; p < offsets[1]; ++p) {
      const double* row = embeddings + std::size_t{distinct[l.positions[p]]} * l.dim;
      const double factor = FactorOf(l, cell, p - offsets[0], count);
      for (std::size_t d = 0; d < l.dim; ++d) out[d] += row[d] * factor;
    }
  }
}

void Scatter(const LookupArguments<double>& l, const double* dx, std::ptrdiff_t dx_row, double* gradient) {
  for (std::size_t cell = 0; cell < l.rows * l.fields; ++cell) {
    const std::size_t field = cell % l.fields;
    const double* in = dx + static_cast<std::ptrdiff_t>(cell / l.fields) * dx_row + field * l.dim;
    const std::uint32_t* offsets = l.offsets + cell / l.fields * l.offset_row + field;
    const std::uint32_t count = offsets[1] - offsets[0];
    for (std::uint32_t p = offsets[0]; p < offsets[1]; ++p) {
      double* out = gradient + std::size_t{l.positions[p]} * l.dim;
      const double factor = FactorOf(l, cell, p - offsets[0], count);
      for (std::size_t d = 0; d < l.dim; ++d) out[d] += in[d] * factor;
    }
  }
}

void Exp(std::size_t n, const double* x, double* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] = std::exp(x[i]);
}
void Log(std::size_t n, const double* x, double* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] = std::log(x[i]);
}

void Sigmoid(std::size_t n, const double* x, double* sigmoid, double* softplus) {
  for (std::size_t i = 0; i < n; ++i) {
    const double z = x[i], e = std::exp(-std::fabs(z));
    if (sigmoid) sigmoid[i] = (z < 0.0 ? e : 1.0) / (1.0 + e);
    if (softplus) softplus[i] = (z < 0.0 ? 0.0 : z) + std::log1p(e);
  }
}

void Softmax(std::size_t rows, std::size_t columns, const double* x, std::ptrdiff_t x_row, double* y,
             std::ptrdiff_t y_row, double* log_sum) {
  for (std::size_t i = 0; i < rows; ++i, x += x_row, y += y_row) {
    double largest = x[0], sum = 0.0;
    for (std::size_t j = 1; j < columns; ++j) largest = std::fmax(largest, x[j]);
    for (std::size_t j = 0; j < columns; ++j) sum += y[j] = std::exp(x[j] - largest);
    for (std::size_t j = 0; j < columns; ++j) y[j] /= sum;
    if (log_sum) log_sum[i] = largest + std::log(sum);
  }
}

void SoftmaxBackward(std::size_t rows, std::size_t columns, const double* p, std::ptrdiff_t p_row,
                     const double* dp, std::ptrdiff_t dp_row, double* dx, std::ptrdiff_t dx_row) {
  for (std::size_t i = 0; i < rows; ++i, p += p_row, dp += dp_row, dx += dx_row) {
    double dot = 0.0;
    for (std::size_t j = 0; j < columns; ++j) dot += p[j] * dp[j];
    for (std::size_t j = 0; j < columns; ++j) dx[j] = p[j] * (dp[j] - dot);
  }
}

void RowDots(std::size_t rows, std::size_t columns, const double* x, std::ptrdiff_t x_row, const double* y,
             std::ptrdiff_t y_row, double* out, std::ptrdiff_t out_row) {
  for (std::size_t i = 0; i < rows; ++i, x += x_row, y += y_row, out += out_row) {
    *out = 0.0;
    for (std::size_t j = 0; j < columns; ++j) *out += x[j] * y[j];
  }
}

void Mix(std::size_t rows, std::size_t experts, std::size_t dim, const double* gate, std::ptrdiff_t gate_row,
         const double* f, std::ptrdiff_t f_row, bool accumulate, double* h, std::ptrdiff_t h_row) {
  for (std::size_t i = 0; i < rows; ++i, gate += gate_row, f += f_row, h += h_row) {
    for (std::size_t d = 0; d < dim; ++d) {
      if (!accumulate) h[d] = 0.0;
      for (std::size_t e = 0; e < experts; ++e) h[d] += gate[e] * f[e * dim + d];
    }
  }
}

void MixBackward(std::size_t rows, std::size_t experts, std::size_t dim, const double* gate,
                 std::ptrdiff_t gate_row, const double* f, std::ptrdiff_t f_row, const double* dh,
                 std::ptrdiff_t dh_row, double* df, std::ptrdiff_t df_row, bool accumulate, double* dgate,
                 std::ptrdiff_t dgate_row) {
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t e = 0; e < experts; ++e) {
      dgate[e] = 0.0;
      for (std::size_t d = 0; d < dim; ++d) {
        df[e * dim + d] = (accumulate ? df[e * dim + d] : 0.0) + gate[e] * dh[d];
        dgate[e] += dh[d] * f[e * dim + d];
      }
    }
    gate += gate_row, f += f_row, dh += dh_row, df += df_row, dgate += dgate_row;
  }
}

}  // namespace

const KernelTable<double> kDoubleKernels = {
    {MatrixProduct, Pack, PackTransposed},
    "double",
    nullptr,
    BiasGradient,
    Axpy,
    Gather,
    Scatter,
    Exp,
    Log,
    Sigmoid,
    Softmax,
    SoftmaxBackward,
    RowDots,
    Mix,
    MixBackward,
};

}  // namespace cohort
