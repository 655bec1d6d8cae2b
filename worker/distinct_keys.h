// Makes the keys of a batch distinct, once, before they travel: a batch of 4,096 rows of 26 zipf ids holds
// about a quarter as many distinct keys as ids.
#ifndef COHORT_WORKER_DISTINCT_KEYS_H_
#define COHORT_WORKER_DISTINCT_KEYS_H_

#include <cstdint>
#include <vector>

#include "common/types.h"

namespace cohort {

// One thread. Memory is reused from batch to batch.
class DistinctKeys {
 public:
  void Clear(std::size_t expected_ids);
  // A number for the key, the same for equal keys; final numbers are known after Sort.
  std::uint32_t Add(Key key);
  // Orders the distinct keys by ring position (sparse tables). Afterwards keys()[Rank(n)] is the key that Add
  // numbered n.
  void Sort();

  std::size_t size() const { return keys_.size(); }
  const std::vector<Key>& keys() const { return keys_; }  // after Sort: ascending by ring position
  const std::vector<std::uint64_t>& positions() const { return positions_; }  // ring positions of keys()
  std::uint32_t Rank(std::uint32_t number) const { return rank_[number]; }

 private:
  void Grow();

  std::vector<std::uint32_t> table_;  // number + 1, 0 is free; open addressing, linear probing
  std::size_t mask_ = 0;
  std::vector<Key> keys_;  // by number until Sort
  std::vector<std::uint64_t> positions_;
  std::vector<std::uint32_t> rank_;
  struct Entry {
    std::uint64_t position;
    std::uint32_t number;
  };
  std::vector<Entry> order_;
  std::vector<std::uint32_t> ends_;  // by leading bits of the position
  std::vector<Key> sorted_;
};

}  // namespace cohort

#endif  // COHORT_WORKER_DISTINCT_KEYS_H_
