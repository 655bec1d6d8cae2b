#include "prepare/file_cut.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>

#include "prepare/csv_reader.h"
#include "tests/support/subprocess.h"

namespace cohort::file_cut_test {
namespace {

using testing::ReadFile;
using testing::TemporaryFolder;

// Records as the reader places them, in a file larger than its buffer: quotes, line ends and blank lines of others stay as they are.
TEST(CutFile, TakesRecordsOutAndLeavesEveryOtherByte) {
  const TemporaryFolder folder;
  std::string all = "user,text\r\n", kept = all;
  for (int i = 0; i < 60000; ++i) {
    const bool goes = i % 7 == 3;
    const std::string line = (goes ? std::string("x") : "y" + std::to_string(i)) +
                             (i % 2 ? ",\"a \"\"b\"\"\r\n c\"" : ", d ") + (i % 3 ? "\n" : "\r\n") +
                             (i % 5 ? "" : "\n");
    const std::string record = goes && i % 5 == 0 ? line.substr(0, line.size() - 1) : line;
    all += line;
    kept += goes ? line.substr(record.size()) : line;
  }
  all += "x,last", kept += "";
  const std::string plain = folder.Write("a.csv", all), packed = folder / "a.csv.gz";
  gzFile out = gzopen(packed.c_str(), "wb");
  ASSERT_EQ(gzwrite(out, all.data(), static_cast<unsigned>(all.size())), static_cast<int>(all.size()));
  gzclose(out);
  for (const std::string& path : {plain, packed}) {
    ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
    const auto csv = CsvReader::Open(path, CsvOptions());
    ASSERT_TRUE(csv.has_value());
    std::vector<ByteRange> ranges;
    while (*(*csv)->Next()) {
      if ((*csv)->cells()[0] == "x") ranges.push_back({(*csv)->begin(), (*csv)->end()});
    }
    EXPECT_GT(ranges.size(), 8000u);
    const Status cut = CutFile(path, ranges);
    ASSERT_TRUE(cut.ok()) << cut.text();
    struct stat found {};
    ASSERT_EQ(::stat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, 0640u);
  }
  EXPECT_TRUE(ReadFile(plain) == kept);
  EXPECT_EQ(ReadFile(packed).substr(0, 2), "\x1f\x8b");
  std::string unpacked(2 * all.size(), '\0');
  gzFile in = gzopen(packed.c_str(), "rb");
  unpacked.resize(
      static_cast<std::size_t>(gzread(in, unpacked.data(), static_cast<unsigned>(unpacked.size()))));
  gzclose(in);
  EXPECT_TRUE(unpacked == kept);
}

}  // namespace
}  // namespace cohort::file_cut_test
