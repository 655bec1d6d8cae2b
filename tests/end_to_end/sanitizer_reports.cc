// A sanitizer's report in any process of a test fails the test, however far from the test that process is: nobody sees
// the exit codes of mpirun's ranks. Every process writes its reports to a file of its own in one folder, which is
// looked through after each test.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/support/subprocess.h"

namespace cohort::testing {
namespace {

class SanitizerReports : public ::testing::EmptyTestEventListener {
 public:
  // This process keeps the options that it was started with: its own reports are its exit code.
  void OnTestProgramStart(const ::testing::UnitTest&) override {
    for (const char* name : {"ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"}) {
      const char* given = std::getenv(name);
      const std::string options = given != nullptr ? given : "";
      setenv(name, (options + ":log_exe_name=1:log_path=" + (folder_ / "report")).c_str(), 1);
    }
  }
  void OnTestEnd(const ::testing::TestInfo&) override {
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      ADD_FAILURE() << "a sanitizer has reported, in " << entry.path().filename().string() << ":\n"
                    << ReadFile(entry.path());
      std::filesystem::remove(entry.path());
    }
  }

 private:
  TemporaryFolder folder_;
};

const bool kListening = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new SanitizerReports);
  return true;
}();

}  // namespace
}  // namespace cohort::testing
