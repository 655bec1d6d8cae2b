#include "launch/hostfile.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <set>
#include <sstream>

#include "common/atomic_file.h"
#include "common/process.h"
#include "launch/interfaces.h"

namespace cohort {
namespace {

constexpr const char* kAgentSettings[] = {"OMPI_MCA_plm_rsh_agent", "OMPI_MCA_orte_rsh_agent"};
constexpr const char* kAgentsOfMpirun = "ssh : rsh";

// "host2.shop.example" -> "host2"; an address stays whole.
std::string WithoutDomain(const std::string& name) {
  in_addr address{};
  return inet_pton(AF_INET, name.c_str(), &address) == 1 ? name : name.substr(0, name.find('.'));
}

bool HasAddress(const std::string& text) {
  const auto interfaces = Interfaces();
  return interfaces && std::any_of(interfaces->begin(), interfaces->end(),
                                   [&text](const NetworkInterface& each) { return each.address == text; });
}

constexpr std::size_t kMostSlots = 1024;  // of a line

// A name or an address, with a user's name before it or without.
bool IsHostName(const std::string& text) {
  return text.size() <= 255 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '@';
         });
}

// The beginning of a word of a file that may be anything.
std::string Printable(const std::string& word) {
  std::string text = word.substr(0, 32);
  for (char& c : text) c = c >= ' ' && c < 0x7f ? c : '?';
  return word.size() > text.size() ? text + "..." : text;
}

}  // namespace

Result<std::vector<std::string>> ReadHostfile(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::vector<std::string> hosts;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    line = line.substr(0, line.find('#'));
    for (std::size_t at = 0; (at = line.find('=', at)) != std::string::npos; ++at) {  // "slots = 2"
      while (at + 1 < line.size() && line[at + 1] == ' ') line.erase(at + 1, 1);
      while (at > 0 && line[at - 1] == ' ') line.erase(--at, 1);
    }
    std::istringstream words(line);
    std::string host, word;
    if (!(words >> host)) continue;
    const auto wrong = [&](const std::string& what) {
      return InvalidInput(path + ", line " + std::to_string(number) + ": " + what +
                          "; expected NAME or NAME slots=N, with N of 1 to " + std::to_string(kMostSlots));
    };
    if (!IsHostName(host)) return wrong("\"" + Printable(host) + "\" is no name of a host");
    std::size_t slots = 1;
    while (words >> word) {
      if (!word.starts_with("slots=")) {
        if (word.find('=') == std::string::npos)
          return wrong("\"" + Printable(word) + "\" is not understood");
        continue;  // other settings are mpirun's affair
      }
      const char* end = word.data() + word.size();
      const auto [read, error] = std::from_chars(word.data() + 6, end, slots);
      if (error != std::errc() || read != end || slots == 0 || slots > kMostSlots)
        return wrong(Printable(word) + " is no number of slots");
    }
    hosts.insert(hosts.end(), slots, host);
  }
  if (hosts.empty()) return InvalidInput(path + ": names no host; expected lines of NAME or NAME slots=N");
  return hosts;
}

std::vector<std::string> DistinctHosts(const std::vector<std::string>& hosts) {
  std::vector<std::string> distinct;
  std::set<std::string> seen;
  for (const std::string& host : hosts) {
    if (seen.insert(host).second) distinct.push_back(host);
  }
  return distinct;
}

bool IsThisHost(const std::string& name) {
  return name == "localhost" || WithoutDomain(name) == WithoutDomain(HostName()) || HasAddress(name);
}

std::string FindProgram(const std::string& name) {
  const auto runs = [](const std::string& path) { return ::access(path.c_str(), X_OK) == 0; };
  if (name.find('/') != std::string::npos) return runs(name) ? name : "";
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (runs(folder + "/" + name)) return folder + "/" + name;
  }
  return "";
}

Result<std::vector<std::string>> LaunchAgent(int connect_seconds) {
  std::string setting = kAgentsOfMpirun;
  for (const char* name : kAgentSettings) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    setting = value;
    break;
  }
  std::istringstream alternatives(setting);
  for (std::string alternative; std::getline(alternatives, alternative, ':');) {
    std::istringstream line(alternative);
    std::vector<std::string> words;
    for (std::string word; line >> word;) words.push_back(word);
    if (words.empty() || FindProgram(words[0]).empty()) continue;
    if (words[0].substr(words[0].rfind('/') + 1) == "ssh") {
      words.insert(words.end(), {"-x", "-o", "BatchMode=yes", "-o",
                                 "ConnectTimeout=" + std::to_string(std::max(1, connect_seconds))});
    }
    return words;
  }
  return Error(ErrorCode::kUnavailable, "the launch agent \"" + setting +
                                            "\" is not there: install openssh-client, or set "
                                            "OMPI_MCA_plm_rsh_agent to what starts a command on a host");
}

std::string ShellWord(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

}  // namespace cohort
