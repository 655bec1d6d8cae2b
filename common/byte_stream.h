// Plain values to bytes and back, little-endian as this machine has them: for the one bulk array of a message whose
// structure only its two ends know.
#ifndef COHORT_COMMON_BYTE_STREAM_H_
#define COHORT_COMMON_BYTE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace cohort {

class ByteWriter {
 public:
  template <typename T>
  void Put(const T& value) {
    PutAll(std::span<const T>(&value, 1));
  }
  template <typename T>
  void PutAll(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
    bytes_.insert(bytes_.end(), bytes, bytes + values.size_bytes());
  }
  // The count, then the values.
  template <typename T>
  void PutList(const std::vector<T>& values) {
    Put<std::uint64_t>(values.size());
    PutAll(std::span<const T>(values));
  }
  std::vector<std::byte> Take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Every read may fail: then it is false, and so is every one after it. Memory is bounded by the bytes that are there.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  bool Get(T* value) {
    return GetAll(std::span<T>(value, 1));
  }
  template <typename T>
  bool GetAll(std::span<T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (!ok_ || values.size() > bytes_.size() / sizeof(T)) return ok_ = false;
    if (!values.empty()) std::memcpy(static_cast<void*>(values.data()), bytes_.data(), values.size_bytes());
    bytes_ = bytes_.subspan(values.size_bytes());
    return true;
  }
  template <typename T>
  bool GetList(std::vector<T>* values) {
    std::uint64_t count = 0;
    if (!Get(&count) || count > bytes_.size() / sizeof(T)) return ok_ = false;
    values->resize(count);
    return GetAll(std::span<T>(*values));
  }
  bool AtEnd() const { return ok_ && bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

}  // namespace cohort

#endif  // COHORT_COMMON_BYTE_STREAM_H_
