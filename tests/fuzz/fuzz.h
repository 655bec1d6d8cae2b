// START HERE. A fuzz target is one file NAME_fuzz.cc with LLVMFuzzerTestOneInput. It holds one decoder to this:
//
//  - no crash, no report of a sanitizer, no uncaught exception, no hang;
//  - what is accepted encodes back to the same bytes, where that is promised;
//  - what is refused is a Status with a text;
//  - memory is bounded by the input: AllocationBound.
//
// With clang (preset fuzz) a target is linked to libFuzzer; in all other builds to replay.cc, which runs it over
// tests/fuzz/corpus/NAME/. One thread.
#ifndef COHORT_TESTS_FUZZ_FUZZ_H_
#define COHORT_TESTS_FUZZ_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "common/check.h"
#include "common/status.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace cohort::fuzz {

// What an execution may allocate: at most `multiple` x the input + `slack`.
struct Bound {
  std::size_t multiple = 16;
  std::size_t slack = std::size_t{1} << 20;
  std::size_t fixed = 0;  // of the slack, what goes to any input, as to a library: it is not in the multiple
};

// Counts what this thread allocates in its lifetime, and stops the program when the bytes that live at one time, or one
// block, go beyond the bound, or one block beyond 16 x the input + the slack, whatever the multiple. Needs the allocator of a
// sanitizer; counts nothing without. One at a time. At the end of the program a line on stderr says what the most was
// (launch/fuzz reads it).
class AllocationBound {
 public:
  explicit AllocationBound(std::size_t input_bytes) : AllocationBound(input_bytes, Bound()) {}
  AllocationBound(std::size_t input_bytes, Bound bound);
  ~AllocationBound();
  AllocationBound(const AllocationBound&) = delete;
  AllocationBound& operator=(const AllocationBound&) = delete;

 private:
  std::size_t input_bytes_;
  Bound bound_;
};

// A refusal must say what is wrong.
inline void CheckRefusal(const Status& status) {
  COHORT_CHECK(!status.ok() && !status.text().empty(), "a refusal without a text");
}

// The input, taken apart from the front. What is not there reads as zeros.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : left_(reinterpret_cast<const char*>(data), size) {}
  template <typename T>
  T Take() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    const std::string_view bytes = TakeBytes(sizeof(T));
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  // At most `size` bytes.
  std::string_view TakeBytes(std::size_t size) {
    const std::string_view bytes = left_.substr(0, size);
    left_.remove_prefix(bytes.size());
    return bytes;
  }
  std::string_view left() const { return left_; }

 private:
  std::string_view left_;
};

// A folder in memory (/dev/shm) for decoders that read files; gone with the process.
const std::string& Folder();
// Replaces a file of it; returns its path.
std::string WriteFile(const std::string& name, std::string_view content);

}  // namespace cohort::fuzz

#endif  // COHORT_TESTS_FUZZ_FUZZ_H_
