#include "launch/doctor/checks.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "launch/doctor/pair_checks.h"

namespace cohort {
namespace {

constexpr double kGigabyte = 1e9;
constexpr double kClockLimitSeconds = 1;

std::string Bytes(double bytes) {
  char text[32];
  if (bytes >= 0.1 * kGigabyte) {
    std::snprintf(text, sizeof(text), "%.1f GB", bytes / kGigabyte);
  } else {
    std::snprintf(text, sizeof(text), "%.0f MB", bytes / 1e6);
  }
  return text;
}
std::string Bytes(std::uint64_t bytes) { return Bytes(static_cast<double>(bytes)); }

std::string Milliseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f ms", seconds * 1e3);
  return text;
}

struct Fault {
  Severity severity = Severity::kBad;
  std::string found, mend;
  auto operator<=>(const Fault&) const = default;
};
using Fallible = std::function<std::optional<Fault>(const HostProbe&)>;

class Judgement {
 public:
  Judgement(const ClusterFacts& facts, const Needs& needs) : facts_(facts), needs_(needs) {
    for (const HostProbe& host : facts.hosts) {
      if (host.answer == Answer::kWhole && host.has_facts) heard_.push_back(&host);
      if (host.answer == Answer::kWhole && host.has_facts && host.facts.whole) known_.push_back(&host);
    }
  }

  std::vector<Check> All() {
    Answers();
    Versions();
    if (known_.empty()) return std::move(checks_);
    Names();
    Processors();
    Clocks();
    Limits();
    Folders();
    Network();
    Programs();
    Mpi();
    return std::move(checks_);
  }

 private:
  const HostFacts& first() const { return known_.front()->facts; }
  bool alone() const { return facts_.hosts.size() == 1; }
  // "3 hosts: at least " for a good line of several, nothing for one.
  std::string Among(const std::string& word) const {
    return alone() ? "" : std::to_string(known_.size()) + " hosts: " + word;
  }

  // A line for each fault with the hosts that have it; `good` if none has any.
  void Each(const std::string& name, const std::vector<const HostProbe*>& hosts, const Fallible& fault,
            const std::string& good) {
    std::vector<std::pair<Fault, std::vector<std::string>>> faults;
    for (const HostProbe* host : hosts) {
      const auto found = fault(*host);
      if (!found) continue;
      const auto same = std::find_if(faults.begin(), faults.end(),
                                     [&found](const auto& each) { return each.first == *found; });
      if (same == faults.end()) {
        faults.push_back({*found, {host->name}});
      } else {
        same->second.push_back(host->name);
      }
    }
    for (auto& [each, names] : faults)
      checks_.push_back({name, each.severity, std::move(names), each.found, each.mend});
    if (faults.empty()) checks_.push_back({name, Severity::kGood, {}, good, ""});
  }

  double Least(const std::function<double(const HostFacts&)>& value) const {
    double least = value(first());
    for (const HostProbe* host : known_) least = std::min(least, value(host->facts));
    return least;
  }

  void Answers() {
    if (alone() && known_.size() == 1) return;  // it is this one
    std::vector<const HostProbe*> all;
    for (const HostProbe& host : facts_.hosts) all.push_back(&host);
    Each(
        "answer", all,
        [](const HostProbe& host) -> std::optional<Fault> {
          switch (host.answer) {
            case Answer::kWhole:
              return std::nullopt;
            case Answer::kRefused:
              return Fault{Severity::kBad, "the launch agent could not start anything there: " + host.words,
                           "make `ssh -o BatchMode=yes HOST true` work: host up, name known, sshd running, "
                           "this user's key in its "
                           "authorized_keys; or set OMPI_MCA_plm_rsh_agent to the agent that works"};
            case Answer::kNoProgram:
              return Fault{Severity::kBad, "cohort is not there: " + host.words,
                           "install Cohort there at the same path as here, or share its folder"};
            case Answer::kOtherProgram:
              return Fault{Severity::kBad,
                           "cohort there is another version, which knows no probe: " + host.words,
                           "install the same version of Cohort on all hosts"};
            case Answer::kSilent:
              return Fault{Severity::kBad,
                           "no answer in time" + (host.words.empty() ? "" : "; " + host.words),
                           host.words.starts_with("it was ")
                               ? "what it was doing did not end: mend that there (a file server that is "
                                 "gone?); if the host is "
                                 "only slow, raise --wait"
                               : "is it up, and is its name right? `ssh -o BatchMode=yes HOST true` has to "
                                 "work; if it is only slow, "
                                 "raise --wait"};
            case Answer::kDied:
              break;
          }
          return Fault{Severity::kBad, "the probe ended too soon: " + host.words,
                       "see what ends processes there (memory, limits); run `cohort doctor` there by itself"};
        },
        "all " + std::to_string(facts_.hosts.size()) + " hosts");
  }

  void Versions() {
    if (alone() || heard_.empty()) return;
    const std::string here = needs_.version + ", wire " + std::to_string(needs_.wire_version);
    Each(
        "version", heard_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          if (host.facts.whole && SameVersion(host)) return std::nullopt;
          return Fault{Severity::kBad,
                       "Cohort " + host.facts.version + ", wire " + std::to_string(host.facts.wire_version) +
                           "; here it is " + here,
                       "install the same version of Cohort on all hosts"};
        },
        Among("") + "Cohort " + here);
  }
  bool SameVersion(const HostProbe& host) const {
    return host.facts.version == needs_.version && host.facts.wire_version == needs_.wire_version;
  }

  // Open MPI and the supervisor of a run tell hosts apart by what they call themselves.
  void Names() {
    if (alone()) return;
    std::map<std::string, std::size_t> counts;
    for (const HostProbe* host : known_) ++counts[host->facts.host];
    Each(
        "names", known_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          if (counts[host.facts.host] == 1) return std::nullopt;
          return Fault{
              Severity::kBad,
              "all call themselves \"" + host.facts.host + "\", and hosts are told apart by that",
              "one host: list it once, with slots=N; several: give each a name of its own (hostnamectl "
              "set-hostname)"};
        },
        Among("") + "each has a name of its own");
  }

  void Processors() {
    Each(
        "cores", known_,
        [](const HostProbe& host) -> std::optional<Fault> {
          if (host.facts.cores >= 2) return std::nullopt;
          return Fault{Severity::kLow, std::to_string(host.facts.cores) + " online",
                       "runs work with more processes than cores, only slower"};
        },
        Among("at least ") +
            std::to_string(static_cast<int>(Least([](const HostFacts& f) { return f.cores; }))) + " online");
    std::map<std::string, std::size_t> paths;
    for (const HostProbe* host : known_) ++paths[host->facts.kernels];
    std::string good = "best numerical path: " + first().kernels;
    if (paths.size() > 1) {
      good = "best numerical path:";
      for (const auto& [path, count] : paths) good += " " + path + " on " + std::to_string(count);
      good += "; a run takes what all have";
    }
    Each(
        "AVX2", known_,
        [](const HostProbe& host) -> std::optional<Fault> {
          if (host.facts.avx2) return std::nullopt;
          return Fault{
              Severity::kBad, "best numerical path: " + host.facts.kernels,
              "an x86-64 processor with AVX2 and FMA is needed; in a virtual machine, pass the host's "
              "CPU through"};
        },
        good);
  }

  // Against the middle one of three or more, the first of two.
  void Clocks() {
    if (known_.size() < 2) return;
    std::vector<double> ahead;
    double error = 0;
    for (const HostProbe* host : known_) {
      ahead.push_back(host->clock_ahead_seconds);
      error = std::max(error, host->clock_error_seconds);
    }
    const double first_of_all = ahead.front();
    std::sort(ahead.begin(), ahead.end());
    const bool two = ahead.size() == 2;
    const double right = two ? first_of_all : ahead[(ahead.size() - 1) / 2];
    const std::string whose = two ? known_.front()->name + "'s" : "most of the others";
    Each(
        "clock", known_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          const double off = host.clock_ahead_seconds - right;
          if (std::abs(off) <= kClockLimitSeconds + host.clock_error_seconds) return std::nullopt;
          char text[96];
          std::snprintf(text, sizeof(text), "%.1f s %s ", std::abs(off), off > 0 ? "ahead of" : "behind");
          return Fault{
              Severity::kLow, text + whose,
              "set it by NTP (systemctl enable --now systemd-timesyncd, or chrony): a run works, but "
              "times in logs, metrics and files of its hosts do not go together, and what checks "
              "tickets by the time (Slurm's munge, Kerberos) refuses them"};
        },
        Among("") + "apart by " + Milliseconds(ahead.back() - ahead.front()) + " at most, measured to " +
            Milliseconds(error));
  }

  void Limits() {
    Each(
        "open files", known_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          if (host.facts.open_files >= needs_.open_files) return std::nullopt;
          return Fault{Severity::kBad,
                       "limit " + std::to_string(host.facts.open_files) + ", a process of the run needs " +
                           std::to_string(needs_.open_files),
                       "raise the hard limit of processes that the launch agent starts: nofile in "
                       "/etc/security/limits.conf (ulimit -Hn " +
                           std::to_string(std::max<std::uint64_t>(4096, needs_.open_files)) +
                           "), then log in anew"};
        },
        Among("") + "limit " + (alone() ? "" : "at least ") +
            std::to_string(static_cast<std::uint64_t>(
                Least([](const HostFacts& f) { return static_cast<double>(f.open_files); }))));
    Each(
        "memory", known_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          if (host.facts.memory_bytes >= needs_.memory_bytes) return std::nullopt;
          return Fault{Severity::kBad,
                       Bytes(host.facts.memory_bytes) + " available, the run needs " +
                           Bytes(needs_.memory_bytes) + " there",
                       "free some, spread the processes over more hosts, or lower model.embedding_dim and "
                       "train.shuffle_rows; rows may lie on disk (tier.max_bytes)"};
        },
        Among("at least ") +
            Bytes(Least([](const HostFacts& f) { return static_cast<double>(f.memory_bytes); })) +
            " available");
    Each(
        "shared memory", known_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          const DiskSpace& space = host.facts.shared_memory;
          if (space.there && space.free_bytes >= needs_.shared_memory_bytes) return std::nullopt;
          return Fault{Severity::kBad,
                       space.there ? Bytes(space.free_bytes) + " free in /dev/shm, mpirun's processes need " +
                                         Bytes(needs_.shared_memory_bytes)
                                   : "/dev/shm is not there",
                       "enlarge it: mount -o remount,size=1g /dev/shm (docker: --shm-size=1g)"};
        },
        Among("at least ") +
            Bytes(Least([](const HostFacts& f) { return static_cast<double>(f.shared_memory.free_bytes); })) +
            " free in /dev/shm");
  }

  static bool DiskIsFull(const HostFacts& facts) {
    return facts.write_error == std::strerror(ENOSPC) || facts.write_error == std::strerror(EDQUOT);
  }

  void Folders() {
    const std::string folder = first().folder.path;
    Each(
        "run folder", known_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          const HostFacts& facts = host.facts;
          if (!facts.folder.there)
            return Fault{
                Severity::kBad, folder + " is not there",
                "mount the file system that holds it at the same path on all hosts, or choose an --out "
                "that all of them share"};
          if (!facts.write_error.empty() && !DiskIsFull(facts))
            return Fault{
                Severity::kBad, folder + " cannot be written: " + facts.write_error,
                "mount it writable (mount -o remount,rw) and give this user the right to write there, or "
                "choose another --out"};
          if (facts_.marked && !facts.folder_shared)
            return Fault{Severity::kBad, folder + " is another folder there than here",
                         "the hosts of a run share its folder: mount the same file system on all of them, or "
                         "choose an --out that they share"};
          return std::nullopt;
        },
        folder + " can be written" + (facts_.marked ? ", and is the same on all hosts" : ""));
    Each(
        "disk", known_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          const HostFacts& facts = host.facts;
          if (DiskIsFull(facts))
            return Fault{Severity::kBad, folder + " is full: " + facts.write_error,
                         "make room on the disk that holds it, or choose another --out"};
          if (!facts.folder.there || facts.folder.free_bytes >= needs_.disk_bytes) return std::nullopt;
          return Fault{Severity::kLow, Bytes(facts.folder.free_bytes) + " free in " + folder,
                       "models and scores need room: choose another --out"};
        },
        Among("at least ") +
            Bytes(Least([](const HostFacts& f) { return static_cast<double>(f.folder.free_bytes); })) +
            " free in " + folder + ", " +
            Bytes(Least([](const HostFacts& f) { return f.write_bytes_per_second; })) + "/s to the disk" +
            (alone() ? "" : " with all hosts at once"));
    Each(
        "scratch", known_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          const DiskSpace& scratch = host.facts.scratch;
          if (scratch.there && scratch.free_bytes >= needs_.scratch_bytes) return std::nullopt;
          return Fault{Severity::kLow,
                       scratch.there ? Bytes(scratch.free_bytes) + " free in " + scratch.path
                                     : scratch.path + " is not there",
                       "evaluate and score work there: set TMPDIR"};
        },
        Among("at least ") +
            Bytes(Least([](const HostFacts& f) { return static_cast<double>(f.scratch.free_bytes); })) +
            " free in " + first().scratch.path);
    if (needs_.data.empty()) return;
    Each(
        "data", known_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          if (host.facts.data_bytes >= 0 && host.facts.data_bytes == needs_.data_bytes) return std::nullopt;
          return Fault{Severity::kBad,
                       host.facts.data_bytes < 0 ? needs_.data + " cannot be read there"
                                                 : needs_.data + " is another file there: " +
                                                       std::to_string(host.facts.data_bytes) +
                                                       " bytes, here " + std::to_string(needs_.data_bytes),
                       "workers read it on every host: share its folder, or copy it to the same path"};
        },
        Among("") + needs_.data + ", " + Bytes(static_cast<double>(needs_.data_bytes)));
  }

  void Network() {
    if (alone()) {
      const HostProbe& host = *known_.front();
      const bool answered = !host.pairs.empty() && host.pairs.front().reach == Reach::kReached;
      char text[64] = {};
      if (answered)
        std::snprintf(text, sizeof(text), "round trip %.0f us over ZeroMQ",
                      host.pairs[0].round_trip_seconds * 1e6);
      Each(
          "loopback", known_,
          [&](const HostProbe&) -> std::optional<Fault> {
            if (answered) return std::nullopt;
            return Fault{Severity::kBad,
                         host.pairs.empty() ? host.facts.address_error : host.pairs.front().words,
                         "processes talk over TCP on 127.0.0.1: bring lo up (ip link set lo up), and let no "
                         "firewall stop it"};
          },
          text);
      NamedInterface();
      return;
    }
    for (Check& check : JudgePairs(facts_, needs_.interface)) checks_.push_back(std::move(check));
  }

  // A host alone listens on loopback, whatever is set; but what is set may be for others as well.
  void NamedInterface() {
    if (needs_.interface.empty()) return;
    Each(
        "interface", known_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          std::string there;
          for (const NetworkInterface& each : host.facts.interfaces) {
            if (each.name == needs_.interface || each.address == needs_.interface) return std::nullopt;
            there += (there.empty() ? "" : ", ") + each.name + " " + each.address;
          }
          return Fault{
              Severity::kLow, "there is no \"" + needs_.interface + "\" with an IPv4 address here",
              "a run on this host alone does not use it, one over several hosts would not start: set "
              "cluster.interface or --interface to one that is there: " +
                  (there.empty() ? "none" : there)};
        },
        needs_.interface + " is there; a run on this host alone talks over 127.0.0.1");
  }

  void Programs() {
    std::map<std::string, std::size_t> versions;
    for (const HostProbe* host : known_) ++versions[host->facts.mpirun];
    versions.erase("");
    std::string most;
    for (const auto& [version, count] : versions)
      if (most.empty() || count > versions[most]) most = version;
    Each(
        "mpirun", known_,
        [&](const HostProbe& host) -> std::optional<Fault> {
          const HostFacts& facts = host.facts;
          const std::string path = alone() ? "" : " (as the launch agent's shell has its PATH)";
          if (facts.mpirun.empty() || !facts.orted)
            return Fault{
                Severity::kBad,
                std::string(facts.mpirun.empty() ? "mpirun" : "orted, its daemon,") + " is not to be found" +
                    path,
                "apt-get install openmpi-bin there, or put its folder into PATH where a shell that is "
                "not a login reads it (~/.bashrc, /etc/environment)"};
          if (facts.mpirun != most)
            return Fault{Severity::kLow, facts.mpirun + "; on most hosts it is " + most,
                         "install the same version of Open MPI on all hosts"};
          return std::nullopt;
        },
        Among("") + most);
    Each(
        "programs", known_,
        [](const HostProbe& host) -> std::optional<Fault> {
          if (host.facts.missing.empty()) return std::nullopt;
          std::string list;
          for (const std::string& path : host.facts.missing) list += (list.empty() ? "" : ", ") + path;
          return Fault{
              Severity::kBad, "not there: " + list,
              "install all of Cohort's programs beside `cohort` (built from source: launch/build release)"};
        },
        Among("") + "cohort-scheduler, cohort-server, cohort-worker");
  }

  void Mpi() {
    const MpiFacts& mpi = facts_.mpi;
    std::vector<std::string> all;
    for (const HostProbe& host : facts_.hosts) all.push_back(host.name);
    if (!mpi.tried) {
      checks_.push_back({"MPI start", Severity::kLow, all,
                         "not tried: no host is without a fault that spoils it",
                         "mend what is BAD above, then run it again"});
      return;
    }
    if (!mpi.error.empty()) {
      // Who did not come, if it is known.
      std::vector<std::string> missing;
      for (const HostProbe* host : known_) {
        const bool meant = std::find(mpi.hosts.begin(), mpi.hosts.end(), host->name) != mpi.hosts.end();
        if (meant && std::find(mpi.greeted.begin(), mpi.greeted.end(), host->facts.host) == mpi.greeted.end())
          missing.push_back(host->name);
      }
      checks_.push_back({"MPI start", Severity::kBad,
                         missing.empty() || alone() ? (alone() ? all : mpi.hosts) : missing, mpi.error,
                         alone() ? "apt-get install openmpi-bin, or run launch/install-dependencies; "
                                   "`mpirun -np 2 hostname` has to work"
                                 : "`mpirun --host " + (mpi.hosts.empty() ? "" : mpi.hosts.front()) +
                                       ",... hostname` has to work; where MPI takes a network that does not "
                                       "connect the hosts, set OMPI_MCA_btl_tcp_if_include and "
                                       "OMPI_MCA_oob_tcp_if_include to the one that does"});
      return;
    }
    char text[96];
    std::snprintf(text, sizeof(text), "scheduler, server and workers started and met in %.1f s", mpi.seconds);
    Check check{"MPI start", Severity::kGood, {}, text, ""};
    if (!alone() && mpi.exchanged < mpi.hosts.size()) {
      std::snprintf(text, sizeof(text), "started on all, and met on %zu of them, in %.1f s", mpi.exchanged,
                    mpi.seconds);
      check.found = text;
    }
    if (!alone() && mpi.hosts.size() < all.size()) {
      for (const std::string& name : all)
        if (std::find(mpi.hosts.begin(), mpi.hosts.end(), name) == mpi.hosts.end())
          check.hosts.push_back(name);
      check.severity = Severity::kLow;
      check.found = "not tried there; on the other " + std::to_string(mpi.hosts.size()) + ": " + check.found;
      check.mend = "mend what is said of these hosts above, then run it again";
    } else if (!alone()) {
      check.found = Among("") + check.found;
    }
    checks_.push_back(std::move(check));
  }

  const ClusterFacts& facts_;
  const Needs& needs_;
  std::vector<const HostProbe*> heard_;  // that answered
  std::vector<const HostProbe*> known_;  // of whom all is known
  std::vector<Check> checks_;
};

}  // namespace

std::vector<Check> Judge(const ClusterFacts& facts, const Needs& needs) {
  return Judgement(facts, needs).All();
}

std::vector<std::string> FitForMpi(const ClusterFacts& facts, const Needs& needs) {
  std::vector<std::string> fit;
  const std::vector<Check> pairs =
      facts.hosts.size() > 1 ? JudgePairs(facts, needs.interface) : std::vector<Check>{};
  std::set<std::string> names;
  for (const HostProbe& host : facts.hosts) {
    const HostFacts& known = host.facts;
    const bool cut_off = std::any_of(pairs.begin(), pairs.end(), [&host](const Check& check) {
      return check.severity == Severity::kBad &&
             std::find(check.hosts.begin(), check.hosts.end(), host.name) != check.hosts.end();
    });
    if (host.answer == Answer::kWhole && host.has_facts && known.whole && known.version == needs.version &&
        known.wire_version == needs.wire_version && !known.mpirun.empty() && known.orted &&
        known.missing.empty() && !cut_off && names.insert(known.host).second)
      fit.push_back(host.name);
  }
  return fit;
}

}  // namespace cohort
