// How fast many events become rows, and in how much memory. COHORT_SHOP_EVENTS: how many (default: few, for every day's suite).
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "common/process.h"
#include "common/random.h"
#include "lifecycle/event_time.h"
#include "lifecycle/prepare_shop.h"

namespace cohort::scale_test {
namespace {

constexpr const char* kShop = R"([shop]
until = "2021-01-01"
[events]
files = ["events.csv"]
user = "user"
time = "time"
kind = "kind"
item = "item"
price = "price"
[snapshots]
train = ["2020-04-01", "2020-06-01"]
valid = "2020-08-01"
test = "2020-10-01"
seen_within_days = 90
[labels.purchase]
horizon_days = 30
[labels.value]
horizon_days = 30
[labels.churn]
horizon_days = 60
)";

TEST(Scale, ManyEventsInLittleMemory) {
  const char* asked = std::getenv("COHORT_SHOP_EVENTS");
  const std::uint64_t events = asked == nullptr ? 100'000 : std::strtoull(asked, nullptr, 10);
  const std::uint64_t users = events / 25 + 1, items = events / 200 + 1;
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("cohort_scale_test." + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const Time first = *TimeFormat().Read("2020-01-01");
  // Not sorted by user, nor by time.
  std::FILE* file = std::fopen((folder / "events.csv").c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs("user,time,kind,item,price\n", file);
  RandomStream random(1);
  for (std::uint64_t i = 0; i < events; ++i) {
    const std::uint64_t kind = random.Below(10);
    const double skew = random.Uniform();
    const auto item = static_cast<std::uint64_t>(skew * skew * static_cast<double>(items));
    std::fprintf(file, "user%llu,%s,%s,item%llu,%llu.%02llu\n",
                 static_cast<unsigned long long>(random.Below(users)),
                 TimeText(first + static_cast<Time>(random.Below(366 * kDay))).c_str(),
                 kind < 7   ? "view"
                 : kind < 8 ? "cart"
                            : "purchase",
                 static_cast<unsigned long long>(item), static_cast<unsigned long long>(item % 97 + 1),
                 static_cast<unsigned long long>(random.Below(100)));
  }
  std::fclose(file);
  std::FILE* shop = std::fopen((folder / "shop.toml").c_str(), "w");
  ASSERT_NE(shop, nullptr);
  std::fputs(kShop, shop);
  std::fclose(shop);
  const Result<PrepareReport> report =
      PrepareShop({.schema = folder / "shop.toml", .output = folder / "shop.h5"});
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(report) << report.error().text();
  const double megabytes = static_cast<double>(ReadProcessUsage().peak_memory_bytes) / 1e6;
  std::printf("%llu events of %llu users: %.0f events/s (%.0f per second of CPU time), %.0f MB at the most\n",
              static_cast<unsigned long long>(events), static_cast<unsigned long long>(users),
              static_cast<double>(events) / report->seconds,
              static_cast<double>(events) / report->cpu_seconds, megabytes);
  EXPECT_EQ(report->records, events);
  EXPECT_GT(report->info.rows[0], users);  // most users at both train snapshots
  EXPECT_LT(megabytes, 2000);
}

}  // namespace
}  // namespace cohort::scale_test
