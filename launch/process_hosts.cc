#include "launch/process_hosts.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>

#include "launch/hostfile.h"

namespace cohort {
namespace {

constexpr const char* kExpected =
    "; expected servers=RULE or workers=RULE, where RULE is spread, pack or HOST,HOST,...";
constexpr std::size_t kMostNamed = 8;

Result<HostRule> ParseRule(const std::string& word, const std::string& text) {
  if (text == "pack") return HostRule{HostRule::Kind::kPack, {}};
  if (text == "spread") return HostRule{HostRule::Kind::kSpread, {}};
  HostRule rule{HostRule::Kind::kHosts, {}};
  std::istringstream names(text);
  for (std::string name; std::getline(names, name, ',');) {
    if (name.empty() || name == "pack" || name == "spread" || name.find_first_of(" \t=") != std::string::npos)
      return InvalidInput("--place " + word + ": \"" + name + "\" is no host's name" + kExpected);
    rule.hosts.push_back(name);
  }
  if (rule.hosts.empty()) return InvalidInput("--place " + word + " has no rule" + kExpected);
  return rule;
}

// What is left of the slots, as processes take them.
class Slots {
 public:
  explicit Slots(std::vector<std::string> all) : all_(std::move(all)), left_(all_) {}
  void Take(const std::string& host) {
    if (const auto found = std::find(left_.begin(), left_.end(), host); found != left_.end())
      left_.erase(found);
  }
  // The next one's host.
  std::string TakeNext() {
    if (left_.empty()) left_ = all_;
    std::string host = left_.front();
    left_.erase(left_.begin());
    return host;
  }

 private:
  const std::vector<std::string> all_;
  std::vector<std::string> left_;
};

std::string Named(const std::vector<std::string>& hosts) {
  std::string text;
  for (std::size_t i = 0; i < std::min(hosts.size(), kMostNamed); ++i)
    text += (i == 0 ? "" : ", ") + hosts[i];
  return hosts.size() > kMostNamed ? text + " and " + std::to_string(hosts.size() - kMostNamed) + " more"
                                   : text;
}

std::vector<std::string> PlaceRole(const HostRule& rule, const std::vector<std::string>& hosts,
                                   std::uint32_t count, Slots* slots) {
  const auto& turns = rule.kind == HostRule::Kind::kHosts ? rule.hosts : hosts;
  std::vector<std::string> places;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (rule.kind == HostRule::Kind::kPack) {
      places.push_back(slots->TakeNext());
    } else {
      places.push_back(turns[i % turns.size()]);
      slots->Take(places.back());
    }
  }
  return places;
}

}  // namespace

Result<HostRules> ParseHostRules(const std::vector<std::string>& words) {
  std::optional<HostRule> servers, workers;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    const std::string role = word.substr(0, equals);
    if (equals == std::string::npos || (role != "servers" && role != "workers"))
      return InvalidInput("--place " + word + " names neither servers nor workers" + kExpected);
    std::optional<HostRule>& rule = role == "servers" ? servers : workers;
    if (rule) return InvalidInput("--place " + word + " is the second rule for " + role + "; give one");
    COHORT_ASSIGN_OR_RETURN(rule, ParseRule(word, word.substr(equals + 1)));
  }
  return HostRules{servers.value_or(HostRule{}), workers.value_or(HostRule{})};
}

Result<ProcessHosts> ChooseHosts(const HostRules& rules, const std::vector<std::string>& slots,
                                 std::uint32_t servers, std::uint32_t workers) {
  const std::vector<std::string> hosts = DistinctHosts(slots);
  for (const auto& [role, rule] :
       {std::pair("servers", &rules.servers), std::pair("workers", &rules.workers)}) {
    for (const std::string& host : rule->hosts) {
      if (std::find(hosts.begin(), hosts.end(), host) == hosts.end())
        return InvalidInput(std::string("--place ") + role + "=" + host + ": " + host +
                            " is none of the job's hosts, which are " + Named(hosts) +
                            "; name one of these, as it is written there");
    }
  }
  ProcessHosts places;
  const auto here = std::find_if(hosts.begin(), hosts.end(), IsThisHost);
  places.scheduler = here != hosts.end() ? *here : hosts.at(0);
  Slots left(slots);
  left.Take(places.scheduler);
  places.servers = PlaceRole(rules.servers, hosts, servers, &left);
  places.workers = PlaceRole(rules.workers, hosts, workers, &left);
  return places;
}

}  // namespace cohort
