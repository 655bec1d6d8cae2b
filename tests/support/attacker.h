// Attacker: a process that calls at a run's ports with what is no business of theirs, in eight ways, and takes a tenth of a core for it.
#ifndef COHORT_TESTS_SUPPORT_ATTACKER_H_
#define COHORT_TESTS_SUPPORT_ATTACKER_H_

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <deque>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/tcp_relay.h"

namespace cohort::testing {

enum class Attack { kScan, kNoise, kNoKey, kWrongKey, kReplay, kOversized, kSlow, kFlood };
inline constexpr std::array<const char*, 8> kAttackNames = {
    "port scan", "random bytes", "no key", "wrong key", "replay", "oversized", "a byte a second", "silence"};

class Attacker {
 public:
  static constexpr double kShare = 0.1;  // of a core
  static constexpr std::size_t kSlowOnes = 50;

  struct Options {
    std::vector<std::uint16_t> ports;                               // of the run
    std::vector<std::string> no_key, wrong_key, replay, oversized;  // what is said, one of them a connection
    std::size_t flood = 0;                                          // silent connections, open at once
    std::uint16_t first_port = 1, last_port = 65535;  // that are scanned, besides those of the run
  };

  // REQUIRES: the calling process has one thread.
  explicit Attacker(Options options)
      : options_(std::move(options)),
        shared_(new (::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                            0)) Shared) {
    process_ = ::fork();
    if (process_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Live();
    ::_exit(0);
  }
  ~Attacker() {
    End();
    ::munmap(shared_, sizeof(Shared));
  }
  Attacker(const Attacker&) = delete;
  Attacker& operator=(const Attacker&) = delete;

  void Begin() { shared_->attacks = true; }
  void Pause() { shared_->attacks = false; }  // and all connections are closed
  void End() {
    if (process_ <= 0) return;
    shared_->over = true;
    int status = 0;
    rusage usage{};
    ::wait4(process_, &status, 0, &usage);
    ended_well_ = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    process_ = 0;
  }
  // Connections that came about, to ports of the run.
  std::uint64_t made(Attack kind) const { return shared_->made[static_cast<std::size_t>(kind)]; }
  std::uint64_t made() const {
    std::uint64_t sum = 0;
    for (const auto& each : shared_->made) sum += each;
    return sum;
  }
  std::uint64_t elsewhere() const {
    return shared_->elsewhere;
  }  // connections to other ports (mpirun's), by the scan
  std::uint64_t scanned() const { return shared_->scanned; }          // ports tried
  std::uint64_t turned_away() const { return shared_->turned_away; }  // connections that did not come about
  std::uint64_t most_open() const { return shared_->most_open; }  // silent connections that it had at once
  double cpu_seconds() const { return 1e-9 * static_cast<double>(shared_->cpu_ns); }  // while it attacked
  double seconds() const { return 1e-9 * static_cast<double>(shared_->ns); }          // that it attacked
  bool ended_well() const { return ended_well_; }

 private:
  struct Shared {  // by both processes
    std::atomic<bool> attacks{false}, over{false};
    std::array<std::atomic<std::uint64_t>, kAttackNames.size()> made{};
    std::atomic<std::uint64_t> elsewhere{0}, scanned{0}, turned_away{0}, most_open{0}, cpu_ns{0}, ns{0};
  };
  struct SlowOne {
    int file;
    std::size_t said;
    std::int64_t due;  // as Clock
  };

  static std::int64_t Clock(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
  }

  // From here on in the attacker's process.
  void Live() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    while (!shared_->over) {
      if (shared_->attacks) {
        Strike();
        CloseAll();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  // First as many silent connections as it may have; then all kinds, each the same share of its processor time.
  void Strike() {
    const std::int64_t cpu = Clock(CLOCK_PROCESS_CPUTIME_ID), begin = Clock(CLOCK_MONOTONIC);
    const std::int64_t cpu_before = shared_->cpu_ns, before = shared_->ns;
    std::array<std::int64_t, kAttackNames.size()> used{};
    bool filled = false;
    while (shared_->attacks && !shared_->over) {
      const auto kind = filled
                            ? static_cast<Attack>(std::min_element(used.begin(), used.end()) - used.begin())
                            : Attack::kFlood;
      const std::int64_t start = Clock(CLOCK_PROCESS_CPUTIME_ID);
      Turn(kind);
      filled = filled || silent_.size() >= options_.flood;
      const std::int64_t now = Clock(CLOCK_PROCESS_CPUTIME_ID);
      constexpr std::int64_t kLeast = 50'000;  // so that a kind with nothing to do is not asked for ever
      if (filled) used[static_cast<std::size_t>(kind)] += std::max(now - start, kLeast);
      const std::int64_t passed = Clock(CLOCK_MONOTONIC) - begin;
      shared_->cpu_ns = static_cast<std::uint64_t>(cpu_before + now - cpu);
      shared_->ns = static_cast<std::uint64_t>(before + passed);
      if (const auto due = static_cast<std::int64_t>(static_cast<double>(now - cpu) / kShare); due > passed)
        std::this_thread::sleep_for(std::chrono::nanoseconds(due - passed));
    }
  }

  void Turn(Attack kind) {
    switch (kind) {
      case Attack::kScan:
        return Scan();
      case Attack::kNoise: {
        std::string noise(random_() % 4000, '\0');
        for (char& byte : noise) byte = static_cast<char>(random_());
        return Say(kind, noise);
      }
      case Attack::kNoKey:
        return Say(kind, OneOf(options_.no_key));
      case Attack::kWrongKey:
        return Say(kind, OneOf(options_.wrong_key));
      case Attack::kReplay:
        return Say(kind, OneOf(options_.replay));
      case Attack::kOversized:
        return Say(kind, OneOf(options_.oversized));
      case Attack::kSlow:
        return Dawdle();
      case Attack::kFlood:
        return Flood();
    }
  }

  const std::string& OneOf(const std::vector<std::string>& all) { return all[random_() % all.size()]; }
  std::uint16_t Target() { return options_.ports[next_port_++ % options_.ports.size()]; }

  // A connection, or -1. One that is not there at once (a full queue of callers) is given up after 5 ms.
  int Call(std::uint16_t port) {
    const int file = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const sockaddr_in address = LoopbackAddress(port);
    if (::connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return file;
    pollfd ready{file, POLLOUT, 0};
    int error = errno;
    if (error == EINPROGRESS && ::poll(&ready, 1, 5) == 1) {
      socklen_t size = sizeof error;
      ::getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error == 0) return file;
    }
    ::close(file);
    return -1;
  }
  int CallRun(Attack kind) {
    const int file = Call(Target());
    ++(file >= 0 ? shared_->made[static_cast<std::size_t>(kind)] : shared_->turned_away);
    return file;
  }

  void Scan() {
    for (int i = 0; i < 20; ++i) {
      const std::uint16_t port = next_scanned_;
      next_scanned_ = port < options_.last_port ? static_cast<std::uint16_t>(port + 1) : options_.first_port;
      if (std::find(options_.ports.begin(), options_.ports.end(), port) != options_.ports.end()) continue;
      ++shared_->scanned;
      if (const int file = Call(port); file >= 0) ++shared_->elsewhere, ::close(file);
    }
    ++shared_->scanned;
    if (const int file = CallRun(Attack::kScan); file >= 0) ::close(file);
  }
  void Say(Attack kind, const std::string& bytes) {
    const int file = CallRun(kind);
    if (file < 0) return;
    (void)::send(file, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    spoken_.push_back(file);
    if (spoken_.size() > 200) ::close(spoken_.front()), spoken_.pop_front();
  }
  // The greeting of ZeroMQ's protocol, one byte a second.
  void Dawdle() {
    const std::int64_t now = Clock(CLOCK_MONOTONIC);
    const std::string& words = options_.wrong_key.front();
    while (!slow_.empty() && slow_.front().due <= now) {
      SlowOne one = slow_.front();
      slow_.pop_front();
      if (::send(one.file, &words[one.said % words.size()], 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
        slow_.push_back({one.file, one.said + 1, now + 1'000'000'000});
      else
        ::close(one.file);
    }
    if (slow_.size() >= kSlowOnes) return;
    if (const int file = CallRun(Attack::kSlow); file >= 0) slow_.push_back({file, 0, now});
  }
  // More silent connections; in place of the oldest, where those have been closed at the other end.
  void Flood() {
    for (int i = 0; i < 10; ++i) {
      if (silent_.size() >= options_.flood) {
        std::array<char, 256> greeting;
        ssize_t count;
        while ((count = ::recv(silent_.front(), greeting.data(), greeting.size(), MSG_DONTWAIT)) > 0) {
        }
        const bool gone = count == 0 || (errno != EAGAIN && errno != EINTR);
        if (!gone) return;
        ::close(silent_.front());
        silent_.pop_front();
      }
      if (const int file = CallRun(Attack::kFlood); file >= 0) silent_.push_back(file);
    }
    shared_->most_open = std::max<std::uint64_t>(shared_->most_open, silent_.size());
  }
  void CloseAll() {
    for (std::deque<int>* files : {&spoken_, &silent_}) {
      for (const int file : *files) ::close(file);
      files->clear();
    }
    for (const SlowOne& one : slow_) ::close(one.file);
    slow_.clear();
  }

  const Options options_;
  Shared* const shared_;
  pid_t process_ = -1;
  bool ended_well_ = false;
  std::mt19937 random_{7};
  std::size_t next_port_ = 0;
  std::uint16_t next_scanned_ = options_.first_port;
  std::deque<int> spoken_, silent_;
  std::deque<SlowOne> slow_;
};

}  // namespace cohort::testing

#endif  // COHORT_TESTS_SUPPORT_ATTACKER_H_
