// SecretKey: 128 secret bits in a file that its owner alone can read, and digests under it. Who has a digest and not the key can
// neither find nor test what it is of, even if there are few things that it can be of (user ids).
#ifndef COHORT_COMMON_SECRET_KEY_H_
#define COHORT_COMMON_SECRET_KEY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/row_hash.h"
#include "common/status.h"

namespace cohort {

class SecretKey {
 public:
  static constexpr std::size_t kBytes = 16;
  explicit SecretKey(const std::array<std::uint8_t, kBytes>& bytes);

  // The key of a file: 32 hexadecimal digits. kInvalidInput: there is none, it holds something else, or others than its owner may
  // read or write it.
  static Result<SecretKey> Read(const std::string& path);
  // The same; where there is no file, one is made with a new key from the system's random numbers, for its owner alone.
  static Result<SecretKey> ReadOrMake(const std::string& path);

  // SipHash-2-4 with 128 bits (Aumasson and Bernstein 2012).
  Hash128 Digest(std::string_view bytes) const;

 private:
  std::uint64_t low_ = 0, high_ = 0;
};

}  // namespace cohort

#endif  // COHORT_COMMON_SECRET_KEY_H_
