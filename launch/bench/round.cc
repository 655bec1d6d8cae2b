#include "launch/bench/round.h"

#include <algorithm>
#include <cmath>
#include <thread>

namespace cohort::bench {
namespace {

// Workers look for orders every few milliseconds; by then all have theirs.
constexpr auto kStartsIn = std::chrono::milliseconds(30);
constexpr Duration kLongestRound = std::chrono::seconds(600);

std::int64_t NowNs() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

double CpuSeconds(const std::vector<ChildProcesses::Child*>& children) {
  double sum = 0;
  for (const auto* child : children) sum += child->CpuSeconds();
  return sum;
}

struct ReportHead {
  std::int64_t end_ns = 0;
  std::uint64_t rows = 0, bytes = 0, pulled_bytes = 0, cached_rows = 0, latencies = 0;
};

Status ReceiveReport(Channel& channel, WorkerReport* report) {
  ReportHead head;
  COHORT_RETURN_IF_ERROR(channel.Receive(&head, sizeof(head), kLongestRound));
  report->end_ns = head.end_ns;
  report->rows = head.rows;
  report->bytes = head.bytes;
  report->pulled_bytes = head.pulled_bytes;
  report->cached_rows = head.cached_rows;
  report->latency_us.resize(head.latencies);
  return channel.Receive(report->latency_us.data(), head.latencies * sizeof(float), kLongestRound);
}

}  // namespace

Work WorkOf(Operation operation) {
  switch (operation) {
    case Operation::kPull:
      return Work::kPull;
    case Operation::kPush:
      return Work::kPush;
    case Operation::kPullPush:
      return Work::kPullPush;
  }
  return Work::kStop;
}

Status SendReport(Channel& channel, const WorkerReport& report) {
  const ReportHead head{report.end_ns,       report.rows,        report.bytes,
                        report.pulled_bytes, report.cached_rows, report.latency_us.size()};
  COHORT_RETURN_IF_ERROR(channel.Send(&head, sizeof(head)));
  return channel.Send(report.latency_us.data(), report.latency_us.size() * sizeof(float));
}

Result<RoundOrder> ReceiveOrder(Channel& channel) {
  RoundOrder order;
  COHORT_RETURN_IF_ERROR(channel.Receive(&order, sizeof(order), kLongestRound));
  return order;
}

void WaitForStart(const RoundOrder& order) {
  const std::int64_t wait = order.start_ns - NowNs();
  if (wait > 0) std::this_thread::sleep_for(std::chrono::nanoseconds(wait));
}

void Round::Append(const Round& other) {
  seconds += other.seconds;
  rows += other.rows;
  bytes += other.bytes;
  pulled_bytes += other.pulled_bytes;
  cached_rows += other.cached_rows;
  server_cpu_seconds += other.server_cpu_seconds;
  worker_cpu_seconds += other.worker_cpu_seconds;
  const auto middle = latency_us.insert(latency_us.end(), other.latency_us.begin(), other.latency_us.end());
  std::inplace_merge(latency_us.begin(), middle, latency_us.end());
}

double Round::Latency(double share) const {
  if (latency_us.empty()) return 0;
  const auto last = static_cast<double>(latency_us.size() - 1);
  return latency_us[static_cast<std::size_t>(std::llround(share * last))];
}

Result<RunningRound> BeginRound(ChildProcesses& all, RoundProcesses processes, Work work,
                                std::uint64_t batches) {
  RunningRound running{std::move(processes), NowNs() + kStartsIn / std::chrono::nanoseconds(1), 0, 0};
  running.server_cpu_seconds = CpuSeconds(running.processes.servers);
  running.worker_cpu_seconds = CpuSeconds(running.processes.workers);
  const RoundOrder order{work, batches, running.start_ns};
  for (auto* worker : running.processes.workers) {
    if (Status status = worker->channel->Send(&order, sizeof(order)); !status.ok())
      return tl::unexpected(all.Explain(*worker, status));
  }
  return running;
}

Result<Round> EndRound(ChildProcesses& all, const RunningRound& running) {
  Round round;
  std::int64_t end = running.start_ns + 1;
  for (auto* worker : running.processes.workers) {
    WorkerReport report;
    if (Status status = ReceiveReport(*worker->channel, &report); !status.ok())
      return tl::unexpected(all.Explain(*worker, status));
    end = std::max(end, report.end_ns);
    round.rows += report.rows;
    round.bytes += report.bytes;
    round.pulled_bytes += report.pulled_bytes;
    round.cached_rows += report.cached_rows;
    round.latency_us.insert(round.latency_us.end(), report.latency_us.begin(), report.latency_us.end());
  }
  round.server_cpu_seconds = CpuSeconds(running.processes.servers) - running.server_cpu_seconds;
  round.worker_cpu_seconds = CpuSeconds(running.processes.workers) - running.worker_cpu_seconds;
  round.seconds = static_cast<double>(end - running.start_ns) * 1e-9;
  std::sort(round.latency_us.begin(), round.latency_us.end());
  return round;
}

Result<Round> RunRound(ChildProcesses& all, const RoundProcesses& processes, Work work,
                       std::uint64_t batches) {
  COHORT_ASSIGN_OR_RETURN(const RunningRound running, BeginRound(all, processes, work, batches));
  return EndRound(all, running);
}

Status SendStop(const RoundProcesses& processes) {
  const RoundOrder stop;
  for (auto* worker : processes.workers) {
    COHORT_RETURN_IF_ERROR(worker->channel->Send(&stop, sizeof(stop)));
  }
  return {};
}

Result<std::uint64_t> Calibrate(double seconds, const std::function<Result<Round>(std::uint64_t)>& run) {
  constexpr double kLongEnough = 0.1;
  for (std::uint64_t batches = 8;; batches *= 4) {
    COHORT_ASSIGN_OR_RETURN(const Round round, run(batches));
    if (round.seconds < std::min(kLongEnough, seconds)) continue;
    return static_cast<std::uint64_t>(
        std::max(1.0, std::round(static_cast<double>(batches) * seconds / round.seconds)));
  }
}

}  // namespace cohort::bench
