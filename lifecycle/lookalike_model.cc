#include "lifecycle/lookalike_model.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>

#include "common/check.h"
#include "common/random.h"

namespace cohort {
namespace {

constexpr std::uint64_t kHeldOutStream = 1, kFoldStream = 2, kStandInStream = 3, kBackgroundStream = 4;

// Users in an order that nothing about them decides.
std::vector<std::uint32_t> InOrderOfHashes(const std::vector<std::uint64_t>& users, std::uint64_t seed,
                                           std::uint64_t stream) {
  std::vector<std::uint64_t> hashes;
  for (const std::uint64_t user : users) hashes.push_back(RandomBits(seed, user, stream));
  std::vector<std::uint32_t> order(users.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return hashes[a] < hashes[b]; });
  return order;
}

// Wanted users and others are dealt to the folds apart, so that each fold has the same share of both. Models of different folds then
// expect the same on average, and their scores can be put into one order; where they knew nothing, a fold with fewer wanted users
// would have the higher scores.
std::vector<std::uint8_t> DealFolds(const LookalikeUsers& users, std::uint64_t seed, std::uint64_t stream,
                                    int count) {
  std::vector<std::uint8_t> folds(users.user.size());
  int next[2] = {0, 0};
  for (const std::uint32_t user : InOrderOfHashes(users.user, seed, stream)) {
    int& fold = next[users.wanted[user] > 0 ? 1 : 0];
    folds[user] = static_cast<std::uint8_t>(fold++ % count);
  }
  return folds;
}

}  // namespace

LookalikeModel::LookalikeModel(LookalikeUsers users)
    : users_(std::move(users)),
      inputs_(users_.inputs, users_.width),
      codes_(inputs_.CodesOf(users_.inputs)) {}

LookalikeModel LookalikeModel::Fit(LookalikeUsers users, const LookalikeOptions& options) {
  COHORT_CHECK(
      users.user.size() == users.wanted.size() && users.inputs.size() == users.user.size() * users.width,
      "%zu users, %zu wanted, %zu inputs", users.user.size(), users.wanted.size(), users.inputs.size());
  LookalikeModel model(std::move(users));
  const std::size_t count = model.users_.user.size();
  model.held_out_fold_ = DealFolds(model.users_, options.seed, kHeldOutStream, options.held_out_folds);
  const std::vector<std::uint8_t> folds = DealFolds(model.users_, options.seed, kFoldStream, options.folds);
  const auto fit = [&](std::span<const std::uint32_t> rows) {
    return CrossFitted::Fit(model.inputs_, Link::kLogit, rows, model.users_.wanted, {}, folds, options.folds,
                            options.boost);
  };
  std::vector<std::uint32_t> rows;
  for (int fold = 0; fold < options.held_out_folds; ++fold) {
    rows.clear();
    for (std::uint32_t user = 0; user < count; ++user) {
      if (model.held_out_fold_[user] != fold) rows.push_back(user);
    }
    model.held_out_models_.push_back(fit(rows));
  }
  rows.resize(count);
  std::iota(rows.begin(), rows.end(), 0u);
  model.model_ = fit(rows);
  for (std::size_t user = 0; user < count; ++user)
    model.held_out_.push_back(static_cast<float>(model.held_out_models_[model.held_out_fold_[user]].Score(
        model.codes_.data() + user * model.users_.width)));
  const std::vector<std::uint32_t> circle = InOrderOfHashes(model.users_.user, options.seed, kStandInStream);
  model.stand_ins_.resize(count);
  for (std::size_t i = 0; i < count; ++i) model.stand_ins_[circle[i]] = circle[(i + 1) % count];
  model.background_ = InOrderOfHashes(model.users_.user, options.seed, kBackgroundStream);
  model.background_.resize(std::min(count, kBackground));
  return model;
}

void LookalikeModel::Stand(std::size_t attribute, std::size_t from_user, std::uint8_t* codes) const {
  const DenseInputs::Columns& columns = users_.attributes[attribute];
  std::copy_n(codes_.data() + from_user * users_.width + columns.first, columns.count, codes + columns.first);
}

std::vector<float> LookalikeModel::HeldOutWithout(std::size_t attribute) const {
  std::vector<float> scores;
  std::vector<std::uint8_t> codes(users_.width);
  for (std::size_t user = 0; user < users_.user.size(); ++user) {
    std::copy_n(codes_.data() + user * users_.width, users_.width, codes.begin());
    Stand(attribute, stand_ins_[user], codes.data());
    scores.push_back(static_cast<float>(held_out_models_[held_out_fold_[user]].Score(codes.data())));
  }
  return scores;
}

double LookalikeModel::Averaged(const std::uint8_t* codes, const std::vector<std::uint8_t>& unknown) const {
  if (std::find(unknown.begin(), unknown.end(), 1) == unknown.end()) return model_.Score(codes);
  std::vector<std::uint8_t> mixed(codes, codes + users_.width);
  double sum = 0;
  for (const std::uint32_t user : background_) {
    for (std::size_t attribute = 0; attribute < unknown.size(); ++attribute) {
      if (unknown[attribute] != 0) Stand(attribute, user, mixed.data());
    }
    sum += model_.Score(mixed.data());
  }
  return sum / static_cast<double>(background_.size());
}

std::vector<LookalikeModel::Score> LookalikeModel::Predict(std::span<const float> inputs,
                                                           std::span<const std::uint8_t> unknown) const {
  const std::size_t width = users_.width, attributes = users_.attributes.size();
  COHORT_CHECK(width > 0 && inputs.size() / width * attributes == unknown.size(), "%zu inputs, %zu flags",
               inputs.size(), unknown.size());
  const std::vector<std::uint8_t> codes = inputs_.CodesOf(inputs);
  std::unordered_map<std::string, Score> known;  // by codes and flags
  std::vector<Score> scores;
  for (std::size_t row = 0; row * width < codes.size(); ++row) {
    const std::uint8_t* of_row = codes.data() + row * width;
    std::vector<std::uint8_t> hidden(unknown.begin() + static_cast<std::ptrdiff_t>(row * attributes),
                                     unknown.begin() + static_cast<std::ptrdiff_t>((row + 1) * attributes));
    std::string name(reinterpret_cast<const char*>(of_row), width);
    name.append(reinterpret_cast<const char*>(hidden.data()), attributes);
    const auto [found, is_new] = known.try_emplace(std::move(name));
    if (is_new) {
      Score& score = found->second;
      const double whole = Averaged(of_row, hidden);
      score.log_odds = static_cast<float>(whole);
      score.shares.resize(attributes);
      for (std::size_t attribute = 0; attribute < attributes; ++attribute) {
        if (hidden[attribute] != 0) continue;
        hidden[attribute] = 1;
        score.shares[attribute] = static_cast<float>(whole - Averaged(of_row, hidden));
        hidden[attribute] = 0;
      }
    }
    scores.push_back(found->second);
  }
  return scores;
}

}  // namespace cohort
