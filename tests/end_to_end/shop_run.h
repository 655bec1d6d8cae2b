// A small synthetic shop, made and prepared once per test program, and the words to run jobs on it.
#ifndef COHORT_TESTS_END_TO_END_SHOP_RUN_H_
#define COHORT_TESTS_END_TO_END_SHOP_RUN_H_

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/subprocess.h"

namespace cohort::testing {

inline std::string Program(const std::string& name = "cohort") {
  return std::string(COHORT_BIN_DIR) + "/" + name;
}

class ShopRun {
 public:
  static ShopRun& Get() {
    static ShopRun run;
    return run;
  }
  // `ok` is false when the shop could not be made; the first test that needs it fails with the reason.
  const TemporaryFolder& folder() const { return folder_; }
  std::string dataset() const { return folder_ / "shop.h5"; }
  std::string schema() const { return folder_ / "schema.toml"; }
  std::string run_file() const { return folder_ / "run.toml"; }

  // `cohort train` with small settings; more arguments may follow.
  std::vector<std::string> TrainCommand(const std::string& out, int servers, int workers,
                                        const std::vector<std::string>& more = {}) const {
    std::vector<std::string> command = {Program(),
                                        "train",
                                        run_file(),
                                        "--out",
                                        folder_ / out,
                                        "--servers",
                                        std::to_string(servers),
                                        "--workers",
                                        std::to_string(workers)};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }
  Outcome Train(const std::string& out, int servers, int workers,
                const std::vector<std::string>& more = {}) const {
    return RunProgram(TrainCommand(out, servers, workers, more), std::chrono::seconds(180));
  }
  nlohmann::json Result(const std::string& out) const {
    return nlohmann::json::parse(ReadFile((folder_ / out) + "/result.json"), nullptr, false);
  }

 private:
  ShopRun() {
    const std::string examples = std::string(COHORT_SOURCE_DIR) + "/launch/examples/shop/";
    const Outcome made =
        RunProgram({Program(), "generate", "--out", folder_ / "data", "--users", "6000", "--seed", "3"});
    EXPECT_EQ(made.exit_code, 0) << made.all();
    std::filesystem::copy_file(examples + "schema.toml", schema());
    const Outcome prepared =
        RunProgram({Program(), "prepare", schema(), "--data-dir", folder_ / "data", "--out", dataset()});
    EXPECT_EQ(prepared.exit_code, 0) << prepared.all();
    // A batch size that leaves a remainder and does not divide into slices, and a task masked out.
    folder_.Write("run.toml", R"(data = "shop.h5"
seed = 1
[model]
kind = "mmoe"
embedding_dim = 8
experts = 3
expert_layers = [24]
tower_layers = [12]
[train]
epochs = 3
batch_size = 300
slices = 8
evaluate_train = false
[optimizer.dense]
learning_rate = 0.01
[task.churned]
enabled = false
)");
  }
  TemporaryFolder folder_;
};

using Words = std::vector<std::string>;
// --set before each.
inline Words Set(const Words& options) {
  Words words;
  for (const std::string& option : options) words.insert(words.end(), {"--set", option});
  return words;
}

// Of a run of ShopRun::Get() that ends well.
inline std::string HashOf(const std::string& out, int servers, int workers, const Words& more = {}) {
  const ShopRun& shop = ShopRun::Get();
  const Outcome outcome = shop.Train(out, servers, workers, more);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  const auto result = shop.Result(out);
  return result.is_object() ? result.value("model_hash", "no hash in " + out) : "no result of " + out;
}

}  // namespace cohort::testing

#endif  // COHORT_TESTS_END_TO_END_SHOP_RUN_H_
