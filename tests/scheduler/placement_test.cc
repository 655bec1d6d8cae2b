// Where shards and backups belong when servers come and go.
#include "scheduler/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace cohort::placement_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// As a run begins: the backups of a server are in the next one.
Placement Fresh(std::uint32_t servers, std::uint32_t shards_per_server) {
  Placement placement;
  for (std::uint32_t shard = 0; shard < servers * shards_per_server; ++shard) {
    const std::uint32_t server = shard / shards_per_server;
    placement.push_back({server, (server + 1) % servers});
  }
  return placement;
}

std::map<std::uint32_t, std::size_t> ShardsOf(const Placement& placement) {
  std::map<std::uint32_t, std::size_t> shards;
  for (const ShardPlace& place : placement) ++shards[place.shard];
  return shards;
}

void ExpectApart(const Placement& placement) {
  for (const ShardPlace& place : placement) EXPECT_NE(place.shard, place.backup);
}

TEST(Placement, AServerThatGoesHandsItsShardsToTheirBackups) {
  const Placement before = Fresh(3, 2);  // shards 2 and 3 on server 1, their backups on 2
  const auto after = WithoutServer(before, 1);
  ASSERT_TRUE(after);
  EXPECT_EQ((*after)[0], (ShardPlace{0, 2}));
  EXPECT_EQ((*after)[2], (ShardPlace{2, 0}));
  EXPECT_EQ((*after)[4], before[4]) << "what is elsewhere stays";
  EXPECT_THAT(ServersOf(*after), ElementsAre(0, 2));
  ExpectApart(*after);
}

TEST(Placement, RefusesAServerThatIsNotThereAndTheLastTwo) {
  EXPECT_THAT(WithoutServer(Fresh(3, 1), 7).error().text(), HasSubstr("no server 7; there are 0, 1, 2"));
  EXPECT_THAT(WithoutServer(Fresh(2, 2), 1).error().text(), HasSubstr("are the last two"));
}

TEST(Placement, AServerThatComesGetsItsShare) {
  const auto after = WithServer(Fresh(2, 3), 2);
  ASSERT_TRUE(after);
  EXPECT_EQ(ShardsOf(*after), (std::map<std::uint32_t, std::size_t>{{0, 2}, {1, 2}, {2, 2}}));
  std::map<std::uint32_t, std::size_t> backups;
  for (const ShardPlace& place : *after) ++backups[place.backup];
  EXPECT_EQ(backups, (std::map<std::uint32_t, std::size_t>{{0, 2}, {1, 2}, {2, 2}}));
  ExpectApart(*after);
}

TEST(Placement, RefusesAServerForWhichNobodyHasAShard) {
  EXPECT_THAT(WithServer(Fresh(3, 1), 3).error().text(),
              HasSubstr("3 servers have 3 shards; start with a larger cluster.shards_per_server"));
}

// Servers come and go for long: both copies stay apart, and nobody has much more than others.
TEST(Placement, StaysEven) {
  for (std::uint32_t servers = 2; servers <= 5; ++servers) {
    Placement placement = Fresh(servers, 4);
    std::uint32_t next = servers;
    for (int round = 0; round < 20; ++round) {
      if (const auto after = WithServer(placement, next)) {
        placement = *after;
        EXPECT_GE(ShardsOf(placement)[next], 1u);
        ++next;
      }
      ExpectApart(placement);
      const auto there = ServersOf(placement);
      if (const auto after = WithoutServer(placement, there[static_cast<std::size_t>(round) % there.size()]))
        placement = *after;
      ExpectApart(placement);
      std::map<std::uint32_t, std::size_t> copies;
      for (const ShardPlace& place : placement) ++copies[place.shard], ++copies[place.backup];
      for (const auto& [server, count] : copies)
        EXPECT_LE(count, 2 * (2 * placement.size() / copies.size() + 1)) << "server " << server;
    }
  }
}

}  // namespace
}  // namespace cohort::placement_test
