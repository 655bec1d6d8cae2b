#include "server/occurrence_sketch.h"

#include <algorithm>
#include <bit>

#include "common/check.h"
#include "common/random.h"

namespace cohort {
namespace {

constexpr std::uint64_t kHalvedAfter = 10;  // times the counters of a line

}  // namespace

OccurrenceSketch::OccurrenceSketch(std::size_t bytes)
    : line_(std::clamp<std::size_t>(std::bit_floor(bytes / kLines), 16, 65536)), counters_(line_ * kLines) {}

std::array<std::size_t, OccurrenceSketch::kLines> OccurrenceSketch::PlacesOf(std::uint64_t position) const {
  // Positions of one slot share their leading bits: mixed again, 16 bits serve each line.
  std::uint64_t bits = Mix64(position + 0x9e3779b97f4a7c15ULL);
  std::array<std::size_t, kLines> places;
  for (std::size_t line = 0; line < kLines; ++line, bits >>= 16) {
    places[line] = line * line_ + (bits & (line_ - 1));
  }
  return places;
}

std::uint32_t OccurrenceSketch::Estimate(std::uint64_t position) const {
  std::uint32_t least = kMost;
  for (const std::size_t place : PlacesOf(position)) least = std::min<std::uint32_t>(least, counters_[place]);
  return least;
}

std::uint32_t OccurrenceSketch::Add(std::uint64_t position, std::uint32_t count) {
  const auto places = PlacesOf(position);
  std::uint32_t least = kMost;
  for (const std::size_t place : places) least = std::min<std::uint32_t>(least, counters_[place]);
  const std::uint32_t estimate = least + std::min(count, kMost - least);
  for (const std::size_t place : places) {
    counters_[place] = std::max(counters_[place], static_cast<std::uint8_t>(estimate));
  }
  added_ += count;
  if (added_ > kHalvedAfter * line_) Halve();
  return estimate;
}

void OccurrenceSketch::Restore(std::span<const std::uint8_t> counters, std::uint64_t added) {
  COHORT_CHECK(counters.size() == counters_.size());
  counters_.assign(counters.begin(), counters.end());
  added_ = added;
}

void OccurrenceSketch::Halve() {
  for (std::uint8_t& counter : counters_) counter /= 2;
  added_ = 0;
}

}  // namespace cohort
