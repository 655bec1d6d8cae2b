// ZmqTransport: a Transport over ZeroMQ. One ROUTER accepts connections, a DEALER per peer opens them;
// replies go back over the connection on which the peer spoke last.
//
// ZeroMQ loses messages silently in several ways; here is what closes each. Unknown or vanished peers:
// MANDATORY routing, an error. Full queues: none are limited by count (the protocol's byte credits bound
// them) and sends never block. Peers not connected: IMMEDIATE, so that nothing piles up for a peer that is
// gone; Connect waits a moment for the handshake. Peers that stop answering: heartbeats close the connection,
// and the DEALER opens it again. What is lost all the same is sent again by the roles.
//
// With a key (run_key.h) all connections are encrypted, and nobody is let in who does not have it: the ROUTER is CURVE's server, and a
// thread of the context answers ZeroMQ's question who may enter (ZAP, ZeroMQ RFC 27). With a key or without, whoever connects and does
// not get through ZeroMQ's handshake (noise, another protocol, another key, silence) is closed after 5 s and counted; at most 512 at once are
// in the middle of it (an eighth of the process's files, if that is less), and of more the first who came are closed at once.
//
// Zero copy: a received frame's Buffer holds the ZeroMQ message; a sent Buffer of kCopyBelow bytes or more is
// held by ZeroMQ until it is on the wire, and released on its I/O thread.
#ifndef COHORT_COMMON_ZMQ_TRANSPORT_H_
#define COHORT_COMMON_ZMQ_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/run_key.h"
#include "common/status.h"
#include "common/transport.h"
#include "common/types.h"
#include "common/wake_signal.h"

namespace cohort {

// The I/O threads, and the key that the transports speak with: one per process, shared by its transports, and outliving them. Thread-safe.
class ZmqContext {
 public:
  explicit ZmqContext(int io_threads = 1, const std::optional<RunKey>& key = std::nullopt);
  ~ZmqContext();  // returns within the transports' linger
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;

 private:
  friend class ZmqTransport;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One thread at a time.
class ZmqTransport : public Transport {
 public:
  struct Options {
    // The IPv4 address (or interface) to listen on, at a port that the operating system chooses; or a whole
    // endpoint, e.g. "ipc://@name" for a Unix-domain socket (abstract: no file); empty: do not listen.
    std::string listen_host = "127.0.0.1";
    std::uint32_t incarnation = 0;  // a replaced process's connections win over its predecessor's
    Duration linger = std::chrono::milliseconds(500);  // for what is still unsent at destruction
    Duration connect_wait =
        std::chrono::milliseconds(500);                // for the handshake in Connect; it goes on after that
    Duration peer_silence = std::chrono::seconds(20);  // until a connection without a sign of life is closed
    WakeSignal* wake = nullptr;  // ends the wait in Receive, which takes it back; must outlive the transport
  };
  static constexpr std::size_t kCopyBelow = 4096;

  // Errors: kIo when the address cannot be listened on.
  static Result<std::unique_ptr<ZmqTransport>> Create(ZmqContext& context, NodeId self, Options options);
  ~ZmqTransport() override;

  // Where others reach this transport: "tcp://127.0.0.1:41234"; empty when it does not listen.
  const std::string& endpoint() const;

  Status Connect(NodeId peer, const std::string& endpoint) override;
  void Disconnect(NodeId peer) override;
  Status Rename(NodeId self, std::uint32_t incarnation) override;
  Status Send(NodeId to, Frames frames) override;
  std::optional<Frames> Receive(Duration timeout) override;  // also returns nothing when a signal arrives
  std::uint64_t refused_peers() const override;

 private:
  struct Impl;
  explicit ZmqTransport(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_ZMQ_TRANSPORT_H_
