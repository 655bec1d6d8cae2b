#include "lifecycle/shop_logs.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "common/atomic_file.h"
#include "common/input_file.h"
#include "common/process.h"
#include "lifecycle/event_time.h"
#include "lifecycle/shop_world.h"
#include "lifecycle/user_life.h"
#include "lifecycle/user_outlook.h"
#include "prepare/csv_file.h"

namespace cohort {
namespace {

constexpr std::uint64_t kUsersOfBlock = 16'384;
constexpr Time kOpening = 19'723 * kDay;  // 2024-01-01
// By LogWriter::File; behind these, what is written when they are complete.
constexpr const char* kFiles[] = {"truth/users.csv",   "truth/items.csv",  "truth/moments.csv",
                                  "truth/effects.csv", "truth/tastes.csv", "truth/expectations.csv",
                                  "users.csv",         "items.csv",        "campaigns.csv",
                                  "events.csv",        "run.toml",         "actions.toml",
                                  "campaign.toml",     "shop.toml"};
constexpr int kFirstSnapshot = 60, kBetweenSnapshots = 30, kMostTrainSnapshots = 24;

std::string Numbered(char letter, std::uint64_t number, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%c%0*llu", letter, digits, static_cast<unsigned long long>(number));
  return text;
}
std::string UserId(std::uint64_t user) { return Numbered('u', user, 8); }
std::string ItemId(std::uint32_t item) { return Numbered('i', item, 6); }
std::string Date(int day) { return TimeText(kOpening + day * kDay); }

// "2024-01-01 08:30:00", from a table of the days.
class TimeTexts {
 public:
  explicit TimeTexts(int days) {
    for (int day = 0; day < days; ++day) dates_.push_back(Date(day) + " 00:00:00");
  }
  std::string_view operator()(Time time) {
    std::string& text = dates_[static_cast<std::size_t>(time / kDay)];
    const auto put = [&](std::size_t place, Time two) {
      text[place] = static_cast<char>('0' + two / 10);
      text[place + 1] = static_cast<char>('0' + two % 10);
    };
    const Time second = time % kDay;
    put(11, second / 3600);
    put(14, second / 60 % 60);
    put(17, second % 60);
    return text;
  }

 private:
  std::vector<std::string> dates_;
};

struct EventOfUser {
  LoggedEvent event;
  std::uint32_t user;
};

// How the logs are read; and the rows of shop.toml, or those of campaign.toml: the randomised campaign's.
std::string ShopToml(const ShopCalendar& calendar, bool campaign) {
  std::vector<int> train;
  for (int day = calendar.campaign + kBetweenSnapshots; day >= kFirstSnapshot; day -= kBetweenSnapshots) {
    if (train.size() == kMostTrainSnapshots) break;
    train.push_back(day);
  }
  std::string times;
  for (auto day = train.rbegin(); day != train.rend(); ++day)
    times += (times.empty() ? "\"" : ", \"") + Date(*day) + "\"";
  std::string arms;
  for (const char* arm : ShopWorld::Arms()) arms += std::string(arms.empty() ? "\"" : ", \"") + arm + "\"";
  const std::string rows =
      campaign
          ? "[snapshots]\ntrain = [\"" + Date(calendar.campaign) +
                "\"]     # the day of the campaign\ntest = \"" + Date(calendar.test) +
                "\"          # when actions are to be chosen\n\n[features]\nwindows_days = [7, 30, "
                "90]\nhistory = 1\nforecast = true\n\n"
                "[labels.campaign]\nhorizon_days = 28\narms = [" +
                arms +
                "]\n[labels.value]              # its forecast is a feature\nhorizon_days = "
                "28\nshortest_days = 28\n"
          : "[snapshots]\ntrain = [" + times + "]     # one of them at the campaign, " +
                Date(calendar.campaign) + "\nvalid = \"" + Date(calendar.valid) + "\"\ntest = \"" +
                Date(calendar.test) +
                "\"\n\n[features]\nwindows_days = [7, 30, 90]\nhistory = 32\nbins = 16\nforecast = true\n\n"
                "[labels.acquisition_cost]\ndays = 30\n[labels.activation]\ndays = 14\n"
                "activities = [\"favourite\", \"cart\", \"purchase\"]\n[labels.churn]\nhorizon_days = 30\n"
                "seen_within_days = 90\n[labels.purchase]\nhorizon_days = 30\n[labels.value]\nhorizon_days = "
                "30\n";
  return "# A synthetic shop. Its true probabilities and effects are in truth/.\n"
         "[shop]\nuntil = \"" +
         Date(calendar.end) +
         "\"\n\n[events]\nfiles = [\"events.csv\"]\nuser = \"user\"\ntime = \"time\"\nkind = \"kind\"\nitem "
         "= \"item\"\n"
         "quantity = \"quantity\"\nprice = \"price\"\n\n[users]\nfiles = [\"users.csv\"]\nuser = \"user\"\n"
         "sign_up = \"sign_up\"\nacquisition_cost = \"acquisition_cost\"\nchannel = \"channel\"\n"
         "[[users.attribute]]\nname = \"region\"\n[[users.attribute]]\nname = \"device\"\n"
         "[[users.attribute]]\nname = \"age\"\ntype = \"numeric\"\n[[users.attribute]]\nname = \"gender\"\n"
         "[[users.attribute]]\nname = \"income\"\n\n[items]\nfiles = [\"items.csv\"]\nitem = \"item\"\n"
         "category = \"category\"\nbrand = \"brand\"\nprice = \"price\"\ncost = \"cost\"\ntext = "
         "\"title\"\n\n"
         "[campaigns]\nfiles = [\"campaigns.csv\"]\nuser = \"user\"\ntime = \"time\"\narm = \"arm\"\n" +
         (campaign ? "randomised = \"randomised\"\noutcome = \"outcome\"\n\n" : "\n") + rows;
}

constexpr const char* kRunToml = R"(# The tasks of shop.toml's dataset by one model.
data = "shop.h5"
seed = 1

[model]
kind = "mmoe"
embedding_dim = 8
experts = 4
expert_layers = [64, 32]
tower_layers = [16]
linear = true
embedding_dropout = 0.2

# Who was seen after the last order has not left: it matters which kind came last.
[sequence.last_kinds]
encoder = "gru"
width = 16

[train]
epochs = 6
batch_size = 1024

[optimizer.embedding]
kind = "adagrad"
learning_rate = 0.02
schedule = "cosine"
[optimizer.dense]
kind = "adam"
learning_rate = 0.003
schedule = "cosine"

[cluster]
servers = 1
workers = 2
)";

std::string ActionsToml() {
  std::string text =
      R"(# Which user gets which contact, by what the campaign has shown, and what that is worth.
#   cohort prepare campaign.toml --out campaign.h5
#   cohort strategy actions.toml --out actions.csv
data = "campaign.h5"
# budget = 1000                 # of all contacts
# holdout = 0.1                 # a permanent control group; needs key_file, a secret

[experiment]
arm = "campaign_arm"
control = "none"
outcome = "campaign_outcome"
link = "log"                    # a contact multiplies what a user would have bought anyway
# The campaign itself lies between its day and the day of choosing: what contacts left behind differs.
without = ["contacts", "contacts_7d", "contacts_30d", "contacts_90d", "contact_recency_days", "last_arm"]
)";
  for (std::size_t arm = 1; arm < kShopArms; ++arm) {
    const std::int64_t cents = ShopWorld::ArmCostCents(static_cast<int>(arm));
    char cost[32];
    std::snprintf(cost, sizeof cost, "%lld.%02lld", static_cast<long long>(cents / 100),
                  static_cast<long long>(cents % 100));
    text += std::string("\n[[action]]\nname = \"") + ShopWorld::Arms()[arm] + "\"\ncost = " + cost + "\n";
  }
  return text;
}

class LogWriter {
 public:
  explicit LogWriter(const ShopLogsOptions& options)
      : options_(options),
        directory_(options.directory),
        world_(options.seed, static_cast<std::uint32_t>(options.items), static_cast<int>(options.days),
               options.null_effects),
        laws_(world_),
        calendar_(world_.days()),
        times_(calendar_.end) {
    for (std::uint32_t item = 0; item < world_.items().size(); ++item) item_ids_.push_back(ItemId(item));
  }

  Result<ShopLogsSummary> Write(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    const auto start = std::chrono::steady_clock::now();
    summary_.users = options_.users;
    COHORT_RETURN_IF_ERROR(Open());
    WriteItems();
    for (std::uint64_t first = 0; first < options_.users; first += kUsersOfBlock) {
      const std::uint64_t end = std::min(first + kUsersOfBlock, options_.users);
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
      for (std::uint64_t user = first; user < end; ++user) WriteUser(user);
      WriteEvents();
      for (const CsvFile& file : files_) {
        if (file.failed()) return Finish();  // a full disk: Close tells
      }
      if (progress) progress(end, summary_.events);
    }
    COHORT_ASSIGN_OR_RETURN(ShopLogsSummary summary, Finish());
    summary.policies = ValuesOfPolicies(policy_users_);
    summary.under_budget = ValuesOfPolicies(policy_users_, 0.5 * summary.policies.oracle_cost);
    summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return summary;
  }

 private:
  enum File {
    kTrueUsers,
    kTrueItems,
    kMoments,
    kEffects,
    kTastes,
    kExpectations,
    kUsers,
    kItems,
    kCampaigns,
    kEvents,
    kRun,
    kActions,
    kCampaignShop,
    kShop
  };

  CsvFile& file(File which) { return files_[which]; }
  std::string PathOf(File which) const { return (directory_ / kFiles[which]).string(); }

  Status Open() {
    for (int which = 0; which < kRun; ++which) {
      COHORT_ASSIGN_OR_RETURN(CsvFile opened, CsvFile::Create(PathOf(static_cast<File>(which))));
      files_.push_back(std::move(opened));
    }
    file(kUsers).Row(
        {"user", "sign_up", "channel", "acquisition_cost", "region", "device", "age", "gender", "income"});
    file(kItems).Row({"item", "category", "brand", "price", "cost", "title"});
    file(kEvents).Row({"user", "time", "kind", "item", "quantity", "price"});
    file(kCampaigns).Row({"user", "time", "arm", "cost", "randomised", "outcome"});
    file(kTrueItems).Row({"item", "category", "tier", "weight"});
    file(kMoments).Row({"user", "time", "stage", "alive", "churn", "purchase", "value", "known.churn",
                        "known.purchase", "known.value"});
    file(kExpectations)
        .Row({"id", "split", "acquisition_cost", "activation.favourite", "activation.cart",
              "activation.purchase", "activation.none", "churn", "purchase", "value"});
    file(kEffects).Text("user").Text("time");
    for (const std::string known : {"", "known."}) {
      file(kEffects).Text(known + "baseline");
      for (int arm = 1; arm < kShopArms; ++arm)
        file(kEffects).Text(known + ShopWorld::Arms()[static_cast<std::size_t>(arm)]);
    }
    file(kEffects).EndRow();
    file(kTrueUsers).Text("user").Text("rate").Text("dropout").Text("first_order").Text("left");
    WriteTasteNames(kTrueUsers);
    file(kTastes).Text("user");
    WriteTasteNames(kTastes);
    return {};
  }

  void WriteTasteNames(File which) {
    for (const char* category : ShopWorld::CategoryNames()) file(which).Text(category);
    for (const char* tier : ShopWorld::TierNames()) file(which).Text(tier);
    file(which).EndRow();
  }

  void WriteTastes(File which, const CategoryShares& categories, const TierShares& tiers) {
    for (const double share : categories) file(which).Number(share);
    for (const double share : tiers) file(which).Number(share);
    file(which).EndRow();
  }

  void WriteItems() {
    for (std::uint32_t number = 0; number < world_.items().size(); ++number) {
      const ShopItem& item = world_.items()[number];
      const char* category = ShopWorld::CategoryNames()[static_cast<std::size_t>(item.category)];
      file(kItems).Text(item_ids_[number]).Text(category).Text(ShopWorld::BrandName(item.brand));
      file(kItems).Fixed(item.price_cents, 2).Fixed(item.cost_cents, 2).Text(item.title).EndRow();
      file(kTrueItems).Text(item_ids_[number]).Text(category);
      file(kTrueItems).Text(ShopWorld::TierNames()[static_cast<std::size_t>(item.tier)]).Number(item.weight);
      file(kTrueItems).EndRow();
    }
  }

  void WriteMoment(File which, double day) {  // empty: never
    day < 0 ? file(which).Empty()
            : file(which).Text(times_(static_cast<Time>(std::floor(day * static_cast<double>(kDay)))));
  }

  void WriteUser(std::uint64_t user) {
    const UserLife life = LiveUser(world_, user);
    const UserTraits& traits = life.traits;
    const std::string id = UserId(user);
    const auto name = [](const std::vector<const char*>& names, int number) {
      return names[static_cast<std::size_t>(number)];
    };
    file(kUsers).Text(id);
    WriteMoment(kUsers, traits.sign_up);
    file(kUsers).Text(name(ShopWorld::Channels(), traits.channel)).Fixed(traits.cost_cents, 2);
    file(kUsers)
        .Text(name(ShopWorld::Regions(), traits.region))
        .Text(name(ShopWorld::Devices(), traits.device));
    file(kUsers).Whole(traits.age).Text(name(ShopWorld::Genders(), traits.gender));
    file(kUsers).Text(name(ShopWorld::Incomes(), traits.income)).EndRow();
    file(kTrueUsers).Text(id).Number(life.nature.rate).Number(life.nature.dropout);
    WriteMoment(kTrueUsers, life.first_order);
    WriteMoment(kTrueUsers, life.left);
    WriteTastes(kTrueUsers, life.nature.categories, life.nature.tiers);
    summary_.customers += life.first_order >= 0;
    summary_.lost += life.left >= 0;
    for (const LoggedContact& contact : life.contacts) {
      file(kCampaigns).Text(id).Text(Date(contact.day));
      file(kCampaigns).Text(ShopWorld::Arms()[static_cast<std::size_t>(contact.arm)]);
      file(kCampaigns).Fixed(ShopWorld::ArmCostCents(contact.arm), 2).Whole(contact.randomised);
      file(kCampaigns).Fixed(contact.outcome_cents, 2).EndRow();
      ++summary_.contacts;
    }
    if (life.campaign) WriteTruth(id, user, life, *life.campaign, nullptr);
    if (life.valid) WriteTruth(id, user, life, *life.valid, "valid");
    if (life.test) WriteTruth(id, user, life, *life.test, "test");
    for (const LoggedEvent& event : life.events) block_.push_back({event, static_cast<std::uint32_t>(user)});
  }

  void WriteTruth(const std::string& id, std::uint64_t user, const UserLife& life, const Moment& moment,
                  const char* split) {
    const bool campaign = split == nullptr;
    const UserOutlook outlook(laws_, life.traits, moment.seen);
    const UserOutlook knowing(laws_, life.traits, moment, life.nature);
    const Expectations expected = outlook.Expect(campaign), known = knowing.Expect(campaign);
    const std::string time = Date(static_cast<int>(moment.seen.now));
    file(kMoments).Text(id).Text(time);
    file(kMoments).Text(
        ShopStageNames()[static_cast<std::size_t>(ShopStage(moment.alive, moment.seen.orders))]);
    file(kMoments)
        .Number(expected.alive)
        .Number(expected.churn)
        .Number(expected.purchase)
        .Number(expected.value);
    file(kMoments).Number(known.churn).Number(known.purchase).Number(known.value).EndRow();
    if (split != nullptr) {
      file(kExpectations).Text(id).Text(split).Number(ShopWorld::AcquisitionCost(life.traits));
      // Where the label is not known nothing is compared with it.
      for (const double probability :
           expected.activation.value_or(std::array<double, kShopActivities>{0, 0, 0, 1}))
        file(kExpectations).Number(probability);
      file(kExpectations).Number(expected.churn).Number(expected.purchase).Number(expected.value).EndRow();
    }
    const bool test = moment.seen.now == calendar_.test;
    if (test) {
      file(kTastes).Text(id);
      WriteTastes(kTastes, outlook.categories(), outlook.tiers());
    }
    if (!test && !campaign) return;
    const ContactEffects effects = outlook.Effects();
    file(kEffects).Text(id).Text(time);
    for (const ContactEffects& of : {effects, knowing.Effects()}) {
      file(kEffects).Number(of.baseline);
      for (std::size_t arm = 1; arm < kShopArms; ++arm) file(kEffects).Number(of.increment[arm]);
    }
    file(kEffects).EndRow();
    if (!campaign || user >= kPolicyUsers) return;
    PolicyUser& policy = policy_users_.emplace_back();
    for (std::size_t arm = 0; arm < kShopArms; ++arm)
      policy.margin[arm] = static_cast<float>(effects.baseline + effects.increment[arm]);
    policy.recency_days = static_cast<float>(moment.seen.now - moment.seen.last_order);
    policy.revenue = 0.01f * static_cast<float>(moment.seen.revenue_cents);
    policy.orders = moment.seen.orders;
  }

  void WriteEvents() {
    std::stable_sort(block_.begin(), block_.end(), [](const EventOfUser& a, const EventOfUser& b) {
      return a.event.time != b.event.time ? a.event.time < b.event.time : a.user < b.user;
    });
    CsvFile& events = file(kEvents);
    for (const auto& [event, user] : block_) {
      events.Text(UserId(user)).Text(times_(event.time)).Text(EventKindName(event.kind));
      event.item == kNoItem ? events.Empty() : events.Text(item_ids_[event.item]);
      const bool counted = event.kind == EventKind::kPurchase || event.kind == EventKind::kReturn;
      counted ? events.Whole(event.quantity) : events.Empty();
      event.cents < 0 ? events.Empty() : events.Fixed(event.cents, 2);
      events.EndRow();
      summary_.order_lines += event.kind == EventKind::kPurchase;
    }
    summary_.events += block_.size();
    block_.clear();
  }

  Result<ShopLogsSummary> Finish() {
    for (CsvFile& file : files_) {
      summary_.bytes += file.bytes();
      COHORT_RETURN_IF_ERROR(file.Close());
    }
    for (CsvFile& file : files_) COHORT_RETURN_IF_ERROR(file.Commit());
    COHORT_RETURN_IF_ERROR(WriteFileAtomically(PathOf(kRun), kRunToml));
    COHORT_RETURN_IF_ERROR(WriteFileAtomically(PathOf(kActions), ActionsToml()));
    COHORT_RETURN_IF_ERROR(
        WriteFileAtomically(PathOf(kCampaignShop), ShopToml(calendar_, /*campaign=*/true)));
    COHORT_RETURN_IF_ERROR(WriteFileAtomically(PathOf(kShop), ShopToml(calendar_, /*campaign=*/false)));
    return summary_;
  }

  const ShopLogsOptions& options_;
  const std::filesystem::path directory_;
  const ShopWorld world_;
  const UserOutlook::Laws laws_;
  const ShopCalendar calendar_;
  TimeTexts times_;
  std::vector<std::string> item_ids_;
  std::vector<CsvFile> files_;  // by File, up to kEvents
  std::vector<EventOfUser> block_;
  std::vector<PolicyUser> policy_users_;
  ShopLogsSummary summary_;
};

Status CheckRange(const char* option, std::uint64_t value, std::uint64_t least, std::uint64_t most) {
  if (value >= least && value <= most) return {};
  return {ErrorCode::kInvalidInput, std::string("--") + option + " is " + std::to_string(value) +
                                        ", expected a number from " + std::to_string(least) + " to " +
                                        std::to_string(most) + " with --shop"};
}

}  // namespace

Result<ShopLogsSummary> GenerateShopLogs(const ShopLogsOptions& options,
                                         const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  COHORT_RETURN_IF_ERROR(CheckRange("users", options.users, 1, 100'000'000));
  COHORT_RETURN_IF_ERROR(CheckRange("items", options.items, kShopCells, 1'000'000));
  COHORT_RETURN_IF_ERROR(CheckRange("days", options.days, ShopCalendar::kLeastDays, ShopCalendar::kMostDays));
  if (options.directory.empty())
    return InvalidInput("--out is empty, expected a directory to write the shop to");
  COHORT_RETURN_IF_ERROR(MakeOutputFolder(options.directory, kFiles, options.overwrite));
  return LogWriter(options).Write(progress);
}

}  // namespace cohort
