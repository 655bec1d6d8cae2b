#include "launch/bench/switch_cost.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <string>

#include "common/random.h"
#include "launch/bench/child_processes.h"
#include "launch/bench/stopwatch.h"

namespace cohort::bench {
namespace {

constexpr std::size_t kUsualCache = 1 << 20;
constexpr std::size_t kLineBytes = 64;
// Half of the cache is measured: of all of it, pages that fall together would not stay there even alone.
constexpr std::size_t kPartsOfCache = 2;
constexpr int kRounds = 200;  // of a turn
constexpr std::chrono::seconds kTurnLimit{30};

std::size_t CacheBytes() {
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? static_cast<std::size_t>(bytes) : kUsualCache;
}

// Memory that is followed as a chain, line by line, in an order that no processor guesses.
class Chain {
 public:
  explicit Chain(std::size_t bytes) : lines_(bytes / kLineBytes) {
    std::vector<std::uint32_t> order(lines_.size());
    std::iota(order.begin(), order.end(), 0u);
    RandomStream random(1);
    for (std::size_t i = 1; i < order.size(); ++i) std::swap(order[i], order[random.Below(i + 1)]);
    for (std::size_t i = 0; i < order.size(); ++i) lines_[order[i]].next = order[(i + 1) % order.size()];
  }
  // CPU seconds of once around.
  double Follow() {
    const double start = ThreadCpuSeconds();
    for (std::size_t i = 0; i < lines_.size(); ++i) at_ = lines_[at_].next;
    asm volatile("" : : "r"(at_));  // is wanted
    return ThreadCpuSeconds() - start;
  }

 private:
  struct alignas(kLineBytes) Line {
    std::uint32_t next = 0;
  };
  std::vector<Line> lines_;
  std::uint32_t at_ = 0;
};

// A byte in it is leave to run. Both ends are in all processes.
class Baton {
 public:
  Baton() { ok_ = pipe(ends_.data()) == 0; }
  ~Baton() {
    if (ok_) close(ends_[0]), close(ends_[1]);
  }
  Baton(const Baton&) = delete;
  Baton& operator=(const Baton&) = delete;
  bool ok() const { return ok_; }
  bool Give() const { return write(ends_[1], "", 1) == 1; }
  bool Take() const {
    char byte = 0;
    return read(ends_[0], &byte, 1) == 1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
  bool ok_ = false;
};

Status StayOn(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<std::size_t>(core), &cores);
  if (sched_setaffinity(0, sizeof cores, &cores) == 0) return {};
  return {ErrorCode::kUnavailable, "core " + std::to_string(core) + ": " + std::strerror(errno)};
}

// The last core that this process may use: the first ones have more to do.
int LastCore() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 0;
  int last = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(static_cast<std::size_t>(core), &cores)) last = core;
  return last;
}

}  // namespace

Result<std::vector<double>> SwitchSeconds(std::uint32_t repetitions) {
  const int core = LastCore();
  const std::size_t bytes = CacheBytes();
  const Baton mine[2];
  if (!mine[0].ok() || !mine[1].ok())
    return Error(ErrorCode::kUnavailable, std::string("no pipe: ") + std::strerror(errno));
  ChildProcesses children;
  ChildProcesses::Child* all[2];
  for (std::size_t i = 0; i < 2; ++i) {
    COHORT_ASSIGN_OR_RETURN(
        all[i], children.Start("reading memory " + std::to_string(i), [&](Channel& channel) -> Status {
          COHORT_RETURN_IF_ERROR(StayOn(core));
          Chain chain(i == 0 ? bytes / kPartsOfCache : bytes);
          chain.Follow();
          // A turn: `together` or not; kRounds times the baton is taken and given to the next one.
          for (std::uint32_t turn = 0; turn < (i == 0 ? 2 : 1) * repetitions; ++turn) {
            std::uint8_t together = 0;
            COHORT_RETURN_IF_ERROR(channel.Receive(&together, sizeof together, kTurnLimit));
            const Baton& next = mine[together != 0 ? 1 - i : i];
            std::vector<double> rounds;
            for (int n = 0; n < kRounds; ++n) {
              if (!mine[i].Take()) return {ErrorCode::kUnavailable, "the other process is gone"};
              rounds.push_back(chain.Follow());
              if (!next.Give()) return {ErrorCode::kUnavailable, "the other process is gone"};
            }
            const double seconds = Quantile(std::move(rounds), 0.5);
            COHORT_RETURN_IF_ERROR(channel.Send(&seconds, sizeof seconds));
          }
          return {};
        }));
  }
  // The first process's rounds; whoever is there shares the turn.
  const auto turn = [&](std::size_t processes) -> Result<double> {
    const std::uint8_t together = processes > 1;
    for (std::size_t i = 0; i < processes; ++i)
      COHORT_RETURN_IF_ERROR(all[i]->channel->Send(&together, sizeof together));
    mine[0].Give();
    std::array<double, 2> seconds{};
    for (std::size_t i = 0; i < processes; ++i)
      COHORT_RETURN_IF_ERROR(all[i]->channel->Receive(&seconds[i], sizeof seconds[i], kTurnLimit));
    if (!mine[0].Take()) return Error(ErrorCode::kInternal, "the turn has no end");
    return seconds[0];
  };
  std::vector<double> costs;
  for (std::uint32_t n = 0; n < repetitions; ++n) {
    COHORT_ASSIGN_OR_RETURN(const double alone, turn(1));
    COHORT_ASSIGN_OR_RETURN(const double together, turn(2));
    costs.push_back(static_cast<double>(kPartsOfCache) * std::max(0.0, together - alone));
  }
  COHORT_RETURN_IF_ERROR(children.Join(kTurnLimit));
  return costs;
}

}  // namespace cohort::bench
