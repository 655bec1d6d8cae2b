// A run whose connections are encrypted, who may not take part in it, and what can be read along.
// COHORT_ATTACK_SECONDS: how long it is attacked (4). From 60 on by 10,000 connections at once instead of 2,000; from 300 on the run's speed is
// judged as well.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/dataset.h"
#include "common/message.h"
#include "common/run_key.h"
#include "common/wire.h"
#include "common/zmq_transport.h"
#include "tests/end_to_end/shop_run.h"
#include "tests/support/attacker.h"
#include "tests/support/csv_lines.h"
#include "tests/support/loopback_capture.h"
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

// What a worker says to a shard when it sends an acknowledgement, handshake included, with a key or without.
std::string Said(const std::optional<RunKey>& key) {
  ZmqContext context(1, key);
  const auto shard = ZmqTransport::Create(context, ShardNode(0), {});
  ZmqTransport::Options calls;
  calls.listen_host.clear();
  calls.connect_wait = seconds(20);
  const auto worker = ZmqTransport::Create(context, WorkerNode(0), calls);
  const TcpRelay relay(PortOf((*shard)->endpoint()));
  EXPECT_TRUE((*worker)->Connect(ShardNode(0), "tcp://127.0.0.1:" + std::to_string(relay.port())).ok());
  Stamp stamp;
  stamp.sender = WorkerNode(0);
  EXPECT_TRUE((*worker)->Send(ShardNode(0), Encode(stamp, ShardNode(0), Ack{RequestId{1}})).ok());
  EXPECT_TRUE((*shard)->Receive(seconds(20)));
  return relay.sent();
}

// How far a run's training is, by the lines of its metrics.jsonl: one a second.
class Progress {
 public:
  explicit Progress(std::string file) : file_(std::move(file)) {}
  // So many lines later; false: the training was over before.
  bool Wait(Subprocess& train, int lines) {
    const auto end = std::chrono::steady_clock::now() + seconds(30 + 3 * lines) * kSlowdown;
    while (lines > 0) {
      if (!train.Running() || std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(20));  // polls a file
      if (const double before = seconds_; Look() && seconds_ > before) --lines;
    }
    return true;
  }
  double seconds_at() const { return seconds_; }
  double samples() const { return samples_; }
  double epoch_samples() const { return epoch_samples_; }

  // The last whole line, if it is of training.
  bool Look() {
    constexpr std::streamoff kTail = 1 << 16;
    std::ifstream file(file_, std::ios::binary | std::ios::ate);
    const std::streamoff size = file.tellg();
    if (size <= 0) return false;
    std::string tail(static_cast<std::size_t>(std::min(size, kTail)), '\0');
    file.seekg(-static_cast<std::streamoff>(tail.size()), std::ios::end);
    file.read(tail.data(), static_cast<std::streamsize>(tail.size()));
    const std::size_t last = tail.rfind('\n');
    if (last == std::string::npos || last == 0) return false;
    const std::size_t start = tail.rfind('\n', last - 1);
    const std::size_t from = start == std::string::npos ? 0 : start + 1;
    const json line = json::parse(tail.substr(from, last - from), nullptr, false);
    if (!line.is_object() || line["kind"] != "train") return false;
    seconds_ = line["seconds"];
    if (line["phase_rows"] > 0) epoch_samples_ = line["phase_rows"];
    samples_ = 0;
    for (const json& member : line["members"]) samples_ += member.value("samples", 0.0);
    return true;
  }

 private:
  const std::string file_;
  double seconds_ = 0, samples_ = 0, epoch_samples_ = 0;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : (values[values.size() / 2] + values[(values.size() - 1) / 2]) / 2;
}

// Attack and quiet in turns, in one run: by the second, so that what else this machine does falls on both.
TEST(Security, StrangersChangeNothingAndAreCounted) {
  const ShopRun& shop = ShopRun::Get();
  const PrivateLoopback network;  // where a scan of all ports disturbs nobody else
  if (!network.failure().empty()) GTEST_SKIP() << network.failure();
  const char* wanted = std::getenv("COHORT_ATTACK_SECONDS");
  const int lasts = wanted == nullptr ? 4 : std::max(1, std::atoi(wanted));
  const bool is_long = lasts >= 60, judged = lasts >= 300;
  const int attacked_lines = is_long ? 10 : 2, quiet_lines = is_long ? 4 : 1;
  const int turns = (lasts + attacked_lines - 1) / attacked_lines;
  const auto words = [](int epochs) {
    return Set({"train.epochs=" + std::to_string(epochs), "train.evaluate_each_epoch=false",
                "cluster.encryption=on",
                "cluster.dead_after_seconds=60"});  // the machine may be busy with other work
  };
  // How many epochs last long enough.
  (void)HashOf("trial", 2, 2, words(60));
  const double rate = shop.Result("trial")["samples_per_second"];
  constexpr int kEpochSamples = 4700;
  const double margin = is_long ? 1.4 : 2;  // for a machine that has more time to spare later
  const int epochs =
      static_cast<int>(margin * rate / kEpochSamples * (turns * (attacked_lines + quiet_lines + 1) + 2));
  const seconds limit(300 + 10 * lasts);
  const Outcome alone = RunProgram(shop.TrainCommand("undisturbed", 2, 2, words(epochs)), limit);
  ASSERT_EQ(alone.exit_code, 0) << alone.all();

  Attacker::Options attack;
  attack.no_key = {Said(std::nullopt)};
  attack.wrong_key = {Said(*RunKey::New())};
  attack.flood = is_long ? 10'000 : 2'000;
  LoopbackCapture capture(1 << 16);
  Subprocess train(shop.TrainCommand("attacked", 2, 2, words(epochs)));
  const std::string run = shop.folder() / "attacked";
  Progress progress(run + "/metrics.jsonl");
  ASSERT_TRUE(Within(seconds(60), [&] { return progress.Look() || !train.Running(); }));
  capture.End();
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
  ASSERT_EQ(ports.size(), 3u) << cluster;
  attack.ports.assign(ports.begin(), ports.end());
  // What the run's processes said to each other as they began; the first frames are CURVE's HELLO and INITIATE.
  constexpr std::size_t kGreeting = 64, kHello = 202, kInitiate = 259;
  for (const auto& [direction, data] : capture.connections()) {
    if (ports.contains(direction.second) && data.size() > kGreeting + kHello + kInitiate)
      attack.replay.push_back(data);
  }
  ASSERT_GE(attack.replay.size(), 4u) << capture.bytes();
  // The greeting that says no security, and then a frame of 2^56 bytes; and the same after a true greeting, and after a true HELLO.
  std::string none("\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL", 16);
  none.resize(kGreeting, '\0');
  for (const std::string& before :
       {none, attack.replay[0].substr(0, kGreeting), attack.replay[0].substr(0, kGreeting + kHello)})
    attack.oversized.push_back(before + std::string("\6\1\0\0\0\0\0\0\0", 9));

  Attacker attacker(attack);
  std::vector<double> attacked, quiet, ratios;
  bool over =
      false;  // on a machine that has more time to spare than before: of a short run, one whole turn will do
  const auto speed = [&](int lines) {
    if (over || ::testing::Test::HasFailure()) return 0.0;
    const double from = progress.seconds_at(), had = progress.samples();
    over = !progress.Wait(train, lines);
    EXPECT_TRUE(!over || (!is_long && !ratios.empty())) << "the training was over too soon";
    return (progress.samples() - had) / (progress.seconds_at() - from);
  };
  (void)speed(1);
  for (int turn = 0; turn < turns && !HasFailure(); ++turn) {
    attacker.Begin();
    attacked.push_back(speed(attacked_lines));
    attacker.Pause();
    (void)speed(1);  // they go
    quiet.push_back(speed(quiet_lines));
    if (over) break;
    ratios.push_back(attacked.back() / quiet.back());
  }
  attacker.End();
  const Outcome outcome = train.Wait(limit);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_FALSE(fs::exists(run + "/run.key"));

  const json result = shop.Result("attacked"), before = shop.Result("undisturbed");
  EXPECT_EQ(result["model_hash"], before["model_hash"]);
  ASSERT_EQ(result["recoveries"]["restarts"], 0) << "the counts of those that were replaced are gone";
  // Each connection that came about is counted, once, and nothing else is.
  EXPECT_TRUE(attacker.ended_well());
  const auto refused = result["counts"]["refused_peers"].get<std::uint64_t>();
  EXPECT_EQ(refused, attacker.made());
  EXPECT_EQ(before["counts"]["refused_peers"], 0);
  EXPECT_EQ(result["counts"]["refused_frames"], 0);
  std::string made;
  for (std::size_t kind = 0; kind < kAttackNames.size(); ++kind) {
    EXPECT_GT(attacker.made(static_cast<Attack>(kind)), 5u) << kAttackNames[kind];
    made += std::string(kind == 0 ? "" : ", ") + kAttackNames[kind] + " " +
            std::to_string(attacker.made(static_cast<Attack>(kind)));
  }
  EXPECT_EQ(attacker.most_open(), attack.flood);
  EXPECT_LE(attacker.cpu_seconds(), 1.05 * Attacker::kShare * attacker.seconds());
  std::string memory;
  for (const auto& [process, bytes] : result["peak_memory_bytes"].items()) {
    const double more = (bytes.get<double>() - before["peak_memory_bytes"].value(process, 0.0)) / 1e6;
    memory += (memory.empty() ? "" : ", ") + process + " " + std::to_string(more);
    if (kSlowdown == 1) {
      EXPECT_LE(more, 16) << process << ": MB more than undisturbed";
    }
  }
  std::printf(
      "%.0f s of attack in %d turns, %.1f %% of a core: %llu connections (%s), %llu refused; %llu silent at "
      "once; %llu ports "
      "tried, %llu answers not of the run; %llu turned away\n",
      attacker.seconds(), turns, 100 * attacker.cpu_seconds() / attacker.seconds(),
      static_cast<unsigned long long>(attacker.made()), made.c_str(),
      static_cast<unsigned long long>(refused), static_cast<unsigned long long>(attacker.most_open()),
      static_cast<unsigned long long>(attacker.scanned()),
      static_cast<unsigned long long>(attacker.elsewhere()),
      static_cast<unsigned long long>(attacker.turned_away()));
  std::printf("MB more at the highest than undisturbed: %s\n", memory.c_str());
  std::printf("samples/s, medians: attacked %.0f, between %.0f; by turns attacked/between %.3f\n",
              Median(attacked), Median(quiet), Median(ratios));
  if (judged) {
    EXPECT_GE(Median(ratios), 0.8);
  }
}

// All bytes that a small run sends, searched for keys of the dataset's values, as they travel, and for its texts.
TEST(Security, WithAKeyNothingOfTheDataCanBeReadOnTheWire) {
  const ShopRun& shop = ShopRun::Get();
  const PrivateLoopback network;
  if (!network.failure().empty()) GTEST_SKIP() << network.failure();
  std::vector<std::string> keys;
  std::set<std::string> seen;
  const auto lines = CsvLines(ReadFile((shop.folder() / "data") + "/customers.csv"));
  for (std::size_t row = 1; row <= 20; ++row) {
    for (std::size_t column = 1; column <= 5; ++column) {
      const std::string& feature = lines[0][column];
      if (lines[row][column].empty() || !seen.insert(feature + "=" + lines[row][column]).second) continue;
      const Key hash = CategoryKey(feature, lines[row][column]);
      keys.emplace_back(reinterpret_cast<const char*>(&hash), sizeof hash);
    }
  }
  const std::vector<std::string> texts = {"shop.h5", "expert_layers", "embedding_dim", "learning_rate",
                                          "churned"};
  const auto found = [&](const std::string& out, const std::string& encryption) {
    LoopbackCapture capture(std::size_t{1} << 30);
    (void)HashOf(out, 2, 2, Set({"train.epochs=2", "cluster.encryption=" + encryption}));
    capture.End();
    EXPECT_EQ(capture.lost(), 0u);
    const auto in = [&](const std::vector<std::string>& all) {
      return std::count_if(all.begin(), all.end(),
                           [&](const std::string& each) { return capture.Holds(each); });
    };
    const std::pair<std::ptrdiff_t, std::ptrdiff_t> both{in(keys), in(texts)};
    std::printf(
        "encryption %s: %.1f MB in %zu directions of connections; %td of %zu keys, %td of %zu texts\n",
        encryption.c_str(), static_cast<double>(capture.bytes()) / 1e6, capture.connections().size(),
        both.first, keys.size(), both.second, texts.size());
    return both;
  };
  const auto open = found("captured-open", "off"), sealed = found("captured-sealed", "on");
  EXPECT_EQ(open.first, static_cast<std::ptrdiff_t>(keys.size()));
  EXPECT_EQ(open.second, static_cast<std::ptrdiff_t>(texts.size()));
  EXPECT_EQ(sealed.first, 0);
  EXPECT_EQ(sealed.second, 0);
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
