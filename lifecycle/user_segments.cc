#include "lifecycle/user_segments.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include "common/nearest.h"

namespace cohort {
namespace {

constexpr int kParts = 3;  // of a number

}  // namespace

Result<UserSegments> UserSegments::Make(const ShopHistory& history,
                                        const std::vector<std::string>& attributes) {
  UserSegments segments;
  segments.attributes = attributes;
  const std::size_t users = history.users.size(), known = history.attribute_count();
  std::vector<std::vector<std::uint64_t>> values(users);
  for (const std::string& name : attributes) {
    std::vector<std::string> names;
    std::size_t column = known;
    for (std::size_t i = 0; i < known; ++i) {
      names.push_back(history.schema.users->attributes[i].name);
      if (names.back() == name) column = i;
    }
    if (column == known) {
      return InvalidInput("--segment " + name + ": " + history.schema.path +
                          " has no attribute of users of that name" + DidYouMean(name, names));
    }
    const auto value_of = [&](std::size_t user) { return history.attributes[user * known + column]; };
    if (!history.schema.users->attributes[column].numeric) {
      for (std::size_t user = 0; user < users; ++user) values[user].push_back(value_of(user));
      continue;
    }
    const auto number_of = [&](std::size_t user) {
      return std::bit_cast<float>(static_cast<std::uint32_t>(value_of(user)));
    };
    std::vector<float> sorted, edges;
    for (std::size_t user = 0; user < users; ++user) {
      if (!std::isnan(number_of(user))) sorted.push_back(number_of(user));
    }
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t part = 1; part < kParts && !sorted.empty(); ++part)
      edges.push_back(sorted[part * sorted.size() / kParts]);
    for (std::size_t user = 0; user < users; ++user) {
      const float number = number_of(user);
      values[user].push_back(std::isnan(number)
                                 ? kParts
                                 : static_cast<std::uint64_t>(
                                       std::upper_bound(edges.begin(), edges.end(), number) - edges.begin()));
    }
  }
  std::map<std::vector<std::uint64_t>, std::uint32_t> numbers;
  for (const std::vector<std::uint64_t>& value : values) numbers.emplace(value, 0);
  segments.count = 0;
  for (auto& [value, number] : numbers) number = segments.count++;
  for (const std::vector<std::uint64_t>& value : values) segments.of_user.push_back(numbers.at(value));
  return segments;
}

}  // namespace cohort
