#include "launch/machine.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/json_guard.h"

namespace cohort {

namespace {
using Json = nlohmann::ordered_json;
}  // namespace

Machine ThisMachine() {
  Machine machine;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; machine.processor.empty() && std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos)
      machine.processor = line.substr(colon + 2);
  }
  machine.cores = std::thread::hardware_concurrency();  // those that this process may use
  machine.version = COHORT_VERSION;
  return machine;
}

Json MachineToJson(const Machine& machine) {
  return {{"processor", machine.processor}, {"cores", machine.cores}, {"version", machine.version}};
}

Machine MachineFromJson(const Json& json) {
  return {json.at("processor"), WholeFrom<std::uint32_t>(json, "cores"), json.at("version")};
}

}  // namespace cohort
