#include "launch/score_file.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "common/hdf5_file.h"
#include "common/input_file.h"
#include "prepare/csv_reader.h"
#include "prepare/number.h"

namespace cohort {
namespace {

constexpr const char* kMend = "; expected what `cohort score --out FILE` writes: id, then a column per task";

Status Wrong(const std::string& place, const std::string& what) {
  return {ErrorCode::kInvalidInput, place + ": " + what + kMend};
}

Result<ScoreFile> ReadCsv(const std::string& path, const std::vector<TaskInfo>& tasks) {
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<CsvReader> csv, CsvReader::Open(path, CsvOptions{}));
  COHORT_ASSIGN_OR_RETURN(bool more, csv->Next());
  if (!more) return tl::unexpected<Status>(Wrong(path + ":1", "the file is empty"));
  const std::vector<std::string> header(csv->cells().begin(), csv->cells().end());
  const auto column_of = [&](const std::string& name) -> Result<std::size_t> {
    const auto column = csv->Column(name);
    if (!column) return InvalidInput(column.error().text() + kMend);
    return column;
  };
  COHORT_ASSIGN_OR_RETURN(const std::size_t id, column_of("id"));
  ScoreFile file;
  file.predictions.resize(tasks.size());
  std::vector<std::vector<std::size_t>> columns(tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const std::vector<std::string> names = tasks[i].PredictionNames();
    for (const std::string& name : names) {
      if (std::find(header.begin(), header.end(), name) == header.end()) continue;
      COHORT_ASSIGN_OR_RETURN(columns[i].emplace_back(), column_of(name));
    }
    if (!columns[i].empty() && columns[i].size() < names.size())
      return tl::unexpected<Status>(Wrong(path + ":1", "only " + std::to_string(columns[i].size()) +
                                                           " of the " + std::to_string(names.size()) +
                                                           " columns of task \"" + tasks[i].name + "\""));
  }
  for (;;) {
    COHORT_ASSIGN_OR_RETURN(more, csv->Next());
    if (!more) return file;
    if (csv->cells().size() != header.size())
      return tl::unexpected<Status>(Wrong(csv->Where(), std::to_string(csv->cells().size()) +
                                                            " cells, where the header has " +
                                                            std::to_string(header.size())));
    file.ids.emplace_back(csv->cells()[id]);
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      for (const std::size_t column : columns[i]) {
        float value = 0;
        if (ParseNumber(csv->cells()[column], &value) != NumberKind::kNumber)
          return tl::unexpected<Status>(
              Wrong(csv->Where(column),
                    "\"" + std::string(csv->cells()[column].substr(0, 40)) + "\" is not a finite number"));
        file.predictions[i].push_back(value);
      }
    }
  }
}

Result<ScoreFile> ReadHdf5(const std::string& path, const std::vector<TaskInfo>& tasks) {
  COHORT_RETURN_IF_ERROR(CheckIsHdf5(path, "scores, which `cohort score --out` writes"));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Hdf5Reader> hdf5, Hdf5Reader::Open(path));
  if (!hdf5->Has("id")) return tl::unexpected<Status>(Wrong(path, "no dataset \"id\""));
  COHORT_ASSIGN_OR_RETURN(const Hdf5Shape ids, hdf5->Shape("id"));
  ScoreFile file;
  if (ids.type == Hdf5Type::kText) {
    COHORT_ASSIGN_OR_RETURN(file.ids, hdf5->ReadText("id", 0, ids.rows()));
  } else {
    COHORT_ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, hdf5->ReadAll<std::uint64_t>("id"));
    for (const std::uint64_t number : numbers) file.ids.push_back(std::to_string(number));
  }
  for (const TaskInfo& task : tasks) {
    std::vector<float>& values = file.predictions.emplace_back();
    const std::string name = "scores/" + task.name;
    if (!hdf5->Has(name)) continue;
    COHORT_ASSIGN_OR_RETURN(const Hdf5Shape shape, hdf5->CheckedShape(name, Hdf5Type::kFloat32));
    if (shape.rows() != file.ids.size() || shape.columns() != task.PredictionColumns())
      return tl::unexpected<Status>(
          Wrong(path + ": " + name, std::to_string(shape.rows()) + " x " + std::to_string(shape.columns()) +
                                        " values, not " + std::to_string(file.ids.size()) + " x " +
                                        std::to_string(task.PredictionColumns())));
    COHORT_ASSIGN_OR_RETURN(values, hdf5->ReadAll<float>(name));
    const auto bad =
        std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
    if (bad != values.end())
      return tl::unexpected<Status>(Wrong(
          path + ": " + name, "value " + std::to_string(bad - values.begin()) + " is not a finite number"));
  }
  return file;
}

}  // namespace

Result<ScoreFile> ReadScoreFile(const std::string& path, const std::vector<TaskInfo>& tasks) {
  if (path.ends_with(".csv") || IsHandedOpen(path)) return ReadCsv(path, tasks);
  if (path.ends_with(".h5")) return ReadHdf5(path, tasks);
  return InvalidInput(
      path + ": unknown format; expected a name ending in .csv or .h5 (a pipe, <(...), is read as CSV)");
}

}  // namespace cohort
