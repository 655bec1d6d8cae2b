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

BinnedInputs::BinnedInputs(std::span<const float> values, std::size_t width,
                           std::vector<std::uint8_t> is_categorical)
    : rows_(width == 0 ? 0 : values.size() / width), categorical_(std::move(is_categorical)), edges_(width) {
  std::vector<float> column;
  for (std::size_t i = 0; i < width; ++i) {
    if (categorical(i)) continue;
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
  }
  codes_ = CodesOf(values);
  std::vector<std::size_t> bins(width);
  for (std::size_t at = 0; at < codes_.size(); ++at)
    bins[at % width] = std::max(bins[at % width], std::size_t{codes_[at]} + 1);
  first_bins_.push_back(0);
  for (const std::size_t count : bins) first_bins_.push_back(first_bins_.back() + count);
}

std::uint8_t BinnedInputs::CodeOf(std::size_t column, float value) const {
  if (std::isnan(value)) return 0;
  if (categorical(column)) return static_cast<std::uint8_t>(1 + static_cast<int>(value));
  const std::vector<float>& edges = edges_[column];
  return static_cast<std::uint8_t>(1 + (std::upper_bound(edges.begin(), edges.end(), value) - edges.begin()));
}

std::vector<std::uint8_t> BinnedInputs::CodesOf(std::span<const float> values) const {
  std::vector<std::uint8_t> codes(values.size());
  for (std::size_t first = 0; first < values.size(); first += width()) {
    for (std::size_t i = 0; i < width(); ++i) codes[first + i] = CodeOf(i, values[first + i]);
  }
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
    Split(root, 0, order_.size(), sum, options_.depth,
          options_.depth > 0 ? SumsOf(0, order_.size()) : std::vector<Bin>());
  }

 private:
  struct Bin {
    double gradient = 0, information = 0;
    std::uint32_t rows = 0;
  };
  struct Choice {
    double gain = 0;
    std::uint32_t column = BoostedTrees::kLeaf;
    std::uint8_t first = 0, more = 0;
    Slope sum;  // of the rows in these bins
  };

  double GainOf(const Slope& sum) const { return sum.gradient * sum.gradient / (sum.information + l2_); }

  // Of the rows in [begin, end) of the order, by bin of all columns.
  std::vector<Bin> SumsOf(std::size_t begin, std::size_t end) const {
    std::vector<Bin> bins(inputs_.first_bins().back());
    const std::size_t width = inputs_.width();
    const std::size_t* firsts = inputs_.first_bins().data();
    for (std::size_t k = begin; k < end; ++k) {
      const Slope slope = (*slopes_)[order_[k]];
      const std::uint8_t* codes = inputs_.row(order_[k]);
      for (std::size_t i = 0; i < width; ++i) {
        Bin& bin = bins[firsts[i] + codes[i]];
        bin.gradient += slope.gradient;
        bin.information += slope.information;
        ++bin.rows;
      }
    }
    return bins;
  }

  // The split with the largest gain; none: no column.
  Choice BestSplit(const std::vector<Bin>& bins, std::size_t rows, const Slope& sum) const {
    const auto least = static_cast<std::size_t>(std::max(options_.least_rows, 1));
    Choice best{.gain = GainOf(sum) * (1 + 1e-9) + 1e-12};
    if (rows < 2 * least) return best;
    for (std::size_t i = 0; i < inputs_.width(); ++i) {
      const std::size_t first = inputs_.first_bins()[i], count = inputs_.first_bins()[i + 1] - first;
      const bool categorical = inputs_.categorical(i);
      Slope part;
      std::size_t part_rows = 0;
      for (std::size_t code = 0; code < count; ++code) {
        const Bin& bin = bins[first + code];
        if (bin.rows == 0) continue;
        if (categorical) part = {}, part_rows = 0;
        part.gradient += bin.gradient;
        part.information += bin.information;
        part_rows += bin.rows;
        if (part_rows < least || rows - part_rows < least) continue;
        const double gain =
            GainOf(part) + GainOf({sum.gradient - part.gradient, sum.information - part.information});
        if (!(gain > best.gain)) continue;
        const auto bin_number = static_cast<std::uint8_t>(code);
        best = {gain, static_cast<std::uint32_t>(i), categorical ? bin_number : std::uint8_t{0},
                categorical ? std::uint8_t{0} : bin_number, part};
      }
    }
    return best;
  }

  // `bins`: SumsOf the node's rows, where depth > 0.
  void Split(std::uint32_t node, std::size_t begin, std::size_t end, const Slope& sum, int depth,
             std::vector<Bin> bins) {
    const Choice best = depth > 0 ? BestSplit(bins, end - begin, sum) : Choice{};
    if (best.column == BoostedTrees::kLeaf) {
      const double value = options_.rate * sum.gradient / (sum.information + l2_);
      model_->nodes_[node].value = value;
      for (std::size_t k = begin; k < end; ++k) (*scores_)[order_[k]] += value;
      return;
    }
    const auto child = static_cast<std::uint32_t>(model_->nodes_.size());
    BoostedTrees::Node split{best.column, child, best.first, best.more, 0};
    std::size_t middle = begin, others = 0;  // a stable partition
    for (std::size_t k = begin; k < end; ++k) {
      const std::uint32_t row = order_[k];
      if (split.Takes(inputs_.row(row)[best.column])) {
        order_[middle++] = row;
      } else {
        spare_[others++] = row;
      }
    }
    std::copy_n(spare_.begin(), others, order_.begin() + static_cast<std::ptrdiff_t>(middle));
    split.value = static_cast<double>(middle - begin) / static_cast<double>(end - begin);
    model_->nodes_.resize(child + 2);
    model_->nodes_[node] = split;
    std::vector<Bin> of_first;
    if (depth > 1) {
      const bool first_is_smaller = middle - begin <= end - middle;
      of_first = first_is_smaller ? SumsOf(begin, middle) : SumsOf(middle, end);
      for (std::size_t i = 0; i < bins.size(); ++i) {
        bins[i].gradient -= of_first[i].gradient;
        bins[i].information -= of_first[i].information;
        bins[i].rows -= of_first[i].rows;
      }
      if (!first_is_smaller) of_first.swap(bins);
    }
    Split(child, begin, middle, best.sum, depth - 1, std::move(of_first));
    Split(child + 1, middle, end, {sum.gradient - best.sum.gradient, sum.information - best.sum.information},
          depth - 1, std::move(bins));
  }

  const BinnedInputs& inputs_;
  const BoostOptions& options_;
  std::vector<std::uint32_t> order_, spare_;
  const std::vector<Slope>* slopes_ = nullptr;
  BoostedTrees* model_ = nullptr;
  std::vector<double>* scores_ = nullptr;
  double l2_ = 0;
};

double BoostedTrees::Leaf(std::uint32_t root, const std::uint8_t* codes) const {
  const Node* node = &nodes_[root];
  while (node->column != kLeaf) node = &nodes_[node->child + (node->Takes(codes[node->column]) ? 0 : 1)];
  return node->value;
}

double BoostedTrees::Score(const std::uint8_t* codes, std::size_t rounds) const {
  double score = intercept_;
  for (std::size_t round = 0; round < rounds; ++round) score += Leaf(firsts_[round], codes);
  return score;
}

double BoostedTrees::Mean(std::uint32_t node, const std::uint8_t* codes, const std::uint8_t* known) const {
  for (;;) {
    const Node& at = nodes_[node];
    if (at.column == kLeaf) return at.value;
    if (known[at.column] == kUnknown)
      return at.value * Mean(at.child, codes, known) + (1 - at.value) * Mean(at.child + 1, codes, known);
    node = at.child + (at.Takes(codes[at.column]) ? 0 : 1);
  }
}

// As Mean. `weight`: of the way to the node. What a column is worth is found where it is first asked: nothing above depends on it.
double BoostedTrees::Walk(std::uint32_t node, double weight, const std::uint8_t* codes, std::uint8_t* known,
                          double* losses) const {
  const Node& at = nodes_[node];
  if (at.column == kLeaf) return at.value;
  std::uint8_t& state = known[at.column];
  if (state == kUnknown)
    return at.value * Walk(at.child, weight * at.value, codes, known, losses) +
           (1 - at.value) * Walk(at.child + 1, weight * (1 - at.value), codes, known, losses);
  const std::uint32_t next = at.child + (at.Takes(codes[at.column]) ? 0 : 1);
  if (state == kAsked) return Walk(next, weight, codes, known, losses);
  state = kAsked;
  const double value = Walk(next, weight, codes, known, losses);
  state = kUnknown;
  losses[at.column] += weight * (value - Mean(node, codes, known));
  state = kKnown;
  return value;
}

double BoostedTrees::Explain(const std::uint8_t* codes, std::span<const std::uint8_t> unknown,
                             double* losses) const {
  std::vector<std::uint8_t> known(unknown.begin(), unknown.end());
  double score = intercept_;
  for (const std::uint32_t root : firsts_) score += Walk(root, 1, codes, known.data(), losses);
  return score;
}

void BoostedTrees::KeepRounds(std::size_t rounds) {
  if (rounds >= firsts_.size()) return;
  nodes_.resize(firsts_[rounds]);
  firsts_.resize(rounds);
}

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
    for (std::size_t k = 0; k < held_out.size(); ++k)
      others[k] += model.Leaf(model.firsts_.back(), inputs.row(held_out[k]));
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
    fitted.out_of_fold_[row] = fitted.models_[folds[row]].Score(inputs.row(row), fitted.rounds_);
  return fitted;
}

double CrossFitted::Intercept() const {
  double sum = 0;
  for (const BoostedTrees& model : models_) sum += model.intercept();
  return sum / static_cast<double>(models_.size());
}

double CrossFitted::Score(const std::uint8_t* codes) const {
  double sum = 0;
  for (const BoostedTrees& model : models_) sum += model.Score(codes, rounds_);
  return sum / static_cast<double>(models_.size());
}

}  // namespace cohort
