// RowArray: rows of floats in one piece of memory, and the fastest plain way to gather some of them: what any
// table is held against.
#ifndef COHORT_LAUNCH_BENCH_ROW_ARRAY_H_
#define COHORT_LAUNCH_BENCH_ROW_ARRAY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/random.h"
#include "common/status.h"

namespace cohort::bench {

inline constexpr std::size_t kHugePage = 2u << 20;

// Row r holds the value r throughout, so all of it is resident. Move-only.
class RowArray {
 public:
  enum class Pages { kSmall, kHuge };  // 4 KB; 2 MB where the kernel has them
  // Errors: the kernel has no memory for it.
  static Result<RowArray> Create(std::uint64_t rows, std::uint32_t dim, Pages pages);
  RowArray(RowArray&& other) noexcept;
  RowArray& operator=(RowArray&&) = delete;
  ~RowArray();

  // Copies rows[i] to out + i * dim, fetching ahead.
  void Gather(std::span<const std::uint32_t> rows, float* out) const;

 private:
  RowArray() = default;
  float* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::uint32_t dim_ = 0;
};

// Batches of row numbers drawn uniformly, made beforehand; enough of them to touch the whole array.
std::vector<std::vector<std::uint32_t>> RowBatches(std::uint64_t rows, std::uint32_t batch,
                                                   std::uint64_t seed);

// Memory that this machine could give out now; errors if it is less than `bytes`, which `what` needs.
Status CheckMemory(double bytes, const std::string& what);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_ROW_ARRAY_H_
