// Frames: header, checksum, and what may be said of a frame before its body is read. Bodies: wire_bodies.h.
#include "common/wire.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/wire_bodies.h"

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

namespace cohort {
namespace {

struct Header {
  std::uint32_t magic = kWireMagic;
  std::uint16_t version = kWireVersion;
  std::uint16_t type = 0;
  std::uint64_t run_id = 0;
  std::uint32_t epoch = 0;
  std::uint32_t incarnation = 0;
  std::uint32_t term = 0;
  std::uint32_t generation = 0;
  std::uint32_t sender_index = 0;
  std::uint8_t sender_role = 0;
  std::uint8_t receiver_role = 0;
  std::uint8_t bulk_frames = 0;
  std::uint8_t reserved0 = 0;
  std::uint32_t receiver_index = 0;
  std::uint32_t body_bytes = 0;
  std::uint64_t bulk_bytes[kMaxBulkFrames] = {};
  std::uint64_t checksum = 0;
  std::uint64_t reserved1 = 0;
};
static_assert(sizeof(Header) == kHeaderBytes && std::has_unique_object_representations_v<Header>);

struct TypeInfo {
  const char* name;
  std::uint8_t bulk_frames;
  bool is_request;
};
// By Message's index.
constexpr TypeInfo kTypes[] = {
    {"PullRequest", 1, true},      {"PullReply", 1, false},    {"PullParked", 0, false},
    {"PushRequest", 4, true},      {"PushReply", 0, false},    {"CloseRequest", 0, true},
    {"CloseReply", 0, false},      {"ErrorReply", 0, false},   {"Register", 0, true},
    {"RegisterPending", 0, false}, {"Welcome", 0, false},      {"Heartbeat", 0, true},
    {"HeartbeatReply", 0, false},  {"PhaseOrder", 0, true},    {"PhaseReply", 0, false},
    {"PhaseDone", 1, true},        {"LeaseRequest", 0, true},  {"LeaseReply", 0, false},
    {"ScoreBlock", 1, true},       {"SnapshotOrder", 0, true}, {"SnapshotDone", 0, true},
    {"Failure", 0, true},          {"Ack", 0, false},          {"Warning", 0, true},
    {"FenceOrder", 0, true},       {"FenceDone", 0, false},    {"CheckpointOrder", 0, true},
    {"CheckpointDone", 0, true},   {"ReplicaPush", 4, false},  {"ReplicaEvent", 0, false},
    {"ReplicaRows", 3, false},     {"ReplicaState", 1, false}, {"ReplicaAck", 0, false},
    {"BackupOrder", 0, true},      {"BackupReady", 0, true},   {"PromoteOrder", 0, true},
    {"ShardMoved", 0, true}};
constexpr std::size_t kTypeCount = std::size(kTypes);
static_assert(kTypeCount == std::variant_size_v<Message>);
static_assert(std::is_same_v<std::variant_alternative_t<18, Message>, ScoreBlock> &&
              std::is_same_v<std::variant_alternative_t<22, Message>, Ack>);

// `frame` is header and body; the header's own checksum field counts as 0.
std::uint64_t Checksum(const Header& header, std::span<const std::byte> body, std::span<const Buffer> bulk) {
  Header blank = header;
  blank.checksum = 0;
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, &blank, sizeof(blank));
  XXH3_64bits_update(&state, body.data(), body.size());
  for (const Buffer& buffer : bulk) XXH3_64bits_update(&state, buffer.data(), buffer.size());
  return XXH3_64bits_digest(&state);
}

bool KnownNode(std::uint8_t role, std::uint32_t index) {
  switch (static_cast<Role>(role)) {
    case Role::kScheduler:
      return index == 0;
    case Role::kShard:
    case Role::kBackup:
      return index < static_cast<std::uint32_t>(kMaxShards);
    case Role::kWorker:
      return true;
  }
  return false;
}

// Header, sizes and checksum. Empty: all is well.
std::string ReadHeader(const Frames& frames, Header* header) {
  if (frames.empty() || frames[0].size() < kHeaderBytes) return "shorter than a header";
  std::memcpy(header, frames[0].data(), kHeaderBytes);
  if (header->magic != kWireMagic) return "not a message of Cohort";
  if (header->version != kWireVersion) {
    return "protocol version " + std::to_string(header->version) + ", this program speaks " +
           std::to_string(kWireVersion);
  }
  if (header->type >= kTypeCount) return "an unknown type, " + std::to_string(header->type);
  if (header->body_bytes > kMaxBodyBytes) return "a body of " + std::to_string(header->body_bytes) + " bytes";
  if (frames[0].size() != kHeaderBytes + header->body_bytes) return "a body of another size than announced";
  if (header->bulk_frames != kTypes[header->type].bulk_frames || frames.size() != 1u + header->bulk_frames) {
    return "another number of frames than its type has";
  }
  for (std::size_t i = 0; i < kMaxBulkFrames; ++i) {
    const std::size_t size = i < header->bulk_frames ? frames[i + 1].size() : 0;
    if (header->bulk_bytes[i] != size || size > kMaxBulkBytes)
      return "a bulk frame of another size than announced";
  }
  if (header->reserved0 != 0 || header->reserved1 != 0) {
    return "a reserved field that is not 0";
  }
  if (!KnownNode(header->sender_role, header->sender_index) ||
      !KnownNode(header->receiver_role, header->receiver_index)) {
    return "a sender or receiver that cannot be";
  }
  const std::span body(frames[0].data() + kHeaderBytes, header->body_bytes);
  const std::span bulk(frames.data() + 1, header->bulk_frames);
  if (header->checksum != Checksum(*header, body, bulk)) return "a wrong checksum";
  return {};
}

Stamp StampOf(const Header& header) {
  return {{static_cast<Role>(header.sender_role), header.sender_index},
          header.run_id,
          header.epoch,
          header.incarnation,
          header.term,
          header.generation};
}
NodeId ReceiverOf(const Header& header) {
  return {static_cast<Role>(header.receiver_role), header.receiver_index};
}

Buffer Aligned(const Buffer& buffer) {
  if (reinterpret_cast<std::uintptr_t>(buffer.data()) % 8 == 0) return buffer;
  auto copy = std::make_shared_for_overwrite<std::byte[]>(buffer.size());
  std::memcpy(copy.get(), buffer.data(), buffer.size());
  const void* data = copy.get();
  return Buffer(std::move(copy), data, buffer.size());
}

}  // namespace

Frames Encode(const Stamp& stamp, NodeId receiver, const Message& message) {
  Header header;
  header.type = static_cast<std::uint16_t>(message.index());
  header.run_id = stamp.run_id;
  header.epoch = stamp.epoch;
  header.incarnation = stamp.incarnation;
  header.term = stamp.term;
  header.generation = stamp.generation;
  header.sender_role = static_cast<std::uint8_t>(stamp.sender.role);
  header.sender_index = stamp.sender.index;
  header.receiver_role = static_cast<std::uint8_t>(receiver.role);
  header.receiver_index = receiver.index;
  header.bulk_frames = kTypes[header.type].bulk_frames;

  std::vector<std::byte> frame(kHeaderBytes);
  std::array<Buffer, kMaxBulkFrames> bulk;
  wire::PutMessage(message, {frame, bulk});
  COHORT_CHECK(frame.size() <= kHeaderBytes + kMaxBodyBytes, "%s of %zu bytes", MessageName(message),
               frame.size());
  header.body_bytes = static_cast<std::uint32_t>(frame.size() - kHeaderBytes);
  for (std::size_t i = 0; i < header.bulk_frames; ++i) {
    COHORT_CHECK(bulk[i].size() <= kMaxBulkBytes, "%s of %zu bytes", MessageName(message), bulk[i].size());
    header.bulk_bytes[i] = bulk[i].size();
  }
  header.checksum =
      Checksum(header, std::span(frame).subspan(kHeaderBytes), std::span(bulk).first(header.bulk_frames));
  std::memcpy(frame.data(), &header, kHeaderBytes);

  Frames frames;
  frames.reserve(1u + header.bulk_frames);
  frames.push_back(Buffer::Own(std::move(frame)));
  for (std::size_t i = 0; i < header.bulk_frames; ++i) frames.push_back(std::move(bulk[i]));
  return frames;
}

Result<Decoded> Decode(const Frames& frames) {
  Header header;
  if (std::string why = ReadHeader(frames, &header); !why.empty()) {
    return Error(ErrorCode::kCorrupt, "message refused: " + why);
  }
  std::array<Buffer, kMaxBulkFrames> bulk;
  for (std::size_t i = 0; i < header.bulk_frames; ++i) bulk[i] = Aligned(frames[i + 1]);
  Decoded decoded{StampOf(header), ReceiverOf(header), {}};
  std::string why;
  const wire::Source source{std::span(frames[0].data() + kHeaderBytes, header.body_bytes),
                            std::span(bulk).first(header.bulk_frames), &why};
  if (!wire::GetMessage(header.type, source, &decoded.message)) {
    return Error(ErrorCode::kCorrupt, std::string(kTypes[header.type].name) + " of " +
                                          ToString(decoded.stamp.sender) + " refused: " + why);
  }
  return decoded;
}

std::optional<Origin> ReadOrigin(const Frames& frames) {
  Header header;
  if (!ReadHeader(frames, &header).empty()) return std::nullopt;
  Origin origin{StampOf(header), ReceiverOf(header), 0, kTypes[header.type].is_request};
  if (header.body_bytes >= sizeof(RequestId)) {
    std::memcpy(&origin.request_id, frames[0].data() + kHeaderBytes, sizeof(RequestId));
  }
  return origin;
}

std::size_t SizeOf(const Frames& frames) {
  std::size_t size = 0;
  for (const Buffer& frame : frames) size += frame.size();
  return size;
}

const char* MessageName(const Message& message) { return kTypes[message.index()].name; }

RequestId RequestIdOf(const Message& message) {
  return std::visit([](const auto& m) { return m.request_id; }, message);
}

}  // namespace cohort
