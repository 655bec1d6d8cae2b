// cohort inspect: what a model or a checkpoint holds (common/model_contents.h).
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/model_contents.h"
#include "common/nearest.h"
#include "launch/checkpoints.h"
#include "launch/commands/commands.h"
#include "server/row_index.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

struct InspectOptions {
  std::string path, table, key;
};

// As `cohort export` prints it (16 hexadecimal digits), with 0x, or as a decimal number.
Result<Key> KeyFrom(std::string_view text) {
  const bool hex = text.starts_with("0x") || text.size() == 16;
  const std::string_view digits = text.starts_with("0x") ? text.substr(2) : text;
  Key key = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), key, hex ? 16 : 10);
  if (error == std::errc() && end == digits.data() + digits.size()) return key;
  return InvalidInput("--key " + std::string(text) +
                      ": expected 16 hexadecimal digits as `cohort export` prints them, 0x and hexadecimal "
                      "digits, or a number below 2^64");
}

std::string ToText(std::span<const float> values) {
  std::string text;
  char number[32];
  for (const float value : values) {
    std::snprintf(number, sizeof(number), " %.9g", static_cast<double>(value));
    text += number;
  }
  return text;
}

Status PrintRow(const ModelContents& contents, const InspectOptions& options, Console& console) {
  COHORT_ASSIGN_OR_RETURN(const Key key, KeyFrom(options.key));
  const TableSpec* table = nullptr;
  std::vector<std::string> names;
  for (const TableSpec& each : contents.manifest.tables) {
    names.push_back(each.name);
    if (each.name == options.table) table = &each;
  }
  if (table == nullptr) {
    return {ErrorCode::kInvalidInput, "--table " + options.table + ": the model has no such table" +
                                          DidYouMean(options.table, names) +
                                          "; without --key, its tables are listed"};
  }
  COHORT_ASSIGN_OR_RETURN(const auto row, FindRow(contents, *table, key));
  if (!row) {
    return {ErrorCode::kInvalidInput, "--key " + options.key + ": table " + table->name +
                                          " has no row of key " + ToHex(key) +
                                          "; `cohort export` lists the keys that it has"};
  }
  const std::span<const float> values = row->values;
  Json json{{"status", "done"},
            {"table", table->name},
            {"key", ToHex(key)},
            {"part", row->file},
            {"weights", std::vector<float>(values.begin(), values.begin() + table->dim)},
            {"state", Json::object()}};
  std::string text = "key " + ToHex(key) + " of table " + table->name + ", in " + row->file + "\nweights" +
                     ToText(values.first(table->dim));
  std::size_t at = table->dim;
  for (const StateSlot& slot : StateSlots(table->optimizer.kind, table->dim)) {
    if (at + slot.floats > values.size())
      return {ErrorCode::kCorrupt, contents.directory + "/" + row->file + ": rows of table " + table->name +
                                       " are too short for " + OptimizerName(table->optimizer.kind)};
    const auto state = values.subspan(at, slot.floats);
    json["state"][slot.name] = std::vector<float>(state.begin(), state.end());
    text += std::string("\n") + slot.name + ToText(state);
    at += slot.floats;
  }
  if (row->statistics) {
    const RowStatistics statistics = UnpackedStatistics(*row->statistics);
    json["sightings"] = static_cast<std::uint64_t>(statistics.count);
    json["last_clock"] = static_cast<std::uint64_t>(statistics.last);
    text += "\nsightings " + json["sightings"].dump() + ", last at clock " + json["last_clock"].dump();
  }
  console.Print(text);
  console.SetJson(json.dump());
  return {};
}

Status PrintContents(const ModelContents& contents, Console& console) {
  const ModelManifest& manifest = contents.manifest;
  const Status status = contents.status();
  Json json{{"status", status.ok() ? "done" : "damaged"},
            {"kind", manifest.checkpoint.empty() ? "model" : "checkpoint"},
            {"path", contents.directory},
            {"hash", manifest.hash ? Json(ToHex(*manifest.hash)) : Json()},
            {"rows", manifest.rows()},
            {"kernels", manifest.kernels},
            {"seed", manifest.seed}};
  std::string text =
      contents.directory + ": a " + json["kind"].get<std::string>() + " of " +
      std::to_string(manifest.rows()) + " rows in " + std::to_string(manifest.parts.size()) +
      " parts\nhash " +
      (manifest.hash ? ToHex(*manifest.hash)
                     : "not known: it is incremental; cohort verify reads all rows and tells it") +
      "\nseed " + std::to_string(manifest.seed) + ", kernels " + manifest.kernels;
  if (!manifest.checkpoint.empty()) {
    COHORT_ASSIGN_OR_RETURN(const RunProgress progress, ReadProgress(contents.directory));
    const RunPosition& position = progress.position;
    json["position"] = Json::parse(ToJson(position), nullptr, /*allow_exceptions=*/false);
    text += "\ncheckpoint " + std::to_string(position.number) + ", of phase " +
            std::to_string(position.phase) + ", which began at clock " + std::to_string(position.first_clock);
    for (std::size_t worker = 0; worker < position.closed.size(); ++worker) {
      text += (worker == 0 ? "\nclosed everywhere, by worker: " : ", ") +
              (position.closed[worker] == kClockInfinity ? "all" : std::to_string(position.closed[worker]));
    }
  }
  json["tables"] = Json::array();
  for (std::size_t i = 0; i < manifest.tables.size(); ++i) {
    const TableSpec& table = manifest.tables[i];
    json["tables"].push_back({{"name", table.name},
                              {"kind", table.kind == TableKind::kDense ? "dense" : "sparse"},
                              {"dim", table.dim},
                              {"dtype", FloatTypeName(table.dtype)},
                              {"optimizer", OptimizerName(table.optimizer.kind)},
                              {"rows", contents.RowsOf(i)},
                              {"bytes", contents.BytesOf(i)}});
    text += "\ntable " + table.name + ": " + std::to_string(contents.RowsOf(i)) + " rows of " +
            std::to_string(table.dim) + " " + FloatTypeName(table.dtype) + ", " +
            OptimizerName(table.optimizer.kind) + ", " + std::to_string(contents.BytesOf(i)) + " bytes";
  }
  json["parts"] = Json::array();
  for (std::size_t i = 0; i < manifest.parts.size(); ++i) {
    const ModelPart& part = manifest.parts[i];
    const PartContents& here = contents.parts[i];
    Json each{
        {"file", part.file}, {"bytes", part.bytes}, {"checksum", ToHex(part.checksum)}, {"rows", part.rows}};
    if (part.groups) each["groups"] = part.groups->count();
    std::uint64_t below = 0;
    for (const ModelLayer& layer : part.layers) {
      each["layers"].push_back(
          {{"file", layer.file}, {"bytes", layer.bytes}, {"checksum", ToHex(layer.checksum)}});
      below += layer.bytes;
    }
    if (here.status.ok()) each["rows_by_table"] = here.rows;
    each["check"] = here.status.ok() ? "ok" : here.status.text();
    json["parts"].push_back(each);
    text += "\n" + part.file + ": " + std::to_string(part.rows) + " rows";
    for (std::size_t t = 0; t < here.rows.size(); ++t)
      text += (t == 0 ? " (" : ", ") + std::to_string(here.rows[t]) + " of " + manifest.tables[t].name;
    text +=
        (here.rows.empty() ? ", " : "), ") + std::to_string(part.bytes) + " bytes, " +
        (part.layers.empty() ? ""
                             : "over " + std::to_string(below) + " in " + std::to_string(part.layers.size()) +
                                   " files of former checkpoints, ") +
        (here.status.ok() ? "as they were written" : here.status.text());
  }
  console.Print(text);
  console.SetJson(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  return status;
}

}  // namespace

void AddInspect(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand(
      "inspect", "list the tables and parts of a model or checkpoint, or print one of its rows");
  command->add_option("path", options->path, "a run's directory, a model's or a checkpoint's")->required();
  auto* const table = command->add_option("--table", options->table, "table of the row to print, by name");
  auto* const key = command->add_option(
      "--key", options->key,
      "key of the row to print, with its optimizer state: 16 hexadecimal digits, 0x…, or a number");
  table->needs(key);
  key->needs(table);
  commands[command] = [options](Console& console) -> Status {
    COHORT_ASSIGN_OR_RETURN(const ModelContents contents,
                            ReadModelContents(options->path, [&](std::uint64_t bytes, std::uint64_t total) {
                              console.Progress("reading: " + std::to_string(bytes >> 20) + " of " +
                                               std::to_string(total >> 20) + " MB");
                            }));
    return options->key.empty() ? PrintContents(contents, console) : PrintRow(contents, *options, console);
  };
}

}  // namespace cohort
