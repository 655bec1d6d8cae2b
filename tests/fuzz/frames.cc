#include "tests/fuzz/frames.h"

#include <xxhash.h>

#include <cstring>
#include <memory>
#include <string>
#include <variant>

#include "common/wire.h"
#include "tests/fuzz/fuzz.h"

namespace cohort::fuzz {
namespace {

constexpr std::size_t kVersionAt = 4, kBulkFramesAt = 38, kBodyBytesAt = 44, kBulkBytesAt = 48,
                      kChecksumAt = 80;

template <typename T>
void Set(std::string* bytes, std::size_t at, T value) {
  std::memcpy(bytes->data() + at, &value, sizeof(value));
}

std::string_view BytesOf(const Buffer& buffer) {
  return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
}

// Receivers read arrays as numbers without looking at sizes again.
void UseValues(const Buffer& values, FloatType type) {
  type == FloatType::kFloat32 ? (void)values.As<float>() : (void)values.As<std::uint16_t>();
}
void UseArrays(const PullRequest& m) { (void)m.keys.As<Key>(); }
void UseArrays(const PullReply& m) { UseValues(m.values, m.type); }
void UseArrays(const PushRequest& m) {
  std::uint64_t rows = 0;
  for (const GroupRun& run : m.runs.As<GroupRun>()) rows += run.rows;
  COHORT_CHECK(m.pull != 0 || m.keys.As<Key>().size() == rows);
  COHORT_CHECK(m.rows.empty() || m.rows.As<std::uint32_t>().size() == rows);
  COHORT_CHECK(m.counts.empty() || m.counts.As<std::uint32_t>().size() == rows);
  COHORT_CHECK(m.values.size() == rows * m.dim * SizeOf(m.type));
  UseValues(m.values, m.type);
}
void UseArrays(const ScoreBlock& m) {
  COHORT_CHECK(m.predictions.As<float>().size() == std::uint64_t{m.rows} * m.prediction_columns);
}
template <typename M>
void UseArrays(const M&) {}

}  // namespace

Buffer Frame(std::string_view bytes, bool aligned) {
  const std::size_t begin = aligned ? 0 : 1;
  const std::shared_ptr<char[]> memory(new char[begin + bytes.size()]);
  if (!bytes.empty()) std::memcpy(memory.get() + begin, bytes.data(), bytes.size());
  return Buffer(memory, memory.get() + begin, bytes.size());
}

void Seal(Frames* frames) {
  std::string first(BytesOf(frames->at(0)));
  COHORT_CHECK(first.size() >= kHeaderBytes && frames->size() <= 1 + kMaxBulkFrames);
  Set(&first, kVersionAt, kWireVersion);  // what was found in an older one is found again
  Set(&first, kBulkFramesAt, static_cast<std::uint8_t>(frames->size() - 1));
  Set(&first, kBodyBytesAt, static_cast<std::uint32_t>(first.size() - kHeaderBytes));
  for (std::size_t i = 0; i < kMaxBulkFrames; ++i) {
    Set(&first, kBulkBytesAt + 8 * i, std::uint64_t{i + 1 < frames->size() ? (*frames)[i + 1].size() : 0});
  }
  Set(&first, kChecksumAt, std::uint64_t{0});
  std::string all = first;
  for (std::size_t i = 1; i < frames->size(); ++i) all += BytesOf((*frames)[i]);
  Set(&first, kChecksumAt, std::uint64_t{XXH3_64bits(all.data(), all.size())});
  (*frames)[0] = Frame(first);
}

void CheckDecode(const Frames& frames) {
  const std::size_t size = SizeOf(frames);
  Result<Decoded> decoded = [&] {
    const AllocationBound bound(size, {.slack = 16u << 10});
    return Decode(frames);
  }();
  if (!decoded) {
    CheckRefusal(decoded.error());
    (void)ReadOrigin(frames);
    return;
  }
  std::visit([](const auto& m) { UseArrays(m); }, decoded->message);
  const std::optional<Origin> origin = ReadOrigin(frames);
  COHORT_CHECK(origin && origin->request_id == RequestIdOf(decoded->message));
  const Frames again = Encode(decoded->stamp, decoded->receiver, decoded->message);
  COHORT_CHECK(again.size() == frames.size(), "%s", MessageName(decoded->message));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    COHORT_CHECK(BytesOf(again[i]) == BytesOf(frames[i]), "%s: frame %zu changes",
                 MessageName(decoded->message), i);
  }
}

}  // namespace cohort::fuzz
