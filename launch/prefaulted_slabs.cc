#include "launch/prefaulted_slabs.h"

#include <new>
#include <utility>

namespace cohort {
namespace {

constexpr std::size_t kPageFloats = 4096 / sizeof(float);

}  // namespace

PrefaultedSlabs::~PrefaultedSlabs() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  taken_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Slab PrefaultedSlabs::Take() {
  std::unique_lock lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { Make(); });
  made_.wait(lock, [this] { return !ready_.empty() || out_of_memory_; });
  if (ready_.empty()) throw std::bad_alloc();
  Slab slab = std::move(ready_.front());
  ready_.pop_front();
  taken_.notify_all();
  return slab;
}

void PrefaultedSlabs::Make() {
  std::unique_lock lock(mutex_);
  for (;;) {
    taken_.wait(lock, [this] { return ending_ || ready_.size() < kReady; });
    if (ending_) return;
    lock.unlock();
    Slab slab;
    try {
      slab = NewSlab(/*large_page=*/true);
      for (std::size_t i = 0; i < kSlabBytes / sizeof(float); i += kPageFloats)
        static_cast<volatile float*>(slab.get())[i] = 0;
    } catch (const std::bad_alloc&) {
      // Taken note of below; whoever needs a slab says so.
    }
    lock.lock();
    if (slab == nullptr) {
      out_of_memory_ = true;
    } else {
      ready_.push_back(std::move(slab));
    }
    made_.notify_all();
    if (out_of_memory_) return;
  }
}

}  // namespace cohort
