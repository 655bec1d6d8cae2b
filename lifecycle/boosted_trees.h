// BoostedTrees: gradient boosting of shallow regression trees on binned inputs (Friedman 2001; Newton's steps of the leaves: Chen &
// Guestrin 2016, eq. 5), and its cross-fitted form: every row is predicted by a model that has not seen its fold.
//
// The score is offset + intercept + sum of the trees; the expected target is its inverse link. The intercept is fitted without a penalty, each
// leaf with one. Numbers are cut once into at most kMostBins bins by quantiles; a missing one (NaN) is a bin of its own, below all
// others. A category is a bin. A split parts the bins up to an edge from the others, or one category from all others; it is the one with
// the largest gain (equal gains: the first column, the lowest bin). A tree takes time in proportion to rows x columns: the sums of
// all bins of a node are taken in one pass over its rows, and those of the larger of two children are what the smaller one leaves of their
// parent's. Nothing is drawn, one thread: equal inputs give equal bits.
#ifndef COHORT_LIFECYCLE_BOOSTED_TREES_H_
#define COHORT_LIFECYCLE_BOOSTED_TREES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace cohort {

// How a score becomes an expectation, and the loss that goes with it: identity, squares; logit, cross-entropy; log, the quasi-likelihood
// of a variance proportional to the mean (Wedderburn 1974), which also takes targets below 0.
enum class Link : std::uint8_t { kIdentity, kLogit, kLog };
double InverseLink(Link link, double score);
// Less is better; equal to the negative (quasi-)log-likelihood but for terms of the target alone.
double LossOf(Link link, double score, double target);

// Inputs cut into bins: (rows, columns), row-major.
class BinnedInputs {
 public:
  static constexpr int kMostBins = 64;
  static constexpr int kMostCategories = kMostBins - 1;
  // `values`: (rows, width), row-major; edges are quantiles of these rows. `is_categorical`: by column, 1 where the values are numbers of
  // categories, whole, from 0 and below kMostCategories; or empty: none is.
  BinnedInputs(std::span<const float> values, std::size_t width,
               std::vector<std::uint8_t> is_categorical = {});
  std::size_t rows() const { return rows_; }
  std::size_t width() const { return edges_.size(); }
  bool categorical(std::size_t column) const { return !categorical_.empty() && categorical_[column] != 0; }
  const std::uint8_t* row(std::size_t row) const { return codes_.data() + row * width(); }
  // By column, the place of its first bin where the bins of all columns lie side by side; one more: their number.
  const std::vector<std::size_t>& first_bins() const { return first_bins_; }
  // The bins of other rows, (rows, width), row-major.
  std::vector<std::uint8_t> CodesOf(std::span<const float> values) const;

 private:
  std::uint8_t CodeOf(std::size_t column, float value) const;

  std::size_t rows_;
  std::vector<std::uint8_t> categorical_;
  std::vector<std::vector<float>> edges_;  // by column, ascending: bin 1 + how many are <= value
  std::vector<std::uint8_t> codes_;
  std::vector<std::size_t> first_bins_;
};

struct BoostOptions {
  int rounds = 200;     // at most; CrossFit takes the number with the least loss out of fold, which may be 0
  int depth = 3;        // splits above a leaf
  double rate = 0.1;    // of each tree
  double leaf_l2 = 1;   // in units of the mean information of a row: so many rows of nothing in each leaf
  int least_rows = 50;  // of a leaf
  int patience = 15;    // rounds without a lower held-out loss, after which no more are grown
};

class BoostedTrees {
 public:
  // Fits on `rows` of the inputs. `targets`, `offsets` by row of the inputs (offsets: or empty, all 0). `held_out` rows are scored after
  // each round: `losses`, when given, gets their summed losses for 0, 1, ... rounds. REQUIRES: logit: targets in [0, 1].
  static BoostedTrees Fit(const BinnedInputs& inputs, Link link, std::span<const std::uint32_t> rows,
                          std::span<const float> targets, std::span<const double> offsets,
                          const BoostOptions& options, std::span<const std::uint32_t> held_out = {},
                          std::vector<double>* losses = nullptr);

  double intercept() const { return intercept_; }
  std::size_t rounds() const { return firsts_.size(); }
  // Forgets all trees but the first ones.
  void KeepRounds(std::size_t rounds);
  // Score without the offset after `rounds`, of a row of CodesOf.
  double Score(const std::uint8_t* codes, std::size_t rounds) const;
  // The score after all rounds where some columns are not known (`unknown`: by column, 1): a tree then goes both ways, and each counts for
  // as many as went there of the rows that it was fitted on (fractional cases: Quinlan, C4.5, 1993). Adds to `losses`, by column,
  // what the score loses when that one is not known either.
  double Explain(const std::uint8_t* codes, std::span<const std::uint8_t> unknown, double* losses) const;

 private:
  static constexpr std::uint32_t kLeaf = ~std::uint32_t{0};
  struct Node {
    std::uint32_t column = kLeaf;
    std::uint32_t child = 0;  // of rows in the bins from `first` to first + more; that of the others follows
    std::uint8_t first = 0, more = 0;
    double value = 0;  // of a leaf what it adds; else the share of the rows that went to `child`

    bool Takes(std::uint8_t code) const { return static_cast<std::uint8_t>(code - first) <= more; }
  };
  friend class TreeGrower;
  // Of a column, on the way down a tree.
  enum : std::uint8_t { kKnown = 0, kUnknown = 1, kAsked = 2 };
  double Leaf(std::uint32_t root, const std::uint8_t* codes) const;
  double Mean(std::uint32_t node, const std::uint8_t* codes, const std::uint8_t* known) const;
  double Walk(std::uint32_t node, double weight, const std::uint8_t* codes, std::uint8_t* known,
              double* losses) const;

  double intercept_ = 0;
  std::vector<Node> nodes_;
  std::vector<std::uint32_t> firsts_;  // by round: the root
};

// A model per fold of the rows, of the number of rounds that predicts best out of fold.
class CrossFitted {
 public:
  // `folds`: by row of the inputs, 0 .. count - 1. Rows not in `rows` are predicted by the fold that they are of, too.
  static CrossFitted Fit(const BinnedInputs& inputs, Link link, std::span<const std::uint32_t> rows,
                         std::span<const float> targets, std::span<const double> offsets,
                         std::span<const std::uint8_t> folds, int count, const BoostOptions& options);

  // By row of the inputs, without offset: of the model that has not seen the row's fold.
  const std::vector<double>& out_of_fold() const { return out_of_fold_; }
  double OutOfFoldIntercept(std::uint8_t fold) const { return models_[fold].intercept(); }
  double Intercept() const;
  std::size_t rounds() const { return rounds_; }
  // Mean score of the models for a row of CodesOf.
  double Score(const std::uint8_t* codes) const;

 private:
  std::vector<BoostedTrees> models_;
  std::size_t rounds_ = 0;
  std::vector<double> out_of_fold_;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_BOOSTED_TREES_H_
