#include "launch/bench/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "common/check.h"

namespace cohort::bench {
namespace {

// 12,345,678 or 0.1234.
std::string Number(double value) {
  char text[64];
  if (std::abs(value) < 1000) {
    std::snprintf(text, sizeof(text), "%.4g", value);
    return text;
  }
  std::snprintf(text, sizeof(text), "%.0f", value);
  std::string digits = text;
  const std::size_t first = value < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, ",");
  return digits;
}

struct Shown {
  std::string operator()(std::uint64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return Number(value); }
  std::string operator()(const std::string& value) const { return value; }
};

std::string Row(const std::string& name, const std::string& a, const std::string& b, const std::string& c) {
  char line[160];
  std::snprintf(line, sizeof(line), "%-34s %16s %16s %16s\n", name.c_str(), a.c_str(), b.c_str(), c.c_str());
  std::string text = line;
  text.erase(text.find_last_not_of(" \n") + 1);
  return text + "\n";
}

}  // namespace

std::vector<double> Report::Values(const std::string& name) const {
  std::vector<double> values;
  for (const Figures& repetition : repetitions_) {
    for (const auto& [figure, value] : repetition) {
      if (figure == name) values.push_back(value);
    }
  }
  COHORT_CHECK(!values.empty(), "no figure %s", name.c_str());
  std::sort(values.begin(), values.end());
  return values;
}

double Report::Median(const std::string& name) const {
  const std::vector<double> values = Values(name);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::string Report::ToText() const {
  std::string text = benchmark_ + ":";
  for (const auto& [name, value] : options_) text += " " + name + "=" + std::visit(Shown{}, value);
  text += "\n" + Row("", "median", "lowest", "highest");
  if (!repetitions_.empty()) {
    for (const auto& [name, value] : repetitions_.front()) {
      const std::vector<double> values = Values(name);
      text += Row(name, Number(Median(name)), Number(values.front()), Number(values.back()));
    }
  }
  for (const auto& [name, value] : single_) text += Row(name, Number(value), "", "");
  text.pop_back();
  return text;
}

std::string Report::ToJson() const {
  nlohmann::ordered_json json = {{"status", "done"}, {"benchmark", benchmark_}};
  json["options"] = nlohmann::ordered_json::object();
  for (const auto& [name, value] : options_) {
    std::visit([&](const auto& v) { json["options"][name] = v; }, value);
  }
  if (!repetitions_.empty()) {
    for (const auto& [name, value] : repetitions_.front()) json[name] = Median(name);
  }
  for (const auto& [name, value] : single_) json[name] = value;
  json["repetitions"] = nlohmann::ordered_json::array();
  for (const Figures& repetition : repetitions_) {
    nlohmann::ordered_json object = nlohmann::ordered_json::object();
    for (const auto& [name, value] : repetition) object[name] = value;
    json["repetitions"].push_back(std::move(object));
  }
  return json.dump();
}

}  // namespace cohort::bench
