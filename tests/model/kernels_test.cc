// The float kernels against double and Eigen, their bits across instruction sets and shapes, and the accuracy
// of their elementary functions.
#include "common/float16.h"
#include "worker/model/kernels.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <eigen3/Eigen/Dense>
#include <limits>
#include <string>
#include <vector>

#include "common/random.h"

namespace cohort::kernels_test {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

std::vector<const KernelTable<float>*> Paths() {
  std::vector<const KernelTable<float>*> paths = {&kAvx2Kernels};
  if (HasKernelPath("avx512")) paths.push_back(&kAvx512Kernels);
  return paths;
}

std::vector<float> RandomFloats(std::size_t n, std::uint64_t seed) {
  RandomStream random(seed);
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(random.Uniform() * 2 - 1);
  return x;
}

// A product on random operands, from misaligned memory with odd leading dimensions; returns C without its
// padding.
struct ProductCase {
  std::size_t rows, columns, depth;
  bool transposed = false, packed = false, bias = false, accumulate = false, relu = false;
  std::size_t extra = 3;  // added to the leading dimensions
};
struct Operands {
  Matrix a, b, c, bias;
  explicit Operands(const ProductCase& p, std::uint64_t seed = 7)
      : a(p.rows, p.depth), b(p.depth, p.columns), c(p.rows, p.columns), bias(1, p.columns) {
    RandomStream random(seed);
    for (Matrix* m : {&a, &b, &c, &bias}) {
      for (Eigen::Index i = 0; i < m->size(); ++i)
        m->data()[i] = static_cast<float>(random.Uniform() * 2 - 1);
    }
  }
};
std::vector<float> Product(const ProductKernels<float>& kernels, const ProductCase& p, const Operands& o) {
  const std::size_t lda = (p.transposed ? p.rows : p.depth) + p.extra, ldb = p.columns + p.extra,
                    ldc = p.columns + p.extra;
  std::vector<float> a(lda * (p.transposed ? p.depth : p.rows) + p.extra), b(ldb * p.depth + p.extra),
      c(ldc * p.rows + p.extra, 777.0f), bias(p.columns + p.extra),
      packed((p.columns + 32) * p.depth + p.extra);
  const std::size_t shift = p.extra;  // off the vectors' alignment
  for (std::size_t i = 0; i < p.rows; ++i) {
    for (std::size_t k = 0; k < p.depth; ++k) {
      a[shift + (p.transposed ? k * lda + i : i * lda + k)] = static_cast<float>(o.a(i, k));
    }
    for (std::size_t j = 0; j < p.columns; ++j) c[i * ldc + j] = static_cast<float>(o.c(i, j));
  }
  for (std::size_t k = 0; k < p.depth; ++k) {
    for (std::size_t j = 0; j < p.columns; ++j) b[shift + k * ldb + j] = static_cast<float>(o.b(k, j));
  }
  for (std::size_t j = 0; j < p.columns; ++j) bias[j] = static_cast<float>(o.bias(0, j));
  kernels.pack(p.depth, p.columns, b.data() + shift, static_cast<std::ptrdiff_t>(ldb), packed.data());
  GemmArguments<float> g{};
  g.rows = p.rows, g.columns = p.columns, g.depth = p.depth;
  g.a = a.data() + shift;
  g.a_row = p.transposed ? 1 : static_cast<std::ptrdiff_t>(lda);
  g.a_column = p.transposed ? static_cast<std::ptrdiff_t>(lda) : 1;
  g.b = p.packed ? packed.data() : b.data() + shift;
  g.b_row = static_cast<std::ptrdiff_t>(p.packed ? kPanelColumns : ldb);
  g.b_panel = static_cast<std::ptrdiff_t>(p.packed ? kPanelColumns * p.depth : kPanelColumns);
  g.c = c.data();
  g.c_row = static_cast<std::ptrdiff_t>(ldc);
  g.bias = p.bias ? bias.data() : nullptr;
  g.accumulate = p.accumulate;
  g.relu = p.relu;
  kernels.gemm(g);
  std::vector<float> result;
  for (std::size_t i = 0; i < p.rows; ++i) {
    result.insert(result.end(), c.begin() + static_cast<std::ptrdiff_t>(i * ldc),
                  c.begin() + static_cast<std::ptrdiff_t>(i * ldc + p.columns));
    for (std::size_t j = p.columns; j < ldc; ++j) EXPECT_EQ(c[i * ldc + j], 777.0f) << "wrote outside C";
  }
  return result;
}
bool SameBits(const std::vector<float>& x, const std::vector<float>& y) {
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
}

TEST(Gemm, EqualsEigenInDoubleForOddShapes) {
  const std::size_t rows[] = {1, 2, 5, 6, 7, 13, 14, 15, 28, 29, 128},
                    columns[] = {1, 3, 15, 16, 17, 31, 32, 33, 48, 97},
                    depths[] = {0, 1, 2, 17, 255, 256, 257, 600};
  int cases = 0;
  for (const KernelTable<float>* kernels : Paths()) {
    for (std::size_t m : rows) {
      for (std::size_t n : columns) {
        const std::size_t k = depths[static_cast<std::size_t>(cases) % std::size(depths)];
        ProductCase p{m, n, k};
        p.transposed = cases & 1, p.packed = cases & 2, p.bias = cases % 3 == 0,
        p.accumulate = cases % 5 == 0;
        p.relu = cases % 7 == 0, p.extra = static_cast<std::size_t>(cases) % 4;
        ++cases;
        const Operands o(p);
        Matrix expected = o.a * o.b;
        if (p.accumulate) {
          expected += o.c;
        } else if (p.bias) {
          expected.rowwise() += o.bias.row(0);
        }
        if (p.relu) expected = expected.cwiseMax(0.0);
        const std::vector<float> c = Product(*kernels, p, o);
        // The error bound of a chain of k roundings (Higham 2002, section 3.1).
        const Matrix bound = (static_cast<double>(k) + 1) * 0x1p-24 * 1.01 *
                             ((o.a.cwiseAbs() * o.b.cwiseAbs()).array() + 1.0).matrix();
        for (std::size_t i = 0; i < m * n; ++i) {
          ASSERT_NEAR(c[i], expected.data()[i], bound.data()[i])
              << kernels->name << ' ' << m << 'x' << k << 'x' << n;
        }
      }
    }
  }
}

// The product of the rounded operands, whichever shape, stride and packing; and bits that do not depend on what is around.
TEST(Gemm, Bfloat16RoundsItsOperandsOnly) {
  if (!HasKernelPath("avx512_bf16")) GTEST_SKIP() << "this processor has no AVX512-BF16";
  const ProductKernels<float>& kernels = *KernelsFor("avx512_bf16")->bfloat16;
  const auto round = [](Matrix& m) {
    for (Eigen::Index i = 0; i < m.size(); ++i) {
      float x = static_cast<float>(m.data()[i]);
      RoundValues(FloatType::kBfloat16, &x, 1);
      m.data()[i] = x;
    }
  };
  int cases = 0;
  for (std::size_t m : {1, 2, 13, 14, 15, 28, 29, 128}) {
    for (std::size_t n : {1, 3, 15, 16, 17, 31, 32, 33, 97}) {
      for (std::size_t k : {0, 1, 2, 17, 31, 33, 511, 512, 513, 1100}) {
        ProductCase p{m, n, k};
        p.packed = true, p.transposed = cases & 1, p.bias = cases % 3 == 0, p.accumulate = cases % 5 == 0;
        p.relu = cases % 7 == 0, p.extra = static_cast<std::size_t>(cases) % 4;
        ++cases;
        const Operands o(p);
        const std::vector<float> c = Product(kernels, p, o);
        Operands rounded = o;
        round(rounded.a), round(rounded.b);
        Matrix expected = rounded.a * rounded.b;
        if (p.accumulate) {
          expected += o.c;
        } else if (p.bias) {
          expected.rowwise() += o.bias.row(0);
        }
        if (p.relu) expected = expected.cwiseMax(0.0);
        for (std::size_t i = 0; i < m * n; ++i) {
          ASSERT_NEAR(c[i], expected.data()[i], (static_cast<double>(k) + 1) * 0x1p-24 * (static_cast<double>(k) + 1))
              << m << 'x' << k << 'x' << n << " transposed " << p.transposed;
        }
      }
    }
  }
  const ProductCase whole{.rows = 40, .columns = 70, .depth = 600, .packed = true};
  const Operands o(whole);
  const std::vector<float> all = Product(kernels, whole, o);
  for (std::size_t rows : {1u, 14u, 33u}) {
    ProductCase part = whole;
    part.rows = rows, part.columns = 50;
    Operands some = o;
    some.a = o.a.topRows(static_cast<Eigen::Index>(rows)), some.b = o.b.leftCols(50);
    const std::vector<float> c = Product(kernels, part, some);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < 50; ++j) ASSERT_EQ(c[i * 50 + j], all[i * 70 + j]);
    }
  }
}

// The promise of kernels.h, spelled out: one chain of fused multiply-adds in ascending k.
TEST(Gemm, IsOneChainPerElement) {
  for (const KernelTable<float>* kernels : Paths()) {
    for (bool transposed : {false, true}) {
      const ProductCase p{
          .rows = 37, .columns = 45, .depth = 700, .transposed = transposed, .bias = true, .relu = true};
      const Operands o(p);
      const std::vector<float> c = Product(*kernels, p, o);
      for (std::size_t i = 0; i < p.rows; ++i) {
        for (std::size_t j = 0; j < p.columns; ++j) {
          float sum = static_cast<float>(o.bias(0, j));
          for (std::size_t k = 0; k < p.depth; ++k) {
            sum = std::fma(static_cast<float>(o.a(i, k)), static_cast<float>(o.b(k, j)), sum);
          }
          ASSERT_EQ(std::bit_cast<std::uint32_t>(c[i * p.columns + j]),
                    std::bit_cast<std::uint32_t>(std::max(0.0f, sum)));
        }
      }
    }
  }
}

TEST(Gemm, BitsDoNotDependOnRowsPackingAlignmentOrInstructionSet) {
  const ProductCase full{.rows = 128, .columns = 100, .depth = 429, .bias = true};
  const Operands o(full);
  const std::vector<float> reference = Product(kAvx2Kernels, full, o);
  for (const KernelTable<float>* kernels : Paths()) {
    for (std::size_t rows : {1, 2, 5, 37, 64, 127, 128}) {
      for (bool packed : {false, true}) {
        ProductCase part = full;
        part.rows = rows, part.packed = packed, part.extra = rows % 5;
        const std::vector<float> c = Product(*kernels, part, o);
        EXPECT_EQ(std::memcmp(c.data(), reference.data(), c.size() * sizeof(float)), 0)
            << kernels->name << rows;
      }
    }
  }
}

TEST(Pack, TransposedEqualsPlain) {
  for (const KernelTable<float>* kernels : Paths()) {
    for (auto [depth, columns] :
         {std::pair<std::size_t, std::size_t>{1, 1}, {8, 32}, {13, 45}, {64, 100}, {3, 7}}) {
      const std::vector<float> b = RandomFloats(depth * columns, 3);
      std::vector<float> bt(depth * columns), packed((columns + 31) / 32 * 32 * depth, 9.0f), other = packed;
      for (std::size_t k = 0; k < depth; ++k) {
        for (std::size_t j = 0; j < columns; ++j) bt[j * depth + k] = b[k * columns + j];
      }
      kernels->pack(depth, columns, b.data(), static_cast<std::ptrdiff_t>(columns), packed.data());
      kernels->pack_transposed(depth, columns, bt.data(), static_cast<std::ptrdiff_t>(depth), other.data());
      EXPECT_TRUE(SameBits(packed, other)) << depth << 'x' << columns;
      EXPECT_EQ(packed[(columns - 1) / 32 * 32 * depth + (columns - 1) % 32], b[columns - 1]);
    }
  }
}

// Distance in units in the last place of the exact result, rounded to float.
double UlpError(float got, double exact) {
  const float rounded = static_cast<float>(exact);
  if (std::isnan(exact)) return std::isnan(got) ? 0 : 1e9;
  if (std::isinf(rounded) || std::isinf(got)) return got == rounded ? 0 : 1e9;
  const float ulp = std::max(
      std::nextafter(std::fabs(rounded), std::numeric_limits<float>::infinity()) - std::fabs(rounded),
      std::numeric_limits<float>::denorm_min());
  return std::fabs(static_cast<double>(got) - exact) / ulp;
}

TEST(Elementwise, ExpAndLogStayBelowTwoUlp) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const KernelTable<float>* kernels : Paths()) {
    std::vector<float> x = {0.0f,    -0.0f,    1.0f,      -1.0f,  88.722f,    88.73f,
                            89.5f,   1e30f,    kInfinity, -87.3f, -87.4f,     -95.0f,
                            -103.2f, -103.98f, -104.1f,   -1e30f, -kInfinity, std::nanf("")};
    for (int i = 0; i < 200000; ++i) x.push_back(-104.0f + static_cast<float>(i) * 193.0f / 200000.0f);
    std::vector<float> y(x.size());
    kernels->exp(x.size(), x.data(), y.data());
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double error = UlpError(y[i], std::exp(static_cast<double>(x[i])));
      ASSERT_LT(error, 2.0) << "exp(" << x[i] << ") = " << y[i];
      worst = std::max(worst, error);
    }
    RecordProperty(std::string("exp_ulp_") + kernels->name, std::to_string(worst));
    std::printf("%s: exp within %.3f ulp", kernels->name, worst);

    x = {1.0f, 0.0f, -0.0f, -1.0f, kInfinity, -kInfinity, std::nanf(""), 1e-45f, 1e-40f, 0x1p-126f, 3.4e38f};
    for (std::uint32_t bits = 1; bits < 0x7f800000u; bits += 9973) x.push_back(std::bit_cast<float>(bits));
    for (int i = 0; i < 100000; ++i) x.push_back(0.5f + static_cast<float>(i) * 2e-5f);
    y.resize(x.size());
    kernels->log(x.size(), x.data(), y.data());
    worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double error = UlpError(y[i], std::log(static_cast<double>(x[i])));
      ASSERT_LT(error, 2.0) << "log(" << x[i] << ") = " << y[i];
      worst = std::max(worst, error);
    }
    std::printf(", log within %.3f ulp\n", worst);
  }
}

TEST(Elementwise, SigmoidAndSoftplusAreAccurateAndFinite) {
  std::vector<float> x = {0.0f, -0.0f, 500.0f, -500.0f, 1e38f, -1e38f, std::nanf("")};
  for (int i = -20000; i <= 20000; ++i) x.push_back(static_cast<float>(i) * 5e-3f);
  for (const KernelTable<float>* kernels : Paths()) {
    std::vector<float> s(x.size()), p(x.size());
    kernels->sigmoid(x.size(), x.data(), s.data(), p.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double z = x[i];
      EXPECT_LT(UlpError(s[i], 1.0 / (1.0 + std::exp(-z))), 4.0) << z;
      EXPECT_LT(UlpError(p[i], std::max(z, 0.0) + std::log1p(std::exp(-std::fabs(z)))), 6.0) << z;
    }
    std::vector<float> alone(x.size());
    kernels->sigmoid(x.size(), x.data(), nullptr, alone.data());
    EXPECT_TRUE(SameBits(alone, p));
  }
}

TEST(Rows, SoftmaxSumsToOneAndSurvivesExtremes) {
  for (const KernelTable<float>* kernels : Paths()) {
    for (std::size_t columns : {1, 2, 8, 16, 17, 53}) {
      std::vector<float> x = RandomFloats(3 * columns, 5);
      for (std::size_t j = 0; j < columns; ++j) {
        x[j] *= 30.0f;
        x[columns + j] = j == 0 ? 3e38f : -3e38f;
      }
      std::vector<float> y(3 * columns), log_sum(3);
      const auto row = static_cast<std::ptrdiff_t>(columns);
      kernels->softmax(3, columns, x.data(), row, y.data(), row, log_sum.data());
      for (std::size_t i = 0; i < 3; ++i) {
        double sum = 0, exact = 0, largest = -1e300;
        for (std::size_t j = 0; j < columns; ++j) largest = std::max<double>(largest, x[i * columns + j]);
        for (std::size_t j = 0; j < columns; ++j) {
          sum += y[i * columns + j];
          exact += std::exp(x[i * columns + j] - largest);
        }
        EXPECT_NEAR(sum, 1.0, 1e-6);
        EXPECT_NEAR(log_sum[i], largest + std::log(exact), 1e-6 * std::max(1.0, std::fabs(largest)));
      }
    }
  }
}

// Runs every kernel but gemm on `rows` of the same random data and collects the bits of all outputs, row by
// row.
std::vector<std::vector<float>> AllRowKernels(const KernelTable<float>& k, std::size_t rows,
                                              std::size_t pad) {
  constexpr std::size_t kWidth = 53, kExperts = 3, kDim = 21, kFields = 4;
  const std::size_t stride = 64 + pad;
  const auto row = static_cast<std::ptrdiff_t>(stride);
  const auto matrix = [&](std::uint64_t seed) {
    std::vector<float> x(rows * stride + 16, 0.0f);
    for (std::size_t i = 0; i < rows; ++i) {
      const std::vector<float> values = RandomFloats(64, seed * 1000 + i);
      std::copy(values.begin(), values.end(), x.begin() + static_cast<std::ptrdiff_t>(i * stride));
    }
    return x;
  };
  std::vector<float> x = matrix(1), dy = matrix(2), gate = matrix(3), p(x.size()), dx(x.size()), h(x.size()),
                     df = matrix(4), dgate(x.size()), log_sum(rows);
  k.softmax(rows, kWidth, x.data(), row, p.data(), row, log_sum.data());
  k.softmax_backward(rows, kWidth, p.data(), row, dy.data(), row, dx.data(), row);
  k.mix(rows, 1, kDim, gate.data(), row, x.data(), row, false, h.data(), row);
  k.mix(rows, kExperts - 1, kDim, gate.data() + 1, row, x.data() + kDim, row, true, h.data(), row);
  k.mix_backward(rows, kExperts, kDim, gate.data(), row, x.data(), row, dy.data(), row, df.data(), row, true,
                 dgate.data(), row);
  std::vector<float> dots(x.size());
  k.row_dots(rows, kWidth, x.data(), row, dy.data(), row, dots.data(), row);
  std::vector<std::uint32_t> offsets = {0}, positions, distinct = {4, 2, 0, 3, 1};
  for (std::size_t cell = 0; cell < rows * kFields; ++cell) {
    for (std::size_t n = 0; n < cell % 4; ++n)
      positions.push_back(static_cast<std::uint32_t>((cell * 7 + n * 3) % 5));
    offsets.push_back(static_cast<std::uint32_t>(positions.size()));
  }
  const std::uint8_t pooling[kFields] = {kPoolMean, kPoolSum, kPoolShares, kPoolMean};
  const std::vector<float> shares = RandomFloats(rows, 7);
  const LookupArguments<float> lookup{rows,    kFields,       13, kFields, offsets.data(), positions.data(),
                                      pooling, shares.data(), 1};
  const std::vector<float> embeddings = RandomFloats(5 * 13 + 16, 6);
  std::vector<float> gathered(x.size());
  k.gather(lookup, distinct.data(), embeddings.data(), gathered.data(), row);
  std::vector<std::vector<float>> out;
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<float> all = {log_sum[i]};
    const auto add = [&](const std::vector<float>& m, std::size_t n) {
      all.insert(all.end(), m.begin() + static_cast<std::ptrdiff_t>(i * stride),
                 m.begin() + static_cast<std::ptrdiff_t>(i * stride + n));
    };
    add(p, kWidth), add(dx, kWidth), add(h, kDim), add(df, kExperts * kDim), add(dgate, kExperts),
        add(dots, 1), add(gathered, kFields * 13);
    out.push_back(all);
  }
  // Outputs over all rows go last: sums of columns and the scattered gradient.
  std::vector<float> sums(kWidth), gradient(5 * 13, 0.0f);
  k.bias_gradient(rows, kWidth, x.data(), row, dy.data(), row, sums.data());
  k.scatter(lookup, dy.data(), row, gradient.data());
  k.axpy(gradient.size(), 0.3f, embeddings.data(), gradient.data());
  out.push_back(sums);
  out.push_back(gradient);
  return out;
}

TEST(Rows, BitsDoNotDependOnRowsStrideOrInstructionSet) {
  const std::vector<std::vector<float>> reference = AllRowKernels(kAvx2Kernels, 40, 0);
  for (const KernelTable<float>* kernels : Paths()) {
    const std::vector<std::vector<float>> same = AllRowKernels(*kernels, 40, 5);
    ASSERT_EQ(same.size(), reference.size());
    for (std::size_t i = 0; i < same.size(); ++i)
      EXPECT_TRUE(SameBits(same[i], reference[i])) << kernels->name << i;
    for (std::size_t rows : {1, 7, 39}) {
      const std::vector<std::vector<float>> part = AllRowKernels(*kernels, rows, 1);
      for (std::size_t i = 0; i < rows; ++i)
        EXPECT_TRUE(SameBits(part[i], reference[i])) << kernels->name << rows;
    }
  }
}

TEST(Elementwise, SameBitsInBothPathsAtEveryPosition) {
  if (!HasKernelPath("avx512")) GTEST_SKIP() << "this processor has no AVX-512";
  std::vector<float> x;
  for (std::uint32_t i = 0; i < 100000; ++i)
    x.push_back(std::bit_cast<float>(i * 42949u));  // all exponents, both signs
  std::vector<float> a(x.size()), b(x.size()), c(x.size()), d(x.size());
  for (auto kernel : {&KernelTable<float>::exp, &KernelTable<float>::log}) {
    (kAvx2Kernels.*kernel)(x.size(), x.data(), a.data());
    (kAvx512Kernels.*kernel)(x.size(), x.data(), b.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_TRUE(std::bit_cast<std::uint32_t>(a[i]) == std::bit_cast<std::uint32_t>(b[i]) ||
                  (std::isnan(a[i]) && std::isnan(b[i])))
          << x[i];
      if (i % 97 == 0) {  // alone: the masked tail gives the same
        float alone;
        (kAvx512Kernels.*kernel)(1, &x[i], &alone);
        ASSERT_TRUE(std::bit_cast<std::uint32_t>(a[i]) == std::bit_cast<std::uint32_t>(alone) ||
                    std::isnan(a[i]));
      }
    }
  }
  kAvx2Kernels.sigmoid(x.size(), x.data(), a.data(), c.data());
  kAvx512Kernels.sigmoid(x.size(), x.data(), b.data(), d.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i])) continue;
    ASSERT_EQ(std::bit_cast<std::uint32_t>(a[i]), std::bit_cast<std::uint32_t>(b[i])) << x[i];
    ASSERT_EQ(std::bit_cast<std::uint32_t>(c[i]), std::bit_cast<std::uint32_t>(d[i])) << x[i];
  }
}

// A function that two differently compiled files both emit would be merged by the linker, and a processor
// without AVX-512 could then meet AVX-512 code outside the kernels.
TEST(Kernels, ObjectsDefineNothingButTheirTable) {
  const std::string library = std::string(COHORT_BIN_DIR) + "/../libcohort_model.a";
  FILE* pipe = popen(("nm -C '" + library + "' 2>/dev/null").c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::array<char, 1024> line;
  std::string object;
  int tables = 0;
  while (std::fgets(line.data(), line.size(), pipe)) {
    std::string text(line.data());
    text.erase(text.find_last_not_of('\n') + 1);
    if (text.ends_with(".o:")) object = text;
    // "0000000000000000 D name": only definitions have an address.
    if (!object.starts_with("kernels_avx") || text.size() < 19 || text[0] == ' ') continue;
    if (text[17] == 'D' && (text.ends_with("Kernels") || text.ends_with("Products"))) ++tables;
    // A function that others could be linked to: global, weak, unique or indirect.
    EXPECT_EQ(std::string("TWiu").find(text[17]), std::string::npos) << object << ' ' << text;
  }
  pclose(pipe);
  if (tables == 0) GTEST_SKIP() << "nm is not installed";
  EXPECT_EQ(tables, 3);
}

TEST(Kernels, PathsAreChosenByName) {
  EXPECT_EQ(KernelsFor("sse"), nullptr);
  EXPECT_FALSE(UseKernels("sse"));
  EXPECT_TRUE(HasKernelPath("avx2"));
  EXPECT_TRUE(UseKernels("avx2"));
  EXPECT_STREQ(ActiveKernels<float>().name, "avx2");
  EXPECT_TRUE(UseKernels(""));
  EXPECT_STREQ(ActiveKernels<float>().name, BestKernelPath());
}

}  // namespace
}  // namespace cohort::kernels_test
