#include "launch/score_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "scheduler/score_writer.h"
#include "tests/support/subprocess.h"

namespace cohort::score_file_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TemporaryFolder;

std::vector<TaskInfo> Tasks() {
  std::vector<TaskInfo> tasks(2);
  tasks[0].name = "buys";
  tasks[1].name = "first", tasks[1].type = TaskType::kMulticlass, tasks[1].classes = {"a", "b"};
  return tasks;
}

TEST(ScoreFile, ReadsWhatAScoreWriterWrote) {
  TemporaryFolder folder;
  for (const char* name : {"s.csv", "s.h5"}) {
    for (const bool has_id : {true, false}) {
      const std::string path = folder.path() + "/" + (has_id ? "id_" : "") + name;
      auto writer = ScoreWriter::Create(path, Tasks(), has_id).value();
      const std::vector<std::string> ids = {"ann", "b,\"ob\""};
      const std::vector<std::uint64_t> numbers = {4, 5};
      const std::vector<float> scores = {0.1f, 0.25f, 0.75f, 1e-20f, 1.0f, 0.0f};
      ASSERT_TRUE(
          writer->Append(has_id ? std::span(ids) : std::span<const std::string>(), numbers, scores).ok());
      ASSERT_TRUE(writer->Finish().ok());
      const auto file = ReadScoreFile(path, Tasks());
      ASSERT_TRUE(file) << file.error().text();
      if (has_id) {
        EXPECT_EQ(file->ids, ids);
      } else {
        EXPECT_THAT(file->ids, ElementsAre("4", "5"));
      }
      EXPECT_THAT(file->predictions[0], ElementsAre(0.1f, 1e-20f)) << path;
      EXPECT_THAT(file->predictions[1], ElementsAre(0.25f, 0.75f, 1.0f, 0.0f)) << path;
      std::vector<TaskInfo> more = Tasks();
      more.emplace_back().name = "other";
      EXPECT_THAT(ReadScoreFile(path, more)->predictions[2], IsEmpty());
    }
  }
}

TEST(ScoreFile, APipeIsReadAsCsv) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "id,buys\nann,0.5\n", 16), 16);
  ::close(ends[1]);
  const auto file = ReadScoreFile("/dev/fd/" + std::to_string(ends[0]), Tasks());
  ::close(ends[0]);
  ASSERT_TRUE(file) << file.error().text();
  EXPECT_THAT(file->ids, ElementsAre("ann"));
  EXPECT_THAT(file->predictions[0], ElementsAre(0.5f));
}

TEST(ScoreFile, SaysWhereItIsNone) {
  TemporaryFolder folder;
  const auto error = [&](const std::string& text) {
    const std::string path = folder.path() + "/s.csv";
    std::ofstream(path) << text;
    const auto file = ReadScoreFile(path, Tasks());
    EXPECT_FALSE(file);
    EXPECT_EQ(file.error().exit_code(), 2);
    return file.error().text();
  };
  EXPECT_THAT(error(""), HasSubstr("s.csv:1: the file is empty"));
  EXPECT_THAT(error("user,buys\n"), HasSubstr("s.csv:1: no column \"id\""));
  EXPECT_THAT(error("id,buys,id\n"), HasSubstr("s.csv:1: more than one column \"id\""));
  EXPECT_THAT(error("id,buys,buys\n"), HasSubstr("s.csv:1: more than one column \"buys\""));
  EXPECT_THAT(error("id,first.a\n"), HasSubstr("only 1 of the 2 columns of task \"first\""));
  EXPECT_THAT(error("id,buys\na,0.5\nb\n"), HasSubstr("s.csv:3: 1 cells"));
  EXPECT_THAT(error("id,buys\na,0.5\nb,nan\n"), HasSubstr("s.csv:3:3: \"nan\" is not a finite number"));
  EXPECT_THAT(ReadScoreFile(folder.Write("s.h5", ""), Tasks()).error().text(),
              HasSubstr("s.h5: is empty; expected scores"));
  EXPECT_THAT(ReadScoreFile(folder.Write("s.h5", "id,buys\n"), Tasks()).error().text(),
              HasSubstr("s.h5: is no HDF5 file"));
  EXPECT_THAT(ReadScoreFile(folder.path() + "/s.txt", Tasks()).error().text(), HasSubstr("unknown format"));
}

}  // namespace
}  // namespace cohort::score_file_test
