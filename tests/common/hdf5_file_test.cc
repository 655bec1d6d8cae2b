#include "common/hdf5_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>

#include "common/atomic_file.h"

namespace cohort::hdf5_file_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Hdf5FileTest : public ::testing::Test {
 protected:
  Hdf5FileTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("cohort_hdf5_test." + std::to_string(::getpid()))) {
    std::filesystem::create_directories(directory_);
  }
  ~Hdf5FileTest() override { std::filesystem::remove_all(directory_); }
  std::string Path(const char* name) const { return directory_ / name; }

  // A file with a dataset of each kind.
  void Write(const std::string& path) {
    auto writer = Hdf5Writer::Create(path);
    ASSERT_TRUE(writer) << writer.error().text();
    ASSERT_TRUE((*writer)->CreateExtendable<float>("a/b/matrix", 3, 4).ok());
    ASSERT_TRUE((*writer)->CreateExtendable<std::uint64_t>("keys", 0, 5).ok());
    ASSERT_TRUE((*writer)->CreateExtendableText("names", 2).ok());
    for (int append = 0; append < 7; ++append) {  // 14 rows: not a multiple of the chunk
      std::vector<float> rows(6);
      std::iota(rows.begin(), rows.end(), static_cast<float>(6 * append));
      ASSERT_TRUE((*writer)->Append<float>("a/b/matrix", rows).ok());
      std::vector<std::uint64_t> keys{static_cast<std::uint64_t>(append), ~std::uint64_t{0}};
      ASSERT_TRUE((*writer)->Append<std::uint64_t>("keys", keys).ok());
      std::vector<std::string> names{"n" + std::to_string(append), "ä€"};
      ASSERT_TRUE((*writer)->AppendText("names", names).ok());
    }
    const std::uint64_t dims[] = {2, 2};
    ASSERT_TRUE(
        (*writer)->WriteAll<std::int64_t>("a/fixed", dims, std::vector<std::int64_t>{-1, 2, -3, 4}).ok());
    ASSERT_TRUE((*writer)->WriteAll<std::uint8_t>("bytes", std::vector<std::uint8_t>{1, 255}).ok());
    ASSERT_TRUE((*writer)->WriteAll<double>("empty", std::vector<double>{}).ok());
    ASSERT_TRUE((*writer)->SetText("/", "long", std::string(300000, 'x') + "ü").ok());
    ASSERT_TRUE((*writer)->SetText("a", "none", "").ok());
    ASSERT_TRUE((*writer)->SetInteger("/", "format", -5).ok());
    ASSERT_TRUE((*writer)->CreateGroup("g/h").ok());
    Status closed = (*writer)->Close();
    ASSERT_TRUE(closed.ok()) << closed.text();
  }

  std::filesystem::path directory_;
};

TEST_F(Hdf5FileTest, ReadsBackWhatWasWritten) {
  Write(Path("x.h5"));
  auto reader = Hdf5Reader::Open(Path("x.h5"));
  ASSERT_TRUE(reader) << reader.error().text();
  auto& file = **reader;
  EXPECT_THAT(*file.List("/"), ElementsAre("a", "bytes", "empty", "g", "keys", "names"));
  EXPECT_THAT(*file.List("g/h"), ElementsAre());
  EXPECT_TRUE(file.Has("a/b/matrix"));
  EXPECT_TRUE(file.Has("/a"));
  EXPECT_FALSE(file.Has("a/c/matrix"));
  auto shape = file.Shape("a/b/matrix");
  ASSERT_TRUE(shape);
  EXPECT_THAT(shape->dims, ElementsAre(14, 3));
  std::vector<float> rows(9);
  ASSERT_TRUE(file.ReadRows<float>("a/b/matrix", 3, 3, rows).ok());
  EXPECT_THAT(rows, ElementsAre(9, 10, 11, 12, 13, 14, 15, 16, 17));
  EXPECT_EQ((*file.ReadAll<std::uint64_t>("keys"))[13], ~std::uint64_t{0});
  EXPECT_THAT(*file.ReadText("names", 12, 2), ElementsAre("n6", "ä€"));
  EXPECT_THAT(*file.ReadAll<std::int64_t>("a/fixed"), ElementsAre(-1, 2, -3, 4));
  EXPECT_THAT(*file.ReadAll<std::uint8_t>("bytes"), ElementsAre(1, 255));
  EXPECT_TRUE(file.ReadAll<double>("empty")->empty());
  EXPECT_EQ(file.GetText("/", "long")->size(), 300002u);
  EXPECT_EQ(*file.GetText("a", "none"), "");
  EXPECT_EQ(*file.GetInteger("/", "format"), -5);
}

TEST_F(Hdf5FileTest, EqualCallsGiveEqualBytes) {
  Write(Path("x.h5"));
  ::sleep(1);  // object times have a resolution of one second
  Write(Path("y.h5"));
  EXPECT_TRUE(*ReadFile(Path("x.h5")) == *ReadFile(Path("y.h5")));
}

TEST_F(Hdf5FileTest, ErrorsNamePathNameAndReason) {
  Write(Path("x.h5"));
  auto reader = Hdf5Reader::Open(Path("x.h5"));
  ASSERT_TRUE(reader);
  auto& file = **reader;
  std::vector<float> rows(9);
  EXPECT_THAT(file.ReadRows<float>("a/b/matrix", 12, 3, rows).text(),
              HasSubstr("x.h5: a/b/matrix: has 14 rows"));
  EXPECT_FALSE(file.ReadRows<float>("a/b/matrix", ~std::uint64_t{0}, 3, rows).ok());
  EXPECT_THAT(file.ReadRows<float>("a/b/matrix", 0, 2, rows).text(), HasSubstr("3 values per row"));
  EXPECT_THAT(file.ReadAll<std::uint64_t>("a/b/matrix").error().text(),
              HasSubstr("float32, expected uint64"));
  EXPECT_THAT(file.ReadAll<float>("nothing").error().text(),
              HasSubstr("x.h5: nothing: cannot open the dataset"));
  EXPECT_FALSE(file.ReadAll<float>("a"));
  EXPECT_FALSE(file.GetText("/", "format"));
  EXPECT_FALSE(file.GetText("/", "absent"));
  EXPECT_FALSE(file.GetInteger("/", "long"));
  EXPECT_FALSE(file.List("absent"));
  EXPECT_EQ(file.ReadAll<float>("nothing").error().code(), ErrorCode::kCorrupt);

  EXPECT_EQ(Hdf5Reader::Open(Path("absent.h5")).error().code(), ErrorCode::kInvalidInput);
  EXPECT_EQ(Hdf5Reader::Open(directory_).error().code(), ErrorCode::kInvalidInput);
  ASSERT_TRUE(WriteFileAtomically(Path("text.h5"), "not HDF5").ok());
  EXPECT_EQ(Hdf5Reader::Open(Path("text.h5")).error().code(), ErrorCode::kCorrupt);
  ASSERT_TRUE(WriteFileAtomically(Path("empty.h5"), "").ok());
  EXPECT_FALSE(Hdf5Reader::Open(Path("empty.h5")));
  EXPECT_THAT(Hdf5Writer::Create(Path("no/such/x.h5")).error().text(),
              HasSubstr("No such file or directory"));
}

// Files cut anywhere must be refused at opening, not crash.
TEST_F(Hdf5FileTest, RefusesTruncatedFiles) {
  Write(Path("x.h5"));
  std::string whole = *ReadFile(Path("x.h5"));
  for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 37) {
    ASSERT_TRUE(WriteFileAtomically(Path("cut.h5"), whole.substr(0, size)).ok());
    EXPECT_FALSE(Hdf5Reader::Open(Path("cut.h5"))) << size;
  }
}

// Wherever the disk gets full: the writer says so, the file is closed, and the process ends as ever.
TEST_F(Hdf5FileTest, AFullDiskIsToldAndTheFileClosed) {
  const std::string path = Path("full.h5");
  const auto write = [&path]() -> Status {
    COHORT_ASSIGN_OR_RETURN(auto writer, Hdf5Writer::Create(path));
    COHORT_RETURN_IF_ERROR(writer->SetInteger("/", "format", 1));
    COHORT_RETURN_IF_ERROR(writer->CreateExtendable<float>("a/matrix", 3, 40));
    COHORT_RETURN_IF_ERROR(writer->CreateExtendableText("a/names", 4));
    for (int i = 0; i < 30; ++i) {
      const std::vector<float> rows(150, static_cast<float>(i));
      COHORT_RETURN_IF_ERROR(writer->Append<float>("a/matrix", rows));
      const std::vector<std::string> names(5, "name " + std::to_string(i));
      COHORT_RETURN_IF_ERROR(writer->AppendText("a/names", names));
    }
    const std::vector<std::uint64_t> all(500, 7);
    COHORT_RETURN_IF_ERROR(writer->WriteAll<std::uint64_t>("b/all", all));
    return writer->Close();
  };
  const auto open_files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  ASSERT_TRUE(write().ok());
  const std::uintmax_t whole = std::filesystem::file_size(path);
  const auto before = open_files();
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limits{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limits), 0);
  for (std::uintmax_t size = 0; size < whole; size += 397) {
    rlimit small = limits;
    small.rlim_cur = size;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const Status status = write();
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limits), 0);
    EXPECT_EQ(status.code(), ErrorCode::kIo) << size;
    EXPECT_THAT(status.text(), HasSubstr("File too large")) << size;
  }
  EXPECT_EQ(open_files(), before);
  EXPECT_TRUE(write().ok());
}

TEST_F(Hdf5FileTest, AtomicFileAppearsOnlyOnCommit) {
  {
    auto file = AtomicFile::Create(Path("x"));
    ASSERT_TRUE(file);
    std::ofstream(file->temporary_path()) << "half";
    EXPECT_FALSE(AtomicFile::Create(Path("x"))) << "a second writer must be refused";
    EXPECT_FALSE(std::filesystem::exists(Path("x")));
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
  {
    std::ofstream(Path("x.tmp")) << "left over from a killed process, longer than the new one";
    auto file = AtomicFile::Create(Path("x"));
    ASSERT_TRUE(file);
    std::ofstream(file->temporary_path()) << "whole";
    ASSERT_TRUE(file->Commit().ok());
  }
  EXPECT_EQ(*ReadFile(Path("x")), "whole");
  EXPECT_FALSE(std::filesystem::exists(Path("x.tmp")));
  EXPECT_EQ(AtomicFile::Create(Path("absent/x")).error().code(), ErrorCode::kInvalidInput);
  EXPECT_FALSE(ReadFile(Path("x"), 3));
  EXPECT_EQ(ReadFile(Path("absent")).error().code(), ErrorCode::kInvalidInput);
}

}  // namespace
}  // namespace cohort::hdf5_file_test
