#include "common/node_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <thread>
#include <vector>

#include "common/wire.h"
#include "common/zmq_transport.h"

namespace cohort::node_loop_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Answers each close; as a worker, asks for the next one until it has had `target` answers.
class PingNode : public Node {
 public:
  PingNode(NodeId self, Clock target) : self_(self), target_(target) {}
  void OnMessage(const Stamp& from, Message message, TimePoint, Outbox& out) override {
    stamps.push_back(from);
    if (auto* close = std::get_if<CloseRequest>(&message)) {
      out.Send(from.sender, CloseReply{close->request_id});
    } else if (std::holds_alternative<CloseReply>(message)) {
      if (++answers < target_)
        out.Send(from.sender, CloseRequest{static_cast<RequestId>(answers), 1, answers});
    } else if (std::holds_alternative<ErrorReply>(message)) {
      ++errors;
    }
  }
  void OnTimer(TimePoint now, Outbox&) override {
    ++timers;
    next_timer = now + milliseconds(5);
  }
  TimePoint NextTimer() const override { return next_timer; }
  Stamp stamp() const override { return {self_, 77, 0, incarnation_, 0, 0}; }
  void Rename(NodeId self, std::uint32_t incarnation) { self_ = self, incarnation_ = incarnation; }

  std::vector<Stamp> stamps;
  std::atomic<int> answers = 0;
  int errors = 0, timers = 0;
  TimePoint next_timer = kNever;

 private:
  NodeId self_;
  std::uint32_t incarnation_ = 0;
  Clock target_;
};

// What is sent is kept; what is to be received is put in by the test.
class FakeTransport : public Transport {
 public:
  Status Connect(NodeId peer, const std::string& endpoint) override {
    connected[peer] = endpoint;
    return {};
  }
  void Disconnect(NodeId) override {}
  Status Rename(NodeId self, std::uint32_t new_incarnation) override {
    name = self, incarnation = new_incarnation;
    return {};
  }
  Status Send(NodeId to, Frames frames) override {
    if (broken) return {ErrorCode::kUnavailable, "broken"};
    sent.emplace_back(to, std::move(frames));
    return {};
  }
  std::optional<Frames> Receive(Duration timeout) override {
    waited += timeout;
    if (inbox.empty()) return std::nullopt;
    Frames frames = inbox.front();
    inbox.pop_front();
    return frames;
  }
  std::map<NodeId, std::string> connected;
  std::vector<std::pair<NodeId, Frames>> sent;
  std::deque<Frames> inbox;
  Duration waited{};
  NodeId name = WorkerNode(0);
  std::uint32_t incarnation = 0;
  bool broken = false;
};

Stamp From(NodeId node) { return {node, 77, 0, 0, 0, 0}; }

TEST(NodeLoop, AnswersAndCounts) {
  FakeTransport transport;
  PingNode node(ShardNode(0), 0);
  NodeLoop loop(&node, &transport);
  const Frames request = Encode(From(WorkerNode(1)), ShardNode(0), CloseRequest{5, 1, 3});
  transport.inbox = {request, request};
  EXPECT_TRUE(loop.Pump(milliseconds(1)));
  EXPECT_FALSE(loop.Pump(Duration::zero()));
  ASSERT_EQ(transport.sent.size(), 2u);
  EXPECT_EQ(transport.sent[0].first, WorkerNode(1));
  auto reply = Decode(transport.sent[0].second);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->stamp.sender, ShardNode(0));
  EXPECT_EQ(reply->stamp.run_id, 77u);
  EXPECT_EQ(reply->receiver, WorkerNode(1));
  EXPECT_EQ(loop.counters().messages_received, 2u);
  EXPECT_EQ(loop.counters().bytes_received, 2 * SizeOf(request));
  EXPECT_EQ(loop.counters().messages_sent, 2u);
  EXPECT_EQ(loop.counters().bytes_sent, 2 * (kHeaderBytes + 8));
}

TEST(NodeLoop, BadFramesAreCountedAndAnsweredWhenTheirSenderIsKnown) {
  FakeTransport transport;
  PingNode node(ShardNode(0), 0);
  NodeLoop loop(&node, &transport);
  const Frames noise = {Buffer::Own(std::vector<std::uint8_t>(200, 7))};
  const Frames negative = Encode(From(WorkerNode(1)), ShardNode(0), CloseRequest{5, 1, -3});
  const Frames for_another = Encode(From(WorkerNode(1)), ShardNode(1), CloseRequest{5, 1, 3});
  const Frames bad_reply = Encode(From(WorkerNode(1)), ShardNode(0), PullReply{5, 0, 0, 0, {}});
  transport.inbox = {noise, {}, negative, for_another, bad_reply};
  loop.Pump(Duration::zero());
  EXPECT_EQ(loop.counters().bad_frames, 5u);
  EXPECT_TRUE(node.stamps.empty());
  ASSERT_EQ(transport.sent.size(), 1u);
  const auto error = std::get<ErrorReply>(Decode(transport.sent[0].second)->message);
  EXPECT_EQ(error.request_id, 5u);
  EXPECT_EQ(error.reason, ErrorReason::kMalformed);
  EXPECT_NE(error.text.find("CloseRequest of worker 1 refused: a negative clock"), std::string::npos)
      << error.text;
}

TEST(NodeLoop, SendErrorsAreCountedAndKept) {
  FakeTransport transport;
  transport.broken = true;
  PingNode node(ShardNode(0), 0);
  NodeLoop loop(&node, &transport);
  Outbox out;
  out.Send(WorkerNode(1), CloseReply{1});
  loop.Flush(out);
  EXPECT_EQ(loop.counters().send_errors, 1u);
  EXPECT_EQ(loop.last_send_error().text(), "broken");
}

TEST(NodeLoop, ConnectsBeforeItSends) {
  FakeTransport transport;
  PingNode node(WorkerNode(1), 0);
  NodeLoop loop(&node, &transport);
  Outbox out;
  out.Send(ShardNode(1), CloseReply{1});
  out.Connect(ShardNode(1), "tcp://a:2");
  loop.Flush(out);
  EXPECT_EQ(transport.connected[ShardNode(1)], "tcp://a:2");
  EXPECT_EQ(transport.sent.size(), 1u);
  EXPECT_TRUE(transport.name == WorkerNode(0));  // nobody has renamed it
}

// A backup that becomes its shard.
TEST(NodeLoop, ANodeThatChangesItsNameIsKnownByTheNewOne) {
  FakeTransport transport;
  PingNode node(BackupNode(3), 0);
  NodeLoop loop(&node, &transport);
  node.Rename(ShardNode(3), 2);
  Outbox out;
  out.Send(kSchedulerNode, CloseReply{1});
  loop.Flush(out);
  EXPECT_EQ(transport.name, ShardNode(3));
  EXPECT_EQ(transport.incarnation, 2u);
  EXPECT_EQ(Decode(transport.sent[0].second)->stamp.sender, ShardNode(3));
  transport.inbox = {Encode(From(WorkerNode(1)), ShardNode(3), CloseRequest{5, 1, 3})};
  loop.Pump(Duration::zero());
  EXPECT_EQ(loop.counters().bad_frames, 0u);
}

TEST(NodeLoop, TimersFireAndBoundTheWait) {
  FakeTransport transport;
  PingNode node(ShardNode(0), 0);
  TimePoint now{seconds(100)};
  NodeLoop loop(&node, &transport, [&] { return now; });
  node.next_timer = now + milliseconds(3);
  loop.Pump(seconds(1));
  EXPECT_EQ(transport.waited, milliseconds(3));
  EXPECT_EQ(node.timers, 0);
  now += milliseconds(3);
  loop.Pump(seconds(1));
  EXPECT_EQ(node.timers, 1);
}

TEST(NodeLoop, TwoNodesTalkOverSockets) {
  ZmqContext context;
  ZmqTransport::Options connect_only;
  connect_only.listen_host.clear();
  connect_only.connect_wait = std::chrono::seconds(20);
  auto shard_transport = std::move(*ZmqTransport::Create(context, ShardNode(0), {}));
  const std::string endpoint = shard_transport->endpoint();
  std::atomic<bool> stop = false;
  std::thread shard([&] {
    PingNode node(ShardNode(0), 0);
    NodeLoop loop(&node, shard_transport.get());
    loop.Run([&] { return stop.load(); }, milliseconds(10));
  });
  auto transport = std::move(*ZmqTransport::Create(context, WorkerNode(0), connect_only));
  ASSERT_TRUE(transport->Connect(ShardNode(0), endpoint).ok());
  PingNode node(WorkerNode(0), 500);
  NodeLoop loop(&node, transport.get());
  Outbox out;
  out.Send(ShardNode(0), CloseRequest{0, 1, 0});
  loop.Flush(out);
  const TimePoint end = loop.Now() + seconds(20);
  loop.Run([&] { return node.answers >= 500 || loop.Now() > end; });
  EXPECT_EQ(node.answers, 500);
  stop = true;
  shard.join();
}

}  // namespace
}  // namespace cohort::node_loop_test
