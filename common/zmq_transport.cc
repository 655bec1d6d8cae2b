#include "common/zmq_transport.h"

#include <algorithm>
#include <array>
#include <chrono>
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

}  // namespace

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
    socket.set(opt::handshake_ivl, 5000);
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

  // Asks ZeroMQ to tell of connections to the router, and which of them come to something. (It does not tell of all that fail.)
  void WatchDoor() {
    const std::string address = "inproc://door." + std::to_string(reinterpret_cast<std::uintptr_t>(this));
    constexpr int kEvents = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
    if (::zmq_socket_monitor(router->handle(), address.c_str(), kEvents) != 0) throw zmq::error_t();
    door.emplace(context, zmq::socket_type::pair);
    door->set(zmq::sockopt::rcvhwm, 0);
    door->set(zmq::sockopt::linger, 0);
    door->connect(address);
  }

  // An event is a message of two parts: its number and a value, and an address.
  void CountCallers() {
    zmq::message_t part;
    while (door->recv(part, zmq::recv_flags::dontwait)) {
      std::uint16_t event = 0;
      if (!part.more() || part.size() < sizeof event) continue;
      std::memcpy(&event, part.data(), sizeof event);
      ++(event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? admitted : callers);
    }
  }

  // Waits for a message, or a wake-up; what callers do at the door is no reason to come back.
  void Await(Duration timeout) {
    const auto end = std::chrono::steady_clock::now() + std::min<Duration>(timeout, std::chrono::hours(1));
    for (Duration left = timeout;; left = end - std::chrono::steady_clock::now()) {
      const int events =
          zmq::poll(poll_items, std::chrono::milliseconds(Milliseconds(std::max(left, Duration::zero()))));
      if (!door || (poll_items.back().revents & ZMQ_POLLIN) == 0) return;
      CountCallers();
      if (events > 1 || std::chrono::steady_clock::now() >= end) return;
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
  std::optional<zmq::socket_t> door;  // what happens to connections to the router before they are any
  std::uint64_t callers = 0, admitted = 0;
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
      impl->WatchDoor();
      const bool whole = options.listen_host.find("://") != std::string::npos;
      impl->router->bind(whole ? options.listen_host : "tcp://" + options.listen_host + ":*");
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

std::uint64_t ZmqTransport::refused_peers() const {
  return impl_->callers - std::min(impl_->admitted, impl_->callers);
}

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
      if (impl.door) impl.poll_items.push_back({impl.door->handle(), 0, ZMQ_POLLIN, 0});
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
