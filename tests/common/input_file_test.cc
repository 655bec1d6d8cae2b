#include "common/input_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "common/atomic_file.h"
#include "common/hdf5_file.h"
#include "common/row_hash.h"
#include "tests/support/subprocess.h"

namespace cohort::input_file_test {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

// Nobody writes to the pipe: whoever opens it waits for ever.
TEST(InputFile, WhatIsNoRegularFileIsRefusedAtOnce) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string socket = folder / "socket";
  ASSERT_LT(socket.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, socket.c_str(), socket.size());
  const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  for (const auto& [path, what] : std::vector<std::pair<std::string, std::string>>{
           {folder / "fifo", "is a pipe; expected a regular file"},
           {socket, "is a socket; expected a regular file"},
           {"/dev/null", "is a device; expected a regular file"},
           {folder.path(), "is a folder; expected a regular file"}}) {
    const auto expect_refused = [&, where = path + ": " + what](const auto& result) {
      ASSERT_FALSE(result.has_value()) << where;
      EXPECT_EQ(result.error().exit_code(), 2);
      EXPECT_THAT(result.error().text(), HasSubstr(where));
    };
    EXPECT_EQ(CheckRegularFile(path).text(), path + ": " + what);
    expect_refused(OpenInput(path));
    expect_refused(ReadFile(path));
    expect_refused(ChecksumOfFile(path));
    expect_refused(Hdf5Reader::Open(path));
    expect_refused(AtomicFile::Create(path));  // a file would take its place
    EXPECT_EQ(CheckOutput(path, /*overwrite=*/true, {}).text(), path + ": " + what);
    EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
  }
  ::close(listener);
  EXPECT_TRUE(CheckRegularFile(folder / "none").ok());
  const auto none = OpenInput(folder / "none");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().text(), folder / "none" + ": cannot open: No such file or directory");
  EXPECT_EQ(none.error().exit_code(), 2);
}

TEST(InputFile, AnOutputIsTheFileBehindItsLinks) {
  const TemporaryFolder folder;
  std::filesystem::create_symlink("b", folder / "a");
  std::filesystem::create_symlink("a", folder / "b");
  std::filesystem::create_symlink("nowhere/file", folder / "far");
  std::filesystem::create_symlink("file", folder / "near");
  const auto expect_refused = [](const Status& status, const std::string& why) {
    EXPECT_EQ(status.exit_code(), 2);
    EXPECT_THAT(status.text(), HasSubstr(why));
    EXPECT_THAT(status.text(), ::testing::Not(HasSubstr(".tmp")));
  };
  const std::string loop = folder / "a";
  for (const bool overwrite : {false, true}) {
    expect_refused(CheckOutput(loop, overwrite, {}), loop + ": its symbolic links lead round in a circle");
    expect_refused(CheckOutput(folder / "far", overwrite, {}),
                   "is a link to " + folder / "nowhere/file" + ", whose folder does not exist");
    EXPECT_TRUE(CheckOutput(folder / "near", overwrite, {}).ok());
  }
  const std::array<const char*, 1> looped = {"a"};
  expect_refused(MakeOutputFolder(folder.path(), looped, /*overwrite=*/false), "lead round in a circle");
  expect_refused(WriteFileAtomically(loop, "text"), "lead round in a circle");
  expect_refused(WriteFileAtomically(folder / "far", "text"), "nowhere/file: cannot be written");
  EXPECT_TRUE(std::filesystem::is_symlink(loop));
  ASSERT_TRUE(WriteFileAtomically(folder / "near", "text").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "near"));
  EXPECT_EQ(testing::ReadFile(folder / "file"), "text");
}

TEST(InputFile, AnOutputUnderWayReplacesNoInput) {
  const TemporaryFolder folder;
  const std::string input = folder.Write("out.tmp", "precious");
  EXPECT_THAT(CheckOutput(folder / "out", false, {input}).text(),
              ::testing::HasSubstr("out.tmp, which is one of the inputs"));
  EXPECT_TRUE(CheckOutput(folder / "other", false, {input}).ok());
  std::filesystem::create_symlink(folder / "out", folder / "link");
  EXPECT_FALSE(CheckOutput(folder / "link", false, {input}).ok());
}

TEST(InputFile, WhatTheProcessWasHandedOpenIsRead) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "a list\n", 7), 7);
  ::close(ends[1]);
  const std::string path = "/dev/fd/" + std::to_string(ends[0]);
  const auto text = ReadFile(path);
  ASSERT_TRUE(text.has_value()) << text.error().text();
  EXPECT_EQ(*text, "a list\n");
  EXPECT_FALSE(CheckRegularFile(path).ok());  // not twice
  ::close(ends[0]);
}

}  // namespace
}  // namespace cohort::input_file_test
