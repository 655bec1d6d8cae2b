// Memory for outgoing bulk arrays that comes back when the last holder of a Buffer lets go, on whatever
// thread (the transport's). Large blocks then never go back and forth between the program and the kernel.
#ifndef COHORT_COMMON_BUFFER_POOL_H_
#define COHORT_COMMON_BUFFER_POOL_H_

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "common/buffer.h"

namespace cohort {

// Take from one thread; Buffers may be released anywhere and may outlive the pool.
class BufferPool {
 public:
  BufferPool();
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  template <typename T>
  struct Writable {
    std::span<T> values;  // uninitialised; to be filled before the buffer is handed on
    Buffer buffer;        // the same bytes
  };
  template <typename T>
  Writable<T> Take(std::size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    const std::size_t bytes = count * sizeof(T);
    std::shared_ptr<void> memory = TakeBytes(bytes);
    T* data = static_cast<T*>(memory.get());
    return {{data, count}, Buffer(std::move(memory), data, bytes)};
  }
  // Blocks that exist, free or not.
  std::size_t blocks() const { return blocks_; }

 private:
  struct Block;
  struct Returned;
  std::shared_ptr<void> TakeBytes(std::size_t bytes);

  std::shared_ptr<Returned> returned_;
  std::array<std::vector<Block*>, 64> free_;  // by the logarithm of their size
  std::size_t blocks_ = 0;
};

}  // namespace cohort

#endif  // COHORT_COMMON_BUFFER_POOL_H_
