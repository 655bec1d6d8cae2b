#include "launch/run_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "common/model_files.h"
#include "tests/support/subprocess.h"

namespace cohort::run_recorder_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::TemporaryFolder;

RunInputs Inputs() {
  RunInputs inputs;
  inputs.config.data = "/d.h5";
  inputs.config.train.epochs = 9;
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

// An evaluation whose logloss falls with `right`, the probability of every true label.
void Evaluate(RunRecorder& recorder, std::uint32_t epoch, Split split, float right) {
  PhaseOrder order;
  order.kind = PhaseKind::kEvaluate;
  order.epoch = epoch;
  order.split = split;
  ASSERT_TRUE(recorder.OnPhase(order).ok());
  EvaluationSums sums(Inputs().data.tasks, Inputs().config.evaluation.top);
  const std::vector<float> predictions = {right, right, 1 - right, 1 - right}, labels = {1, 1, 0, 0};
  sums.Add(0, predictions, labels, {}, {}, 4);
  sums.Finish();
  ASSERT_TRUE(recorder.OnEvaluation(sums.ToBytes()).ok());
  ASSERT_TRUE(recorder.OnPhaseEnd().ok());
}
void TrainEpoch(RunRecorder& recorder, std::uint32_t epoch) {
  PhaseSummary summary;
  summary.epoch = epoch;
  recorder.OnPhaseEnd(summary);
}

TEST(RunRecorder, TellsOfTheBestEpochAndEndsAfterItsPatience) {
  TemporaryFolder folder;
  RunInputs inputs = Inputs();
  inputs.config.train.early_stopping = 2;
  RunRecorder recorder(inputs, Job::kTrain, folder.path());
  const float right[] = {0.6f, 0.9f, 0.8f, 0.7f};
  for (std::uint32_t epoch = 0; epoch < 4; ++epoch) {
    EXPECT_FALSE(recorder.TrainedEnough()) << epoch;
    TrainEpoch(recorder, epoch);
    Evaluate(recorder, epoch, Split::kValid, right[epoch]);
    ASSERT_EQ(recorder.BestSoFar(), epoch < 2);
    if (epoch < 2) Evaluate(recorder, epoch, Split::kTrain, right[epoch]);
    if (epoch < 2) Evaluate(recorder, epoch, Split::kTest, right[epoch]);
  }
  EXPECT_TRUE(recorder.TrainedEnough());
  const RunResult& result = recorder.result();
  ASSERT_EQ(result.epochs.size(), 4u);
  ASSERT_TRUE(result.early_stopping);
  EXPECT_EQ(result.early_stopping->best_epoch, 1u);
  EXPECT_EQ(result.early_stopping->ended, "2 epochs without improvement");
  EXPECT_DOUBLE_EQ(result.early_stopping->best, result.epochs[1].valid[0].Value("logloss"));
  std::vector<std::string> splits;
  for (const SplitEvaluation& split : result.splits) {
    splits.push_back(split.split);
    EXPECT_NEAR(split.tasks[0].Value("logloss"), 0.10536, 1e-4) << split.split;  // -log 0.9
  }
  EXPECT_THAT(splits, ElementsAre("train", "valid", "test"));
}

TEST(RunRecorder, WithoutEarlyStoppingTheNewestEvaluationsCount) {
  TemporaryFolder folder;
  const RunInputs inputs = Inputs();
  RunRecorder recorder(inputs, Job::kTrain, folder.path());
  for (std::uint32_t epoch = 0; epoch < 2; ++epoch) {
    TrainEpoch(recorder, epoch);
    Evaluate(recorder, epoch, Split::kValid, epoch == 0 ? 0.9f : 0.6f);
    EXPECT_TRUE(recorder.BestSoFar());
    EXPECT_FALSE(recorder.TrainedEnough());
  }
  EXPECT_FALSE(recorder.result().early_stopping);
  EXPECT_NEAR(recorder.result().splits.at(0).tasks[0].Value("logloss"), 0.5108, 1e-4);
}

TEST(RunRecorder, PredictionsThatAreNotFiniteAreNoImprovementAndWarnedOf) {
  TemporaryFolder folder;
  RunInputs inputs = Inputs();
  inputs.config.train.early_stopping = 1;
  RunRecorder recorder(inputs, Job::kTrain, folder.path());
  TrainEpoch(recorder, 0);
  Evaluate(recorder, 0, Split::kValid, 0.6f);
  TrainEpoch(recorder, 1);
  Evaluate(recorder, 1, Split::kValid, std::nanf(""));
  EXPECT_FALSE(recorder.BestSoFar());
  EXPECT_TRUE(recorder.TrainedEnough());
  EXPECT_THAT(recorder.result().warnings,
              ElementsAre(HasSubstr("after epoch 1 the loss of the valid split")));
}

TEST(RunRecorder, ALaterSnapshotTakesTheFormerOnesPlaceAtOnce) {
  TemporaryFolder folder;
  const RunInputs inputs = Inputs();
  RunRecorder recorder(inputs, Job::kTrain, folder.path());
  const std::string model = folder / "model";
  std::filesystem::create_directory(model);
  const auto written = [&](const std::string& file, std::uint64_t hash) {
    folder.Write("model/" + file, "rows");
    SnapshotDone done;
    done.file = file, done.rows = 3, done.hash_low = hash;
    return done;
  };
  recorder.OnSnapshot(model, {written("part-00000.h5", 1), written("part-00001.h5", 2)}, "avx2");
  ASSERT_TRUE(recorder.failure().ok()) << recorder.failure().text();
  EXPECT_TRUE(ReadModelManifest(model)->thresholds.empty());
  Evaluate(recorder, 0, Split::kValid, 0.75f);  // chooses the threshold, which is written at once
  EXPECT_THAT(ReadModelManifest(model)->thresholds, ElementsAre(Pair("buys", 0.75)));
  const std::string first = ToHex(*ReadModelManifest(model)->hash);
  EXPECT_EQ(recorder.result().model_hash, first);
  // Half of the next one is written: the model is still the first.
  const SnapshotDone half = written("part-00000-1.h5", 5);
  EXPECT_EQ(ToHex(*ReadModelManifest(model)->hash), first);
  EXPECT_TRUE(std::filesystem::exists(model + "/part-00000.h5"));
  recorder.OnSnapshot(model, {half, written("part-00001-1.h5", 6)}, "avx2");
  const auto manifest = ReadModelManifest(model);
  EXPECT_EQ(manifest->parts[1].file, "part-00001-1.h5");
  EXPECT_NE(ToHex(*manifest->hash), first);
  EXPECT_EQ(recorder.result().model_hash, ToHex(*manifest->hash));
  EXPECT_EQ(recorder.result().model_rows, 6u);
  EXPECT_FALSE(std::filesystem::exists(model + "/part-00000.h5"));
  EXPECT_TRUE(std::filesystem::exists(model + "/part-00000-1.h5"));
  // A disk that refuses the manifest fails the run.
  recorder.OnSnapshot(folder / "nowhere", {half}, "avx2");
  EXPECT_FALSE(recorder.failure().ok());
}

// What a dead scheduler had heard makes another recorder of it: the numbers, and the files that it had not come to write.
TEST(RunRecorder, AReplayMakesGoodWhatWasNotWritten) {
  TemporaryFolder folder;
  const RunInputs inputs = Inputs();
  const std::string model = folder / "model";
  std::filesystem::create_directory(model);
  const auto part = [&](const std::string& file) {
    folder.Write("model/" + file, "rows");
    SnapshotDone done;
    done.file = file, done.rows = 3, done.hash_low = 1;
    return done;
  };
  CheckpointDone in_checkpoint;
  in_checkpoint.file = "part-00000.h5";
  RunPosition first, second;
  first.number = 8, second.number = 16;
  const SnapshotDone old_part = part("part-00000.h5"), new_part = part("part-00000-1.h5");
  const auto tell = [&](RunRecorder& recorder, bool all) {
    TrainEpoch(recorder, 0);
    recorder.OnCheckpoint(first, {in_checkpoint}, "avx2");
    recorder.OnSnapshot(model, {old_part}, "avx2");
    Evaluate(recorder, 0, Split::kValid, 0.75f);
    if (!all) return;
    recorder.OnCheckpoint(second, {in_checkpoint}, "avx2");
    recorder.OnSnapshot(model, {new_part}, "avx2");
  };
  for (const std::uint64_t number : {8, 16}) {
    std::filesystem::create_directories(CheckpointFolder(folder / "checkpoints", number));
    folder.Write("checkpoints/" + std::string(number == 8 ? "0000000008" : "0000000016") + "/part-00000.h5",
                 "rows");
  }
  {
    RunRecorder dead(inputs, Job::kTrain, folder.path());
    ASSERT_TRUE(dead.Open().ok());
    tell(dead, false);
  }
  const auto is_checkpoint = [&](std::uint64_t number) {
    return ReadModelManifest(CheckpointFolder(folder / "checkpoints", number)).has_value();
  };
  EXPECT_TRUE(is_checkpoint(8));
  EXPECT_FALSE(is_checkpoint(16));
  RunRecorder recorder(inputs, Job::kTrain, folder.path());
  recorder.BeginReplay();
  ASSERT_TRUE(recorder.Open().ok());
  tell(recorder, true);
  EXPECT_EQ(ReadModelManifest(model)->parts[0].file, "part-00000.h5") << "nothing is written meanwhile";
  ASSERT_TRUE(recorder.EndReplay().ok());
  EXPECT_TRUE(is_checkpoint(8));
  EXPECT_TRUE(is_checkpoint(16));
  EXPECT_EQ(recorder.result().checkpoints, 2u);
  EXPECT_EQ(recorder.result().epochs.size(), 1u);
  EXPECT_EQ(ReadModelManifest(model)->parts[0].file, "part-00000-1.h5");
  EXPECT_FALSE(std::filesystem::exists(model + "/part-00000.h5"));
  EXPECT_TRUE(std::filesystem::exists(model + "/part-00000-1.h5"));
}

// Whoever follows metrics.jsonl hears of each evaluation once, and at any time of what the run has recovered from.
TEST(RunRecorder, ALineHasWhatWasJudgedSinceTheOneBefore) {
  TemporaryFolder folder;
  const RunInputs inputs = Inputs();
  RunRecorder recorder(inputs, Job::kTrain, folder.path());
  RunResult before;
  before.workers_replaced = 4, before.restarts = 1;
  ASSERT_TRUE(recorder.Resume({{}, ProgressToJson(before)}, 0).ok());
  ASSERT_TRUE(recorder.Open().ok());
  MetricsSample sample;
  sample.workers_replaced = 1;
  recorder.OnSample(sample);
  TrainEpoch(recorder, 0);
  Evaluate(recorder, 0, Split::kValid, 0.75f);
  // Every checkpoint carries this.
  ASSERT_FALSE(recorder.result().epochs.back().valid.empty());
  EXPECT_TRUE(recorder.result().epochs.back().valid[0].roc.empty());
  sample.failovers = 2;
  recorder.OnSample(sample);
  recorder.OnSample(sample);
  // Another scheduler takes over, and hears of all that again.
  RunRecorder next(inputs, Job::kTrain, folder.path());
  next.BeginReplay();
  ASSERT_TRUE(next.Open().ok());
  for (const std::uint32_t epoch : {0, 1}) {
    TrainEpoch(next, epoch);
    Evaluate(next, epoch, Split::kValid, 0.75f);
  }
  ASSERT_TRUE(next.EndReplay().ok());
  next.OnSample(sample);

  std::istringstream lines(testing::ReadFile(folder / "metrics.jsonl"));
  std::vector<nlohmann::json> read;
  for (std::string line; std::getline(lines, line);) read.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(read.size(), 4u);
  EXPECT_EQ(read[0]["recoveries"]["workers_replaced"], 5);
  EXPECT_EQ(read[0]["recoveries"]["restarts"], 1);
  EXPECT_FALSE(read[0].contains("evaluations"));
  ASSERT_EQ(read[1]["evaluations"].size(), 1u);
  EXPECT_EQ(read[1]["evaluations"][0]["split"], "valid");
  EXPECT_EQ(read[1]["evaluations"][0]["tasks"]["buys"]["auc"], 1.0);
  EXPECT_EQ(read[1]["recoveries"]["failovers"], 2);
  EXPECT_FALSE(read[2].contains("evaluations"));
  EXPECT_EQ(recorder.result().workers_replaced, 5u);
  EXPECT_EQ(recorder.result().failovers, 2u);
  ASSERT_EQ(read[3]["evaluations"].size(),
            1u);  // the newest, which the one before may not have come to write
  EXPECT_EQ(read[3]["evaluations"][0]["epoch"], 1);
}

}  // namespace
}  // namespace cohort::run_recorder_test
