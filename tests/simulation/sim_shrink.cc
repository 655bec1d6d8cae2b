#include "tests/simulation/sim_shrink.h"

#include <algorithm>
#include <set>
#include <utility>

namespace cohort {
namespace {

constexpr std::size_t kMostFaults = 30, kMostEvents = 60;  // that are printed
constexpr std::size_t kTimeWidth = 13;                     // at the front of a line of a trace

class Shrinker {
 public:
  Shrinker(std::uint64_t seed, Scenario scenario, PlantedBug bug, std::uint64_t most_runs)
      : seed_(seed), scenario_(scenario), bug_(bug), most_runs_(most_runs) {}

  ShrunkRun Run() {
    SimOptions as_it_was{bug_, {}, {nullptr, &best_.schedule, nullptr}};
    best_.outcome = Simulate(seed_, scenario_, as_it_was);
    best_.faults_before = best_.schedule.faults.size();
    hangs_ = Hangs(best_.outcome);
    for (std::size_t before = ~std::size_t{0}; best_.schedule.faults.size() < before && !Enough();) {
      before = best_.schedule.faults.size();
      DropFaults();
      Lower(&Limits::epochs);
      Lower(&Limits::workers);
      Lower(&Limits::shards);
      Lower(&Limits::train_rows);
      Lower(&Limits::test_rows);
      DropDelays();
    }
    SimOptions last{bug_, best_.limits, {&best_.schedule, nullptr, nullptr}};
    last.script.trace = [this](const std::string& line) {
      if (line.find("Heartbeat") == std::string::npos) best_.trace.push_back(line);
    };
    best_.outcome = Simulate(seed_, scenario_, last);
    return std::move(best_);
  }

 private:
  static bool Hangs(const SimOutcome& outcome) { return outcome.violation.starts_with("not ended"); }
  bool Enough() const { return best_.runs >= most_runs_; }

  // Keeps what still fails: it hangs as before, or something is wrong as before.
  bool Try(FaultSchedule schedule, const Limits& limits) {
    if (Enough()) return false;
    ++best_.runs;
    SimOutcome outcome = Simulate(seed_, scenario_, {bug_, limits, {&schedule, nullptr, nullptr}});
    if (outcome.violation.empty() || Hangs(outcome) != hangs_) return false;
    best_.schedule = std::move(schedule);
    best_.limits = limits;
    best_.outcome = std::move(outcome);
    return true;
  }

  // Ever smaller pieces of the list.
  void DropFaults() {
    for (std::size_t piece = best_.schedule.faults.size(); piece > 0; piece /= 2) {
      for (std::size_t begin = 0; begin < best_.schedule.faults.size() && !Enough();) {
        FaultSchedule fewer = best_.schedule;
        const auto first = fewer.faults.begin() + static_cast<std::ptrdiff_t>(begin);
        const std::size_t length = std::min(piece, fewer.faults.size() - begin);
        fewer.faults.erase(first, first + static_cast<std::ptrdiff_t>(length));
        if (!Try(std::move(fewer), best_.limits)) begin += piece;
      }
    }
  }

  // The lowest power of two with which it still fails.
  template <typename Number>
  void Lower(Number Limits::*limit) {
    constexpr Number kMost = 4096;  // more than any draw of these has much of
    for (Number next = 1; next < std::min(best_.limits.*limit, kMost) && !Enough(); next *= 2) {
      Limits lower = best_.limits;
      lower.*limit = next;
      if (Try(best_.schedule, lower)) return;
    }
  }

  // All messages as fast as they can be.
  void DropDelays() {
    FaultSchedule fast = best_.schedule;
    fast.delays.clear();
    Try(std::move(fast), best_.limits);
  }

  const std::uint64_t seed_;
  const Scenario scenario_;
  const PlantedBug bug_;
  const std::uint64_t most_runs_;
  bool hangs_ = false;
  ShrunkRun best_;
};

}  // namespace

ShrunkRun Shrink(std::uint64_t seed, Scenario scenario, PlantedBug bug, std::uint64_t most_runs) {
  return Shrinker(seed, scenario, bug, most_runs).Run();
}

std::string ShrunkRun::Describe() const {
  std::string text = "shrunk from " + std::to_string(faults_before) + " faults to " +
                     std::to_string(schedule.faults.size()) + " in " + std::to_string(runs) +
                     " runs: " + outcome.shape + "\n";
  for (std::size_t i = 0; i < std::min(kMostFaults, schedule.faults.size()); ++i)
    text += "  fault: " + schedule.faults[i].Describe() + "\n";
  if (schedule.faults.size() > kMostFaults) text += "  and more\n";
  // What faults did, wherever that was, the first time each; and what came last.
  std::vector<std::size_t> shown;
  std::set<std::string> seen;
  const std::size_t last = trace.size() - std::min(trace.size(), kMostEvents * 2 / 3);
  for (std::size_t i = 0; i < last; ++i) {
    const std::size_t what = std::min(kTimeWidth, trace[i].size());
    if (trace[i].find(" deliver ") == std::string::npos && seen.insert(trace[i].substr(what)).second)
      shown.push_back(i);
  }
  if (shown.size() > kMostEvents / 3) shown.erase(shown.begin(), shown.end() - kMostEvents / 3);
  for (std::size_t i = last; i < trace.size(); ++i) shown.push_back(i);
  std::size_t next = 0;
  for (const std::size_t i : shown) {
    if (i > next) text += "           ... " + std::to_string(i - next) + " events\n";
    text += trace[i] + "\n";
    next = i + 1;
  }
  return text + "violation: " + outcome.violation + "\n";
}

}  // namespace cohort
