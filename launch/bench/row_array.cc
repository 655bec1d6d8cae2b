#include "launch/bench/row_array.h"

#include <errno.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

namespace cohort::bench {
namespace {

constexpr std::size_t kAhead = 24;       // rows fetched before the first of them is copied
constexpr std::size_t kLineFloats = 16;  // a cache line
constexpr std::uint64_t kRowsDrawn = 4'000'000;

}  // namespace

Result<RowArray> RowArray::Create(std::uint64_t rows, std::uint32_t dim, Pages pages) {
  RowArray array;
  array.dim_ = dim;
  const std::size_t bytes = rows * dim * sizeof(float);
  array.bytes_ = (bytes + kHugePage - 1) / kHugePage * kHugePage + kHugePage;
  void* memory = mmap(nullptr, array.bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return Error(ErrorCode::kIo, "no " + std::to_string(array.bytes_ >> 20) +
                                     " MB of memory: " + std::strerror(errno) + "; lower --rows or --dim");
  }
  array.data_ = static_cast<float*>(memory);
  // Advice only: where huge pages are switched off, the small ones' figures result.
  madvise(memory, array.bytes_, pages == Pages::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  for (std::uint64_t row = 0; row < rows; ++row) {
    std::fill_n(array.data_ + row * dim, dim, static_cast<float>(row));
  }
  return array;
}

RowArray::RowArray(RowArray&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_), dim_(other.dim_) {}

RowArray::~RowArray() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

void RowArray::Gather(std::span<const std::uint32_t> rows, float* out) const {
  const std::size_t dim = dim_;
  for (std::size_t i = 0; i < rows.size(); ++i, out += dim) {
    if (i + kAhead < rows.size()) {
      const float* next = data_ + rows[i + kAhead] * dim;
      for (std::size_t line = 0; line < dim; line += kLineFloats) __builtin_prefetch(next + line);
    }
    std::memcpy(out, data_ + rows[i] * dim, dim * sizeof(float));
  }
}

std::vector<std::vector<std::uint32_t>> RowBatches(std::uint64_t rows, std::uint32_t batch,
                                                   std::uint64_t seed) {
  RandomStream random(seed, 7);
  std::vector<std::vector<std::uint32_t>> batches(
      std::max<std::uint64_t>(8, std::min(rows, kRowsDrawn) / batch));
  for (auto& each : batches) {
    each.resize(batch);
    for (std::uint32_t& row : each) row = static_cast<std::uint32_t>(random.Below(rows));
  }
  return batches;
}

Status CheckMemory(double bytes, const std::string& what) {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  double available = 0;
  for (double amount = 0; file >> name >> amount >> unit;) {
    if (name == "MemAvailable:") available = amount * 1024;
  }
  if (bytes <= available) return {};
  char text[64];
  std::snprintf(text, sizeof(text), "%.1f GB of memory, and %.1f GB are free", bytes * 1e-9,
                available * 1e-9);
  return {ErrorCode::kInvalidInput, what + " needs " + text + ": lower --rows, --grow-to or --dim"};
}

}  // namespace cohort::bench
