#include "lifecycle/boosted_trees.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace cohort {
namespace {

constexpr double kMostScore = 30;
constexpr int kInterceptSteps = 50;

// Derivative of the log-likelihood by the score, and its information (the negative second derivative, expected).
struct Slope {
  double gradient = 0, information = 0;
};
Slope SlopeOf(Link link, double score, double target) {
  const double mean = InverseLink(link, score);
  const double information = link == Link::kIdentity ? 1 : link == Link::kLog ? mean : mean * (1 - mean);
  return {target - mean, std::max(information, 1e-12)};
}

}  // namespace

double InverseLink(Link link, double score) {
  if (link == Link::kIdentity) return score;
  const double bounded = std::clamp(score, -kMostScore, kMostScore);
  return link == Link::kLog ? std::exp(bounded) : 1 / (1 + std::exp(-bounded));
}

double LossOf(Link link, double score, double target) {
  if (link == Link::kIdentity) return (target - score) * (target - score) / 2;
  const double bounded = std::clamp(score, -kMostScore, kMostScore);
  if (link == Link::kLog) return std::exp(bounded) - target * bounded;
  return std::max(bounded, 0.0) + std::log1p(std::exp(-std::abs(bounded))) - target * bounded;
}

BinnedInputs::BinnedInputs(std::span<const float> values, std::size_t width)
    : rows_(width == 0 ? 0 : values.size() / width), edges_(width) {
  std::vector<float> column;
  codes_.resize(rows_ * width);
  for (std::size_t i = 0; i < width; ++i) {
    column.clear();
    for (std::size_t row = 0; row < rows_; ++row) {
      if (!std::isnan(values[row * width + i])) column.push_back(values[row * width + i]);
    }
    std::sort(column.begin(), column.end());
    // An edge is a value that there is: the least of the bin above it. The first bin needs none.
    for (int bin = 1; bin < kMostBins - 1 && !column.empty(); ++bin) {
      const float edge = column[column.size() * static_cast<std::size_t>(bin) / (kMostBins - 1)];
      if (edge > column.front() && (edges_[i].empty() || edge > edges_[i].back())) edges_[i].push_back(edge);
    }
    // Rare values above the last quantile, such as a flag that few have, get a bin too.
    if (!column.empty() && column.back() > column.front() && edges_[i].empty())
      edges_[i].push_back(column.back());
    for (std::size_t row = 0; row < rows_; ++row)
      codes_[i * rows_ + row] = CodeOf(i, values[row * width + i]);
  }
}

std::uint8_t BinnedInputs::CodeOf(std::size_t column, float value) const {
  if (std::isnan(value)) return 0;
  const std::vector<float>& edges = edges_[column];
  return static_cast<std::uint8_t>(1 + (std::upper_bound(edges.begin(), edges.end(), value) - edges.begin()));
}

std::vector<std::uint8_t> BinnedInputs::CodesOf(std::span<const float> values) const {
  std::vector<std::uint8_t> codes(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) codes[i] = CodeOf(i % width(), values[i]);
  return codes;
}

// Grows one tree after the other on the same rows.
class TreeGrower {
 public:
  TreeGrower(const BinnedInputs& inputs, std::span<const std::uint32_t> rows, const BoostOptions& options)
      : inputs_(inputs), options_(options), order_(rows.begin(), rows.end()), spare_(rows.size()) {}

  // `slopes` by row of the inputs. Adds a tree to the model, and each row's leaf to `scores`.
  void Grow(const std::vector<Slope>& slopes, BoostedTrees* model, std::vector<double>* scores) {
    slopes_ = &slopes, model_ = model, scores_ = scores;
    Slope sum;
    for (const std::uint32_t row : order_) {
      sum.gradient += slopes[row].gradient;
      sum.information += slopes[row].information;
    }
    l2_ = options_.leaf_l2 * sum.information / static_cast<double>(order_.size());
    const auto root = static_cast<std::uint32_t>(model->nodes_.size());
    model->firsts_.push_back(root);
    model->nodes_.emplace_back();
    Split(root, 0, order_.size(), sum, options_.depth);
  }

 private:
  double GainOf(const Slope& sum) const { return sum.gradient * sum.gradient / (sum.information + l2_); }

  void Split(std::uint32_t node, std::size_t begin, std::size_t end, const Slope& sum, int depth) {
    const auto least = static_cast<std::size_t>(options_.least_rows);
    double best_gain = GainOf(sum) * (1 + 1e-9) + 1e-12;
    std::size_t best_column = inputs_.width();
    std::uint8_t best_bin = 0;
    Slope best_left;
    if (depth > 0 && end - begin >= 2 * least) {
      for (std::size_t i = 0; i < inputs_.width(); ++i) {
        struct Bin {
          double gradient, information;
          std::uint32_t rows;
        } bins[BinnedInputs::kMostBins] = {};
        const std::span<const std::uint8_t> codes = inputs_.column(i);
        for (std::size_t k = begin; k < end; ++k) {
          const std::uint32_t row = order_[k];
          Bin& bin = bins[codes[row]];
          bin.gradient += (*slopes_)[row].gradient;
          bin.information += (*slopes_)[row].information;
          ++bin.rows;
        }
        Slope left;
        std::size_t rows = 0;
        for (int bin = 0; bin + 1 < BinnedInputs::kMostBins; ++bin) {
          if (bins[bin].rows == 0) continue;
          left.gradient += bins[bin].gradient;
          left.information += bins[bin].information;
          rows += bins[bin].rows;
          if (rows < least) continue;
          if (end - begin - rows < least) break;
          const double gain =
              GainOf(left) + GainOf({sum.gradient - left.gradient, sum.information - left.information});
          if (gain > best_gain)
            best_gain = gain, best_column = i, best_bin = static_cast<std::uint8_t>(bin), best_left = left;
        }
      }
    }
    if (best_column == inputs_.width()) {
      const double value = options_.rate * sum.gradient / (sum.information + l2_);
      model_->nodes_[node].value = value;
      for (std::size_t k = begin; k < end; ++k) (*scores_)[order_[k]] += value;
      return;
    }
    const std::span<const std::uint8_t> codes = inputs_.column(best_column);
    std::size_t left = begin, right = 0;  // a stable partition
    for (std::size_t k = begin; k < end; ++k) {
      if (codes[order_[k]] <= best_bin) {
        order_[left++] = order_[k];
      } else {
        spare_[right++] = order_[k];
      }
    }
    std::copy_n(spare_.begin(), right, order_.begin() + static_cast<std::ptrdiff_t>(left));
    const auto child = static_cast<std::uint32_t>(model_->nodes_.size());
    model_->nodes_.resize(child + 2);
    model_->nodes_[node] = {static_cast<std::uint32_t>(best_column), child, best_bin, 0};
    Split(child, begin, left, best_left, depth - 1);
    Split(child + 1, left, end, {sum.gradient - best_left.gradient, sum.information - best_left.information},
          depth - 1);
  }

  const BinnedInputs& inputs_;
  const BoostOptions& options_;
  std::vector<std::uint32_t> order_, spare_;
  const std::vector<Slope>* slopes_ = nullptr;
  BoostedTrees* model_ = nullptr;
  std::vector<double>* scores_ = nullptr;
  double l2_ = 0;
};

BoostedTrees BoostedTrees::Fit(const BinnedInputs& inputs, Link link, std::span<const std::uint32_t> rows,
                               std::span<const float> targets, std::span<const double> offsets,
                               const BoostOptions& options, std::span<const std::uint32_t> held_out,
                               std::vector<double>* losses) {
  BoostedTrees model;
  const auto offset = [&](std::uint32_t row) { return offsets.empty() ? 0 : offsets[row]; };
  // The intercept by Newton's steps; each is bounded, for a logarithm's first one may be far too long.
  for (int step = 0; step < kInterceptSteps && !rows.empty(); ++step) {
    Slope sum;
    for (const std::uint32_t row : rows) {
      const Slope slope = SlopeOf(link, offset(row) + model.intercept_, targets[row]);
      sum.gradient += slope.gradient;
      sum.information += slope.information;
    }
    const double length = sum.gradient / sum.information;
    model.intercept_ += link == Link::kIdentity ? length : std::clamp(length, -2.0, 2.0);
    model.intercept_ =
        link == Link::kIdentity ? model.intercept_ : std::clamp(model.intercept_, -kMostScore, kMostScore);
    if (std::abs(length) < 1e-10) break;
  }
  std::vector<double> scores(inputs.rows());
  std::vector<Slope> slopes(inputs.rows());
  for (const std::uint32_t row : rows) scores[row] = offset(row) + model.intercept_;
  std::vector<double> others;  // of held_out
  for (const std::uint32_t row : held_out) others.push_back(offset(row) + model.intercept_);
  const auto held_out_loss = [&] {
    double sum = 0;
    for (std::size_t k = 0; k < held_out.size(); ++k) sum += LossOf(link, others[k], targets[held_out[k]]);
    return sum;
  };
  if (losses != nullptr) losses->assign(1, held_out_loss());
  TreeGrower grower(inputs, rows, options);
  for (int round = 0; round < options.rounds && !rows.empty(); ++round) {
    for (const std::uint32_t row : rows) slopes[row] = SlopeOf(link, scores[row], targets[row]);
    grower.Grow(slopes, &model, &scores);
    if (losses == nullptr) continue;
    for (std::size_t k = 0; k < held_out.size(); ++k) {
      std::uint32_t node = model.firsts_.back();
      while (model.nodes_[node].column != kLeaf)
        node = model.nodes_[node].child +
               (inputs.column(model.nodes_[node].column)[held_out[k]] > model.nodes_[node].bin ? 1 : 0);
      others[k] += model.nodes_[node].value;
    }
    losses->push_back(held_out_loss());
    const auto least = std::min_element(losses->begin(), losses->end());
    if (losses->end() - least > options.patience) break;
  }
  return model;
}

CrossFitted CrossFitted::Fit(const BinnedInputs& inputs, Link link, std::span<const std::uint32_t> rows,
                             std::span<const float> targets, std::span<const double> offsets,
                             std::span<const std::uint8_t> folds, int count, const BoostOptions& options) {
  CrossFitted fitted;
  std::vector<double> losses, total(static_cast<std::size_t>(options.rounds) + 1);
  for (int fold = 0; fold < count; ++fold) {
    std::vector<std::uint32_t> seen, held_out;
    for (const std::uint32_t row : rows) (folds[row] == fold ? held_out : seen).push_back(row);
    fitted.models_.push_back(
        BoostedTrees::Fit(inputs, link, seen, targets, offsets, options, held_out, &losses));
    // No rows: no rounds, and a loss that stays.
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += losses[std::min(i, losses.size() - 1)];
  }
  fitted.rounds_ = static_cast<std::size_t>(std::min_element(total.begin(), total.end()) - total.begin());
  for (const BoostedTrees& model : fitted.models_) fitted.rounds_ = std::min(fitted.rounds_, model.rounds());
  fitted.out_of_fold_.resize(inputs.rows());
  for (std::size_t row = 0; row < inputs.rows(); ++row)
    fitted.out_of_fold_[row] = fitted.models_[folds[row]].Score(
        [&](std::uint32_t column) { return inputs.column(column)[row]; }, fitted.rounds_);
  return fitted;
}

double CrossFitted::Intercept() const {
  double sum = 0;
  for (const BoostedTrees& model : models_) sum += model.intercept();
  return sum / static_cast<double>(models_.size());
}

double CrossFitted::Score(const std::uint8_t* codes) const {
  double sum = 0;
  for (const BoostedTrees& model : models_)
    sum += model.Score([&](std::uint32_t column) { return codes[column]; }, rounds_);
  return sum / static_cast<double>(models_.size());
}

}  // namespace cohort
