// A list of users: a CSV file with a header, and their ids in its first column.
#ifndef COHORT_LAUNCH_ID_LIST_H_
#define COHORT_LAUNCH_ID_LIST_H_

#include <functional>
#include <string>

#include "common/status.h"
#include "prepare/csv_reader.h"

namespace cohort {

// Calls `visit` for each id, with the reader at its record. `is_user`: whether somebody has this id. Errors: those of `visit`; kInvalidInput: no
// id, more columns of the first one's name, cells that do not stand alone, or no header: the first line holds an id itself (or a number,
// which no column is called).
Status VisitIdList(const std::string& path, const std::function<bool(const std::string& id)>& is_user,
                   const std::function<Status(const CsvReader& csv, const std::string& id)>& visit);

}  // namespace cohort

#endif  // COHORT_LAUNCH_ID_LIST_H_
