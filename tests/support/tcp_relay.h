// TCP on loopback, for tests of what travels: connections by hand, and a relay that keeps what passes.
#ifndef COHORT_TESTS_SUPPORT_TCP_RELAY_H_
#define COHORT_TESTS_SUPPORT_TCP_RELAY_H_

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace cohort::testing {

inline sockaddr_in LoopbackAddress(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Of "tcp://127.0.0.1:41234".
inline std::uint16_t PortOf(const std::string& endpoint) {
  return static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1)));
}

// A connected socket, or -1.
inline int ConnectTo(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = LoopbackAddress(port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

// Takes one connection and passes bytes on to `target` and back, until the end of the object.
class TcpRelay {
 public:
  explicit TcpRelay(std::uint16_t target) : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = LoopbackAddress(0);
    socklen_t size = sizeof address;
    ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size);
    ::listen(listener_, 1);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, target] { Pass(target); });
  }
  ~TcpRelay() {
    over_ = true;
    thread_.join();
    ::close(listener_);
  }
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;

  std::uint16_t port() const { return port_; }
  std::string sent() const {  // by who connected
    const std::lock_guard lock(mutex_);
    return sent_;
  }
  std::string passed() const {  // both ways
    const std::lock_guard lock(mutex_);
    return sent_ + answered_;
  }

 private:
  void Pass(std::uint16_t target) {
    std::array<pollfd, 2> ends{{{listener_, POLLIN, 0}, {-1, POLLIN, 0}}};
    while (!over_ && ::poll(ends.data(), 1, 20) == 0) {
    }
    if (over_) return;
    ends[0].fd = ::accept(listener_, nullptr, nullptr);
    ends[1].fd = ConnectTo(target);
    for (bool open = true; open && !over_;) {
      if (::poll(ends.data(), ends.size(), 20) <= 0) continue;
      for (std::size_t from = 0; from < 2 && open; ++from) {
        if (ends[from].revents == 0) continue;
        std::array<char, 1 << 16> bytes;
        const ssize_t count = ::read(ends[from].fd, bytes.data(), bytes.size());
        open = count > 0;
        if (!open) break;
        {
          const std::lock_guard lock(mutex_);
          (from == 0 ? sent_ : answered_).append(bytes.data(), static_cast<std::size_t>(count));
        }
        open =
            ::send(ends[1 - from].fd, bytes.data(), static_cast<std::size_t>(count), MSG_NOSIGNAL) == count;
      }
    }
    ::close(ends[0].fd), ::close(ends[1].fd);
  }

  const int listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> over_{false};
  mutable std::mutex mutex_;
  std::string sent_, answered_;
  std::thread thread_;
};

}  // namespace cohort::testing

#endif  // COHORT_TESTS_SUPPORT_TCP_RELAY_H_
