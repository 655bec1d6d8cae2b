// NetworkHosts: hosts with names and addresses of their own on this machine, between which mpirun starts processes, for tests of runs that span
// hosts and of links that fail. Linux network namespaces; needs root.
//
//   host 1 --tap-- cable --tap--+
//   host 2 --tap-- cable --tap--+-- bridge        a cable carries frames from one tap device to another, late, few or none
//   host 3 --tap-- cable --tap--+
#ifndef COHORT_TESTS_SUPPORT_NETWORK_HOSTS_H_
#define COHORT_TESTS_SUPPORT_NETWORK_HOSTS_H_

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/subprocess.h"

namespace cohort::testing {

// Two tap devices and a thread that carries frames between them.
class Cable {
 public:
  // Errors leave `ok` false.
  Cable(const std::string& left, const std::string& right) : ends_{Tap(left), Tap(right)} {
    if (ok()) thread_ = std::thread([this] { Carry(); });
  }
  ~Cable() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
    for (const int end : ends_) ::close(end);
  }
  bool ok() const { return ends_[0] >= 0 && ends_[1] >= 0; }

  std::atomic<bool> cut{false};                  // nothing passes
  std::atomic<bool> refuses_connections{
      false};  // as a firewall at the left end: TCP is opened from there only
  std::atomic<std::int64_t> delay_ms{0};         // each way
  std::atomic<std::int64_t> bits_per_second{0};  // each way; 0: as many as there are

 private:
  using Clock = std::chrono::steady_clock;
  struct Frame {
    Clock::time_point due;
    std::vector<char> bytes;
  };
  static constexpr std::size_t kMostQueued = 1000;  // frames; more are lost, as in a router

  static int Tap(const std::string& name) {
    const int device = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
    if (device >= 0 && ::ioctl(device, TUNSETIFF, &request) == 0) return device;
    ::close(device);
    return -1;
  }

  // Whether an Ethernet frame holds the first segment of a TCP connection.
  static bool OpensConnection(const char* frame, ssize_t size) {
    const auto at = [frame, size](ssize_t place) {
      return place < size ? static_cast<unsigned char>(frame[place]) : 0u;
    };
    constexpr ssize_t kIp = 14;
    constexpr unsigned kTcp = 6, kSyn = 0x02, kSynAck = 0x12;
    if (at(12) != 0x08 || at(13) != 0x00 || at(kIp + 9) != kTcp) return false;
    return (at(kIp + 4 * (at(kIp) & 15) + 13) & kSynAck) == kSyn;
  }

  void Carry() {
    std::array<std::deque<Frame>, 2> queues;  // by the end that they came from
    std::array<Clock::time_point, 2> free{};  // when the line has taken the last one
    while (!over_) {
      std::array<pollfd, 2> polls{{{ends_[0], POLLIN, 0}, {ends_[1], POLLIN, 0}}};
      const bool waiting = !queues[0].empty() || !queues[1].empty();
      ::poll(polls.data(), polls.size(), waiting ? 1 : 20);
      for (std::size_t from = 0; from < 2; ++from) {
        std::array<char, 1 << 16> bytes;
        for (int turn = 0; turn < 64; ++turn) {
          const ssize_t count = ::read(ends_[from], bytes.data(), bytes.size());
          if (count <= 0) break;
          if (cut || queues[from].size() >= kMostQueued) continue;
          if (refuses_connections && from == 1 && OpensConnection(bytes.data(), count)) continue;
          const auto now = Clock::now();
          Clock::time_point due = now + std::chrono::milliseconds(delay_ms);
          if (const std::int64_t rate = bits_per_second; rate > 0) {
            free[from] = std::max(free[from], now) + std::chrono::microseconds(count * 8'000'000 / rate);
            due = std::max(due, free[from]);
          }
          queues[from].push_back({due, {bytes.data(), bytes.data() + count}});
        }
        while (!queues[from].empty() && queues[from].front().due <= Clock::now()) {
          const Frame& frame = queues[from].front();
          if (!cut) (void)!::write(ends_[1 - from], frame.bytes.data(), frame.bytes.size());
          queues[from].pop_front();
        }
      }
    }
  }

  const std::array<int, 2> ends_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

class NetworkHosts {
 public:
  // Hosts "host1", "host2", ... `folder`: for mpirun's launch agent and the list of hosts.
  NetworkHosts(int count, const std::string& folder)
      : prefix_("co" + std::to_string(::getpid() % 100000)),
        agent_(folder + "/agent"),
        list_(folder + "/hosts") {
    std::string hosts = "127.0.0.1 localhost\n", list;
    for (int i = 1; i <= count; ++i) hosts += Address(i) + " host" + std::to_string(i) + "\n";
    Must("ip link add " + prefix_ + "b type bridge && ip link set " + prefix_ + "b up");
    for (int i = 1; i <= count && failure_.empty(); ++i) {
      const std::string name = Namespace(i), number = std::to_string(i);
      const std::string inside = InterfaceName(i), outside = prefix_ + "o" + number;
      auto cable = std::make_unique<Cable>(inside, outside);
      if (!cable->ok()) failure_ = "no tap devices (/dev/net/tun)";
      cables_.push_back(std::move(cable));
      Must("ip netns add " + name);
      Must("ip link set " + outside + " master " + prefix_ + "b up");
      Must("ip link set " + inside + " netns " + name);
      Must("ip -n " + name + " link set lo up && ip -n " + name + " addr add " + Address(i) + "/24 dev " +
           inside + " && ip -n " + name + " link set " + inside + " up");
      std::error_code error;
      std::filesystem::create_directories("/etc/netns/" + name, error);
      WriteText("/etc/netns/" + name + "/hosts", hosts);
      list += "host" + number + " slots=2\n";
    }
    WriteText(list_, list);
    // mpirun calls it as it would call ssh: AGENT HOST WORD...; the words are for a shell.
    WriteText(agent_, "#!/bin/sh\nhost=$1; shift\nexec ip netns exec " + prefix_ +
                          "$host unshare --uts sh -c 'hostname \"$0\" && eval \"$*\"' $host \"$@\"\n");
    Must("chmod +x " + agent_);
  }
  ~NetworkHosts() {
    for (std::size_t i = 1; i <= cables_.size(); ++i) {
      std::system(("ip netns pids " + Namespace(static_cast<int>(i)) +
                   " 2>/dev/null | xargs -r kill -9 2>/dev/null; ip netns del " +
                   Namespace(static_cast<int>(i)) + " 2>/dev/null")
                      .c_str());
      std::error_code error;
      std::filesystem::remove_all("/etc/netns/" + Namespace(static_cast<int>(i)), error);
    }
    cables_.clear();
    std::system(("ip link del " + prefix_ + "b 2>/dev/null").c_str());
  }
  NetworkHosts(const NetworkHosts&) = delete;
  NetworkHosts& operator=(const NetworkHosts&) = delete;

  // Why there are none; empty: there are.
  const std::string& failure() const { return failure_; }
  const std::string& list() const { return list_; }  // for --hostfile
  std::string InterfaceName(int host) const { return prefix_ + "i" + std::to_string(host); }  // on the host
  static std::string Address(int host) { return "10.77.77." + std::to_string(host); }
  Cable& cable(int host) { return *cables_[static_cast<std::size_t>(host - 1)]; }
  // The command on a host.
  std::vector<std::string> On(int host, const std::vector<std::string>& command) const {
    std::vector<std::string> words = {"ip",
                                      "netns",
                                      "exec",
                                      Namespace(host),
                                      "unshare",
                                      "--uts",
                                      "sh",
                                      "-c",
                                      "hostname \"$0\" && exec \"$@\"",
                                      "host" + std::to_string(host)};
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }
  std::map<std::string, std::string> Environment() const {
    return {{"OMPI_MCA_plm_rsh_agent", agent_}, {"OMPI_MCA_plm_rsh_no_tree_spawn", "1"}};
  }

 private:
  std::string Namespace(int host) const { return prefix_ + "host" + std::to_string(host); }
  void Must(const std::string& command) {
    if (failure_.empty() && std::system((command + " >/dev/null 2>&1").c_str()) != 0)
      failure_ = "failed: " + command;
  }
  void WriteText(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

  const std::string prefix_, agent_, list_;
  std::string failure_;
  std::vector<std::unique_ptr<Cable>> cables_;
};

}  // namespace cohort::testing

#endif  // COHORT_TESTS_SUPPORT_NETWORK_HOSTS_H_
