#include "launch/id_list.h"

#include <memory>

#include "prepare/number.h"

namespace cohort {

Status VisitIdList(const std::string& path, const std::function<bool(const std::string& id)>& is_user,
                   const std::function<Status(const CsvReader& csv, const std::string& id)>& visit) {
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::Open(path, CsvOptions{}));
  COHORT_ASSIGN_OR_RETURN(bool more, csv->Next());
  if (more) {
    if (const std::string other = csv->OtherDelimiter(); !other.empty())
      return {ErrorCode::kInvalidInput, csv->Where() + ": the ids do not stand alone" + other};
    const std::string header(csv->cells()[0]);
    float number = 0;
    if (is_user(header) || ParseNumber(header, &number) == NumberKind::kNumber)
      return {ErrorCode::kInvalidInput,
              csv->Where() + ": \"" + header +
                  "\" is an id, where the header is expected; put a line before it, "
                  "such as: id"};
    COHORT_ASSIGN_OR_RETURN([[maybe_unused]] const std::size_t column, csv->Column(header));
  }
  bool any = false;
  while (more) {
    COHORT_ASSIGN_OR_RETURN(more, csv->Next());
    if (!more) break;
    any = true;
    COHORT_RETURN_IF_ERROR(visit(*csv, std::string(csv->cells()[0])));
  }
  if (any) return {};
  return {ErrorCode::kInvalidInput, path + ": no id; expected a header, then a row for each id"};
}

}  // namespace cohort
