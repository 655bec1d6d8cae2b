#include "common/cbor.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

namespace cohort::cbor_test {
namespace {

TEST(Cbor, NumbersKeepTheirBits) {
  const std::vector<double> numbers = {0.0,
                                       -0.0,
                                       0.1,
                                       1.0 / 3,
                                       -1e300,
                                       std::numeric_limits<double>::denorm_min(),
                                       std::numeric_limits<double>::infinity(),
                                       static_cast<double>(0.1f)};
  const std::string text("not \xff UTF-8, \0 neither", 22);
  const std::uint64_t large = ~std::uint64_t{0};
  const Status status =
      FromCbor(ToCbor({numbers, std::nan(""), text, large}), [&](const nlohmann::json& json) {
        const auto read = json.at(0).get<std::vector<double>>();
        ASSERT_EQ(read.size(), numbers.size());
        for (std::size_t i = 0; i < numbers.size(); ++i)
          EXPECT_EQ(std::bit_cast<std::uint64_t>(read[i]), std::bit_cast<std::uint64_t>(numbers[i])) << i;
        EXPECT_TRUE(std::isnan(json.at(1).get<double>()));
        EXPECT_EQ(json.at(2).get<std::string>(), text);
        EXPECT_EQ(json.at(3).get<std::uint64_t>(), large);
      });
  EXPECT_TRUE(status.ok()) << status.text();
}

TEST(Cbor, WhatIsNotAsItWasWrittenIsCorrupt) {
  const std::string bytes = ToCbor({1, 2, 3});
  const auto read = [](const std::string& from, std::size_t place) {
    return FromCbor(from, [&](const nlohmann::json& json) { (void)json.at(place).get<std::string>(); });
  };
  EXPECT_EQ(read(bytes.substr(0, 2), 0).code(), ErrorCode::kCorrupt);  // cut off
  EXPECT_EQ(read("", 0).code(), ErrorCode::kCorrupt);
  EXPECT_EQ(read(bytes, 7).code(), ErrorCode::kCorrupt);  // no such place
  EXPECT_EQ(read(bytes, 0).code(), ErrorCode::kCorrupt);  // another type
}

}  // namespace
}  // namespace cohort::cbor_test
