// Recycles the large arrays of a step (gradients, keys), so that a steady-state step asks the allocator for
// none. Objects come back when the last Buffer that shares them is gone, which may be on a transport's
// thread.
#ifndef COHORT_WORKER_OBJECT_POOL_H_
#define COHORT_WORKER_OBJECT_POOL_H_

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "common/buffer.h"

namespace cohort {

// Any thread.
template <typename T>
class ObjectPool {
 public:
  // A T as its last user left it.
  std::shared_ptr<T> Take() {
    std::unique_ptr<T> object;
    {
      std::lock_guard lock(state_->mutex);
      if (!state_->free.empty()) {
        object = std::move(state_->free.back());
        state_->free.pop_back();
      }
    }
    if (!object) object = std::make_unique<T>();
    return {object.release(), [state = state_](T* returned) {
              std::lock_guard lock(state->mutex);
              state->free.emplace_back(returned);
            }};
  }

 private:
  struct State {
    std::mutex mutex;
    std::vector<std::unique_ptr<T>> free;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// The whole array as a Buffer that shares it.
template <typename T>
Buffer AsBuffer(const std::shared_ptr<std::vector<T>>& array) {
  return Buffer(array, array->data(), array->size() * sizeof(T));
}

}  // namespace cohort

#endif  // COHORT_WORKER_OBJECT_POOL_H_
