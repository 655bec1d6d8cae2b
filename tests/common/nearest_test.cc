#include "common/nearest.h"

#include <gtest/gtest.h>

namespace cohort::nearest_test {
namespace {

TEST(Nearest, EditDistance) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(EditDistance("trian", "train"), 1u);  // a swap
}

TEST(Nearest, FindsTheNearestOrNothing) {
  const std::vector<std::string> keys{"batch_size", "epochs", "seed", "slices"};
  EXPECT_EQ(NearestOf("bacth_size", keys), "batch_size");
  EXPECT_EQ(NearestOf("Epoch", keys), "epochs");
  EXPECT_EQ(NearestOf("sed", keys), "seed");
  EXPECT_EQ(NearestOf("learning_rate", keys), "");
  EXPECT_EQ(NearestOf("x", {}), "");
  EXPECT_EQ(NearestOf("x", {"y", "x2"}), "x2") << "nothing in common is not near";
  EXPECT_EQ(NearestOf(std::string(100000, 'a'), keys), "");
  EXPECT_EQ(DidYouMean("sed", keys), "; did you mean \"seed\"?");
  EXPECT_EQ(DidYouMean("zzz", keys), "");
}

TEST(Nearest, FindsANameByAPartOfIt) {
  const std::vector<std::string> names{"percentage", "orders_30d", "user_age", "user_channel",
                                       "activation.cart"};
  EXPECT_EQ(NearestOf("age", names), "user_age");
  EXPECT_EQ(NearestOf("Channel", names), "user_channel");
  EXPECT_EQ(NearestOf("cart", names), "activation.cart");
  EXPECT_EQ(NearestOf("orders", names), "orders_30d");
  EXPECT_EQ(NearestOf("user_gender", {"age", "gender"}), "gender");
  EXPECT_EQ(NearestOf("user_aged", names), "user_age") << "what is near comes first";
  EXPECT_EQ(NearestOf("perc", names), "") << "of one word it is no part";
  EXPECT_EQ(NearestOf("", names), "");
}

}  // namespace
}  // namespace cohort::nearest_test
