// Gradient clipping by norm: a gradient g longer than `limit` becomes g limit / |g|_2.
// Pascanu, Mikolov, Bengio: "On the difficulty of training recurrent neural networks", ICML 2013, algorithm 1.
//
// The trainer clips slice by slice (docs/architecture.md, "Same bits"): the gradient of a slice with n of the N rows of its
// global batch, dense weights and embedding rows together, is held at clip_norm n / N. By the triangle inequality the
// batch's gradient, their sum, is then at most clip_norm long; where a batch is one slice (ssp, asp, slices = 1) it is
// clipped by its own norm exactly.
#ifndef COHORT_WORKER_GRADIENT_CLIP_H_
#define COHORT_WORKER_GRADIENT_CLIP_H_

#include <span>

namespace cohort {

// Scales the pieces of one gradient, the dense weights' and each table's, to a joint norm of `limit` (up to rounding) if it
// is larger; says whether it did. A norm that is not finite stays: servers refuse such values and count them.
// The bits depend on the values and their order alone: a float's square is exact in double, and the sum's order is fixed.
// REQUIRES: limit > 0.
bool ClipNorm(double limit, std::span<const std::span<float>> pieces);

}  // namespace cohort

#endif  // COHORT_WORKER_GRADIENT_CLIP_H_
