#include "common/wire.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "common/random.h"
#include "tests/support/sample_messages.h"
#include "tests/support/slowdown.h"

namespace cohort::wire_test {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes BytesOf(const Buffer& buffer) {
  Bytes bytes(buffer.size());
  if (!bytes.empty()) std::memcpy(bytes.data(), buffer.data(), bytes.size());
  return bytes;
}
std::vector<Bytes> BytesOf(const Frames& frames) {
  std::vector<Bytes> all;
  for (const Buffer& frame : frames) all.push_back(BytesOf(frame));
  return all;
}
Frames FramesOf(const std::vector<Bytes>& all) {
  Frames frames;
  for (const Bytes& bytes : all) frames.push_back(Buffer::Own(bytes));
  return frames;
}

template <typename T>
void Set(std::vector<Bytes>* frames, std::size_t offset, T value) {
  std::memcpy((*frames)[0].data() + offset, &value, sizeof(T));
}
// Makes sizes and checksum right again, as a peer with a bug or bad intent would.
void Reseal(std::vector<Bytes>* frames) {
  Set<std::uint32_t>(frames, 44, static_cast<std::uint32_t>((*frames)[0].size() - kHeaderBytes));
  for (std::size_t i = 1; i < frames->size(); ++i)
    Set<std::uint64_t>(frames, 40 + 8 * i, (*frames)[i].size());
  Set<std::uint64_t>(frames, 80, 0);
  Bytes all;
  for (const Bytes& frame : *frames) all.insert(all.end(), frame.begin(), frame.end());
  Set<std::uint64_t>(frames, 80, XXH3_64bits(all.data(), all.size()));
}

TEST(Wire, EveryMessageSurvivesTheTrip) {
  for (const Message& message : SampleMessages()) {
    const Frames frames = Encode(SampleStamp(), ShardNode(1), message);
    auto decoded = Decode(frames);
    ASSERT_TRUE(decoded.has_value()) << MessageName(message) << ": " << decoded.error().text();
    EXPECT_EQ(decoded->message.index(), message.index());
    EXPECT_EQ(RequestIdOf(decoded->message), RequestIdOf(message));
    EXPECT_EQ(decoded->receiver, ShardNode(1));
    EXPECT_EQ(decoded->stamp.sender, WorkerNode(3));
    EXPECT_EQ(decoded->stamp.run_id, 0x1122334455667788ULL);
    EXPECT_EQ(decoded->stamp.epoch, 1u);
    EXPECT_EQ(decoded->stamp.incarnation, 2u);
    EXPECT_EQ(decoded->stamp.term, 3u);
    EXPECT_EQ(decoded->stamp.generation, 4u);
    // All fields: what was decoded encodes to the same bytes.
    EXPECT_EQ(BytesOf(Encode(decoded->stamp, decoded->receiver, decoded->message)), BytesOf(frames))
        << MessageName(message);
  }
}

TEST(Wire, FieldsArriveInTheirPlaces) {
  const auto messages = SampleMessages();
  auto pull = std::get<PullRequest>(Decode(Encode(SampleStamp(), ShardNode(0), messages[0]))->message);
  EXPECT_EQ(pull.phase, 2u);
  EXPECT_EQ(pull.clock, 3);
  EXPECT_EQ(pull.table, 1);
  EXPECT_EQ(pull.absent, AbsentRow::kZero);
  EXPECT_EQ(pull.keys.As<Key>()[1], ~0ULL);
  auto push = std::get<PushRequest>(Decode(Encode(SampleStamp(), ShardNode(0), messages[3]))->message);
  EXPECT_EQ(push.node, 5);
  EXPECT_EQ(push.dim, 2u);
  EXPECT_EQ(push.runs.As<GroupRun>()[1].group, 255u);
  EXPECT_EQ(push.values.As<float>()[3], 4.0f);
  auto welcome = std::get<Welcome>(Decode(Encode(SampleStamp(), WorkerNode(0), messages[10]))->message);
  EXPECT_EQ(welcome.tables[0].init[1].begin, 100u);
  EXPECT_EQ(welcome.slot_map->ShardOfGroup(255), 1u);
  EXPECT_EQ(welcome.shard_endpoints[1], "tcp://127.0.0.1:5001");
  auto beat = std::get<Heartbeat>(Decode(Encode(SampleStamp(), kSchedulerNode, messages[11]))->message);
  EXPECT_EQ(beat.counters->loss_weight[1], 1e300);
  EXPECT_EQ(beat.waiting, "pull of clock 3 from shard 1");
}

TEST(Wire, BulkArraysAreNotCopied) {
  const std::vector<Key> keys(1000, 1);
  const Buffer buffer = Buffer::Copy<Key>(keys);
  const Frames frames =
      Encode(SampleStamp(), ShardNode(0), PullRequest{1, 1, 1, 1, AbsentRow::kInitial, buffer});
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[1].data(), buffer.data());
  EXPECT_EQ(std::get<PullRequest>(Decode(frames)->message).keys.data(), buffer.data());
}

TEST(Wire, UnalignedBulkArraysAreAligned) {
  for (const Message& message : SampleMessages()) {
    auto all = BytesOf(Encode(SampleStamp(), ShardNode(0), message));
    Frames shifted;
    for (Bytes& bytes : all) {
      bytes.insert(bytes.begin(), 3, 0xee);
      const Buffer whole = Buffer::Own(bytes);
      shifted.push_back(whole.Slice(3, whole.size() - 3));
    }
    auto decoded = Decode(shifted);
    ASSERT_TRUE(decoded.has_value()) << MessageName(message);
    if (auto* push = std::get_if<PushRequest>(&decoded->message)) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(push->values.data()) % 8, 0u);
      if (push->pull == 0) {
        EXPECT_EQ(push->keys.As<Key>()[1], 9u);
      } else if (!push->rows.empty()) {
        EXPECT_EQ(push->rows.As<std::uint32_t>()[1], 4u);
      }
    }
  }
}

TEST(Wire, EveryTruncationIsRefused) {
  for (const Message& message : SampleMessages()) {
    const auto whole = BytesOf(Encode(SampleStamp(), ShardNode(0), message));
    for (std::size_t f = 0; f < whole.size(); ++f) {
      for (std::size_t size = 0; size < whole[f].size(); ++size) {
        auto cut = whole;
        cut[f].resize(size);
        EXPECT_FALSE(Decode(FramesOf(cut)).has_value())
            << MessageName(message) << " frame " << f << " cut to " << size;
      }
      auto fewer = whole;
      fewer.resize(f);
      EXPECT_FALSE(Decode(FramesOf(fewer)).has_value());
      auto longer = whole;
      longer[f].push_back(0);
      EXPECT_FALSE(Decode(FramesOf(longer)).has_value());
    }
    auto more = whole;
    more.emplace_back();
    EXPECT_FALSE(Decode(FramesOf(more)).has_value());
  }
  EXPECT_FALSE(Decode({}).has_value());
}

TEST(Wire, EveryFlippedBitIsRefused) {
  for (const Message& message : SampleMessages()) {
    const auto whole = BytesOf(Encode(SampleStamp(), ShardNode(0), message));
    for (std::size_t f = 0; f < whole.size(); ++f) {
      for (std::size_t i = 0; i < whole[f].size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) {
          auto bad = whole;
          bad[f][i] ^= static_cast<std::uint8_t>(1 << bit);
          const Frames frames = FramesOf(bad);
          EXPECT_FALSE(Decode(frames).has_value()) << MessageName(message) << " frame " << f << " byte " << i;
          EXPECT_FALSE(ReadOrigin(frames).has_value());
        }
      }
    }
  }
}

// A peer that seals wrong content properly: the body is wrong although the checksum is right.
struct Damage {
  const char* name;
  std::size_t type;
  std::function<void(std::vector<Bytes>*)> apply;
  const char* expected;
};

template <typename T>
std::function<void(std::vector<Bytes>*)> SetBody(std::size_t offset, T value) {
  return [=](std::vector<Bytes>* f) { Set<T>(f, kHeaderBytes + offset, value); };
}
std::function<void(std::vector<Bytes>*)> Resize(std::size_t frame, std::ptrdiff_t by) {
  return
      [=](std::vector<Bytes>* f) { (*f)[frame].resize((*f)[frame].size() + static_cast<std::size_t>(by)); };
}

TEST(Wire, WrongContentIsRefusedAndItsSenderIsKnown) {
  const std::vector<Damage> table = {
      {"body short", 0, Resize(0, -1), "body of 31"},
      {"body long", 4, Resize(0, 8), "body of 24"},
      {"unknown absent rule", 0, SetBody<std::uint8_t>(22, 2), "range"},
      {"pull of an unknown type", 0, SetBody<std::uint8_t>(24, 3), "range"},
      {"reserved byte of a pull", 0, SetBody<std::uint8_t>(31, 1), "range"},
      {"reply of an unknown type", 1, SetBody<std::uint8_t>(18, 3), "range"},
      {"reserved byte of a reply", 1, SetBody<std::uint8_t>(23, 1), "range"},
      {"halves that do not fill a row", 26, SetBody<std::uint32_t>(8, 3), "whole rows"},
      {"applied to before the first clock", 1, SetBody<std::int64_t>(24, -2), "clock"},
      {"push of an unknown type", 3, SetBody<std::uint8_t>(28, 3), "range"},
      {"reserved byte of a push", 3, SetBody<std::uint8_t>(31, 1), "range"},
      {"pushed floats taken for halves", 3, SetBody<std::uint8_t>(28, 1), "match the keys"},
      {"pushed halves taken for floats", 27, SetBody<std::uint8_t>(28, 0), "match the keys"},
      {"neither kept nor not", 0, SetBody<std::uint8_t>(23, 2), "range"},
      {"negative clock", 0, SetBody<std::int64_t>(8, -1), "clock"},
      {"half a key", 0, Resize(1, -4), "multiple of 8"},
      {"dim 0", 1, SetBody<std::uint32_t>(8, 0), "rows of 0"},
      {"dim huge", 1, SetBody<std::uint32_t>(8, 0xffffffff), "rows of"},
      {"dim that does not divide", 1, SetBody<std::uint32_t>(8, 3), "whole rows"},
      {"more absent than rows", 1, SetBody<std::uint32_t>(12, 3), "absent"},
      {"node 0", 3, SetBody<std::uint16_t>(26, 0), "range"},
      {"push dim", 3, SetBody<std::uint32_t>(20, 3), "match the keys"},
      {"push dim huge", 3, SetBody<std::uint32_t>(20, 0x40000000), "rows of"},
      {"one key less", 3, Resize(2, -8), "match the keys"},
      {"keys taken for rows", 3, SetBody<std::uint64_t>(32, 1), "match the keys"},
      {"half a row's name", 24, Resize(2, -2), "multiple of 4"},
      {"one row less", 24, Resize(2, -4), "match the keys"},
      {"rows taken for keys", 24, SetBody<std::uint64_t>(32, 0), "match the keys"},
      {"half a row of all", 25, Resize(3, -4), "match the keys"},
      {"one row of all less", 25, Resize(3, -8), "cover"},
      {"half a run", 3, Resize(1, -4), "slot groups"},
      {"one run less", 3, Resize(1, -8), "cover"},
      {"empty run", 3, Resize(1, 8), "ascend"},
      {"group out of range", 3, [](auto* f) { (*f)[1][9] = 1; }, "ascend"},
      {"groups equal", 3, [](auto* f) { (*f)[1][8] = 3; }, "ascend"},
      {"rows of a run", 3, [](auto* f) { (*f)[1][4] = 2; }, "cover"},
      {"rows of a run overflow", 3, [](auto* f) { (*f)[1][7] = 0x80; }, "cover"},
      {"close of the past", 5, SetBody<std::int64_t>(8, std::int64_t{1} << 63), "clock"},
      {"unknown reason", 7, SetBody<std::uint8_t>(8, 10), "reason"},
      {"text longer than the body", 7, SetBody<std::uint32_t>(9, 0x7fffffff), "longer"},
      {"text of 4 GiB", 7, SetBody<std::uint32_t>(9, 0xffffffff), "longer"},
      {"bytes behind the body", 7, Resize(0, 1), "behind"},
      {"no workers", 10, SetBody<std::uint32_t>(12, 0), "without workers"},
      {"unknown consistency", 10, SetBody<std::uint8_t>(24, 3), "consistency"},
      {"slices 0", 10, SetBody<std::uint32_t>(29, 0), "power of two"},
      {"slices 6", 10, SetBody<std::uint32_t>(29, 6), "power of two"},
      {"no shards", 10, SetBody<std::uint32_t>(37, 0), "slot map"},
      {"other number of shards", 10, SetBody<std::uint32_t>(37, 3), "slot map"},
      {"group of an unknown shard", 10, SetBody<std::uint16_t>(41, 2), "unknown shard"},
      {"list of 4 G texts", 10, SetBody<std::uint32_t>(553, 0xffffffff), "longer"},
      {"truth value 2", 17, SetBody<std::uint8_t>(8, 2), "truth"},
      {"unknown phase", 13, SetBody<std::uint8_t>(12, 4), "range"},
      {"workers in disorder", 13, SetBody<std::uint32_t>(50, 8), "workers that cannot be"},
      {"a worker twice", 13, SetBody<std::uint32_t>(50, 7), "workers that cannot be"},
      {"a worker beyond all", 13, SetBody<std::uint32_t>(54, kMaxWorkers), "workers that cannot be"},
      {"unknown split", 13, SetBody<std::uint8_t>(17, 3), "range"},
      {"predictions", 18, Resize(1, -4), "predictions"},
      {"rows huge", 18, SetBody<std::uint32_t>(28, 0xffffffff), "predictions"},
      {"columns huge", 18, SetBody<std::uint32_t>(32, 0xffffffff), "predictions"},
      {"last of lease", 18, SetBody<std::uint8_t>(36, 2), "range"},
      {"reserved", 18, SetBody<std::uint8_t>(39, 1), "range"},
      {"list of doubles", 11, SetBody<std::uint32_t>(28, 0xffffffff), "longer"},
  };
  const auto messages = SampleMessages();
  for (const Damage& damage : table) {
    auto frames = BytesOf(Encode(SampleStamp(), ShardNode(0), messages[damage.type]));
    damage.apply(&frames);
    Reseal(&frames);
    const Frames bad = FramesOf(frames);
    auto decoded = Decode(bad);
    ASSERT_FALSE(decoded.has_value()) << damage.name;
    EXPECT_EQ(decoded.error().code(), ErrorCode::kCorrupt);
    EXPECT_NE(decoded.error().text().find(damage.expected), std::string::npos)
        << damage.name << ": " << decoded.error().text();
    auto origin = ReadOrigin(bad);
    ASSERT_TRUE(origin.has_value()) << damage.name;
    EXPECT_EQ(origin->stamp.sender, WorkerNode(3));
    EXPECT_EQ(origin->request_id, RequestIdOf(messages[damage.type]));
  }
}

TEST(Wire, WrongHeadersAreRefused) {
  const struct {
    const char* name;
    std::function<void(std::vector<Bytes>*)> apply;
  } table[] = {
      {"magic", [](auto* f) { Set<std::uint32_t>(f, 0, 1); }},
      {"version", [](auto* f) { Set<std::uint16_t>(f, 4, kWireVersion + 1); }},
      {"type", [](auto* f) { Set<std::uint16_t>(f, 6, 23); }},
      {"type of another shape", [](auto* f) { Set<std::uint16_t>(f, 6, 3); }},
      {"scheduler 1", [](auto* f) { Set<std::uint8_t>(f, 36, 0); }},
      {"role", [](auto* f) { Set<std::uint8_t>(f, 36, 4); }},
      {"receiver's role", [](auto* f) { Set<std::uint8_t>(f, 37, 9); }},
      {"shard 256", [](auto* f) { Set<std::uint32_t>(f, 40, 256); }},
      {"bulk frames", [](auto* f) { Set<std::uint8_t>(f, 38, 2); }},
      {"reserved 0", [](auto* f) { Set<std::uint8_t>(f, 39, 1); }},
      {"reserved 1", [](auto* f) { Set<std::uint64_t>(f, 88, 1); }},
      {"reserved 2", [](auto* f) { Set<std::uint8_t>(f, 95, 1); }},
      {"bulk size of a frame that is not there", [](auto* f) { Set<std::uint64_t>(f, 56, 8); }},
  };
  for (const auto& damage : table) {
    auto frames = BytesOf(Encode(SampleStamp(), ShardNode(0), SampleMessages()[0]));
    damage.apply(&frames);
    Reseal(&frames);
    EXPECT_FALSE(Decode(FramesOf(frames)).has_value()) << damage.name;
    EXPECT_FALSE(ReadOrigin(FramesOf(frames)).has_value()) << damage.name;
  }
}

TEST(Wire, OversizedBodiesAreRefused) {
  auto frames = BytesOf(Encode(SampleStamp(), ShardNode(0), Failure{1, "x"}));
  frames[0].resize(kHeaderBytes + kMaxBodyBytes + 1);
  Set<std::uint32_t>(&frames, kHeaderBytes + 8, static_cast<std::uint32_t>(kMaxBodyBytes - 11));
  Reseal(&frames);
  auto decoded = Decode(FramesOf(frames));
  ASSERT_FALSE(decoded.has_value());
  EXPECT_NE(decoded.error().text().find("a body of 1048577 bytes"), std::string::npos);
}

TEST(Wire, LongTextsAreCut) {
  const std::string text(kMaxBodyBytes * 3, 'x');
  for (const Message& message :
       std::vector<Message>{Failure{1, text}, Warning{1, text}, ErrorReply{1, ErrorReason::kNotReady, text},
                            RegisterPending{1, text}, Heartbeat{1, 1, {}, text}}) {
    auto decoded = Decode(Encode(SampleStamp(), kSchedulerNode, message));
    ASSERT_TRUE(decoded.has_value()) << decoded.error().text();
  }
  auto decoded = Decode(Encode(SampleStamp(), kSchedulerNode, Failure{1, text}));
  EXPECT_EQ(std::get<Failure>(decoded->message).text.size(), kMaxTextBytes);
}

// The hexadecimal blocks of docs/protocol.md, in order.
std::vector<Bytes> BlocksOfTheDocument() {
  std::ifstream in(std::string(COHORT_SOURCE_DIR) + "/docs/protocol.md");
  std::vector<Bytes> blocks;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) blocks.emplace_back();
    } else if (inside) {
      std::istringstream words(line.substr(0, line.find("   ")));
      for (std::string word; words >> word;)
        blocks.back().push_back(static_cast<std::uint8_t>(std::stoi(word, nullptr, 16)));
    }
  }
  return blocks;
}

TEST(Wire, TheDocumentShowsTheBytesThatAreSent) {
  const auto blocks = BlocksOfTheDocument();
  ASSERT_EQ(blocks.size(), 4u);
  const RequestId id = 0x2000000001;
  const auto pull = BytesOf(
      Encode({WorkerNode(1), 0x1234, 0, 2, 1, 1}, ShardNode(0),
             PullRequest{id, 1, 3, 1, AbsentRow::kInitial, Buffer::Own(std::vector<Key>{7, ~0ULL}), true}));
  EXPECT_EQ(pull[0], blocks[0]);
  EXPECT_EQ(pull[1], blocks[1]);
  const auto reply =
      BytesOf(Encode({ShardNode(0), 0x1234, 0, 0, 1, 1}, WorkerNode(1),
                     PullReply{id, 1, 2, 1, Buffer::Own(std::vector<float>{1.0f, -2.0f, 0.5f, 0.0f}),
                               FloatType::kFloat32, 2}));
  EXPECT_EQ(reply[0], blocks[2]);
  EXPECT_EQ(reply[1], blocks[3]);
}

TEST(Wire, GarbageIsRefused) {
  RandomStream random(1);
  const auto messages = SampleMessages();
  int accepted = 0;
  for (int trial = 0; trial < 200000 / testing::kSlowdown; ++trial) {
    std::vector<Bytes> frames;
    if (trial % 4 == 0) {  // noise
      frames.resize(random.Below(5));
      for (Bytes& frame : frames) {
        frame.resize(random.Below(200));
        for (auto& byte : frame) byte = static_cast<std::uint8_t>(random());
      }
    } else {  // a real message with noise in its body and bulk arrays, sealed again
      frames = BytesOf(Encode(SampleStamp(), ShardNode(0), messages[random.Below(messages.size())]));
      for (std::uint64_t n = 1 + random.Below(4); n > 0; --n) {
        Bytes& frame = frames[random.Below(frames.size())];
        const std::size_t first = &frame == frames.data() ? kHeaderBytes : 0;
        if (random.Below(8) == 0) frame.resize(first + random.Below(frame.size() - first + 20));
        if (frame.size() == first) continue;
        const std::uint64_t special[] = {0, 0xff, 0x7f, 0x80, random()};
        frame[first + random.Below(frame.size() - first)] =
            static_cast<std::uint8_t>(special[random.Below(5)]);
      }
      Reseal(&frames);
    }
    auto decoded = Decode(FramesOf(frames));
    // What is accepted must be sound: it encodes and decodes again.
    if (decoded) {
      ++accepted;
      EXPECT_TRUE(Decode(Encode(decoded->stamp, decoded->receiver, decoded->message)).has_value());
    }
  }
  EXPECT_GT(accepted, 1000 / testing::kSlowdown);
}

}  // namespace
}  // namespace cohort::wire_test
