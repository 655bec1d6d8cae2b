// The keys of a benchmark: rows 0 .. rows-1, drawn uniformly or by Zipf's law, cut into batches as a worker
// would pull them.
#ifndef COHORT_LAUNCH_BENCH_KEYS_H_
#define COHORT_LAUNCH_BENCH_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/buffer.h"
#include "common/random.h"
#include "common/types.h"
#include "launch/bench/options.h"

namespace cohort::bench {

// Draws ranks 0 .. n-1, rank k with probability proportional to (k + 1)^-s: rejection-inversion (Hoermann,
// Derflinger 1996), the same time for every n. REQUIRES: n > 0, s > 0.
class ZipfSampler {
 public:
  ZipfSampler(std::uint64_t n, double s);
  std::uint64_t Draw(RandomStream& random) const;

 private:
  double Integral(double x) const;         // of the density, from 1
  double InverseIntegral(double y) const;  // its inverse
  double n_, s_, first_, last_, accept_;
};

// Batches made beforehand, so that drawing is not measured. One thread.
class KeyBatches {
 public:
  // `stream` keeps the workers' draws apart. Uniform batches hold options.batch distinct keys; batches by
  // Zipf's law the distinct ones of that many draws.
  KeyBatches(const Options& options, std::uint64_t stream);

  // Key[n], distinct, ascending by ring position. Batches repeat after a while: together they are options.keys_drawn
  // draws, or, if uniform, at most as many as the table has rows.
  const Buffer& operator[](std::uint64_t number) const { return batches_[number % batches_.size()]; }
  std::size_t size() const { return batches_.size(); }

 private:
  std::vector<Buffer> batches_;
};

// Every row once: part `number` of those that worker `worker` has to make, at most options.batch of them,
// ascending by ring position; empty at the end. Rows lie in the table in the order in which they were made,
// so neighbours of a batch are no neighbours there.
Buffer FillBatch(const Options& options, std::uint32_t worker, std::uint64_t number);
// How many parts the worker with the most has.
std::uint64_t FillBatches(const Options& options);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_KEYS_H_
