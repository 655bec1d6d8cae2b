// OccurrenceSketch: how often each key of one slot has been seen, in a fixed number of bytes. A count-min
// sketch with conservative update [1]: an estimate is never too low, but for ageing: when the sightings added
// exceed ten times the counters of a line, all counters are halved [2], so that keys seen long ago do not fill
// it up.
//
// Counters are bytes and stay at 255. A pure function of the sightings and their order.
//
// [1] Cormode, Muthukrishnan 2005; Estan, Varghese 2002. [2] the "reset" of Einziger, Friedman, Manes 2017.
#ifndef COHORT_SERVER_OCCURRENCE_SKETCH_H_
#define COHORT_SERVER_OCCURRENCE_SKETCH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cohort {

class OccurrenceSketch {
 public:
  // `bytes` is rounded down to four lines of a power of two counters, at least 16 each.
  explicit OccurrenceSketch(std::size_t bytes);

  // Adds `count` sightings of the key at a ring position. Returns the estimate with them.
  std::uint32_t Add(std::uint64_t position, std::uint32_t count);
  std::uint32_t Estimate(std::uint64_t position) const;
  std::size_t bytes() const { return counters_.size(); }

  // What it knows, and back. REQUIRES: as many counters as bytes().
  std::span<const std::uint8_t> counters() const { return counters_; }
  std::uint64_t added() const { return added_; }
  void Restore(std::span<const std::uint8_t> counters, std::uint64_t added);

 private:
  static constexpr std::size_t kLines = 4;
  static constexpr std::uint32_t kMost = 255;
  std::array<std::size_t, kLines> PlacesOf(std::uint64_t position) const;
  void Halve();

  std::size_t line_;  // counters of a line
  std::vector<std::uint8_t> counters_;
  std::uint64_t added_ = 0;  // sightings since the last halving
};

}  // namespace cohort

#endif  // COHORT_SERVER_OCCURRENCE_SKETCH_H_
