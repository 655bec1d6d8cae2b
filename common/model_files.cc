#include "common/model_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>
#include <streambuf>

#include "common/atomic_file.h"
#include "common/json_guard.h"
#include "common/model_part_reader.h"

namespace cohort {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kBlockFloats = 256u << 10;
constexpr std::size_t kMaxManifestBytes = std::size_t{64} << 20;

bool IsFile(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

Json ToJson(const TableSpec& table) {
  const OptimizerSpec& o = table.optimizer;
  Json init = Json::array();
  for (const InitSegment& segment : table.init) {
    init.push_back({{"begin", segment.begin}, {"mean", segment.mean}, {"scale", segment.scale}});
  }
  return {{"id", table.id},
          {"name", table.name},
          {"kind", table.kind == TableKind::kDense ? "dense" : "sparse"},
          {"dim", table.dim},
          {"row_count", table.row_count},
          {"dtype", FloatTypeName(table.dtype)},
          {"optimizer",
           {{"kind", OptimizerName(o.kind)},
            {"learning_rate", o.learning_rate},
            {"momentum", o.momentum},
            {"initial_accumulator", o.initial_accumulator},
            {"beta1", o.beta1},
            {"beta2", o.beta2},
            {"epsilon", o.epsilon},
            {"ftrl_l1", o.ftrl_l1},
            {"ftrl_l2", o.ftrl_l2},
            {"ftrl_beta", o.ftrl_beta},
            {"weight_decay", o.weight_decay},
            {"l2", o.l2}}},
          {"init", std::move(init)}};
}

OptimizerKind OptimizerFrom(const std::string& name) {
  for (const auto kind : {OptimizerKind::kSgd, OptimizerKind::kMomentum, OptimizerKind::kAdagrad,
                          OptimizerKind::kRowwiseAdagrad, OptimizerKind::kAdam, OptimizerKind::kFtrl}) {
    if (name == OptimizerName(kind)) return kind;
  }
  throw BadJson{"unknown optimizer '" + name + "'"};
}

FloatType FloatTypeFrom(const std::string& name) {
  for (const auto type : {FloatType::kFloat32, FloatType::kBfloat16, FloatType::kFloat16}) {
    if (name == FloatTypeName(type)) return type;
  }
  throw BadJson{"weights of type '" + name + "'"};
}

TableSpec TableFrom(const Json& json) {
  TableSpec table;
  table.id = WholeFrom<decltype(table.id)>(json, "id");
  json.at("name").get_to(table.name);
  const auto kind = json.at("kind").get<std::string>();
  if (kind != "dense" && kind != "sparse") throw BadJson{"table kind '" + kind + "'"};
  table.kind = kind == "dense" ? TableKind::kDense : TableKind::kSparse;
  table.dim = WholeFrom<decltype(table.dim)>(json, "dim");
  table.row_count = WholeFrom<decltype(table.row_count)>(json, "row_count");
  table.dtype = FloatTypeFrom(json.value("dtype", "float32"));
  if (table.dim == 0 || table.dim > (1u << 20))
    throw BadJson{"table " + table.name + " has rows of no sane size"};
  const Json& o = json.at("optimizer");
  table.optimizer.kind = OptimizerFrom(o.at("kind").get<std::string>());
  table.optimizer.learning_rate = FloatFrom(o, "learning_rate");
  table.optimizer.momentum = FloatFrom(o, "momentum");
  table.optimizer.initial_accumulator = FloatFrom(o, "initial_accumulator");
  table.optimizer.beta1 = FloatFrom(o, "beta1");
  table.optimizer.beta2 = FloatFrom(o, "beta2");
  table.optimizer.epsilon = FloatFrom(o, "epsilon");
  table.optimizer.ftrl_l1 = FloatFrom(o, "ftrl_l1");
  table.optimizer.ftrl_l2 = FloatFrom(o, "ftrl_l2");
  table.optimizer.ftrl_beta = FloatFrom(o, "ftrl_beta");
  table.optimizer.weight_decay = FloatFrom(o.value("weight_decay", 0.0), "weight_decay");
  table.optimizer.l2 = FloatFrom(o.value("l2", 0.0), "l2");
  for (const Json& segment : json.at("init")) {
    table.init.push_back({WholeFrom<std::uint64_t>(segment, "begin"), FloatFrom(segment, "mean"),
                          FloatFrom(segment, "scale")});
  }
  return table;
}

// Slot groups as 256 digits 0 and 1, group 0 first.
std::string ToText(const std::bitset<kSlotGroupCount>& groups) {
  std::string text = groups.to_string();
  std::reverse(text.begin(), text.end());
  return text;
}

std::bitset<kSlotGroupCount> GroupsFrom(const std::string& text) {
  std::bitset<kSlotGroupCount> groups;
  if (text.size() != groups.size() || text.find_first_not_of("01") != std::string::npos)
    throw BadJson{"'" + text.substr(0, 40) + "' are no slot groups"};
  for (std::size_t group = 0; group < groups.size(); ++group) groups[group] = text[group] == '1';
  return groups;
}

template <typename T>
T OrThrow(Result<T> result) {
  if (!result) throw BadJson{result.error().text()};
  return *std::move(result);
}

std::string FileOfDirectory(const Json& json) {
  auto file = json.at("file").get<std::string>();
  if (file.empty() || file.find('/') != std::string::npos)
    throw BadJson{"part '" + file + "' is not a file of this directory"};
  return file;
}

ModelManifest ManifestFrom(const Json& json) {
  ModelManifest manifest;
  std::set<TableId> ids;
  for (const Json& table : json.at("tables")) {
    manifest.tables.push_back(TableFrom(table));
    if (!ids.insert(manifest.tables.back().id).second) throw BadJson{"a table appears twice"};
  }
  for (const Json& json_part : json.at("parts")) {
    ModelPart part;
    part.file = FileOfDirectory(json_part);
    part.bytes = WholeFrom<std::uint64_t>(json_part, "bytes");
    part.rows = WholeFrom<std::uint64_t>(json_part, "rows");
    part.checksum = OrThrow(Uint64FromHex(json_part.at("checksum").get<std::string>()));
    if (json_part.contains("hash")) part.hash = OrThrow(Hash128FromHex(json_part["hash"].get<std::string>()));
    if (json_part.contains("groups")) part.groups = GroupsFrom(json_part["groups"].get<std::string>());
    for (const Json& layer : json_part.value("layers", Json::array())) {
      part.layers.push_back({FileOfDirectory(layer), WholeFrom<std::uint64_t>(layer, "bytes"),
                             OrThrow(Uint64FromHex(layer.at("checksum").get<std::string>()))});
    }
    if (part.layers.size() >= ModelPartReader::kMostFiles)
      throw BadJson{"part '" + part.file + "' lies over too many files"};
    manifest.parts.push_back(std::move(part));
  }
  if (!json.at("hash").is_null()) manifest.hash = OrThrow(Hash128FromHex(json["hash"].get<std::string>()));
  json.at("kernels").get_to(manifest.kernels);
  manifest.seed = WholeFrom<std::uint64_t>(json, "seed");
  json.at("run_config").get_to(manifest.run_config);
  manifest.dataset_info = json.at("dataset").dump();
  if (json.contains("checkpoint")) manifest.checkpoint = json["checkpoint"].dump();
  if (json.contains("thresholds")) json["thresholds"].get_to(manifest.thresholds);  // older ones have none
  return manifest;
}

// The bytes of a manifest: one way to write it, so that reading can insist on it.
std::string Render(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// Compares what is written to it with a text. A manifest that was tampered with may be written as much more than it was.
class Comparison : public std::streambuf {
 public:
  explicit Comparison(std::string_view text) : left_(text) {}
  bool equal() const { return equal_ && left_.empty(); }

 protected:
  int overflow(int c) override {
    const char byte = static_cast<char>(c);
    return xsputn(&byte, 1) == 1 ? c : traits_type::eof();
  }
  std::streamsize xsputn(const char* bytes, std::streamsize count) override {
    const std::string_view written(bytes, static_cast<std::size_t>(count));
    equal_ = equal_ && left_.starts_with(written);
    if (!equal_) return 0;
    left_.remove_prefix(written.size());
    return count;
  }

 private:
  std::string_view left_;
  bool equal_ = true;
};

bool IsRendered(const Json& json, std::string_view text) {
  Comparison comparison(text);
  std::ostream out(&comparison);
  out << std::setw(1) << json << '\n';
  return comparison.equal();
}

// A rendered manifest as it was before its checksum was put in: without the line that has it.
std::string WithoutChecksum(const std::string& text) {
  const std::size_t before = text.find("\n \"checksum\": ");
  if (before == text.npos) return text;
  const std::size_t end = text.find('\n', before + 1);
  return text.substr(0, before) + (end == text.npos ? "" : text.substr(end));
}

}  // namespace

Result<std::string> FindModel(const std::string& path) {
  for (const std::string& directory : {path, path + "/model"}) {
    if (IsFile(directory + "/" + kManifestFile)) return directory;
  }
  if (IsFile(path + "/result.json")) {
    return InvalidInput(path + ": the run there ended without a model; " + path +
                        "/result.json says why (\"reason\"). Give the directory of a finished run");
  }
  return InvalidInput(path + ": no model here: expected " + path + "/" + kManifestFile + " or " + path +
                      "/model/" + kManifestFile + "; give the directory of a finished run");
}

Status WriteModelManifest(const std::string& directory, const ModelManifest& manifest) {
  const bool layered = std::any_of(manifest.parts.begin(), manifest.parts.end(),
                                   [](const ModelPart& part) { return !part.layers.empty(); });
  Json json{
      {"format", layered ? kModelFormat : 1},
      {"hash", manifest.hash ? Json(ToHex(*manifest.hash)) : Json()},
      {"rows", manifest.rows()},
      {"kernels", manifest.kernels},
      {"seed", manifest.seed},
      {"run_config", manifest.run_config},
      {"tables", Json::array()},
      {"parts", Json::array()},
      {"thresholds", manifest.thresholds},
      {"dataset", Json::parse(manifest.dataset_info.empty() ? "{}" : manifest.dataset_info, nullptr, false)}};
  if (json["dataset"].is_discarded()) {
    return {ErrorCode::kInternal, directory + ": the dataset's description is not JSON"};
  }
  if (!manifest.checkpoint.empty()) {
    json["checkpoint"] = Json::parse(manifest.checkpoint, nullptr, false);
    if (json["checkpoint"].is_discarded())
      return {ErrorCode::kInternal, directory + ": the checkpoint's place in the run is not JSON"};
  }
  for (const TableSpec& table : manifest.tables) json["tables"].push_back(ToJson(table));
  for (const ModelPart& part : manifest.parts) {
    Json json_part{
        {"file", part.file}, {"bytes", part.bytes}, {"checksum", ToHex(part.checksum)}, {"rows", part.rows}};
    if (part.hash) json_part["hash"] = ToHex(*part.hash);
    if (part.groups) json_part["groups"] = ToText(*part.groups);
    for (const ModelLayer& layer : part.layers) {
      json_part["layers"].push_back(
          {{"file", layer.file}, {"bytes", layer.bytes}, {"checksum", ToHex(layer.checksum)}});
    }
    json["parts"].push_back(std::move(json_part));
  }
  json["checksum"] = ToHex(ChecksumOf(Render(json)));
  return WriteFileAtomically(directory + "/" + kManifestFile, Render(json));
}

Result<ModelManifest> ReadModelManifest(const std::string& directory) {
  const std::string path = directory + "/" + kManifestFile;
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxManifestBytes));
  const auto corrupt = [&path](const std::string& what) {
    return Error(ErrorCode::kCorrupt,
                 path + ": " + what + "; restore the model from a copy or train it again");
  };
  if (const Status shape = CheckJsonShape(text); !shape.ok())
    return corrupt("cannot be read: " + shape.text());
  // nlohmann::json reports by exception; none leaves this function.
  try {
    const Json json = Json::parse(text);
    if (const auto format = WholeFrom<std::uint32_t>(json, "format"); format < 1 || format > kModelFormat) {
      return Error(ErrorCode::kCorrupt, path + ": format " + std::to_string(format) + ", expected 1 to " +
                                            std::to_string(kModelFormat) +
                                            "; written by another version of cohort");
    }
    if (!IsRendered(json, text) ||
        json.at("checksum").get<std::string>() != ToHex(ChecksumOf(WithoutChecksum(text)))) {
      return corrupt("was changed after it had been written (its checksum does not match)");
    }
    ModelManifest manifest = ManifestFrom(json);
    if (manifest.rows() != WholeFrom<std::uint64_t>(json, "rows"))
      return corrupt("its parts do not add up to its rows");
    return manifest;
  } catch (const Json::exception& error) {
    return corrupt(std::string("cannot be read: ") + error.what());
  } catch (const BadJson& error) {
    return corrupt(error.text);
  }
}

namespace {

Status CheckModelFile(const std::string& path, std::uint64_t bytes, std::uint64_t checksum) {
  auto found = ChecksumOfFile(path);
  if (!found) {
    // The manifest names it: that it is not there is damage, not a mistake of the user's.
    return {found.error().code() == ErrorCode::kInvalidInput ? ErrorCode::kCorrupt : found.error().code(),
            found.error().text() + " (a part of the model)"};
  }
  if (found->bytes != bytes) {
    return {ErrorCode::kCorrupt, path + ": damaged: " + std::to_string(found->bytes) +
                                     " bytes, the manifest says " + std::to_string(bytes)};
  }
  if (found->checksum != checksum) {
    return {ErrorCode::kCorrupt, path + ": damaged: checksum " + ToHex(found->checksum) +
                                     ", the manifest says " + ToHex(checksum)};
  }
  return {};
}

Status WrongHash(const std::string& directory, const Hash128& found, const Hash128& expected) {
  return {ErrorCode::kCorrupt, directory + ": the hash over all rows is " + ToHex(found) +
                                   ", the manifest says " + ToHex(expected) +
                                   ": parts of different snapshots"};
}

}  // namespace

Status CheckModelPart(const std::string& directory, const ModelPart& part) {
  for (const ModelLayer& layer : part.layers)
    COHORT_RETURN_IF_ERROR(CheckModelFile(directory + "/" + layer.file, layer.bytes, layer.checksum));
  return CheckModelFile(directory + "/" + part.file, part.bytes, part.checksum);
}

Result<std::unique_ptr<ModelPartReader>> OpenModelPart(const std::string& directory, const ModelPart& part,
                                                       std::span<const TableSpec> tables) {
  std::vector<std::string> files;
  for (const ModelLayer& layer : part.layers) files.push_back(directory + "/" + layer.file);
  files.push_back(directory + "/" + part.file);
  return ModelPartReader::Open(files, tables, part.rows);
}

Status VisitModelPart(const std::string& directory, const ModelManifest& manifest, const ModelPart& part,
                      const VisitRows& visit, DenseRowsSeen* seen, Hash128* hash,
                      std::unique_ptr<ModelPartReader>* reader) {
  const std::string path = directory + "/" + part.file;
  COHORT_RETURN_IF_ERROR(CheckModelPart(directory, part));
  COHORT_ASSIGN_OR_RETURN(*reader, OpenModelPart(directory, part, manifest.tables));
  const bool ascending = (*reader)->ascending();
  RowHasher hasher;
  Hash128 sum;
  std::uint64_t rows = 0;
  std::vector<Key> keys;
  std::vector<float> values;
  std::vector<std::uint64_t> statistics;
  for (const TableSpec& table : manifest.tables) {
    const std::uint64_t total = (*reader)->rows(table.id);
    const std::uint32_t row_floats = (*reader)->row_floats(table.id);
    const std::uint64_t block = std::max<std::uint64_t>(1, kBlockFloats / row_floats);
    const bool dense = table.kind == TableKind::kDense;
    std::vector<bool>* const seen_here = dense ? &(*seen)[table.id] : nullptr;
    if (dense) seen_here->resize(table.row_count);
    const auto bad = [&](Key key, const char* what) {
      return Status(ErrorCode::kCorrupt, path + ": key " + ToHex(key) + " of table " + table.name + what);
    };
    Key last = 0;
    for (std::uint64_t first = 0; first < total; first += block) {
      const std::uint64_t count = std::min(block, total - first);
      COHORT_RETURN_IF_ERROR((*reader)->Read(table.id, first, count, &keys, &values));
      if ((*reader)->has_statistics(table.id)) {
        statistics.resize(count);
        COHORT_RETURN_IF_ERROR((*reader)->ReadStatistics(table.id, first, &statistics));
      }
      for (std::uint64_t i = 0; i < count; ++i) {
        const Key key = keys[i];
        if ((ascending && first + i != 0 && key <= last) || (dense && key >= table.row_count))
          return bad(key, " is out of order or range");
        last = key;
        if (dense) {
          if ((*seen_here)[key]) return bad(key, " is there twice");
          (*seen_here)[key] = true;
        }
        if (part.groups && !(*part.groups)[static_cast<std::size_t>(GroupOf(RingPosition(table, key)))])
          return bad(key, " is not of this part");
        sum += hasher.Hash(table.id, key, {values.data() + i * row_floats, row_floats});
      }
      COHORT_RETURN_IF_ERROR(visit({&table, row_floats, keys, values.data(), statistics}));
      statistics.clear();
    }
    rows += total;
  }
  if (rows != part.rows) {
    return {ErrorCode::kCorrupt,
            path + ": " + std::to_string(rows) + " rows, the manifest says " + std::to_string(part.rows)};
  }
  if (part.hash && sum != *part.hash) {
    return {ErrorCode::kCorrupt,
            path + ": the hash over its rows is " + ToHex(sum) + ", the manifest says " + ToHex(*part.hash)};
  }
  *hash += sum;
  return {};
}

Status VisitModel(const std::string& directory, const ModelManifest& manifest, const VisitRows& visit,
                  Hash128* hash) {
  Hash128 sum;
  DenseRowsSeen seen;
  for (const ModelPart& part : manifest.parts) {
    std::unique_ptr<ModelPartReader> reader;
    COHORT_RETURN_IF_ERROR(VisitModelPart(directory, manifest, part, visit, &seen, &sum, &reader));
  }
  if (manifest.hash && sum != *manifest.hash) return WrongHash(directory, sum, *manifest.hash);
  if (hash != nullptr) *hash = sum;
  return {};
}

Result<ModelManifest> VerifyModel(const std::string& path,
                                  const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  COHORT_ASSIGN_OR_RETURN(const std::string directory, FindModel(path));
  COHORT_ASSIGN_OR_RETURN(ModelManifest manifest, ReadModelManifest(directory));
  std::uint64_t rows = 0;
  const auto count = [&](const ModelRows& block) -> Status {
    rows += block.keys.size();
    if (progress) progress(rows, manifest.rows());
    return {};
  };
  Hash128 hash;
  COHORT_RETURN_IF_ERROR(VisitModel(directory, manifest, count, &hash));
  manifest.hash = hash;
  return manifest;
}

}  // namespace cohort
