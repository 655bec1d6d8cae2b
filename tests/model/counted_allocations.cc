// In a file of its own, so that no caller's compiler sees through the replaced operators.
#include "tests/model/counted_allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::uint64_t> allocations{0};

void* CountedOrNull(std::size_t size, std::size_t alignment) noexcept {
  ++allocations;
  return std::aligned_alloc(alignment,
                            (size + alignment - 1) / alignment * alignment + (size == 0 ? alignment : 0));
}

void* CountedAllocation(std::size_t size, std::size_t alignment) {
  void* p = CountedOrNull(size, alignment);
  if (!p) throw std::bad_alloc();
  return p;
}
}  // namespace

// Every allocation of this test program is counted.
void* operator new(std::size_t size) { return CountedAllocation(size, 16); }
void* operator new[](std::size_t size) { return CountedAllocation(size, 16); }
void* operator new(std::size_t size, std::align_val_t a) {
  return CountedAllocation(size, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t size, std::align_val_t a) {
  return CountedAllocation(size, static_cast<std::size_t>(a));
}
// std::stable_sort's.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return CountedOrNull(size, 16); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return CountedOrNull(size, 16); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace cohort {

std::uint64_t CountedAllocations() { return allocations; }

}  // namespace cohort
