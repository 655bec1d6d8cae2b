// Recycles the large arrays of a step (gradients, keys), so that a steady-state step asks the allocator for
// none. Arrays come back when the last Buffer that shares them is gone, which may be on a transport's thread.
#ifndef COHORT_WORKER_ARRAY_POOL_H_
#define COHORT_WORKER_ARRAY_POOL_H_

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "common/buffer.h"

namespace cohort {

template <typename T>
class ArrayPool {
 public:
  // An array of `size` elements with unspecified content.
  std::shared_ptr<std::vector<T>> Take(std::size_t size) {
    std::unique_ptr<std::vector<T>> array;
    {
      std::lock_guard lock(state_->mutex);
      if (!state_->free.empty()) {
        array = std::move(state_->free.back());
        state_->free.pop_back();
      }
    }
    if (!array) array = std::make_unique<std::vector<T>>();
    array->resize(size);
    return {array.release(), [state = state_](std::vector<T>* returned) {
              std::lock_guard lock(state->mutex);
              state->free.emplace_back(returned);
            }};
  }

 private:
  struct State {
    std::mutex mutex;
    std::vector<std::unique_ptr<std::vector<T>>> free;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// The whole array as a Buffer that shares it.
template <typename T>
Buffer AsBuffer(const std::shared_ptr<std::vector<T>>& array) {
  return Buffer(array, array->data(), array->size() * sizeof(T));
}

}  // namespace cohort

#endif  // COHORT_WORKER_ARRAY_POOL_H_
