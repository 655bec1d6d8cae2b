// The bodies of messages and their bulk arrays, for wire.cc alone: what is between a frame's header and a message.
// Bodies of the data plane and of ScoreBlock are fixed structs (wire_data.cc), all others are written by Cereal, with
// bounds (wire_control.cc). docs/protocol.md has the bytes.
#ifndef COHORT_COMMON_WIRE_BODIES_H_
#define COHORT_COMMON_WIRE_BODIES_H_

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/buffer.h"
#include "common/message.h"
#include "common/wire.h"

namespace cohort::wire {

// What Put fills: the body, behind what is there already, and the bulk arrays in order.
struct Parts {
  std::vector<std::byte>& body;
  std::array<Buffer, kMaxBulkFrames>& bulk;
};
// What Get reads from; the reason of the first thing that is wrong.
struct Source {
  std::span<const std::byte> body;
  std::span<const Buffer> bulk;
  std::string* why;
  bool Wrong(std::string text) const {
    *why = std::move(text);
    return false;
  }
};

// Of any message; free texts that are too long are cut.
void PutMessage(const Message& message, Parts parts);
// `type`: Message's index. False: `in.why` says what cannot be.
bool GetMessage(std::size_t type, const Source& in, Message* message);

// ---- fixed bodies
void Put(const PullRequest& m, Parts parts);
bool Get(const Source& in, PullRequest* m);
void Put(const PullReply& m, Parts parts);
bool Get(const Source& in, PullReply* m);
void Put(const PullParked& m, Parts parts);
bool Get(const Source& in, PullParked* m);
void Put(const PushRequest& m, Parts parts);
bool Get(const Source& in, PushRequest* m);
void Put(const ReplicaPush& m, Parts parts);
bool Get(const Source& in, ReplicaPush* m);
void Put(const ReplicaRows& m, Parts parts);
bool Get(const Source& in, ReplicaRows* m);
void Put(const PushReply& m, Parts parts);
bool Get(const Source& in, PushReply* m);
void Put(const CloseRequest& m, Parts parts);
bool Get(const Source& in, CloseRequest* m);
void Put(const CloseReply& m, Parts parts);
bool Get(const Source& in, CloseReply* m);
void Put(const ScoreBlock& m, Parts parts);
bool Get(const Source& in, ScoreBlock* m);

}  // namespace cohort::wire

#endif  // COHORT_COMMON_WIRE_BODIES_H_
