#include "launch/prefaulted_slabs.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "server/embedding_table.h"

namespace cohort::prefaulted_slabs_test {
namespace {

TEST(PrefaultedSlabs, AreAlignedAndNobodyElses) {
  std::vector<Slab> slabs;
  {
    PrefaultedSlabs source;
    for (int i = 0; i < 20; ++i) slabs.push_back(source.Take());
  }  // they outlive their source
  std::set<float*> distinct;
  for (std::size_t i = 0; i < slabs.size(); ++i) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(slabs[i].get()) % kSlabBytes, 0u);
    for (std::size_t word = 0; word < kSlabBytes / sizeof(float); word += 1000)
      slabs[i].get()[word] = static_cast<float>(i);
    distinct.insert(slabs[i].get());
  }
  EXPECT_EQ(distinct.size(), slabs.size());
  for (std::size_t i = 0; i < slabs.size(); ++i) EXPECT_EQ(slabs[i].get()[1000], static_cast<float>(i));
}

TEST(PrefaultedSlabs, AnUnusedOneHasNothingToEnd) { const PrefaultedSlabs source; }

TEST(PrefaultedSlabs, ThreadsMayShareThem) {
  PrefaultedSlabs source;
  std::vector<Slab> taken[2];
  std::thread other([&] {
    for (int i = 0; i < 10; ++i) taken[1].push_back(source.Take());
  });
  for (int i = 0; i < 10; ++i) taken[0].push_back(source.Take());
  other.join();
  std::set<float*> distinct;
  for (const auto& slabs : taken) {
    for (const Slab& slab : slabs) distinct.insert(slab.get());
  }
  EXPECT_EQ(distinct.size(), 20u);
}

TEST(PrefaultedSlabs, ATableFillsThem) {
  TableSpec spec;
  spec.id = 1;
  spec.name = "items";
  spec.dim = 64;
  spec.optimizer.kind = OptimizerKind::kSgd;
  spec.init = {{0, 3.0f, 0.0f}};
  PrefaultedSlabs source;
  EmbeddingTable table(spec, 1, &source);
  for (Key key = 0; key < 100'000; ++key)  // 13 slabs
    ASSERT_EQ(table.FindOrCreate(key, RingPosition(spec, key))[63], 3.0f);
}

}  // namespace
}  // namespace cohort::prefaulted_slabs_test
