#include "launch/erasure_receipt.h"

#include <nlohmann/json.hpp>

#include "common/atomic_file.h"
#include "common/json_guard.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;

Json Digests(const std::vector<Hash128>& digests) {
  Json json = Json::array();
  for (const Hash128& digest : digests) json.push_back(ToHex(digest));
  return json;
}

std::vector<Hash128> DigestsFrom(const Json& json) {
  std::vector<Hash128> digests;
  for (const Json& each : json) {
    const auto digest = Hash128FromHex(each.get<std::string>());
    if (!digest) throw Json::other_error::create(501, digest.error().text(), nullptr);
    digests.push_back(*digest);
  }
  return digests;
}

Json ToJson(const SearchedFile& file) {
  Json json{{"path", file.path},          {"bytes", file.bytes},        {"checksum", ToHex(file.checksum)},
            {"cells", file.traces.cells}, {"words", file.traces.words}, {"keys", file.traces.keys}};
  if (file.column) {
    json["column"] = file.column->column;
    json["delimiter"] = std::string(1, file.column->csv.delimiter);
    json["quote"] = file.column->csv.quote == '\0' ? "" : std::string(1, file.column->csv.quote);
    json["trim"] = file.column->csv.trim;
  }
  return json;
}

SearchedFile SearchedFrom(const Json& json) {
  SearchedFile file;
  json.at("path").get_to(file.path);
  json.at("bytes").get_to(file.bytes);
  file.checksum = Uint64FromHex(json.at("checksum").get<std::string>()).value_or(0);
  json.at("cells").get_to(file.traces.cells);
  json.at("words").get_to(file.traces.words);
  json.at("keys").get_to(file.traces.keys);
  if (!json.contains("column")) return file;
  UserColumn& column = file.column.emplace();
  json["column"].get_to(column.column);
  const std::string delimiter = json.at("delimiter").get<std::string>(),
                    quote = json.at("quote").get<std::string>();
  column.csv.delimiter = delimiter.empty() ? ',' : delimiter[0];
  column.csv.quote = quote.empty() ? '\0' : quote[0];
  json.at("trim").get_to(column.csv.trim);
  return file;
}

std::string Text(const Json& json) { return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

std::uint64_t ErasureReceipt::Removed(const std::string& kind) const {
  std::uint64_t sum = 0;
  for (const ErasedFile& file : removed) sum += file.kind == kind ? file.removed : 0;
  return sum;
}

std::vector<const SearchedFile*> ErasureReceipt::Left() const {
  std::vector<const SearchedFile*> left;
  for (const SearchedFile& file : searched) {
    if (!file.traces.none()) left.push_back(&file);
  }
  return left;
}

std::string ToJson(const ErasureReceipt& receipt, const SecretKey& secret) {
  Json json{{"receipt", "cohort erase"},
            {"format", kFormat},
            {"status", receipt.done ? "done" : "begun"},
            {"made_at", receipt.made_at},
            {"runs", receipt.runs},
            {"user_key", receipt.user_key},
            {"users", Digests(receipt.users)},
            {"keys", Digests(receipt.keys)},
            {"removed", Json::array()},
            {"others",
             {{"rows", receipt.rows},
              {"rows_changed", receipt.rows_changed},
              {"changed_by_feature", receipt.changed}}},
            {"checkpoints", {{"resumable", receipt.resumable}, {"not_resumable", receipt.not_resumable}}},
            {"searched", Json::array()},
            {"remains", receipt.remains}};
  for (const ErasedFile& file : receipt.removed)
    json["removed"].push_back({{"path", file.path}, {"kind", file.kind}, {"removed", file.removed}});
  for (const SearchedFile& file : receipt.searched) json["searched"].push_back(ToJson(file));
  json["digest"] = ToHex(secret.Digest(Text(json)));
  return Text(json);
}

Result<ErasureReceipt> ReadErasureReceipt(const std::string& path, const SecretKey& secret) {
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  if (const Status shape = CheckJsonShape(text); !shape.ok())
    return InvalidInput(path + ": no receipt of `cohort erase`: " + shape.text());
  // nlohmann::json reports by exception; none leaves this function.
  try {
    Json json = Json::parse(text);
    if (!json.is_object() || json.value("receipt", "") != "cohort erase")
      return InvalidInput(path + ": no receipt of `cohort erase`");
    if (const int format = json.value("format", 0); format != kFormat) {
      return InvalidInput(path + ": is a receipt of format " + std::to_string(format) +
                          ", this version reads format " + std::to_string(kFormat) +
                          "; verify it with the version of cohort that wrote it");
    }
    const std::string digest = json.at("digest").get<std::string>();
    json.erase("digest");
    if (ToHex(secret.Digest(Text(json))) != digest)
      return Error(ErrorCode::kCorrupt,
                   path +
                       ": its digest is another one: it was changed after it had been written, or was "
                       "written with another key; give that one's file with --key");
    ErasureReceipt receipt;
    receipt.done = json.at("status").get<std::string>() == "done";
    json.at("made_at").get_to(receipt.made_at);
    json.at("runs").get_to(receipt.runs);
    json.at("user_key").get_to(receipt.user_key);
    receipt.users = DigestsFrom(json.at("users"));
    receipt.keys = DigestsFrom(json.at("keys"));
    for (const Json& each : json.at("removed")) {
      receipt.removed.push_back({each.at("path").get<std::string>(), each.at("kind").get<std::string>(),
                                 each.at("removed").get<std::uint64_t>()});
    }
    json.at("others").at("rows").get_to(receipt.rows);
    json.at("others").at("rows_changed").get_to(receipt.rows_changed);
    json.at("others").at("changed_by_feature").get_to(receipt.changed);
    json.at("checkpoints").at("resumable").get_to(receipt.resumable);
    json.at("checkpoints").at("not_resumable").get_to(receipt.not_resumable);
    for (const Json& each : json.at("searched")) receipt.searched.push_back(SearchedFrom(each));
    json.at("remains").get_to(receipt.remains);
    return receipt;
  } catch (const Json::exception& error) {
    return InvalidInput(path + ": no receipt of `cohort erase`: " + error.what());
  }
}

}  // namespace cohort
