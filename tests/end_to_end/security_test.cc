// A run whose connections are encrypted, and who may not take part in it: noise, the right protocol without the key, silence.
// COHORT_ATTACK_SECONDS: how long it is attacked (4).
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "common/message.h"
#include "common/run_key.h"
#include "common/wire.h"
#include "common/zmq_transport.h"
#include "tests/end_to_end/shop_run.h"
#include "tests/support/processes.h"
#include "tests/support/tcp_relay.h"

namespace cohort::testing::security_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

// The ports that a process listens on.
std::set<std::uint16_t> ListeningPorts(std::int64_t pid) {
  std::set<std::string> sockets;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error)) {
    const std::string target = fs::read_symlink(entry.path(), error).string();
    if (target.starts_with("socket:[")) sockets.insert(target.substr(8, target.size() - 9));
  }
  std::set<std::uint16_t> ports;
  std::ifstream table("/proc/" + std::to_string(pid) + "/net/tcp");
  std::string line;
  for (std::getline(table, line); std::getline(table, line);) {
    std::istringstream words(line);
    std::string number, local, remote, state, queues, timer, retransmits, user, timeout, inode;
    words >> number >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >> inode;
    if (state != "0A" || !sockets.contains(inode)) continue;
    std::uint16_t port = 0;
    std::from_chars(local.data() + local.find(':') + 1, local.data() + local.size(), port, 16);
    ports.insert(port);
  }
  return ports;
}

// Calls at ports in turn with what is no business of theirs, about 50 times a second (a few percent of a core); at most `most_open`
// silent connections stay open, the oldest is closed first.
class Attacker {
 public:
  Attacker(std::vector<std::uint16_t> ports, std::size_t most_open)
      : ports_(std::move(ports)), most_open_(most_open), thread_([this] { Run(); }) {}
  // How many connections came about.
  std::uint64_t End() {
    over_ = true;
    thread_.join();
    for (const int fd : open_) ::close(fd);
    return calls_;
  }

 private:
  void Run() {
    const auto wrong = RunKey::New();
    ZmqContext plain(1), locked(1, *wrong);
    ZmqTransport::Options silent;
    silent.listen_host.clear();
    silent.connect_wait = milliseconds(20);
    silent.linger = milliseconds(0);
    // The greeting of ZeroMQ's protocol (RFC 23) that says no security, and then a frame of 2^56 bytes.
    std::string oversized("\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL", 16);
    oversized.resize(64, '\0');
    oversized += std::string("\6\1\0\0\0\0\0\0\0", 9);
    const std::vector<std::string> noise = {"GET / HTTP/1.0\r\n\r\n", std::string(3000, '\xff'),
                                            std::string(200, '\0'), oversized, ""};
    Stamp stamp;
    stamp.sender = WorkerNode(0);
    for (std::size_t i = 0; !over_; ++i) {
      const std::uint16_t port = ports_[i % ports_.size()];
      std::this_thread::sleep_for(milliseconds(20));
      if (i % 40 == 39) {  // a valid message, without a key and with another one
        const auto stranger = ZmqTransport::Create(i % 80 == 79 ? locked : plain, WorkerNode(0), silent);
        if ((*stranger)->Connect(ShardNode(0), "tcp://127.0.0.1:" + std::to_string(port)).ok())
          (void)(*stranger)->Send(ShardNode(0), Encode(stamp, ShardNode(0), Ack{RequestId{1}}));
        continue;
      }
      const int fd = ConnectTo(port);
      if (fd < 0) continue;
      ++calls_;
      const std::string& bytes = noise[i % noise.size()];
      (void)::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      open_.push_back(fd);
      if (open_.size() > most_open_) ::close(open_.front()), open_.pop_front();
    }
  }

  const std::vector<std::uint16_t> ports_;
  const std::size_t most_open_;
  std::atomic<bool> over_{false};
  std::uint64_t calls_ = 0;
  std::deque<int> open_;
  std::thread thread_;
};

TEST(Security, StrangersChangeNothingAndAreCounted) {
  const char* wanted = std::getenv("COHORT_ATTACK_SECONDS");
  const int lasts = wanted == nullptr ? 4 : std::max(1, std::atoi(wanted));
  const ShopRun& shop = ShopRun::Get();
  const Words words = Set({"train.epochs=" + std::to_string(20 * (lasts + 4)),
                           "train.evaluate_each_epoch=false", "cluster.encryption=on"});
  const std::string undisturbed = HashOf("undisturbed", 2, 2, words);
  Subprocess train(shop.TrainCommand("attacked", 2, 2, words));
  const std::string run = shop.folder() / "attacked";
  ASSERT_TRUE(Within(seconds(60), [&] {
    return ReadFile(run + "/metrics.jsonl").find("\"kind\":\"train\"") != std::string::npos ||
           !train.Running();
  }));
  // The run's key is there for its owner alone.
  struct stat key {};
  ASSERT_EQ(::stat((run + "/run.key").c_str(), &key), 0);
  EXPECT_EQ(key.st_mode & 0777, 0600u);
  std::set<std::uint16_t> ports;
  const json cluster =
      json::parse(RunProgram({Program(), "cluster", "status", run, "--json"}).out, nullptr, false);
  for (const json& member : cluster["members"])
    ports.merge(ListeningPorts(member["pid"].get<std::int64_t>()));
  ports.merge(ListeningPorts(cluster["scheduler"]["pid"].get<std::int64_t>()));
  ASSERT_GE(ports.size(), 3u) << cluster;
  Attacker attacker({ports.begin(), ports.end()}, 500);
  const auto end = std::chrono::steady_clock::now() + seconds(lasts);
  EXPECT_FALSE(
      Within(seconds(lasts), [&] { return std::chrono::steady_clock::now() < end && !train.Running(); }));
  const std::uint64_t calls = attacker.End();
  const Outcome outcome = train.Wait(seconds(300 + 3 * lasts));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_FALSE(fs::exists(run + "/run.key"));
  const json result = shop.Result("attacked"), quiet = shop.Result("undisturbed");
  EXPECT_EQ(result["model_hash"], undisturbed);
  EXPECT_GT(calls, 20u);
  EXPECT_GE(result["counts"]["refused_peers"].get<std::uint64_t>(), calls);
  EXPECT_EQ(quiet["counts"]["refused_peers"], 0);
  const auto rate = [](const json& of) { return of["samples_per_second"].get<double>(); };
  std::printf("%llu calls from strangers, %llu refused; %.0f samples/s, undisturbed %.0f\n",
              static_cast<unsigned long long>(calls),
              static_cast<unsigned long long>(result["counts"]["refused_peers"].get<std::uint64_t>()),
              rate(result), rate(quiet));
}

TEST(Security, WithAndWithoutEncryptionTheModelIsTheSame) {
  const Words epochs = Set({"train.epochs=1"});
  Words sealed = epochs;
  for (const std::string& word : Set({"cluster.encryption=on"})) sealed.push_back(word);
  EXPECT_EQ(HashOf("open", 2, 2, epochs), HashOf("sealed", 2, 2, sealed));
}

TEST(Security, AKeyThatOthersMayReadIsRefused) {
  const ShopRun& shop = ShopRun::Get();
  const std::string key = shop.folder() / "shared.key";
  ASSERT_EQ(RunProgram({Program(), "key", key}).exit_code, 0);
  EXPECT_EQ(RunProgram({Program(), "key", key}).exit_code, 2);  // it is there
  fs::permissions(key, fs::perms::group_read, fs::perm_options::add);
  Words words = Set({"train.epochs=1", "cluster.encryption=on"});
  words.insert(words.end(), {"--key", key});
  const Outcome outcome = shop.Train("refused", 1, 1, words);
  EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
  EXPECT_NE(outcome.err.find("chmod 600"), std::string::npos) << outcome.err;
  fs::permissions(key, fs::perms::group_read, fs::perm_options::remove);
  words.push_back("--overwrite");
  EXPECT_EQ(shop.Train("refused", 1, 1, words).exit_code, 0);
}

}  // namespace
}  // namespace cohort::testing::security_test
