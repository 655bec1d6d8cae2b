// What every command's line keeps to (launch/commands/command_line.h): whatever is refused is refused before anything is read or written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"

namespace cohort::command_line_test {
namespace {

using ::testing::HasSubstr;
using testing::Outcome;
using testing::Program;
using testing::ReadFile;
using testing::RunProgram;
using testing::TemporaryFolder;
using testing::Words;

Outcome Cohort(Words words) {
  words.insert(words.begin(), Program());
  return RunProgram(words, std::chrono::seconds(30));
}

void ExpectRefused(const Words& words, const std::string& why) {
  const Outcome outcome = Cohort(words);
  EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
  EXPECT_FALSE(outcome.timed_out) << why;
  EXPECT_THAT(outcome.err, HasSubstr(why));
}

TEST(CommandLine, AnOutputReplacesNoInput) {
  const TemporaryFolder folder;
  const std::string own = folder.Write("own", "precious"), link = folder / "link";
  std::filesystem::create_symlink(own, link);
  const std::string toml = folder.Write("names.toml", "[events]\nfiles = [\"other\", \"own\"]\n");
  std::filesystem::create_directory(folder / "apart");
  const std::string far = folder.Write("apart/names.toml", "[rules]\nscores = \"own\"\n");
  for (Words command :
       std::vector<Words>{{"score", "run", "--data", own},
                          {"score", "run", "--data", "d.h5", "--hostfile", own},
                          {"baseline", own},
                          {"profile", own},
                          {"profile", "d.h5", "--former", link},
                          {"lookalike", own, "--prospects", "p.csv", "--seed-by", "x"},
                          {"lookalike", "d.h5", "--prospects", own, "--seed-by", "x"},
                          {"lookalike", "d.h5", "--prospects", "p.csv", "--seed-by", "x", "--shop", toml},
                          {"lookalike", "d.h5", "--prospects", "p.csv", "--seed-by", "x", "--shop", far,
                           "--data-dir", folder.path()},
                          {"uplift", own, "--arm", "a", "--control", "c", "--outcome", "o"},
                          {"strategy", toml},
                          {"strategy", own},
                          {"explain", "run", "--data", own},
                          {"export", "run", "--values", own},
                          {"recommend", toml},
                          {"recommend", toml, "--unavailable", "u.csv", "--model", own},
                          {"report", "run", "--data", own},
                          {"pseudonyms", toml},
                          {"prepare", toml}}) {
    command.insert(command.end(), {"--out", own, "--overwrite"});
    SCOPED_TRACE(::testing::PrintToString(command));
    ExpectRefused(command, "own: the output is one of the inputs; choose another name");
    EXPECT_EQ(ReadFile(own), "precious");
  }
  std::filesystem::create_directories(folder / "run/model");
  for (const char* name : {"run/result.json", "run/model/manifest.json", "run/model/part-00000.h5"}) {
    const std::string file = folder.Write(name, "precious");
    for (const Words& command : std::vector<Words>{{"report", folder / "run"},
                                                   {"explain", folder / "run", "--data", "d.h5"},
                                                   {"export", folder / "run/model"}}) {
      Words words = command;
      words.insert(words.end(), {"--out", file, "--overwrite"});
      if (command[0] == "export" && file.ends_with("result.json")) continue;  // not of the model
      ExpectRefused(words, "the output is one of the inputs");
      EXPECT_EQ(ReadFile(file), "precious");
    }
  }
  ExpectRefused({"recommend", toml, "--write-pairs", own, "--overwrite"}, "one of the inputs");
  ExpectRefused({"profile", own, "--out", folder / "p.csv", "--report", own, "--overwrite"},
                "one of the inputs");
  const std::string page = folder / "page";
  ExpectRefused({"uplift", "d.h5", "--arm", "a", "--control", "c", "--outcome", "o", "--out", page,
                 "--report", folder / "apart/../page"},
                "--report and --out are the same file");
  ExpectRefused({"profile", "d.h5", "--out", own}, "own exists; choose another file");
  ExpectRefused({"key", own}, "own exists");
  // What is no input is replaced: the command goes on to read its own.
  ExpectRefused({"strategy", far, "--out", own, "--overwrite"}, "names.toml:");
}

}  // namespace
}  // namespace cohort::command_line_test
