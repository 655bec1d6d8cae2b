#include "launch/run_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace cohort::run_plan_test {
namespace {

using ::testing::HasSubstr;

std::string Steps(const RunPlan& plan) {
  std::string text;
  for (const PlanStep& step : plan.steps) {
    if (step.only_if_best) text += "[if best] ";
    if (step.snapshot) {
      text += "snapshot ";
    } else {
      text += std::string(step.kind == PhaseKind::kTrain      ? "train"
                          : step.kind == PhaseKind::kEvaluate ? "evaluate"
                                                              : "score") +
              ":" + SplitName(step.split) + ":" + std::to_string(step.epoch) + " ";
    }
  }
  return text;
}

RunInputs Inputs() {
  RunInputs inputs;
  inputs.config.data = "d.h5";
  inputs.config.train.epochs = 2;
  inputs.config.cluster.shards_per_server = 2;
  inputs.data.rows = {1000, 100, 200};
  return inputs;
}

TEST(RunPlan, TrainingEvaluatesEachEpochAndWritesTheModelBeforeTheLastEvaluation) {
  RunInputs inputs = Inputs();
  auto plan = MakePlan(inputs, {}, 5);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->run_id, 5u);
  EXPECT_EQ(plan->shards, 4u);
  EXPECT_EQ(Steps(*plan),
            "train:train:0 evaluate:valid:0 train:train:1 snapshot evaluate:valid:1 evaluate:train:1 "
            "evaluate:test:1 ");
  inputs.config.train.evaluate_each_epoch = inputs.config.train.evaluate_train = false;
  inputs.data.rows[1] = 0;
  EXPECT_EQ(Steps(*MakePlan(inputs, {}, 5)), "train:train:0 train:train:1 snapshot evaluate:test:1 ");
  inputs.config.train.epochs = 0;
  EXPECT_EQ(Steps(*MakePlan(inputs, {}, 5)), "snapshot evaluate:test:0 ");
  inputs.data.rows[0] = 0;
  EXPECT_THAT(MakePlan(inputs, {}, 5).error().text(), HasSubstr("the train split has no rows"));
}

TEST(RunPlan, EarlyStoppingKeepsAndEvaluatesTheBestEpoch) {
  RunInputs inputs = Inputs();
  inputs.config.train.early_stopping = 1;
  EXPECT_EQ(Steps(*MakePlan(inputs, {}, 5)),
            "train:train:0 evaluate:valid:0 [if best] snapshot [if best] evaluate:train:0 [if best] "
            "evaluate:test:0 "
            "train:train:1 evaluate:valid:1 [if best] snapshot [if best] evaluate:train:1 [if best] "
            "evaluate:test:1 ");
  inputs.config.train.evaluate_train = false;
  inputs.config.train.epochs = 1;
  EXPECT_EQ(Steps(*MakePlan(inputs, {}, 5)),
            "train:train:0 evaluate:valid:0 [if best] snapshot [if best] evaluate:test:0 ");
  inputs.data.rows[1] = 0;
  const auto without = MakePlan(inputs, {}, 5);
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().exit_code(), 2);
  EXPECT_THAT(without.error().text(),
              HasSubstr("d.h5: the valid split has no rows, by which train.early_stopping"));
  inputs.config.train.epochs = 0;
  EXPECT_EQ(Steps(*MakePlan(inputs, {}, 5)), "snapshot evaluate:test:0 ");
}

TEST(RunPlan, OtherJobsTakeTheSplitsThatHaveRows) {
  RunInputs inputs = Inputs();
  inputs.data.rows[1] = 0;
  JobRequest request;
  request.job = Job::kScore;
  request.model = "run/model";
  auto plan = MakePlan(inputs, request, 5);
  EXPECT_EQ(Steps(*plan), "score:train:0 score:test:0 ");
  EXPECT_EQ(plan->model_path, "run/model");
  request.job = Job::kEvaluate;
  request.split = Split::kTest;
  EXPECT_EQ(Steps(*MakePlan(inputs, request, 5)), "evaluate:test:0 ");
  request.split = Split::kValid;
  const auto empty = MakePlan(inputs, request, 5);
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().text(), HasSubstr("the valid split has no rows"));
  EXPECT_EQ(empty.error().exit_code(), 2);
}

TEST(RunPlan, ChangesOfARunFileAreNamed) {
  RunConfig before;
  before.data = "/d.h5";
  before.tasks["old"] = {};
  RunConfig now = before;
  EXPECT_THAT(ChangesOf(before, now), ::testing::IsEmpty());
  EXPECT_TRUE(CheckSameRun(before, now).ok());
  now.cluster.workers = 7;
  EXPECT_THAT(ChangesOf(before, now), ::testing::ElementsAre("[cluster] workers = 7 was workers = 2"));
  EXPECT_TRUE(CheckSameRun(before, now).ok());
  now.seed = 5;
  now.train.epochs = 20;
  now.tasks.erase("old");
  now.tasks["new"].weight = 2;
  const auto changes = ChangesOf(before, now);
  ASSERT_GT(changes.size(), 4u);
  EXPECT_EQ(changes[0], "seed = 5 was seed = 1");
  EXPECT_EQ(changes[1], "[train] epochs = 20 was epochs = 1");
  EXPECT_THAT(changes, ::testing::Contains("[task.\"new\"] weight = 2.0 is new"));
  EXPECT_THAT(changes, ::testing::Contains("[task.\"old\"] weight = 1.0 is not there any more"));
  const Status other = CheckSameRun(before, now);
  EXPECT_EQ(other.exit_code(), 2);
  EXPECT_THAT(other.text(), HasSubstr("was begun with: seed = 5 was seed = 1; only [cluster]"));
}

TEST(RunPlan, SettingsThatAJobDoesNotLookAtAreRefused) {
  RunConfig trained;
  trained.data = "/d.h5";
  const auto why = [&](Job job, const std::string& setting) {
    const RunConfig asked = ParseRunConfig(ToToml(trained), "run.toml", "", {setting}).value();
    const Status status = CheckSettings(job, trained, asked);
    EXPECT_TRUE(status.ok() || status.exit_code() == 2);
    return status.text();
  };
  for (const Job job : {Job::kEvaluate, Job::kScore}) {
    for (const char* setting : {"cluster.workers=7", "tier.path=/disk", "strict=true", "train.batch_size=9"})
      EXPECT_EQ(why(job, setting), "") << setting;
    EXPECT_THAT(why(job, "train.epochs=9"), HasSubstr("--set [train] epochs = 9 was epochs = 1, which "));
    for (const char* setting : {"seed=5", "checkpoint.keep=9", "optimizer.dense.learning_rate=0.5"})
      EXPECT_THAT(why(job, setting), HasSubstr("does not look at; only [cluster]")) << setting;
  }
  EXPECT_EQ(why(Job::kEvaluate, "evaluation.top=[3]"), "");
  EXPECT_THAT(why(Job::kScore, "evaluation.top=[3]"), HasSubstr("which score does not look at"));
}

TEST(RunPlan, NamesOfJobsAndSplits) {
  EXPECT_EQ(JobFromName("score"), Job::kScore);
  EXPECT_FALSE(JobFromName("scores"));
  EXPECT_EQ(*SplitFromName("valid"), Split::kValid);
  EXPECT_FALSE(SplitFromName("")->has_value());
  EXPECT_THAT(SplitFromName("tset").error().text(), HasSubstr("did you mean \"test\"?"));
}

}  // namespace
}  // namespace cohort::run_plan_test
