#include "prepare/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cohort::words_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Words, AreRunsOfLettersAndDigitsInLowerCase) {
  Words words;
  EXPECT_THAT(words.Of("Don't stop, 3D-Printer!"), ElementsAre("don", "t", "stop", "3d", "printer"));
  EXPECT_THAT(words.Of(""), IsEmpty());
  EXPECT_THAT(words.Of(" -- \t"), IsEmpty());
  EXPECT_THAT(words.Of("\u00c4PFEL \u0416\u0423\u041a\u00a0\u039f\u0394\u039f\u03a3 \u201cOK\u201d"),
              ElementsAre("\u00e4pfel", "\u0436\u0443\u043a", "\u03bf\u03b4\u03bf\u03c3", "ok"));
  EXPECT_THAT(words.Of("\u65e5\u672c \U0001d7d8\U00010400"), ::testing::SizeIs(2));
}

TEST(Words, BytesThatAreNoUtf8StandBetweenWords) {
  Words words;
  for (const std::string bad : {"\x80", "\xff", "\xc0\xaf", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    EXPECT_THAT(words.Of("A" + bad + "B"), ElementsAre("a", "b"));
    EXPECT_THAT(words.Of("A" + bad), ElementsAre("a"));
  }
  EXPECT_THAT(words.Of(std::string_view("a\0b", 3)), ElementsAre("a", "b"));
}

TEST(Words, NgramsAreRunsOfWords) {
  Words words;
  const FeatureKeys keys("note");
  std::vector<Key> got;
  words.AppendNgrams("One two, THREE", 2, keys, &got);
  const auto key = [](const char* text) { return CategoryKey("note", text); };
  EXPECT_THAT(got, ElementsAre(key("one"), key("one two"), key("two"), key("two three"), key("three")));
  got.clear();
  words.AppendNgrams("a b c", 3, keys, &got);
  EXPECT_THAT(got, ElementsAre(key("a"), key("a b"), key("a b c"), key("b"), key("b c"), key("c")));
  got.clear();
  words.AppendNgrams("a b", 1, keys, &got);
  EXPECT_THAT(got, ElementsAre(key("a"), key("b")));
}

}  // namespace
}  // namespace cohort::words_test
