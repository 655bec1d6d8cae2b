#include "lifecycle/item_table.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "common/check.h"

namespace cohort {

std::size_t ItemTable::SlotOf(std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  while (slots_[at].number != kNoItem && slots_[at].hash != hash) at = (at + 1) & mask;
  return at;
}

void ItemTable::Grow() {
  const std::vector<Slot> old =
      std::exchange(slots_, std::vector<Slot>(std::max<std::size_t>(2 * slots_.size(), 64)));
  for (const Slot& slot : old) {
    if (slot.number != kNoItem) slots_[SlotOf(slot.hash)] = slot;
  }
}

std::uint32_t ItemTable::Number(std::string_view id, Key key) {
  if (2 * items_.size() >= slots_.size()) Grow();
  const std::uint64_t hash = XXH3_64bits(id.data(), id.size());
  Slot& slot = slots_[SlotOf(hash)];
  if (slot.number == kNoItem) {
    COHORT_CHECK(items_.size() < kNoItem, "more than 2^32 - 1 items");
    slot = {hash, static_cast<std::uint32_t>(items_.size())};
    items_.push_back({.key = key});
    if (keeps_words_) words_.emplace_back().name = id;
    statistics_.resize(statistics_.size() + snapshots_);
  }
  return slot.number;
}

std::uint32_t ItemTable::PriceCell(Money price) {
  const auto value = static_cast<std::uint64_t>(price);
  if (value < 32) return static_cast<std::uint32_t>(value);
  const int shift = std::bit_width(value) - 6;  // leaves 32 .. 63
  return static_cast<std::uint32_t>(32 * shift + static_cast<int>(value >> shift));
}

void ItemTable::AddSale(std::uint32_t item, Money price, std::size_t interval) {
  COHORT_CHECK(interval < snapshots_);
  if (item != kNoItem) {
    Statistics& statistics = statistics_[item * snapshots_ + interval];
    ++statistics.sales;
    if (price != kNoMoney) {
      ++statistics.priced;
      statistics.prices += price;
    }
  }
  if (price == kNoMoney) return;
  if (cells_.empty()) cells_.assign(snapshots_, std::vector<std::uint64_t>(kCells));
  ++cells_[interval][PriceCell(price)];
}

void ItemTable::Accumulate() {
  for (std::size_t at = 0; at < statistics_.size(); ++at) {
    if (at % snapshots_ == 0) continue;
    statistics_[at].sales += statistics_[at - 1].sales;
    statistics_[at].priced += statistics_[at - 1].priced;
    statistics_[at].prices += statistics_[at - 1].prices;
  }
  const auto inner = static_cast<std::size_t>(bands_ - 1);
  edges_.assign(snapshots_ * inner, 0);
  if (cells_.empty()) return;
  for (std::size_t snapshot = 0; snapshot < snapshots_; ++snapshot) {
    std::vector<std::uint64_t>& cells = cells_[snapshot];
    std::uint64_t total = 0;
    for (std::size_t cell = 0; cell < kCells; ++cell) {
      if (snapshot > 0) cells[cell] += cells_[snapshot - 1][cell];
      total += cells[cell];
    }
    std::uint64_t below = 0;
    std::size_t cell = 0;
    for (std::size_t k = 1; k <= inner && total > 0; ++k) {
      while ((below + cells[cell]) * static_cast<std::uint64_t>(bands_) < k * total) below += cells[cell++];
      edges_[snapshot * inner + k - 1] = static_cast<std::uint32_t>(cell + 1);
    }
  }
}

void ItemTable::Put(ByteWriter* out) const {
  out->PutList(items_);
  out->PutList(statistics_);
  out->PutList(edges_);
}

bool ItemTable::Get(ByteReader* in) {
  return in->GetList(&items_) && in->GetList(&statistics_) && in->GetList(&edges_) &&
         statistics_.size() == items_.size() * snapshots_ &&
         edges_.size() == snapshots_ * static_cast<std::size_t>(bands_ - 1);
}

double ItemTable::MeanPrice(std::uint32_t item, std::size_t snapshot) const {
  const Statistics& statistics = statistics_[item * snapshots_ + snapshot];
  if (statistics.priced == 0) return std::numeric_limits<double>::quiet_NaN();
  return InCurrency(statistics.prices) / statistics.priced;
}

int ItemTable::PriceBand(Money price, std::size_t snapshot) const {
  const auto first = edges_.begin() + static_cast<std::ptrdiff_t>(snapshot) * (bands_ - 1);
  return static_cast<int>(std::upper_bound(first, first + (bands_ - 1), PriceCell(price)) - first);
}

}  // namespace cohort
