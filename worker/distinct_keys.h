// Makes the keys of a batch distinct, once, before they travel: a batch of 4,096 rows of 26 zipf ids holds
// about a quarter as many distinct keys as ids.
#ifndef COHORT_WORKER_DISTINCT_KEYS_H_
#define COHORT_WORKER_DISTINCT_KEYS_H_

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "common/random.h"
#include "common/types.h"

namespace cohort {

// One thread. Memory is reused from batch to batch.
//
// Ids are first dealt out by the leading bits of their ring positions, into parts that the processor's caches hold; each
// part is made distinct by a hash table and put in order by itself. A table over the whole batch would miss the caches
// at every id (40 bags of 8 ids and 4,096 rows: a million ids, half a million keys).
class DistinctKeys {
 public:
  void Clear();
  // A number for this occurrence of the key: as many as were added before.
  std::uint32_t Add(Key key) {
    ids_.push_back(Mix64(key));
    return static_cast<std::uint32_t>(ids_.size() - 1);
  }
  // Adds them all; the number of the first, which the others' follow.
  std::uint32_t Add(std::span<const Key> keys) {
    const std::size_t first = ids_.size();
    ids_.resize(first + keys.size());
    std::transform(keys.begin(), keys.end(), ids_.begin() + static_cast<std::ptrdiff_t>(first), Mix64);
    return static_cast<std::uint32_t>(first);
  }
  // Orders the distinct keys by ring position (sparse tables). Afterwards keys()[Rank(n)] is the key that Add
  // numbered n.
  void Sort();

  std::size_t size() const { return keys_.size(); }
  const std::vector<Key>& keys() const { return keys_; }  // after Sort: ascending by ring position
  const std::vector<std::uint64_t>& positions() const { return positions_; }  // ring positions of keys()
  std::uint32_t Rank(std::uint32_t number) const { return rank_[number]; }

 private:
  struct Id {
    std::uint64_t position;
    std::uint32_t number;
    std::uint32_t key;  // among the part's distinct ones
  };
  // Deals ids_ out into parts_, by their first `bits` bits; ends_[p] is where part p ends.
  void DealOut(int bits);
  // Makes ids distinct: sets their `key`, and found_.
  void FindKeys(Id* begin, Id* end);
  void Grow();
  // Appends found_ in order to positions_, and sets order_[key] to its place there. The first `bits` bits are alike.
  void SortKeys(int bits);

  std::vector<std::uint64_t> ids_;  // ring positions, by number
  std::vector<Id> parts_;
  std::vector<std::uint32_t> ends_;
  // Of the part at hand.
  std::vector<std::uint32_t> table_;  // key + 1, 0 is free; open addressing, linear probing
  std::vector<std::uint64_t> found_;  // ring positions, by key
  std::vector<std::uint32_t> order_, buckets_;

  std::vector<std::uint64_t> positions_;
  std::vector<Key> keys_;
  std::vector<std::uint32_t> rank_;
};

}  // namespace cohort

#endif  // COHORT_WORKER_DISTINCT_KEYS_H_
