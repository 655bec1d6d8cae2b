#include "worker/distinct_keys.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "common/random.h"
#include "common/table_spec.h"

namespace cohort {
namespace {

TEST(DistinctKeys, NumbersEqualKeysEquallyAndSortsByRingPosition) {
  DistinctKeys distinct;
  RandomStream random(3);
  for (const std::size_t ids : {0u, 1u, 5u, 1000u, 60'000u}) {  // the same object for all: memory is reused
    std::vector<Key> stream(ids);
    for (Key& key : stream) key = random.Below(ids / 3 + 1) * 0x9e3779b97f4a7c15ULL;
    if (ids > 3) stream[0] = 0, stream[1] = ~0ULL, stream[2] = ~0ULL - 1;  // no key is reserved
    distinct.Clear(ids / 4);                                               // a poor guess only costs time
    std::vector<std::uint32_t> numbers;
    for (const Key key : stream) numbers.push_back(distinct.Add(key));
    distinct.Sort();
    EXPECT_EQ(distinct.size(), std::set<Key>(stream.begin(), stream.end()).size());
    for (std::size_t i = 0; i < ids; ++i) EXPECT_EQ(distinct.keys()[distinct.Rank(numbers[i])], stream[i]);
    for (std::size_t i = 0; i < distinct.size(); ++i) {
      EXPECT_EQ(distinct.positions()[i], Mix64(distinct.keys()[i]));
      if (i > 0) {
        EXPECT_LT(distinct.positions()[i - 1], distinct.positions()[i]);
      }
    }
  }
}

}  // namespace
}  // namespace cohort
