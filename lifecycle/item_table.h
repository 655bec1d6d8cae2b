// ItemTable: the items of the shop: what is always known of them, and what was known of their sales at each snapshot.
//
// Sales are kept by interval: interval i holds those from snapshot i - 1 on and before snapshot i (interval 0: all before snapshot
// 0), so what is known at snapshot i is the sum of the intervals 0 .. i. All is counted in whole numbers: the order in which sales
// come, and sales that belong to later intervals, change no bit. One thread. Memory: about 120 bytes an item, and 16 an item
// and snapshot.
#ifndef COHORT_LIFECYCLE_ITEM_TABLE_H_
#define COHORT_LIFECYCLE_ITEM_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/byte_stream.h"
#include "common/types.h"
#include "lifecycle/event.h"

namespace cohort {

struct Item {
  Key key = 0;             // its value in `last_items`
  Key category = 0;        // in `last_categories`; 0: not known
  Key brand = 0;           // in `last_brands`; 0: not known
  Money price = kNoMoney;  // of the list
  Money cost = kNoMoney;
  bool described = false;  // by a row of [items]
};

// An item in words.
struct ItemWords {
  std::string name;  // its id
  std::string category, brand, text;
  std::vector<std::string> tags;
};

class ItemTable {
 public:
  // `snapshots`: how many; `bands`: of prices.
  ItemTable(std::size_t snapshots, int bands) : snapshots_(snapshots), bands_(bands) {}

  // The number of the item with this id; a new item gets `key`. Two of n items are taken for one another with probability
  // n^2 / 2^65.
  std::uint32_t Number(std::string_view id, Key key);
  Item& item(std::uint32_t number) { return items_[number]; }
  const Item& item(std::uint32_t number) const { return items_[number]; }
  std::size_t size() const { return items_.size(); }
  // Whoever shows items to people calls this before the first item comes; words() is empty otherwise. Names are set.
  void KeepWords() { keeps_words_ = true; }
  std::vector<ItemWords>& words() { return words_; }  // by number

  // A purchase in interval `interval` < snapshots; `price` of one piece or kNoMoney, `item` or kNoItem.
  void AddSale(std::uint32_t item, Money price, std::size_t interval);
  // After the last sale: turns what happened by interval into what is known at each snapshot.
  void Accumulate();

  // What was known at a snapshot. REQUIRES: Accumulate was called.
  std::uint32_t Sales(std::uint32_t item, std::size_t snapshot) const {
    return statistics_[item * snapshots_ + snapshot].sales;
  }
  // Mean price of an item's sales; NaN without one that has a price.
  double MeanPrice(std::uint32_t item, std::size_t snapshot) const;
  // The band of a price, 0 .. bands - 1: how many of the inner edges at that snapshot are <= the price's cell. An edge is the
  // least cell at or below which lie at least k / bands of the sales so far, plus one, for k = 1 .. bands - 1.
  int PriceBand(Money price, std::size_t snapshot) const;

  // What rows are made of, from Accumulate on, for another process: there no item gets a number, and no sale is added.
  // False: it is not what Put gave for as many snapshots and bands.
  void Put(ByteWriter* out) const;
  bool Get(ByteReader* in);

  // A cell of the histogram of prices: 32 to each doubling, exact below 32 units. Ascends with the price.
  static std::uint32_t PriceCell(Money price);

 private:
  struct Statistics {
    std::uint32_t sales = 0, priced = 0;
    Money prices = 0;  // sum
  };
  static constexpr std::size_t kCells = 32 * 60;

  std::size_t snapshots_;
  int bands_;
  // Numbers by the hash of the id: open addressing, at most half full, so that an event costs one access to far memory.
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t number = kNoItem;  // kNoItem: empty
  };
  std::size_t SlotOf(std::uint64_t hash) const;  // where it is, or belongs
  void Grow();

  std::vector<Slot> slots_;  // a power of two
  std::vector<Item> items_;
  bool keeps_words_ = false;
  std::vector<ItemWords> words_;
  std::vector<Statistics> statistics_;             // items x snapshots
  std::vector<std::vector<std::uint64_t>> cells_;  // by snapshot: sales by PriceCell
  std::vector<std::uint32_t> edges_;               // snapshots x (bands - 1)
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_ITEM_TABLE_H_
