#include "common/indirect.h"

#include <gtest/gtest.h>

#include <memory>
#include <type_traits>
#include <utility>

#include "common/message.h"

namespace cohort::indirect_test {

TEST(Indirect, CopiesAreApart) {
  Indirect<int> a = 1;
  Indirect<int> b = a;
  *b = 2;
  EXPECT_EQ(*a, 1);
  a = b;
  *b = 3;
  EXPECT_EQ(*a, 2);
}

TEST(Indirect, AMoveTakesTheValueAlong) {
  Indirect<std::unique_ptr<int>> a = std::make_unique<int>(5);
  const int* const where = a->get();
  Indirect<std::unique_ptr<int>> b = std::move(a);
  EXPECT_EQ(b->get(), where);
  a = std::move(b);
  EXPECT_EQ(a->get(), where);
}

TEST(Indirect, IsConstWithItsOwner) {
  EXPECT_TRUE((std::is_same_v<decltype(*std::declval<const Indirect<int>&>()), const int&>));
  EXPECT_TRUE((std::is_same_v<decltype(std::declval<const Indirect<int>&>().operator->()), const int*>));
}

// Queues, outboxes and simulations move messages by the million, nearly all of small kinds.
TEST(Indirect, NoKindMakesEveryMessageLarge) { EXPECT_LE(sizeof(Message), 264u); }

}  // namespace cohort::indirect_test
