#include "launch/cluster_file.h"

#include <nlohmann/json.hpp>

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

std::vector<ClusterFile::Process> OnServer(const ClusterFile& file, std::uint32_t server, bool missing) {
  std::vector<ClusterFile::Process> found;
  for (const ClusterFile::Process& each : file.members) {
    // A shard's place is taken by its backup.
    if (each.node.role == Role::kWorker || (missing && each.node.role == Role::kShard)) continue;
    if (each.server == server && each.missing == missing) found.push_back(each);
  }
  return found;
}

}  // namespace

std::vector<ClusterFile::Process> SeatsOf(const ClusterFile& file, std::uint32_t server) {
  return OnServer(file, server, /*missing=*/true);
}

std::vector<ClusterFile::Process> MembersOf(const ClusterFile& file, std::uint32_t server) {
  return OnServer(file, server, /*missing=*/false);
}

std::string ToJson(const ClusterFile& file) {
  Json json = {{"run_id", file.run_id},
               {"scheduler",
                {{"endpoint", file.scheduler_endpoint},
                 {"host", file.scheduler_host},
                 {"pid", file.scheduler_pid},
                 {"term", file.scheduler_term}}}};
  json["members"] = Json::array();
  for (const ClusterFile::Process& each : file.members) {
    Json member = {{"role", RoleName(each.node.role)}, {"index", each.node.index}};
    if (each.node.role != Role::kWorker) member["server"] = each.server;
    member["state"] = each.missing ? "missing" : "alive";
    member["incarnation"] = each.incarnation;
    member["host"] = each.host;
    member["pid"] = each.pid;
    json["members"].push_back(std::move(member));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<ClusterFile> ClusterFromJson(const std::string& text, const std::string& origin) {
  ClusterFile file;
  try {
    const Json json = Json::parse(text);
    file.run_id = json.at("run_id").get<std::uint64_t>();
    const Json& scheduler = json.at("scheduler");
    file.scheduler_endpoint = scheduler.at("endpoint").get<std::string>();
    file.scheduler_host = scheduler.at("host").get<std::string>();
    file.scheduler_pid = scheduler.at("pid").get<std::uint64_t>();
    file.scheduler_term = scheduler.at("term").get<std::uint32_t>();
    for (const Json& member : json.at("members")) {
      ClusterFile::Process process;
      const auto role = member.at("role").get<std::string>();
      process.node = {role == RoleName(Role::kShard)    ? Role::kShard
                      : role == RoleName(Role::kBackup) ? Role::kBackup
                                                        : Role::kWorker,
                      member.at("index").get<std::uint32_t>()};
      process.server = member.value("server", 0u);
      process.missing = member.at("state").get<std::string>() == "missing";
      process.incarnation = member.at("incarnation").get<std::uint32_t>();
      process.host = member.at("host").get<std::string>();
      process.pid = member.at("pid").get<std::uint64_t>();
      file.members.push_back(std::move(process));
    }
  } catch (const Json::exception& error) {
    return Error(ErrorCode::kCorrupt, origin + ": not what a scheduler writes: " + error.what());
  }
  return file;
}

}  // namespace cohort
