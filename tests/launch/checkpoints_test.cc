// Checkpoints as a run writes them and its supervisor finds them, when the process that writes one is killed.
#include "launch/checkpoints.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/fault_point.h"
#include "common/model_files.h"
#include "launch/run_recorder.h"
#include "tests/support/checkpoint_cluster.h"
#include "tests/support/subprocess.h"

namespace cohort::checkpoints_test {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;
using Rows = std::map<std::pair<TableId, Key>, std::vector<float>>;

RunInputs Inputs(std::uint32_t keep) {
  RunInputs inputs;
  inputs.config.data = "/d.h5";
  inputs.config.checkpoint.keep = keep;
  FeatureInfo city;
  city.name = "city", city.type = FeatureType::kCategorical;
  inputs.data.features = {city};
  TaskInfo task;
  task.name = "buys", task.type = TaskType::kBinary, task.mean = 0.5, task.labelled = 4;
  inputs.data.tasks = {task};
  inputs.data.rows = {4, 4, 4};
  inputs.spec = BuildModelSpec(inputs.config, inputs.data).value();
  return inputs;
}

// A reached point: its name, the last component of the path, and how often the two had been there before.
using Reached = std::pair<std::string, int>;

// The process that is to die. Its hook may be called by several threads.
struct Victim {
  static inline std::string trace;         // file, a line for each point that is reached; empty: none
  static inline std::string line;          // at which to die; empty: nowhere
  static inline std::atomic<int> left{0};  // times that this line is passed by before
  static void Reach(const char* point, const std::string& path) {
    const std::string here = std::string(point) + " | " + path.substr(path.rfind('/') + 1) + "\n";
    if (!trace.empty()) {
      const int file = ::open(trace.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
      const bool written = ::write(file, here.data(), here.size()) == static_cast<ssize_t>(here.size());
      ::close(file);
      if (!written) ::_exit(3);
    }
    if (here != line || left-- != 0) return;
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
};

// What a life of a run does: clocks 0 and 1, and after each a checkpoint, number 1 and 2. Its lives do not compute the
// same, so that no one's part can be taken for another's.
class Life {
 public:
  Life(const std::string& folder, std::uint64_t life, bool incremental, std::uint32_t keep = 3)
      : inputs_(Inputs(keep)),
        recorder_(inputs_, Job::kTrain, folder),
        cluster_(2, TablesOf(inputs_.spec, inputs_.config), Consistency::kBsp, 1,
                 folder + "/" + kCheckpointsFolder, incremental ? 2 : 1),
        life_(life) {
    cluster_.welcome.slices = 1;
    cluster_.Begin();
  }
  void Step(Clock clock) {
    cluster_.Push(0, clock, 1, life_, std::nullopt, clock == 0 ? 400 : 20);
    cluster_.Close(0, clock);
  }
  void Checkpoint(std::uint64_t number) {
    cluster_.done.clear();
    cluster_.Order(number);
    cluster_.WaitForParts(2);
    std::sort(cluster_.done.begin(), cluster_.done.end(),
              [](const auto& a, const auto& b) { return a.file < b.file; });
    for (const CheckpointDone& done : cluster_.done) EXPECT_EQ(done.error, "");
    RunPosition position;
    position.number = number;
    recorder_.OnCheckpoint(position, cluster_.done, "avx2");
    EXPECT_TRUE(recorder_.result().warnings.empty());
  }
  Rows rows() const { return cluster_.Rows(); }
  std::uint64_t incremental_parts() const { return cluster_.Count(ShardEvent::kCheckpointIncremental); }

 private:
  const RunInputs inputs_;
  RunRecorder recorder_;
  CheckpointCluster cluster_;
  const std::uint64_t life_;
};

// Runs a life in a process of its own, with the hook during its checkpoint 2; returns how it ended.
int RunLife(const std::string& folder, std::uint64_t life, bool incremental, std::uint32_t keep) {
  const pid_t child = ::fork();
  if (child == 0) {
    Life process(folder, life, incremental, keep);
    process.Step(0);
    const bool first = incremental || !fs::exists(CheckpointFolder(folder + "/" + kCheckpointsFolder, 1) +
                                                  "/" + kManifestFile);
    if (first) process.Checkpoint(1);
    process.Step(1);
    fault_hook = &Victim::Reach;
    process.Checkpoint(2);
    EXPECT_EQ(process.incremental_parts(), incremental ? 2u : 0u);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

Rows RowsAfter(std::uint64_t life, Clock clocks) {
  TemporaryFolder unused;
  Life process(unused.path(), life, false);
  for (Clock clock = 0; clock < clocks; ++clock) process.Step(clock);
  return process.rows();
}

// The newest checkpoint as the supervisor finds it, and all its rows as shards read them.
std::pair<std::string, Rows> Newest(const std::string& folder) {
  const auto newest = NewestCheckpoint(folder + "/" + kCheckpointsFolder, nullptr);
  if (!newest) return {"none", {}};
  EXPECT_TRUE(ReadProgress(*newest).has_value());
  const RunInputs inputs = Inputs(3);
  CheckpointCluster shards(3, TablesOf(inputs.spec, inputs.config), Consistency::kBsp, 1, folder + "/unused");
  shards.welcome.slices = 1;
  shards.welcome.model_path = *newest;
  shards.welcome.resume = true;
  shards.Begin(0, static_cast<Clock>(*CheckpointNumber(fs::path(*newest).filename().string())));
  shards.ExpectNoFailure();
  return {fs::path(*newest).filename().string(), shards.Rows()};
}

// A checkpoint 2 of a former life may be there as well: what a life could not remove. Checkpoint 2 has all rows, or those changed
// since checkpoint 1.
struct Circumstances {
  bool former = false, incremental = false;
};
class KilledWriter : public ::testing::TestWithParam<Circumstances> {};

TEST_P(KilledWriter, LeavesTheFormerCheckpointOrTheNewOne) {
  const auto [former, incremental] = GetParam();
  const Rows first = RowsAfter(1, 1), second = RowsAfter(1, 2), formers = RowsAfter(2, 2);
  ASSERT_NE(second, formers);
  const auto prepare = [&](const std::string& folder) {
    Victim::trace.clear(), Victim::line.clear();
    if (!former) return;
    Life one(folder, 1, false);
    one.Step(0), one.Checkpoint(1);
    Life two(folder, 2, false);
    two.Step(0), two.Step(1), two.Checkpoint(2);
  };

  // Undisturbed: what is there to be reached.
  std::vector<Reached> reached;
  {
    TemporaryFolder folder;
    prepare(folder.path());
    Victim::trace = folder / "trace";
    ASSERT_EQ(RunLife(folder.path(), 1, incremental, 1), 0);
    std::map<std::string, int> times;
    std::ifstream trace(Victim::trace);
    for (std::string line; std::getline(trace, line);) reached.emplace_back(line + "\n", times[line]++);
    EXPECT_EQ(Newest(folder.path()), std::make_pair(std::string("0000000002"), second));
    EXPECT_EQ(ListCheckpoints(folder / kCheckpointsFolder), std::vector<std::uint64_t>{2});
  }
  // Every point of the list is there, and none that is not in it.
  std::set<std::string> expected(std::begin(kFaultPoints), std::end(kFaultPoints)), found;
  if (!former) expected.erase("checkpoint: former manifest removed");
  if (!incremental) expected.erase("checkpoint: layers linked");
  for (const auto& [line, times] : reached) found.insert(line.substr(0, line.find(" | ")));
  EXPECT_EQ(found, expected);
  for (const char* point : kFaultPoints) {
    if (std::string(point).rfind("file: ", 0) != 0) continue;
    for (const char* file : {"part-00000.h5", "part-00001.h5", "manifest.json"})
      EXPECT_EQ(
          std::count(reached.begin(), reached.end(), Reached(std::string(point) + " | " + file + "\n", 0)), 1)
          << point << " | " << file;
  }

  const auto named =
      std::find(reached.begin(), reached.end(), Reached("file: after rename | manifest.json\n", 0));
  ASSERT_NE(named, reached.end());
  for (auto point = reached.begin(); point != reached.end(); ++point) {
    SCOPED_TRACE("killed at " + point->first + "time " + std::to_string(point->second));
    TemporaryFolder folder;
    prepare(folder.path());
    Victim::line = point->first, Victim::left = point->second;
    const int status = RunLife(folder.path(), 1, incremental, 1);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "not reached";
    const auto [name, rows] = Newest(folder.path());
    if (point >= named) {
      EXPECT_EQ(name, "0000000002");
      EXPECT_TRUE(rows == second);
    } else if (name == "0000000002") {
      EXPECT_TRUE(former && rows == formers);  // nothing of it has been touched
    } else {
      EXPECT_EQ(name, "0000000001");
      EXPECT_TRUE(rows == first);
    }
    // What is left over is in nobody's way.
    Victim::line.clear();
    ASSERT_EQ(RunLife(folder.path(), 1, incremental, 1), 0);
    EXPECT_EQ(Newest(folder.path()), std::make_pair(std::string("0000000002"), second));
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, KilledWriter,
                         ::testing::Values(Circumstances{false, false}, Circumstances{true, false},
                                           Circumstances{false, true}, Circumstances{true, true}),
                         [](const auto& test) {
                           return std::string(test.param.incremental ? "OfChangedRows" : "OfAllRows") +
                                  (test.param.former ? "OverAFormerLifesCheckpoint" : "OverNothing");
                         });

}  // namespace
}  // namespace cohort::checkpoints_test
