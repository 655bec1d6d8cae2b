#include "prepare/shop_customers.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/check.h"

namespace cohort {
namespace {

// Streams of the seed. Customers use their own number, so these lie above all of them.
constexpr std::uint64_t kShopStream = 0xffff'ffff'0000'0001ULL;

const char* const kCategoryNames[] = {
    "shoes",    "dresses", "shirts",  "jackets",  "bags",    "watches", "jewellery", "phones",
    "laptops",  "audio",   "cameras", "games",    "books",   "toys",    "kitchen",   "furniture",
    "lighting", "garden",  "tools",   "bicycles", "camping", "fitness", "cosmetics", "perfume"};

// exp(x) rounded to a whole number of steps, bounded so that a rare draw stays a plausible cell.
int RoundedExp(double x, double steps, int limit) {
  return static_cast<int>(std::lround(std::min<double>(std::exp(x) * steps, limit)));
}

}  // namespace

double StandardNormal(RandomStream* random) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - random->Uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * random->Uniform());
}

const std::vector<std::string>& ShopCustomers::Channels() {
  static const std::vector<std::string> names = {"search", "social",    "display", "email",
                                                 "direct", "affiliate", "partner", "friend"};
  return names;
}
const std::vector<std::string>& ShopCustomers::Devices() {
  static const std::vector<std::string> names = {"phone", "desktop", "tablet", "app", "tv"};
  return names;
}
const std::vector<std::string>& ShopCustomers::Regions() {
  static const std::vector<std::string> names = {
      "north",   "north-east", "east",    "south-east", "south",     "south-west", "west",   "north-west",
      "capital", "coast",      "islands", "lakes",      "mountains", "valleys",    "border", "abroad"};
  return names;
}

ShopCustomers::ShopCustomers(std::uint64_t seed, std::uint64_t items, std::uint64_t days)
    : seed_(seed), days_(days) {
  COHORT_CHECK(items >= 1 && days >= 1);
  months_ = static_cast<int>((days + 29) / 30);
  RandomStream random(seed, kShopStream);
  channel_ = MakeChoice(&random, Channels().size(), 0.6, 0.7);
  device_ = MakeChoice(&random, Devices().size(), 0.8, 0.7);
  region_ = MakeChoice(&random, Regions().size(), 0.4, 0.5);
  referrer_ = MakeChoice(&random, kReferrers, 0.7, 0.6);

  // A shop with few items has few categories: about twenty items each.
  const std::size_t count = std::clamp<std::size_t>(items / 20, 1, std::size(kCategoryNames));
  categories_.assign(kCategoryNames, kCategoryNames + count);
  category_ = MakeChoice(&random, count, 0.5, 0.8);
  for (std::size_t c = 0; c < count; ++c) {
    first_item_.push_back(static_cast<std::uint32_t>(items_.size()));
    const double level =
        3.2 + 0.5 * category_.pull[c][0] + 0.5 * StandardNormal(&random);  // log of the price
    for (std::uint64_t i = c * items / count; i < (c + 1) * items / count; ++i) {
      items_.push_back(
          {static_cast<std::uint8_t>(c), RoundedExp(level + 0.4 * StandardNormal(&random), 100, 1'000'000)});
    }
  }
  first_item_.push_back(static_cast<std::uint32_t>(items_.size()));
}

ShopCustomers::Choice ShopCustomers::MakeChoice(RandomStream* random, std::size_t values, double zipf,
                                                double pull) {
  Choice choice;
  double total = 0;
  for (std::size_t v = 0; v < values; ++v) {
    choice.cumulative.push_back(total += std::pow(static_cast<double>(v + 1), -zipf));
    Traits loading;
    for (double& x : loading) x = pull * StandardNormal(random);
    choice.pull.push_back(loading);
  }
  for (double& x : choice.cumulative) x /= total;
  return choice;
}

// Two draws from the base rates; the one that suits the traits better is the likelier (one round of Barker's
// rule).
int ShopCustomers::Pick(const Choice& choice, const Traits& traits, RandomStream* random) {
  auto draw = [&] {
    const auto found =
        std::upper_bound(choice.cumulative.begin(), choice.cumulative.end() - 1, random->Uniform());
    return static_cast<int>(found - choice.cumulative.begin());
  };
  const int first = draw(), second = draw();
  double difference = 0;
  for (int t = 0; t < kTraits; ++t)
    difference += traits[t] * (choice.pull[first][t] - choice.pull[second][t]);
  return random->Uniform() * (1 + std::exp(-difference)) < 1 ? first : second;
}

void ShopCustomers::ViewItems(const Traits& traits, RandomStream* random, Customer* customer) const {
  const int views = 2 + static_cast<int>(random->Below(kMaxCategoriesSeen - 1));
  double sum = 0;
  for (int view = 0; view < views; ++view) {
    const int category = Pick(category_, traits, random);
    const std::uint32_t first = first_item_[category], count = first_item_[category + 1] - first;
    // Of two items of the category the affluent look at the dearer one more often.
    const int one = items_[first + random->Below(count)].price_cents;
    const int other = items_[first + random->Below(count)].price_cents;
    const bool dearer = random->Uniform() * (1 + std::exp(-traits[0])) < 1;
    const int price = dearer ? std::max(one, other) : std::min(one, other);
    sum += price;
    customer->price_max_cents = std::max(customer->price_max_cents, price);
    auto* end = customer->categories.begin() + customer->category_count;
    if (std::find(customer->categories.begin(), end, category) == end) {
      customer->categories[customer->category_count++] = static_cast<std::uint8_t>(category);
    }
  }
  customer->price_mean_cents = static_cast<int>(std::lround(sum / views));
}

Customer ShopCustomers::Draw(std::uint64_t user) const {
  RandomStream random(seed_, user);
  Traits traits;
  for (double& trait : traits) trait = StandardNormal(&random);
  const auto [affluence, engagement, sensitivity] = traits;
  auto noise = [&] { return StandardNormal(&random); };

  Customer customer;
  customer.user = user;
  // The shop grows: later months bring more customers.
  customer.month = static_cast<int>(std::pow(random.Uniform(), 0.8) * static_cast<double>(days_)) / 30;
  customer.channel = Pick(channel_, traits, &random);
  customer.device = Pick(device_, traits, &random);
  customer.region = Pick(region_, traits, &random);
  customer.referrer = Pick(referrer_, traits, &random);
  ViewItems(traits, &random, &customer);
  customer.age = std::clamp(static_cast<int>(std::lround(39 + 5 * affluence + 11 * noise())), 16, 90);
  customer.sessions = 1 + RoundedExp(0.7 + 0.6 * engagement + 0.5 * noise(), 1, 200);
  customer.pages_tenths = RoundedExp(1.2 + 0.3 * engagement + 0.4 * noise(), 10, 1000);
  customer.minutes_tenths =
      RoundedExp(std::log(customer.sessions) + 0.9 + 0.3 * engagement + 0.4 * noise(), 10, 50'000);
  customer.searches = RoundedExp(0.6 + 0.4 * engagement - 0.3 * affluence + 0.5 * noise(), 1, 200);
  customer.cart_adds =
      RoundedExp(0.3 + 0.5 * engagement + 0.3 * affluence - 0.4 * sensitivity + 0.5 * noise(), 1, 200);
  customer.discount_percent =
      static_cast<int>(std::lround(100 / (1 + std::exp(0.8 - 0.9 * sensitivity - 0.5 * noise()))));

  // Cells that the shop does not know, whatever they would have held.
  if (random.Uniform() < 0.08) customer.age = kUnknown;
  if (random.Uniform() < 0.02) customer.region = kUnknown;
  if (random.Uniform() < 0.05) customer.referrer = kUnknown;
  if (random.Uniform() < 0.03) customer.price_mean_cents = kUnknown;
  return customer;
}

}  // namespace cohort
