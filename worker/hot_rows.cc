#include "worker/hot_rows.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/check.h"
#include "common/random.h"

namespace cohort {
namespace {

// Counters a place, and sightings a place after which they are halved: the paper's sample is about ten times the cache.
constexpr std::uint64_t kCountersPerRow = 8;
constexpr std::uint64_t kSightingsPerRow = 16;

}  // namespace

HotRows::HotRows(std::uint64_t rows, std::uint32_t dim) : dim_(dim) {
  COHORT_CHECK(rows > 0 && dim > 0);
  const std::size_t capacity = (rows + kWays - 1) / kWays * kWays;
  positions_.assign(capacity, 0);
  as_of_.assign(capacity, kFree);
  values_.resize(capacity * dim);
  const std::uint64_t width = std::bit_ceil(kCountersPerRow * capacity);
  sketch_.assign(2 * width, 0);
  sketch_mask_ = width - 1;
}

// The set comes from the position's lower half: the upper one says which shard it is of.
std::size_t HotRows::FirstOf(std::uint64_t position) const {
  const std::uint64_t sets = positions_.size() / kWays;
  return static_cast<std::size_t>((static_cast<std::uint64_t>(static_cast<std::uint32_t>(position)) * sets) >>
                                  32) *
         kWays;
}

std::size_t HotRows::Place(std::uint64_t position) const {
  const std::size_t first = FirstOf(position);
  for (std::size_t place = first; place < first + kWays; ++place) {
    if (positions_[place] == position && as_of_[place] != kFree) return place;
  }
  return capacity();
}

std::uint8_t HotRows::Sightings(std::uint64_t position) const {
  const std::uint64_t other = Mix64(position);
  return std::min(sketch_[position & sketch_mask_], sketch_[sketch_mask_ + 1 + (other & sketch_mask_)]);
}

void HotRows::Count(std::uint64_t position) {
  const std::uint64_t other = Mix64(position);
  for (std::uint8_t* counter :
       {&sketch_[position & sketch_mask_], &sketch_[sketch_mask_ + 1 + (other & sketch_mask_)]}) {
    if (*counter < 255) ++*counter;
  }
  if (++counted_ < kSightingsPerRow * capacity()) return;
  counted_ = 0;
  for (std::uint8_t& counter : sketch_) counter /= 2;
}

const float* HotRows::Find(std::uint64_t position, Clock oldest) {
  Count(position);
  const std::size_t place = Place(position);
  return place < capacity() && as_of_[place] >= oldest ? values_.data() + place * dim_ : nullptr;
}

void HotRows::Offer(std::uint64_t position, Clock as_of, const float* values) {
  std::size_t place = Place(position);
  if (place < capacity()) {
    if (as_of < as_of_[place]) return;
  } else {
    const std::size_t first = FirstOf(position);
    const auto begin = as_of_.begin() + static_cast<std::ptrdiff_t>(first);
    const auto free = std::find(begin, begin + kWays, kFree);
    if (free != begin + kWays) {
      place = static_cast<std::size_t>(free - as_of_.begin());
    } else {
      const std::uint8_t seen = Sightings(position);
      if (seen < 2) return;  // it has come for the first time
      std::uint8_t least = 255;
      for (std::size_t each = first; each < first + kWays; ++each) {
        const std::uint8_t of_each = Sightings(positions_[each]);
        if (of_each > least || (of_each == least && each > first)) continue;
        least = of_each;
        place = each;
      }
      if (seen <= least) return;
    }
  }
  positions_[place] = position;
  as_of_[place] = as_of;
  std::memcpy(values_.data() + place * dim_, values, dim_ * sizeof(float));
}

void HotRows::Clear() { std::fill(as_of_.begin(), as_of_.end(), kFree); }

}  // namespace cohort
