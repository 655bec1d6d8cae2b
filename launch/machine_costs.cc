#include "launch/machine_costs.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "common/atomic_file.h"
#include "common/json_guard.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::pair<const char*, ExchangeCosts MachineCosts::*> kExchanges[] = {
    {"worker_pull", &MachineCosts::worker_pull},
    {"server_pull", &MachineCosts::server_pull},
    {"worker_push", &MachineCosts::worker_push},
    {"server_push", &MachineCosts::server_push}};

double Cost(const Json& json, const char* name) {
  const double value = json.at(name).get<double>();
  if (!(value >= 0))
    throw BadJson{std::string(name) + ": expected a number of seconds, not " + json.at(name).dump()};
  return value;
}

}  // namespace

std::string ToJson(const MachineCosts& costs) {
  Json json = {{"machine", MachineToJson(costs.machine)},
               {"round_trip_seconds", costs.round_trip_seconds},
               {"switch_seconds", costs.switch_seconds}};
  for (const auto& [name, member] : kExchanges) {
    const ExchangeCosts& exchange = costs.*member;
    json[name] = {{"message_seconds", exchange.message},
                  {"row_seconds", exchange.row},
                  {"byte_seconds", exchange.byte}};
  }
  return json.dump(1) + "\n";
}

Result<MachineCosts> ReadMachineCosts(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::string expected = path + ": expected what `cohort bench machine --out` writes: ";
  if (const Status shape = CheckJsonShape(text); !shape.ok()) return InvalidInput(expected + shape.text());
  try {
    const Json json = Json::parse(text);
    MachineCosts costs;
    costs.machine = MachineFromJson(json.at("machine"));
    if (costs.machine.cores == 0) throw BadJson{"cores: expected 1 or more"};
    costs.round_trip_seconds = Cost(json, "round_trip_seconds");
    costs.switch_seconds = Cost(json, "switch_seconds");
    for (const auto& [name, member] : kExchanges) {
      const Json& exchange = json.at(name);
      costs.*member = {Cost(exchange, "message_seconds"), Cost(exchange, "row_seconds"),
                       Cost(exchange, "byte_seconds")};
    }
    return costs;
  } catch (const Json::exception& error) {
    return InvalidInput(expected + error.what());
  } catch (const BadJson& error) {
    return InvalidInput(expected + error.text);
  }
}

}  // namespace cohort
