#include "launch/doctor/probe_lines.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "common/json_guard.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json ToJson(const DiskSpace& space) {
  return {{"path", space.path}, {"there", space.there}, {"free_bytes", space.free_bytes}};
}
DiskSpace SpaceFrom(const Json& json) {
  return {json.at("path").get<std::string>(), json.at("there").get<bool>(),
          WholeFrom<std::uint64_t>(json, "free_bytes")};
}

Json ToJson(const HostFacts& facts) {
  Json interfaces = Json::array();
  for (const NetworkInterface& each : facts.interfaces) {
    interfaces.push_back({{"name", each.name},
                          {"address", each.address},
                          {"prefix", each.prefix},
                          {"up", each.up},
                          {"loopback", each.loopback}});
  }
  return {{"host", facts.host},
          {"version", facts.version},
          {"wire_version", facts.wire_version},
          {"kernels", facts.kernels},
          {"avx2", facts.avx2},
          {"cores", facts.cores},
          {"open_files", facts.open_files},
          {"memory_bytes", facts.memory_bytes},
          {"shared_memory", ToJson(facts.shared_memory)},
          {"folder", ToJson(facts.folder)},
          {"folder_shared", facts.folder_shared},
          {"write_error", facts.write_error},
          {"write_bytes_per_second", facts.write_bytes_per_second},
          {"scratch", ToJson(facts.scratch)},
          {"data_bytes", facts.data_bytes},
          {"interfaces", interfaces},
          {"address", facts.address},
          {"address_error", facts.address_error},
          {"endpoint", facts.endpoint},
          {"mpirun", facts.mpirun},
          {"orted", facts.orted},
          {"missing", facts.missing}};
}

void ReadRest(const Json& json, HostFacts* facts) {
  facts->kernels = json.at("kernels").get<std::string>();
  facts->avx2 = json.at("avx2").get<bool>();
  facts->cores = WholeFrom<std::uint32_t>(json, "cores");
  facts->open_files = WholeFrom<std::uint64_t>(json, "open_files");
  facts->memory_bytes = WholeFrom<std::uint64_t>(json, "memory_bytes");
  facts->shared_memory = SpaceFrom(json.at("shared_memory"));
  facts->folder = SpaceFrom(json.at("folder"));
  facts->folder_shared = json.at("folder_shared").get<bool>();
  facts->write_error = json.at("write_error").get<std::string>();
  facts->write_bytes_per_second = json.at("write_bytes_per_second").get<double>();
  facts->scratch = SpaceFrom(json.at("scratch"));
  facts->data_bytes = json.at("data_bytes").get<std::int64_t>();
  for (const Json& each : json.at("interfaces")) {
    facts->interfaces.push_back({each.at("name").get<std::string>(), each.at("address").get<std::string>(),
                                 WholeFrom<std::uint8_t>(each, "prefix"), each.at("up").get<bool>(),
                                 each.at("loopback").get<bool>()});
  }
  facts->address = json.at("address").get<std::string>();
  facts->address_error = json.at("address_error").get<std::string>();
  facts->endpoint = json.at("endpoint").get<std::string>();
  facts->mpirun = json.at("mpirun").get<std::string>();
  facts->orted = json.at("orted").get<bool>();
  facts->missing = json.at("missing").get<std::vector<std::string>>();
}

HostFacts FactsFrom(const Json& json, const std::string& version) {
  HostFacts facts;
  facts.host = json.at("host").get<std::string>();
  facts.version = json.at("version").get<std::string>();
  facts.wire_version = WholeFrom<std::uint32_t>(json, "wire_version");
  const HostFacts least = facts;
  try {
    ReadRest(json, &facts);
  } catch (const Json::exception&) {
    if (facts.version == version) throw;
    facts = least;
    facts.whole = false;
  } catch (const BadJson&) {
    if (facts.version == version) throw;
    facts = least;
    facts.whole = false;
  }
  return facts;
}

Json ToJson(const std::vector<PairFact>& pairs) {
  Json list = Json::array();
  for (const PairFact& pair : pairs) {
    list.push_back({{"reach", static_cast<int>(pair.reach)},
                    {"words", pair.words},
                    {"round_trip_seconds", pair.round_trip_seconds}});
  }
  return list;
}

std::vector<PairFact> PairsFrom(const Json& json) {
  std::vector<PairFact> pairs;
  for (const Json& each : json) {
    const auto reach = WholeFrom<std::uint8_t>(each, "reach");
    if (reach > static_cast<std::uint8_t>(Reach::kMute)) throw BadJson{"reach is " + std::to_string(reach)};
    pairs.push_back({static_cast<Reach>(reach), each.at("words").get<std::string>(),
                     each.at("round_trip_seconds").get<double>()});
  }
  return pairs;
}

Result<Json> Parse(const std::string& text) {
  COHORT_RETURN_IF_ERROR(CheckJsonShape(text));
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Error(ErrorCode::kCorrupt, "no JSON object");
  return json;
}

template <typename... Each>
struct Overloaded : Each... {
  using Each::operator()...;
};
template <typename... Each>
Overloaded(Each...) -> Overloaded<Each...>;

}  // namespace

std::string ToLine(const ProbeOrder& order) {
  return std::visit(
      Overloaded{
          [](const LookOrder& look) {
            return Dump({{"look",
                          {{"folder", look.folder},
                           {"marker", look.marker},
                           {"data", look.data},
                           {"interface", look.interface},
                           {"alone", look.alone}}}});
          },
          [](const ClockOrder&) {
            return Dump({{"clock", true}});
          },
          [](const PairsOrder& pairs) {
            return Dump(
                {{"pairs",
                  {{"self", pairs.self}, {"seconds", pairs.seconds}, {"endpoints", pairs.endpoints}}}});
          }},
      order);
}

std::string ToLine(const ProbeLine& line) {
  return std::visit(Overloaded{[](const std::monostate&) { return std::string(); },
                               [](const StageLine& stage) {
                                 return Dump({{"stage", stage.text}});
                               },
                               [](const HostFacts& facts) {
                                 return Dump({{"facts", ToJson(facts)}});
                               },
                               [](const ClockLine& clock) {
                                 return Dump({{"clock", clock.nanoseconds}});
                               },
                               [](const std::vector<PairFact>& pairs) {
                                 return Dump({{"pairs", ToJson(pairs)}});
                               }},
                    line);
}

Result<ProbeOrder> OrderFromLine(const std::string& text) {
  COHORT_ASSIGN_OR_RETURN(const Json json, Parse(text));
  try {
    if (json.contains("look")) {
      const Json& look = json["look"];
      return LookOrder{look.at("folder").get<std::string>(), look.at("marker").get<std::string>(),
                       look.at("data").get<std::string>(), look.at("interface").get<std::string>(),
                       look.at("alone").get<bool>()};
    }
    if (json.contains("clock")) return ClockOrder{};
    const Json& pairs = json.at("pairs");
    return PairsOrder{WholeFrom<std::uint32_t>(pairs, "self"), pairs.at("seconds").get<double>(),
                      pairs.at("endpoints").get<std::vector<std::string>>()};
  } catch (const Json::exception& error) {
    return Error(ErrorCode::kCorrupt, error.what());
  } catch (const BadJson& error) {
    return Error(ErrorCode::kCorrupt, error.text);
  }
}

Result<ProbeLine> ProbeLineFrom(const std::string& text, const std::string& version) {
  const Result<Json> parsed = Parse(text);
  if (!parsed) return ProbeLine{};
  const Json& json = *parsed;
  try {
    if (json.contains("stage")) return StageLine{json["stage"].get<std::string>()};
    if (json.contains("facts")) return FactsFrom(json["facts"], version);
    if (json.contains("clock")) return ClockLine{json["clock"].get<std::int64_t>()};
    if (json.contains("pairs")) return PairsFrom(json["pairs"]);
  } catch (const Json::exception& error) {
    return Error(ErrorCode::kCorrupt, error.what());
  } catch (const BadJson& error) {
    return Error(ErrorCode::kCorrupt, error.text);
  }
  return ProbeLine{};
}

}  // namespace cohort
