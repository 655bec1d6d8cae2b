// Messages to frames and back. docs/protocol.md gives every message byte for byte.
//
// Frame 0 is a fixed header of kHeaderBytes and, right behind it, the message's body; each bulk array (keys,
// values, …) is a frame of its own and is never copied by Encode. All numbers are little-endian.
//
//   offset size field
//        0    4 magic "CHRT"              40    4 receiver: index
//        4    2 version                   44    4 body bytes
//        6    2 type (Message's index)    48   32 bytes of bulk frame 0, 1, 2, 3 (0 when there is none)
//        8    8 run id                    80    8 checksum: XXH3-64 of header (with this field 0), body, bulk
//        frames
//       16    4 epoch                     88    8 reserved, 0
//       20    4 incarnation
//       24    4 term
//       28    4 slot-map generation
//       32    4 sender: index
//       36    1 sender: role   37  1 receiver: role   38  1 number of bulk frames   39  1 reserved, 0
//
// Bodies of the data plane and of ScoreBlock are fixed structs; all others are written by Cereal. Every body
// begins with the request id.
#ifndef COHORT_COMMON_WIRE_H_
#define COHORT_COMMON_WIRE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "common/message.h"
#include "common/status.h"
#include "common/transport.h"

namespace cohort {

inline constexpr std::uint32_t kWireMagic = 0x54524843;  // "CHRT"
inline constexpr std::uint16_t kWireVersion = 11;
inline constexpr std::size_t kHeaderBytes = 96;
inline constexpr std::size_t kMaxBulkFrames = 4;
// Limits of what may be sent; what is larger is refused before it is read.
inline constexpr std::size_t kMaxBodyBytes = 1u << 20;
inline constexpr std::size_t kMaxBulkBytes = 256u << 20;
inline constexpr std::uint32_t kMaxDim = 1u << 16;  // floats per row
// Free texts (errors, "waiting for …") longer than this are cut by Encode.
inline constexpr std::size_t kMaxTextBytes = 16u << 10;

struct Decoded {
  Stamp stamp;
  NodeId receiver;
  Message message;
};

// What can be said of a frame whose content makes no sense although its checksum matches.
struct Origin {
  Stamp stamp;
  NodeId receiver;
  RequestId request_id = 0;
  bool is_request = false;  // its sender waits for a reply: tell it (ErrorReply)
};

// REQUIRES: the body fits kMaxBodyBytes (the run configuration is the only text that could exceed it; its
// size is checked where it is read) and every bulk array fits kMaxBulkBytes.
Frames Encode(const Stamp& stamp, NodeId receiver, const Message& message);

// Checks everything that can be checked without knowing the run: sizes, counts, checksum, ranges of
// enumerations, agreement of the arrays of a message. Memory allocated is bounded by a small multiple of the
// bytes received. Bulk arrays come back 8-byte aligned (copied only when they arrived otherwise). Errors:
// kCorrupt.
Result<Decoded> Decode(const Frames& frames);

// Who sent a frame that Decode refused; nothing if not even header and checksum are right.
std::optional<Origin> ReadOrigin(const Frames& frames);

// Bytes that the frames take on the wire, without the transport's own.
std::size_t SizeOf(const Frames& frames);

const char* MessageName(const Message& message);  // "PullRequest"
RequestId RequestIdOf(const Message& message);

}  // namespace cohort

#endif  // COHORT_COMMON_WIRE_H_
