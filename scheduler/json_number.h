// JSON has no NaN and no infinity.
#ifndef COHORT_SCHEDULER_JSON_NUMBER_H_
#define COHORT_SCHEDULER_JSON_NUMBER_H_

#include <nlohmann/json_fwd.hpp>

namespace cohort {

// A number, or null where it is none.
nlohmann::ordered_json NumberOrNull(double value);

}  // namespace cohort

#endif  // COHORT_SCHEDULER_JSON_NUMBER_H_
