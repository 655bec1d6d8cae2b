#include "launch/interfaces.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <bit>

namespace cohort {

Result<std::vector<NetworkInterface>> Interfaces() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return Error(ErrorCode::kIo, "the addresses of this host cannot be listed");
  std::vector<NetworkInterface> interfaces;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET) continue;
    char text[INET_ADDRSTRLEN] = {};
    const auto* ip = reinterpret_cast<const sockaddr_in*>(each->ifa_addr);
    if (inet_ntop(AF_INET, &ip->sin_addr, text, sizeof(text)) == nullptr) continue;
    NetworkInterface interface;
    interface.name = each->ifa_name;
    interface.address = text;
    if (each->ifa_netmask != nullptr)
      interface.prefix =
          std::popcount(reinterpret_cast<const sockaddr_in*>(each->ifa_netmask)->sin_addr.s_addr);
    interface.up = (each->ifa_flags & IFF_UP) != 0;
    interface.loopback = (each->ifa_flags & IFF_LOOPBACK) != 0;
    interfaces.push_back(std::move(interface));
  }
  freeifaddrs(list);
  return interfaces;
}

}  // namespace cohort
