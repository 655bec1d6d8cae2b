#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "launch/bench/in_process.h"
#include "launch/bench/row_array.h"
#include "launch/bench/stopwatch.h"

namespace cohort::bench {
namespace {

constexpr std::size_t kCopyFloats = 32u << 20;  // 128 MB: beyond the caches
constexpr std::size_t kPage = 4096;
constexpr int kFirstTouches = 64;

// CPU time until 2 MB of memory that the process has never used can be used, in us: what growth costs at least.
double FirstTouchUs() {
  std::vector<std::unique_ptr<char, void (*)(void*)>> pieces;
  std::vector<double> each;
  for (int i = 0; i < kFirstTouches; ++i) {
    auto& piece =
        pieces.emplace_back(static_cast<char*>(std::aligned_alloc(kHugePage, kHugePage)), std::free);
    if (piece == nullptr) break;
    madvise(piece.get(), kHugePage, MADV_HUGEPAGE);
    const double start = ThreadCpuSeconds();
    for (std::size_t at = 0; at < kHugePage; at += kPage) static_cast<volatile char*>(piece.get())[at] = 1;
    each.push_back((ThreadCpuSeconds() - start) * 1e6);
  }
  return each.empty() ? 0 : Quantile(each, 0.5);
}

}  // namespace

Result<Report> RunMemory(const Options& options, const Progress& progress) {
  const double row_bytes = options.dim * sizeof(float);
  COHORT_RETURN_IF_ERROR(
      CheckMemory(2 * static_cast<double>(options.rows) * row_bytes + 300e6, "bench memory"));
  progress("filling memory");
  const double first_touch_us = FirstTouchUs();  // once: what this process gives back it gets again cheaply
  COHORT_ASSIGN_OR_RETURN(const RowArray huge,
                          RowArray::Create(options.rows, options.dim, RowArray::Pages::kHuge));
  COHORT_ASSIGN_OR_RETURN(const RowArray small,
                          RowArray::Create(options.rows, options.dim, RowArray::Pages::kSmall));
  const auto batches = RowBatches(options.rows, options.batch, options.seed);
  std::vector<float> from(kCopyFloats, 1.0f), to(kCopyFloats);
  std::vector<float> out(std::size_t{options.batch} * options.dim);

  Report report(
      "memory",
      {{"dim", options.dim}, {"rows", options.rows}, {"batch", options.batch}, {"seconds", options.seconds}});
  report.Set("first_touch_us", first_touch_us);
  for (std::uint32_t i = 0; i < options.repetitions; ++i) {
    progress("repetition " + std::to_string(i + 1) + " of " + std::to_string(options.repetitions));
    const Repeated gather = Repeat(
        options.seconds, [&](std::uint64_t n) { huge.Gather(batches[n % batches.size()], out.data()); });
    const Repeated small_gather = Repeat(
        options.seconds, [&](std::uint64_t n) { small.Gather(batches[n % batches.size()], out.data()); });
    const Repeated copy = Repeat(options.seconds, [&](std::uint64_t n) {
      std::memcpy(to.data(), from.data(), kCopyFloats * sizeof(float));
      std::swap(from[n % kCopyFloats], to[n % kCopyFloats]);  // the copies are used
    });
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    const double rows = gather.PerSecond() * options.batch;
    const double small_rows = small_gather.PerSecond() * options.batch;
    report.Add({{"rows_per_second", rows},
                {"bytes_per_second", rows * row_bytes},
                {"small_pages_rows_per_second", small_rows},
                {"memcpy_bytes_per_second", copy.PerSecond() * kCopyFloats * sizeof(float)}});
  }
  return report;
}

}  // namespace cohort::bench
