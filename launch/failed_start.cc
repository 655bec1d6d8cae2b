#include "launch/failed_start.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>

namespace cohort {
namespace {

bool IsOfName(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; }

// Whether a line has the name as a word of its own: "host1" is none of "host12", "host1.shop" or "myhost1".
bool Names(const std::string& line, const std::string& name) {
  for (std::size_t at = 0; (at = line.find(name, at)) != std::string::npos; ++at) {
    const std::size_t end = at + name.size();
    const bool begins = at == 0 || (!IsOfName(line[at - 1]) && line[at - 1] != '.');
    const bool goes_on =
        end < line.size() &&
        (IsOfName(line[end]) || (line[end] == '.' && end + 1 < line.size() && IsOfName(line[end + 1])));
    if (begins && !goes_on) return true;
  }
  return false;
}

}  // namespace

bool SaysSomething(const std::string& line) {
  return line.find_first_not_of("-=* \t\r") != std::string::npos;
}

bool IsKnownHost(const std::string& name) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(name.c_str(), nullptr, &hints, &found);
  if (found != nullptr) freeaddrinfo(found);
  // That nobody answers, or not now, is not that there is none.
  return error != EAI_NONAME && error != EAI_NODATA;
}

Status WhyNotStarted(const std::vector<std::string>& words, const std::vector<ListedHost>& hosts,
                     const std::string& hostfile, const std::function<bool(const std::string&)>& known) {
  std::vector<const ListedHost*> others;
  for (const ListedHost& host : hosts) {
    if (!IsThisHost(host.name)) others.push_back(&host);
  }
  // ssh names the host, as mpirun calls it. mpirun's own lines, "[host:pid] ...", are about this one, and say less.
  for (const std::string& line : words) {
    for (const ListedHost* host : others) {
      const std::string called = Names(line, host->name) ? host->name : WithoutDomain(host->name);
      if (!Names(line, called)) continue;
      const std::string where = line + "; " + hostfile + ", line " + std::to_string(host->line) + ": " +
                                host->name +
                                (called == host->name ? "" : ", which mpirun calls " + called + ",");
      if (known(called))
        return {ErrorCode::kUnavailable, where + " could not be used; `cohort doctor --hostfile " + hostfile +
                                             "` looks at it from here"};
      return {ErrorCode::kInvalidInput,
              where + " is no host that is known here; correct the name (`cohort doctor --hostfile " +
                  hostfile + "` looks at every host of the list)"};
    }
  }
  const auto first =
      std::find_if(words.begin(), words.end(), [](const std::string& line) { return line[0] != '['; });
  std::string text = first != words.end() ? *first : !words.empty() ? words.front() : "nothing was said";
  const auto unknown = std::find_if(others.begin(), others.end(), [&known](const ListedHost* host) {
    return !known(WithoutDomain(host->name));
  });
  if (unknown != others.end())
    text += "; " + hostfile + ", line " + std::to_string((*unknown)->line) + ": no address of " +
            (*unknown)->name + " is found here";
  return {ErrorCode::kUnavailable, text + "; `cohort doctor" +
                                       (hosts.empty() ? "" : " --hostfile " + hostfile) +
                                       "` looks at what a start needs"};
}

}  // namespace cohort
