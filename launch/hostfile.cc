#include "launch/hostfile.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <map>
#include <sstream>
#include <utility>

#include "common/atomic_file.h"
#include "common/process.h"
#include "launch/interfaces.h"

namespace cohort {
namespace {

constexpr const char* kAgentSettings[] = {"OMPI_MCA_plm_rsh_agent", "OMPI_MCA_orte_rsh_agent"};
constexpr const char* kAgentsOfMpirun = "ssh : rsh";

bool HasAddress(const std::string& text) {
  const auto interfaces = Interfaces();
  return interfaces && std::any_of(interfaces->begin(), interfaces->end(),
                                   [&text](const NetworkInterface& each) { return each.address == text; });
}

constexpr std::size_t kMostSlots = 1024;  // of a host
constexpr const char* kForms = "NAME, NAME:N, NAME slots=N or NAME slots=N max_slots=M";

bool IsHostName(const std::string& text) {
  return !text.empty() && text.size() <= 255 && text[0] != '-' &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '-' || c == '_'; });
}

// The beginning of a word of a file that may be anything.
std::string Printable(const std::string& word) {
  std::string text = word.substr(0, 32);
  for (char& c : text) c = c >= ' ' && c < 0x7f ? c : '?';
  return word.size() > text.size() ? text + "..." : text;
}

// What one line says; 0: it does not.
struct HostLine {
  std::string name;
  std::size_t slots = 0, most = 0;
};

// A number of slots; 0: it is none.
std::size_t SlotsIn(const std::string& text) {
  std::size_t slots = 0;
  const char* end = text.data() + text.size();
  const auto [read, error] = std::from_chars(text.data(), end, slots);
  return error == std::errc() && read == end && slots <= kMostSlots ? slots : 0;
}

// Its words, with "key = value" as one of them and without what stands behind a #.
std::vector<std::string> WordsOfLine(std::string line) {
  line = line.substr(0, line.find('#'));
  const auto blank = [&line](std::size_t at) {
    return at < line.size() && (line[at] == ' ' || line[at] == '\t');
  };
  for (std::size_t at = 0; (at = line.find('=', at)) != std::string::npos; ++at) {
    while (blank(at + 1)) line.erase(at + 1, 1);
    while (at > 0 && blank(at - 1)) line.erase(--at, 1);
  }
  std::istringstream text(line);
  std::vector<std::string> words;
  for (std::string word; text >> word;) words.push_back(word);
  return words;
}

// Of at least one word. Errors say what is wrong, not where.
Result<HostLine> ParseHostLine(const std::vector<std::string>& words) {
  HostLine line;
  line.name = words[0];
  const auto wrong = [](const std::string& word, const char* what) {
    return InvalidInput("\"" + Printable(word) + "\" " + what);
  };
  if (line.name.find('@') != std::string::npos)
    return wrong(line.name, "names a user; ssh takes users from ~/.ssh/config (Host NAME, User USER)");
  if (const std::size_t colon = line.name.find(':'); colon != std::string::npos) {
    if (line.name.rfind(':') != colon)
      return wrong(line.name, "is an IPv6 address; processes reach each other by IPv4");
    line.slots = SlotsIn(line.name.substr(colon + 1));
    if (line.slots == 0) return wrong(line.name, "is no number of slots");
    line.name.resize(colon);
  }
  if (!IsHostName(line.name)) return wrong(line.name, "is no name of a host");
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    std::string key = words[i].substr(0, equals);
    std::replace(key.begin(), key.end(), '-', '_');
    std::size_t* number = key == "slots" ? &line.slots : key == "max_slots" ? &line.most : nullptr;
    if (equals == std::string::npos || number == nullptr) return wrong(words[i], "is not understood");
    if (*number != 0) return wrong(words[i], "says once more what the line has said");
    *number = SlotsIn(words[i].substr(equals + 1));
    if (*number == 0) return wrong(words[i], "is no number of slots");
  }
  if (line.most > 0 && line.slots > line.most)
    return InvalidInput("slots=" + std::to_string(line.slots) +
                        " is more than max_slots=" + std::to_string(line.most));
  if (line.slots == 0) line.slots = line.most;
  return line;
}

// Another line of a host.
void AddLine(const HostLine& line, ListedHost* host) {
  const std::size_t slots = std::max<std::size_t>(1, line.slots);
  if (host->most > 0 || line.most > 0)
    host->most = (host->most > 0 ? host->most : host->slots) + (line.most > 0 ? line.most : slots);
  host->slots += slots;
  host->counted = true;
}

}  // namespace

Result<std::vector<ListedHost>> ReadHostfile(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // a byte order mark
  std::vector<ListedHost> hosts;
  std::map<std::string, std::size_t> places;  // of hosts, by name; this host's names are all ""
  std::istringstream lines(text);
  int number = 0;
  for (std::string each; std::getline(lines, each);) {
    ++number;
    const std::vector<std::string> words = WordsOfLine(std::move(each));
    if (words.empty()) continue;
    const auto line = ParseHostLine(words);
    if (!line)
      return InvalidInput(path + ", line " + std::to_string(number) + ": " + line.error().text() +
                          "; expected " + kForms + ", with N and M of 1 to " + std::to_string(kMostSlots));
    const auto [place, fresh] = places.try_emplace(IsThisHost(line->name) ? "" : line->name, hosts.size());
    if (!fresh) {
      AddLine(*line, &hosts[place->second]);
      continue;
    }
    hosts.push_back({line->name, number, std::max<std::size_t>(1, line->slots), line->slots > 0, line->most});
  }
  if (hosts.empty()) return InvalidInput(path + ": names no host; expected lines of " + kForms);
  return hosts;
}

std::vector<std::string> NamesOf(const std::vector<ListedHost>& hosts) {
  std::vector<std::string> names;
  for (const ListedHost& host : hosts) names.push_back(host.name);
  return names;
}

std::vector<std::string> SlotsOf(const std::vector<ListedHost>& hosts) {
  std::vector<std::string> slots;
  for (const ListedHost& host : hosts) slots.insert(slots.end(), host.slots, host.name);
  return slots;
}

std::string ToHostfile(const std::vector<ListedHost>& hosts) {
  std::string text;
  for (const ListedHost& host : hosts) {
    text += host.name;
    if (host.counted) text += " slots=" + std::to_string(host.slots);
    if (host.most > 0) text += " max_slots=" + std::to_string(host.most);
    text += "\n";
  }
  return text;
}

std::vector<ListedHost> HostsOf(const std::vector<std::string>& slots) {
  std::vector<ListedHost> hosts;
  for (const std::string& name : slots) {
    const auto found = std::find_if(hosts.begin(), hosts.end(),
                                    [&name](const ListedHost& host) { return host.name == name; });
    if (found == hosts.end()) {
      hosts.push_back({name, 0, 1, true});
    } else {
      ++found->slots;
    }
  }
  return hosts;
}

std::string WithoutDomain(const std::string& name) {
  in_addr address{};
  return inet_pton(AF_INET, name.c_str(), &address) == 1 ? name : name.substr(0, name.find('.'));
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
