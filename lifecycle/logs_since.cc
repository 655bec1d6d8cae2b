#include "lifecycle/logs_since.h"

#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "common/input_file.h"
#include "common/process.h"
#include "common/secret_key.h"

namespace cohort {
namespace {

constexpr std::size_t kHashedBytes = std::size_t{1} << 20;  // at once

std::string Quoted(const std::string& text) { return nlohmann::json(text).dump(); }

// What of a description decides what a log's records are. Neither which files, nor `until`, nor what is made of the records.
Result<std::string> RulesOf(const ShopSchema& schema) {
  std::string rules;
  const auto add = [&](const std::string& key, const std::string& value) {
    rules += key + " = " + value + "\n";
  };
  const auto column = [&](const std::string& key, const std::optional<ColumnReference>& reference) {
    if (reference) add(key, reference->Text());
  };
  add("[shop] delimiter", Quoted(std::string(1, schema.csv.delimiter)));
  add("[shop] quote", Quoted(schema.csv.quote == '\0' ? "" : std::string(1, schema.csv.quote)));
  add("[shop] trim", schema.csv.trim ? "true" : "false");
  std::string missing;
  for (const std::string& cell : schema.missing) missing += (missing.empty() ? "" : ", ") + Quoted(cell);
  add("[shop] missing", "[" + missing + "]");
  if (!schema.user_key.empty()) {
    COHORT_ASSIGN_OR_RETURN(const SecretKey key, SecretKey::Read(schema.user_key));
    add("[shop] user_key, a digest by it", ToHex(key.Digest("records of a shop")));
  }
  const EventsSchema& events = schema.events;
  column("[events] user", events.user);
  column("[events] time", events.time);
  add("[events] time_format", Quoted(events.time_format.Text()));
  column("[events] kind", events.kind);
  if (!events.kind) add("[events] kind_is", EventKindName(events.only_kind));
  for (const auto& [cell, kind] : events.kind_of_cell)
    add("[events.kinds] the kind of " + Quoted(cell), EventKindName(kind));
  column("[events] item", events.item);
  column("[events] quantity", events.quantity);
  column("[events] price", events.price);
  add("[events] negative_quantity", events.negative_is_return ? "\"return\"" : "\"bad\"");
  if (schema.campaigns) {
    const CampaignsSchema& campaigns = *schema.campaigns;
    column("[campaigns] user", campaigns.user);
    column("[campaigns] time", campaigns.time);
    add("[campaigns] time_format", Quoted(campaigns.time_format.Text()));
    column("[campaigns] arm", campaigns.arm);
    column("[campaigns] randomised", campaigns.randomised);
    column("[campaigns] outcome", campaigns.outcome);
  }
  return rules;
}

std::vector<std::string_view> LinesOf(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// The first line that one of them has and the other has not.
std::string Difference(const std::string& before, const std::string& now) {
  const std::vector<std::string_view> was = LinesOf(before), is = LinesOf(now);
  const auto lacks = [](const std::vector<std::string_view>& lines, std::string_view line) {
    return std::find(lines.begin(), lines.end(), line) == lines.end();
  };
  for (const std::string_view line : is) {
    if (lacks(was, line)) return "the description now says " + std::string(line);
  }
  for (const std::string_view line : was) {
    if (lacks(is, line)) return "the description no longer says " + std::string(line);
  }
  return "the description says the same in another order";
}

struct Fingerprint {
  std::uint64_t bytes = 0, checksum = 0;  // of all of the file
  std::uint64_t prefix_checksum = 0;      // of its first `prefix` bytes, where it has as many
};

// In one reading.
Result<Fingerprint> FingerprintOf(const std::string& path, std::uint64_t prefix) {
  const auto failed = [&](const char* what) {
    const bool user = errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == EISDIR;
    return Error(user ? ErrorCode::kInvalidInput : ErrorCode::kIo,
                 path + ": cannot " + what + ": " + std::strerror(errno) +
                     "; data files are relative to the description, or to --data-dir when it is given");
  };
  if (const Status regular = CheckRegularFile(path); !regular.ok())
    return InvalidInput(regular.text() + ": --since reads every byte of a log before it reads the log");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) return failed("open");
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              &XXH3_freeState);
  XXH3_64bits_reset(state.get());
  Fingerprint print;
  std::setvbuf(file.get(), nullptr, _IONBF, 0);
  for (std::vector<char> block(kHashedBytes);;) {
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    // No block goes across the end of the prefix.
    const std::uint64_t before_end = print.bytes < prefix ? prefix - print.bytes : block.size();
    const std::size_t got =
        std::fread(block.data(), 1, std::min<std::uint64_t>(block.size(), before_end), file.get());
    if (got == 0) break;
    XXH3_64bits_update(state.get(), block.data(), got);
    print.bytes += got;
    if (print.bytes == prefix) print.prefix_checksum = XXH3_64bits_digest(state.get());
  }
  if (std::ferror(file.get()) != 0) return failed("read");
  print.checksum = XXH3_64bits_digest(state.get());
  if (prefix == 0) print.prefix_checksum = XXH3_64bits(nullptr, 0);
  return print;
}

}  // namespace

Result<std::unique_ptr<LogsSince>> LogsSince::Look(const ShopSchema& schema, const std::string& path) {
  std::unique_ptr<LogsSince> logs(new LogsSince());
  logs->path_ = path;
  COHORT_ASSIGN_OR_RETURN(logs->rules_, RulesOf(schema));
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0 && errno == ENOENT) {
    logs->is_first_ = true;
  } else {
    COHORT_ASSIGN_OR_RETURN(logs->former_, ShopRecordsReader::Open(path));
    const std::string& before = logs->former_->head().rules;
    if (before != logs->rules_) logs->ReadAllAnew(Difference(before, logs->rules_));
  }
  COHORT_RETURN_IF_ERROR(logs->LookAt(schema.events.files, false, &logs->events_));
  if (schema.campaigns)
    COHORT_RETURN_IF_ERROR(logs->LookAt(schema.campaigns->files, true, &logs->campaigns_));
  if (!logs->former_) return logs;
  for (const ReadLog& before : logs->former_->head().logs) {
    const std::vector<Log>& now = before.campaigns ? logs->campaigns_ : logs->events_;
    const bool there =
        std::any_of(now.begin(), now.end(), [&](const Log& log) { return log.before == &before; });
    if (there) continue;
    logs->ReadAllAnew(before.path + " is no longer among the files of " +
                      (before.campaigns ? "[campaigns]" : "[events]"));
    break;
  }
  return logs;
}

void LogsSince::ReadAllAnew(std::string why) {
  why_anew_ = std::move(why);
  former_.reset();
  for (std::vector<Log>* logs : {&events_, &campaigns_}) {
    for (Log& log : *logs) log.before = nullptr;
  }
}

Status LogsSince::LookAt(const std::vector<std::string>& files, bool campaigns, std::vector<Log>* logs) {
  for (const std::string& file : files) {
    Log& log = logs->emplace_back();
    log.now.campaigns = campaigns;
    std::error_code error;
    log.now.path = std::filesystem::absolute(file, error).lexically_normal().string();
    if (former_) {
      for (const ReadLog& before : former_->head().logs) {
        if (before.campaigns == campaigns && before.path == log.now.path) log.before = &before;
      }
    }
    const std::uint64_t prefix = log.before != nullptr ? log.before->bytes : 0;
    COHORT_ASSIGN_OR_RETURN(const Fingerprint print, FingerprintOf(file, prefix));
    log.now.bytes = print.bytes;
    log.now.checksum = print.checksum;
    if (log.before == nullptr) continue;
    if (print.bytes < prefix) {
      ReadAllAnew(file + " has become shorter");
    } else if (print.prefix_checksum != log.before->checksum) {
      ReadAllAnew(file + " has changed within the " + std::to_string(prefix) + " bytes that were read of it");
    } else if (log.grown() && !log.before->ends_line) {
      ReadAllAnew(file + " has grown, and what was read of it did not end with a line end");
    }
  }
  return {};
}

ShopRecordsHead LogsSince::Head() const {
  ShopRecordsHead head{.rules = rules_, .logs = {}, .items = {}};
  for (const std::vector<Log>* logs : {&events_, &campaigns_}) {
    for (const Log& log : *logs) head.logs.push_back(log.now);
  }
  return head;
}

PrepareReport::Since LogsSince::Report() const {
  PrepareReport::Since report;
  report.path = path_;
  report.is_first = is_first_;
  report.why_anew = why_anew_;
  for (const std::vector<Log>* logs : {&events_, &campaigns_}) {
    for (const Log& log : *logs) {
      ++(log.as_it_was() ? report.logs_as_they_were : log.grown() ? report.logs_grown : report.logs_new);
      const std::uint64_t known = log.before != nullptr ? log.before->records : 0;
      report.records_known += known;
      report.records_read += log.now.records - known;
    }
  }
  return report;
}

}  // namespace cohort
