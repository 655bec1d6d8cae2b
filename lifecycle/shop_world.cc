#include "lifecycle/shop_world.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "lifecycle/draws.h"

namespace cohort {
namespace {

constexpr std::uint64_t kTraitStream = 0x7472'6169'7473ULL, kNatureStream = 0x6e61'7475'7265ULL;
constexpr std::uint64_t kItemStream = 0x6974'656d'73ULL, kTasteStream = 0x7461'7374'6573ULL;

constexpr double kTasteWeight = 4, kTierWeight = 6;  // of the priors: what so many views would say
constexpr int kAgeBands = 3;

// By channel: search, social, ads, referral, direct.
constexpr std::array<double, 5> kChannelShares = {0.3, 0.25, 0.2, 0.1, 0.15};
constexpr std::array<double, 5> kAlpha = {36, 50, 45, 26, 32};
constexpr std::array<double, 5> kChannelCost = {14, 9, 18, 6, 2};
constexpr std::array<double, 5> kChannelOrders = {1.3, 0.6, 0.8, 1.6, 1.2};
constexpr std::array<double, 5> kChannelLeaves = {1.0, 1.5, 1.2, 0.7, 0.8};
constexpr std::array<double, 5> kGiftOfChannel = {-0.35, 0.55, -0.45, 0.5, 0.05};
// By device: app, mobile, desktop.
constexpr std::array<double, 3> kDeviceShares = {0.3, 0.4, 0.3};
constexpr std::array<double, 3> kDeviceVisits = {0.3, 0.24, 0.18};
constexpr std::array<double, 3> kDeviceFavourites = {1.8, 1.1, 0.5};
constexpr std::array<double, 3> kDeviceCarts = {0.7, 1.0, 1.6};
constexpr std::array<double, 3> kMailOfDevice = {-0.5, 0.0, 0.5};
// By income: low, middle, high.
constexpr std::array<double, 3> kIncomeShares = {0.35, 0.4, 0.25};
constexpr std::array<double, 3> kCouponOfIncome = {0.6, 0.0, -0.6};
constexpr std::array<TierShares, 3> kTierBases = {{{0.65, 0.3, 0.05}, {0.3, 0.5, 0.2}, {0.1, 0.4, 0.5}}};

constexpr std::array<double, 3> kTierPrice = {18, 42, 95};
constexpr std::array<std::int64_t, kShopArms> kArmCost = {0, 10, 150, 300};
constexpr double kCostOfPrice = 0.6, kSalePrice = 0.8;

constexpr std::array<const char*, 12> kAdjectives = {"light", "warm",  "classic", "bright", "quiet",  "smart",
                                                     "small", "large", "soft",    "strong", "simple", "new"};
constexpr std::array<const char*, 10> kMaterials = {"wool",  "cotton",  "steel", "oak",   "glass",
                                                    "linen", "leather", "cork",  "paper", "bamboo"};
// Two words that titles of a category share, apart from its name.
constexpr std::array<std::array<const char*, 2>, kShopCategories> kNouns = {{{"trainer", "boot"},
                                                                             {"shirt", "blouse"},
                                                                             {"trousers", "skirt"},
                                                                             {"bag", "rucksack"},
                                                                             {"ring", "necklace"},
                                                                             {"lamp", "candle"},
                                                                             {"pan", "kettle"},
                                                                             {"chair", "shelf"},
                                                                             {"spade", "planter"},
                                                                             {"doll", "puzzle"},
                                                                             {"novel", "atlas"},
                                                                             {"racket", "ball"},
                                                                             {"soap", "balm"},
                                                                             {"headphones", "charger"},
                                                                             {"tea", "chocolate"},
                                                                             {"leash", "basket"}}};

double Rounded(double cents) { return std::floor(cents + 0.5); }

}  // namespace

const std::array<const char*, kShopArms>& ShopWorld::Arms() {
  static const std::array<const char*, kShopArms> names = {"none", "email", "coupon", "gift"};
  return names;
}
std::int64_t ShopWorld::ArmCostCents(int arm) { return kArmCost[static_cast<std::size_t>(arm)]; }
const std::vector<const char*>& ShopWorld::Channels() {
  static const std::vector<const char*> names = {"search", "social", "ads", "referral", "direct"};
  return names;
}
const std::vector<const char*>& ShopWorld::Regions() {
  static const std::vector<const char*> names = {"north",      "north-east", "east", "south-east",
                                                 "south",      "south-west", "west", "north-west",
                                                 "the-middle", "islands"};
  return names;
}
const std::vector<const char*>& ShopWorld::Devices() {
  static const std::vector<const char*> names = {"app", "mobile", "desktop"};
  return names;
}
const std::vector<const char*>& ShopWorld::Genders() {
  static const std::vector<const char*> names = {"f", "m"};
  return names;
}
const std::vector<const char*>& ShopWorld::Incomes() {
  static const std::vector<const char*> names = {"low", "middle", "high"};
  return names;
}
const std::array<const char*, kShopCategories>& ShopWorld::CategoryNames() {
  static const std::array<const char*, kShopCategories> names = {
      "shoes",     "tops", "bottoms", "bags",  "jewellery", "lighting", "kitchen", "furniture",
      "gardening", "toys", "books",   "sport", "care",      "audio",    "food",    "pets"};
  return names;
}
const std::array<const char*, kShopTiers>& ShopWorld::TierNames() {
  static const std::array<const char*, kShopTiers> names = {"budget", "middle", "premium"};
  return names;
}
std::string ShopWorld::BrandName(int brand) {
  static constexpr std::array<const char*, 4> first = {"Al", "Ber", "Cor", "Del"};
  static constexpr std::array<const char*, 6> second = {"mar", "nova", "tex", "lund", "via", "dor"};
  return std::string(first[static_cast<std::size_t>(brand) % 4]) +
         second[static_cast<std::size_t>(brand) / 4];
}

double ShopWorld::VisitRate(const UserTraits& traits) {
  return kDeviceVisits[static_cast<std::size_t>(traits.device)];
}

ProspectVisit ShopWorld::VisitOfProspect(const UserTraits& traits) {
  const auto channel = static_cast<std::size_t>(traits.channel),
             device = static_cast<std::size_t>(traits.device);
  return {0.08 * kDeviceFavourites[device] * (traits.age < 30 ? 1.5 : 1), 0.06 * kDeviceCarts[device],
          0.1 * kChannelOrders[channel], 0.12 * kChannelLeaves[channel]};
}

BgNbd ShopWorld::Repeats(int channel) {
  return {kRepeatR, kAlpha[static_cast<std::size_t>(channel)], kDropoutA, kDropoutB};
}

double ShopWorld::AcquisitionCost(const UserTraits& traits) {
  return kChannelCost[static_cast<std::size_t>(traits.channel)] * (0.8 + 0.05 * traits.region);
}

ShopWorld::ShopWorld(std::uint64_t seed, std::uint32_t items, int days, bool null_effects)
    : seed_(seed), days_(days), null_effects_(null_effects) {
  RandomStream tastes(seed, kTasteStream);
  CategoryShares scarce;
  scarce.fill(0.4);
  for (std::size_t group = 0; group < Genders().size() * kAgeBands; ++group) {
    CategoryShares base;
    DrawDirichlet(scarce, &tastes, base);
    for (double& share : base) share = 0.85 * share + 0.15 / kShopCategories;  // nobody is without hope
    taste_bases_.push_back(base);
  }
  // A cell holds the items of its number modulo the number of cells; the k-th weighs about (k + 2)^-0.9, prices are
  // log-normal about the tier's, times the category's.
  std::array<double, kShopCategories> level;
  for (double& x : level) x = PlainExp(0.25 * DrawNormal(&tastes));
  items_.resize(items);
  cumulated_.resize(items);
  std::size_t next = 0;
  for (std::uint32_t cell = 0; cell < kShopCells; ++cell) {
    double total = 0;
    const std::size_t first = next;
    for (std::uint32_t i = cell; i < items; i += kShopCells) {
      RandomStream random(RandomBits(seed, kItemStream), i);
      ShopItem& item = items_[i];
      item.category = static_cast<int>(cell) / kShopTiers;
      item.tier = static_cast<int>(cell) % kShopTiers;
      item.brand = item.tier * kShopBrandsOfTier + static_cast<int>(random.Below(kShopBrandsOfTier));
      const auto category = static_cast<std::size_t>(item.category),
                 tier = static_cast<std::size_t>(item.tier);
      const double price = 100 * kTierPrice[tier] * level[category] * PlainExp(0.2 * DrawNormal(&random));
      item.price_cents = static_cast<std::int64_t>(Rounded(price));
      item.sale_cents = static_cast<std::int64_t>(Rounded(kSalePrice * price));
      item.cost_cents = static_cast<std::int64_t>(Rounded(kCostOfPrice * price));
      item.weight =
          PlainPower(static_cast<double>(i / kShopCells) + 2, -0.9) * PlainExp(0.5 * DrawNormal(&random));
      item.title = std::string(kAdjectives[random.Below(kAdjectives.size())]) + " " +
                   kMaterials[random.Below(kMaterials.size())] + " " + kNouns[category][random.Below(2)] +
                   " for " + CategoryNames()[category] + " by " + BrandName(item.brand);
      total += item.weight;
      cumulated_[next++] = total;
    }
    for (std::size_t place = first; place < next; ++place) cumulated_[place] /= total;
    for (std::uint32_t i = cell; i < items; i += kShopCells) {
      ShopItem& item = items_[i];
      item.weight /= total;
      const double paid = (1 - kSaleShare) * static_cast<double>(item.price_cents) +
                          kSaleShare * static_cast<double>(item.sale_cents);
      margins_[cell] += 0.01 * item.weight * (paid - static_cast<double>(item.cost_cents));
    }
  }
}

UserTraits ShopWorld::Traits(std::uint64_t user) const {
  RandomStream random(RandomBits(seed_, kTraitStream), user);
  UserTraits traits;
  traits.sign_up = 0.9 * days_ * random.Uniform();
  traits.channel = DrawIndex(kChannelShares, &random);
  traits.region = static_cast<int>(random.Below(Regions().size()));
  traits.device = DrawIndex(kDeviceShares, &random);
  traits.age = std::clamp(static_cast<int>(std::floor(43 + 15 * DrawNormal(&random))), 18, 85);
  traits.gender = static_cast<int>(random.Below(Genders().size()));
  traits.income = DrawIndex(kIncomeShares, &random);
  traits.cost_cents =
      static_cast<std::int64_t>(Rounded(100 * AcquisitionCost(traits) * (0.7 + 0.6 * random.Uniform())));
  return traits;
}

UserNature ShopWorld::Nature(std::uint64_t user, const UserTraits& traits) const {
  RandomStream random(RandomBits(seed_, kNatureStream), user);
  const BgNbd model = Repeats(traits.channel);
  UserNature nature;
  nature.rate = DrawGamma(model.r, &random) / model.alpha;
  nature.dropout = DrawBeta(model.a, model.b, &random);
  DrawDirichlet(TastePrior(traits), &random, nature.categories);
  DrawDirichlet(TierPrior(traits), &random, nature.tiers);
  return nature;
}

CategoryShares ShopWorld::TastePrior(const UserTraits& traits) const {
  const int band = traits.age < 35 ? 0 : traits.age < 55 ? 1 : 2;
  CategoryShares weights = taste_bases_[static_cast<std::size_t>(traits.gender * kAgeBands + band)];
  for (double& weight : weights) weight *= kTasteWeight;
  return weights;
}

TierShares ShopWorld::TierPrior(const UserTraits& traits) {
  TierShares weights = kTierBases[static_cast<std::size_t>(traits.income)];
  for (double& weight : weights) weight *= kTierWeight;
  return weights;
}

std::uint32_t ShopWorld::DrawItem(const UserNature& nature, RandomStream* random) const {
  const int cell = DrawIndex(nature.categories, random) * kShopTiers + DrawIndex(nature.tiers, random);
  // Cells have items / kShopCells items each, the first ones one more.
  const std::size_t each = items_.size() / kShopCells, more = items_.size() % kShopCells;
  const auto number = static_cast<std::size_t>(cell);
  const std::size_t first = number * each + std::min(number, more), size = each + (number < more ? 1 : 0);
  const auto begin = cumulated_.begin() + static_cast<std::ptrdiff_t>(first);
  const auto found =
      std::upper_bound(begin, begin + static_cast<std::ptrdiff_t>(size) - 1, random->Uniform());
  return static_cast<std::uint32_t>(static_cast<std::size_t>(found - begin) * kShopCells + number);
}

double ShopWorld::OrderMargin(const CategoryShares& categories, const TierShares& tiers) const {
  double line = 0;
  for (int category = 0; category < kShopCategories; ++category) {
    for (int tier = 0; tier < kShopTiers; ++tier) {
      line += categories[static_cast<std::size_t>(category)] * tiers[static_cast<std::size_t>(tier)] *
              CellMargin(category, tier);
    }
  }
  return (1 + kMoreLines) * line;
}

double ShopWorld::Factor(int arm, const UserTraits& traits, int orders) const {
  if (arm == 0 || null_effects_) return 1;
  const double age = (traits.age - 43) / 15.0;
  double log_factor = 0;
  if (arm == 1) log_factor = 0.1 + kMailOfDevice[static_cast<std::size_t>(traits.device)] + 0.25 * age;
  if (arm == 2)
    log_factor =
        0.05 + kCouponOfIncome[static_cast<std::size_t>(traits.income)] + (traits.gender == 0 ? 0.15 : -0.15);
  if (arm == 3)
    log_factor = 0.05 + kGiftOfChannel[static_cast<std::size_t>(traits.channel)] - 0.25 * age +
                 (orders >= 4 ? 0.1 : -0.1);
  return PlainExp(std::clamp(log_factor, -1.2, 1.0));
}

}  // namespace cohort
