// Nights of a shop: the day's log comes, `prepare --since` reads it, last week's model scores everybody, and profiles go on from the
// night before. Each night's dataset is the one that all logs give.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/csv_lines.h"

namespace cohort::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// A description with other files of events and other last snapshots, of 2024.
std::string Described(std::string text, const std::string& files, const std::string& valid,
                      const std::string& test, const std::string& until) {
  const auto put = [&](const std::string& key, const std::string& value, std::size_t from) {
    const std::size_t begin = text.find("\n" + key + " = ", from) + 1, end = text.find('\n', begin);
    text.replace(begin, end - begin, key + " = " + value);
  };
  put("files", files, text.find("[events]"));
  put("until", "\"2024-" + until + "\"", 0);
  put("valid", "\"2024-" + valid + "\"", text.find("[snapshots]"));
  put("test", "\"2024-" + test + "\"", text.find("[snapshots]"));
  return text;
}

TEST(Since, EveryNightGoesOnFromTheOneBefore) {
  const TemporaryFolder folder;
  const std::string shop = folder / "shop", records = folder / "shop.records", data = folder / "night.h5";
  const auto cohort = [](std::vector<std::string> words) {
    words.insert(words.begin(), Program());
    return RunProgram(words, std::chrono::seconds(300));
  };
  const auto done = [&](const std::vector<std::string>& words) {
    const Outcome outcome = cohort(words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
    return outcome.out;
  };
  // 300 days from 2024-01-01 on: the last one is 2024-10-26.
  done({"generate", "--shop", "--out", shop, "--users", "800", "--items", "60", "--days", "300"});
  const std::string events = ReadFile(shop + "/events.csv"), description = ReadFile(shop + "/shop.toml");
  // The log of each day after the 23rd of October is a file of its own, and those before are one.
  std::map<std::string, std::string> logs;
  const std::string header = events.substr(0, events.find('\n') + 1);
  for (std::size_t begin = header.size(); begin < events.size();) {
    const std::size_t end = events.find('\n', begin) + 1, time = events.find(',', begin) + 1;
    std::string& log = logs[std::max<std::string>(events.substr(time, 10), "2024-10-23")];
    if (log.empty()) log = header;
    log += events.substr(begin, end - begin);
    begin = end;
  }
  ASSERT_EQ(logs.size(), 4u);
  std::string files;
  // The midnight after the log, a moment before by which the labels are known, and no event after tomorrow.
  const std::string tests[] = {"10-24", "10-25", "10-26", "10-27", "10-28"};
  const std::string valids[] = {"09-20", "09-21", "09-22", "09-23"};
  const std::string run = folder / "run", profiles = folder / "profiles.csv";
  std::size_t night = 0;
  for (const auto& [day, log] : logs) {
    folder.Write("shop/" + day + ".csv", log);
    files += (night == 0 ? "\"" : ", \"") + day + ".csv\"";
    folder.Write("shop/night.toml",
                 Described(description, "[" + files + "]", valids[night], tests[night], tests[night + 1]));
    const std::string toml = shop + "/night.toml";
    std::vector<std::string> words = {"prepare",     toml,      "--out", data,
                                      "--overwrite", "--since", records, "--json"};
    if (night == 2) words.insert(words.end(), {"--workers", "2"});
    const json report = json::parse(done(words));
    EXPECT_EQ(report["since"]["first"], night == 0);
    EXPECT_EQ(report["since"]["logs_new"], night == 0 ? 2 : 1) << report["since"];  // contacts are a log too
    EXPECT_EQ(report["since"]["logs_as_they_were"], night == 0 ? 0 : night + 1);
    done({"prepare", toml, "--out", folder / "all.h5", "--overwrite"});
    EXPECT_TRUE(ReadFile(folder / "all.h5") == ReadFile(data)) << day;
    if (night == 0)
      done({"train", shop + "/run.toml", "--set", "data=" + data, "--set", "train.epochs=1", "--out", run});
    for (const std::string split : {"valid", "test"}) {
      std::filesystem::remove((folder / split) + ".csv");
      done({"score", run, "--data", data, "--split", split, "--out", (folder / split) + ".csv"});
    }
    words = {"profile",   data,    "--scores", folder / "test.csv", "--calibrate", folder / "valid.csv",
             "--tier-by", "value", "--tiers",  "gold=30,silver=10", "--out",       folder / "new.csv"};
    if (night > 0) words.insert(words.end(), {"--former", profiles});
    EXPECT_THAT(done(words), HasSubstr("gold"));
    EXPECT_GT(CsvLines(ReadFile(folder / "new.csv")).size(), 100u);
    std::filesystem::rename(folder / "new.csv", profiles);
    ++night;
  }
  // What is written by another description of the same cells is known to this one.
  folder.Write("shop/week.toml", Described(description, "[" + files + "]", "08-20", "09-20", "10-28"));
  const json report = json::parse(
      done({"prepare", shop + "/week.toml", "--out", folder / "week.h5", "--since", records, "--json"}));
  EXPECT_EQ(report["since"]["records_read"], 0);
}

}  // namespace
}  // namespace cohort::testing
