// JSON has no NaN and no infinity.
#ifndef COHORT_SCHEDULER_JSON_NUMBER_H_
#define COHORT_SCHEDULER_JSON_NUMBER_H_

#include <cmath>
#include <nlohmann/json.hpp>

namespace cohort {

// A number, or null where it is none.
inline nlohmann::ordered_json NumberOrNull(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

}  // namespace cohort
#endif  // COHORT_SCHEDULER_JSON_NUMBER_H_
