// Numbers of JSON, which has no NaN and no infinity.
#ifndef COHORT_SCHEDULER_JSON_NUMBER_H_
#define COHORT_SCHEDULER_JSON_NUMBER_H_

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace cohort {

// A number, or null where it is none.
nlohmann::ordered_json NumberOrNull(double value);

// Of files that others may have written: an object's number by name, NaN where there is none; its numbers; and all numbers below, by the names
// that lead there ("pushes.lost"), after those in `numbers`, in the file's order.
double NumberIn(const nlohmann::ordered_json& object, const char* name);
std::map<std::string, double> NumbersIn(const nlohmann::ordered_json& object);
void AddNumbersBelow(const nlohmann::ordered_json& json, const std::string& path,
                     std::vector<std::pair<std::string, double>>* numbers);

}  // namespace cohort

#endif  // COHORT_SCHEDULER_JSON_NUMBER_H_
