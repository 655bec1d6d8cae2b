// Report: what a benchmark found: the figures of each repetition, their medians, and the options.
#ifndef COHORT_LAUNCH_BENCH_REPORT_H_
#define COHORT_LAUNCH_BENCH_REPORT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace cohort::bench {

// Takes a line that says what is being done now.
using Progress = std::function<void(const std::string&)>;

// In the order in which they are to be shown. Names carry the unit: "p50_us".
using Figures = std::vector<std::pair<std::string, double>>;
using Settings = std::vector<std::pair<std::string, std::variant<std::uint64_t, double, std::string>>>;

class Report {
 public:
  Report(std::string benchmark, Settings options)
      : benchmark_(std::move(benchmark)), options_(std::move(options)) {}

  // The figures of one repetition: the same names each time.
  void Add(Figures repetition) { repetitions_.push_back(std::move(repetition)); }
  // What is measured once.
  void Set(const std::string& name, double value) { single_.emplace_back(name, value); }

  // The median over the repetitions; the mean of the middle two of an even number. REQUIRES: the name exists.
  double Median(const std::string& name) const;

  // A table: median, lowest and highest value of each figure.
  std::string ToText() const;
  // One object: benchmark, options, the medians by name, and `repetitions`, the single values.
  std::string ToJson() const;

 private:
  std::vector<double> Values(const std::string& name) const;  // ascending

  std::string benchmark_;
  Settings options_;
  std::vector<Figures> repetitions_;
  Figures single_;
};

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_REPORT_H_
