#include "worker/distinct_keys.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "common/table_spec.h"

namespace cohort {

void DistinctKeys::Clear(std::size_t expected_ids) {
  keys_.clear();
  positions_.clear();
  const std::size_t wanted = std::bit_ceil(std::max<std::size_t>(64, expected_ids / 2));
  if (table_.size() < wanted) table_.resize(wanted);
  mask_ = table_.size() - 1;
  std::fill(table_.begin(), table_.end(), 0);
}

std::uint32_t DistinctKeys::Add(Key key) {
  const std::uint64_t position = Mix64(key);
  for (std::size_t at = position & mask_;; at = (at + 1) & mask_) {
    if (table_[at] == 0) {
      const auto number = static_cast<std::uint32_t>(keys_.size());
      table_[at] = number + 1;
      keys_.push_back(key);
      positions_.push_back(position);
      if (keys_.size() * 2 > table_.size()) Grow();
      return number;
    }
    const std::uint32_t number = table_[at] - 1;
    if (positions_[number] == position) return number;  // the position is a bijection of the key
  }
}

void DistinctKeys::Grow() {
  table_.assign(table_.size() * 2, 0);
  mask_ = table_.size() - 1;
  for (std::uint32_t number = 0; number < keys_.size(); ++number) {
    std::size_t at = positions_[number] & mask_;
    while (table_[at] != 0) at = (at + 1) & mask_;
    table_[at] = number + 1;
  }
}

void DistinctKeys::Sort() {
  // Ring positions are spread evenly, so that the leading bits put nearly all in order; insertion does the rest.
  const int bits = std::max(1, static_cast<int>(std::bit_width(keys_.size())) - 2);
  ends_.assign((std::size_t{1} << bits) + 1, 0);
  for (const std::uint64_t position : positions_) ++ends_[(position >> (64 - bits)) + 1];
  std::partial_sum(ends_.begin(), ends_.end(), ends_.begin());
  order_.resize(keys_.size());
  for (std::uint32_t number = 0; number < keys_.size(); ++number)
    order_[ends_[positions_[number] >> (64 - bits)]++] = {positions_[number], number};
  for (std::size_t i = 1; i < order_.size(); ++i) {
    const Entry entry = order_[i];
    std::size_t to = i;
    for (; to > 0 && entry.position < order_[to - 1].position; --to) order_[to] = order_[to - 1];
    order_[to] = entry;
  }
  rank_.resize(keys_.size());
  sorted_.resize(keys_.size());
  for (std::uint32_t rank = 0; rank < order_.size(); ++rank) {
    rank_[order_[rank].number] = rank;
    sorted_[rank] = keys_[order_[rank].number];
    positions_[rank] = order_[rank].position;
  }
  keys_.swap(sorted_);
}

}  // namespace cohort
