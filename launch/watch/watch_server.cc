#include "launch/watch/watch_server.h"

#include <arpa/inet.h>
#include <httplib.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "common/process.h"
#include "launch/watch/prometheus.h"
#include "launch/watch/state_json.h"
#include "launch/watch/watch_page.h"

namespace cohort {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kMostRequestBytes = 16 << 10;
constexpr auto kRequestTime = std::chrono::seconds(5);
constexpr auto kAnswerTime = std::chrono::seconds(30);
constexpr auto kFresh = std::chrono::milliseconds(500);
constexpr auto kLook = std::chrono::milliseconds(100);
constexpr std::size_t kThreads = 4;

// A connection of which no more is read, and to which nothing is written later, than the limits say: those of the library are for
// each read and write by itself, which a peer can string together without end.
class BoundedStream : public httplib::Stream {
 public:
  explicit BoundedStream(socket_t socket) : socket_(socket) {}

  bool is_readable() const override { return Wait(POLLIN, read_until_); }
  bool is_writable() const override { return Wait(POLLOUT, written_until_); }
  ssize_t read(char* bytes, size_t size) override {
    if (next_ == buffer_.size()) {
      if (total_ >= kMostRequestBytes || !is_readable()) return -1;
      buffer_.resize(std::min<std::size_t>(4096, kMostRequestBytes - total_));
      const ssize_t got = recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      buffer_.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
      next_ = 0;
      if (got <= 0) return got;
      total_ += buffer_.size();
    }
    const std::size_t count = std::min(size, buffer_.size() - next_);
    std::memcpy(bytes, buffer_.data() + next_, count);
    next_ += count;
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* bytes, size_t size) override {
    for (;;) {
      if (!is_writable()) return -1;
      const ssize_t sent = send(socket_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) return sent;
    }
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return socket_; }

 private:
  bool Wait(short event, SteadyClock::time_point until) const {
    for (;;) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(until - SteadyClock::now()).count();
      if (left <= 0) return false;
      pollfd ready{socket_, event, 0};
      const int count = poll(&ready, 1, static_cast<int>(left));
      if (count > 0) return true;
      if (count < 0 && errno != EINTR) return false;
    }
  }

  const socket_t socket_;
  const SteadyClock::time_point read_until_ = SteadyClock::now() + kRequestTime,
                                written_until_ = read_until_ + kAnswerTime;
  std::string buffer_;
  std::size_t next_ = 0;   // of the buffer, not handed out yet
  std::size_t total_ = 0;  // read
};

// In a time that says nothing of where they differ.
bool SameText(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

bool IsAddress(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 || inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

std::string InBrackets(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

// "host:port" or "[host]:port", also without a port.
std::string HostOf(const std::string& authority) {
  if (authority.starts_with("["))
    return authority.substr(1, std::max<std::size_t>(authority.find(']'), 1) - 1);
  return authority.substr(0, authority.find(':'));
}

}  // namespace

bool ListenAt::loopback() const {
  return host == "localhost" || host == "::1" || (IsAddress(host) && host.starts_with("127."));
}

Result<ListenAt> ParseListenAt(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  ListenAt at;
  unsigned port = 0;
  if (colon != std::string::npos) {
    at.host = text.substr(0, colon);
    if (at.host.starts_with("[") && at.host.ends_with("]")) at.host = at.host.substr(1, at.host.size() - 2);
    const char* const end = text.data() + text.size();
    const auto [read, error] = std::from_chars(text.data() + colon + 1, end, port);
    at.port = static_cast<std::uint16_t>(port);
    const bool host = !at.host.empty() && (at.host.find(':') == std::string::npos || IsAddress(at.host));
    if (host && error == std::errc() && read == end && port <= 65535) return at;
  }
  return InvalidInput(
      "--listen " + text +
      ": expected ADDRESS:PORT, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:0 (0: any free port)");
}

Result<std::string> NewToken() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof(bytes), 0) != static_cast<ssize_t>(sizeof(bytes)))
    return Error(ErrorCode::kIo, std::string("no random numbers from the system: ") + std::strerror(errno));
  std::string token;
  for (const unsigned char byte : bytes) {
    token += "0123456789abcdef"[byte >> 4];
    token += "0123456789abcdef"[byte & 15];
  }
  return token;
}

class WatchServer::Http : public httplib::Server {
 public:
  Http(RunView view, ListenAt at, std::string token)
      : view_(std::move(view)), at_(std::move(at)), token_(std::move(token)), host_name_(HostName()) {
    new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    // The library's default lets two programs listen on one port.
    set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    set_default_headers({{"Cache-Control", "no-store"},
                         {"Referrer-Policy", "no-referrer"},
                         {"X-Content-Type-Options", "nosniff"},
                         {"X-Frame-Options", "DENY"}});
    // All paths at once: none is matched against anything but these words.
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      Answer(request, response);
      return HandlerResponse::Handled;
    });
  }

  Status Bind() {
    errno = 0;
    const int port = at_.port == 0                      ? bind_to_any_port(at_.host)
                     : bind_to_port(at_.host, at_.port) ? at_.port
                                                        : -1;
    if (port > 0) {
      at_.port = static_cast<std::uint16_t>(port);
      return {};
    }
    const std::string where = InBrackets(at_.host) + ":" + std::to_string(at_.port);
    if (errno == EADDRINUSE)
      return {
          ErrorCode::kInvalidInput,
          where +
              ": another program listens there; choose another port with --listen, or 0 for any free one"};
    return {ErrorCode::kInvalidInput, where + " cannot be listened on" +
                                          (errno != 0 ? std::string(": ") + std::strerror(errno) : "") +
                                          "; expected an address of this host with --listen"};
  }

  std::string url() const {
    const bool any = at_.host == "0.0.0.0" || at_.host == "::";
    return "http://" + (any ? host_name_ : InBrackets(at_.host)) + ":" + std::to_string(at_.port) + "/" +
           (token_.empty() ? "" : "?token=" + token_);
  }

 private:
  // One request a connection.
  bool process_and_close_socket(socket_t socket) override {
    BoundedStream stream(socket);
    bool closed = false;
    // Parts of an answer, asked for a thousand times in one request, would be long.
    const bool done =
        process_request(stream, true, closed, [](httplib::Request& request) { request.ranges.clear(); });
    shutdown(socket, SHUT_RDWR);
    close(socket);
    return done;
  }

  void Answer(const httplib::Request& request, httplib::Response& response) {
    const auto refuse = [&](int status, const std::string& why) {
      response.status = status;
      response.set_content(why + "\n", "text/plain; charset=utf-8");
    };
    const std::string& path = request.path;
    if (path != "/" && path != "/state" && path != "/metrics")
      return refuse(404, "There are /, /state and /metrics.");
    if (request.method != "GET" && request.method != "HEAD") {
      response.set_header("Allow", "GET, HEAD");
      return refuse(405, "Only GET and HEAD.");
    }
    if (!token_.empty() && !HasToken(request))
      return refuse(403,
                    "The token is missing or wrong: open the whole address that `cohort watch` has printed.");
    if (token_.empty() && !IsForThisHost(request.get_header_value("Host")))
      return refuse(403, "Without a token this host must be asked by its address or its own name.");
    response.status = 200;
    if (path == "/") return SendPage(response);
    const std::lock_guard lock(mutex_);
    Look();
    if (path == "/state") {
      response.set_content(StateToJson(view_.state()), "application/json");
    } else {
      response.set_content(PrometheusText(view_.state()), "text/plain; version=0.0.4; charset=utf-8");
    }
  }

  void SendPage(httplib::Response& response) {
    const auto nonce = NewToken();
    if (!nonce) {
      response.status = 500;
      return response.set_content(nonce.error().text(), "text/plain; charset=utf-8");
    }
    response.set_header(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; connect-src "
        "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src 'nonce-" +
            *nonce + "'");
    const std::lock_guard lock(mutex_);
    response.set_content(WatchPage(view_.state().name, *nonce), "text/html; charset=utf-8");
  }

  bool HasToken(const httplib::Request& request) const {
    const std::string header = request.get_header_value("Authorization");
    if (header.starts_with("Bearer ")) return SameText(header.substr(7), token_);
    return SameText(request.get_param_value("token"), token_);
  }

  // A page of another site can have its own name stand for 127.0.0.1, and read what is there; it cannot do so with these.
  bool IsForThisHost(const std::string& authority) const {
    const std::string host = HostOf(authority);
    return host == "localhost" || host == at_.host || host == host_name_ || IsAddress(host);
  }

  void Look() {
    const auto now = SteadyClock::now();
    if (looked_ != SteadyClock::time_point{} && now < looked_ + kFresh) return;
    view_.Refresh();
    looked_ = SteadyClock::now();
  }

  std::mutex mutex_;  // of the view, and when it was refreshed
  RunView view_;
  SteadyClock::time_point looked_{};
  ListenAt at_;
  const std::string token_;
  const std::string host_name_;
};

WatchServer::WatchServer(std::unique_ptr<Http> http) : http_(std::move(http)) {}
WatchServer::~WatchServer() = default;

Result<std::unique_ptr<WatchServer>> WatchServer::Listen(RunView view, const ListenAt& at,
                                                         const std::string& token) {
  auto http = std::make_unique<Http>(std::move(view), at, token);
  COHORT_RETURN_IF_ERROR(http->Bind());
  return std::unique_ptr<WatchServer>(new WatchServer(std::move(http)));
}

std::string WatchServer::url() const { return http_->url(); }

void WatchServer::Run(const std::function<bool()>& stop) {
  std::atomic<bool> ended = false;
  std::thread listener([&] {
    http_->listen_after_bind();
    ended = true;
  });
  while (!ended && !stop()) std::this_thread::sleep_for(kLook);
  // It does not hear of an end before it has begun.
  while (!ended && !http_->is_running()) std::this_thread::sleep_for(kLook);
  http_->stop();
  listener.join();
}

}  // namespace cohort
