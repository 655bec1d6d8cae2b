#include "scheduler/json_number.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace cohort {

nlohmann::ordered_json NumberOrNull(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

double NumberIn(const nlohmann::ordered_json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<double>()
                                                     : std::numeric_limits<double>::quiet_NaN();
}

std::map<std::string, double> NumbersIn(const nlohmann::ordered_json& object) {
  std::map<std::string, double> numbers;
  if (!object.is_object()) return numbers;
  for (const auto& [name, value] : object.items()) {
    if (value.is_number()) numbers[name] = value.get<double>();
  }
  return numbers;
}

void AddNumbersBelow(const nlohmann::ordered_json& json, const std::string& path,
                     std::vector<std::pair<std::string, double>>* numbers) {
  if (json.is_number()) numbers->emplace_back(path, json.get<double>());
  if (!json.is_object()) return;
  for (const auto& [name, value] : json.items())
    AddNumbersBelow(value, path.empty() ? name : path + "." + name, numbers);
}

}  // namespace cohort
