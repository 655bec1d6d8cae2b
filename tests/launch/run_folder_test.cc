#include "launch/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "common/config.h"
#include "tests/support/subprocess.h"

namespace cohort::run_folder_test {
namespace {

using ::testing::HasSubstr;

TEST(RunFolder, IsMadeWithItsParentsAndHeldByOneRun) {
  testing::TemporaryFolder base;
  std::optional<RunFolder> second;
  {
    auto first = RunFolder::Create(base / "a/b/run", false, {});
    ASSERT_TRUE(first) << first.error().text();
    EXPECT_EQ(first->path(), base / "a/b/run");
    for (const bool overwrite : {false, true}) {
      const auto other = RunFolder::Create(base / "a/b/run", overwrite, {});
      ASSERT_FALSE(other);
      EXPECT_THAT(other.error().text(), HasSubstr("in use by another run"));
      EXPECT_EQ(other.error().exit_code(), 2);
    }
    second = std::move(*first);
  }
  EXPECT_FALSE(RunFolder::Create(base / "a/b/run", false, {})) << "the lock moves with the object";
  second.reset();
  EXPECT_TRUE(RunFolder::Create(base / "a/b/run", false, {})) << "an empty folder is as good as none";
}

TEST(RunFolder, OverwriteReplacesRunsAndNothingElse) {
  testing::TemporaryFolder base;
  std::filesystem::create_directories(base / "run/model");
  base.Write("run/result.json", "{}");
  base.Write("run/model/manifest.json", "{}");
  base.Write("run/notes.txt", "mine");
  const auto refused = RunFolder::Create(base / "run", false, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("--overwrite"));
  EXPECT_TRUE(std::filesystem::exists(base / "run/model/manifest.json"));
  ASSERT_TRUE(RunFolder::Create(base / "run", true, {}));
  EXPECT_FALSE(std::filesystem::exists(base / "run/model"));
  EXPECT_FALSE(std::filesystem::exists(base / "run/result.json"));
  EXPECT_TRUE(std::filesystem::exists(base / "run/notes.txt"));

  base.Write("home.txt", "precious");
  base.Write("run.toml", "for a run that lies elsewhere");
  const auto home = RunFolder::Create(base.path(), true, {});
  ASSERT_FALSE(home);
  EXPECT_THAT(home.error().text(), HasSubstr("holds no run"));
}

TEST(RunFolder, WhatTheRunReadsIsNotRemoved) {
  testing::TemporaryFolder base;
  for (const char* name : {"model/d.h5", "checkpoints/1/d.h5", "warm/d.h5", "hosts", "result.json"}) {
    std::filesystem::create_directories(std::filesystem::path(base / "run" + "/" + name).parent_path());
    base.Write("run/result.json", "{}");
    const std::string input = base.Write(std::string("run/") + name, "precious");
    std::filesystem::remove(base / "link");
    std::filesystem::create_symlink(input, base / "link");
    for (const std::string& named : {input, base / "link"}) {
      const auto refused = RunFolder::Create(base / "run", true, {"", base / "else", named});
      ASSERT_FALSE(refused) << named;
      EXPECT_EQ(refused.error().exit_code(), 2);
      EXPECT_THAT(refused.error().text(), HasSubstr(named + " would be removed with " + base / "run/"));
      EXPECT_EQ(testing::ReadFile(input), "precious");
    }
  }
  EXPECT_FALSE(RunFolder::Create(base / "run", true, {base / "run/model"})) << "a model to start from";
  EXPECT_TRUE(RunFolder::Create(base / "run", true, {base / "run/notes.txt"}));
}

TEST(RunFolder, ARunFileInItIsKeptWithItsComments) {
  testing::TemporaryFolder base;
  std::filesystem::create_directories(base / "run");
  const auto create = [&]() -> std::string {
    base.Write("run/result.json", "{}");
    const auto folder = RunFolder::Create(base / "run", true, {base / "run/run.toml"});
    EXPECT_TRUE(folder) << folder.error().text();
    EXPECT_FALSE(std::filesystem::exists(base / "run/run.toml"));
    return folder ? folder->kept_run_file() : "";
  };
  const std::string own = "# why it is so\ndata = \"/d.h5\"\n", other = "data = \"/e.h5\" # so";
  base.Write("run/run.toml", own);
  EXPECT_EQ(create(), base / "run/run.toml.1");
  // As the run has written it: nothing is lost.
  base.Write("run/run.toml", ToToml(LoadRunConfig(base / "run/run.toml.1").value()));
  EXPECT_EQ(create(), "");
  base.Write("run/run.toml", other);
  EXPECT_EQ(create(), base / "run/run.toml.2");
  EXPECT_EQ(testing::ReadFile(base / "run/run.toml.1"), own);
  EXPECT_EQ(testing::ReadFile(base / "run/run.toml.2"), other);
}

TEST(RunFolder, AFileInItsPlaceIsRefused) {
  testing::TemporaryFolder base;
  const auto taken = RunFolder::Create(base.Write("taken", ""), true, {});
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().text(), HasSubstr("is a file"));
  EXPECT_FALSE(RunFolder::Create(base / "taken/run", false, {}));
}

TEST(ScratchFolder, LeavesNothingBehind) {
  std::string path;
  {
    auto folder = ScratchFolder::Create();
    ASSERT_TRUE(folder);
    path = folder->path();
    std::ofstream(path + "/x") << "y";
    ScratchFolder moved = std::move(*folder);
    EXPECT_TRUE(std::filesystem::exists(path + "/x"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace cohort::run_folder_test
