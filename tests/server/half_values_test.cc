// Values that travel as 16 bits: what a shard sends and takes.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/float16.h"
#include "tests/server/shard_harness.h"

namespace cohort::half_values_test {
namespace {

TableSpec Embeddings(FloatType pulls, FloatType pushes) {
  TableSpec spec;
  spec.id = 1;
  spec.name = "embedding";
  spec.dim = 3;
  spec.optimizer.kind = OptimizerKind::kSgd;
  spec.optimizer.learning_rate = 1.0f;
  spec.init = {{0, 0.0f, 0.1f}};
  spec.pull_values = pulls;
  spec.push_values = pushes;
  return spec;
}
std::vector<float> Decoded(FloatType type, const Buffer& buffer) {
  std::vector<float> values(buffer.size() / SizeOf(type));
  DecodeValues(type, buffer.data(), values.size(), values.data());
  return values;
}
std::vector<float> Rounded(FloatType type, std::vector<float> values) {
  RoundValues(type, values.data(), values.size());
  return values;
}
PushRequest Encoded(FloatType type, PushRequest push) {
  const auto floats = push.values.As<float>();
  std::vector<std::uint16_t> halves(floats.size());
  EncodeValues(type, floats.data(), floats.size(), halves.data());
  push.values = Buffer::Own(std::move(halves));
  push.type = type;
  return push;
}

TEST(HalfValues, TrainingPullsAreRoundedAndScoringPullsAreNot) {
  for (const FloatType type : {FloatType::kBfloat16, FloatType::kFloat16}) {
    const TableSpec table = Embeddings(type, FloatType::kFloat32);
    ShardHarness harness({table}, 1, Consistency::kAsp);
    harness.Begin();
    Only<PushReply>(harness.Worker(0, MakePush(table, {{7, {1.0f / 3, 1e6f, -1e-9f}}}, 0, 1, 1)));
    const std::vector<float> row = harness.Row(1, 7);
    for (const Key key : {Key{7}, Key{8}}) {  // 8 has no row
      PullRequest pull = MakePull(table, {key}, 1, 2);
      pull.type = type;
      const auto reply = Only<PullReply>(harness.Worker(0, pull));
      EXPECT_EQ(reply.type, type);
      float fresh[3];
      InitializeRow(table, 5, key, fresh);
      EXPECT_EQ(Decoded(type, reply.values),
                Rounded(type, key == 7 ? row : std::vector<float>(fresh, fresh + 3)));
    }
    // -1e6 is more than a float16 can say.
    EXPECT_EQ(harness.shard->counters().clipped_values, type == FloatType::kFloat16 ? 1u : 0u);
    PullRequest scoring = MakePull(table, {7, 8}, 1, 3);
    scoring.absent = AbsentRow::kZero;
    const auto reply = Only<PullReply>(harness.Worker(0, scoring));
    const std::vector<float> values = Decoded(FloatType::kFloat32, reply.values);
    const std::size_t at = OnRing(table, {7, 8})[0].second == 7 ? 0 : 3;
    EXPECT_EQ(std::vector<float>(values.begin() + static_cast<std::ptrdiff_t>(at),
                                 values.begin() + static_cast<std::ptrdiff_t>(at) + 3),
              row);
  }
}

TEST(HalfValues, OtherTypesThanTheTablesAreRefused) {
  const TableSpec table = Embeddings(FloatType::kBfloat16, FloatType::kFloat16);
  ShardHarness harness({table}, 1, Consistency::kAsp);
  harness.Begin();
  const auto refused = [&](Message message) {
    const auto error = Only<ErrorReply>(harness.Worker(0, std::move(message)));
    EXPECT_EQ(error.reason, ErrorReason::kMalformed);
    EXPECT_NE(error.text.find("values in"), std::string::npos) << error.text;
  };
  PullRequest pull = MakePull(table, {7}, 0, 1);
  refused(pull);
  pull.type = FloatType::kFloat16;
  refused(pull);
  pull.type = FloatType::kBfloat16;
  pull.absent = AbsentRow::kZero;
  refused(pull);
  const PushRequest push = MakePush(table, {{7, {1, 2, 3}}}, 0, 1, 1);
  refused(push);
  refused(Encoded(FloatType::kBfloat16, push));
  PushRequest half = Encoded(FloatType::kFloat16, push);
  half.values = push.values;  // twice the bytes
  EXPECT_EQ(Only<ErrorReply>(harness.Worker(0, half)).reason, ErrorReason::kMalformed);
  EXPECT_EQ(harness.shard->table(1)->size(), 0u);
  Only<PushReply>(harness.Worker(0, Encoded(FloatType::kFloat16, push)));
  EXPECT_EQ(harness.shard->table(1)->size(), 1u);
}

TEST(HalfValues, GradientsThatAreNotFiniteAreRefused) {
  for (const FloatType type : {FloatType::kBfloat16, FloatType::kFloat16}) {
    const TableSpec table = Embeddings(FloatType::kFloat32, type);
    ShardHarness harness({table}, 1, Consistency::kBsp, 1);
    harness.Begin();
    for (const float bad : {HUGE_VALF, -HUGE_VALF, std::nanf("")}) {
      const auto reply =
          Only<ErrorReply>(harness.Worker(0, Encoded(type, MakePush(table, {{7, {1, bad, 3}}}, 0, 1, 1))));
      EXPECT_NE(reply.text.find("1 gradients"), std::string::npos) << reply.text;
    }
    EXPECT_EQ(harness.shard->counters().nan_gradients, 3u);
  }
}

// Two workers' halves are added at the shard: rounded there, and clipped there if it must be.
TEST(HalfValues, SumsAtTheShardAreRoundedAndClippedWithACount) {
  for (const FloatType type : {FloatType::kBfloat16, FloatType::kFloat16}) {
    const TableSpec table = Embeddings(FloatType::kFloat32, type);
    ShardHarness harness({table}, 2, Consistency::kBsp, 2);
    harness.Begin();
    const float largest = type == FloatType::kBfloat16 ? 3.3895314e38f : 65504.0f;
    const float more = type == FloatType::kBfloat16 ? 1e36f : largest;  // as a float32, the sum is finite
    const std::vector<float> left = Rounded(type, {1.0f / 3, largest, 2.0f}),
                             right = Rounded(type, {1.0f / 7, more, -2.0f});
    Only<PushReply>(harness.Worker(0, Encoded(type, MakePush(table, {{7, left}}, 0, 2, 1))));
    Only<PushReply>(harness.Worker(1, Encoded(type, MakePush(table, {{7, right}, {9, right}}, 0, 3, 1))));
    harness.Worker(0, MakeClose(0, 2));
    harness.Worker(1, MakeClose(0, 2));
    float start[3];
    InitializeRow(table, 5, 7, start);
    const std::vector<float> row = harness.Row(1, 7);
    EXPECT_EQ(row[0], start[0] - Rounded(type, {left[0] + right[0]})[0]);
    EXPECT_EQ(row[1], start[1] - largest);
    EXPECT_EQ(row[2], start[2]);
    InitializeRow(table, 5, 9, start);
    EXPECT_EQ(harness.Row(1, 9)[0], start[0] - right[0]);
    EXPECT_EQ(harness.shard->counters().clipped_values, 1u);
  }
}

// Rows of 16-bit weights, pulled as any type: as they are, or through the float that they mean.
TEST(HalfValues, NarrowRowsTravelAsAnyType) {
  constexpr FloatType kTypes[] = {FloatType::kFloat32, FloatType::kBfloat16, FloatType::kFloat16};
  for (const FloatType dtype : kTypes) {
    for (const FloatType type : kTypes) {
      TableSpec table = Embeddings(type, FloatType::kFloat32);
      table.dtype = dtype;
      ShardHarness harness({table}, 1, Consistency::kAsp);
      harness.Begin();
      Only<PushReply>(harness.Worker(0, MakePush(table, {{7, {1.0f / 3, -5.0f, 3e-6f}}}, 0, 1, 1)));
      for (const Key key : {Key{7}, Key{8}}) {  // 8 has no row
        PullRequest pull = MakePull(table, {key}, 1, 2);
        pull.type = type;
        std::vector<float> row(3);
        InitializeRow(table, 5, key, row.data());
        if (key == 7) row = harness.Row(1, 7);
        EXPECT_EQ(Decoded(type, Only<PullReply>(harness.Worker(0, pull)).values), Rounded(type, row))
            << FloatTypeName(dtype) << " as " << FloatTypeName(type);
      }
    }
  }
}

// More rows than are widened at a time, by keys and by places, some of them a second time.
TEST(HalfValues, LargePushesAreAppliedWhole) {
  TableSpec table = Embeddings(FloatType::kFloat32, FloatType::kBfloat16);
  table.dim = 64;
  table.init = {{0, 0.0f, 0.0f}};
  ShardHarness harness({table}, 1, Consistency::kAsp);
  harness.Begin();
  Gradients gradients;
  std::vector<Key> keys;
  for (Key key = 0; key < 1000; ++key) {
    keys.push_back(key);
    for (std::uint32_t i = 0; i < table.dim; ++i)
      gradients[key].push_back(static_cast<float>(key % 128) - static_cast<float>(i));
  }
  PushRequest push = Encoded(table.push_values, MakePush(table, gradients, 0, 1, 1));
  Only<PushReply>(harness.Worker(0, push));
  Only<PushReply>(harness.Worker(0, push));  // again: changes nothing
  PullRequest pull = MakePull(table, keys, 1, 2);
  pull.keep = true;
  Only<PullReply>(harness.Worker(0, pull));
  push.request_id = 3;
  push.clock = 1;
  push.pull = 2;
  push.keys = {};
  Only<PushReply>(harness.Worker(0, push));
  for (const Key key : keys) {
    const std::vector<float> row = harness.Row(1, key);
    for (std::uint32_t i = 0; i < table.dim; ++i) ASSERT_EQ(row[i], -2 * gradients[key][i]) << key;
  }
}

}  // namespace
}  // namespace cohort::half_values_test
