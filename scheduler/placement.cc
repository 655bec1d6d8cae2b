#include "scheduler/placement.h"

#include <algorithm>
#include <map>
#include <set>

namespace cohort {
namespace {

// How many copies each server holds.
using Load = std::map<std::uint32_t, std::size_t>;

Load CopiesOf(const Placement& placement) {
  Load load;
  for (const ShardPlace& place : placement) ++load[place.shard], ++load[place.backup];
  return load;
}

}  // namespace

std::vector<std::uint32_t> ServersOf(const Placement& placement) {
  std::set<std::uint32_t> servers;
  for (const ShardPlace& place : placement) servers.insert(place.shard), servers.insert(place.backup);
  return {servers.begin(), servers.end()};
}

std::string ListServers(const Placement& placement) {
  std::string text;
  for (const std::uint32_t server : ServersOf(placement))
    text += (text.empty() ? "" : ", ") + std::to_string(server);
  return text;
}

Result<Placement> WithoutServer(const Placement& placement, std::uint32_t server) {
  const std::vector<std::uint32_t> servers = ServersOf(placement);
  if (!std::binary_search(servers.begin(), servers.end(), server)) {
    return InvalidInput("there is no server " + std::to_string(server) + "; there are " + ListServers(placement) +
                        " (`cohort cluster status`)");
  }
  if (servers.size() <= 2) {
    return InvalidInput("servers " + ListServers(placement) +
                        " are the last two, and a backup must live in another server than its shard; "
                        "add one first (`cohort cluster add-server`)");
  }
  Placement after = placement;
  for (ShardPlace& place : after) {
    if (place.shard == server) place.shard = place.backup;
  }
  Load load;
  for (const std::uint32_t each : servers) load[each] = 0;
  for (const ShardPlace& place : after) {
    ++load[place.shard];
    if (place.backup != place.shard) ++load[place.backup];
  }
  load.erase(server);
  for (ShardPlace& place : after) {
    if (place.backup != server && place.backup != place.shard) continue;
    auto least = load.end();
    for (auto each = load.begin(); each != load.end(); ++each) {
      if (each->first != place.shard && (least == load.end() || each->second < least->second)) least = each;
    }
    place.backup = least->first;
    ++least->second;
  }
  return after;
}

Result<Placement> WithServer(const Placement& placement, std::uint32_t server) {
  Placement after = placement;
  const std::size_t share = placement.size() / (ServersOf(placement).size() + 1);
  const auto take = [&](std::uint32_t ShardPlace::*copy, std::uint32_t ShardPlace::*other) {
    for (std::size_t taken = 0; taken < share; ++taken) {
      Load load, all = CopiesOf(after);
      for (const ShardPlace& place : after) {
        if (place.*copy != server && place.*other != server) ++load[place.*copy];
      }
      const auto most = std::max_element(load.begin(), load.end(), [&](const auto& a, const auto& b) {
        return std::pair(a.second, all[a.first]) < std::pair(b.second, all[b.first]);
      });
      if (most == load.end()) return;
      const auto given = std::find_if(after.rbegin(), after.rend(), [&](const ShardPlace& place) {
        return place.*copy == most->first && place.*other != server;
      });
      if (copy == &ShardPlace::shard) given->backup = given->shard;
      (*given).*copy = server;
    }
  };
  take(&ShardPlace::shard, &ShardPlace::backup);
  if (after == placement) {
    const std::size_t servers = ServersOf(placement).size();
    return InvalidInput("there is nothing to move to another server: " + std::to_string(servers) +
                        " servers have " + std::to_string(placement.size()) +
                        " shards; start with a larger cluster.shards_per_server");
  }
  take(&ShardPlace::backup, &ShardPlace::shard);
  return after;
}

}  // namespace cohort
