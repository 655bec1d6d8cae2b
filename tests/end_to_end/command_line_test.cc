// What every command's line keeps to (launch/commands/command_line.h): whatever is refused is refused before anything is read or written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <tuple>
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
                          {"recommend", toml, "--ranker", own, "--learn-ranker", "r.csv"},
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
  ExpectRefused({"key", own}, "own exists; choose another file\n");  // there is no --overwrite
  ExpectRefused({"bench", "machine", "--out", own},
                "own exists; choose another file, or replace it with --overwrite");
  // What is no input is replaced: the command goes on to read its own.
  ExpectRefused({"strategy", far, "--out", own, "--overwrite"}, "names.toml:");
}

TEST(CommandLine, AnEmptyValueIsRefused) {
  const TemporaryFolder folder;
  const std::string run = folder.Write("run.toml", "data = \"d.h5\"\n");
  const Words prepare = {"prepare", "shop.toml", "--out", folder / "d.h5"}, plan = {"plan", run},
              lookalike = {"lookalike", "d.h5", "--prospects", "p.csv",
                           "--seed-by", "x",    "--out",       folder / "l.csv"};
  for (const auto& [command, option] :
       std::vector<std::pair<Words, std::string>>{{prepare, "--since"},
                                                  {prepare, "--report"},
                                                  {prepare, "--data-dir"},
                                                  {plan, "--deadline"},
                                                  {plan, "--like"},
                                                  {plan, "--set"},
                                                  {lookalike, "--shop"},
                                                  {lookalike, "--by"},
                                                  {lookalike, "--attributes"},
                                                  {{"evaluate", "run", "--data", "d.h5"}, "--key"},
                                                  {{"erase", "shop.toml"}, "--user"},
                                                  {{"bench", "checkpoint"}, "--folder"}}) {
    Words words = command;
    words.insert(words.end(), {option, ""});
    ExpectRefused(words, option + ": the value is empty; expected one");
    words = command;
    words.insert(words.end(), {option + "=", "--overwrite"});
    ExpectRefused(words, option + ": the value is empty; expected one");
  }
  ExpectRefused({"prepare", "", "--out", folder / "d.h5"}, "schema: the value is empty");
}

// --overwrite=false would overwrite.
TEST(CommandLine, AFlagTakesNoValue) {
  const TemporaryFolder folder;
  const std::string out = folder.Write("out", "precious");
  for (const auto& [command, flag] : std::vector<std::pair<Words, std::string>>{
           {{"profile", "d.h5", "--out", out}, "--overwrite"},
           {{"prepare", "s.toml", "--out", out}, "--overwrite"},
           {{"prepare", "s.toml", "--out", folder / "d.h5"}, "--strict"},
           {{"generate", "--out", folder / "g"}, "--shop"},
           {{"train", "run.toml", "--out", folder / "r"}, "--help-config"},
           {{"watch", "run"}, "--no-token"},
           {{"erase", "shop.toml"}, "--logs"},
           {{"bench", "pull"}, "--encrypt"},
           {{"cluster", "status", "run"}, "--json"}}) {
    for (const char* value : {"=false", "=no", "=0", "=1"}) {
      Words words = command;
      words.push_back(flag + value);
      ExpectRefused(words, flag + ": takes no value; leave it out where it is not meant");
    }
  }
  EXPECT_EQ(ReadFile(out), "precious");
  EXPECT_FALSE(std::filesystem::exists(folder / "g"));
  ExpectRefused({"profile", "d.h5", "--out", out, "--overwrite=true"}, "d.h5:");  // which is not there
}

TEST(CommandLine, AnOptionIsGivenOnce) {
  ExpectRefused({"prepare", "s.toml", "--out", "a.h5", "--out", "b.h5"},
                "error: --out is given 2 times; give it once (see `cohort prepare --help`)");
  ExpectRefused({"bench", "memory", "--seconds", "1", "--seconds", "2", "--seconds", "3"},
                "--seconds is given 3 times; give it once (see `cohort bench memory --help`)");
  ExpectRefused({"prepare", "s.toml", "--out"}, "--out: 1 required OUTPUT missing");
}

// Whatever else is missing: it may be what the mistyped one was to give.
TEST(CommandLine, AnOptionThatThereIsNotIsNamedWithItsNearest) {
  ExpectRefused({"recommend", "--hlep"},
                "error: unknown option --hlep; did you mean \"--help\"? (see `cohort recommend --help`)");
  ExpectRefused({"prepare", "s.toml", "--ouput=d.h5"}, "unknown option --ouput; did you mean \"--out\"?");
  ExpectRefused({"bench", "memory", "--secnds", "1"}, "unknown option --secnds; did you mean \"--seconds\"?");
  ExpectRefused({"export", "run", "-o", "x.csv"}, "unknown option -o");
}

TEST(CommandLine, ANumberIsFinite) {
  const TemporaryFolder folder;
  const std::string out = folder / "out.csv";
  const Words plan = {"plan", "run.toml"},
              lookalike = {"lookalike", "d.h5", "--prospects", "p.csv", "--out", out};
  for (const auto& [command, option] : std::vector<std::pair<Words, std::string>>{
           {plan, "--link-mbit"},
           {plan, "--disk-mbps"},
           {plan, "--price-per-hour"},
           {plan, "--samples-per-second-per-core"},
           {lookalike, "--top"},
           {{"baseline", "d.h5", "--out", out}, "--l2"},
           {{"profile", "d.h5", "--out", out}, "--hysteresis"},
           {{"profile", "d.h5", "--out", out, "--workers", "1"}, "--dead-after"},
           {{"recommend", "shop.toml", "--out", out}, "--diversity"},
           {{"recommend", "shop.toml", "--out", out}, "--exposure"},
           {{"recommend", "shop.toml", "--out", out}, "--try-diversity"},
           {{"doctor"}, "--needs-memory"},
           {{"doctor"}, "--wait"},
           {{"bench", "memory"}, "--seconds"},
           {{"simulate", "e.toml", "--machine", "m.json"}, "--latency-us"}}) {
    Words words = command;
    words.insert(words.end(), {option, "nan"});
    ExpectRefused(words, option + ": nan is not a finite number");
    for (const char* infinite : {"inf", "-inf", "1e999"}) {
      words.back() = infinite;
      ExpectRefused(words, option);
    }
  }
}

// What is beyond 64 bits was the largest number, whichever it was; -1 too; and 010 was 8.
TEST(CommandLine, AWholeNumberIsRead) {
  const TemporaryFolder folder;
  const std::string out = folder / "out.csv";
  for (const auto& [command, option] : std::vector<std::pair<Words, std::string>>{
           {{"generate", "--out", folder / "g"}, "--seed"},
           {{"generate", "--out", folder / "g"}, "--users"},
           {{"lookalike", "d.h5", "--prospects", "p.csv", "--seed-by", "x", "--out", out}, "--seed"},
           {{"compare", "a.csv", "--data", "d.h5"}, "--seed"},
           {{"profile", "d.h5", "--out", out}, "--seed"},
           {{"uplift", "d.h5", "--arm", "a", "--control", "c", "--outcome", "o"}, "--seed"},
           {{"recommend", "shop.toml", "--out", out}, "--seed"},
           {{"explain", "run", "--data", "d.h5"}, "--top"},
           {{"bench", "pull"}, "--seed"},
           {{"cluster", "drain-server", "run"}, ""}}) {
    for (const char* value :
         {"18446744073709551616", "99999999999999999999", "-1", "010", "0x10", "1e3", "1.5"}) {
      Words words = command;
      if (!option.empty()) words.push_back(option);
      words.push_back(value);
      ExpectRefused(words,
                    std::string(value) + ": expected a whole number from 0 to 2^64 - 1, in decimal digits");
    }
  }
  // Those of a range, and with a sign.
  for (const char* value : {"9223372036854775808", "02"})
    ExpectRefused({"plan", "run.toml", "--workers", value}, "--workers: ");
  ExpectRefused({"compare", "a.csv", "--data", "none.h5", "--seed", "18446744073709551615"}, "none.h5:");
  EXPECT_FALSE(std::filesystem::exists(folder / "g"));
}

TEST(CommandLine, ARangeIsNamedAsItIsWritten) {
  for (const auto& [option, value, range] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"--price-per-hour", "0", "0: expected a number from 1e-09 to 1e+09"},
           {"--link-mbit", "-2", "-2: expected a number from 0.001 to 1e+09"},
           {"--link-mbit", "fast", "fast: expected a number from 0.001 to 1e+09"},
           {"--workers", "0", "0: expected a whole number from 1 to 1024"},
           {"--workers", "4294967297", "4294967297: expected a whole number from 1 to 1024"}})
    ExpectRefused({"plan", "run.toml", option, value}, option + ": " + range);
  ExpectRefused({"profile", "d.h5", "--out", "p.csv", "--former", "f.csv", "--hysteresis", "1"},
                "--hysteresis: 1: expected a number from 0 to 0.9");
}

TEST(CommandLine, AnOptionThatDoesNothingIsRefused) {
  const TemporaryFolder folder;
  const std::string out = folder / "out.csv";
  const Words recommend = {"recommend", "shop.toml", "--out", out},
              profile = {"profile", "d.h5", "--out", out}, explain = {"explain", "run", "--data", "d.h5"},
              bench = {"bench", "pull"},
              uplift = {"uplift", "d.h5", "--arm", "a", "--control", "c", "--outcome", "o"},
              simulate = {"simulate", "e.toml", "--machine", "m.json", "--out", folder / "s"};
  for (const auto& [command, more, why] : std::vector<std::tuple<Words, Words, std::string>>{
           {recommend, {"--new-days", "30"}, "--new-days requires --exposure"},
           {recommend, {"--try-diversity", "0.1"}, "--try-diversity judges lists by what came after"},
           {profile, {"--hysteresis", "0.2"}, "--hysteresis requires --former"},
           {explain, {"--user", "u1", "--rows", "5"}, "excludes"},
           {uplift, {"--rule", "x=1"}, "--rule requires --target"},
           {uplift, {"--split", "valid"}, "--split requires --out"},
           {simulate, {"--straggler-factor", "2"}, "--straggler-factor requires --straggler-share"},
           {simulate, {"--straggler-share", "0.1"}, "--straggler-share requires --straggler-factor"},
           {{"doctor"}, {"--wait", "5"}, "--wait requires --hostfile"},
           {bench, {"--staleness", "2"}, "--staleness 2 is for --consistency ssp alone"}}) {
    Words words = command;
    words.insert(words.end(), more.begin(), more.end());
    ExpectRefused(words, why);
  }
}

TEST(CommandLine, AnOutputIsNoStandardStream) {
  const TemporaryFolder folder;
  for (const char* stream : {"-", "/dev/stdout", "/dev/stderr", "/dev/fd/1"}) {
    for (const Words& command : std::vector<Words>{{"prepare", "s.toml", "--out"},
                                                   {"profile", "d.h5", "--out", folder / "p.csv", "--report"},
                                                   {"generate", "--out"},
                                                   {"train", "run.toml", "--out"},
                                                   {"reshard", "run", "--shards", "2", "--out"},
                                                   {"key"}}) {
      Words words = command;
      words.push_back(stream);
      ExpectRefused(words, std::string(stream) + " is no file's name; an output does not go to stdout");
    }
  }
  EXPECT_FALSE(std::filesystem::exists("-"));
}

// Nobody writes to the pipe: whoever opens it waits for ever.
TEST(CommandLine, APipeIsNoInput) {
  const TemporaryFolder folder;
  const std::string fifo = folder / "fifo", out = folder / "out.h5",
                    why = "fifo: is a pipe; expected a regular file";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const std::string run = folder.Write("run.toml", "data = \"d.h5\"\n");
  ExpectRefused({"train", run, "--out", folder / "run", "--hostfile", fifo}, why);
  ExpectRefused({"doctor", "--hostfile", fifo}, why);
  ExpectRefused({"train", fifo, "--out", folder / "run"}, why + "; the run file is meant");
  ExpectRefused({"plan", fifo}, why + "; the run file is meant");
  ExpectRefused({"prepare", fifo, "--out", out}, why);
  ExpectRefused({"strategy", fifo, "--out", out}, why);
  ExpectRefused({"profile", fifo, "--out", out}, why);
  ExpectRefused({"erase", "--user-file", fifo, "--verify", "receipt.json"}, why);
  ExpectRefused({"profile", "d.h5", "--out", fifo, "--overwrite"}, why);

  // Rows may come through stdin, to be read once.
  std::string rows = "x,y\n";
  for (int i = 0; i < 100; ++i) rows += std::to_string(i) + "," + std::to_string(i % 2) + "\n";
  folder.Write("rows.csv", rows);
  const std::string once =
      "[source]\nfiles = [\"/dev/stdin\"]\n[split]\nhash_of = \"x\"\ntest = 0.2\n"
      "[[feature]]\nname = \"x\"\ntype = \"numeric\"\n[[task]]\nname = \"y\"\ntype = ";
  folder.Write("once.toml", once + "\"binary\"\n");
  folder.Write("twice.toml", once + "\"multiclass\"\n");  // whose classes are looked for first
  const auto piped = [&](const std::string& schema) {
    return RunProgram({"bash", "-c",
                       "cat '" + folder / "rows.csv" + "' | '" + Program() + "' prepare " + schema +
                           " --out '" + out + "'"});
  };
  const Outcome read = piped("'" + folder / "once.toml" + "'");
  EXPECT_EQ(read.exit_code, 0) << read.all();
  std::filesystem::remove(out);
  const Outcome again = piped("'" + folder / "twice.toml" + "'"), schema = piped("/dev/stdin");
  for (const Outcome* outcome : {&again, &schema}) {
    EXPECT_EQ(outcome->exit_code, 2) << outcome->all();
    EXPECT_THAT(outcome->err, HasSubstr("/dev/stdin: is a pipe; expected a regular file"));
  }
}

}  // namespace
}  // namespace cohort::command_line_test
