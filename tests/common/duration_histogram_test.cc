#include "common/duration_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/random.h"

namespace cohort::duration_histogram_test {
namespace {

TEST(DurationHistogram, QuantilesAreThoseOfTheSortedDurationsWithinFivePercent) {
  RandomStream random(3, 1);
  DurationHistogram histogram;
  std::vector<double> all;
  for (int i = 0; i < 5000; ++i) {
    all.push_back(1e-6 * std::exp(random.Uniform() * 18));  // 1 us to 65 s
    histogram.Add(all.back());
  }
  std::sort(all.begin(), all.end());
  for (const double q : {0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const double place = std::max(1.0, std::ceil(q * 5000));
    EXPECT_NEAR(DurationHistogram::Quantile(histogram.counts(), q) / all[static_cast<std::size_t>(place) - 1],
                1, 0.05)
        << q;
  }
}

TEST(DurationHistogram, TheShortestTheLongestAndNone) {
  EXPECT_TRUE(std::isnan(DurationHistogram::Quantile({}, 0.5)));
  EXPECT_TRUE(std::isnan(DurationHistogram::Quantile(std::vector<std::uint64_t>{0, 0}, 0.5)));
  DurationHistogram histogram;
  histogram.Add(0);
  EXPECT_NEAR(DurationHistogram::Quantile(histogram.counts(), 0.5), 1e-6, 1e-7);
  histogram.Add(1e9);
  EXPECT_NEAR(DurationHistogram::Quantile(histogram.counts(), 1), 1000, 100);
}

}  // namespace
}  // namespace cohort::duration_histogram_test
