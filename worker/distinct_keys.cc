#include "worker/distinct_keys.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace cohort {
namespace {

constexpr std::size_t kPartIds = 2048;  // of a part, about: 32 KB of ids
constexpr int kMostBits = 10;           // more parts at a time than that would each be written to memory by themselves
constexpr std::size_t kSmallestTable = 1024;

}  // namespace

void DistinctKeys::Clear() {
  ids_.clear();
  positions_.clear();
  keys_.clear();
}

void DistinctKeys::Sort() {
  const int bits = std::clamp(static_cast<int>(std::bit_width(ids_.size() / kPartIds)), 0, kMostBits);
  DealOut(bits);
  if (table_.empty()) table_.resize(kSmallestTable);
  rank_.resize(std::max(rank_.size(), ids_.size()));
  std::uint32_t begin = 0;
  for (const std::uint32_t end : ends_) {
    FindKeys(parts_.data() + begin, parts_.data() + end);
    SortKeys(bits);
    for (std::uint32_t i = begin; i < end; ++i) rank_[parts_[i].number] = order_[parts_[i].key];
    begin = end;
  }
  keys_.resize(positions_.size());
  std::transform(positions_.begin(), positions_.end(), keys_.begin(), UnMix64);
}

void DistinctKeys::DealOut(int bits) {
  ends_.assign(std::size_t{1} << bits, 0);
  const auto part = [bits](std::uint64_t position) { return bits == 0 ? 0 : position >> (64 - bits); };
  for (const std::uint64_t position : ids_) ++ends_[part(position)];
  std::exclusive_scan(ends_.begin(), ends_.end(), ends_.begin(), 0u);
  parts_.resize(std::max(parts_.size(), ids_.size()));
  for (std::uint32_t number = 0; number < ids_.size(); ++number)
    parts_[ends_[part(ids_[number])]++] = {ids_[number], number, 0};
}

void DistinctKeys::FindKeys(Id* begin, Id* end) {
  found_.clear();
  std::fill(table_.begin(), table_.end(), 0);
  for (Id* id = begin; id != end; ++id) {
    std::size_t at = id->position & (table_.size() - 1);
    while (table_[at] != 0 && found_[table_[at] - 1] != id->position) at = (at + 1) & (table_.size() - 1);
    if (table_[at] == 0) {
      found_.push_back(id->position);
      table_[at] = static_cast<std::uint32_t>(found_.size());
    }
    id->key = table_[at] - 1;
    if (found_.size() * 2 > table_.size()) Grow();
  }
}

void DistinctKeys::Grow() {
  table_.assign(table_.size() * 2, 0);
  for (std::uint32_t key = 0; key < found_.size(); ++key) {
    std::size_t at = found_[key] & (table_.size() - 1);
    while (table_[at] != 0) at = (at + 1) & (table_.size() - 1);
    table_[at] = key + 1;
  }
}

void DistinctKeys::SortKeys(int bits) {
  // Ring positions are spread evenly, so that the bits after the first ones put nearly all in order; insertion does the rest.
  const int next = std::max(1, static_cast<int>(std::bit_width(found_.size())) - 2);
  const auto bucket = [&](std::uint64_t position) { return position << bits >> (64 - next); };
  buckets_.assign((std::size_t{1} << next) + 1, 0);
  for (const std::uint64_t position : found_) ++buckets_[bucket(position) + 1];
  std::partial_sum(buckets_.begin(), buckets_.end(), buckets_.begin());
  const std::size_t first = positions_.size();
  positions_.resize(first + found_.size());
  order_.resize(2 * found_.size());
  std::uint32_t* const sorted = order_.data() + found_.size();  // keys by place
  std::uint64_t* const positions = positions_.data() + first;
  for (std::uint32_t key = 0; key < found_.size(); ++key) {
    const std::uint32_t to = buckets_[bucket(found_[key])]++;
    positions[to] = found_[key];
    sorted[to] = key;
  }
  for (std::size_t i = 1; i < found_.size(); ++i) {
    const std::uint64_t position = positions[i];
    const std::uint32_t key = sorted[i];
    std::size_t to = i;
    for (; to > 0 && position < positions[to - 1]; --to)
      positions[to] = positions[to - 1], sorted[to] = sorted[to - 1];
    positions[to] = position, sorted[to] = key;
  }
  for (std::uint32_t i = 0; i < found_.size(); ++i) order_[sorted[i]] = static_cast<std::uint32_t>(first) + i;
}

}  // namespace cohort
