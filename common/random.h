// Counter-based randomness: a draw is a pure function of what it is for, so that no thread, order or number of
// processes can change it (DESIGN 2.2).
#ifndef COHORT_COMMON_RANDOM_H_
#define COHORT_COMMON_RANDOM_H_

#include <cstdint>

namespace cohort {

// A bijection of 64 bits with good avalanche (the finalizer of SplitMix64: Steele, Lea, Flood 2014).
constexpr std::uint64_t Mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// Its inverse: UnMix64(Mix64(x)) == x (the inverses of the factors modulo 2^64).
constexpr std::uint64_t UnMix64(std::uint64_t x) {
  x = (x ^ (x >> 31) ^ (x >> 62)) * 0x319642b2d24d8ec3ULL;
  x = (x ^ (x >> 27) ^ (x >> 54)) * 0x96de1b173f119089ULL;
  return x ^ (x >> 30) ^ (x >> 60);
}
static_assert(UnMix64(Mix64(0x0123456789abcdefULL)) == 0x0123456789abcdefULL);

// 64 random bits for the draw named by (seed, a, b).
constexpr std::uint64_t RandomBits(std::uint64_t seed, std::uint64_t a, std::uint64_t b = 0) {
  std::uint64_t x = Mix64(seed + 0x9e3779b97f4a7c15ULL);
  x = Mix64(x + a * 0x9e3779b97f4a7c15ULL + 0x632be59bd9b4e019ULL);
  return Mix64(x + b * 0x9e3779b97f4a7c15ULL + 0xd1b54a32d192ed03ULL);
}

// Uniform in [0, 1), 24 bits: exact in float.
constexpr float UniformFloat(std::uint64_t bits) { return static_cast<float>(bits >> 40) * 0x1p-24f; }
// Uniform in [0, 1), 53 bits.
constexpr double UniformDouble(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

// A stream of draws for sequential code (shuffles, generators, simulations). Satisfies UniformRandomBitGenerator.
class RandomStream {
 public:
  using result_type = std::uint64_t;
  explicit RandomStream(std::uint64_t seed, std::uint64_t stream = 0) : seed_(RandomBits(seed, stream)) {}
  std::uint64_t operator()() { return Mix64(seed_ += 0x9e3779b97f4a7c15ULL); }
  double Uniform() { return UniformDouble((*this)()); }
  // Uniform in [0, n), n > 0 (Lemire 2019, without the rejection: bias < n / 2^64).
  std::uint64_t Below(std::uint64_t n) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>((*this)()) * n) >> 64);
  }
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~0ULL; }

 private:
  std::uint64_t seed_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_RANDOM_H_
