#include "launch/cluster_requests.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "common/atomic_file.h"
#include "common/log.h"

namespace cohort {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kStateNames[] = {"under way", "done", "refused", "failed"};
constexpr int kMostAttempts = 200;  // to get a number that nobody else takes
constexpr auto kNextAttempt = std::chrono::milliseconds(20);

std::string PathOf(const std::string& folder, std::uint32_t number, const char* extension) {
  char name[40];
  std::snprintf(name, sizeof(name), "/%04u%s", number, extension);
  return folder + name;
}

// Of the requests in a folder; none if there is no folder.
std::set<std::uint32_t> NumbersIn(const std::string& folder) {
  std::set<std::uint32_t> numbers;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    char* rest = nullptr;
    const unsigned long number = std::strtoul(name.c_str(), &rest, 10);
    if (rest != name.c_str() && std::string(rest) == ".json" && number > 0 && number < 1'000'000)
      numbers.insert(static_cast<std::uint32_t>(number));
  }
  return numbers;
}

std::string Dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string ToJson(const RequestAnswer& answer) {
  return Dump({{"state", kStateNames[static_cast<std::size_t>(answer.state)]}, {"text", answer.text}});
}

Result<RequestAnswer> AnswerFromJson(const std::string& text, const std::string& origin) {
  try {
    const Json json = Json::parse(text);
    const auto state = json.at("state").get<std::string>();
    for (std::size_t i = 0; i < std::size(kStateNames); ++i) {
      if (state == kStateNames[i])
        return RequestAnswer{static_cast<RequestAnswer::State>(i), json.at("text").get<std::string>()};
    }
    return Error(ErrorCode::kCorrupt, origin + ": unknown state \"" + state + "\"");
  } catch (const Json::exception& error) {
    return Error(ErrorCode::kCorrupt, origin + ": not what a scheduler writes: " + error.what());
  }
}

std::string ToJson(const ClusterChange& change) {
  return Dump({{"kind", KindName(change.kind)}, {"index", change.index}, {"host", change.host}});
}

Result<ClusterChange> ChangeFromJson(const std::string& text, const std::string& origin) {
  try {
    const Json json = Json::parse(text);
    const auto kind = json.at("kind").get<std::string>();
    for (int i = 0; i <= static_cast<int>(ClusterChange::kLastKind); ++i) {
      if (kind != KindName(static_cast<ClusterChange::Kind>(i))) continue;
      return ClusterChange{static_cast<ClusterChange::Kind>(i), json.at("index").get<std::uint32_t>(),
                           json.at("host").get<std::string>()};
    }
    return InvalidInput(origin + ": unknown kind \"" + kind + "\"");
  } catch (const Json::exception& error) {
    return InvalidInput(origin + ": not what `cohort cluster` writes: " + error.what());
  }
}

Result<std::string> SendRequest(const std::string& run, const ClusterChange& change) {
  const std::string folder = run + "/" + kRequestsFolder;
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) return Error(ErrorCode::kIo, folder + " cannot be made: " + error.message());
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const auto numbers = NumbersIn(folder);
    const std::uint32_t number = numbers.empty() ? 1 : *numbers.rbegin() + 1;
    const std::string path = PathOf(folder, number, ".json");
    auto file = AtomicFile::Create(path);  // locked: nobody else writes this number now
    if (!file || fs::exists(path, error)) {
      std::this_thread::sleep_for(kNextAttempt);
      continue;
    }
    std::FILE* out = std::fopen(file->temporary_path().c_str(), "wb");
    if (out == nullptr) return Error(ErrorCode::kIo, path + ": cannot be written");
    const std::string text = ToJson(change);
    const bool written = std::fwrite(text.data(), 1, text.size(), out) == text.size();
    if (std::fclose(out) != 0 || !written) return Error(ErrorCode::kIo, path + ": cannot be written");
    COHORT_RETURN_IF_ERROR(file->Commit());
    return PathOf(folder, number, ".answer.json");
  }
  return Error(ErrorCode::kIo, folder + ": no request could be written; is the folder writable?");
}

RequestInbox::RequestInbox(const std::string& folder, bool took_over)
    : folder_(folder + "/" + kRequestsFolder) {
  for (const std::uint32_t number : NumbersIn(folder_)) {
    const auto text = ReadFile(PathOf(folder_, number, ".answer.json"));
    const auto answer = text ? AnswerFromJson(*text, folder_) : tl::unexpected(text.error());
    if (took_over && !answer) return;  // not seen yet
    seen_ = number;
    if (answer && answer->state != RequestAnswer::State::kUnderWay) continue;
    if (took_over) {
      under_way_ = number;
      continue;
    }
    Answer(number, {RequestAnswer::State::kFailed,
                    "the run was started again meanwhile; see `cohort cluster status`, and ask again"});
  }
}

std::optional<RequestInbox::Request> RequestInbox::Next() {
  const auto numbers = NumbersIn(folder_);
  const auto next = numbers.upper_bound(seen_);
  if (next == numbers.end()) return std::nullopt;
  seen_ = *next;
  const std::string path = PathOf(folder_, *next, ".json");
  const auto text = ReadFile(path);
  if (!text) return Request{*next, tl::unexpected(text.error())};
  return Request{*next, ChangeFromJson(*text, path)};
}

void RequestInbox::Answer(std::uint32_t number, const RequestAnswer& answer) {
  std::string text = ToJson(answer);
  if (answers_[number] == text) return;
  const Status written = WriteFileAtomically(PathOf(folder_, number, ".answer.json"), text);
  if (!written.ok()) return LogError(written.text());
  answers_[number] = std::move(text);
}

}  // namespace cohort
