// Users erased from a generated shop: dataset, model, checkpoints, results and logs; the search, the receipt, and everyone else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/csv_lines.h"

namespace cohort::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

// Rows of a CSV file by their first cell.
std::map<std::string, std::vector<std::string>> ById(const std::string& path) {
  std::map<std::string, std::vector<std::string>> rows;
  for (const std::vector<std::string>& line : CsvLines(ReadFile(path)))
    rows[line[0]].push_back(json(line).dump());
  return rows;
}

Outcome Cohort(std::vector<std::string> words) {
  words.insert(words.begin(), Program());
  return RunProgram(words, std::chrono::seconds(300));
}

TEST(Erase, LeavesNothingOfAUserAndOthersAsTheyWere) {
  const TemporaryFolder folder;
  const std::string shop = folder / "shop", data = shop + "/shop.h5", run = folder / "run";
  Outcome outcome =
      Cohort({"generate", "--shop", "--out", shop, "--users", "1500", "--items", "200", "--days", "300"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  // The shop's first user has bought what nobody else ever sees, with the first thing that they did.
  std::string events = ReadFile(shop + "/events.csv");
  const auto lines = CsvLines(events);
  ASSERT_EQ(lines[0], (std::vector<std::string>{"user", "time", "kind", "item", "quantity", "price"}));
  const auto earlier = [](const auto& a, const auto& b) { return a[1] < b[1]; };
  const std::vector<std::string>& earliest = *std::min_element(lines.begin() + 1, lines.end(), earlier);
  const std::string erased = earliest[0], first = earliest[1];
  folder.Write("shop/events.csv", events + erased + "," + first + ",purchase,only-theirs,1,5\n");
  ASSERT_EQ((outcome = Cohort({"prepare", shop + "/shop.toml", "--out", data})).exit_code, 0)
      << outcome.all();
  outcome = Cohort({"train", shop + "/run.toml", "--out", run, "--set", "train.epochs=1", "--set",
                    "train.batch_size=256", "--set", "checkpoint.every_steps=5"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const std::string scores = folder / "scores.csv", packed = folder / "scores.h5",
                    profiles = folder / "profiles.csv";
  ASSERT_EQ((outcome = Cohort({"score", run, "--data", data, "--split", "test", "--out", scores})).exit_code,
            0)
      << outcome.all();
  ASSERT_EQ((outcome = Cohort({"score", run, "--data", data, "--split", "test", "--out", packed})).exit_code,
            0)
      << outcome.all();
  ASSERT_EQ((outcome = Cohort({"profile", data, "--scores", scores, "--out", profiles})).exit_code, 0)
      << outcome.all();
  folder.Write("run/log.txt", "first\nthe row of " + erased + " is odd\nlast\n");
  folder.Write("run/checkpoints/part.h5.tmp", "half of " + erased);
  folder.Write("run/model.erasing/part.h5", "half of " + erased);  // of one that was killed
  const json model = json::parse(Cohort({"verify", run, "--json"}).out);
  const auto before = ById(scores);
  ASSERT_TRUE(before.contains(erased));
  // What was written while the user was there.
  const fs::path kept = folder / "kept";
  fs::create_directory(kept);
  fs::copy_file(scores, kept / "scores.csv");

  const std::string receipt = folder / "receipt.json";
  const std::vector<std::string> words = {"erase",  shop + "/shop.toml",
                                          "--data", data,
                                          "--run",  run,
                                          "--file", scores,
                                          "--file", packed,
                                          "--file", profiles,
                                          "--logs", "--receipt",
                                          receipt,  "--json"};
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> all = words;
    all.insert(all.end(), more.begin(), more.end());
    return Cohort(all);
  };
  // Whom nobody knows: nothing is done.
  outcome = with({"--user", "u99999999"});
  EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
  EXPECT_THAT(outcome.err, HasSubstr("know any of these users"));
  EXPECT_FALSE(fs::exists(receipt));
  EXPECT_EQ(ById(scores), before);

  outcome = with({"--user", erased});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json result = json::parse(outcome.out);
  EXPECT_GT(result["removed"]["dataset"], 0) << result;
  EXPECT_GT(result["removed"]["model"], 0) << result;
  EXPECT_GT(result["removed"]["checkpoint"], 0) << result;
  EXPECT_EQ(result["removed"]["results"], 3) << result;
  EXPECT_GT(result["removed"]["log"], 2) << result;
  EXPECT_EQ(result["removed"]["text"], 1) << result;
  EXPECT_EQ(result["removed"]["leftover"], 1) << result;
  EXPECT_EQ(result["left"], json::array());
  EXPECT_EQ(ReadFile(run + "/log.txt"), "first\nlast\n");
  for (const auto& [feature, rows] : result["changed"].items())
    EXPECT_THAT(feature, ::testing::AnyOf("popularity", "discount_share", "price_band_shares", "alive",
                                          "log_expected_orders", "log_expected_value"));
  EXPECT_THAT(ReadFile(receipt), Not(HasSubstr(erased)));
  // Every byte of every file, but for what is true of the generated world.
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    const std::string path = entry.path().string();
    if (!entry.is_regular_file() || path.find("/truth/") != path.npos || path.find("/kept/") != path.npos)
      continue;
    EXPECT_EQ(ReadFile(path).find(erased), std::string::npos) << path;
  }
  for (const auto& entry : fs::recursive_directory_iterator(run))
    EXPECT_FALSE(entry.path().string().ends_with(".erasing")) << entry.path();
  // The other lines of the results are what they were, byte for byte.
  auto without = before;
  without.erase(erased);
  EXPECT_EQ(ById(scores), without);

  // The receipt verifies, for this user and no other, and finds what comes back.
  const auto verify = [&](const std::string& user) {
    return Cohort({"erase", "--verify", receipt, "--user", user, "--json"});
  };
  outcome = verify(erased);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_EQ(json::parse(outcome.out)["changed"], 0);
  EXPECT_EQ(verify(erased == "u00000018" ? "u00000019" : "u00000018").exit_code, 2);
  const std::string cleaned = ReadFile(scores);
  fs::copy_file(kept / "scores.csv", scores, fs::copy_options::overwrite_existing);
  outcome = verify(erased);
  EXPECT_EQ(outcome.exit_code, 1) << outcome.all();
  EXPECT_EQ(json::parse(outcome.out)["left"], json::array({scores}));
  folder.Write("scores.csv", cleaned);
  const std::string text = ReadFile(receipt);
  std::string forged = text;
  forged.insert(forged.find("\"rows\": ") + 8, "9");
  folder.Write("receipt.json", forged);
  ASSERT_NE(forged, text);
  EXPECT_EQ(verify(erased).exit_code, 1);
  folder.Write("receipt.json", text);
  EXPECT_THAT(with({"--user", erased}).err, HasSubstr("is a receipt already"));

  // The model is whole, has fewer rows, and scores; of others only those change whose item statistics have.
  outcome = Cohort({"verify", run, "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_EQ(json::parse(outcome.out)["rows"].get<int>(),
            model["rows"].get<int>() - result["removed"]["model"].get<int>());
  ASSERT_EQ(
      (outcome = Cohort({"score", run, "--data", data, "--split", "test", "--out", folder / "again.csv"}))
          .exit_code,
      0)
      << outcome.all();
  const auto again = ById(folder / "again.csv");
  ASSERT_EQ(again.size(), without.size());
  std::uint64_t changed = 0;
  for (const auto& [id, rows] : without) {
    ASSERT_TRUE(again.contains(id)) << id;
    changed += again.at(id) != rows ? 1 : 0;
  }
  EXPECT_LE(changed, result["rows_changed"].get<std::uint64_t>());
  EXPECT_LT(changed, without.size());

  // A run that had been stopped goes on from its newest checkpoint, on the dataset as it is now.
  EXPECT_GT(result["resumable"], 0) << result;
  EXPECT_EQ(result["not_resumable"], 0) << result;
  json verdict = json::parse(ReadFile(run + "/result.json"));
  verdict["status"] = "failed";
  folder.Write("run/result.json", verdict.dump());
  outcome = Cohort({"train", "--resume", run});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
  EXPECT_EQ(Cohort({"verify", run}).exit_code, 0);
  EXPECT_EQ(verify(erased).exit_code, 0);

  // Prepared from the logs, the dataset is the one that stands.
  ASSERT_EQ((outcome = Cohort({"prepare", shop + "/shop.toml", "--out", folder / "anew.h5"})).exit_code, 0)
      << outcome.all();
  EXPECT_EQ(ReadFile(folder / "anew.h5") == ReadFile(data), true);
}

// Users go by pseudonyms: no file but the logs and the table has an id, and a user is erased by the id.
TEST(Erase, FindsUsersBehindPseudonyms) {
  const TemporaryFolder folder;
  const std::string shop = folder / "shop", data = folder / "shop.h5", lists = folder / "lists.csv";
  Outcome outcome =
      Cohort({"generate", "--shop", "--out", shop, "--users", "600", "--items", "60", "--days", "300"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  std::string description = ReadFile(shop + "/shop.toml");
  description.insert(description.find("[events]"), "user_key = \"users.key\"\n");
  folder.Write("shop/shop.toml", description);
  // The key is made by prepare and pseudonyms only: another command that found none would not know a user again.
  outcome = Cohort({"recommend", shop + "/shop.toml", "--out", lists});
  EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
  EXPECT_THAT(outcome.err, HasSubstr("users.key: no key here"));
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"prepare", shop + "/shop.toml", "--out", data},
           {"recommend", shop + "/shop.toml", "--out", lists},
           {"pseudonyms", shop + "/shop.toml", "--out", folder / "who.csv"}})
    ASSERT_EQ((outcome = Cohort(words)).exit_code, 0) << outcome.all();
  EXPECT_EQ(fs::status(folder / "who.csv").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  const auto who = ById(folder / "who.csv");
  EXPECT_EQ(who.size(), 601u);  // with the header
  const std::string erased = "u00000017", pseudonym = json::parse(who.at(erased)[0])[1];
  EXPECT_EQ(
      json::parse(
          Cohort({"pseudonyms", shop + "/shop.toml", "--user", erased, "--json"}).out)["pseudonyms"][erased],
      pseudonym);
  for (const std::string& file : {data, lists}) {
    EXPECT_NE(ReadFile(file).find(pseudonym), std::string::npos) << file;
    for (const auto& [user, line] : who)
      ASSERT_EQ(user == "user" ? std::string::npos : ReadFile(file).find(user), std::string::npos) << user;
  }
  outcome = Cohort({"erase", shop + "/shop.toml", "--user", erased, "--data", data, "--file", lists, "--logs",
                    "--receipt", folder / "receipt.json", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json result = json::parse(outcome.out);
  EXPECT_EQ(result["users"], 1);
  EXPECT_GT(result["removed"]["dataset"], 0);
  EXPECT_GT(result["removed"]["results"], 0);
  EXPECT_GT(result["removed"]["log"], 2);
  for (const std::string& file : {data, lists, shop + "/events.csv", shop + "/users.csv"}) {
    const std::string bytes = ReadFile(file);
    EXPECT_EQ(bytes.find(pseudonym), std::string::npos) << file;
    EXPECT_EQ(bytes.find(erased), std::string::npos) << file;
  }
  EXPECT_EQ(Cohort({"erase", "--verify", folder / "receipt.json", "--user", erased}).exit_code, 0);
}

// What `prepare --since` keeps of the logs goes as a whole; one that is forgotten is noticed, and one with the user again is found.
TEST(Erase, RemovesTheRecordsOfFormerNights) {
  const TemporaryFolder folder;
  const std::string shop = folder / "shop", data = folder / "shop.h5", records = shop + "/shop.records",
                    receipt = folder / "receipt.json", erased = "u00000017";
  Outcome outcome =
      Cohort({"generate", "--shop", "--out", shop, "--users", "600", "--items", "60", "--days", "300"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const std::string events = ReadFile(shop + "/events.csv");
  const auto prepare = [&] {
    return Cohort(
        {"prepare", shop + "/shop.toml", "--out", data, "--overwrite", "--since", records, "--json"});
  };
  ASSERT_EQ((outcome = prepare()).exit_code, 0) << outcome.all();
  EXPECT_EQ(json::parse(outcome.out)["since"]["first"], true);
  ASSERT_EQ((outcome = prepare()).exit_code, 0) << outcome.all();
  EXPECT_EQ(json::parse(outcome.out)["since"]["records_read"], 0);
  // On another disk, say.
  const std::string kept = folder / "disk/kept.records";
  fs::create_directory(folder / "disk");
  fs::rename(records, kept);
  fs::create_symlink(kept, records);
  std::vector<std::string> words = {"erase",  shop + "/shop.toml", "--user", erased,  "--data", data,
                                    "--logs", "--receipt",         receipt,  "--json"};
  outcome = Cohort(words);
  EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
  EXPECT_THAT(outcome.err, HasSubstr("shop.records: holds records of the users"));
  EXPECT_FALSE(fs::exists(receipt));
  EXPECT_EQ(ReadFile(shop + "/events.csv") == events, true);

  words.insert(words.end(), {"--file", records});
  ASSERT_EQ((outcome = Cohort(words)).exit_code, 0) << outcome.all();
  EXPECT_EQ(json::parse(outcome.out)["removed"]["leftover"], 1);
  EXPECT_FALSE(fs::exists(kept));
  const std::vector<std::string> verify = {"erase", "--verify", receipt, "--user", erased, "--json"};
  EXPECT_EQ((outcome = Cohort(verify)).exit_code, 0) << outcome.all();

  // The next night reads all once, and is without the user.
  ASSERT_EQ((outcome = prepare()).exit_code, 0) << outcome.all();
  EXPECT_EQ(json::parse(outcome.out)["since"]["first"], true);
  EXPECT_EQ(ReadFile(records).find(erased), std::string::npos);
  EXPECT_EQ((outcome = Cohort(verify)).exit_code, 0) << outcome.all();
  folder.Write("shop/events.csv", ReadFile(shop + "/events.csv") + erased + ",2024-05-05,view,i000001,1,\n");
  ASSERT_EQ((outcome = prepare()).exit_code, 0) << outcome.all();
  EXPECT_EQ(json::parse(outcome.out)["since"]["records_read"], 1);
  outcome = Cohort(verify);
  EXPECT_EQ(outcome.exit_code, 1) << outcome.all();
  EXPECT_THAT(json::parse(outcome.out)["left"], ::testing::Contains(json(records)));

  // One that is damaged is not taken for one without the user.
  std::string bytes = ReadFile(records);
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  folder.Write("shop/shop.records", bytes);
  outcome = Cohort(
      {"erase", shop + "/shop.toml", "--user", erased, "--data", data, "--receipt", folder / "other.json"});
  EXPECT_EQ(outcome.exit_code, 1) << outcome.all();
  EXPECT_THAT(outcome.err, HasSubstr("shop.records: is damaged or was cut"));
  EXPECT_FALSE(fs::exists(folder / "other.json"));
}

}  // namespace
}  // namespace cohort::testing
