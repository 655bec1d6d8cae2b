#include "common/zmq_transport.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "common/check.h"
#include "common/wire.h"

// For each secret of each handshake libzmq asks libsodium for pages of its own, guarded and locked: ten system calls, some of which interrupt
// the processors of the process's other threads. That was a quarter of what strangers cost. These take the place of libsodium's: memory from
// malloc, wiped when it is given back. What is lost is little: the run's key lies in a file, and who can read the process's memory, or what of
// it has been swapped out, is nobody we promise protection from (docs/security.md).
extern "C" {
[[gnu::visibility("default")]] void* sodium_allocarray(std::size_t count, std::size_t size);
[[gnu::visibility("default")]] void sodium_free(void* memory);

constexpr std::size_t kSizeBefore = alignof(std::max_align_t);  // where sodium_free finds how much to wipe

void* sodium_allocarray(std::size_t count, std::size_t size) {
  std::size_t bytes = 0;
  void* const block = __builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - kSizeBefore
                          ? nullptr
                          : std::malloc(kSizeBefore + bytes);
  if (block == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  std::memcpy(block, &bytes, sizeof bytes);
  return static_cast<std::byte*>(block) + kSizeBefore;
}

void sodium_free(void* memory) {
  if (memory == nullptr) return;
  void* const block = static_cast<std::byte*>(memory) - kSizeBefore;
  std::size_t bytes = 0;
  std::memcpy(&bytes, block, sizeof bytes);
  ::explicit_bzero(memory, bytes);
  std::free(block);
}
}  // extern "C"

namespace cohort {
namespace {

// The routing id of a DEALER: who it is, which incarnation of it, and its how-manieth connection to this
// peer. The greatest wins. (Ids must not begin with a zero byte.)
constexpr std::uint8_t kRoutingMark = 0x43;
constexpr std::size_t kRoutingBytes = 14;
using RoutingId = std::array<std::uint8_t, kRoutingBytes>;

struct Speaker {
  NodeId node;
  std::uint32_t incarnation = 0;
  std::uint32_t connection = 0;
};

RoutingId ToRoutingId(const Speaker& speaker) {
  RoutingId id;
  id[0] = kRoutingMark;
  id[1] = static_cast<std::uint8_t>(speaker.node.role);
  std::memcpy(&id[2], &speaker.node.index, 4);
  std::memcpy(&id[6], &speaker.incarnation, 4);
  std::memcpy(&id[10], &speaker.connection, 4);
  return id;
}
std::optional<Speaker> FromRoutingId(const void* data, std::size_t size) {
  if (size != kRoutingBytes) return std::nullopt;
  RoutingId id;
  std::memcpy(id.data(), data, size);
  if (id[0] != kRoutingMark || id[1] > static_cast<std::uint8_t>(Role::kBackup)) return std::nullopt;
  Speaker speaker;
  speaker.node.role = static_cast<Role>(id[1]);
  std::memcpy(&speaker.node.index, &id[2], 4);
  std::memcpy(&speaker.incarnation, &id[6], 4);
  std::memcpy(&speaker.connection, &id[10], 4);
  return speaker;
}

int Milliseconds(Duration duration) {
  const auto count = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return static_cast<int>(std::clamp<std::int64_t>(count, 0, 1 << 30));
}

Buffer ToBuffer(zmq::message_t message) {
  auto owner = std::make_shared<zmq::message_t>(std::move(message));
  const void* data = owner->data();  // small messages hold their bytes themselves: ask after the move
  const std::size_t size = owner->size();
  return Buffer(std::move(owner), data, size);
}

zmq::message_t ToMessage(Buffer buffer) {
  if (buffer.size() < ZmqTransport::kCopyBelow) return zmq::message_t(buffer.data(), buffer.size());
  auto* held = new Buffer(std::move(buffer));
  // ZeroMQ only reads what it sends; its interface has no const.
  return zmq::message_t(
      const_cast<std::byte*>(held->data()), held->size(),
      [](void*, void* hint) { delete static_cast<Buffer*>(hint); }, held);
}

// A message has at most this many frames; a longer one cannot be ours.
constexpr std::size_t kMaxFrames = 1 + kMaxBulkFrames;
// Messages taken from one socket before the others have their turn.
constexpr int kTurn = 16;
// Peers remembered; more than a run can have.
constexpr std::size_t kMaxSpeakers = 1u << 16;
// A connection that has not got through the handshake by then is closed: by the door where there is a key, else by ZeroMQ.
constexpr std::chrono::milliseconds kHandshake{5000};
// How long, at least, one that says nothing at all waits with the kernel before it gets that far; and how many may.
constexpr std::chrono::seconds kSilence{60};
constexpr int kCallers = 4096;  // the most that Linux allows without being asked (net.core.somaxconn)

}  // namespace

// Who calls at a router: how many there were, how many of them were let in, and who stands at the door: came within the handshake's time,
// and has not got through it. They may be kMost (an eighth of the process's files, if that is less); of more, the first who came go. So
// strangers take neither the files nor the memory of the run; and who has the key has until kMost others have come to show it.
class Door {
 public:
  Door(zmq::context_t& context, zmq::socket_t& router, bool locked)
      : events_(context, zmq::socket_type::pair), most_(MostAtDoor()), at_door_bytes_(locked ? 260 : 64) {
    const std::string address = "inproc://door." + std::to_string(reinterpret_cast<std::uintptr_t>(this));
    constexpr int kEvents = ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
    if (::zmq_socket_monitor(router.handle(), address.c_str(), kEvents) != 0) throw zmq::error_t();
    events_.set(zmq::sockopt::rcvhwm, 0);
    events_.set(zmq::sockopt::linger, 0);
    events_.connect(address);
  }
  // ZeroMQ tells of callers in messages, which wake nobody: to be asked for at least this often. (A wake-up each would cost the run more
  // than the callers' connections do.)
  static constexpr std::chrono::milliseconds kLook{20};
  void Look(TimePoint now) {
    if (now < next_look_) return;
    next_look_ = now + kLook;
    TakeEvents(now);
    while (!order_.empty() && (since_.size() > most_ || order_.front().came + kHandshake < now)) {
      const Caller caller = order_.front();
      order_.pop_front();
      const auto found = since_.find(caller.file);
      if (found == since_.end() || found->second != caller.came) continue;  // somebody else by now
      since_.erase(found);
      Close(caller.file);
    }
  }
  std::uint64_t refused() const { return callers_ - std::min(admitted_, callers_); }

 private:
  struct Caller {
    int file;
    TimePoint came;
  };

  static std::size_t MostAtDoor() {
    constexpr std::size_t kMost = 512;
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return kMost;
    return std::min<std::size_t>(kMost, files.rlim_cur / 8);
  }

  // An event is a message of two parts: its number and a value (a file), and an address.
  void TakeEvents(TimePoint now) {
    zmq::message_t part;
    while (events_.recv(part, zmq::recv_flags::dontwait)) {
      std::uint16_t event = 0;
      std::int32_t file = -1;
      if (!part.more() || part.size() < sizeof event + sizeof file) continue;
      std::memcpy(&event, part.data(), sizeof event);
      std::memcpy(&file, static_cast<const char*>(part.data()) + sizeof event, sizeof file);
      if (event == ZMQ_EVENT_LISTENING) {
        port_ = PortOf(file);
        if (port_ != 0) LetTheSilentWait(file);
      } else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        ++admitted_;
      } else if (++callers_; port_ != 0) {
        since_[file] = now;  // ZeroMQ has closed who had this number before
        order_.push_back({file, now});
      }
    }
  }
  // Who calls speaks first, in ZeroMQ's protocol: until then a connection is the kernel's affair, costs no thread's wake-up, and takes none of
  // the process's files or memory. (TCP_DEFER_ACCEPT: tcp(7).) One that closes without a word comes in to be counted. No harm where it is not
  // to be had.
  static void LetTheSilentWait(int file) {
    const int seconds = static_cast<int>(kSilence.count());
    (void)::setsockopt(file, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
  }
  // The local TCP port of a socket; 0: it has none.
  static std::uint16_t PortOf(int file) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (::getsockname(file, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
    return address.sin_family == AF_INET ? ntohs(address.sin_port) : 0;
  }
  // ZeroMQ finds the connection's end and closes the file. It may have done so already, and the file be another.
  void Close(int file) const {
    if (PortOf(file) == port_ && !GotIn(file)) ::shutdown(file, SHUT_RDWR);
  }
  bool GotIn(int file) const {
    tcp_info info{};
    socklen_t size = sizeof info;
    return ::getsockopt(file, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
           info.tcpi_bytes_acked > at_door_bytes_;
  }

  zmq::socket_t events_;
  const std::size_t most_;
  // Who has been sent more is in: ZeroMQ's greeting (64 bytes), CURVE's WELCOME (170) and, for a wrong key, an ERROR of some 15 come before;
  // READY (70) comes after. (ZeroMQ does not say whose handshake it was that succeeded.)
  const std::uint64_t at_door_bytes_;
  std::uint16_t port_ = 0;  // of the router; 0: none (ipc)
  std::uint64_t callers_ = 0, admitted_ = 0;
  std::map<int, TimePoint> since_;  // who stands at the door, by file
  std::deque<Caller> order_;        // as they came; also those who have gone since
  TimePoint next_look_{};
};

// Answers ZeroMQ's questions who may enter (ZeroMQ RFC 27) until the context ends: whoever has the public half of the run's key, and has
// shown by CURVE's handshake that the secret half is there too.
class DoorKeeper {
 public:
  DoorKeeper(zmq::context_t& context, const RunKey& key) : socket_(context, zmq::socket_type::rep) {
    ::zmq_z85_decode(admitted_.data(), key.public_key().c_str());
    socket_.set(zmq::sockopt::linger, 0);
    socket_.bind("inproc://zeromq.zap.01");
    thread_ = std::thread([this] { Answer(); });
  }
  // REQUIRES: the context was shut down.
  ~DoorKeeper() { thread_.join(); }

 private:
  // Frames of a request: version, request, domain, address, routing id, mechanism, credentials.
  void Answer() {
    try {
      for (;;) {
        std::vector<zmq::message_t> parts;
        do {
          parts.emplace_back();
          (void)socket_.recv(parts.back());
        } while (parts.back().more());
        const bool admit = parts.size() == 7 && parts[5].to_string_view() == "CURVE" &&
                           parts[6].size() == admitted_.size() &&
                           std::memcmp(parts[6].data(), admitted_.data(), admitted_.size()) == 0;
        const std::string request = parts.size() > 1 ? parts[1].to_string() : "";
        const std::array<std::string, 6> answer = {
            "1.0", request, admit ? "200" : "400", admit ? "" : "not the run's key", admit ? "run" : "", ""};
        for (std::size_t i = 0; i < answer.size(); ++i)
          socket_.send(zmq::buffer(answer[i]),
                       i + 1 < answer.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
      }
    } catch (const zmq::error_t&) {  // the context ends
    }
    socket_.close();
  }

  zmq::socket_t socket_;
  std::array<std::uint8_t, 32> admitted_{};
  std::thread thread_;
};

struct ZmqContext::Impl {
  zmq::context_t context;
  std::optional<RunKey> key;
  std::optional<DoorKeeper> door;
};

ZmqContext::ZmqContext(int io_threads, const std::optional<RunKey>& key) : impl_(std::make_unique<Impl>()) {
  impl_->context.set(zmq::ctxopt::io_threads, io_threads);
  impl_->context.set(zmq::ctxopt::max_sockets, 8192);
  impl_->key = key;
  if (key) impl_->door.emplace(impl_->context, *key);
}
ZmqContext::~ZmqContext() { impl_->context.shutdown(); }

struct ZmqTransport::Impl {
  struct Peer {
    zmq::socket_t socket;
    std::string endpoint;
  };

  Impl(zmq::context_t& c, const std::optional<RunKey>& k, NodeId s, Options o)
      : context(c), key(k), self(s), options(std::move(o)) {}

  void Configure(zmq::socket_t& socket, bool listens) const {
    namespace opt = zmq::sockopt;
    if (key) {
      socket.set(opt::curve_secretkey, key->secret());
      socket.set(opt::curve_publickey, key->public_key());
      if (listens) {
        socket.set(opt::curve_server, true);
        socket.set(opt::zap_domain, "cohort");
      } else {
        socket.set(opt::curve_serverkey, key->public_key());
      }
    }
    socket.set(opt::sndhwm, 0);  // bounded in bytes by the roles' credits
    socket.set(opt::rcvhwm, 0);
    socket.set(opt::linger, Milliseconds(options.linger));
    socket.set(opt::maxmsgsize,
               static_cast<std::int64_t>(std::max(kMaxBulkBytes, kHeaderBytes + kMaxBodyBytes)));
    socket.set(opt::heartbeat_ivl, std::max(1, Milliseconds(options.peer_silence) / 4));
    socket.set(opt::heartbeat_timeout, Milliseconds(options.peer_silence));
    socket.set(opt::handshake_ivl, Milliseconds(kHandshake));
    socket.set(opt::reconnect_ivl, 50);
    socket.set(opt::reconnect_ivl_max, 1000);
    socket.set(opt::ipv6, 0);
  }

  // Takes up to kTurn messages from a socket.
  void Drain(zmq::socket_t& socket, bool routed) {
    for (int turn = 0; turn < kTurn; ++turn) {
      zmq::message_t part;
      if (!socket.recv(part, zmq::recv_flags::dontwait)) return;
      bool wanted = true;
      bool more = part.more();
      if (routed) {
        wanted = Remember(part) && more;
        if (more) {
          if (!socket.recv(part, zmq::recv_flags::dontwait)) return;
          more = part.more();
        }
      }
      Frames frames;
      frames.reserve(kMaxFrames);
      while (true) {
        if (wanted && frames.size() < kMaxFrames + 1) frames.push_back(ToBuffer(std::move(part)));
        if (!more) break;
        part = zmq::message_t();
        if (!socket.recv(part, zmq::recv_flags::dontwait)) break;  // parts of a message are there together
        more = part.more();
      }
      if (wanted) ready.push_back(std::move(frames));
    }
  }

  // Waits for a message, or a wake-up.
  void Await(Duration timeout) {
    TimePoint now = std::chrono::steady_clock::now();
    const TimePoint end = now + std::min<Duration>(timeout, std::chrono::hours(1));
    for (;; now = std::chrono::steady_clock::now()) {
      if (door) door->Look(now);
      const Duration left = std::max<Duration>(end - now, Duration::zero());
      const Duration turn = door ? std::min<Duration>(left, Door::kLook) : left;
      if (zmq::poll(poll_items, std::chrono::milliseconds(Milliseconds(turn))) > 0 || turn == left) return;
    }
  }

  bool Remember(const zmq::message_t& routing_id) {
    const auto speaker = FromRoutingId(routing_id.data(), routing_id.size());
    if (!speaker) return false;
    auto found = speakers.find(speaker->node);
    if (found == speakers.end()) {
      if (speakers.size() >= kMaxSpeakers) return false;
      speakers.emplace(speaker->node, *speaker);
    } else if (std::pair(speaker->incarnation, speaker->connection) >
               std::pair(found->second.incarnation, found->second.connection)) {
      found->second = *speaker;
    }
    return true;
  }

  Status SendParts(zmq::socket_t& socket, NodeId to, const RoutingId* route, Frames frames) {
    // After the first part is taken the others follow, or the rest of the message is dropped as a whole; all
    // parts must be offered all the same, so that the next message begins with its first.
    std::string error;
    bool first = true;
    const auto send = [&](zmq::message_t part, bool more) {
      if (!error.empty() && first) return;
      try {
        auto flags = zmq::send_flags::dontwait;
        if (more) flags = flags | zmq::send_flags::sndmore;
        if (!socket.send(std::move(part), flags)) error = "not connected, or its queue is full";
      } catch (const zmq::error_t& e) {
        error = e.num() == EHOSTUNREACH ? "its connection is gone" : e.what();
      }
      if (error.empty()) first = false;
    };
    if (route != nullptr) send(zmq::message_t(route->data(), route->size()), true);
    for (std::size_t i = 0; i < frames.size(); ++i)
      send(ToMessage(std::move(frames[i])), i + 1 < frames.size());
    if (error.empty()) return {};
    return {ErrorCode::kUnavailable, "send to " + ToString(to) + ": " + error};
  }

  zmq::context_t& context;
  const std::optional<RunKey>& key;
  NodeId self;
  Options options;
  std::string endpoint;
  std::optional<zmq::socket_t> router;
  std::optional<Door> door;            // the router's
  std::map<NodeId, Peer> peers;        // that we connected to
  std::map<NodeId, Speaker> speakers;  // that connected to us
  std::uint32_t connections = 0;
  std::deque<Frames> ready;
  std::vector<zmq::pollitem_t> poll_items;
  std::vector<zmq::socket_t*> poll_sockets;
  bool poll_stale = true;
  std::size_t poll_first = 0;  // whose turn it is
};

ZmqTransport::ZmqTransport(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ZmqTransport::~ZmqTransport() = default;

Result<std::unique_ptr<ZmqTransport>> ZmqTransport::Create(ZmqContext& context, NodeId self,
                                                           Options options) {
  auto impl = std::make_unique<Impl>(context.impl_->context, context.impl_->key, self, options);
  if (!options.listen_host.empty()) {
    try {
      impl->router.emplace(impl->context, zmq::socket_type::router);
      impl->Configure(*impl->router, /*listens=*/true);
      impl->router->set(zmq::sockopt::router_mandatory, true);
      impl->router->set(zmq::sockopt::router_handover, true);
      impl->router->set(zmq::sockopt::backlog, kCallers);
      impl->door.emplace(impl->context, *impl->router, impl->key.has_value());
      const bool whole = options.listen_host.find("://") != std::string::npos;
      const std::string address = whole ? options.listen_host : "tcp://" + options.listen_host + ":*";
      // To cancel a handshake's timer ZeroMQ walks over those of all connections: a quarter of what a stranger costs. The door needs none
      // where it can tell who got in.
      if (impl->key && address.starts_with("tcp://")) impl->router->set(zmq::sockopt::handshake_ivl, 0);
      impl->router->bind(address);
      impl->endpoint = impl->router->get(zmq::sockopt::last_endpoint);
    } catch (const zmq::error_t& error) {
      return Error(ErrorCode::kIo,
                   ToString(self) + " cannot listen on \"" + options.listen_host + "\": " + error.what() +
                       "; expected an IPv4 address or network interface of this host, or an endpoint");
    }
  }
  return std::unique_ptr<ZmqTransport>(new ZmqTransport(std::move(impl)));
}

const std::string& ZmqTransport::endpoint() const { return impl_->endpoint; }

Status ZmqTransport::Connect(NodeId peer, const std::string& endpoint) {
  Disconnect(peer);
  try {
    zmq::socket_t socket(impl_->context, zmq::socket_type::dealer);
    impl_->Configure(socket, /*listens=*/false);
    const RoutingId id = ToRoutingId({impl_->self, impl_->options.incarnation, ++impl_->connections});
    socket.set(zmq::sockopt::routing_id, zmq::buffer(id));
    socket.set(zmq::sockopt::immediate, true);
    socket.connect(endpoint);
    zmq::pollitem_t item{socket.handle(), 0, ZMQ_POLLOUT, 0};
    try {
      zmq::poll(&item, 1, std::chrono::milliseconds(Milliseconds(impl_->options.connect_wait)));
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;
    }
    impl_->peers.emplace(peer, Impl::Peer{std::move(socket), endpoint});
  } catch (const zmq::error_t& error) {
    return {ErrorCode::kIo,
            "cannot connect to " + ToString(peer) + " at \"" + endpoint + "\": " + error.what()};
  }
  impl_->poll_stale = true;
  return {};
}

void ZmqTransport::Disconnect(NodeId peer) {
  if (impl_->peers.erase(peer) > 0) impl_->poll_stale = true;
}

Status ZmqTransport::Rename(NodeId self, std::uint32_t incarnation) {
  impl_->self = self;
  impl_->options.incarnation = incarnation;
  std::vector<std::pair<NodeId, std::string>> all;
  for (const auto& [node, peer] : impl_->peers) all.emplace_back(node, peer.endpoint);
  Status status;
  for (const auto& [node, endpoint] : all) {
    if (Status connected = Connect(node, endpoint); !connected.ok()) status = connected;
  }
  return status;
}

Status ZmqTransport::Send(NodeId to, Frames frames) {
  COHORT_CHECK(!frames.empty());
  if (auto peer = impl_->peers.find(to); peer != impl_->peers.end()) {
    Status status = impl_->SendParts(peer->second.socket, to, nullptr, std::move(frames));
    return status.ok() ? status : status.Within(peer->second.endpoint);
  }
  if (auto speaker = impl_->speakers.find(to); speaker != impl_->speakers.end()) {
    const RoutingId route = ToRoutingId(speaker->second);
    return impl_->SendParts(*impl_->router, to, &route, std::move(frames));
  }
  return {ErrorCode::kUnavailable, "send to " + ToString(to) + ": it has not connected, nor have we"};
}

std::uint64_t ZmqTransport::refused_peers() const { return impl_->door ? impl_->door->refused() : 0; }

std::optional<Frames> ZmqTransport::Receive(Duration timeout) {
  Impl& impl = *impl_;
  if (impl.ready.empty()) {
    if (impl.poll_stale) {
      impl.poll_items.clear();
      impl.poll_sockets.clear();
      if (impl.router) impl.poll_sockets.push_back(&*impl.router);
      for (auto& [node, peer] : impl.peers) impl.poll_sockets.push_back(&peer.socket);
      for (zmq::socket_t* socket : impl.poll_sockets)
        impl.poll_items.push_back({socket->handle(), 0, ZMQ_POLLIN, 0});
      if (impl.options.wake != nullptr)
        impl.poll_items.push_back({nullptr, impl.options.wake->file(), ZMQ_POLLIN, 0});
      impl.poll_stale = false;
      impl.poll_first = 0;
    }
    try {
      impl.Await(timeout);
      const std::size_t n = impl.poll_sockets.size();
      if (impl.options.wake != nullptr && (impl.poll_items[n].revents & ZMQ_POLLIN) != 0)
        impl.options.wake->TakeBack();
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t at = (impl.poll_first + i) % n;
        if ((impl.poll_items[at].revents & ZMQ_POLLIN) == 0) continue;
        impl.Drain(*impl.poll_sockets[at], impl.router && impl.poll_sockets[at] == &*impl.router);
      }
      if (n > 0) impl.poll_first = (impl.poll_first + 1) % n;
    } catch (const zmq::error_t& error) {
      // A signal: the caller looks why. Anything else here would be a bug of ours (a closed or foreign
      // socket).
      COHORT_CHECK(error.num() == EINTR, "%s", error.what());
    }
    if (impl.ready.empty()) return std::nullopt;
  }
  Frames frames = std::move(impl.ready.front());
  impl.ready.pop_front();
  return frames;
}

}  // namespace cohort
