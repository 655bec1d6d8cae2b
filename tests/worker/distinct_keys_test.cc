#include "worker/distinct_keys.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "common/random.h"
#include "common/table_spec.h"

namespace cohort::distinct_keys_test {
namespace {

void ExpectDistinct(const std::vector<Key>& ids, DistinctKeys* distinct) {
  distinct->Clear();
  std::vector<std::uint32_t> numbers;
  for (std::size_t i = 0; i < ids.size() / 2; ++i) numbers.push_back(distinct->Add(ids[i]));
  const std::uint32_t first = distinct->Add({ids.data() + ids.size() / 2, ids.size() - ids.size() / 2});
  while (numbers.size() < ids.size())
    numbers.push_back(first + static_cast<std::uint32_t>(numbers.size() - ids.size() / 2));
  distinct->Sort();
  EXPECT_EQ(distinct->size(), std::set<Key>(ids.begin(), ids.end()).size());
  for (std::size_t i = 0; i < ids.size(); ++i) ASSERT_EQ(distinct->keys()[distinct->Rank(numbers[i])], ids[i]);
  for (std::size_t i = 0; i < distinct->size(); ++i) {
    ASSERT_EQ(distinct->positions()[i], Mix64(distinct->keys()[i]));
    if (i > 0) {
      ASSERT_LT(distinct->positions()[i - 1], distinct->positions()[i]);
    }
  }
}

TEST(DistinctKeys, NumbersEqualKeysEquallyAndSortsByRingPosition) {
  DistinctKeys distinct;
  RandomStream random(3);
  for (const std::size_t count : {0u, 1u, 5u, 1000u, 600'000u, 60'000u}) {  // the same object for all: memory is reused
    std::vector<Key> ids(count);
    for (Key& key : ids) key = random.Below(count / 3 + 1) * 0x9e3779b97f4a7c15ULL;
    if (count > 3) ids[0] = 0, ids[1] = ~0ULL, ids[2] = ~0ULL - 1;  // no key is reserved
    ExpectDistinct(ids, &distinct);
  }
}

TEST(DistinctKeys, OnePartMayHoldNearlyAllIds) {
  DistinctKeys distinct;
  std::vector<Key> ids(100'000, 7);
  ExpectDistinct(ids, &distinct);
  for (std::size_t i = 0; i < ids.size(); i += 2) ids[i] = UnMix64(i);  // the first of all parts
  ExpectDistinct(ids, &distinct);
}

}  // namespace
}  // namespace cohort::distinct_keys_test
