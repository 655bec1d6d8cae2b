#include "lifecycle/lookalike_model.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/check.h"
#include "common/random.h"

namespace cohort {
namespace {

// Wanted users and others are dealt to the folds apart, so that each fold has the same share of both. Models of different folds then
// expect the same on average, and their scores can be put into one order; where they knew nothing, a fold with fewer wanted users
// would have the higher scores.
std::vector<std::uint8_t> DealFolds(const LookalikeUsers& users, std::uint64_t seed) {
  std::vector<std::uint64_t> hashes;
  for (const std::uint64_t user : users.user) hashes.push_back(RandomBits(seed, user));
  std::vector<std::uint32_t> order(hashes.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return hashes[a] < hashes[b]; });
  std::vector<std::uint8_t> folds(order.size());
  int next[2] = {0, 0};
  for (const std::uint32_t user : order)
    folds[user] = static_cast<std::uint8_t>(next[users.wanted[user] > 0 ? 1 : 0]++ % LookalikeModel::kFolds);
  return folds;
}

}  // namespace

LookalikeModel::LookalikeModel(LookalikeUsers users)
    : inputs_(users.inputs, users.categorical.size(), users.categorical), wanted_(std::move(users.wanted)) {}

LookalikeModel LookalikeModel::Fit(LookalikeUsers users, const LookalikeOptions& options) {
  const std::size_t count = users.user.size();
  COHORT_CHECK(users.wanted.size() == count && users.inputs.size() == count * users.categorical.size(),
               "%zu users, %zu wanted, %zu inputs", count, users.wanted.size(), users.inputs.size());
  std::vector<std::uint8_t> folds = DealFolds(users, options.seed);
  LookalikeModel model(std::move(users));
  model.folds_ = std::move(folds);
  std::vector<std::uint32_t> fitted, choosing;
  std::vector<double> losses;
  for (int fold = 0; fold < kFolds; ++fold) {
    fitted.clear(), choosing.clear();
    for (std::uint32_t user = 0; user < count; ++user) {
      if (model.folds_[user] == (fold + 1) % kFolds) {
        choosing.push_back(user);
      } else if (model.folds_[user] != fold) {
        fitted.push_back(user);
      }
    }
    BoostedTrees& fold_model = model.models_.emplace_back(BoostedTrees::Fit(
        model.inputs_, Link::kLogit, fitted, model.wanted_, {}, options.boost, choosing, &losses));
    fold_model.KeepRounds(
        static_cast<std::size_t>(std::min_element(losses.begin(), losses.end()) - losses.begin()));
  }
  for (std::size_t user = 0; user < count; ++user) {
    const BoostedTrees& fold_model = model.models_[model.folds_[user]];
    model.held_out_.push_back(
        static_cast<float>(fold_model.Score(model.inputs_.row(user), fold_model.rounds())));
  }
  return model;
}

std::size_t LookalikeModel::trees() const {
  std::size_t sum = 0;
  for (const BoostedTrees& fold_model : models_) sum += fold_model.rounds();
  return sum;
}

std::vector<std::vector<float>> LookalikeModel::HeldOutWithoutEach() const {
  const std::size_t width = inputs_.width();
  std::vector<std::vector<float>> scores(width, std::vector<float>(held_out_.size()));
  const std::vector<std::uint8_t> unknown(width);
  std::vector<double> losses(width);
  for (std::size_t user = 0; user < held_out_.size(); ++user) {
    std::fill(losses.begin(), losses.end(), 0.0);
    const double score = models_[folds_[user]].Explain(inputs_.row(user), unknown, losses.data());
    for (std::size_t i = 0; i < width; ++i) scores[i][user] = static_cast<float>(score - losses[i]);
  }
  return scores;
}

LookalikeModel::Score LookalikeModel::ScoreOf(std::span<const float> inputs,
                                              std::span<const std::uint8_t> unknown) const {
  const std::vector<std::uint8_t> codes = inputs_.CodesOf(inputs);
  std::vector<double> losses(inputs_.width());
  double sum = 0;
  for (const BoostedTrees& fold_model : models_)
    sum += fold_model.Explain(codes.data(), unknown, losses.data());
  Score score;
  score.log_odds = static_cast<float>(sum / kFolds);
  for (const double loss : losses) score.shares.push_back(static_cast<float>(loss / kFolds));
  return score;
}

}  // namespace cohort
