// `cohort plan` beside what runs took: memory of each process within 5 %, traffic within 2 %, in six configurations that differ in
// consistency, width, optimizer, cluster, wire, copies and in what takes the memory. And what it says of input that is wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/slowdown.h"

namespace cohort::plan_test {

using nlohmann::json;
using testing::Outcome;
using testing::Program;
using testing::ReadFile;
using testing::RunProgram;
using testing::TemporaryFolder;
using testing::Words;

constexpr double kMemory = 0.05, kTraffic = 0.02;

// 40,000 rows: a user whom hardly another row has, an item of a heavy tail, a city of 50, a number; two labels.
class PlanData {
 public:
  static const PlanData& Get() {
    static const PlanData data;
    return data;
  }
  const TemporaryFolder& folder() const { return folder_; }

 private:
  PlanData() {
    std::mt19937_64 random(1);
    const auto below = [&](std::uint64_t n) { return std::to_string(random() % n); };
    std::string text = "user,item,city,x,buy,visit\n";
    for (int row = 0; row < 40000; ++row) {
      const std::uint64_t tail = random() % 1000;
      text += "u" + below(1000000) + ",i" + std::to_string(tail * tail * tail / 8000 + random() % 8) + ",c" +
              below(50) + "," + below(1000) + "," + below(2) + "," + below(2) + "\n";
    }
    folder_.Write("rows.csv", text);
    std::string schema =
        "[source]\nfiles = [\"rows.csv\"]\nheader = true\n[split]\nhash_of = \"user\"\ntest = 0.05\nvalid = "
        "0.05\n";
    for (const char* name : {"user", "item", "city"})
      schema += std::string("[[feature]]\nname = \"") + name + "\"\ncolumn = \"" + name +
                "\"\ntype = \"categorical\"\n";
    schema += "[[feature]]\nname = \"x\"\ncolumn = \"x\"\ntype = \"numeric\"\n";
    for (const char* name : {"buy", "visit"})
      schema += std::string("[[task]]\nname = \"") + name + "\"\ncolumn = \"" + name +
                "\"\ntype = \"binary\"\npositive = [\"1\"]\n";
    folder_.Write("schema.toml", schema);
    const Outcome prepared =
        RunProgram({Program(), "prepare", folder_ / "schema.toml", "--out", folder_ / "rows.h5"});
    EXPECT_EQ(prepared.exit_code, 0) << prepared.all();
    folder_.Write("run.toml", R"(data = "rows.h5"
[model]
kind = "shared_bottom"
embedding_dim = 16
expert_layers = [64]
tower_layers = [32]
[train]
batch_size = 1000
evaluate_train = false
)");
  }
  TemporaryFolder folder_;
};

struct Configuration {
  std::string name;
  Words options;  // of the run file
  Words more;     // of `cohort plan` alone
};

void PrintTo(const Configuration& configuration, std::ostream* out) { *out << configuration.name; }

json RunJson(const Words& command, int exit_code = 0) {
  const Outcome outcome = RunProgram(command, std::chrono::seconds(180));
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.all();
  return json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
}

void ExpectNear(const std::string& what, double planned, double measured, double share) {
  std::printf("  %-12s planned %12.0f   measured %12.0f   %+.1f %%\n", what.c_str(), planned, measured,
              100 * (planned / measured - 1));
  EXPECT_NEAR(planned / measured, 1, share) << what << ": planned " << planned << ", measured " << measured;
}

class PlannedRun : public ::testing::TestWithParam<Configuration> {};

TEST_P(PlannedRun, PredictsMemoryAndTraffic) {
  if (testing::kSlowdown > 1) GTEST_SKIP() << "a sanitizer's memory is not that of a run";
  const TemporaryFolder& folder = PlanData::Get().folder();
  Words shared = testing::Set(GetParam().options);
  Words plan = {Program(), "plan", folder / "run.toml", "--json"};
  plan.insert(plan.end(), GetParam().more.begin(), GetParam().more.end());
  plan.insert(plan.end(), shared.begin(), shared.end());
  Words train = {Program(), "train", folder / "run.toml", "--out", folder / GetParam().name, "--json"};
  train.insert(train.end(), shared.begin(), shared.end());
  const json planned = RunJson(plan), measured = RunJson(train);
  ASSERT_TRUE(planned.contains("traffic_bytes") && measured.contains("traffic_bytes"));

  ExpectNear("traffic", planned["traffic_bytes"], measured["traffic_bytes"], kTraffic);
  // Which worker has more of the leases of an evaluation is chance: the largest one is what a host must bear.
  double most_planned = 0, most_measured = 0;
  for (const auto& [process, bytes] : measured["peak_memory_bytes"].items()) {
    ASSERT_TRUE(planned["peak_memory_bytes"].contains(process)) << process;
    const double here = planned["peak_memory_bytes"][process];
    if (process.rfind("worker", 0) == 0) {
      most_planned = std::max(most_planned, here);
      most_measured = std::max(most_measured, bytes.get<double>());
    } else {
      ExpectNear(process, here, bytes, kMemory);
    }
  }
  ExpectNear("a worker", most_planned, most_measured, kMemory);
  // The dense rows are counted beside the embeddings'.
  const double rows = planned["model"]["rows"];
  EXPECT_NEAR(rows / measured["model_rows"].get<double>(), 1, 0.01);
}

INSTANTIATE_TEST_SUITE_P(
    Plan, PlannedRun,
    ::testing::Values(
        Configuration{"small", {"cluster.servers=1", "cluster.workers=2", "model.embedding_dim=4"}, {}},
        Configuration{"asp",
                      {"cluster.servers=2", "cluster.workers=2", "train.consistency=\"asp\"",
                       "model.embedding_dim=32", "optimizer.embedding.kind=\"rowwise_adagrad\""},
                      {}},
        Configuration{"half",
                      {"cluster.servers=2", "cluster.workers=3", "wire.pull_values=\"bfloat16\"",
                       "wire.push_values=\"bfloat16\"", "train.epochs=2"},
                      {}},
        Configuration{"copies",
                      {"cluster.servers=2", "cluster.workers=2", "cluster.replicas=1",
                       "optimizer.embedding.kind=\"adam\""},
                      {}},
        Configuration{"ssp",
                      {"cluster.servers=1", "cluster.shards_per_server=2", "cluster.workers=4",
                       "train.consistency=\"ssp\"", "wire.push_rows=\"keys\""},
                      {}},
        Configuration{"large",
                      {"cluster.servers=2", "cluster.workers=1", "model.embedding_dim=256",
                       "optimizer.embedding.kind=\"adam\"", "train.batch_size=500"},
                      {"--sample-rows", "8000"}}),
    [](const auto& each) { return each.param.name; });

TEST(Plan, FindsTheSmallestClusterThatMeetsADeadline) {
  const TemporaryFolder& folder = PlanData::Get().folder();
  const auto plan = [&](const std::string& deadline, int exit_code = 0) {
    return RunJson({Program(), "plan", folder / "run.toml", "--json", "--samples-per-second-per-core", "1000",
                    "--price-per-hour", "3.6", "--deadline", deadline},
                   exit_code);
  };
  // 36,000 rows of 1 ms each: one worker takes 36 s of training, and some for evaluation; four a quarter.
  const json slow = plan("1h"), fast = plan("20s"), never = plan("2s", 1);
  EXPECT_EQ(slow["smallest_cluster"].value("workers", 0), 1);
  EXPECT_EQ(slow["smallest_cluster"].value("servers", 0), 1);
  EXPECT_GT(slow["smallest_cluster"]["time"].value("epoch_seconds", 0.0), 34);
  EXPECT_EQ(fast["smallest_cluster"].value("workers", 0), 4);
  EXPECT_LE(fast["smallest_cluster"]["time"].value("run_seconds", 0.0), 20);
  EXPECT_FALSE(never["smallest_cluster"].value("met", true));
  // Two workers and two servers, as the run file says, each with a core: the computing binds, at 0.001 a second and core.
  EXPECT_EQ(slow["time"].value("binds", ""), "workers' computing");
  EXPECT_NEAR(slow["time"].value("epoch_cost", 0.0), 0.004 * slow["time"].value("epoch_seconds", 0.0), 1e-3);
}

TEST(Plan, WrongInputIsNamed) {
  const TemporaryFolder& folder = PlanData::Get().folder();
  const Outcome none = RunProgram({Program(), "plan", folder / "none.toml"});
  EXPECT_EQ(none.exit_code, 2) << none.all();
  EXPECT_NE(none.err.find("none.toml"), std::string::npos) << none.err;
  const Outcome data =
      RunProgram({Program(), "plan", folder / "run.toml", "--set", "data=\"nothing.h5\"", "--json"});
  EXPECT_EQ(data.exit_code, 2) << data.all();
  EXPECT_EQ(json::parse(data.out, nullptr, false).value("status", ""), "failed") << data.out;
  EXPECT_NE(data.err.find("nothing.h5"), std::string::npos) << data.err;
  const Outcome time = RunProgram({Program(), "plan", folder / "run.toml", "--deadline", "soon"});
  EXPECT_EQ(time.exit_code, 2) << time.all();
  EXPECT_NE(time.err.find("--deadline soon: expected a time such as 90s"), std::string::npos) << time.err;
  const Outcome like = RunProgram({Program(), "plan", folder / "run.toml", "--like", folder / "nowhere"});
  EXPECT_EQ(like.exit_code, 2) << like.all();
  EXPECT_NE(like.err.find("nowhere/result.json"), std::string::npos) << like.err;
}

}  // namespace cohort::plan_test
