#include "common/secret_key.h"

#include <sys/random.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "common/atomic_file.h"

namespace cohort {
namespace {

std::uint64_t Word(const char* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// The four words of state.
struct Sip {
  std::uint64_t a, b, c, d;
  void Round() {
    a += b, b = std::rotl(b, 13) ^ a, a = std::rotl(a, 32);
    c += d, d = std::rotl(d, 16) ^ c;
    a += d, d = std::rotl(d, 21) ^ a;
    c += b, b = std::rotl(b, 17) ^ c, c = std::rotl(c, 32);
  }
  void Take(std::uint64_t word) {
    d ^= word;
    Round(), Round();
    a ^= word;
  }
  std::uint64_t End() {
    Round(), Round(), Round(), Round();
    return a ^ b ^ c ^ d;
  }
};

}  // namespace

SecretKey::SecretKey(const std::array<std::uint8_t, kBytes>& bytes) {
  std::memcpy(&low_, bytes.data(), sizeof low_);
  std::memcpy(&high_, bytes.data() + sizeof low_, sizeof high_);
}

Result<SecretKey> SecretKey::Read(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadKeyFile(path));
  const auto number = Hash128FromHex(text);
  if (!number) return InvalidInput(path + ": no key; expected 32 hexadecimal digits");
  std::array<std::uint8_t, kBytes> bytes{};
  std::memcpy(bytes.data(), &number->low, sizeof number->low);
  std::memcpy(bytes.data() + sizeof number->low, &number->high, sizeof number->high);
  return SecretKey(bytes);
}

Result<SecretKey> SecretKey::ReadOrMake(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) return Read(path);
  Hash128 number;
  if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number))
    return Error(ErrorCode::kIo, std::string("no random numbers: ") + std::strerror(errno));
  COHORT_RETURN_IF_ERROR(WriteFileAtomically(path, ToHex(number) + "\n", FileReaders::kOwner));
  return Read(path);
}

Hash128 SecretKey::Digest(std::string_view bytes) const {
  Sip sip{low_ ^ 0x736f6d6570736575, high_ ^ 0x646f72616e646f6d ^ 0xee, low_ ^ 0x6c7967656e657261,
          high_ ^ 0x7465646279746573};
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) sip.Take(Word(bytes.data() + at));
  std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56;
  std::memcpy(&last, bytes.data() + at, bytes.size() - at);
  sip.Take(last);
  Hash128 digest;
  sip.c ^= 0xee;
  digest.low = sip.End();
  sip.b ^= 0xdd;
  digest.high = sip.End();
  return digest;
}

}  // namespace cohort
