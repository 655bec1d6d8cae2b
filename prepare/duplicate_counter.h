// Counts rows that are equal to an earlier one, by 62-bit hashes: with n rows, n^2 / 2^63 false ones are
// expected (one in ten thousand runs for 30 million rows). Hashes beyond a stated number wait in sorted runs
// in one temporary file.
#ifndef COHORT_PREPARE_DUPLICATE_COUNTER_H_
#define COHORT_PREPARE_DUPLICATE_COUNTER_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "common/types.h"

namespace cohort {

class DuplicateCounter {
 public:
  static constexpr std::size_t kDefaultMemoryRows = std::size_t{1} << 22;  // 32 MB

  struct Counts {
    // Rows of a split that are equal to an earlier row of the same split.
    std::array<std::uint64_t, kSplitCount> within{};
    // Different rows that more than one split has: what the test split holds of them was seen in training.
    std::uint64_t across = 0;
  };

  // The temporary file is made in `directory` when it is needed, and has no name there.
  DuplicateCounter(std::string directory, std::size_t memory_rows = kDefaultMemoryRows);
  ~DuplicateCounter();
  DuplicateCounter(const DuplicateCounter&) = delete;
  DuplicateCounter& operator=(const DuplicateCounter&) = delete;

  Status Add(std::uint64_t row_hash, Split split) {
    hashes_.push_back((row_hash & ~std::uint64_t{3}) | static_cast<std::uint64_t>(split));
    return hashes_.size() < memory_rows_ ? Status() : Spill();
  }
  // At most once, at the end.
  Result<Counts> Count();
  std::uint64_t spilled_rows() const { return spilled_; }

 private:
  Status Spill();

  std::string directory_;
  std::size_t memory_rows_;
  std::vector<std::uint64_t> hashes_;  // the lowest two bits are the split
  std::vector<std::uint64_t> runs_;    // hashes per run of the file
  std::uint64_t spilled_ = 0;
  int descriptor_ = -1;
};

}  // namespace cohort

#endif  // COHORT_PREPARE_DUPLICATE_COUNTER_H_
