// HotRows: pulled rows of keys that come again and again, kept at the worker to serve later pulls (ssp, asp).
//
// What may serve is the caller's to say: a row is as of a clock, and Find takes the oldest that will do. What is worth a
// place is decided by frequency (TinyLFU: Einziger, Friedman, Manes 2017): a count-min sketch of two rows counts the
// pulls that asked for a key, and is halved now and then, so that it forgets. Rows lie in sets of eight by the key's
// hash; a newcomer takes a free place of its set, or that of the row seen least, if it has been seen more often.
//
// Pure logic, one thread. A look-up touches two lines of the sketch and two of the set.
#ifndef COHORT_WORKER_HOT_ROWS_H_
#define COHORT_WORKER_HOT_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/types.h"

namespace cohort {

class HotRows {
 public:
  // Room for `rows` rows, rounded up to whole sets, of `dim` floats. REQUIRES: both > 0.
  HotRows(std::uint64_t rows, std::uint32_t dim);

  // A pull asks for the row at this ring position (counted as a sighting): its values, or null when it is not here or
  // as of a clock before `oldest`. Good until the next Offer or Clear.
  const float* Find(std::uint64_t position, Clock oldest);
  // A pull has brought the row as it was at clock `as_of`. One that is here is replaced unless it is newer.
  void Offer(std::uint64_t position, Clock as_of, const float* values);
  // Lets all rows go; what has been seen is remembered.
  void Clear();

  std::size_t capacity() const { return positions_.size(); }

 private:
  static constexpr std::size_t kWays = 8;  // a set's positions fill a cache line
  static constexpr Clock kFree = -2;       // as_of of a free place

  std::size_t FirstOf(std::uint64_t position) const;  // of the set
  std::size_t Place(std::uint64_t position) const;    // capacity(): none
  std::uint8_t Sightings(std::uint64_t position) const;
  void Count(std::uint64_t position);

  const std::uint32_t dim_;
  std::vector<std::uint64_t> positions_;
  std::vector<Clock> as_of_;
  std::vector<float> values_;
  std::vector<std::uint8_t> sketch_;  // two rows, one after the other
  std::uint64_t sketch_mask_ = 0;
  std::uint64_t counted_ = 0;  // since the sketch was halved
};

}  // namespace cohort

#endif  // COHORT_WORKER_HOT_ROWS_H_
