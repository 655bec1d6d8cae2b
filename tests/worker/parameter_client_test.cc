#include "worker/parameter_client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "common/float16.h"
#include "common/random.h"

namespace cohort::parameter_client_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t kDim = 3;
constexpr TableId kSparse = 1, kDense = 0;

Welcome View(std::uint32_t shards) {
  Welcome welcome;
  welcome.worker_count = 1;
  welcome.slot_map = SlotMap::Even(shards);
  TableSpec dense{.id = kDense,
                  .name = "dense",
                  .kind = TableKind::kDense,
                  .dim = kDim,
                  .row_count = 50,
                  .optimizer = {},
                  .init = {}};
  TableSpec sparse{.id = kSparse,
                   .name = "sparse",
                   .kind = TableKind::kSparse,
                   .dim = kDim,
                   .row_count = 0,
                   .optimizer = {},
                   .init = {}};
  welcome.tables = {dense, sparse};
  return welcome;
}

class ParameterClientTest : public ::testing::Test {
 protected:
  void Make(std::uint32_t shards, std::uint64_t credit = 1 << 20, std::uint32_t request_rows = 10,
            ParameterClientFaults faults = {}) {
    view_ = View(shards);
    client_.emplace(WorkerNode(0),
                    ParameterClient::Options{.retry = milliseconds(100),
                                             .request_deadline = seconds(2),
                                             .wait_deadline = seconds(10),
                                             .credit_bytes = credit,
                                             .request_rows = request_rows},
                    faults);
    client_->SetView(view_);
    client_->BeginPhase(1);
  }
  std::vector<Key> Keys(std::size_t n, TableId table = kSparse) {
    std::vector<Key> keys(n);
    std::iota(keys.begin(), keys.end(), Key{0});
    std::sort(keys.begin(), keys.end(),
              [&](Key a, Key b) { return Position(table, a) < Position(table, b); });
    return keys;
  }
  std::uint64_t Position(TableId table, Key key) { return RingPosition(view_.tables[table], key); }
  static float ValueOf(Key key, std::uint32_t i) { return static_cast<float>(key * 10 + i); }

  bool Deliver(std::uint32_t shard, Message message, std::uint32_t incarnation = 0) {
    Stamp stamp{ShardNode(shard), 1, 0, incarnation, 0, 0};
    return client_->OnMessage(stamp, message, now_, out_);
  }
  static PullReply Answer(const PullRequest& pull) {
    std::vector<float> values;
    for (Key key : pull.keys.As<Key>()) {
      for (std::uint32_t i = 0; i < kDim; ++i) values.push_back(ValueOf(key, i));
    }
    return {pull.request_id, pull.table, kDim, 1, Buffer::Own(std::move(values))};
  }
  // Answers everything that is on its way, until nothing more comes.
  void AnswerAll() {
    for (auto sent = out_.Take(); !sent.empty(); sent = out_.Take()) {
      for (const Outgoing& o : sent) {
        if (auto* pull = std::get_if<PullRequest>(&o.message)) {
          Deliver(o.to.index, Answer(*pull));
        } else if (auto* push = std::get_if<PushRequest>(&o.message)) {
          Deliver(o.to.index, PushReply{push->request_id,
                                        static_cast<std::uint32_t>(push->runs.As<GroupRun>().size()), 0});
        } else {
          Deliver(o.to.index, CloseReply{std::get<CloseRequest>(o.message).request_id});
        }
      }
    }
  }
  void Advance(Duration by) {
    const TimePoint end = now_ + by;
    while (client_->NextTimer() <= end) {
      now_ = std::max(now_, client_->NextTimer());
      client_->OnTimer(now_, out_);
    }
    now_ = end;
  }

  Welcome view_;
  std::optional<ParameterClient> client_;
  Outbox out_;
  TimePoint now_{seconds(1000)};
};

TEST_F(ParameterClientTest, PullsAreCutByShardAndRowsAndComeTogether) {
  for (std::uint32_t shards : {1u, 2u, 3u, 7u, 256u}) {
    for (TableId table : {kSparse, kDense}) {
      Make(shards);
      const auto keys = Keys(table == kDense ? 50 : 1000, table);
      std::vector<float> values(keys.size() * kDim, -1.0f);
      const auto ticket =
          client_->Pull(table, 5, AbsentRow::kZero, Buffer::Copy<Key>(keys), values.data(), now_, out_);
      auto sent = out_.Take();
      std::reverse(sent.begin(), sent.end());
      std::size_t rows = 0;
      std::set<int> groups;
      for (const Outgoing& o : sent) {
        const auto& pull = std::get<PullRequest>(o.message);
        EXPECT_FALSE(client_->Done(ticket));
        const auto first = GroupOf(Position(table, pull.keys.As<Key>().front()));
        const auto last = GroupOf(Position(table, pull.keys.As<Key>().back()));
        EXPECT_TRUE(pull.keys.size() / sizeof(Key) <= 10 || first == last);
        for (int group = first; group <= last; ++group)
          EXPECT_TRUE(groups.insert(group).second) << "whole groups";
        EXPECT_EQ(pull.clock, 5);
        EXPECT_EQ(pull.phase, 1u);
        EXPECT_EQ(pull.absent, AbsentRow::kZero);
        for (Key key : pull.keys.As<Key>()) {
          EXPECT_EQ(view_.slot_map->ShardOfGroup(GroupOf(Position(table, key))), o.to.index);
        }
        rows += pull.keys.size() / sizeof(Key);
        EXPECT_TRUE(Deliver(o.to.index, Answer(pull)));
      }
      EXPECT_EQ(rows, keys.size());
      EXPECT_TRUE(client_->Done(ticket));
      for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(values[i * kDim + 1], ValueOf(keys[i], 1));
      EXPECT_EQ(client_->counters().absent_rows, sent.size());
      EXPECT_EQ(client_->outstanding(), 0u);
      EXPECT_EQ(client_->NextTimer(), kNever);
    }
  }
}

TEST_F(ParameterClientTest, PushesHoldWholeGroupsWithoutCopies) {
  Make(3, 1 << 20, 20);
  const auto keys = Keys(2000);
  const Buffer key_buffer = Buffer::Copy<Key>(keys);
  std::vector<float> gradients(keys.size() * kDim);
  std::iota(gradients.begin(), gradients.end(), 0.0f);
  const Buffer value_buffer = Buffer::Copy<float>(gradients);
  const auto ticket = client_->Push(kSparse, 7, 3, key_buffer, value_buffer, now_, out_);
  std::map<std::uint32_t, int> messages_of_group;
  std::size_t row = 0;
  for (const Outgoing& o : out_.Take()) {
    const auto& push = std::get<PushRequest>(o.message);
    EXPECT_EQ(push.node, 3);
    EXPECT_EQ(push.clock, 7);
    EXPECT_EQ(push.dim, kDim);
    EXPECT_EQ(push.keys.data(), key_buffer.data() + row * sizeof(Key));
    EXPECT_EQ(push.values.data(), value_buffer.data() + row * kDim * sizeof(float));
    std::size_t rows = 0;
    for (const GroupRun& run : push.runs.As<GroupRun>()) {
      EXPECT_EQ(view_.slot_map->ShardOfGroup(static_cast<int>(run.group)), o.to.index);
      ++messages_of_group[run.group];
      for (std::uint32_t i = 0; i < run.rows; ++i, ++rows) {
        EXPECT_EQ(GroupOf(Position(kSparse, push.keys.As<Key>()[rows])), static_cast<int>(run.group));
      }
    }
    EXPECT_EQ(rows, push.keys.size() / sizeof(Key));
    EXPECT_TRUE(rows <= 20 || push.runs.As<GroupRun>().size() == 1);
    row += rows;
    EXPECT_FALSE(client_->Done(ticket));
    Deliver(o.to.index, PushReply{push.request_id, 1, 0});
  }
  EXPECT_EQ(row, keys.size());
  for (const auto& [group, messages] : messages_of_group) EXPECT_EQ(messages, 1) << group;
  EXPECT_TRUE(client_->Done(ticket));
  EXPECT_EQ(client_->counters().bytes_pushed, key_buffer.size() + value_buffer.size());
}

TEST_F(ParameterClientTest, PushesByRowsNameTheRequestsOfTheirPull) {
  for (const bool all : {true, false}) {
    Make(3, 1 << 20, 20);
    const auto keys = Keys(2000);
    std::vector<float> pulled(keys.size() * kDim);
    const auto pull = client_->Pull(kSparse, 7, AbsentRow::kInitial, Buffer::Copy<Key>(keys), pulled.data(),
                                    now_, out_, /*keep=*/true);
    std::map<RequestId, PullRequest> pulls;
    for (const Outgoing& o : out_.Take()) {
      const auto& request = std::get<PullRequest>(o.message);
      EXPECT_TRUE(request.keep);
      pulls[request.request_id] = request;
      Deliver(o.to.index, Answer(request));
    }
    std::vector<std::uint32_t> rows;
    std::vector<float> gradients;
    for (std::uint32_t row = 0; row < keys.size(); ++row) {
      if (!all && (row < 300 || row % 7 == 0)) continue;
      rows.push_back(row);
      for (std::uint32_t i = 0; i < kDim; ++i) gradients.push_back(static_cast<float>(row));
    }
    const std::size_t count = rows.size();
    const auto ticket = client_->PushRows(pull, 3, all ? Buffer() : Buffer::Own(rows),
                                          Buffer::Copy<float>(gradients), now_, out_);
    std::size_t next = 0;
    std::map<std::uint32_t, int> messages_of_group;
    for (const Outgoing& o : out_.Take()) {
      const auto& push = std::get<PushRequest>(o.message);
      ASSERT_TRUE(pulls.contains(push.pull));
      EXPECT_TRUE(push.keys.empty());
      const auto pull_keys = pulls[push.pull].keys.As<Key>();
      const auto named = push.rows.As<std::uint32_t>();
      const auto values = push.values.As<float>();
      std::size_t row = 0;
      for (const GroupRun& run : push.runs.As<GroupRun>()) {
        ++messages_of_group[run.group];
        for (std::uint32_t i = 0; i < run.rows; ++i, ++row, ++next) {
          const Key key = pull_keys[named.empty() ? row : named[row]];
          EXPECT_EQ(key, keys[rows[next]]);
          EXPECT_EQ(GroupOf(Position(kSparse, key)), static_cast<int>(run.group));
          EXPECT_EQ(values[row * kDim], static_cast<float>(rows[next]));
        }
      }
      EXPECT_EQ(values.size(), row * kDim);
      if (named.empty()) {
        EXPECT_EQ(row, pull_keys.size());
      }
      Deliver(o.to.index, PushReply{push.request_id, 1, 0});
    }
    EXPECT_EQ(next, count);
    for (const auto& [group, messages] : messages_of_group) EXPECT_EQ(messages, 1) << group;
    EXPECT_TRUE(client_->Done(ticket));
  }
}

TEST_F(ParameterClientTest, APushWhosePullIsForgottenGoesAgainWithKeysAndTheSameId) {
  Make(1, 1 << 20, 4096);
  const auto keys = Keys(10);
  std::vector<float> values(keys.size() * kDim);
  const auto pull = client_->Pull(kSparse, 0, AbsentRow::kInitial, Buffer::Copy<Key>(keys), values.data(),
                                  now_, out_, /*keep=*/true);
  AnswerAll();
  const Buffer all = Buffer::Copy<float>(values), some = all.Slice(0, 2 * kDim * sizeof(float));
  client_->PushRows(pull, 2, {}, all, now_, out_);
  client_->PushRows(pull, 3, Buffer::Own(std::vector<std::uint32_t>{4, 9}), some, now_, out_);
  client_->Close(0, now_, out_);
  std::vector<PushRequest> sent;
  for (const Outgoing& o : out_.Take()) sent.push_back(std::get<PushRequest>(o.message));
  ASSERT_EQ(sent.size(), 2u);
  for (const PushRequest& push : sent) {
    const ErrorReply unknown{push.request_id, ErrorReason::kUnknownPull, "forgotten"};
    Deliver(0, unknown);
    const auto again = out_.Take();
    ASSERT_EQ(again.size(), 1u);
    const auto& with_keys = std::get<PushRequest>(again[0].message);
    EXPECT_EQ(with_keys.request_id, push.request_id);
    EXPECT_EQ(with_keys.pull, 0u);
    EXPECT_TRUE(with_keys.rows.empty());
    const auto named = with_keys.keys.As<Key>();
    EXPECT_EQ(std::vector<Key>(named.begin(), named.end()),
              push.rows.empty() ? keys : (std::vector<Key>{keys[4], keys[9]}));
    EXPECT_EQ(with_keys.values.data(), push.values.data());
    EXPECT_EQ(with_keys.runs.data(), push.runs.data());
    Deliver(0, unknown);  // a repetition changes nothing
    EXPECT_TRUE(out_.empty());
  }
  Advance(milliseconds(100));
  const auto retried = out_.Take();
  ASSERT_EQ(retried.size(), 2u);  // one retry each, with keys
  for (const Outgoing& o : retried) {
    const auto& push = std::get<PushRequest>(o.message);
    EXPECT_EQ(push.pull, 0u);
    Deliver(0, PushReply{push.request_id, 1, 0});
  }
  AnswerAll();
  EXPECT_TRUE(client_->ClosedEverywhere(0));
  EXPECT_TRUE(client_->failure().ok());
  EXPECT_EQ(client_->counters().unknown_pulls, 2u);
  EXPECT_EQ(client_->counters().stale_replies, 2u);
}

TEST_F(ParameterClientTest, ValuesTravelAsTheTableSays) {
  Make(2);
  view_.tables[1].pull_values = FloatType::kFloat16;
  view_.tables[1].push_values = FloatType::kBfloat16;
  client_->SetView(view_);
  const auto keys = Keys(100);
  std::vector<float> values(keys.size() * kDim);
  for (const AbsentRow absent : {AbsentRow::kInitial, AbsentRow::kZero}) {
    const FloatType type = absent == AbsentRow::kInitial ? FloatType::kFloat16 : FloatType::kFloat32;
    const auto ticket =
        client_->Pull(kSparse, 0, absent, Buffer::Copy<Key>(keys), values.data(), now_, out_, true);
    for (const Outgoing& o : out_.Take()) {
      const auto& pull = std::get<PullRequest>(o.message);
      EXPECT_EQ(pull.type, type);
      PullReply reply = Answer(pull);
      reply.type = type;
      const auto floats = reply.values.As<float>();
      std::vector<std::byte> bytes(floats.size() * SizeOf(type));
      EncodeValues(type, floats.data(), floats.size(), bytes.data());
      reply.values = Buffer::Own(std::move(bytes));
      Deliver(o.to.index, reply);
    }
    EXPECT_TRUE(client_->Done(ticket));
    for (std::size_t i = 0; i < keys.size(); ++i) ASSERT_EQ(values[i * kDim + 2], ValueOf(keys[i], 2));
    if (absent == AbsentRow::kZero) continue;
    // Pushed by keys and by rows.
    std::vector<float> gradients(keys.size() * kDim, 1.0f / 3);
    gradients[5] = 3.4e38f;
    const Buffer buffer = Buffer::Copy<float>(gradients);
    client_->Push(kSparse, 0, 2, Buffer::Copy<Key>(keys), buffer, now_, out_);
    client_->PushRows(ticket, 3, {}, buffer, now_, out_);
    std::size_t rows = 0;
    for (const Outgoing& o : out_.Take()) {
      const auto& push = std::get<PushRequest>(o.message);
      EXPECT_EQ(push.type, FloatType::kBfloat16);
      std::vector<float> sent(push.values.size() / sizeof(std::uint16_t));
      DecodeValues(push.type, push.values.data(), sent.size(), sent.data());
      for (std::size_t i = 0; i < sent.size(); ++i) {
        float expected = gradients[rows % keys.size() * kDim + i];
        RoundValues(push.type, &expected, 1);
        ASSERT_EQ(sent[i], expected);
      }
      rows += sent.size() / kDim;
      Deliver(o.to.index, PushReply{push.request_id, 1, 0});
    }
    EXPECT_EQ(rows, 2 * keys.size());
    EXPECT_EQ(client_->counters().clipped_values, 2u);
  }
  // An answer of another type is no answer.
  client_->Pull(kSparse, 0, AbsentRow::kInitial, Buffer::Copy<Key>(keys), values.data(), now_, out_);
  const Outgoing sent = out_.Take().at(0);
  Deliver(sent.to.index, Answer(std::get<PullRequest>(sent.message)));
  EXPECT_EQ(client_->failure().code(), ErrorCode::kCorrupt);
}

TEST_F(ParameterClientTest, CachedRowsServeWithinTheBound) {
  for (const Consistency consistency : {Consistency::kSsp, Consistency::kAsp}) {
    view_ = View(2);
    view_.consistency = consistency;
    view_.staleness = 2;
    ParameterClient::Options options;
    options.request_rows = 10;
    options.cache_rows = 1000;
    options.cache_max_age = 3;
    client_.emplace(WorkerNode(0), options);
    client_->SetView(view_);
    client_->BeginPhase(1);
    const auto keys = Keys(60);
    std::vector<float> values;
    // Pulls some keys; the replies say `applied_to`. Returns how many rows were asked for.
    const auto pull = [&](std::size_t first, std::size_t n, Clock clock, Clock applied_to,
                          AbsentRow absent = AbsentRow::kInitial) {
      const std::vector<Key> some(keys.begin() + static_cast<std::ptrdiff_t>(first),
                                  keys.begin() + static_cast<std::ptrdiff_t>(first + n));
      values.assign(n * kDim, -1.0f);
      const auto ticket =
          client_->Pull(kSparse, clock, absent, Buffer::Copy<Key>(some), values.data(), now_, out_);
      std::size_t asked = 0;
      for (const Outgoing& o : out_.Take()) {
        PullReply reply = Answer(std::get<PullRequest>(o.message));
        reply.applied_to = applied_to;
        asked += reply.values.size() / kDim / sizeof(float);
        Deliver(o.to.index, reply);
      }
      EXPECT_TRUE(client_->Done(ticket));
      for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(values[i * kDim + 1], ValueOf(some[i], 1));
      return asked;
    };
    EXPECT_EQ(pull(0, 40, 0, -1), 40u);
    EXPECT_EQ(pull(20, 40, 1, -1), 20u);  // 20 rows are there, in the midst of others
    EXPECT_EQ(pull(20, 20, 2, 1), 0u);
    EXPECT_EQ(client_->counters().cached_rows, 40u);
    if (consistency == Consistency::kSsp) {
      EXPECT_EQ(pull(0, 60, 3, 2), 60u);  // as of -1, but clock 3 must show clock 0
      EXPECT_EQ(pull(0, 60, 5, 2), 0u);   // as of 2: good up to clock 5
      EXPECT_EQ(pull(0, 60, 6, 5), 60u);
    } else {
      EXPECT_EQ(pull(0, 60, 4, -1), 40u);  // those pulled at 0 are too old, those at 1 just good enough
      EXPECT_EQ(pull(0, 60, 7, -1), 20u);
    }
    // Scoring sees the model as it is, and a new phase begins with nothing.
    EXPECT_EQ(pull(0, 60, 7, 6, AbsentRow::kZero), 60u);
    client_->BeginPhase(2);
    EXPECT_EQ(pull(0, 60, 8, 7), 60u);
  }
}

TEST_F(ParameterClientTest, GroupsWithCachedRowsArePushedByKeys) {
  view_ = View(1);
  view_.consistency = Consistency::kAsp;
  ParameterClient::Options options;
  options.request_rows = 10;
  options.cache_rows = 1000;
  options.cache_max_age = 3;
  client_.emplace(WorkerNode(0), options);
  client_->SetView(view_);
  client_->BeginPhase(1);
  const auto keys = Keys(100);
  std::vector<float> values(keys.size() * kDim);
  client_->Pull(kSparse, 0, AbsentRow::kInitial, Buffer::Own(std::vector<Key>{keys[3]}), values.data(), now_,
                out_);
  AnswerAll();
  const auto ticket = client_->Pull(kSparse, 1, AbsentRow::kInitial, Buffer::Copy<Key>(keys), values.data(),
                                    now_, out_, /*keep=*/true);
  AnswerAll();
  std::vector<std::uint32_t> odd;
  for (std::uint32_t row = 1; row < keys.size(); row += 2) odd.push_back(row);
  client_->PushRows(ticket, 1, Buffer::Own(odd), Buffer::Own(std::vector<float>(odd.size() * kDim)), now_,
                    out_);
  std::vector<Key> by_keys;
  std::size_t by_rows = 0;
  for (const Outgoing& o : out_.Take()) {
    const auto& push = std::get<PushRequest>(o.message);
    for (const Key key : push.keys.As<Key>()) by_keys.push_back(key);
    by_rows += push.rows.size() / sizeof(std::uint32_t);
    EXPECT_EQ(push.pull == 0, !push.keys.empty());
    Deliver(0, PushReply{push.request_id, 1, 0});
  }
  ASSERT_GE(by_keys.size(), 2u);
  EXPECT_EQ(by_keys[0], keys[1]);
  EXPECT_EQ(by_keys[1], keys[3]);
  EXPECT_EQ(by_keys.size() + by_rows, odd.size());
  EXPECT_GT(by_rows, by_keys.size());
}

TEST_F(ParameterClientTest, NothingToAskForIsDoneAtOnce) {
  Make(2);
  EXPECT_TRUE(client_->Done(client_->Pull(kSparse, 0, AbsentRow::kInitial, {}, nullptr, now_, out_)));
  EXPECT_TRUE(client_->Done(client_->Push(kSparse, 0, 1, {}, {}, now_, out_)));
  EXPECT_TRUE(out_.empty());
}

TEST_F(ParameterClientTest, CreditsBoundWhatIsOutstandingPerLane) {
  // 10 rows: 10 * (8 + 12) + 128 = 328 bytes; two fit into 700.
  Make(1, 700);
  const auto keys = Keys(100);
  std::vector<float> values(keys.size() * kDim);
  const Buffer gradients = Buffer::Copy<float>(values);
  const auto pull =
      client_->Pull(kSparse, 0, AbsentRow::kInitial, Buffer::Copy<Key>(keys), values.data(), now_, out_);
  EXPECT_EQ(client_->counters().pulls, 2u);
  EXPECT_EQ(client_->counters().credit_waits, client_->outstanding() - 2);
  // Pulls that do not move never hold back a push.
  client_->Push(kSparse, 0, 1, Buffer::Copy<Key>(keys), gradients, now_, out_);
  EXPECT_GE(client_->counters().pushes, 1u);
  EXPECT_NE(client_->Waiting(now_).find("waiting for credit"), std::string::npos);
  std::size_t most = 0;
  for (auto sent = out_.Take(); !sent.empty(); sent = out_.Take()) {
    std::size_t pulls = 0;
    for (const Outgoing& o : sent) pulls += std::holds_alternative<PullRequest>(o.message);
    most = std::max(most, pulls);
    for (const Outgoing& o : sent) {
      if (auto* p = std::get_if<PullRequest>(&o.message)) Deliver(0, Answer(*p));
      if (auto* p = std::get_if<PushRequest>(&o.message)) Deliver(0, PushReply{p->request_id, 1, 0});
    }
  }
  EXPECT_EQ(most, 2u);
  EXPECT_TRUE(client_->Done(pull));
  EXPECT_EQ(client_->outstanding(), 0u);
}

TEST_F(ParameterClientTest, RequestLargerThanTheCreditGoesAlone) {
  Make(1, 10);
  std::vector<float> values(30 * kDim);
  const auto ticket =
      client_->Pull(kSparse, 0, AbsentRow::kInitial, Buffer::Copy<Key>(Keys(30)), values.data(), now_, out_);
  EXPECT_EQ(client_->counters().pulls, 1u);
  AnswerAll();
  EXPECT_TRUE(client_->Done(ticket));
}

TEST_F(ParameterClientTest, RetriesKeepTheIdAndRepliesCountOnce) {
  Make(1);
  std::vector<float> values(5 * kDim);
  const auto ticket =
      client_->Pull(kSparse, 0, AbsentRow::kInitial, Buffer::Copy<Key>(Keys(5)), values.data(), now_, out_);
  const auto first = std::get<PullRequest>(out_.Take().at(0).message);
  Advance(milliseconds(350));
  auto again = out_.Take();
  ASSERT_EQ(again.size(), 3u);
  EXPECT_EQ(std::get<PullRequest>(again[2].message).request_id, first.request_id);
  EXPECT_EQ(client_->counters().retries, 3u);
  for (int i = 0; i < 4; ++i) Deliver(0, Answer(first));
  EXPECT_TRUE(client_->Done(ticket));
  EXPECT_EQ(client_->counters().stale_replies, 3u);
  EXPECT_EQ(client_->counters().bytes_pulled, 5 * kDim * sizeof(float));
  // A late reply does not touch a newer request that took the place of the old one.
  std::fill(values.begin(), values.end(), -1.0f);
  const auto next =
      client_->Pull(kSparse, 1, AbsentRow::kInitial, Buffer::Copy<Key>(Keys(5)), values.data(), now_, out_);
  Deliver(0, Answer(first));
  EXPECT_FALSE(client_->Done(next));
  EXPECT_EQ(values[0], -1.0f);
}

TEST_F(ParameterClientTest, RepliesOfTheWrongShardOrAReplacedOneAreIgnored) {
  Make(2);
  std::vector<float> values(kDim);
  const auto ticket =
      client_->Pull(kSparse, 0, AbsentRow::kInitial, Buffer::Copy<Key>(Keys(1)), values.data(), now_, out_);
  const Outgoing sent = out_.Take().at(0);
  const auto& pull = std::get<PullRequest>(sent.message);
  Deliver(1 - sent.to.index, Answer(pull));
  EXPECT_FALSE(client_->Done(ticket));
  Deliver(sent.to.index, PushReply{pull.request_id, 1, 0});
  EXPECT_FALSE(client_->Done(ticket));
  Deliver(sent.to.index, PullParked{pull.request_id, 3, 4}, 2);
  Deliver(sent.to.index, Answer(pull), 1);
  EXPECT_FALSE(client_->Done(ticket));
  Deliver(sent.to.index, Answer(pull), 2);
  EXPECT_TRUE(client_->Done(ticket));
  EXPECT_EQ(client_->counters().stale_replies, 3u);
  EXPECT_TRUE(client_->failure().ok());
}

TEST_F(ParameterClientTest, AClockIsClosedWhenAllItsPushesAreAcknowledged) {
  Make(2);
  const auto keys = Keys(100);
  const Buffer gradients = Buffer::Copy<float>(std::vector<float>(keys.size() * kDim));
  client_->Push(kSparse, 4, 1, Buffer::Copy<Key>(keys), gradients, now_, out_);
  client_->Push(kSparse, 5, 1, Buffer::Copy<Key>(keys), gradients, now_, out_);
  client_->Close(4, now_, out_);
  const auto sent = out_.Take();
  std::size_t of_4 = 0;
  for (const Outgoing& o : sent) of_4 += std::get<PushRequest>(o.message).clock == 4;
  for (const Outgoing& o : sent) {
    const auto& push = std::get<PushRequest>(o.message);
    if (push.clock != 4) continue;
    EXPECT_TRUE(out_.empty());
    Deliver(o.to.index, PushReply{push.request_id, 1, 0});
    --of_4;
    EXPECT_EQ(out_.empty(), of_4 > 0);
  }
  const auto closes = out_.Take();
  ASSERT_EQ(closes.size(), 2u);
  EXPECT_FALSE(client_->ClosedEverywhere(4));
  Deliver(0, CloseReply{std::get<CloseRequest>(closes[0].message).request_id});
  EXPECT_FALSE(client_->ClosedEverywhere(4));
  Deliver(1, CloseReply{std::get<CloseRequest>(closes[1].message).request_id});
  EXPECT_TRUE(client_->ClosedEverywhere(4));
  EXPECT_FALSE(client_->ClosedEverywhere(5));
  // The end of the phase waits for everything.
  client_->Close(kClockInfinity, now_, out_);
  EXPECT_TRUE(out_.empty());
  for (const Outgoing& o : sent) {
    const auto& push = std::get<PushRequest>(o.message);
    if (push.clock == 5) Deliver(o.to.index, PushReply{push.request_id, 1, 0});
  }
  AnswerAll();
  EXPECT_TRUE(client_->ClosedEverywhere(kClockInfinity));
  EXPECT_EQ(client_->counters().held_closes, 2u);
  client_->BeginPhase(2);
  EXPECT_FALSE(client_->ClosedEverywhere(5));
}

TEST_F(ParameterClientTest, RefusalsThatPassAreRetriedOthersFail) {
  const struct {
    ErrorReason reason;
    ErrorCode code;
    const char* text;
  } table[] = {{ErrorReason::kNotReady, ErrorCode::kOk, ""},
               {ErrorReason::kFuturePhase, ErrorCode::kOk, ""},
               {ErrorReason::kMalformed, ErrorCode::kInternal, "cannot be used"},
               {ErrorReason::kUnknownTable, ErrorCode::kInternal, "table"},
               {ErrorReason::kWrongShard, ErrorCode::kInternal, "another shard"},
               {ErrorReason::kStaleGeneration, ErrorCode::kStale, "slot map"},
               {ErrorReason::kStaleIncarnation, ErrorCode::kStale, "replaced"},
               {ErrorReason::kStalePhase, ErrorCode::kStale, "over"},
               {ErrorReason::kWrongRun, ErrorCode::kInternal, "another run"}};
  for (const auto& row : table) {
    Make(1);
    client_->Close(3, now_, out_);
    const auto close = std::get<CloseRequest>(out_.Take().at(0).message);
    Deliver(0, ErrorReply{close.request_id, row.reason, "the shard's words"});
    EXPECT_EQ(client_->failure().code(), row.code);
    if (row.code == ErrorCode::kOk) {
      Advance(milliseconds(100));
      EXPECT_EQ(out_.Take().size(), 1u);
      EXPECT_EQ(client_->counters().refused, 1u);
      Deliver(0, CloseReply{close.request_id});
      EXPECT_TRUE(client_->ClosedEverywhere(3));
    } else {
      EXPECT_NE(client_->failure().text().find(row.text), std::string::npos) << client_->failure().text();
      EXPECT_NE(client_->failure().text().find("shard 0 refused a close of worker 0 at clock 3"),
                std::string::npos);
      EXPECT_NE(client_->failure().text().find("the shard's words"), std::string::npos);
    }
  }
}

TEST_F(ParameterClientTest, SilenceOfAShardHasALimit) {
  Make(2);
  std::vector<float> values(kDim);
  client_->Pull(kSparse, 9, AbsentRow::kInitial, Buffer::Copy<Key>(Keys(1)), values.data(), now_, out_);
  const std::uint32_t shard = out_.Take().at(0).to.index;
  Advance(milliseconds(1900));
  EXPECT_TRUE(client_->failure().ok());
  Advance(milliseconds(300));
  EXPECT_EQ(client_->failure().code(), ErrorCode::kTimeout);
  const std::string text = client_->failure().text();
  EXPECT_NE(text.find("no sign of life from shard " + std::to_string(shard)), std::string::npos) << text;
  EXPECT_NE(text.find("pull of table 1 at clock 9"), std::string::npos) << text;
}

TEST_F(ParameterClientTest, AParkedPullMayWaitLonger) {
  Make(1);
  std::vector<float> values(kDim);
  client_->Pull(kSparse, 9, AbsentRow::kInitial, Buffer::Copy<Key>(Keys(1)), values.data(), now_, out_);
  const auto pull = std::get<PullRequest>(out_.Take().at(0).message);
  for (int i = 0; i < 98; ++i) {
    Deliver(0, PullParked{pull.request_id, 2, 6});
    Advance(milliseconds(100));
    ASSERT_TRUE(client_->failure().ok()) << i;
  }
  const std::string waiting = client_->Waiting(now_);
  EXPECT_NE(waiting.find("from shard 0, since 9.8 s, behind worker 2 which has closed clock 6 there"),
            std::string::npos)
      << waiting;
  Deliver(0, PullParked{pull.request_id, 2, 6});
  Advance(milliseconds(500));
  EXPECT_EQ(client_->failure().code(), ErrorCode::kTimeout);
  EXPECT_NE(client_->failure().text().find("behind worker 2"), std::string::npos);
  EXPECT_EQ(client_->counters().parked, 99u);
}

TEST_F(ParameterClientTest, OwnPausesAreNotHeldAgainstTheShards) {
  Make(1);
  std::vector<float> values(kDim);
  const auto ticket =
      client_->Pull(kSparse, 9, AbsentRow::kInitial, Buffer::Copy<Key>(Keys(1)), values.data(), now_, out_);
  now_ += seconds(3600);
  client_->OnTimer(now_, out_);
  EXPECT_TRUE(client_->failure().ok());
  AnswerAll();
  EXPECT_TRUE(client_->Done(ticket));
}

TEST_F(ParameterClientTest, AReplyOfAnotherShapeFails) {
  Make(1);
  std::vector<float> values(kDim);
  client_->Pull(kSparse, 9, AbsentRow::kInitial, Buffer::Copy<Key>(Keys(1)), values.data(), now_, out_);
  const auto pull = std::get<PullRequest>(out_.Take().at(0).message);
  Deliver(0, PullReply{pull.request_id, kSparse, kDim, 0, Buffer::Own(std::vector<float>(2 * kDim))});
  EXPECT_EQ(client_->failure().code(), ErrorCode::kCorrupt);
}

TEST_F(ParameterClientTest, MessagesOfTheSchedulerAreNotForIt) {
  Make(1);
  Message message = Ack{1};
  EXPECT_FALSE(client_->OnMessage(Stamp{kSchedulerNode, 0, 0, 0, 0, 0}, message, now_, out_));
  EXPECT_FALSE(Deliver(0, Ack{1}));
  EXPECT_TRUE(Deliver(200, CloseReply{1}));
}

TEST_F(ParameterClientTest, ManyRequestsReuseTheirPlaces) {
  Make(4, 4096, 50);
  RandomStream random(3);
  std::vector<float> values(3000 * kDim);
  for (int round = 0; round < 50; ++round) {
    const auto keys = Keys(1 + random.Below(2000));
    const Buffer buffer = Buffer::Copy<Key>(keys);
    client_->Pull(kSparse, round, AbsentRow::kInitial, buffer, values.data(), now_, out_);
    client_->Push(kSparse, round, 1, buffer, Buffer::Own(std::vector<float>(keys.size() * kDim)), now_, out_);
    client_->Close(round, now_, out_);
    AnswerAll();
    ASSERT_TRUE(client_->ClosedEverywhere(round));
    ASSERT_EQ(client_->outstanding(), 0u);
    for (std::size_t i = 0; i < keys.size(); ++i) ASSERT_EQ(values[i * kDim], ValueOf(keys[i], 0));
  }
}

}  // namespace
}  // namespace cohort::parameter_client_test
