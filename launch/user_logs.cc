#include "launch/user_logs.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include "common/input_file.h"
#include "prepare/csv_reader.h"
#include "prepare/schema.h"

namespace cohort {

std::string AbsolutePath(const std::string& path) {
  std::error_code error;
  std::string absolute = std::filesystem::absolute(path, error).lexically_normal().string();
  while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return absolute;
}

Result<std::map<std::string, UserColumn>> UserLogs(const ShopSchema& schema) {
  std::map<std::string, UserColumn> logs;
  const auto add = [&](const std::vector<std::string>& files, const ColumnReference& user) -> Status {
    for (const std::string& file : files) {
      COHORT_RETURN_IF_ERROR(CheckRegularFile(file));  // its records are read after its header
      COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::OpenNamed(file, schema.csv));
      COHORT_ASSIGN_OR_RETURN(const bool more, csv->Next());
      if (!more) return {ErrorCode::kInvalidInput, file + ":1: the file is empty; expected a header"};
      const std::vector<std::string> header(csv->cells().begin(), csv->cells().end());
      COHORT_ASSIGN_OR_RETURN(const std::ptrdiff_t column, FindColumn(user, file, header.size(), header));
      logs[AbsolutePath(file)] = {static_cast<std::size_t>(column), false, schema.csv};
    }
    return {};
  };
  COHORT_RETURN_IF_ERROR(add(schema.events.files, schema.events.user));
  if (schema.users) COHORT_RETURN_IF_ERROR(add(schema.users->files, schema.users->user));
  if (schema.campaigns) COHORT_RETURN_IF_ERROR(add(schema.campaigns->files, schema.campaigns->user));
  return logs;
}

Status VisitUsers(const ShopSchema& schema, const std::function<void(std::string_view user)>& visit) {
  COHORT_ASSIGN_OR_RETURN(const auto logs, UserLogs(schema));
  for (const auto& [file, users] : logs) {
    COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::Open(file, users.csv));
    COHORT_ASSIGN_OR_RETURN(bool more, csv->Next());  // the header
    for (;;) {
      COHORT_ASSIGN_OR_RETURN(more, csv->Next());
      if (!more) break;
      if (csv->cells().size() <= users.column) continue;
      const std::string_view user = csv->cells()[users.column];
      if (std::find(schema.missing.begin(), schema.missing.end(), user) == schema.missing.end()) visit(user);
    }
  }
  return {};
}

}  // namespace cohort
