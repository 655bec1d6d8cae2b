// What is installed: programs that run far from their source tree, and man pages and completion that say what --help says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"

namespace cohort::testing {
namespace {

namespace fs = std::filesystem;

// The options that a text names.
std::set<std::string> OptionsNamedIn(const std::string& text) {
  static const std::regex option("--[a-z][a-z0-9-]*");
  std::set<std::string> names;
  for (std::sregex_iterator found(text.begin(), text.end(), option), end; found != end; ++found)
    names.insert(found->str());
  return names;
}

// Without what sets its letters: \fB, \-.
std::string PageText(const std::string& roff) {
  return std::regex_replace(roff, std::regex(R"(\\f[BR]|\\)"), "");
}

// The words that call the command of a man page, whatever the page's name: "cohort bench pull-push".
Words WordsOfPage(const std::string& page) {
  std::smatch synopsis;
  EXPECT_TRUE(std::regex_search(page, synopsis, std::regex(R"(\.B (cohort[a-z -]*))"))) << page;
  std::istringstream text(synopsis[1].str());
  Words words;
  for (std::string word; text >> word;) words.push_back(words.empty() ? Program() : word);
  return words;
}

TEST(Install, EveryCommandHasAManPageThatNamesTheOptionsOfItsHelp) {
  const TemporaryFolder folder;
  const Outcome written = RunProgram({Program(), "man", folder / "man1"});
  ASSERT_EQ(written.exit_code, 0) << written.all();
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(folder / "man1")) {
    const std::string page = PageText(ReadFile(entry.path()));
    const std::string name = entry.path().stem();
    Words words = WordsOfPage(page);
    const std::size_t depth = words.size();
    words.push_back("--help");
    const Outcome help = RunProgram(words);
    EXPECT_EQ(help.exit_code, 0) << name << ": " << help.all();
    EXPECT_EQ(OptionsNamedIn(page), OptionsNamedIn(help.out)) << name;
    EXPECT_THAT(page, ::testing::StartsWith(".TH \"" + name + "\" 1")) << name;
    // All but the program itself take it, and a command takes nothing that it does not list.
    EXPECT_EQ(OptionsNamedIn(help.out).count("--json"), depth > 1 ? 1u : 0u) << name;
    ++compared;
  }
  EXPECT_GT(compared, 40);
  // The program's own page names every command.
  const std::string program = PageText(ReadFile(folder / "man1/cohort.1"));
  for (const char* command : {"cohort-generate (1)", "cohort-train (1)", "cohort-doctor (1)"})
    EXPECT_THAT(program, ::testing::HasSubstr(command));
}

// Before and behind the command below; whatever becomes of it, there is one object.
TEST(Install, CommandsBelowACommandTakeJson) {
  for (const Words& words : {Words{"cluster", "status", "/nowhere", "--json"},
                             {"cluster", "--json", "drain-server", "/nowhere", "1"},
                             {"bench", "machine", "--json", "--out"}}) {
    Words command = {Program()};
    command.insert(command.end(), words.begin(), words.end());
    const Outcome outcome = RunProgram(command);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    const auto object = nlohmann::json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
    EXPECT_TRUE(object.is_object() && object.value("status", "") == "failed") << outcome.all();
    EXPECT_THAT(outcome.err, ::testing::Not(::testing::HasSubstr("unknown option"))) << outcome.all();
  }
}

// The words that bash would offer behind a line.
std::string Completed(const std::string& script, const std::string& words, int count) {
  return RunProgram({"bash", "-c",
                     "source " + script + " && COMP_WORDS=(" + words + ") COMP_CWORD=" +
                         std::to_string(count) + " && _cohort && echo -n \"${COMPREPLY[*]}\""})
      .all();
}

TEST(Install, BashCompletesCommandsOptionsAndValues) {
  const TemporaryFolder folder;
  const Outcome script = RunProgram({Program(), "completion", "bash"});
  ASSERT_EQ(script.exit_code, 0) << script.all();
  folder.Write("completion", script.out);
  const std::string file = folder / "completion";
  EXPECT_EQ(Completed(file, "cohort tr", 1), "train");
  EXPECT_EQ(Completed(file, "cohort bench pull-", 2), "pull-push");
  EXPECT_EQ(Completed(file, "cohort train run.toml --overw", 3), "--overwrite");
  EXPECT_EQ(Completed(file, "cohort train --overwrite --resu", 3), "--resume");
  EXPECT_EQ(Completed(file, "cohort bench pull --transport ''", 4), "tcp ipc");
  EXPECT_EQ(Completed(file, "cohort bench pull --transport = t", 5), "tcp");  // as bash cuts --transport=t
  EXPECT_EQ(Completed(file, "cohort bench pull --transport =", 4), "tcp ipc");
  EXPECT_EQ(Completed(file, "cohort bench pull --js", 3), "--json");
  EXPECT_EQ(Completed(file, "cohort train --out --over", 3), "");     // a file's name
  EXPECT_EQ(Completed(file, "cohort verify r", 2), "");               // nothing, and so files
}

TEST(Install, RunsFarFromTheSourceTree) {
  const TemporaryFolder folder;
  const std::string prefix = folder / "usr";
  const Outcome installed =
      RunProgram({"cmake", "--install", fs::path(COHORT_BIN_DIR).parent_path(), "--prefix", prefix},
                 std::chrono::seconds(120));
  ASSERT_EQ(installed.exit_code, 0) << installed.all();
  for (const char* file :
       {"bin/cohort-scheduler", "bin/cohort-server", "bin/cohort-worker", "share/man/man1/cohort-train.1",
        "share/bash-completion/completions/cohort", "share/doc/cohort/README.md",
        "share/doc/cohort/docs/install.md", "share/doc/cohort/copyright", "share/cohort/demo",
        "share/cohort/slurm/train.sbatch"})
    EXPECT_TRUE(fs::exists(prefix + "/" + file)) << file;
  const std::string examples = prefix + "/share/cohort/examples/shop/";
  const auto cohort = [&](Words words) {
    words.insert(words.begin(), prefix + "/bin/cohort");
    const Outcome outcome = RunProgram(words, std::chrono::seconds(180));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  };
  const std::string data = folder / "shop.h5", run = folder / "run";
  cohort({"generate", "--out", folder / "shop", "--users", "1000"});
  cohort({"prepare", examples + "schema.toml", "--data-dir", folder / "shop", "--out", data});
  cohort({"train", examples + "run.toml", "--set", "data=" + data, "--set", "train.epochs=1", "--out", run});
  cohort({"score", run, "--data", data, "--out", folder / "scores.csv"});
  cohort({"verify", run});
}

}  // namespace
}  // namespace cohort::testing
