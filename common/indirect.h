// Indirect: a value that lies on the heap, for the large member of a struct that is mostly moved about without it (as
// std::indirect of C++26, P3019). Copied and const with its owner.
#ifndef COHORT_COMMON_INDIRECT_H_
#define COHORT_COMMON_INDIRECT_H_

#include <memory>
#include <utility>

namespace cohort {

template <typename T>
class Indirect {
 public:
  Indirect() : value_(std::make_unique<T>()) {}
  Indirect(T value) : value_(std::make_unique<T>(std::move(value))) {}  // implicit: it stands for the value
  Indirect(const Indirect& other) : value_(other.value_ ? std::make_unique<T>(*other) : nullptr) {}
  Indirect& operator=(const Indirect& other) { return *this = Indirect(other); }
  // One that was moved from may be assigned to and destroyed, and nothing else.
  Indirect(Indirect&&) noexcept = default;
  Indirect& operator=(Indirect&&) noexcept = default;
  ~Indirect() = default;

  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return value_.get(); }
  const T* operator->() const { return value_.get(); }

  template <class Archive>
  void serialize(Archive& archive) {
    archive(*value_);
  }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_INDIRECT_H_
