// A cell of a CSV file that is written (RFC 4180).
#ifndef COHORT_COMMON_CSV_CELL_H_
#define COHORT_COMMON_CSV_CELL_H_

#include <string>
#include <string_view>

namespace cohort {

// Appends the cell, in quotes where it needs them; spaces at an end do, which readers may take away.
inline void AppendCsvCell(std::string_view cell, std::string* line) {
  if (cell.find_first_of(",\"\r\n") == cell.npos &&
      (cell.empty() || (cell.front() != ' ' && cell.back() != ' '))) {
    *line += cell;
    return;
  }
  *line += '"';
  for (const char c : cell) {
    if (c == '"') *line += '"';
    *line += c;
  }
  *line += '"';
}

}  // namespace cohort

#endif  // COHORT_COMMON_CSV_CELL_H_
