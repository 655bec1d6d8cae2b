// How a few numbers have gone over the time of a run, in bounded memory: when there are too many points, neighbours become one,
// their mean.
#ifndef COHORT_LAUNCH_WATCH_HISTORY_H_
#define COHORT_LAUNCH_WATCH_HISTORY_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace cohort {

// One thread at a time.
class History {
 public:
  static constexpr std::size_t kMostPoints = 360;  // about the pixels of a chart
  static constexpr std::size_t kMostSeries = 256;  // further names are left out

  // `seconds` does not fall. What is not in `values`, or not finite, has no value at that time.
  void Add(double seconds, const std::map<std::string, double>& values);
  void Clear() { *this = History(); }

  const std::vector<double>& seconds() const { return seconds_; }
  // By name; each as long as seconds(), NaN where there is no value.
  const std::map<std::string, std::vector<double>>& series() const { return series_; }

 private:
  void Halve();

  std::size_t stride_ = 1;   // samples that become a point
  std::size_t in_last_ = 0;  // of them in the last point
  std::vector<double> seconds_;
  std::map<std::string, std::vector<double>> series_;
  std::map<std::string, std::size_t> weight_;  // by name: values in the last point
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_WATCH_HISTORY_H_
