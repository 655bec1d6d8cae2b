// The cells of a CSV file in which nothing is quoted.
#ifndef COHORT_TESTS_SUPPORT_CSV_LINES_H_
#define COHORT_TESTS_SUPPORT_CSV_LINES_H_

#include <sstream>
#include <string>
#include <vector>

namespace cohort::testing {

// By line, the header first.
inline std::vector<std::vector<std::string>> CsvLines(const std::string& csv) {
  std::vector<std::vector<std::string>> lines;
  std::istringstream text(csv);
  for (std::string line; std::getline(text, line);) {
    std::istringstream cells(line);
    lines.emplace_back();
    for (std::string cell; std::getline(cells, cell, ',');) lines.back().push_back(cell);
  }
  return lines;
}

}  // namespace cohort::testing

#endif  // COHORT_TESTS_SUPPORT_CSV_LINES_H_
