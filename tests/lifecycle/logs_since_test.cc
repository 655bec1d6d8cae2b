// `cohort prepare --since`: a night that reads what is new gives what reading everything gives, and whatever else has happened to the
// logs or the records file is noticed.
#include "lifecycle/logs_since.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/atomic_file.h"
#include "common/random.h"
#include "lifecycle/event_time.h"
#include "lifecycle/prepare_shop.h"
#include "lifecycle/shop_records_file.h"

namespace cohort::logs_since_test {
namespace {

using ::testing::HasSubstr;

constexpr const char* kHeader = "user,time,kind,item,quantity,price\n";
constexpr const char* kMailHeader = "user,time,arm\n";

// What SHOP.toml says on a night.
struct Description {
  std::vector<std::string> logs = {"a.csv"}, mails = {"mails.csv"};
  std::string until = "until = \"2020-12-01\"", test = "2020-10-01", more;
  bool with_mails = true;

  std::string Text() const {
    const auto list = [](const std::vector<std::string>& files) {
      std::string text;
      for (const std::string& file : files) text += (text.empty() ? "\"" : ", \"") + file + "\"";
      return "files = [" + text + "]\n";
    };
    return "[shop]\n" + until + "\n" + more + "[events]\n" + list(logs) +
           "user = \"user\"\ntime = \"time\"\nkind = \"kind\"\nitem = \"item\"\nquantity = \"quantity\"\n"
           "price = \"price\"\nnegative_quantity = \"return\"\n"
           "[users]\nfiles = [\"users.csv\"]\nuser = \"user\"\nsign_up = \"joined\"\nchannel = \"channel\"\n"
           "[items]\nfiles = [\"items.csv\"]\nitem = \"item\"\ncategory = \"category\"\nprice = \"price\"\n"
           "cost = \"cost\"\n" +
           (with_mails ? "[campaigns]\n" + list(mails) + "user = \"user\"\ntime = \"time\"\narm = \"arm\"\n"
                       : "") +
           "[snapshots]\ntrain = [\"2020-03-01\", \"2020-04-01\"]\nvalid = \"2020-06-01\"\ntest = \"" + test +
           "\"\n[features]\nforecast = true\n[labels.purchase]\nhorizon_days = 30\n[labels.value]\n"
           "horizon_days = 30\n[labels.churn]\nhorizon_days = 60\n";
  }
};

class LogsSinceTest : public ::testing::Test {
 protected:
  LogsSinceTest()
      : directory_(std::filesystem::temp_directory_path() /
                   ("cohort_since_test." + std::to_string(::getpid()))) {
    std::filesystem::create_directories(directory_);
  }
  ~LogsSinceTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ / name; }
  // A .gz gets one more member.
  void Append(const std::string& name, const std::string& text) const {
    if (!name.ends_with(".gz")) {
      std::ofstream(Path(name), std::ios::binary | std::ios::app) << text;
      return;
    }
    gzFile file = gzopen(Path(name).c_str(), "ab");
    ASSERT_NE(file, nullptr);
    EXPECT_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())), static_cast<int>(text.size()));
    EXPECT_EQ(gzclose(file), Z_OK);
  }
  void Write(const std::string& name, const std::string& text) const {
    std::filesystem::remove(Path(name));
    Append(name, text);
  }
  PrepareOptions Options(bool since, bool strict = false) const {
    PrepareOptions options{.schema = Path("shop.toml"),
                           .output = Path(since ? "since.h5" : "whole.h5"),
                           .overwrite = true,
                           .strict = strict};
    if (since) options.since = Path("records");
    return options;
  }

  // Both ways; what differs is a failure. Nothing: both gave the same error.
  std::optional<PrepareReport> Night(bool strict = false) const {
    const Result<PrepareReport> whole = PrepareShop(Options(false, strict));
    const Result<PrepareReport> since = PrepareShop(Options(true, strict));
    EXPECT_EQ(whole.has_value(), since.has_value()) << (whole ? since.error() : whole.error()).text();
    if (!whole || !since) {
      EXPECT_TRUE(!whole && !since && whole.error().text() == since.error().text());
      return std::nullopt;
    }
    EXPECT_TRUE(*ReadFile(Path("whole.h5")) == *ReadFile(Path("since.h5"))) << "the datasets differ";
    const auto text = [](PrepareReport report) {
      std::erase_if(report.warnings, [](const std::string& warning) {
        return warning.starts_with("all logs were read anew");
      });
      auto json = nlohmann::json::parse(report.ToJson());
      for (const char* own : {"seconds", "cpu_seconds", "since", "output", "places"}) json.erase(own);
      return json.dump(1);
    };
    EXPECT_EQ(text(*whole), text(*since));
    // Places too, but those of events that came too late, of which a records file does not say where they stood.
    EXPECT_EQ(whole->findings.size(), since->findings.size());
    for (const auto& [key, finding] : whole->findings) {
      if (key.first == FindingKind::kBadEventTime || !since->findings.contains(key)) continue;
      EXPECT_EQ(finding.places, since->findings.at(key).places);
    }
    return *since;
  }

  void WriteSmall() const {
    Write("shop.toml", Description().Text());
    Write("a.csv",
          std::string(kHeader) +
              "anna,2020-01-05,purchase,x,2,10\nanna,2020-02-10,view,y,,\nanna,2020-03-15,purchase,y,1,4\n"
              "bert,2020-02-02,visit,,,\nbert,2020-04-20,purchase,x,1,9\ncleo,2020-02-20,view,x,,\n");
    Write("mails.csv", std::string(kMailHeader) + "anna,2020-02-20,mail\n");
    Write("users.csv", "user,joined,channel\nanna,2020-01-01,ad\nbert,2020-02-02,shop\n");
    Write("items.csv", "item,category,price,cost\nx,c1,10,4\ny,c2,5,\n");
  }
  // Written by a first night.
  std::string FirstNight() const {
    WriteSmall();
    const auto report = Night();
    EXPECT_TRUE(report && report->since->is_first);
    return *ReadFile(Path("records"));
  }

  std::filesystem::path directory_;
};

class RandomNights {
 public:
  RandomNights(std::uint64_t seed) : random_(seed) {}

  std::string Time(int first_day, int days) {
    static const cohort::Time start = *TimeFormat().Read("2020-01-01");
    cohort::Time time = start + (first_day + static_cast<int>(Below(days))) * kDay;
    if (Below(2) == 0) time += static_cast<cohort::Time>(Below(24)) * 3600;
    return TimeText(time);
  }
  // One record of up to so many days; often one that was there already, sometimes one that cannot be used.
  std::string Line(int days) {
    if (!lines_.empty() && Below(8) == 0) return lines_[Below(lines_.size())];
    const char* kinds[] = {"view", "cart", "purchase", "purchase", "return", "visit"};
    std::string line = "u" + std::to_string(Below(25)) + "," + Time(0, days) + "," + kinds[Below(6)] + ",i" +
                       std::to_string(Below(9)) + "," + std::to_string(1 + Below(3)) + "," +
                       (Below(4) == 0 ? "" : std::to_string(Below(50)) + ".5");
    switch (Below(30)) {
      case 0:
        return "u1,2020-02-01,wish,i1,1,1";
      case 1:
        return "u2," + Time(300, 80) + ",view,i1,1,-1";  // too late as well, on some nights
      case 2:
        return "u3,soon,view,i1,1,1";
      case 3:
        return ",2020-02-01,view,i1,1,1";
      case 4:
        return "u4,2020-02-01,view";
      case 5:
        return "u5,2020-02-01,purchase,i2,-1,3";
      case 6:
        return "late" + std::to_string(Below(3)) + "," + Time(320, 60) + ",view,new,1,1";
      default:
        break;
    }
    lines_.push_back(line);
    return line;
  }
  std::string Lines(std::size_t count, int days) {
    std::string text;
    for (; count > 0; --count)
      text += Line(days) + (Below(20) == 0 ? "\n\n" : Below(20) == 0 ? "\r\n" : "\n");
    return text;
  }
  std::string Mails(std::size_t count) {
    std::string text;
    for (; count > 0; --count)
      text += "u" + std::to_string(Below(25)) + "," + Time(0, 380) + ",arm" + std::to_string(Below(6)) + "\n";
    return text;
  }
  std::string Users() {
    std::string text = "user,joined,channel\n";
    for (int i = 0; i < 25; ++i) {
      if (Below(3) > 0)
        text += "u" + std::to_string(i) + "," + Time(0, 60) + ",c" + std::to_string(Below(3)) + "\n";
    }
    if (Below(4) == 0) text += "u1,2020-01-01,c1\nu1,2020-01-02,c2\n";
    return text;
  }
  std::string Items() {
    std::string text = "item,category,price,cost\n";
    for (int i = 8; i >= 0; --i) {
      if (Below(3) > 0)
        text += "i" + std::to_string(i) + ",g" + std::to_string(Below(3)) + "," + std::to_string(Below(40)) +
                "," + std::to_string(Below(20)) + "\n";
    }
    return text;
  }
  std::size_t Below(std::size_t count) { return random_.Below(count); }

 private:
  RandomStream random_;
  std::vector<std::string> lines_;
};

TEST_F(LogsSinceTest, EveryNightEqualsARebuild) {
  const char* cases = std::getenv("COHORT_SINCE_CASES");
  const char* seed_asked = std::getenv("COHORT_SINCE_SEED");
  const std::uint64_t first = seed_asked == nullptr ? 1 : std::strtoull(seed_asked, nullptr, 10);
  const std::uint64_t count = seed_asked != nullptr ? 1
                              : cases == nullptr    ? 12
                                                    : std::strtoull(cases, nullptr, 10);
  std::uint64_t nights = 0, continued = 0, anew = 0, known = 0, read = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("COHORT_SINCE_SEED=" + std::to_string(seed));
    RandomNights random(seed);
    std::filesystem::remove(Path("records"));
    Description description;
    description.with_mails = seed % 4 > 0;
    Write("a.csv", kHeader + random.Lines(300, 200));
    Write("mails.csv", kMailHeader + random.Mails(20));
    Write("users.csv", random.Users());
    Write("items.csv", random.Items());
    for (int night = 0; night < 6; ++night) {
      const std::string log = description.logs[random.Below(description.logs.size())];
      switch (night == 0 ? 8 : random.Below(9)) {
        case 0:
        case 1:
          Append(log, random.Lines(1 + random.Below(60), 330));
          break;
        case 2: {
          const std::string name =
              "log" + std::to_string(night) + (random.Below(2) == 0 ? ".csv" : ".csv.gz");
          const std::string lines = random.Lines(random.Below(60), 330);
          // With columns in another order, which is the file's own affair.
          if (random.Below(2) == 0) {
            Write(name, "price,user,time,kind,item,quantity\n3,u7,2020-02-03,purchase,i4,1\n");
          } else {
            Write(name, kHeader + lines);
          }
          description.logs.insert(description.logs.begin() + static_cast<std::ptrdiff_t>(random.Below(2)),
                                  name);
          break;
        }
        case 3:
          Append("mails.csv", random.Mails(random.Below(8)));
          Write("users.csv", random.Users());
          break;
        case 4:
          Write("items.csv", random.Items());
          break;
        case 5: {
          const char* untils[] = {"", "until = \"2020-11-20\"", "until = \"2021-02-01\"",
                                  "until = \"2020-12-24 12:00:00\""};
          description.until = untils[random.Below(4)];
          break;
        }
        case 6:
          description.test = random.Below(2) == 0 ? "2020-09-15" : "2020-10-20";
          break;
        case 7:
          if (random.Below(3) == 0)
            description.more = random.Below(2) == 0 ? "missing = [\"\", \"0.5\"]\n" : "";
          if (random.Below(3) == 0) Write(log, kHeader + random.Lines(200, 250));  // another one
          if (random.Below(3) == 0) Append(log, "u1,2020-02-03,view,i1,1,1");      // no line end
          break;
        default:
          break;  // nothing is new
      }
      Write("shop.toml", description.Text());
      const auto report = Night();
      ++nights;
      if (!report) continue;
      anew += report->since->why_anew.empty() ? 0 : 1;
      continued += report->since->records_known > 0 ? 1 : 0;
      known += report->since->records_known, read += report->since->records_read;
    }
    if (HasFailure()) return;
    for (const std::string& log : description.logs) std::filesystem::remove(Path(log));
  }
  if (seed_asked != nullptr) return;
  EXPECT_GT(continued, nights / 2);
  EXPECT_GT(anew, 0u);
  EXPECT_GT(known, 2 * read);
}

TEST_F(LogsSinceTest, ReadsWhatIsNewAndNothingElse) {
  FirstNight();
  struct stat found {};
  ASSERT_EQ(::stat(Path("records").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  auto report = Night();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->since->logs_as_they_were, 2u);
  EXPECT_EQ(report->since->records_known, 7u);
  EXPECT_EQ(report->since->records_read, 0u);

  // A log that grows, one that is new, an event of an earlier night once more, and one that comes late.
  Append("a.csv", "anna,2020-01-05,purchase,x,2,10\nanna,2020-01-02,view,z,,\n");
  Append("b.csv.gz", std::string(kHeader) + "anna,2020-03-20,return,x,1,\ndora,2020-02-01,wish,x,1,1\n");
  Description description;
  description.logs = {"b.csv.gz", "a.csv"};
  Write("shop.toml", description.Text());
  report = Night();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->since->logs_as_they_were, 1u);
  EXPECT_EQ(report->since->logs_grown, 1u);
  EXPECT_EQ(report->since->logs_new, 1u);
  EXPECT_EQ(report->since->records_known, 7u);
  EXPECT_EQ(report->since->records_read, 4u);
  EXPECT_EQ(report->Count(FindingKind::kDuplicateEvent), 1u);
  EXPECT_THAT(report->ToText(),
              HasSubstr("records: 1 logs as they were, 1 grown, 1 new; 7 records known, 4 read\n"));

  // The gzip file gets one more member; a line that cannot be used is named by its line.
  Append("b.csv.gz", "dora,2020-02-01,view,x,1,1\ndora,2020-02-01,wish,y,1,1\n");
  report = Night();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->since->records_read, 2u);
  EXPECT_EQ(report->Count(FindingKind::kUnknownKind), 2u);
  EXPECT_THAT(report->ToText(), HasSubstr("b.csv.gz:5:17: the kind \"wish\""));
  // What was found on former nights is an error when strict, in the same words as of a rebuild.
  EXPECT_FALSE(Night(/*strict=*/true));
}

TEST_F(LogsSinceTest, KeepsEventsThatAreTooLateTonight) {
  FirstNight();
  Append("a.csv", "emil,2020-12-05,purchase,late-item,1,7\nanna,2020-12-06,purchase,x,1,7\n");
  Append("mails.csv", "anna,2020-12-07,late-arm\n");
  auto report = Night();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->Count(FindingKind::kBadEventTime), 3u);
  report = Night();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->Count(FindingKind::kBadEventTime), 3u);
  EXPECT_THAT(report->ToText(), HasSubstr("\": the time 2020-12-0"));
  EXPECT_THAT(report->ToText(), HasSubstr("is not before 2020-12-01, `until` of [shop]"));
  const Result<PrepareReport> strict = PrepareShop(Options(true, /*strict=*/true));
  ASSERT_FALSE(strict);
  EXPECT_THAT(strict.error().text(), HasSubstr("is not before 2020-12-01"));
  Description description;
  description.until = "until = \"2021-01-01\"";
  Write("shop.toml", description.Text());
  report = Night();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->Count(FindingKind::kBadEventTime), 0u);
  EXPECT_EQ(report->since->records_read, 0u);
}

TEST_F(LogsSinceTest, ReadsAllAnewWhenAnythingElseHasHappened) {
  const auto why = [&](const std::function<void()>& change) {
    std::filesystem::remove(Path("records"));
    FirstNight();
    change();
    const auto report = Night();
    EXPECT_TRUE(report);
    if (!report) return std::string();
    EXPECT_EQ(report->since->records_known, 0u);
    EXPECT_THAT(report->ToText(), HasSubstr("warning: all logs were read anew: " + report->since->why_anew));
    return report->since->why_anew;
  };
  const std::string content = [&] {
    WriteSmall();
    return *ReadFile(Path("a.csv"));
  }();
  EXPECT_THAT(why([&] { Write("a.csv", content.substr(0, content.rfind("cleo"))); }),
              HasSubstr("a.csv has become shorter"));
  EXPECT_THAT(why([&] {
                std::string changed = content;
                changed[changed.find(",2,10")] = ';';
                Write("a.csv", changed + "anna,2020-01-02,view,z,,\n");
              }),
              HasSubstr("a.csv has changed within the 204 bytes that were read of it"));
  // The same number of bytes, at the same time.
  EXPECT_THAT(why([&] {
                std::string changed = content;
                changed[changed.find("x,2,10")] = 'w';
                const auto time = std::filesystem::last_write_time(Path("a.csv"));
                Write("a.csv", changed);
                std::filesystem::last_write_time(Path("a.csv"), time);
              }),
              HasSubstr("a.csv has changed within"));
  EXPECT_THAT(why([&] {
                Write("a.csv", content.substr(0, content.size() - 1));
                std::filesystem::remove(Path("records"));
                EXPECT_TRUE(Night());
                Append("a.csv", "\nanna,2020-01-02,view,z,,\n");
              }),
              HasSubstr("did not end with a line end"));
  const auto described = [&](const std::function<void(Description*)>& change) {
    return why([&] {
      Write("b.csv", content);
      Description description;
      change(&description);
      Write("shop.toml", description.Text());
    });
  };
  EXPECT_THAT(described([](Description* description) { description->logs = {"b.csv"}; }),
              HasSubstr("a.csv is no longer among the files of [events]"));
  EXPECT_EQ(described([](Description* description) { description->more = "missing = [\"\", \"NA\"]\n"; }),
            "the description now says [shop] missing = [\"\", \"NA\"]");
  EXPECT_EQ(described([](Description* description) { description->with_mails = false; }),
            "the description no longer says [campaigns] user = \"user\"");
  EXPECT_THAT(described([&](Description* description) {
                Write("users.key", "00112233445566778899aabbccddeeff\n");
                std::filesystem::permissions(Path("users.key"), std::filesystem::perms::owner_read);
                description->more = "user_key = \"users.key\"\n";
              }),
              HasSubstr("user_key"));
  // By pseudonyms only, then.
  EXPECT_THAT(*ReadFile(Path("records")), ::testing::Not(HasSubstr("anna")));
}

TEST_F(LogsSinceTest, RefusesARecordsFileThatIsNotAsItWasWritten) {
  const std::string good = FirstNight();
  const auto refusal = [&](const std::string& content) {
    Write("records", content);
    const Result<PrepareReport> report = PrepareShop(Options(true));
    EXPECT_FALSE(report);
    EXPECT_EQ(*ReadFile(Path("records")), content) << "it was replaced";
    return report ? Status() : report.error();
  };
  Status status = refusal("user,time\n");
  EXPECT_EQ(status.code(), ErrorCode::kInvalidInput);
  EXPECT_THAT(status.text(),
              HasSubstr("records: is no records file of `cohort prepare --since`; name another"));
  std::string later = good;
  later[8] = 9;
  status = refusal(later);
  EXPECT_EQ(status.code(), ErrorCode::kInvalidInput);
  EXPECT_THAT(status.text(),
              HasSubstr("is a records file of format 9, this version reads format 1; remove it"));
  status = refusal("");
  EXPECT_EQ(status.code(), ErrorCode::kInvalidInput);
  EXPECT_THAT(status.text(), HasSubstr("records: is empty; expected a records file"));
  // Cut anywhere; any byte another one.
  const std::size_t step = good.size() / 150;
  for (std::size_t size = 1; size < good.size(); size += size < 16 ? 1 : step) {
    status = refusal(good.substr(0, size));
    EXPECT_EQ(status.code(), ErrorCode::kCorrupt) << size;
    EXPECT_THAT(status.text(), HasSubstr("is damaged or was cut"));
    if (size < 16) {
      EXPECT_THAT(status.text(), HasSubstr("it has ended at byte " + std::to_string(size) + "; remove it"));
    }
  }
  RandomStream random(3);
  for (std::size_t at = 12; at < good.size(); at += 1 + random.Below(2 * step)) {
    std::string changed = good;
    changed[at] = static_cast<char>(changed[at] ^ (1 << random.Below(8)));
    EXPECT_EQ(refusal(changed).code(), ErrorCode::kCorrupt) << at;
  }
  Write("records", good);
  EXPECT_TRUE(Night());
}

TEST_F(LogsSinceTest, WhatAKilledNightHasLeftIsGoneAfterTheNext) {
  WriteSmall();
  Write("records.tmp", "half of");
  Write("since.h5.tmp", "a night");
  ASSERT_TRUE(Night());
  EXPECT_FALSE(std::filesystem::exists(Path("records.tmp")));
  EXPECT_FALSE(std::filesystem::exists(Path("since.h5.tmp")));
  EXPECT_TRUE(ShopRecordsReader::Open(Path("records")).has_value());
}

// On another disk, say.
TEST_F(LogsSinceTest, ASymbolicLinkStaysAndTheFileThatItNamesIsWrittenAnew) {
  WriteSmall();
  std::filesystem::create_directory(Path("disk"));
  std::filesystem::create_symlink("disk/records", Path("records"));
  for (const bool first : {true, false}) {
    const std::optional<PrepareReport> report = Night();
    ASSERT_TRUE(report && report->since);
    EXPECT_EQ(report->since->is_first, first);
    EXPECT_TRUE(std::filesystem::is_symlink(Path("records")));
    EXPECT_FALSE(std::filesystem::is_symlink(Path("disk/records")));
    EXPECT_TRUE(ShopRecordsReader::Open(Path("disk/records")).has_value());
  }
  EXPECT_FALSE(std::filesystem::exists(Path("records.tmp")) ||
               std::filesystem::exists(Path("disk/records.tmp")));
}

TEST_F(LogsSinceTest, RefusesNamesThatAreTaken) {
  WriteSmall();
  PrepareOptions options = Options(true);
  options.since = Path("a.csv");
  const auto error = [&] {
    const Result<PrepareReport> report = PrepareShop(options);
    EXPECT_FALSE(report);
    return report ? "" : report.error().text();
  };
  EXPECT_THAT(error(), HasSubstr("is one of the inputs"));
  options.since = directory_ / "." / "since.h5";
  EXPECT_THAT(error(), HasSubstr("needs a file of its own"));
  options.since = Path("nowhere/records");
  EXPECT_THAT(error(), HasSubstr("its folder does not exist"));
  std::filesystem::create_directory(Path("folder"));
  options.since = Path("folder");
  EXPECT_THAT(error(), HasSubstr("folder: is a folder; expected a regular file"));
  options.since = Path("fifo");
  ASSERT_EQ(::mkfifo(options.since.c_str(), 0600), 0);
  EXPECT_THAT(error(), HasSubstr("fifo: is a pipe; expected a regular file"));
  EXPECT_FALSE(ShopRecordsReader::IsRecordsFile(options.since));
  options.since = Path("records");
  std::filesystem::rename(Path("fifo"), Path("a.csv"));
  EXPECT_THAT(error(), HasSubstr("a.csv: is a pipe; expected a regular file"));
}

}  // namespace
}  // namespace cohort::logs_since_test
