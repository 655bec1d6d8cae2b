// Fixed bodies: the data plane, and ScoreBlock.
#include <cmath>
#include <cstring>
#include <type_traits>

#include "common/float16.h"
#include "common/wire_bodies.h"

namespace cohort::wire {
namespace {

struct PullRequestBody {
  RequestId request_id;
  Clock clock;
  std::uint32_t phase;
  std::uint16_t table;
  std::uint8_t absent, keep;
  std::uint8_t type, reserved[7];
};
struct PullReplyBody {
  RequestId request_id;
  std::uint32_t dim, absent_rows;
  std::uint16_t table;
  std::uint8_t type, reserved[5];
  Clock applied_to;
};
struct PullParkedBody {
  RequestId request_id;
  Clock its_closed;
  std::uint32_t waiting_for, reserved;
};
struct PushRequestBody {
  RequestId request_id;
  Clock clock;
  std::uint32_t phase, dim;
  std::uint16_t table, node;
  std::uint8_t type, reserved[3];
  RequestId pull;
};
struct ReplicaPushBody {
  RequestId request_id;
  std::uint32_t worker, reserved;
  PushRequestBody push;
};
struct ReplicaRowsBody {
  RequestId request_id;
  std::uint16_t table;
  std::uint8_t reserved[6];
};
struct PushReplyBody {
  RequestId request_id;
  std::uint32_t applied_parts, duplicate_parts;
};
struct CloseRequestBody {
  RequestId request_id;
  Clock clock;
  std::uint32_t phase, reserved;
};
struct CloseReplyBody {
  RequestId request_id;
};
struct ScoreBlockBody {
  RequestId request_id;
  std::uint64_t lease, first_row;
  std::uint32_t phase, rows, prediction_columns;
  std::uint8_t last_of_lease, reserved[3];
};
static_assert(sizeof(GroupRun) == 8 && sizeof(PushRequestBody) == 40 && sizeof(ScoreBlockBody) == 40);

template <typename Body>
void PutBody(const Body& body, Parts parts) {
  static_assert(std::has_unique_object_representations_v<Body>);
  const std::size_t at = parts.body.size();
  parts.body.resize(at + sizeof(Body));
  std::memcpy(parts.body.data() + at, &body, sizeof(Body));
}
template <typename Body>
bool GetBody(const Source& in, Body* body) {
  if (in.body.size() != sizeof(Body)) {
    return in.Wrong("a body of " + std::to_string(in.body.size()) + " bytes, expected " +
                    std::to_string(sizeof(Body)));
  }
  std::memcpy(body, in.body.data(), sizeof(Body));
  return true;
}

// `rows` rows of `width` elements of `element` bytes fill the bulk array exactly.
bool Fills(const Buffer& bulk, std::uint64_t rows, std::uint64_t width, std::uint64_t element) {
  // rows <= 2^32, width <= 2^32: the product with element (<= 8) may exceed 64 bits.
  return static_cast<unsigned __int128>(rows) * width * element == bulk.size();
}

template <std::size_t N>
bool AllZero(const std::uint8_t (&bytes)[N]) {
  std::uint8_t any = 0;
  for (const std::uint8_t byte : bytes) any |= byte;
  return any == 0;
}
bool KnownType(std::uint8_t type) { return type <= static_cast<std::uint8_t>(FloatType::kFloat16); }

}  // namespace

// ---------------------------------------------------------------- one Put and one Get per message

void Put(const PullRequest& m, Parts parts) {
  PutBody(PullRequestBody{m.request_id,
                          m.clock,
                          m.phase,
                          m.table,
                          static_cast<std::uint8_t>(m.absent),
                          static_cast<std::uint8_t>(m.keep),
                          static_cast<std::uint8_t>(m.type),
                          {}},
          parts);
  parts.bulk[0] = m.keys;
}
bool Get(const Source& in, PullRequest* m) {
  PullRequestBody body;
  if (!GetBody(in, &body)) return false;
  if (body.absent > 1 || body.keep > 1 || !AllZero(body.reserved) || !KnownType(body.type)) {
    return in.Wrong("a value out of range");
  }
  if (body.clock < 0) return in.Wrong("a negative clock");
  if (in.bulk[0].size() % sizeof(Key) != 0) return in.Wrong("keys that are not a multiple of 8 bytes");
  *m = {body.request_id,
        body.phase,
        body.clock,
        body.table,
        static_cast<AbsentRow>(body.absent),
        in.bulk[0],
        body.keep != 0,
        static_cast<FloatType>(body.type)};
  return true;
}

void Put(const PullReply& m, Parts parts) {
  PutBody(
      PullReplyBody{
          m.request_id, m.dim, m.absent_rows, m.table, static_cast<std::uint8_t>(m.type), {}, m.applied_to},
      parts);
  parts.bulk[0] = m.values;
}
bool Get(const Source& in, PullReply* m) {
  PullReplyBody body;
  if (!GetBody(in, &body)) return false;
  if (!AllZero(body.reserved) || !KnownType(body.type)) return in.Wrong("a value out of range");
  if (body.dim < 1 || body.dim > kMaxDim) return in.Wrong("rows of " + std::to_string(body.dim) + " values");
  const auto type = static_cast<FloatType>(body.type);
  const std::uint64_t rows = in.bulk[0].size() / (SizeOf(type) * body.dim);
  if (!Fills(in.bulk[0], rows, body.dim, SizeOf(type))) return in.Wrong("values that do not fill whole rows");
  if (body.absent_rows > rows) return in.Wrong("more absent rows than rows");
  if (body.applied_to < -1) return in.Wrong("a negative clock");
  *m = {body.request_id, body.table, body.dim, body.absent_rows, in.bulk[0], type, body.applied_to};
  return true;
}

void Put(const PullParked& m, Parts parts) {
  PutBody(PullParkedBody{m.request_id, m.its_closed, m.waiting_for, 0}, parts);
}
bool Get(const Source& in, PullParked* m) {
  PullParkedBody body;
  if (!GetBody(in, &body)) return false;
  if (body.reserved != 0) return in.Wrong("a value out of range");
  *m = {body.request_id, body.waiting_for, body.its_closed};
  return true;
}

static PushRequestBody BodyOf(const PushRequest& m) {
  return {m.request_id, m.clock, m.phase, m.dim, m.table, m.node, static_cast<std::uint8_t>(m.type),
          {},           m.pull};
}
static void PutArrays(const PushRequest& m, Parts parts) {
  parts.bulk[0] = m.runs;
  parts.bulk[1] = m.pull == 0 ? m.keys : m.rows;
  parts.bulk[2] = m.values;
  parts.bulk[3] = m.counts;
}
void Put(const PushRequest& m, Parts parts) {
  PutBody(BodyOf(m), parts);
  PutArrays(m, parts);
}
static bool GetPush(const Source& in, const PushRequestBody& body, PushRequest* m) {
  if (!AllZero(body.reserved) || !KnownType(body.type) || body.node < 1)
    return in.Wrong("a value out of range");
  if (body.clock < 0) return in.Wrong("a negative clock");
  if (body.dim < 1 || body.dim > kMaxDim) return in.Wrong("rows of " + std::to_string(body.dim) + " values");
  const Buffer &runs = in.bulk[0], &names = in.bulk[1], &values = in.bulk[2];
  const std::size_t value_bytes = SizeOf(static_cast<FloatType>(body.type));
  const std::size_t name_bytes = body.pull == 0 ? sizeof(Key) : sizeof(std::uint32_t);
  std::uint64_t rows = names.size() / name_bytes;
  if (!Fills(names, rows, 1, name_bytes)) {
    return in.Wrong("keys or rows that are not a multiple of " + std::to_string(name_bytes) + " bytes");
  }
  // Without names: all rows of the pull.
  if (body.pull != 0 && names.empty()) rows = values.size() / (value_bytes * body.dim);
  if (!Fills(values, rows, body.dim, value_bytes)) return in.Wrong("values that do not match the keys");
  if (!in.bulk[3].empty() && !Fills(in.bulk[3], rows, 1, sizeof(std::uint32_t))) {
    return in.Wrong("counts that do not match the keys");
  }
  if (runs.size() % sizeof(GroupRun) != 0 || runs.size() / sizeof(GroupRun) > kSlotGroupCount) {
    return in.Wrong("slot groups of " + std::to_string(runs.size()) + " bytes");
  }
  std::uint64_t covered = 0;
  std::int64_t last_group = -1;
  for (const GroupRun& run : runs.As<GroupRun>()) {
    if (run.group >= kSlotGroupCount || run.group <= last_group || run.rows == 0) {
      return in.Wrong("slot groups that do not ascend");
    }
    last_group = run.group;
    covered += run.rows;
  }
  if (covered != rows) return in.Wrong("slot groups that do not cover the keys");
  *m = {body.request_id,
        body.phase,
        body.clock,
        body.table,
        body.node,
        body.dim,
        runs,
        {},
        values,
        in.bulk[3],
        body.pull,
        {},
        static_cast<FloatType>(body.type)};
  (body.pull == 0 ? m->keys : m->rows) = names;
  return true;
}
bool Get(const Source& in, PushRequest* m) {
  PushRequestBody body;
  return GetBody(in, &body) && GetPush(in, body, m);
}

void Put(const ReplicaPush& m, Parts parts) {
  PutBody(ReplicaPushBody{m.request_id, m.worker, 0, BodyOf(m.push)}, parts);
  PutArrays(m.push, parts);
}
bool Get(const Source& in, ReplicaPush* m) {
  ReplicaPushBody body;
  if (!GetBody(in, &body) || !GetPush(in, body.push, &m->push)) return false;
  if (body.reserved != 0 || body.push.pull != 0) return in.Wrong("a value out of range");
  m->request_id = body.request_id;
  m->worker = body.worker;
  return true;
}

void Put(const ReplicaRows& m, Parts parts) {
  PutBody(ReplicaRowsBody{m.request_id, m.table, {}}, parts);
  parts.bulk[0] = m.positions;
  parts.bulk[1] = m.words;
  parts.bulk[2] = m.statistics;
}
bool Get(const Source& in, ReplicaRows* m) {
  ReplicaRowsBody body;
  if (!GetBody(in, &body)) return false;
  if (!AllZero(body.reserved)) return in.Wrong("a value out of range");
  const Buffer &positions = in.bulk[0], &words = in.bulk[1], &statistics = in.bulk[2];
  const std::uint64_t rows = positions.size() / sizeof(std::uint64_t);
  if (rows == 0 || !Fills(positions, rows, 1, sizeof(std::uint64_t)))
    return in.Wrong("positions that are not a multiple of 8 bytes");
  if (words.empty() || words.size() % (rows * sizeof(float)) != 0)
    return in.Wrong("words that do not fill whole rows");
  if (!statistics.empty() && statistics.size() != positions.size())
    return in.Wrong("statistics that do not match the rows");
  *m = {body.request_id, body.table, positions, words, statistics};
  return true;
}

void Put(const PushReply& m, Parts parts) {
  PutBody(PushReplyBody{m.request_id, m.applied_parts, m.duplicate_parts}, parts);
}
bool Get(const Source& in, PushReply* m) {
  PushReplyBody body;
  if (!GetBody(in, &body)) return false;
  *m = {body.request_id, body.applied_parts, body.duplicate_parts};
  return true;
}

void Put(const CloseRequest& m, Parts parts) {
  PutBody(CloseRequestBody{m.request_id, m.clock, m.phase, 0}, parts);
}
bool Get(const Source& in, CloseRequest* m) {
  CloseRequestBody body;
  if (!GetBody(in, &body)) return false;
  if (body.reserved != 0) return in.Wrong("a value out of range");
  if (body.clock < 0) return in.Wrong("a negative clock");
  *m = {body.request_id, body.phase, body.clock};
  return true;
}

void Put(const CloseReply& m, Parts parts) { PutBody(CloseReplyBody{m.request_id}, parts); }
bool Get(const Source& in, CloseReply* m) {
  CloseReplyBody body;
  if (!GetBody(in, &body)) return false;
  *m = {body.request_id};
  return true;
}

void Put(const ScoreBlock& m, Parts parts) {
  PutBody(ScoreBlockBody{m.request_id,
                         m.lease,
                         m.first_row,
                         m.phase,
                         m.rows,
                         m.prediction_columns,
                         static_cast<std::uint8_t>(m.last_of_lease),
                         {}},
          parts);
  parts.bulk[0] = m.predictions;
}
bool Get(const Source& in, ScoreBlock* m) {
  ScoreBlockBody body;
  if (!GetBody(in, &body)) return false;
  if (!AllZero(body.reserved) || body.last_of_lease > 1) return in.Wrong("a value out of range");
  if (!Fills(in.bulk[0], body.rows, body.prediction_columns, sizeof(float))) {
    return in.Wrong("predictions that do not match the rows");
  }
  *m = {body.request_id,         body.phase, body.lease, body.last_of_lease != 0, body.first_row, body.rows,
        body.prediction_columns, in.bulk[0]};
  return true;
}

}  // namespace cohort::wire
