#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

// Of the sanitizers' runtimes (sanitizer/allocator_interface.h, which GCC does not bring); null where there is none.
extern "C" {
__attribute__((weak)) int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*,
                                                                                      std::size_t),
                                                                    void (*on_free)(const volatile void*));
__attribute__((weak)) std::size_t __sanitizer_get_allocated_size(const volatile void* block);
}

namespace cohort::fuzz {
namespace {

// The multiple is told of inputs that are not much smaller than what a program allocates for any.
constexpr std::size_t kTellingBytes = 1024;

struct Counts {
  std::ptrdiff_t live = 0, peak = 0, largest = 0;
};
thread_local Counts* counts = nullptr;  // null: not counting

// What is told at the end.
struct Told {
  std::size_t peak = 0;
  double multiple = 0;                  // beyond what an empty input takes, by the input's bytes
  std::size_t empty = ~std::size_t{0};  // the least that an execution took
  ~Told() {
    if (peak > 0) std::fprintf(stderr, "allocation: most %zu bytes, multiple %.1f\n", peak, multiple);
  }
};
Told told;
Counts now;

void OnMalloc(const volatile void*, std::size_t size) {
  if (counts == nullptr) return;
  const auto bytes = static_cast<std::ptrdiff_t>(size);
  counts->live += bytes;
  counts->peak = std::max(counts->peak, counts->live);
  counts->largest = std::max(counts->largest, bytes);
}
void OnFree(const volatile void* block) {
  if (counts == nullptr || block == nullptr) return;
  counts->live -= static_cast<std::ptrdiff_t>(__sanitizer_get_allocated_size(block));
}

bool CanCount() {
  static const bool can = __sanitizer_install_malloc_and_free_hooks != nullptr &&
                          __sanitizer_get_allocated_size != nullptr &&
                          __sanitizer_install_malloc_and_free_hooks(OnMalloc, OnFree) > 0;
  return can;
}

// Removed with the process.
struct MemoryFolder {
  std::string path = "/dev/shm/cohort-fuzz-XXXXXX";
  MemoryFolder() { COHORT_CHECK(::mkdtemp(path.data()) != nullptr, "%s", path.c_str()); }
  ~MemoryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace

AllocationBound::AllocationBound(std::size_t input_bytes, Bound bound)
    : input_bytes_(input_bytes), bound_(bound) {
  if (!CanCount()) return;
  now = {};
  counts = &now;
}

AllocationBound::~AllocationBound() {
  if (counts == nullptr) return;
  counts = nullptr;
  const auto peak = static_cast<std::size_t>(std::max(now.peak, now.largest));
  const std::size_t most = bound_.multiple * input_bytes_ + bound_.slack;
  COHORT_CHECK(
      peak <= most,
      "allocated %zu bytes at a time, the largest block %zu; the bound is %zu for %zu bytes of input", peak,
      static_cast<std::size_t>(now.largest), most, input_bytes_);
  const std::size_t block = Bound().multiple * input_bytes_ + std::max(bound_.slack, Bound().slack);
  COHORT_CHECK(static_cast<std::size_t>(now.largest) <= block,
               "allocated a block of %zu bytes; the bound is %zu for %zu bytes of input",
               static_cast<std::size_t>(now.largest), block, input_bytes_);
  told.peak = std::max(told.peak, peak);
  told.empty = std::min(told.empty, peak);
  const std::size_t any = std::max(told.empty, bound_.fixed);
  if (input_bytes_ >= kTellingBytes && peak > any)
    told.multiple =
        std::max(told.multiple, static_cast<double>(peak - any) / static_cast<double>(input_bytes_));
}

const std::string& Folder() {
  static const MemoryFolder folder;
  return folder.path;
}

std::string WriteFile(const std::string& name, std::string_view content) {
  const std::string path = Folder() + "/" + name;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  COHORT_CHECK(
      file >= 0 && ::write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size()),
      "%s", path.c_str());
  ::close(file);
  return path;
}

}  // namespace cohort::fuzz
