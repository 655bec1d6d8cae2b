#include "launch/doctor/pair_checks.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

namespace cohort {
namespace {

constexpr const char* kPortsMend =
    "let the hosts of the cluster connect to all TCP ports above 1023 of it (the system chooses which: "
    "net.ipv4.ip_local_port_range): see its firewall (nft list ruleset, iptables -L) and the cloud's "
    "security group";

// "10.77.77.0/24", the network of an address; nothing if it is none.
std::optional<std::string> NetworkOf(const NetworkInterface& interface) {
  in_addr address{};
  if (inet_pton(AF_INET, interface.address.c_str(), &address) != 1) return std::nullopt;
  const int prefix = std::clamp(interface.prefix, 0, 32);
  const std::uint32_t mask = prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix);
  address.s_addr = htonl(ntohl(address.s_addr) & mask);
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &address, text, sizeof(text));
  return text + ("/" + std::to_string(prefix));
}

// That a host's processes listen on.
const NetworkInterface* Listening(const HostFacts& facts) {
  for (const NetworkInterface& each : facts.interfaces)
    if (each.address == facts.address) return &each;
  return nullptr;
}

class PairJudgement {
 public:
  PairJudgement(const ClusterFacts& facts, const std::string& interface)
      : hosts_(facts.hosts), interface_(interface), spoken_for_(facts.hosts.size(), false) {
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      cannot_be_called_.push_back(FailsWithAll(i, /*called=*/true));
      cannot_call_.push_back(FailsWithAll(i, /*called=*/false));
    }
  }

  std::vector<Check> All() {
    Interfaces();
    Hosts();
    Pairs();
    RoundTrips();
    return std::move(checks_);
  }

 private:
  const PairFact* Fact(std::size_t from, std::size_t to) const {
    if (from == to || to >= hosts_[from].pairs.size()) return nullptr;
    const PairFact& fact = hosts_[from].pairs[to];
    return fact.reach == Reach::kUntried ? nullptr : &fact;
  }
  // Whether all pairs with a host failed, and there was one.
  bool FailsWithAll(std::size_t host, bool called) const {
    bool tried = false;
    for (std::size_t other = 0; other < hosts_.size(); ++other) {
      const PairFact* fact = called ? Fact(other, host) : Fact(host, other);
      if (fact == nullptr) continue;
      if (fact->reach == Reach::kReached) return false;
      tried = true;
    }
    return tried;
  }
  bool Known(std::size_t host) const {
    return hosts_[host].answer == Answer::kWhole && hosts_[host].has_facts && hosts_[host].facts.whole;
  }
  // "10.77.77.2 (eth0)"
  std::string AddressOf(std::size_t host) const {
    const NetworkInterface* listening = Listening(hosts_[host].facts);
    return hosts_[host].facts.address + (listening != nullptr ? " (" + listening->name + ")" : "");
  }
  std::string WordsOfCallers(std::size_t host) const {
    for (std::size_t other = 0; other < hosts_.size(); ++other)
      if (const PairFact* fact = Fact(other, host); fact != nullptr && fact->reach != Reach::kReached)
        return fact->words;
    return "";
  }
  void Bad(const std::string& name, std::vector<std::string> hosts, const std::string& found,
           const std::string& mend) {
    checks_.push_back({name, Severity::kBad, std::move(hosts), found, mend});
  }

  // The network that most hosts listen in.
  std::string Common() const {
    std::map<std::string, std::size_t> counts;
    std::string most;
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      if (!Known(i)) continue;
      const NetworkInterface* listening = Listening(hosts_[i].facts);
      const auto network = listening != nullptr ? NetworkOf(*listening) : std::nullopt;
      if (network && ++counts[*network] > (most.empty() ? 0 : counts[most])) most = *network;
    }
    return most;
  }

  void Interfaces() {
    const std::string common = Common();
    bool good = true;
    std::string most_name;
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      if (!Known(i)) continue;
      const HostFacts& facts = hosts_[i].facts;
      const NetworkInterface* listening = Listening(facts);
      const auto network = listening != nullptr ? NetworkOf(*listening) : std::nullopt;
      std::string found, mend;
      if (!facts.address_error.empty()) {
        found = facts.address_error;
        mend = interface_.empty()
                   ? "bring an interface up on it, with an IPv4 address that the other hosts reach"
                   : "set cluster.interface to a name that is there on every host (or leave it out, and the "
                     "first one "
                     "that is up is taken)";
      } else if (listening != nullptr && listening->loopback) {
        found = "it would listen on " + AddressOf(i) + ", which no other host reaches";
        mend = "set cluster.interface to the network that connects the hosts";
      } else if (network && *network != common && cannot_be_called_[i]) {
        found = "it listens on " + AddressOf(i) + ", and the others are in " + common;
        mend = MendOf(facts, common);
      } else {
        if (network && *network == common && most_name.empty()) most_name = listening->name;
        continue;
      }
      good = false;
      spoken_for_[i] = true;
      Bad("interface", {hosts_[i].name}, found, mend);
    }
    if (good)
      checks_.push_back({"interface",
                         Severity::kGood,
                         {},
                         "all listen in " + common + (most_name.empty() ? "" : ", on " + most_name),
                         ""});
  }
  // What to do on a host that listens in another network than the others.
  static std::string MendOf(const HostFacts& facts, const std::string& common) {
    for (const NetworkInterface& each : facts.interfaces) {
      const auto network = NetworkOf(each);
      if (network && *network == common)
        return "the host has " + each.address + " (" + each.name + ") there: set cluster.interface=\"" +
               each.name + "\" if it has that name on all hosts, else give it the same name everywhere";
    }
    return "give the host an address in " + common + ", or a route between the two networks";
  }

  void Hosts() {
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      if (spoken_for_[i] || !(cannot_be_called_[i] || cannot_call_[i])) continue;
      const bool cut_off = cannot_be_called_[i] && cannot_call_[i];
      if (cut_off && Others(i)) {
        spoken_for_[i] = true;
        Bad("reach", {hosts_[i].name},
            "no other host reaches it at " + AddressOf(i) + ", and it reaches none: " + WordsOfCallers(i),
            "is its cable, switch port or VLAN right (ip link, ping)? If this is not the network for the "
            "run, set "
            "cluster.interface to the one that is");
      } else if (cannot_be_called_[i] && !cut_off) {
        spoken_for_[i] = true;
        const PairFact* fact = nullptr;
        for (std::size_t other = 0; other < hosts_.size() && fact == nullptr; ++other) fact = Fact(other, i);
        Bad("reach", {hosts_[i].name},
            "no other host can connect to its port at " + AddressOf(i) + ": " + WordsOfCallers(i) +
                "; it reaches them",
            fact->reach == Reach::kMute
                ? "TCP gets through and ZeroMQ does not: is there a proxy or packet filter that looks into "
                  "connections? If the host is only busy, run it again"
                : kPortsMend);
      }
    }
    // Who can call nobody, though somebody could be called.
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      if (spoken_for_[i] || !cannot_call_[i] || cannot_be_called_[i]) continue;
      std::string words;
      for (std::size_t other = 0; other < hosts_.size(); ++other)
        if (const PairFact* fact = Fact(i, other); fact != nullptr && !spoken_for_[other])
          words = fact->words;
      if (words.empty()) continue;
      spoken_for_[i] = true;
      Bad("reach", {hosts_[i].name}, "it can connect to no other host, and they can connect to it: " + words,
          "let it connect to TCP ports above 1023 of the other hosts: see its firewall's rules for what goes "
          "out, and "
          "its routes (ip route)");
    }
  }
  // Whether some other host is connected with a third: else nobody is to be named alone.
  bool Others(std::size_t host) const {
    for (std::size_t a = 0; a < hosts_.size(); ++a) {
      for (std::size_t b = 0; b < hosts_.size(); ++b) {
        const PairFact* fact = a == host || b == host ? nullptr : Fact(a, b);
        if (fact != nullptr && fact->reach == Reach::kReached) return true;
      }
    }
    return false;
  }

  void Pairs() {
    // By why: the pairs.
    std::map<std::string, std::vector<std::pair<std::size_t, std::size_t>>> failed;
    for (std::size_t from = 0; from < hosts_.size(); ++from) {
      for (std::size_t to = 0; to < hosts_.size(); ++to) {
        const PairFact* fact = Fact(from, to);
        if (fact == nullptr || fact->reach == Reach::kReached || spoken_for_[from] || spoken_for_[to])
          continue;
        failed[fact->words].push_back({from, to});
      }
    }
    constexpr std::size_t kMostNamed = 8;
    for (const auto& [words, pairs] : failed) {
      std::string found;
      std::vector<std::string> names;
      for (std::size_t i = 0; i < pairs.size(); ++i) {
        for (const std::size_t host : {pairs[i].first, pairs[i].second}) {
          if (std::find(names.begin(), names.end(), hosts_[host].name) == names.end())
            names.push_back(hosts_[host].name);
        }
        if (i < kMostNamed)
          found += (found.empty() ? "" : ", ") + hosts_[pairs[i].first].name + " to " +
                   hosts_[pairs[i].second].name + " at " + hosts_[pairs[i].second].facts.address;
      }
      if (pairs.size() > kMostNamed)
        found += " and " + std::to_string(pairs.size() - kMostNamed) + " more pairs";
      Bad("reach", names, "cannot connect: " + found + ": " + words,
          "see the routes and firewalls between them (ip route, nft list ruleset): every host connects to "
          "TCP ports "
          "above 1023 of every other");
    }
    if (std::any_of(checks_.begin(), checks_.end(), [](const Check& check) { return check.name == "reach"; }))
      return;
    std::size_t reached = 0;
    for (std::size_t from = 0; from < hosts_.size(); ++from) {
      for (std::size_t to = 0; to < hosts_.size(); ++to) {
        const PairFact* fact = Fact(from, to);
        if (fact != nullptr && fact->reach == Reach::kReached) ++reached;
      }
    }
    const std::size_t all = hosts_.size() * (hosts_.size() - 1);
    if (reached > 0)
      checks_.push_back({"reach",
                         Severity::kGood,
                         {},
                         reached == all ? "every host reaches every other: " + std::to_string(all) + " pairs"
                                        : std::to_string(reached) + " pairs of " + std::to_string(all) +
                                              "; of the others it is said above why not",
                         ""});
  }

  void RoundTrips() {
    std::vector<double> seconds;
    std::size_t slow_from = 0, slow_to = 0;
    double slowest = -1;
    for (std::size_t from = 0; from < hosts_.size(); ++from) {
      for (std::size_t to = 0; to < hosts_.size(); ++to) {
        const PairFact* fact = Fact(from, to);
        if (fact == nullptr || fact->reach != Reach::kReached) continue;
        seconds.push_back(fact->round_trip_seconds);
        if (fact->round_trip_seconds > slowest) {
          slowest = fact->round_trip_seconds;
          slow_from = from, slow_to = to;
        }
      }
    }
    if (seconds.empty()) return;
    const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
    std::nth_element(seconds.begin(), middle, seconds.end());
    char text[128];
    std::snprintf(text, sizeof(text),
                  "over ZeroMQ, all pairs at once: %.2f ms in the middle, %.2f ms at most (", *middle * 1e3,
                  slowest * 1e3);
    checks_.push_back({"round trip",
                       Severity::kGood,
                       {},
                       text + hosts_[slow_from].name + " to " + hosts_[slow_to].name + ")",
                       ""});
  }

  const std::vector<HostProbe>& hosts_;
  const std::string& interface_;
  std::vector<bool> cannot_be_called_, cannot_call_, spoken_for_;
  std::vector<Check> checks_;
};

}  // namespace

std::vector<Check> JudgePairs(const ClusterFacts& facts, const std::string& interface) {
  return PairJudgement(facts, interface).All();
}

}  // namespace cohort
