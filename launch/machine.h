// Machine: what a measurement was made on.
#ifndef COHORT_LAUNCH_MACHINE_H_
#define COHORT_LAUNCH_MACHINE_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace cohort {

struct Machine {
  std::string processor;  // "Intel(R) Xeon(R) ..."
  std::uint32_t cores = 0;
  std::string version;  // of the program

  bool operator==(const Machine&) const = default;
};
// This one.
Machine ThisMachine();

// As it stands in files of results. Reading throws BadJson (json_guard.h), or what json.at() throws.
nlohmann::ordered_json MachineToJson(const Machine& machine);
Machine MachineFromJson(const nlohmann::ordered_json& json);

}  // namespace cohort

#endif  // COHORT_LAUNCH_MACHINE_H_
