#include "launch/process_hosts.h"

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "common/nearest.h"

namespace cohort {
namespace {

constexpr const char* kExpected =
    "; expected servers=RULE or workers=RULE, where RULE is spread, pack or HOST,HOST,...";
constexpr std::size_t kMostNamed = 8;
const std::vector<std::string> kRoles = {"servers", "workers"}, kRules = {"spread", "pack"};

tl::unexpected<Status> NoRule(const std::string& word) {
  return InvalidInput("--place " + word + " has no rule" + kExpected);
}

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
  if (rule.hosts.empty()) return NoRule(word);
  return rule;
}

// What is left of the slots, as processes take them, and how many each host has.
class Slots {
 public:
  explicit Slots(const std::vector<ListedHost>& hosts) : all_(SlotsOf(hosts)), left_(all_) {
    for (const ListedHost& host : hosts) most_[host.name] = host.most;
  }
  void Take(const std::string& host) {
    ++taken_[host];
    if (const auto found = std::find(left_.begin(), left_.end(), host); found != left_.end())
      left_.erase(found);
  }
  // The next one's host: one that may have more, if there is one.
  std::string TakeNext() {
    const auto has_room = [this](const std::string& host) {
      return most_[host] == 0 || taken_[host] < most_[host];
    };
    auto next = std::find_if(left_.begin(), left_.end(), has_room);
    if (next == left_.end()) {
      left_ = all_;
      next = std::find_if(left_.begin(), left_.end(), has_room);
      if (next == left_.end()) next = left_.begin();
    }
    const std::string host = *next;
    ++taken_[host];
    left_.erase(next);
    return host;
  }
  std::size_t TakenOf(const std::string& host) { return taken_[host]; }

 private:
  const std::vector<std::string> all_;
  std::vector<std::string> left_;
  std::map<std::string, std::size_t> most_, taken_;  // by host
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
    if (role != "servers" && role != "workers")
      return InvalidInput("--place " + word + " names neither servers nor workers" + kExpected +
                          DidYouMean(role, kRoles));
    if (equals == std::string::npos) return NoRule(word);
    std::optional<HostRule>& rule = role == "servers" ? servers : workers;
    if (rule) return InvalidInput("--place " + word + " is the second rule for " + role + "; give one");
    COHORT_ASSIGN_OR_RETURN(rule, ParseRule(word, word.substr(equals + 1)));
  }
  return HostRules{servers.value_or(HostRule{}), workers.value_or(HostRule{})};
}

Result<ProcessHosts> ChooseHosts(const HostRules& rules, const std::vector<ListedHost>& hosts,
                                 std::uint32_t servers, std::uint32_t workers) {
  const std::vector<std::string> names = NamesOf(hosts);
  for (const auto& [role, rule] :
       {std::pair("servers", &rules.servers), std::pair("workers", &rules.workers)}) {
    for (const std::string& host : rule->hosts) {
      if (std::find(names.begin(), names.end(), host) != names.end()) continue;
      std::vector<std::string> meant = kRules;
      meant.insert(meant.end(), names.begin(), names.end());
      return InvalidInput(std::string("--place ") + role + "=" + host + ": \"" + host +
                          "\" is neither a rule (spread, pack) nor one of the job's hosts, which are " +
                          Named(names) + "; give a rule, or hosts as they are written there" +
                          DidYouMean(host, meant));
    }
  }
  ProcessHosts places;
  const auto here = std::find_if(names.begin(), names.end(), IsThisHost);
  places.scheduler = here != names.end() ? *here : names.at(0);
  Slots slots(hosts);
  slots.Take(places.scheduler);
  places.servers = PlaceRole(rules.servers, names, servers, &slots);
  places.workers = PlaceRole(rules.workers, names, workers, &slots);
  for (const ListedHost& host : hosts) {
    if (const std::size_t taken = slots.TakenOf(host.name); host.most > 0 && taken > host.most)
      return InvalidInput(host.name + " would have " + std::to_string(taken) + " of the " +
                          std::to_string(std::size_t{1} + servers + workers) +
                          " processes, and the list of hosts says max_slots=" + std::to_string(host.most) +
                          "; raise it, start fewer, or place them elsewhere");
  }
  return places;
}

}  // namespace cohort
