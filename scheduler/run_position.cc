#include "scheduler/run_position.h"

#include <nlohmann/json.hpp>

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string ToJson(const RunPosition& position) {
  Json json = {{"number", position.number},
               {"step", position.step},
               {"phase", position.phase},
               {"first_clock", position.first_clock},
               {"workers", position.workers},
               {"closed", position.closed},
               {"acknowledged", position.acknowledged}};
  json["leases"] = Json::array();
  for (const LeaseRecord& each : position.leases.records) {
    json["leases"].push_back({each.lease, each.worker, each.first_block, each.block_count, each.first_row,
                              each.rows, each.first_clock});
  }
  json["ends"] = position.leases.ends;
  return json.dump();
}

Result<RunPosition> PositionFromJson(const std::string& text) {
  RunPosition position;
  try {
    const Json json = Json::parse(text);
    json.at("number").get_to(position.number);
    json.at("step").get_to(position.step);
    json.at("phase").get_to(position.phase);
    json.at("first_clock").get_to(position.first_clock);
    json.at("closed").get_to(position.closed);
    position.workers = json.value("workers", static_cast<std::uint32_t>(position.closed.size()));
    json.at("acknowledged").get_to(position.acknowledged);
    for (const Json& each : json.at("leases")) {
      LeaseRecord record;
      each.at(0).get_to(record.lease);
      each.at(1).get_to(record.worker);
      each.at(2).get_to(record.first_block);
      each.at(3).get_to(record.block_count);
      each.at(4).get_to(record.first_row);
      each.at(5).get_to(record.rows);
      each.at(6).get_to(record.first_clock);
      position.leases.records.push_back(record);
    }
    json.at("ends").get_to(position.leases.ends);
  } catch (const Json::exception& error) {
    return Error(ErrorCode::kCorrupt, std::string("the position of a run: ") + error.what());
  }
  return position;
}

}  // namespace cohort
