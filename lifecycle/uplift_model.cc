#include "lifecycle/uplift_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "common/random.h"

namespace cohort {

UpliftModel::UpliftModel(const Experiment& experiment)
    : link_(experiment.link), inputs_(experiment.inputs, experiment.width), arms_(experiment.arms.size()) {}

void UpliftModel::Fill(double base, std::span<const double> arms, std::span<const double> common,
                       Outlook* outlook) const {
  const double without = InverseLink(link_, base + arms[0]), alike = InverseLink(link_, base + common[0]);
  for (std::size_t a = 0; a < arms_.size(); ++a) {
    const double same = InverseLink(link_, base + common[a]) - alike;
    const double differs = InverseLink(link_, base + arms[a]) - without - same;
    outlook->outcome.push_back(InverseLink(link_, base + arms[a]));
    outlook->effect.push_back(a == 0 ? 0 : arms_[a].level * same + arms_[a].spread * differs);
  }
}

UpliftModel UpliftModel::Fit(const Experiment& experiment, const UpliftOptions& options) {
  UpliftModel model(experiment);
  const std::size_t rows = experiment.rows(), count = experiment.arms.size();
  std::vector<std::uint8_t> folds(rows);
  for (std::size_t row = 0; row < rows; ++row)
    folds[row] = static_cast<std::uint8_t>(RandomBits(options.seed, experiment.user[row]) %
                                           static_cast<std::uint64_t>(options.folds));
  std::vector<std::uint32_t> all(rows);
  std::iota(all.begin(), all.end(), 0u);
  model.models_.push_back(CrossFitted::Fit(model.inputs_, model.link_, all, experiment.outcome, {}, folds,
                                           options.folds, options.outcome));
  // A copy: growing models_ moves what it holds.
  const std::vector<double> base = model.models_[0].out_of_fold();
  for (std::size_t a = 0; a < count; ++a) {
    std::vector<std::uint32_t> some;
    for (const std::uint32_t row : all) {
      if (experiment.arm[row] == a) some.push_back(row);
    }
    model.models_.push_back(CrossFitted::Fit(model.inputs_, model.link_, some, experiment.outcome, base,
                                             folds, options.folds, options.effect));
    model.arms_[a].rounds = model.models_.back().rounds();
  }

  const auto fill = [&] {
    model.out_of_fold_ = {count, {}, {}};
    std::vector<double> arms(count), common(count);
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t a = 0; a < count; ++a) {
        arms[a] = model.models_[1 + a].out_of_fold()[row];
        common[a] = model.models_[1 + a].OutOfFoldIntercept(folds[row]);
      }
      model.Fill(base[row], arms, common, &model.out_of_fold_);
    }
  };
  // Both parts apart: the effects with weights (1, 0), and those with (1, 1).
  for (UpliftModel::Arm& arm : model.arms_) arm.level = 1, arm.spread = 0;
  fill();
  const std::vector<double> same = model.out_of_fold_.effect;
  for (UpliftModel::Arm& arm : model.arms_) arm.spread = 1;
  fill();
  const std::vector<double>&whole = model.out_of_fold_.effect, &mu = model.out_of_fold_.outcome;
  for (std::size_t a = 1; a < count; ++a) {
    const double p = experiment.propensities[a], p0 = experiment.propensities[0];
    double mm = 0, mh = 0, hh = 0, ms = 0, hs = 0, sum = 0;
    std::unordered_map<std::uint64_t, double> by_user;
    std::vector<double> scores(rows);
    for (std::size_t row = 0; row < rows; ++row) {
      const double with = mu[row * count + a], without = mu[row * count];
      const double y = experiment.outcome[row];
      double score = with - without;
      if (experiment.arm[row] == a) score += (y - with) / p;
      if (experiment.arm[row] == 0) score -= (y - without) / p0;
      scores[row] = score;
      sum += score;
      // Rows of a larger variance, as far as the mean tells it, count for less.
      double variance = 1;
      if (model.link_ == Link::kLog) variance = with / p + without / p0;
      if (model.link_ == Link::kLogit) variance = with * (1 - with) / p + without * (1 - without) / p0;
      const double weight = 1 / std::max(variance, 1e-9);
      const double m = same[row * count + a], h = whole[row * count + a] - m;
      mm += weight * m * m, mh += weight * m * h, hh += weight * h * h;
      ms += weight * m * score, hs += weight * h * score;
    }
    Arm& arm = model.arms_[a];
    arm.average = sum / static_cast<double>(rows);
    for (std::size_t row = 0; row < rows; ++row) by_user[experiment.user[row]] += scores[row] - arm.average;
    double squares = 0;
    for (const auto& [user, off] : by_user) squares += off * off;
    arm.average_error = std::sqrt(squares) / static_cast<double>(rows);
    const double determinant = mm * hh - mh * mh;
    arm.level = mm > 0 ? ms / mm : 0, arm.spread = 0;
    if (determinant > 1e-9 * mm * hh && hh > 0) {
      const double spread = (mm * hs - mh * ms) / determinant;
      if (spread > 0) arm.spread = spread, arm.level = (hh * ms - mh * hs) / determinant;
    }
  }
  fill();
  return model;
}

Outlook UpliftModel::Predict(std::span<const float> inputs) const {
  Outlook outlook{arms_.size(), {}, {}};
  const std::size_t width = inputs_.width();
  const std::vector<std::uint8_t> codes = inputs_.CodesOf(inputs);
  std::vector<double> arms(arms_.size()), common(arms_.size());
  for (std::size_t a = 0; a < arms.size(); ++a) common[a] = models_[1 + a].Intercept();
  for (std::size_t first = 0; first < codes.size(); first += width) {
    for (std::size_t a = 0; a < arms.size(); ++a) arms[a] = models_[1 + a].Score(codes.data() + first);
    Fill(models_[0].Score(codes.data() + first), arms, common, &outlook);
  }
  return outlook;
}

}  // namespace cohort
