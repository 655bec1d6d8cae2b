#include "scheduler/json_number.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace cohort {

nlohmann::ordered_json NumberOrNull(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

}  // namespace cohort
