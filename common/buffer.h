// Buffer: an immutable, reference-counted run of bytes. Bulk arrays (keys, values) travel from the socket to the table
// and back as Buffers, without a copy.
#ifndef COHORT_COMMON_BUFFER_H_
#define COHORT_COMMON_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/check.h"

namespace cohort {

class Buffer {
 public:
  Buffer() = default;
  // Shares ownership of `owner`, which keeps `data` alive.
  Buffer(std::shared_ptr<const void> owner, const void* data, std::size_t size)
      : owner_(std::move(owner)), data_(static_cast<const std::byte*>(data)), size_(size) {}

  // Takes a vector over, without a copy.
  template <typename T>
  static Buffer Own(std::vector<T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    auto owner = std::make_shared<std::vector<T>>(std::move(values));
    const void* data = owner->data();
    std::size_t size = owner->size() * sizeof(T);
    return Buffer(std::move(owner), data, size);
  }
  template <typename T>
  static Buffer Copy(std::span<const T> values) {
    return Own(std::vector<T>(values.begin(), values.end()));
  }

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // The bytes [offset, offset + size), sharing ownership. REQUIRES: within the buffer.
  Buffer Slice(std::size_t offset, std::size_t size) const {
    COHORT_CHECK(offset <= size_ && size <= size_ - offset, "[%zu, +%zu) of %zu bytes", offset, size, size_);
    return Buffer(owner_, data_ + offset, size);
  }
  // How many holders the bytes have; 1 means that nobody else reads them.
  long use_count() const { return owner_.use_count(); }

  // The bytes as an array of T. REQUIRES: size() is a multiple of sizeof(T) and data() aligned for T (the wire checks
  // the size of every bulk array and the transport its alignment).
  template <typename T>
  std::span<const T> As() const {
    static_assert(std::is_trivially_copyable_v<T>);
    COHORT_CHECK(size_ % sizeof(T) == 0, "%zu bytes for elements of %zu", size_, sizeof(T));
    COHORT_CHECK(reinterpret_cast<std::uintptr_t>(data_) % alignof(T) == 0);
    return {reinterpret_cast<const T*>(data_), size_ / sizeof(T)};
  }

 private:
  std::shared_ptr<const void> owner_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace cohort

#endif  // COHORT_COMMON_BUFFER_H_
