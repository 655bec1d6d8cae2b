// Draws from distributions, and the exponential and logarithm that they need, from additions, multiplications, divisions and square
// roots alone: IEEE 754 fixes the bits of those, so a seed draws the same shop on every machine, whatever its mathematical library.
#ifndef COHORT_LIFECYCLE_DRAWS_H_
#define COHORT_LIFECYCLE_DRAWS_H_

#include <span>

#include "common/random.h"

namespace cohort {

// Within 2e-15 of the true value, relatively. REQUIRES: |x| < 700.
double PlainExp(double x);
// Within 2e-15 (absolutely near 1, else relatively). REQUIRES: 0 < x < infinity, x not denormal.
double PlainLog(double x);
// base^exponent. REQUIRES: base > 0.
inline double PlainPower(double base, double exponent) { return PlainExp(exponent * PlainLog(base)); }

// Density proportional to exp(-x), x > 0.
double DrawExponential(RandomStream* random);
// The polar method (Marsaglia and Bray 1964), one of the pair.
double DrawNormal(RandomStream* random);
// Density proportional to x^(shape - 1) exp(-x) (Marsaglia and Tsang 2000). REQUIRES: shape > 0.
double DrawGamma(double shape, RandomStream* random);
// Density proportional to x^(a - 1) (1 - x)^(b - 1).
double DrawBeta(double a, double b, RandomStream* random);
// Shares that sum to 1, with weights `weights` > 0.
void DrawDirichlet(std::span<const double> weights, RandomStream* random, std::span<double> shares);
// By multiplying uniform numbers (Knuth): for small means.
int DrawPoisson(double mean, RandomStream* random);
// An index, with probabilities `shares` that sum to 1.
int DrawIndex(std::span<const double> shares, RandomStream* random);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_DRAWS_H_
