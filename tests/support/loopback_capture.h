// A loopback interface of one's own, and all that is said on it, for tests of what travels and of strangers. Linux; needs root.
#ifndef COHORT_TESTS_SUPPORT_LOOPBACK_CAPTURE_H_
#define COHORT_TESTS_SUPPORT_LOOPBACK_CAPTURE_H_

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace cohort::testing {

// The calling thread, and the threads and processes that it starts, are in a network of their own, which consists of 127.0.0.1, until the
// object ends.
class PrivateLoopback {
 public:
  PrivateLoopback() : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    if (::unshare(CLONE_NEWNET) != 0) {
      failure_ = std::string("no network of its own (unshare: ") + std::strerror(errno) + "; needs root)";
      return;
    }
    const int any = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (::ioctl(any, SIOCSIFFLAGS, &request) != 0) failure_ = "the loopback interface does not come up";
    ::close(any);
  }
  ~PrivateLoopback() {
    ::setns(before_, CLONE_NEWNET);
    ::close(before_);
  }
  PrivateLoopback(const PrivateLoopback&) = delete;
  PrivateLoopback& operator=(const PrivateLoopback&) = delete;

  // Why there is none; empty: there is.
  const std::string& failure() const { return failure_; }

 private:
  const int before_;
  std::string failure_;
};

// Keeps what passes over the loopback interface: of TCP over IPv4 the data, by direction of a connection; of everything else the packets.
class LoopbackCapture {
 public:
  using Direction = std::pair<std::uint16_t, std::uint16_t>;  // from port, to port

  // Of each direction of each connection at most so many bytes are kept.
  explicit LoopbackCapture(std::size_t most_bytes)
      : most_bytes_(most_bytes), socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
    ifreq lo{};
    std::strncpy(lo.ifr_name, "lo", IFNAMSIZ - 1);
    ::ioctl(socket_, SIOCGIFINDEX, &lo);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = lo.ifr_ifindex;
    ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int room = 1 << 30;
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    thread_ = std::thread([this] { Read(); });
  }
  ~LoopbackCapture() { End(); }
  LoopbackCapture(const LoopbackCapture&) = delete;
  LoopbackCapture& operator=(const LoopbackCapture&) = delete;

  // No more is kept. What was kept may be looked at from now on.
  void End() {
    if (!thread_.joinable()) return;
    sock_filter none{BPF_RET | BPF_K, 0, 0, 0};  // what has come is still read
    const sock_fprog nothing{1, &none};
    ::setsockopt(socket_, SOL_SOCKET, SO_ATTACH_FILTER, &nothing, sizeof nothing);
    over_ = true;
    thread_.join();
    tpacket_stats lost{};
    socklen_t size = sizeof lost;
    ::getsockopt(socket_, SOL_PACKET, PACKET_STATISTICS, &lost, &size);
    lost_ = lost.tp_drops;
    ::close(socket_);
  }
  const std::map<Direction, std::string>& connections() const { return connections_; }
  std::uint64_t bytes() const { return bytes_; }  // of data and of other packets, kept or not
  std::uint64_t lost() const { return lost_; }    // packets that came too fast
  bool Holds(const std::string& text) const {
    if (other_.find(text) != std::string::npos) return true;
    for (const auto& [direction, data] : connections_) {
      if (data.find(text) != std::string::npos) return true;
    }
    return false;
  }

 private:
  void Read() {
    std::vector<unsigned char> packet(1 << 20);
    timeval patience{0, 20'000};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (;;) {
      sockaddr_ll from{};
      socklen_t size = sizeof from;
      const ssize_t count =
          ::recvfrom(socket_, packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (count < 0 && over_) return;
      // Each packet passes twice: as it goes and as it comes.
      if (count > 0 && from.sll_pkttype != PACKET_OUTGOING)
        Keep(packet.data(), static_cast<std::size_t>(count));
    }
  }
  void Keep(const unsigned char* packet, std::size_t size) {
    constexpr std::size_t kIp = ETH_HLEN, kTcp = 6;
    const auto at16 = [packet](std::size_t place) {
      return static_cast<std::uint16_t>(packet[place] << 8 | packet[place + 1]);
    };
    const bool tcp = size >= kIp + 40 && at16(12) == ETH_P_IP && packet[kIp + 9] == kTcp;
    const std::size_t segment = tcp ? kIp + 4 * (packet[kIp] & 15u) : 0;
    const std::size_t data = tcp ? segment + 4 * (packet[segment + 12] >> 4) : kIp;
    if (data >= size) return;
    bytes_ += size - data;
    std::string& kept = tcp ? connections_[{at16(segment), at16(segment + 2)}] : other_;
    if (kept.size() < most_bytes_) kept.append(reinterpret_cast<const char*>(packet) + data, size - data);
  }

  const std::size_t most_bytes_;
  const int socket_;
  std::atomic<bool> over_{false};
  std::map<Direction, std::string> connections_;
  std::string other_;
  std::uint64_t bytes_ = 0, lost_ = 0;
  std::thread thread_;
};

}  // namespace cohort::testing

#endif  // COHORT_TESTS_SUPPORT_LOOPBACK_CAPTURE_H_
