// cohort export: a model's weights for other programs (common/model_export.h).
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/dataset.h"
#include "common/model_export.h"
#include "launch/commands/commands.h"
#include "prepare/csv_reader.h"

namespace cohort {
namespace {

struct ExportCommand {
  std::string path, format, values;
  ExportOptions model;
};

// A CSV with the columns feature and value, in any order, among any others.
Result<std::vector<NamedValue>> ReadValues(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(const auto reader, CsvReader::Open(path, CsvOptions{}));
  COHORT_ASSIGN_OR_RETURN([[maybe_unused]] const bool has_header, reader->Next());
  COHORT_ASSIGN_OR_RETURN(const std::size_t feature, reader->Column("feature"));
  COHORT_ASSIGN_OR_RETURN(const std::size_t value, reader->Column("value"));
  const std::size_t columns = reader->cells().size();
  std::vector<NamedValue> values;
  for (;;) {
    COHORT_ASSIGN_OR_RETURN(const bool more, reader->Next());
    if (!more) return values;
    const auto cells = reader->cells();
    if (cells.size() != columns) {
      return InvalidInput(reader->Where() + ": " + std::to_string(cells.size()) + " cells, expected " +
                          std::to_string(columns) + " as in the header");
    }
    NamedValue named{std::string(cells[feature]), std::string(cells[value])};
    named.key = CategoryKey(named.feature, named.value);
    values.push_back(std::move(named));
  }
}

Result<ExportFormat> FormatOf(const ExportCommand& options) {
  const std::string& out = options.model.out;
  const std::string format = !options.format.empty()                          ? options.format
                             : out.ends_with(".csv")                          ? "csv"
                             : out.ends_with(".h5") || out.ends_with(".hdf5") ? "hdf5"
                                                                              : "";
  if (format == "csv") return ExportFormat::kCsv;
  if (format == "hdf5") return ExportFormat::kHdf5;
  return InvalidInput("--out " + out + ": its ending tells no format; use .csv or .h5, or --format csv|hdf5");
}

}  // namespace

void AddExport(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<ExportCommand>();
  CLI::App* command =
      app.add_subcommand("export", "write a model's embeddings and dense weights as HDF5 or CSV");
  command->add_option("path", options->path, "a run's directory, or a model's")->required();
  command->add_option("--out", options->model.out, "file to write (.h5 or .csv)")
      ->required()
      ->type_name(kOutputType);
  command->add_option("--table", options->model.tables,
                      "table to write, by name; may be repeated (default: all)");
  command->add_option("--format", options->format, "csv | hdf5 (default: by the ending of --out)")
      ->check(CLI::IsMember({"csv", "hdf5"}));
  command->add_option(
      "--values", options->values,
      "CSV with the columns feature,value: write the rows of these raw values only, with their names");
  command->add_flag("--overwrite")->description("replace a file that is there");
  commands[command] = [options](Console& console) -> Status {
    ExportOptions model = options->model;
    COHORT_ASSIGN_OR_RETURN(model.format, FormatOf(*options));
    if (!options->values.empty()) {
      COHORT_ASSIGN_OR_RETURN(model.values, ReadValues(options->values));
    }
    COHORT_ASSIGN_OR_RETURN(const ExportSummary summary,
                            ExportModel(options->path, model, [&](std::uint64_t rows) {
                              console.Progress("exporting: " + std::to_string(rows) + " rows");
                            }));
    std::string text = "wrote " + std::to_string(summary.rows) + " rows to " + model.out;
    if (summary.values_not_found != 0) {
      text +=
          "\n" + std::to_string(summary.values_not_found) + " values have no row: the model never saw them";
    }
    console.Print(text);
    console.SetJson(nlohmann::json{{"status", "done"},
                                   {"out", model.out},
                                   {"rows", summary.rows},
                                   {"tables", summary.tables},
                                   {"values_not_found", summary.values_not_found}}
                        .dump());
    return {};
  };
}

}  // namespace cohort
