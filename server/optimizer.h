// The optimizers: arithmetic on one row and its gradient. Nothing else; where rows live is embedding_table.h.
//
// A row is `dim` weights and StateFloats(kind, dim) floats of state:
//
//   kind             state after the weights                     a step with gradient g, learning rate r (element-wise)
//   sgd              -                                           w -= r g
//   momentum         v[dim], starts at 0                         v = mu v + g;  w -= r v                        [1]
//   adagrad          a[dim], starts at initial_accumulator       a += g^2;  w -= r g / (sqrt(a) + eps)          [2]
//   rowwise_adagrad  a[1], starts at initial_accumulator         a += mean(g^2);  w -= r g / (sqrt(a) + eps)    [3]
//   adam             m[dim], v[dim], t[1], start at 0            t += 1;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
//                                                                w -= r/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps)  [4]
//   ftrl             z[dim], n[dim] (starts at                   s = (sqrt(n+g^2) - sqrt(n))/r;  z += g - s w;  n += g^2;
//                    initial_accumulator)                        w = |z| <= l1 ? 0
//                                                                  : (sign(z) l1 - z) / ((beta + sqrt(n))/r + l2)   [5]
//
// With l2 (all but ftrl; ftrl has its own), g is the gradient pushed plus l2 w: the objective has l2 / 2 |w|^2 added once for
// every row that is updated.
//
// A decoupled weight decay d (all but ftrl) comes first: w -= r d w (Loshchilov, Hutter: "Decoupled Weight Decay
// Regularization", ICLR 2019). r is the learning rate times the share that the caller's schedule gives.
//
// Steps are lazy: a row whose key is not in the batch is not touched, so momentum and Adam's averages decay
// per update of the row, and Adam's t counts the updates of the row (a float, exact up to 2^24, where it
// stays: the correction has been 1 for long). FTRL computes w from z, so z starts at the value that gives the
// row's initial weights.
//
// [1] Polyak 1964, in the form of Sutskever et al. 2013 with the rate outside v. [2] Duchi, Hazan, Singer
// 2011. [3] one accumulator per row: Mudigere et al. 2022 (arXiv:2104.05158). [4] Kingma, Ba 2015,
// Algorithm 1. [5] McMahan et al. 2013, Algorithm 1 (FTRL-Proximal, per coordinate).
//
// All arithmetic is in float, element by element in the same order on every machine: the bits do not depend
// on alignment, threads or shards.
#ifndef COHORT_SERVER_OPTIMIZER_H_
#define COHORT_SERVER_OPTIMIZER_H_

#include <array>
#include <cstdint>

#include "common/table_spec.h"

namespace cohort {

// Immutable after construction; any thread.
class Optimizer {
 public:
  Optimizer(const OptimizerSpec& spec, std::uint32_t dim);

  std::uint32_t dim() const { return dim_; }
  std::uint32_t state_floats() const { return state_floats_; }
  std::uint32_t row_floats() const { return dim_ + state_floats_; }

  // Writes the state of a fresh row with these weights (dim values).
  void InitState(const float* weights, float* state) const;
  // One step, at `share` of the learning rate. `gradient` and `weights` have dim values, `state` state_floats; none
  // overlaps another. REQUIRES: ftrl has share 1.
  void Step(const float* gradient, float* weights, float* state, float share = 1.0f) const;
  // The same for a row whose state stands right behind its weights.
  void InitState(float* row) const { InitState(row, row + dim_); }
  void Step(const float* gradient, float* row, float share = 1.0f) const {
    Step(gradient, row, row + dim_, share);
  }

 private:
  // Adam's r/(1-b1^t) and 1/sqrt(1-b2^t).
  struct Correction {
    float rate = 0;
    float scale = 0;
  };
  Correction CorrectionAt(std::uint32_t step) const;
  Correction ComputeCorrection(std::uint32_t step) const;

  OptimizerSpec spec_;
  std::uint32_t dim_;
  std::uint32_t state_floats_;
  std::array<Correction, 1024> corrections_{};  // the first steps' (adam); later ones are computed
};

}  // namespace cohort

#endif  // COHORT_SERVER_OPTIMIZER_H_
