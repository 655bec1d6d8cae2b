// The hash of a model: the sum, modulo 2^128, of the XXH3-128 of every row (table, key, weights, optimizer
// state). It does not depend on how rows are spread over shards or in what order they are visited, and any
// bit of any row changes it.
#ifndef COHORT_COMMON_ROW_HASH_H_
#define COHORT_COMMON_ROW_HASH_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "common/types.h"

namespace cohort {

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
  Hash128& operator+=(const Hash128& other) {
    low += other.low;
    high += other.high + (low < other.low);
    return *this;
  }
};
inline Hash128 operator+(Hash128 a, const Hash128& b) { return a += b; }
std::string ToHex(const Hash128& hash);  // 32 digits, the high half first
std::string ToHex(std::uint64_t value);  // 16 digits
// Errors: kCorrupt, another number or kind of digits.
Result<Hash128> Hash128FromHex(std::string_view text);
Result<std::uint64_t> Uint64FromHex(std::string_view text);

// Hashes one row after the other; reuses its memory. One thread.
class RowHasher {
 public:
  // `row`: weights, then optimizer state.
  Hash128 Hash(TableId table, Key key, std::span<const float> row);

 private:
  std::vector<std::byte> bytes_;
};

// XXH3-64 of a file, as manifests record it.
struct FileChecksum {
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
};
Result<FileChecksum> ChecksumOfFile(const std::string& path);
std::uint64_t ChecksumOf(std::string_view bytes);

}  // namespace cohort

#endif  // COHORT_COMMON_ROW_HASH_H_
