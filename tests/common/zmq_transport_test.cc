#include "common/zmq_transport.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "common/process.h"
#include "common/run_key.h"
#include "common/wire.h"
#include "tests/support/slowdown.h"
#include "tests/support/tcp_relay.h"

namespace cohort::zmq_transport_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::PortOf;
using Time = std::chrono::steady_clock;

// Handshakes are waited for as long as a busy machine may need.
std::unique_ptr<ZmqTransport> Make(ZmqContext& context, NodeId self, bool listen = true,
                                   std::uint32_t incarnation = 0, Duration connect_wait = seconds(20)) {
  ZmqTransport::Options options;
  options.connect_wait = connect_wait;
  if (!listen) options.listen_host.clear();
  options.incarnation = incarnation;
  options.linger = milliseconds(200);
  auto transport = ZmqTransport::Create(context, self, options);
  EXPECT_TRUE(transport.has_value()) << transport.error().text();
  return std::move(*transport);
}
Buffer Text(const std::string& text) { return Buffer::Copy<char>(std::span<const char>(text)); }
std::string TextOf(const Buffer& buffer) {
  return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
}
Buffer Numbers(std::size_t n) {
  std::vector<std::uint64_t> numbers(n);
  std::iota(numbers.begin(), numbers.end(), 0ull);
  return Buffer::Own(std::move(numbers));
}

TEST(ZmqTransport, FramesGoBothWaysOverOneConnection) {
  ZmqContext context;
  auto shard = Make(context, ShardNode(2));
  auto worker = Make(context, WorkerNode(1), false);
  EXPECT_EQ(shard->endpoint().substr(0, 16), "tcp://127.0.0.1:");
  EXPECT_TRUE(worker->endpoint().empty());
  ASSERT_TRUE(worker->Connect(ShardNode(2), shard->endpoint()).ok());
  ASSERT_TRUE(worker->Send(ShardNode(2), {Text("header"), Numbers(100000), Buffer(), Text("end")}).ok());
  auto got = shard->Receive(seconds(20));
  ASSERT_TRUE(got.has_value());
  ASSERT_EQ(got->size(), 4u);
  EXPECT_EQ(TextOf((*got)[0]), "header");
  ASSERT_EQ((*got)[1].size(), 800000u);
  EXPECT_EQ(std::memcmp((*got)[1].data(), Numbers(100000).data(), 800000), 0);
  EXPECT_EQ((*got)[2].size(), 0u);
  ASSERT_TRUE(shard->Send(WorkerNode(1), {Text("reply"), (*got)[1]}).ok());
  got.reset();
  auto reply = worker->Receive(seconds(20));
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(TextOf((*reply)[0]), "reply");
  EXPECT_EQ((*reply)[1].size(), 800000u);
}

TEST(ZmqTransport, LargeBuffersAreNotCopiedAndReleased) {
  ZmqContext context;
  auto shard = Make(context, ShardNode(0));
  auto worker = Make(context, WorkerNode(0), false);
  ASSERT_TRUE(worker->Connect(ShardNode(0), shard->endpoint()).ok());
  const Buffer big = Numbers(1 << 20);
  ASSERT_TRUE(worker->Send(ShardNode(0), {Text("h"), big}).ok());
  ASSERT_TRUE(shard->Receive(seconds(20)).has_value());
  const auto end = Time::now() + seconds(20);
  while (big.use_count() > 1 && Time::now() < end) std::ignore = worker->Receive(milliseconds(1));
  EXPECT_EQ(big.use_count(), 1);
}

TEST(ZmqTransport, UnknownPeersAreAnError) {
  ZmqContext context;
  auto shard = Make(context, ShardNode(0));
  EXPECT_EQ(shard->Send(WorkerNode(7), {Text("x")}).code(), ErrorCode::kUnavailable);
}

TEST(ZmqTransport, AVanishedPeerBecomesAnError) {
  ZmqContext context;
  auto shard = Make(context, ShardNode(0));
  auto worker = Make(context, WorkerNode(0), false);
  ASSERT_TRUE(worker->Connect(ShardNode(0), shard->endpoint()).ok());
  ASSERT_TRUE(worker->Send(ShardNode(0), {Text("x")}).ok());
  ASSERT_TRUE(shard->Receive(seconds(20)).has_value());
  worker.reset();
  Status status;
  const auto end = Time::now() + seconds(20);
  while (status.ok() && Time::now() < end) {
    status = shard->Send(WorkerNode(0), {Text("y"), Numbers(10)});
    std::ignore = shard->Receive(milliseconds(5));
  }
  EXPECT_EQ(status.code(), ErrorCode::kUnavailable);
  // And a newcomer of that name is reached again, whole messages only.
  worker = Make(context, WorkerNode(0), false, 1);
  ASSERT_TRUE(worker->Connect(ShardNode(0), shard->endpoint()).ok());
  ASSERT_TRUE(worker->Send(ShardNode(0), {Text("back")}).ok());
  ASSERT_TRUE(shard->Receive(seconds(20)).has_value());
  ASSERT_TRUE(shard->Send(WorkerNode(0), {Text("welcome"), Numbers(1)}).ok());
  auto got = worker->Receive(seconds(20));
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->size(), 2u);
}

TEST(ZmqTransport, NobodyListensIsAnErrorNotAHang) {
  ZmqContext context;
  // A port that is free: bound, but nobody listens.
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = testing::LoopbackAddress(0);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string endpoint = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  const auto start = Time::now();
  auto worker = Make(context, WorkerNode(0), false, 0, milliseconds(100));
  EXPECT_TRUE(worker->Connect(ShardNode(0), endpoint).ok());  // goes on trying
  EXPECT_EQ(worker->Send(ShardNode(0), {Text("x")}).code(), ErrorCode::kUnavailable);
  EXPECT_FALSE(worker->Receive(milliseconds(10)).has_value());
  worker.reset();
  EXPECT_LT(Time::now() - start, seconds(20));
  close(fd);
  EXPECT_EQ(Make(context, WorkerNode(0), false)->Connect(ShardNode(0), "nonsense").code(), ErrorCode::kIo);
}

TEST(ZmqTransport, TheNewestIncarnationGetsTheReplies) {
  ZmqContext context;
  auto shard = Make(context, ShardNode(0));
  auto old_one = Make(context, WorkerNode(3), false, 1);
  auto new_one = Make(context, WorkerNode(3), false, 2);
  ASSERT_TRUE(old_one->Connect(ShardNode(0), shard->endpoint()).ok());
  ASSERT_TRUE(new_one->Connect(ShardNode(0), shard->endpoint()).ok());
  ASSERT_TRUE(new_one->Send(ShardNode(0), {Text("new")}).ok());
  ASSERT_TRUE(shard->Receive(seconds(20)).has_value());
  ASSERT_TRUE(old_one->Send(ShardNode(0), {Text("old")}).ok());
  ASSERT_TRUE(shard->Receive(seconds(20)).has_value());
  ASSERT_TRUE(shard->Send(WorkerNode(3), {Text("for the new one")}).ok());
  auto got = new_one->Receive(seconds(20));
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(TextOf((*got)[0]), "for the new one");
  EXPECT_FALSE(old_one->Receive(milliseconds(20)).has_value());
}

TEST(ZmqTransport, ConnectingAgainReplacesTheConnection) {
  ZmqContext context;
  auto first = Make(context, ShardNode(0));
  auto second = Make(context, ShardNode(0));
  auto worker = Make(context, WorkerNode(0), false);
  for (auto* shard : {&first, &second, &first}) {
    ASSERT_TRUE(worker->Connect(ShardNode(0), (*shard)->endpoint()).ok());
    ASSERT_TRUE(worker->Send(ShardNode(0), {Text("x")}).ok());
    ASSERT_TRUE((*shard)->Receive(seconds(20)).has_value());
    ASSERT_TRUE((*shard)->Send(WorkerNode(0), {Text("y")}).ok());
    ASSERT_TRUE(worker->Receive(seconds(20)).has_value());
  }
}

// A connection on which these bytes were sent.
int Shout(std::uint16_t port, const std::string& bytes) {
  const int fd = testing::ConnectTo(port);
  EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return fd;
}

TEST(ZmqTransport, ForeignBytesAreNotAMessage) {
  ZmqContext context;
  auto shard = Make(context, ShardNode(0));
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.0\r\n\r\n"), std::string(5000, '\xff'), std::string(64, '\0')}) {
    const int fd = Shout(PortOf(shard->endpoint()), bytes);
    EXPECT_FALSE(shard->Receive(milliseconds(20)).has_value());
    close(fd);
  }
  auto worker = Make(context, WorkerNode(0), false);
  ASSERT_TRUE(worker->Connect(ShardNode(0), shard->endpoint()).ok());
  ASSERT_TRUE(worker->Send(ShardNode(0), {Text("x")}).ok());
  EXPECT_TRUE(shard->Receive(seconds(20)).has_value());
}

RunKey NewKey() {
  auto key = RunKey::New();
  EXPECT_TRUE(key) << key.error().text();
  return *key;
}

bool Within(Duration limit, const std::function<bool()>& done) {
  for (const auto end = Time::now() + limit; Time::now() < end;) {
    if (done()) return true;
  }
  return done();
}

// Sends through a relay that keeps what passes, with or without a key, and returns that.
std::string Recorded(const std::optional<RunKey>& key, const std::string& text) {
  ZmqContext context(1, key);
  auto shard = Make(context, ShardNode(0));
  auto worker = Make(context, WorkerNode(0), false);
  const testing::TcpRelay relay(PortOf(shard->endpoint()));
  EXPECT_TRUE(worker->Connect(ShardNode(0), "tcp://127.0.0.1:" + std::to_string(relay.port())).ok());
  EXPECT_TRUE(worker->Send(ShardNode(0), {Text("key " + text), Numbers(1000)}).ok());
  const auto got = shard->Receive(seconds(20));
  EXPECT_TRUE(got && TextOf((*got)[0]) == "key " + text);
  EXPECT_TRUE(shard->Send(WorkerNode(0), {Text("row " + text)}).ok());
  EXPECT_TRUE(worker->Receive(seconds(20)));
  return relay.passed();
}

TEST(ZmqTransport, WithAKeyNobodyElseCanReadAlong) {
  const std::string text = "a user's id and the weights of their row";
  const std::string numbers("\x07\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x09", 17);
  const std::string open = Recorded(std::nullopt, text), sealed = Recorded(NewKey(), text);
  EXPECT_NE(open.find("key " + text), std::string::npos);
  EXPECT_NE(open.find("row " + text), std::string::npos);
  EXPECT_NE(open.find(numbers), std::string::npos);
  EXPECT_GT(sealed.size(), 8000u);
  for (const std::string& secret : {text, numbers, text.substr(0, 8)})
    EXPECT_EQ(sealed.find(secret), std::string::npos);
}

TEST(ZmqTransport, WithAKeyNobodyElseIsLetInAndAllAreCounted) {
  const RunKey key = NewKey();
  ZmqContext context(1, key);
  auto shard = Make(context, ShardNode(0));
  const auto refused = [&](std::uint64_t count) {
    return Within(seconds(20), [&] {
      EXPECT_FALSE(shard->Receive(milliseconds(5)));
      return shard->refused_peers() >= count;
    });
  };
  // The right protocol without a key, and with another one.
  for (const std::optional<RunKey>& wrong : {std::optional<RunKey>(), std::optional<RunKey>(NewKey())}) {
    const std::uint64_t before = shard->refused_peers();
    ZmqContext foreign(1, wrong);
    auto stranger = Make(foreign, WorkerNode(0), false, 0, milliseconds(200));
    ASSERT_TRUE(stranger->Connect(ShardNode(0), shard->endpoint()).ok());
    EXPECT_FALSE(stranger->Send(ShardNode(0), {Text("x")}).ok());
    EXPECT_TRUE(refused(before + 1));
  }
  // Those tried more than once, the last time perhaps as they went.
  EXPECT_FALSE(shard->Receive(milliseconds(500)));
  // Noise, and who says nothing at all; each counts once.
  const std::uint64_t before = shard->refused_peers();
  for (const std::string& bytes : {std::string("GET / HTTP/1.0\r\n\r\n"), std::string(5000, '\xff'),
                                   std::string(64, '\0'), std::string()})
    close(Shout(PortOf(shard->endpoint()), bytes));
  EXPECT_TRUE(refused(before + 4));
  EXPECT_EQ(shard->refused_peers(), before + 4);
  // Somebody who has the key; then what they said, once more.
  ZmqContext friendly(1, key);
  auto worker = Make(friendly, WorkerNode(0), false);
  const testing::TcpRelay relay(PortOf(shard->endpoint()));
  ASSERT_TRUE(worker->Connect(ShardNode(0), "tcp://127.0.0.1:" + std::to_string(relay.port())).ok());
  ASSERT_TRUE(worker->Send(ShardNode(0), {Text("once")}).ok());
  const auto got = shard->Receive(seconds(20));
  ASSERT_TRUE(got);
  EXPECT_EQ(TextOf((*got)[0]), "once");
  EXPECT_FALSE(shard->Receive(milliseconds(100)));  // its handshake has been seen
  EXPECT_EQ(shard->refused_peers(), before + 4);
  const int replay = Shout(PortOf(shard->endpoint()), relay.sent());
  EXPECT_TRUE(refused(before + 5));
  close(replay);
  ASSERT_TRUE(worker->Send(ShardNode(0), {Text("twice")}).ok());
  const auto after = shard->Receive(seconds(20));
  ASSERT_TRUE(after);
  EXPECT_EQ(TextOf((*after)[0]), "twice");
}

// The public half opens CURVE's handshake, and is what ends it: whoever comes with another one is turned away by the process itself.
TEST(ZmqTransport, WhoHasOnlyThePublicHalfOfTheKeyIsNotLetIn) {
  const RunKey key = NewKey(), other = NewKey();
  ZmqContext context(1, key);
  auto shard = Make(context, ShardNode(0));
  zmq::context_t foreign;
  for (const bool has_it : {false, true}) {
    const RunKey& own = has_it ? key : other;
    zmq::socket_t stranger(foreign, zmq::socket_type::dealer);
    stranger.set(zmq::sockopt::curve_serverkey, key.public_key());
    stranger.set(zmq::sockopt::curve_publickey, own.public_key());
    stranger.set(zmq::sockopt::curve_secretkey, own.secret());
    stranger.set(zmq::sockopt::routing_id, std::string("C\1\0\0\0\0\0\0\0\0\1\0\0\0", 14));  // worker 0's
    stranger.set(zmq::sockopt::reconnect_ivl, -1);
    stranger.set(zmq::sockopt::linger, 0);
    stranger.connect(shard->endpoint());
    stranger.send(zmq::str_buffer("x"));
    EXPECT_EQ(shard->Receive(has_it ? seconds(20) : seconds(1)).has_value(), has_it);
    EXPECT_FALSE(shard->Receive(milliseconds(100)));
    EXPECT_EQ(shard->refused_peers(), 1u);
  }
}

// libzmq's secrets lie in memory of ours (zmq_transport.cc), since the linker has put these before libsodium's.
TEST(ZmqTransport, HandshakesTakeNoPagesOfTheirOwn) {
  for (const char* name : {"sodium_allocarray", "sodium_free"}) {
    Dl_info taken{}, own{};
    ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, name), &taken), 0) << name;
    ASSERT_NE(dladdr(reinterpret_cast<void*>(&ZmqTransport::Create), &own), 0);
    EXPECT_STREQ(taken.dli_fname, own.dli_fname);
  }
}

// Connections on which `said` is all that is said.
std::vector<int> Strangers(std::uint16_t port, int count, const std::string& said = "\xff") {
  std::vector<int> files;
  for (int i = 0; i < count; ++i) files.push_back(Shout(port, said));
  return files;
}
// Of these, how many the other end has not closed. What it has said is taken.
std::size_t Open(const std::vector<int>& files) {
  return static_cast<std::size_t>(std::count_if(files.begin(), files.end(), [](int file) {
    std::array<char, 256> said;
    ssize_t count;
    while ((count = recv(file, said.data(), said.size(), MSG_DONTWAIT)) > 0) {
    }
    return count < 0 && errno == EAGAIN;
  }));
}

TEST(ZmqTransport, StrangersAtTheDoorAreBoundedAndPeersGetIn) {
  const RunKey key = NewKey();
  ZmqContext context(1, key), friendly(1, key);
  auto shard = Make(context, ShardNode(0));
  const std::uint16_t port = PortOf(shard->endpoint());
  // A peer whose connection passes through a relay, which takes no second one: it would be missed if it were closed.
  auto worker = Make(friendly, WorkerNode(0), false);
  const testing::TcpRelay relay(port);
  ASSERT_TRUE(worker->Connect(ShardNode(0), "tcp://127.0.0.1:" + std::to_string(relay.port())).ok());
  ASSERT_TRUE(worker->Send(ShardNode(0), {Text("before")}).ok());
  ASSERT_TRUE(shard->Receive(seconds(20)));
  std::vector<int> strangers;
  constexpr int kStrangers = 1500;
  while (strangers.size() < kStrangers) {
    for (const int file : Strangers(port, 50)) strangers.push_back(file);
    EXPECT_FALSE(shard->Receive(milliseconds(10)));
  }
  EXPECT_TRUE(Within(seconds(3), [&] {
    EXPECT_FALSE(shard->Receive(milliseconds(5)));
    return shard->refused_peers() == kStrangers && Open(strangers) <= 512;
  }));
  EXPECT_GE(Open(strangers), 500u);  // the last who came
  EXPECT_EQ(Open({strangers.begin(), strangers.begin() + 900}), 0u);
  // At a full door a newcomer who has the key is let in, and the other has stayed.
  auto newcomer = Make(friendly, WorkerNode(1), false);
  ASSERT_TRUE(newcomer->Connect(ShardNode(0), shard->endpoint()).ok());
  for (ZmqTransport* peer : {newcomer.get(), worker.get()}) {
    ASSERT_TRUE(peer->Send(ShardNode(0), {Text("after")}).ok());
    const auto got = shard->Receive(seconds(20));
    ASSERT_TRUE(got);
    EXPECT_EQ(TextOf((*got)[0]), "after");
  }
  EXPECT_TRUE(Within(seconds(20), [&] {  // all have had their time
    EXPECT_FALSE(shard->Receive(milliseconds(50)));
    return Open(strangers) == 0;
  }));
  EXPECT_EQ(shard->refused_peers(), kStrangers);
  for (const int file : strangers) close(file);
}

// They are the kernel's until they speak, or go; both are counted.
TEST(ZmqTransport, WhoSaysNothingTakesNothingOfTheProcess) {
  const int probe = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  const bool defers = setsockopt(probe, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof one) == 0;
  close(probe);
  if (!defers) GTEST_SKIP() << "this system has no TCP_DEFER_ACCEPT";
  const RunKey key = NewKey();
  ZmqContext context(1, key), friendly(1, key);
  auto shard = Make(context, ShardNode(0));
  EXPECT_FALSE(shard->Receive(milliseconds(1)));  // it has seen that it listens
  const auto open_files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const auto before = open_files();
  constexpr int kStrangers = 300;
  const std::vector<int> strangers = Strangers(PortOf(shard->endpoint()), kStrangers, "");
  EXPECT_FALSE(shard->Receive(milliseconds(300)));
  EXPECT_EQ(open_files(), before + kStrangers);  // our ends
  EXPECT_EQ(shard->refused_peers(), 0u);
  auto worker = Make(friendly, WorkerNode(0), false);
  ASSERT_TRUE(worker->Connect(ShardNode(0), shard->endpoint()).ok());
  ASSERT_TRUE(worker->Send(ShardNode(0), {Text("x")}).ok());
  EXPECT_TRUE(shard->Receive(seconds(20)));
  for (int i = 0; i < kStrangers; ++i) {
    if (i % 2 == 0) {
      close(strangers[static_cast<std::size_t>(i)]);
    } else {
      EXPECT_EQ(send(strangers[static_cast<std::size_t>(i)], "\xff", 1, MSG_NOSIGNAL), 1);
    }
  }
  EXPECT_TRUE(Within(seconds(20), [&] {
    EXPECT_FALSE(shard->Receive(milliseconds(5)));
    return shard->refused_peers() >= kStrangers;
  }));
  EXPECT_FALSE(shard->Receive(milliseconds(100)));
  EXPECT_EQ(shard->refused_peers(), kStrangers);
  for (int i = 1; i < kStrangers; i += 2) close(strangers[static_cast<std::size_t>(i)]);
}

// When a process has no files left ZeroMQ asks for the next connection without a pause; strangers are to leave it some.
TEST(ZmqTransport, StrangersDoNotTakeTheLastFiles) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = dup(0);
  close(next);
  rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(next) + 100;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const RunKey key = NewKey();
  {
    ZmqContext context(1, key), friendly(1, key);
    auto shard = Make(context, ShardNode(0));
    auto worker = Make(friendly, WorkerNode(0), false);
    ASSERT_TRUE(worker->Connect(ShardNode(0), shard->endpoint()).ok());
    constexpr int kStrangers = 400;
    const double busy = ReadProcessUsage().cpu_seconds;
    const pid_t process = fork();
    if (process == 0) {
      setrlimit(RLIMIT_NOFILE, &before);
      (void)Strangers(PortOf(shard->endpoint()), kStrangers);
      sleep(3);
      _exit(0);
    }
    EXPECT_TRUE(Within(seconds(60), [&] {
      EXPECT_FALSE(shard->Receive(milliseconds(5)));
      return shard->refused_peers() >= kStrangers;
    }));
    EXPECT_FALSE(shard->Receive(milliseconds(200)));
    EXPECT_EQ(shard->refused_peers(), kStrangers);
    EXPECT_LT(ReadProcessUsage().cpu_seconds - busy, 2 * testing::kSlowdown);
    const int file = dup(0);
    EXPECT_GE(file, 0);
    close(file);
    ASSERT_TRUE(worker->Send(ShardNode(0), {Text("x")}).ok());
    EXPECT_TRUE(shard->Receive(seconds(20)));
    waitpid(process, nullptr, 0);
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

// Without a key anybody gets through ZeroMQ's handshake; a frame of 2^40 bytes then ends the connection before any of it is read.
TEST(ZmqTransport, AnOversizedFrameAfterTheHandshakeEndsTheConnection) {
  ZmqContext context;
  auto shard = Make(context, ShardNode(0));
  auto worker = Make(context, WorkerNode(0), false);
  ASSERT_TRUE(worker->Connect(ShardNode(0), shard->endpoint()).ok());
  std::string bytes("\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL", 16);
  bytes.resize(64, '\0');
  bytes += std::string("\4\x1c\5READY\xbSocket-Type\0\0\0\6DEALER", 30);
  const std::uint64_t before = ReadProcessUsage().peak_memory_bytes;
  const int file = Shout(PortOf(shard->endpoint()), bytes);
  const auto admitted = [&] {
    EXPECT_FALSE(shard->Receive(milliseconds(5)));
    return shard->refused_peers() == 0;
  };
  EXPECT_FALSE(shard->Receive(milliseconds(100)));
  EXPECT_TRUE(Within(seconds(20), admitted));
  EXPECT_EQ(Open({file}), 1u);
  const std::string frame = std::string("\2\0\0\1\0\0\0\0\0", 9) + std::string(1000, 'x');
  EXPECT_EQ(send(file, frame.data(), frame.size(), MSG_NOSIGNAL), static_cast<ssize_t>(frame.size()));
  EXPECT_TRUE(Within(seconds(20), [&] { return Open({file}) == 0; }));
  close(file);
  EXPECT_LT(ReadProcessUsage().peak_memory_bytes - before, 16u << 20);
  ASSERT_TRUE(worker->Send(ShardNode(0), {Text("x")}).ok());
  EXPECT_TRUE(shard->Receive(seconds(20)));
}

TEST(ZmqTransport, AddressesOfOthersCannotBeListenedOn) {
  ZmqContext context;
  ZmqTransport::Options options;
  options.listen_host = "192.0.2.1";
  auto transport = ZmqTransport::Create(context, ShardNode(0), options);
  ASSERT_FALSE(transport.has_value());
  EXPECT_EQ(transport.error().code(), ErrorCode::kIo);
  EXPECT_NE(transport.error().text().find("192.0.2.1"), std::string::npos);
}

TEST(ZmqTransport, ManyMessagesArriveWholeAndInOrder) {
  ZmqContext context;
  auto shard = Make(context, ShardNode(0));
  std::vector<std::unique_ptr<ZmqTransport>> workers;
  constexpr std::uint32_t kWorkers = 3, kMessages = 2000;
  for (std::uint32_t w = 0; w < kWorkers; ++w) {
    workers.push_back(Make(context, WorkerNode(w), false));
    ASSERT_TRUE(workers.back()->Connect(ShardNode(0), shard->endpoint()).ok());
  }
  for (std::uint32_t i = 0; i < kMessages; ++i) {
    for (auto& worker : workers) ASSERT_TRUE(worker->Send(ShardNode(0), {Numbers(i % 700), Numbers(i)}).ok());
  }
  std::uint32_t received = 0;
  while (received < kWorkers * kMessages) {
    auto frames = shard->Receive(seconds(60));
    ASSERT_TRUE(frames.has_value());
    ASSERT_EQ(frames->size(), 2u);
    ASSERT_EQ((*frames)[0].size(), (*frames)[1].size() / 8 % 700 * 8);
    ++received;
  }
}

}  // namespace
}  // namespace cohort::zmq_transport_test
