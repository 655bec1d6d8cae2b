#include "launch/scale/run_figures.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace cohort::scale {
namespace {

// The target is met when the mean loss of this share of an epoch is as low: that of a second alone is too noisy.
constexpr double kTargetShare = 0.1;

bool IsServer(const std::string& node) { return node.starts_with("shard") || node.starts_with("backup"); }

// What all processes of a role have used and done so far; one that has died still counts.
struct Used {
  double worker_cpu = 0, server_cpu = 0, worker_bytes = 0, server_bytes = 0;
  double samples =
      0;  // by the workers' own counters, which come with their CPU time; done twice: counted twice
  Used& operator+=(const Used& other) {
    worker_cpu += other.worker_cpu, server_cpu += other.server_cpu;
    worker_bytes += other.worker_bytes, server_bytes += other.server_bytes;
    samples += other.samples;
    return *this;
  }
};
Used operator-(const Used& a, const Used& b) {
  return {a.worker_cpu - b.worker_cpu, a.server_cpu - b.server_cpu, a.worker_bytes - b.worker_bytes,
          a.server_bytes - b.server_bytes, a.samples - b.samples};
}

class Usage {
 public:
  // Counters only grow; the shards of a server are one process, whose CPU time each of them tells.
  Used After(const RunSample& sample) {
    for (const MemberPoint& member : sample.members) {
      const double pid = member.Value("pid");
      const bool server = IsServer(member.node);
      Count(member.Value("busy_seconds"), &cpu_[pid], server ? &used_.server_cpu : &used_.worker_cpu);
      Node& node = nodes_[{pid, member.node}];
      Count(member.Value("bytes_sent"), &node.bytes, server ? &used_.server_bytes : &used_.worker_bytes);
      Count(member.Value("samples"), &node.samples, &used_.samples);
    }
    return used_;
  }

 private:
  struct Node {
    double bytes = 0, samples = 0;
  };
  static void Count(double now, double* newest, double* sum) {
    if (!(now > *newest)) return;
    *sum += now - *newest;
    *newest = now;
  }

  Used used_;
  std::map<double, double> cpu_;                          // by pid
  std::map<std::pair<double, std::string>, Node> nodes_;  // by pid and node
};

// Over the measured epochs, as far as lines of metrics.jsonl stand within them.
void AddMeasured(const RunData& run, double first_epoch, double end_epoch, bool recovered, Figures* figures) {
  Usage usage;
  Used used, before;
  double rows = 0;
  const RunSample* last = nullptr;  // the line before, if it is one of training in these epochs
  for (const RunSample& sample : run.samples) {
    const Used now = usage.After(sample);
    const double epoch = sample.Value("epoch");
    const bool counts = sample.kind == "train" && epoch >= first_epoch && epoch < end_epoch;
    // What lies between two lines may be another phase's.
    if (counts && last != nullptr && sample.Value("phase") <= last->Value("phase") + 1) used += now - before;
    if (counts) rows = sample.Value("phase_rows");
    before = now;
    last = counts ? &sample : nullptr;
  }
  if (!(used.samples > 0)) return;
  // Samples that were done again after a death are cost, and no progress.
  const double again = recovered ? std::max(before.samples / (rows * end_epoch), 1.0) : 1.0;
  const double million = used.samples / again / 1e6;
  (*figures)["worker_cpu_s_per_msample"] = used.worker_cpu / million;
  (*figures)["server_cpu_s_per_msample"] = used.server_cpu / million;
  (*figures)["worker_bytes_per_msample"] = used.worker_bytes / million;
  (*figures)["server_bytes_per_msample"] = used.server_bytes / million;
}

// Seconds of training until a line was written: of its epoch, as large a part as of the samples.
double TrainedUntil(const RunData& run, const RunSample& sample) {
  double seconds = 0;
  for (const RunEpoch& epoch : run.epochs) {
    if (epoch.epoch < sample.Value("epoch")) seconds += epoch.seconds;
    if (epoch.epoch == sample.Value("epoch"))
      seconds += epoch.seconds * std::min(sample.Value("phase_samples") / sample.Value("phase_rows"), 1.0);
  }
  return seconds;
}

// Samples of all epochs so far.
double ProgressOf(const RunSample& sample) {
  return sample.Value("epoch") * sample.Value("phase_rows") + sample.Value("phase_samples");
}

// From the beginning of training; NaN: never.
double SecondsToLoss(const RunData& run, const Target& target) {
  struct Piece {
    double samples, loss;
  };
  std::vector<Piece> pieces;  // between two lines
  double progress = 0;
  for (const RunSample& sample : run.samples) {
    const auto loss = sample.loss.find(target.task);
    const double more = ProgressOf(sample) - progress;
    if (sample.kind != "train" || !(more > 0)) continue;
    progress += more;
    if (loss == sample.loss.end() || !std::isfinite(loss->second)) continue;
    pieces.push_back({more, loss->second});
    const double enough = kTargetShare * sample.Value("phase_rows");
    double samples = 0, sum = 0;
    for (auto piece = pieces.rbegin(); piece != pieces.rend() && samples < enough; ++piece)
      samples += piece->samples, sum += piece->samples * piece->loss;
    if (samples >= enough && sum / samples <= target.loss) return TrainedUntil(run, sample);
  }
  return std::nan("");
}

}  // namespace

Figures FiguresOf(const RunData& run, const Experiment& experiment) {
  Figures figures;
  const double first = experiment.warm_epochs, end = first + experiment.epochs;
  double seconds = 0, samples = 0, all = 0;
  for (const RunEpoch& epoch : run.epochs) {
    all += epoch.samples;
    if (epoch.epoch < first || epoch.epoch >= end) continue;
    samples += epoch.samples, seconds += epoch.seconds;
    double loss = 0;
    for (const auto& [task, value] : epoch.loss) loss += value;
    figures["loss"] = loss;
  }
  if (seconds > 0) {
    figures["seconds"] = seconds;
    figures["samples_per_second"] = samples / seconds;
  }
  figures["recoveries"] = 0;
  for (const char* kind : {"workers_replaced", "failovers", "takeovers", "restarts"}) {
    if (const double count = run.Number(std::string("recoveries.") + kind); std::isfinite(count))
      figures["recoveries"] += count;
  }
  AddMeasured(run, first, end, figures["recoveries"] > 0, &figures);

  double cpu = 0;
  const std::string cpu_names = "cpu_seconds.", memory_names = "peak_memory_bytes.";
  for (const auto& [name, value] : run.numbers) {
    if (name.starts_with(cpu_names)) cpu += value;
    for (const char* role : {"worker", "server"}) {
      if (!name.starts_with(memory_names + role)) continue;
      double& most = figures[std::string(role) + "_memory_bytes"];
      most = std::max(most, value);
    }
  }
  if (all > 0) {
    figures["run_cpu_s_per_msample"] = cpu / all * 1e6;
    figures["scheduler_cpu_s_per_msample"] = run.Number(cpu_names + "scheduler") / all * 1e6;
  }
  if (figures.contains("worker_cpu_s_per_msample")) {
    figures["cpu_s_per_msample"] = figures["worker_cpu_s_per_msample"] + figures["server_cpu_s_per_msample"] +
                                   figures["scheduler_cpu_s_per_msample"];
  }
  if (experiment.target) {
    if (const double time = SecondsToLoss(run, *experiment.target); std::isfinite(time))
      figures["seconds_to_loss"] = time;
  }
  figures["lost_pushes"] = run.Number("pushes.lost");
  if (const double retries = run.Number("counts.requests_sent_again"); std::isfinite(retries))
    figures["retries"] = retries;
  return figures;
}

}  // namespace cohort::scale
