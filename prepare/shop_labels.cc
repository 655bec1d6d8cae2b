#include "prepare/shop_labels.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

namespace cohort {
namespace {

constexpr std::uint64_t kEffectStream = 0xffff'ffff'0000'0002ULL;
constexpr std::uint64_t kLabelSeed = 0x6c61'6265'6c73ULL, kLifetimeSeed = 0x6c69'6665'7469'6d65ULL;
// Pilot customers, apart from all that are written.
constexpr std::uint64_t kFirstPilot = 0xffff'fffe'0000'0000ULL;
constexpr int kPilots = 8192;

// How each task mixes the factors: affluence, engagement, price sensitivity, fit with the range of goods.
// Rows are scaled to unit variance, so only directions matter.
enum Mix { kCost, kChurned, kPurchased, kPositive, kMu, kFirstActivity };
constexpr double kMixing[][4] = {
    {0.6, -0.5, 0.5, -0.7},   // acquisition_cost
    {-0.4, -0.9, 0.6, -0.5},  // churned
    {0.5, 0.8, -0.5, 0.7},    // purchased
    {0.7, 0.6, -0.6, 0.6},    // value > 0
    {1.0, 0.3, -0.4, 0.5},    // size of the value
    {0.9, 0.1, 0.2, 0.6},     // wishlist
    {-0.2, 0.9, 0.5, -0.3},   // newsletter
    {0.3, 0.5, -0.8, 0.6},    // review
    {-0.7, 0.6, 0.6, 0.4},    // app
    {0.6, 0.3, 0.7, -0.6},    // club
    {-0.4, -1.0, -0.3, -0.5}  // none
};
constexpr double kActivityStrength = 2.2;
constexpr double kActivityBase[kActivities] = {0.0, 0.2, -0.5, 0.0, -0.2, 0.6};
constexpr double kLogitStrength = 2.4, kPositiveStrength = 2.8;
constexpr double kCostMean = 24, kCostSpread = 4.5, kCostNoise = 2.5;
constexpr double kMuMean = 3.6, kMuSpread = 0.4, kValueSigma = 0.35;
// Shares of the customers whose label is known.
constexpr int kMostMonthsSeen = 16;
constexpr double kActivationKnown = 0.7, kChurnedKnown = 0.4, kValueKnown = 0.45;

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

template <typename Effect>
std::vector<Effect> DrawEffects(RandomStream* random, std::size_t values, double size) {
  std::vector<Effect> effects(values + 1);  // and the missing cell
  for (Effect& effect : effects) {
    for (double& x : effect) x = size * StandardNormal(random);
  }
  return effects;
}

template <typename Factors>
void AddTo(const Factors& effect, double weight, Factors* sum) {
  for (std::size_t k = 0; k < effect.size(); ++k) (*sum)[k] += weight * effect[k];
}

template <typename Effects>
const auto& EffectOf(const Effects& effects, int value) {
  return value == kUnknown ? effects.back() : effects[static_cast<std::size_t>(value)];
}

// Where and how wide the values of a column are.
template <typename Scaling, typename Rows>
Scaling ScalingOf(const Rows& rows, std::size_t column) {
  double sum = 0, squares = 0;
  for (const auto& row : rows) sum += row[column];
  const double mean = sum / static_cast<double>(rows.size());
  for (const auto& row : rows) squares += (row[column] - mean) * (row[column] - mean);
  return {mean, 1 / std::sqrt(squares / static_cast<double>(rows.size()) + 1e-12)};
}

}  // namespace

const std::array<const char*, kActivities>& ShopLabels::Activities() {
  static const std::array<const char*, kActivities> names = {"wishlist", "newsletter", "review",
                                                             "app",      "club",       "none"};
  return names;
}

ShopLabels::ShopLabels(std::uint64_t seed, const ShopCustomers& customers) : seed_(seed) {
  RandomStream random(seed, kEffectStream);
  channel_ = DrawEffects<Factors>(&random, ShopCustomers::Channels().size(), 0.8);
  device_ = DrawEffects<Factors>(&random, ShopCustomers::Devices().size(), 0.6);
  region_ = DrawEffects<Factors>(&random, ShopCustomers::Regions().size(), 0.5);
  referrer_ = DrawEffects<Factors>(&random, static_cast<std::size_t>(customers.referrer_count()), 0.6);
  category_ = DrawEffects<Factors>(&random, customers.categories().size(), 1.2);
  channel_v_ = DrawEffects<Factors>(&random, ShopCustomers::Channels().size(), 0.8);
  device_v_ = DrawEffects<Factors>(&random, ShopCustomers::Devices().size(), 0.8);
  for (auto& weight : weights_) weight = DrawEffects<Factors>(&random, 0, 0.45).front();
  for (auto& missing : missing_) missing = DrawEffects<Factors>(&random, 0, 0.5).front();
  for (int n : {1, 8}) weights_v_[n] = DrawEffects<Factors>(&random, 0, 0.8).front();  // sessions, discounts
  const auto phases = DrawEffects<Factors>(&random, 0, std::numbers::pi).front();
  for (int month = 0; month < customers.month_count(); ++month) {
    Factors season;
    for (int k = 0; k < kFactors; ++k) season[k] = 0.4 * std::sin(std::numbers::pi * month / 6 + phases[k]);
    month_.push_back(season);
  }

  std::vector<Factors> us(kPilots), vs(kPilots), zs(kPilots);
  for (int i = 0; i < kPilots; ++i) RawScores(customers.Draw(kFirstPilot + i), &us[i], &vs[i]);
  for (int k = 0; k < kFactors; ++k) {
    scale_u_[k] = ScalingOf<Scaling>(us, k);
    scale_v_[k] = ScalingOf<Scaling>(vs, k);
  }
  for (int i = 0; i < kPilots; ++i) zs[i] = RawFactors(us[i], vs[i]);
  for (int k = 0; k < kFactors; ++k) scale_z_[k] = ScalingOf<Scaling>(zs, k);
  std::vector<std::array<double, kMixes>> mixes(kPilots);
  for (int i = 0; i < kPilots; ++i) {
    for (int mix = 0; mix < kMixes; ++mix) {
      for (int k = 0; k < kFactors; ++k) mixes[i][mix] += kMixing[mix][k] * scale_z_[k](zs[i][k]);
    }
  }
  for (int mix = 0; mix < kMixes; ++mix) scale_mix_[mix] = ScalingOf<Scaling>(mixes, mix);
}

void ShopLabels::RawScores(const Customer& customer, Factors* u, Factors* v) const {
  const bool knows_age = customer.age != kUnknown, knows_price = customer.price_mean_cents != kUnknown;
  const double age = knows_age ? (customer.age - 39) / 12.0 : 0;
  const Numerics numerics = {age,
                             (std::log1p(customer.sessions) - 1.3) / 0.5,
                             (std::log(0.1 * customer.pages_tenths + 1) - 1.5) / 0.4,
                             (std::log(0.1 * customer.minutes_tenths + 1) - 2.1) / 0.8,
                             (std::log1p(customer.searches) - 1.0) / 0.5,
                             (std::log1p(customer.cart_adds) - 0.8) / 0.6,
                             knows_price ? (std::log(0.01 * customer.price_mean_cents + 1) - 3.4) / 0.4 : 0,
                             (std::log(0.01 * customer.price_max_cents + 1) - 3.8) / 0.5,
                             (0.01 * customer.discount_percent - 0.35) / 0.2,
                             knows_age ? std::exp(-age * age) - 0.6 : 0};  // most effects of age have a hump
  u->fill(0);
  v->fill(0);
  AddTo(channel_[customer.channel], 1, u);
  AddTo(device_[customer.device], 1, u);
  AddTo(EffectOf(region_, customer.region), 1, u);
  AddTo(EffectOf(referrer_, customer.referrer), 1, u);
  AddTo(month_[customer.month], 1, u);
  for (int c = 0; c < customer.category_count; ++c) {
    AddTo(category_[customer.categories[c]], 1.0 / customer.category_count, u);
  }
  for (int n = 0; n < kNumerics; ++n) AddTo(weights_[n], numerics[n], u);
  if (!knows_age) AddTo(missing_[0], 1, u);
  if (!knows_price) AddTo(missing_[1], 1, u);
  AddTo(channel_v_[customer.channel], 1, v);
  AddTo(device_v_[customer.device], 1, v);
  for (int n : {1, 8}) AddTo(weights_v_[n], numerics[n], v);
}

ShopLabels::Factors ShopLabels::RawFactors(const Factors& u, const Factors& v) const {
  Factors z;
  for (int k = 0; k < kFactors; ++k) {
    const double score = scale_u_[k](u[k]);
    z[k] = std::tanh(score) * (1 + 0.6 * std::tanh(scale_v_[k](v[k]))) + 0.4 * score;
  }
  return z;
}

CustomerExpectation ShopLabels::Expect(const Customer& customer) const {
  Factors u, v;
  RawScores(customer, &u, &v);
  const Factors z = RawFactors(u, v);
  std::array<double, kMixes> mixes{};
  for (int mix = 0; mix < kMixes; ++mix) {
    for (int k = 0; k < kFactors; ++k) mixes[mix] += kMixing[mix][k] * scale_z_[k](z[k]);
    mixes[mix] = scale_mix_[mix](mixes[mix]);
  }

  CustomerExpectation expected;
  expected.acquisition_cost = kCostMean + kCostSpread * mixes[kCost];
  expected.churned = Sigmoid(-0.5 + kLogitStrength * mixes[kChurned]);
  expected.purchased = Sigmoid(-0.4 + kLogitStrength * mixes[kPurchased]);
  expected.value_positive = Sigmoid(0.2 + kPositiveStrength * mixes[kPositive]);
  expected.value_mu = kMuMean + kMuSpread * mixes[kMu];
  expected.value_sigma = kValueSigma;
  expected.value = expected.value_positive * std::exp(expected.value_mu + kValueSigma * kValueSigma / 2);
  double total = 0;
  for (int a = 0; a < kActivities; ++a) {
    expected.activation[a] = std::exp(kActivityBase[a] + kActivityStrength * mixes[kFirstActivity + a]);
    total += expected.activation[a];
  }
  for (double& probability : expected.activation) probability /= total;
  double left = 0;
  for (int t = 1; t <= kMonths; ++t) {
    const double hazard = Sigmoid(-2.9 + 1.1 * std::exp(-(t - 1) / 2.0) + 1.4 * mixes[kChurned] +
                                  0.12 * (t - 6.5) * mixes[kMu]);
    left += (1 - left) * hazard;
    expected.left[t - 1] = left;
  }
  return expected;
}

CustomerLabels ShopLabels::Draw(const Customer& customer, const CustomerExpectation& expectation) const {
  RandomStream random(RandomBits(seed_, kLabelSeed), customer.user);
  CustomerLabels labels;
  labels.acquisition_cost = expectation.acquisition_cost + kCostNoise * StandardNormal(&random);
  labels.purchased = random.Uniform() < expectation.purchased;
  if (random.Uniform() < kActivationKnown) {
    double left = random.Uniform();
    labels.activation = 0;
    while (labels.activation + 1 < kActivities && (left -= expectation.activation[labels.activation]) >= 0) {
      ++labels.activation;
    }
  }
  if (random.Uniform() < kChurnedKnown) labels.churned = random.Uniform() < expectation.churned;
  if (random.Uniform() < kValueKnown) {
    labels.value = 0;
    if (random.Uniform() < expectation.value_positive) {
      // A positive value stays positive when it is written in cents.
      labels.value =
          std::max(0.01, std::exp(expectation.value_mu + expectation.value_sigma * StandardNormal(&random)));
    }
  }
  RandomStream lifetime(RandomBits(seed_, kLifetimeSeed), customer.user);
  const double place = lifetime.Uniform();
  const int leaves =
      1 + static_cast<int>(std::upper_bound(expectation.left.begin(), expectation.left.end(), place) -
                           expectation.left.begin());
  labels.months = std::min(kMonths, 1 + static_cast<int>(lifetime.Below(kMostMonthsSeen)));
  labels.left = leaves <= labels.months;
  if (labels.left) labels.months = leaves;
  return labels;
}

}  // namespace cohort
