// Moves frames between nodes. ZmqTransport is the real one (its ROUTER accepts, a DEALER per peer connects).
#ifndef COHORT_COMMON_TRANSPORT_H_
#define COHORT_COMMON_TRANSPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/buffer.h"
#include "common/status.h"
#include "common/types.h"

namespace cohort {

// One message on the wire: header and body in the first frame, then a frame per bulk array (wire.h).
using Frames = std::vector<Buffer>;

// Not thread-safe: one thread owns a transport.
class Transport {
 public:
  virtual ~Transport() = default;
  // Opens a connection to a peer that listens on `endpoint`; replaces an older one to the same node.
  virtual Status Connect(NodeId peer, const std::string& endpoint) = 0;
  virtual void Disconnect(NodeId peer) = 0;
  // From now on others know this end by another name: all connections that it opened are opened anew.
  virtual Status Rename(NodeId self, std::uint32_t incarnation) = 0;
  // Never blocks. Delivery is not promised (the protocol retries); a peer that is unknown or whose queue is full is an
  // error here, never silence.
  virtual Status Send(NodeId to, Frames frames) = 0;
  // The next message, or nothing when `timeout` has passed.
  virtual std::optional<Frames> Receive(Duration timeout) = 0;
  // Connections that others opened to this end and that came to nothing: no handshake, or not with the key; those in the middle of it
  // count too. As seen by Receive.
  virtual std::uint64_t refused_peers() const { return 0; }
};

}  // namespace cohort

#endif  // COHORT_COMMON_TRANSPORT_H_
