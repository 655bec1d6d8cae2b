// cohort erase: users taken out of everything that was made of a shop's logs, with a receipt (launch/erasure.h).
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/atomic_file.h"
#include "launch/commands/commands.h"
#include "launch/erasure.h"

namespace cohort {
namespace {

using Json = nlohmann::ordered_json;

struct EraseOptions {
  ErasureOptions erasure;
  std::vector<std::string> users;
  std::string user_file, verify;
};

// One id a line.
Result<ErasedUsers::Users> UsersOf(const EraseOptions& options) {
  ErasedUsers::Users users(options.users.begin(), options.users.end());
  if (!options.user_file.empty()) {
    COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(options.user_file));
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      std::string line = text.substr(begin, end - begin);
      if (line.ends_with('\r')) line.pop_back();
      if (!line.empty()) users.insert(std::move(line));
      begin = end + 1;
    }
  }
  if (users.empty() || users.contains(""))
    return InvalidInput("no users: give --user ID, or --user-file with an id a line");
  return users;
}

std::string TextOf(const UserTraces& traces) {
  return std::to_string(traces.cells) + " cells, " + std::to_string(traces.words) + " words, " +
         std::to_string(traces.keys) + " keys" +
         (traces.words + traces.keys > 0 ? ", the first at byte " + std::to_string(traces.first) : "");
}

Status LeftIn(const std::vector<SearchedFile>& left, Console& console) {
  for (const SearchedFile& file : left) console.Print("  left in " + file.path + ": " + TextOf(file.traces));
  return {ErrorCode::kCorrupt,
          std::to_string(left.size()) + " files still name erased users, the first " + left[0].path +
              ": remove or make these again (scores and lists can be given with --file)"};
}

Status VerifyReceipt(const EraseOptions& options, const ErasedUsers::Users& users, Console& console) {
  COHORT_ASSIGN_OR_RETURN(const ErasureCheck check,
                          CheckErasure(options.verify, options.erasure.key, users,
                                       [&](const std::string& line) { console.Progress(line); }));
  char line[200];
  std::snprintf(line, sizeof line,
                "searched %llu files, %.1f MB: %zu with a trace; %llu changed since, %llu no longer there",
                static_cast<unsigned long long>(check.files), static_cast<double>(check.bytes) / 1e6,
                check.left.size(), static_cast<unsigned long long>(check.changed),
                static_cast<unsigned long long>(check.missing));
  console.Print(line);
  Json left = Json::array();
  for (const SearchedFile& file : check.left) left.push_back(file.path);
  console.SetJson(Json{{"status", check.left.empty() ? "done" : "failed"},
                       {"files", check.files},
                       {"bytes", check.bytes},
                       {"changed", check.changed},
                       {"missing", check.missing},
                       {"left", std::move(left)}}
                      .dump());
  return check.left.empty() ? Status() : LeftIn(check.left, console);
}

Status ShowReceipt(const EraseOptions& options, const ErasureReceipt& receipt, double seconds,
                   Console& console) {
  std::string text = "erased " + std::to_string(options.erasure.users.size()) + " users in ";
  char number[96];
  std::snprintf(number, sizeof number, "%.1f s\n", seconds);
  text += number;
  Json removed = Json::object();
  for (const char* kind : {"dataset", "model", "checkpoint", "results", "log", "text", "leftover"}) {
    std::uint64_t files = 0;
    for (const ErasedFile& file : receipt.removed) files += file.kind == kind ? 1 : 0;
    removed[kind] = receipt.Removed(kind);
    if (files == 0) continue;
    std::snprintf(number, sizeof number, "  %-10s %10llu of %llu files\n", kind,
                  static_cast<unsigned long long>(receipt.Removed(kind)),
                  static_cast<unsigned long long>(files));
    text += number;
  }
  text += "of " + std::to_string(receipt.rows) + " rows of others, " + std::to_string(receipt.rows_changed) +
          " have other statistics now that the users had entered:";
  for (const auto& [feature, rows] : receipt.changed) text += " " + feature + " " + std::to_string(rows);
  std::uint64_t bytes = 0;
  for (const SearchedFile& file : receipt.searched) bytes += file.traces.bytes;
  const std::vector<const SearchedFile*> found = receipt.Left();
  std::snprintf(number, sizeof number, "%.1f MB", static_cast<double>(bytes) / 1e6);
  text += "\nsearched " + std::to_string(receipt.searched.size()) + " files, " + number + ": " +
          std::to_string(found.size()) + " with a trace\nremains:\n";
  for (const std::string& line : receipt.remains) text += "  " + line + "\n";
  text += "receipt " + options.erasure.receipt + ", its key " + options.erasure.key;
  console.Print(text);
  std::vector<SearchedFile> left;
  Json left_paths = Json::array();
  for (const SearchedFile* file : found) left.push_back(*file), left_paths.push_back(file->path);
  console.SetJson(Json{
      {"status", left.empty() ? "done" : "failed"},
      {"users", options.erasure.users.size()},
      {"keys", receipt.keys.size()},
      {"removed", std::move(removed)},
      {"rows", receipt.rows},
      {"rows_changed", receipt.rows_changed},
      {"changed", receipt.changed},
      {"resumable", receipt.resumable},
      {"not_resumable", receipt.not_resumable},
      {"files", receipt.searched.size()},
      {"bytes", bytes},
      {"left", std::move(left_paths)},
      {"remains", receipt.remains},
      {"receipt", options.erasure.receipt},
      {"seconds",
       seconds}}.dump());
  return left.empty() ? Status() : LeftIn(left, console);
}

}  // namespace

void AddErase(CLI::App& app, Commands& commands) {
  auto options = std::make_shared<EraseOptions>();
  CLI::App* command = app.add_subcommand("erase",
                                         "take users out of dataset, models, checkpoints and results, with a "
                                         "receipt of what was done and what remains");
  command->add_option("shop", options->erasure.shop, "SHOP.toml, the logs that the dataset was made of");
  command->add_option("--user", options->users, "the id of a user; may be given several times")->take_all();
  command->add_option("--user-file", options->user_file, "ids, one a line");
  command->add_option("--data-dir", options->erasure.data_directory,
                      "what the file names in it are relative to (default: its own directory)");
  command->add_option("--data", options->erasure.data, "the dataset, DATASET.h5: it is made again");
  command
      ->add_option("--run", options->erasure.runs,
                   "RUN_DIR with a model, checkpoints and all else; may be given several times")
      ->take_all();
  command
      ->add_option(
          "--file", options->erasure.files,
          "scores, profiles, lists or actions (.csv, .h5), or the file of prepare --since; may be given "
          "several times")
      ->take_all();
  command->add_flag("--logs", options->erasure.logs, "take their records out of the logs of the shop, too");
  command->add_option("--receipt", options->erasure.receipt, "the receipt to write, RECEIPT.json");
  command->add_option("--verify", options->verify,
                      "search once more all files of a receipt, for the same users");
  command->add_option(
      "--key", options->erasure.key,
      "file with the key of the receipt's digests, made on first use (default: RECEIPT.json.key)");
  commands[command] = [options](Console& console) -> Status {
    ErasureOptions& erasure = options->erasure;
    const bool verify = !options->verify.empty();
    const bool erases = !erasure.shop.empty() || !erasure.data.empty() || !erasure.receipt.empty() ||
                        !erasure.runs.empty() || !erasure.files.empty() || erasure.logs ||
                        !erasure.data_directory.empty();
    if (verify && erases)
      return Refused(
          "--verify RECEIPT.json goes with --user or --user-file and --key only: the receipt names the "
          "files");
    if (!verify && (erasure.shop.empty() || erasure.data.empty() || erasure.receipt.empty()))
      return Refused(
          "expected SHOP.toml, --data DATASET.h5 and --receipt RECEIPT.json (or --verify RECEIPT.json)");
    if (erasure.key.empty()) erasure.key = (verify ? options->verify : erasure.receipt) + ".key";
    COHORT_ASSIGN_OR_RETURN(erasure.users, UsersOf(*options));
    if (verify) return VerifyReceipt(*options, erasure.users, console);
    erasure.progress = [&](const std::string& line) { console.Progress(line); };
    const auto start = std::chrono::steady_clock::now();
    COHORT_ASSIGN_OR_RETURN(const ErasureReceipt receipt, Erase(erasure));
    return ShowReceipt(*options, receipt,
                       std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
                       console);
  };
}

}  // namespace cohort
