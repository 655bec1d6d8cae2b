// Matrix products of bfloat16 with sums in float32, by the AVX512-BF16 instructions. Compiled with -mavx512bf16
// (cmake/kernels.cmake); include only this header's declarations and intrinsics here (kernels.h).
//
// Two neighbours in depth are one 32-bit pair, which an instruction multiplies and adds to a float in one go:
// sum(i, j) += A(i, k) B(k, j) + A(i, k+1) B(k+1, j). Operands are rounded to nearest even; their subnormals count as 0.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/model/kernels.h"

namespace cohort {
namespace {

#define COHORT_INLINE inline __attribute__((always_inline))

constexpr size_t kLanes = 16;
constexpr int kTileRows = 14;        // 28 accumulators, 2 registers for B, 1 for A
constexpr ptrdiff_t kAhead = 16;     // rows of a transposed A fetched before they are read
constexpr size_t kBlockPairs = 256;  // in depth: 32 KB of a panel of B, and the tile's rows of A

COHORT_INLINE size_t Smaller(size_t a, size_t b) { return a < b ? a : b; }
COHORT_INLINE __mmask16 FirstLanes(size_t n) { return static_cast<__mmask16>((1u << n) - 1); }
// The first of 32 values, from 0 to 32 of them.
COHORT_INLINE __m512 LoadFirst(const float* p, size_t n) {
  return n >= kLanes ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(FirstLanes(n), p);
}

// Lane j: the pair (x[j], y[j]).
COHORT_INLINE __m512i Pairs(__m512 x, __m512 y) {
  const __m512i low = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
  const __m512i high = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(y)));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}
// Lane p: the pair (x[2p], x[2p+1]) of n <= 32 values; zeros beyond.
COHORT_INLINE __m512i NeighbourPairs(const float* x, size_t n) {
  const __m512 first = LoadFirst(x, n),
               second = n > kLanes ? LoadFirst(x + kLanes, n - kLanes) : _mm512_setzero_ps();
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
}

struct TileArguments {
  size_t pairs;
  const uint32_t* a;  // pair p of row i: a[i * a_row + p * a_pair]
  ptrdiff_t a_row, a_pair;
  const uint32_t* b;  // pair p of column j: b[p * kPanelColumns + j]
  float* c;
  ptrdiff_t c_row;
  const float* bias;
  __mmask16 mask;  // of the last vector
  bool load_c, relu;
};

template <int kRows, int kVectors>
__attribute__((noinline)) void Tile(const TileArguments& t) {
  __m512 sum[kRows][kVectors];
  const auto load = [&](const float* p, int v) __attribute__((always_inline)) {
    return v == kVectors - 1 ? _mm512_maskz_loadu_ps(t.mask, p + v * 16) : _mm512_loadu_ps(p + v * 16);
  };
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      sum[i][v] = t.load_c ? load(t.c + i * t.c_row, v) : t.bias ? load(t.bias, v) : _mm512_setzero_ps();
    }
  }
  const uint32_t *a = t.a, *b = t.b;
  const ptrdiff_t a_row = t.a_row;
#pragma GCC unroll 1
  for (size_t p = t.pairs; p != 0; --p, a += t.a_pair, b += kPanelColumns) {
    __m512i b_p[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) b_p[v] = _mm512_loadu_si512(b + v * 16);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const __m512i a_ip = _mm512_set1_epi32(static_cast<int>(a[i * a_row]));
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        sum[i][v] =
            _mm512_dpbf16_ps(sum[i][v], reinterpret_cast<__m512bh>(a_ip), reinterpret_cast<__m512bh>(b_p[v]));
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const __m512 x = t.relu ? _mm512_max_ps(_mm512_setzero_ps(), sum[i][v]) : sum[i][v];
      float* to = t.c + i * t.c_row + v * 16;
      if (v == kVectors - 1) {
        _mm512_mask_storeu_ps(to, t.mask, x);
      } else {
        _mm512_storeu_ps(to, x);
      }
    }
  }
}

using TileFunction = void (*)(const TileArguments&);
template <int kRows, int kVectors>
TileFunction TileOfRows(size_t rows) {
  if constexpr (kRows == 1) {
    return &Tile<1, kVectors>;
  } else {
    return rows == kRows ? &Tile<kRows, kVectors> : TileOfRows<kRows - 1, kVectors>(rows);
  }
}

void MatrixProduct(const GemmArguments<float>& g) {
  if (g.rows == 0 || g.columns == 0) return;
  const bool column_major = g.a_column != 1;
  const size_t tiles = (g.rows + kTileRows - 1) / kTileRows, tile_rows = g.rows / tiles,
               larger = g.rows % tiles;
  const size_t pairs = (g.depth + 1) / 2;
  alignas(64) uint32_t a[kLanes * kBlockPairs];  // the tile's rows of A
  for (size_t block = 0; block == 0 || block < pairs; block += kBlockPairs) {
    const size_t depth = Smaller(2 * kBlockPairs, g.depth - 2 * block);
    TileArguments t;
    t.pairs = (depth + 1) / 2;
    t.a = a;
    t.a_row = column_major ? 1 : static_cast<ptrdiff_t>(kBlockPairs);
    t.a_pair = column_major ? static_cast<ptrdiff_t>(kLanes) : 1;
    t.c_row = g.c_row;
    t.load_c = g.accumulate || block != 0;
    t.relu = g.relu && block + kBlockPairs >= pairs;
    const float* a_rows = g.a + static_cast<ptrdiff_t>(2 * block) * g.a_column;
    float* c_rows = g.c;
    for (size_t tile = 0; tile < tiles; ++tile) {
      const size_t rows = tile_rows + (tile < larger ? 1 : 0);
      if (column_major) {
        for (size_t k = 0; k < depth; k += 2) {
          const float* from = a_rows + static_cast<ptrdiff_t>(k) * g.a_column;
          // Rows of a wide matrix lie in different pages, which the processor does not fetch ahead by itself.
          __builtin_prefetch(from + kAhead * g.a_column);
          __builtin_prefetch(from + (kAhead + 1) * g.a_column);
          const __m512 even = LoadFirst(from, rows),
                       odd = k + 1 < depth ? LoadFirst(from + g.a_column, rows) : _mm512_setzero_ps();
          _mm512_store_si512(a + k / 2 * kLanes, Pairs(even, odd));
        }
      } else {
        for (size_t i = 0; i < rows; ++i) {
          const float* from = a_rows + static_cast<ptrdiff_t>(i) * g.a_row;
          for (size_t k = 0; k < depth; k += 2 * kLanes)
            _mm512_store_si512(a + i * kBlockPairs + k / 2,
                               NeighbourPairs(from + k, Smaller(2 * kLanes, depth - k)));
        }
      }
      const TileFunction wide = TileOfRows<kTileRows, 2>(rows), narrow = TileOfRows<kTileRows, 1>(rows);
      for (size_t j = 0; j < g.columns; j += kPanelColumns) {
        const size_t columns = Smaller(kPanelColumns, g.columns - j);
        t.mask = FirstLanes((columns - 1) % kLanes + 1);
        t.b = reinterpret_cast<const uint32_t*>(g.b + static_cast<ptrdiff_t>(j / kPanelColumns) * g.b_panel) +
              block * kPanelColumns;
        t.bias = g.bias ? g.bias + j : nullptr;
        t.c = c_rows + j;
        (columns > kLanes ? wide : narrow)(t);
      }
      a_rows += static_cast<ptrdiff_t>(rows) * g.a_row;
      c_rows += static_cast<ptrdiff_t>(rows) * g.c_row;
    }
  }
}

void Pack(size_t depth, size_t columns, const float* b, ptrdiff_t b_row, float* packed) {
  for (size_t j = 0; j < columns; j += kPanelColumns, packed += kPanelColumns * depth) {
    const size_t width = Smaller(kPanelColumns, columns - j), second = width > kLanes ? width - kLanes : 0;
    uint32_t* to = reinterpret_cast<uint32_t*>(packed);
    for (size_t k = 0; k < depth; k += 2, to += kPanelColumns) {
      const float *even = b + static_cast<ptrdiff_t>(k) * b_row + j,
                  *odd = even + (k + 1 < depth ? b_row : 0);
      const __mmask16 has_odd = k + 1 < depth ? 0xffff : 0;
      _mm512_storeu_si512(to,
                          Pairs(LoadFirst(even, width), _mm512_maskz_mov_ps(has_odd, LoadFirst(odd, width))));
      _mm512_storeu_si512(
          to + kLanes,
          Pairs(_mm512_maskz_loadu_ps(FirstLanes(second), even + kLanes),
                _mm512_maskz_loadu_ps(static_cast<__mmask16>(FirstLanes(second) & has_odd), odd + kLanes)));
    }
  }
}

void PackTransposed(size_t depth, size_t columns, const float* bt, ptrdiff_t bt_row, float* packed) {
  const __m512i lines =
      _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                         _mm512_set1_epi32(kPanelColumns));
  for (size_t j = 0; j < columns; j += kPanelColumns, packed += kPanelColumns * depth) {
    uint32_t* to = reinterpret_cast<uint32_t*>(packed);
    for (size_t c = 0; c < kPanelColumns; ++c) {
      const float* from = bt + static_cast<ptrdiff_t>(j + c) * bt_row;
      for (size_t k = 0; k < depth; k += 2 * kLanes) {
        const size_t n = Smaller(2 * kLanes, depth - k);
        const __m512i pairs = j + c < columns ? NeighbourPairs(from + k, n) : _mm512_setzero_si512();
        _mm512_mask_i32scatter_epi32(to + k / 2 * kPanelColumns + c, FirstLanes((n + 1) / 2), lines, pairs,
                                     4);
      }
    }
  }
}

}  // namespace

const ProductKernels<float> kAvx512Bfloat16Products = {MatrixProduct, Pack, PackTransposed};

}  // namespace cohort
