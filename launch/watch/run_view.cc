#include "launch/watch/run_view.h"

#include <time.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/atomic_file.h"
#include "common/checkpoint_files.h"
#include "common/model_files.h"
#include "common/process.h"
#include "launch/checkpoints.h"
#include "launch/cluster_file.h"
#include "launch/run_folder.h"
#include "scheduler/json_number.h"
#include "scheduler/result.h"

namespace cohort {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kReadBytes = std::size_t{16} << 20;
constexpr std::size_t kMostResultBytes = std::size_t{64} << 20;
constexpr std::size_t kMostHangBytes = std::size_t{4} << 20;
constexpr std::size_t kMostEvents = 300;
constexpr std::size_t kMostEpochs = 400;      // of a task's valid split
constexpr std::size_t kMostTextBytes = 4000;  // of an event, a reason
constexpr double kShortestInterval = 0.5;     // that a rate is taken over, in seconds
constexpr double kEndless = 9e18;             // a worker's clock when it has no more data
constexpr double kStartSeconds = 60;          // in which nothing need have been measured yet

std::string Cut(std::string text) {
  if (text.size() > kMostTextBytes) text.resize(kMostTextBytes), text += " …";
  return text;
}

std::string TextOf(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? Cut(found->get<std::string>()) : std::string();
}

std::map<std::string, double> NumbersOf(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? std::map<std::string, double>() : NumbersIn(*found);
}

WatchedMember MemberFrom(const Json& json) {
  WatchedMember member;
  member.node = TextOf(json, "node");
  member.role = member.node.substr(0, member.node.find(' '));
  member.host = TextOf(json, "host");
  member.waiting = TextOf(json, "waiting");
  member.server = NumberIn(json, "server");
  member.pid = NumberIn(json, "pid");
  member.clock = NumberIn(json, "clock");
  if (member.clock >= kEndless) member.clock = std::numeric_limits<double>::infinity();
  member.queue_depth = NumberIn(json, "queue_depth");
  member.memory_bytes = NumberIn(json, "memory_bytes");
  member.cpu_seconds = NumberIn(json, "busy_seconds");
  member.bytes_sent = NumberIn(json, "bytes_sent");
  member.refused_peers = NumberIn(json, "refused_peers");
  if (member.role == "worker") member.samples = NumberIn(json, "samples");
  if (member.role != "shard") return member;
  member.rows = NumberIn(json, "rows");
  member.rows_served = NumberIn(json, "pulls_served");
  member.pushes_acknowledged = NumberIn(json, "pushes_acknowledged");
  member.pushes_duplicated = NumberIn(json, "pushes_duplicated");
  member.pulls_parked = NumberIn(json, "pulls_parked");
  return member;
}

// The sum of what is known; kUnknown if nothing is.
double SumOf(const std::vector<WatchedMember>& members, double WatchedMember::*value) {
  double sum = kUnknown;
  for (const WatchedMember& member : members) {
    if (std::isfinite(member.*value)) sum = std::isnan(sum) ? member.*value : sum + member.*value;
  }
  return sum;
}

// Shards and backups of a server are one process.
double MemoryOf(const std::vector<WatchedMember>& members) {
  std::map<std::pair<std::string, double>, double> processes;
  for (const WatchedMember& member : members) {
    if (member.presence != "gone" && member.presence != "missing" && std::isfinite(member.memory_bytes) &&
        std::isfinite(member.pid))
      processes[{member.host, member.pid}] = member.memory_bytes;
  }
  double sum = kUnknown;
  for (const auto& [process, bytes] : processes) sum = std::isnan(sum) ? bytes : sum + bytes;
  return sum;
}

bool Has(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const char* word) { return text.find(word) != std::string::npos; });
}

// The texts are those of the scheduler's events (scheduler/coordinator*.cc, launch/run_recorder.cc).
RunEvent::Kind KindOf(const std::string& text) {
  using Kind = RunEvent::Kind;
  if (text.starts_with("warning: ")) return Kind::kWarning;
  if (text.starts_with("checkpoint ")) return Kind::kCheckpoint;
  if (text.starts_with("error: ") || Has(text, {" died: ", " has been silent for ", "the run fails: ",
                                                "who waits for whom: ", "no checkpoint ", " is given up: "}))
    return Kind::kFault;
  if (Has(text, {" has taken the place of ", " takes part again", "steps go on, ", "another scheduler (",
                 " has left", " is done: ", " is told to stop: ", " comes in the middle of "}))
    return Kind::kRecovery;
  return Kind::kProgress;
}

// "12:34:56.789 scheduler: text" (common/log.h); other programs write lines of their own.
RunEvent EventFrom(const std::string& line) {
  RunEvent event;
  const auto digit = [&](std::size_t i) { return line[i] >= '0' && line[i] <= '9'; };
  const std::size_t colon = line.find(": ", 13);
  if (line.size() > 13 && digit(0) && line[2] == ':' && line[5] == ':' && line[8] == '.' && line[12] == ' ' &&
      colon != std::string::npos) {
    event.time = line.substr(0, 8);
    event.who = line.substr(13, colon - 13);
    event.text = Cut(line.substr(colon + 2));
    event.kind = KindOf(event.text);
  } else {
    event.text = Cut(line);
  }
  return event;
}

double SecondsSince(const timespec& then) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const double seconds =
      static_cast<double>(now.tv_sec - then.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec - then.tv_nsec);
  return std::max(0.0, seconds);  // of a file that another host's clock dates into the future
}

void PutSplit(JudgedSplit split, std::vector<JudgedSplit>* splits) {
  const auto same = std::find_if(splits->begin(), splits->end(),
                                 [&](const JudgedSplit& each) { return each.split == split.split; });
  if (same == splits->end()) {
    splits->push_back(std::move(split));
  } else {
    *same = std::move(split);
  }
}

void PutEpoch(JudgedSplit split, std::vector<JudgedSplit>* epochs) {
  const auto after = std::find_if(epochs->begin(), epochs->end(),
                                  [&](const JudgedSplit& each) { return each.epoch >= split.epoch; });
  if (after != epochs->end() && after->epoch == split.epoch) {
    *after = std::move(split);
    return;
  }
  epochs->insert(after, std::move(split));
  if (epochs->size() > kMostEpochs) epochs->erase(epochs->begin());
}

}  // namespace

Result<RunView> RunView::Open(const std::string& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (!fs::exists(status))
    return InvalidInput(folder + ": there is no such folder; expected the RUN_DIR of `cohort train`");
  if (!fs::is_directory(status))
    return InvalidInput(folder + " is no folder; expected the RUN_DIR of `cohort train`");
  for (const char* file : {kResultFile, kRunFile, kMetricsFile}) {
    if (fs::exists(folder + "/" + file, error)) return RunView(folder);
  }
  return InvalidInput(folder + " holds no run (neither " + kResultFile + ", " + kRunFile + " nor " +
                      kMetricsFile + "); expected the RUN_DIR of `cohort train`, once it has begun");
}

RunView::RunView(std::string folder)
    : folder_(std::move(folder)), metrics_(Path(kMetricsFile)), log_(Path(kLogFile)) {
  std::error_code error;
  fs::path path = fs::weakly_canonical(folder_, error);
  state_.name = error ? folder_ : path.filename().string();
}

void RunView::Refresh() {
  ReadCluster();  // says of each member whether it is there
  ReadMetrics();
  ReadLog();
  ReadResult();
  ReadHangReport();
  FindCheckpoints();
  SetStage();
  state_.problems.clear();
  if (unreadable_ > 0) {
    state_.problems.push_back(std::to_string(static_cast<std::uint64_t>(unreadable_)) + " lines of " +
                              kMetricsFile + " cannot be read");
  }
  for (const std::string& problem : {result_problem_, cluster_problem_}) {
    if (!problem.empty()) state_.problems.push_back(problem);
  }
}

bool RunView::HasChanged(const char* name, Stamp* stamp) const {
  struct stat file {};
  Stamp now;
  if (stat(Path(name).c_str(), &file) == 0) now = {file.st_ino, file.st_size, file.st_mtim};
  return !(std::exchange(*stamp, now) == now);
}

WatchedTask& RunView::TaskOf(const std::string& name) {
  for (WatchedTask& task : state_.tasks) {
    if (task.name == name) return task;
  }
  state_.tasks.push_back({name, kUnknown, {}, {}});
  return state_.tasks.back();
}

void RunView::ReadMetrics() {
  HasChanged(kMetricsFile, &metrics_file_);
  const FileTail::News news = metrics_.Read(kReadBytes);
  if (news.anew || metrics_file_.size < 0) {
    // Another run in the same folder, or the same one from its start: what was seen of the former one says nothing of it.
    RunState anew;
    anew.name = state_.name;
    anew.events = std::move(state_.events);
    state_ = std::move(anew);
    before_ = newest_ = {};
    lived_ = metrics_read_ = unreadable_ = 0;
    result_file_ = hang_file_ = {};
  }
  for (const std::string& line : news.lines) {
    metrics_read_ += static_cast<double>(line.size()) + 1;
    if (!line.empty()) AddSample(line);
  }
  state_.read_share = news.more && metrics_file_.size > 0
                          ? std::min(1.0, metrics_read_ / static_cast<double>(metrics_file_.size))
                          : 1;
  state_.age_seconds = metrics_file_.size > 0 ? SecondsSince(metrics_file_.modified) : kUnknown;
  for (WatchedMember& member : state_.members) {
    const auto found = presence_.find(member.node);
    member.presence = found != presence_.end() ? found->second : cluster_known_ ? "gone" : "";
  }
  state_.memory_bytes = MemoryOf(state_.members);
}

void RunView::AddSample(const std::string& line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  const double seconds = json.is_object() ? NumberIn(json, "seconds") : kUnknown;
  if (!std::isfinite(seconds)) {
    ++unreadable_;
    return;
  }
  if (seconds < newest_.seconds) {  // it was started again, and goes on
    lived_ += newest_.seconds;
    before_ = newest_ = {};
  }
  state_.seconds = seconds;
  state_.kind = TextOf(json, "kind");
  state_.split = TextOf(json, "split");
  state_.phase = NumberIn(json, "phase");
  state_.epoch = NumberIn(json, "epoch");
  state_.phase_rows = NumberIn(json, "phase_rows");
  state_.phase_samples = NumberIn(json, "phase_samples");
  state_.samples_per_second = NumberIn(json, "samples_per_second");
  state_.lowest_clock = NumberIn(json, "lowest_clock");
  state_.highest_clock = NumberIn(json, "highest_clock");
  const bool endless = !(state_.lowest_clock < kEndless && state_.highest_clock < kEndless);
  state_.clock_spread = endless ? kUnknown : state_.highest_clock - state_.lowest_clock;
  state_.queue_depth = NumberIn(json, "queue_depth");
  state_.rows = NumberIn(json, "rows");
  state_.bytes_sent = NumberIn(json, "bytes_sent");
  state_.acknowledged = NumberIn(json, "acknowledged");
  if (auto recoveries = NumbersOf(json, "recoveries"); !recoveries.empty())
    state_.recoveries = std::move(recoveries);
  if (const auto losses = json.find("loss"); losses != json.end() && losses->is_object()) {
    for (const auto& [task, loss] : losses->items()) {
      WatchedTask& watched = TaskOf(task);
      if (loss.is_number()) watched.loss = loss.get<double>();
    }
  }
  if (const auto judged = json.find("evaluations"); judged != json.end() && judged->is_array()) {
    for (const Json& each : *judged) {
      const auto tasks = each.is_object() ? each.find("tasks") : each.end();
      if (!each.is_object() || tasks == each.end() || !tasks->is_object()) continue;
      for (const auto& [task, values] : tasks->items()) {
        JudgedSplit split{TextOf(each, "split"), NumberIn(each, "epoch"), NumbersOf(*tasks, task.c_str())};
        WatchedTask& watched = TaskOf(task);
        if (split.split == "valid" && std::isfinite(split.epoch)) PutEpoch(split, &watched.valid);
        PutSplit(std::move(split), &watched.judged);
      }
    }
  }
  Counted now;
  now.seconds = seconds;
  now.bytes_sent = state_.bytes_sent;
  state_.members.clear();
  if (const auto members = json.find("members"); members != json.end() && members->is_array()) {
    for (const Json& member : *members) {
      if (!member.is_object()) continue;
      state_.members.push_back(MemberFrom(member));
      now.members[state_.members.back().node] = state_.members.back();
    }
  }
  state_.refused_peers = SumOf(state_.members, &WatchedMember::refused_peers);
  state_.duplicated = SumOf(state_.members, &WatchedMember::pushes_duplicated);
  SetRates(now);
  Remember();
}

void RunView::SetRates(const Counted& now) {
  if (!(now.seconds - newest_.seconds < kShortestInterval)) before_ = newest_;  // true of the first one, too
  newest_ = now;
  const double time = now.seconds - before_.seconds;
  const auto rate = [&](double value, double then) {
    return time > 0 ? std::max(0.0, (value - then) / time) : kUnknown;
  };
  state_.bytes_per_second = rate(now.bytes_sent, before_.bytes_sent);
  for (WatchedMember& member : state_.members) {
    const auto found = before_.members.find(member.node);
    // Another process in its place counts anew.
    if (found == before_.members.end() || found->second.pid != member.pid) continue;
    const WatchedMember& then = found->second;
    member.samples_per_second = rate(member.samples, then.samples);
    member.rows_per_second = rate(member.rows_served, then.rows_served);
    member.load = rate(member.cpu_seconds, then.cpu_seconds);
  }
  state_.rows_per_second = SumOf(state_.members, &WatchedMember::rows_per_second);
}

void RunView::Remember() {
  std::map<std::string, double> values = {{"samples_per_second", state_.samples_per_second},
                                          {"rows_per_second", state_.rows_per_second},
                                          {"bytes_per_second", state_.bytes_per_second},
                                          {"clock_spread", state_.clock_spread},
                                          {"queue_depth", state_.queue_depth},
                                          {"rows", state_.rows},
                                          {"memory_bytes", MemoryOf(state_.members)}};
  if (state_.kind == "train") {
    for (const WatchedTask& task : state_.tasks) values["loss/" + task.name] = task.loss;
  }
  std::map<std::string, double> charted;  // by role
  for (const WatchedMember& member : state_.members) {
    if (++charted[member.role] > kChartedNodes) continue;
    if (member.role == "worker") values["samples_per_second/" + member.node] = member.samples_per_second;
    if (member.role != "shard") continue;
    values["rows_per_second/" + member.node] = member.rows_per_second;
    values["load/" + member.node] = member.load;
    values["memory_bytes/" + member.node] = member.memory_bytes;
  }
  state_.history.Add(lived_ + state_.seconds, values);
}

void RunView::ReadLog() {
  const FileTail::News news = log_.Read(kReadBytes);
  if (news.anew) state_.events.clear();
  for (const std::string& line : news.lines) {
    if (!line.empty()) state_.events.push_back(EventFrom(line));
  }
  if (state_.events.size() > kMostEvents)
    state_.events.erase(state_.events.begin(),
                        state_.events.end() - static_cast<std::ptrdiff_t>(kMostEvents));
}

void RunView::ReadResult() {
  if (state_.read_share < 1) return;  // what it says of tasks is the last word
  if (!HasChanged(kResultFile, &result_file_)) return;
  verdict_ = done_ = false;
  state_.reason.clear();
  state_.result.clear();
  state_.warnings.clear();
  state_.model_hash.clear();
  result_problem_.clear();
  if (result_file_.size < 0) return;
  const auto text = ReadFile(Path(kResultFile), kMostResultBytes);
  const auto verdict = text ? VerdictFromJson(*text, kResultFile) : tl::unexpected(text.error());
  if (!verdict) {
    result_problem_ = Cut(verdict.error().text());
    return;
  }
  // What stands there until there is a verdict.
  if (!verdict->done && (verdict->reason == KilledStatus().text() ||
                         verdict->reason.ends_with(" ended before it had started the scheduler")))
    return;
  verdict_ = true;
  done_ = verdict->done;
  state_.reason = Cut(verdict->reason);
  const Json json = Json::parse(*text, nullptr, false);
  state_.model_hash = TextOf(json, "model_hash");
  if (const auto warnings = json.find("warnings"); warnings != json.end() && warnings->is_array()) {
    for (const Json& warning : *warnings)
      if (warning.is_string()) state_.warnings.push_back(Cut(warning.get<std::string>()));
  }
  for (const auto& [name, value] : json.items()) {
    if (name != "tasks" && name != "epochs") AddNumbersBelow(value, name, &state_.result);
  }
  if (auto recoveries = NumbersOf(json, "recoveries"); !recoveries.empty())
    state_.recoveries = std::move(recoveries);
  const double best_epoch = state_.Result("early_stopping.best_epoch");
  if (const auto tasks = json.find("tasks"); tasks != json.end() && tasks->is_object()) {
    for (const auto& [task, splits] : tasks->items()) {
      if (!splits.is_object()) continue;
      WatchedTask& watched = TaskOf(task);
      for (const auto& [split, values] : splits.items()) {
        JudgedSplit judged{split, best_epoch, NumbersOf(splits, split.c_str())};
        for (const JudgedSplit& before : watched.judged) {
          if (before.split == split && std::isnan(best_epoch)) judged.epoch = before.epoch;
        }
        PutSplit(std::move(judged), &watched.judged);
      }
    }
  }
  if (const auto epochs = json.find("epochs"); epochs != json.end() && epochs->is_array()) {
    for (const Json& epoch : *epochs) {
      const auto valid = epoch.is_object() ? epoch.find("valid") : epoch.end();
      if (!epoch.is_object() || valid == epoch.end() || !valid->is_object()) continue;
      const double number = NumberIn(epoch, "epoch");
      for (const auto& [task, values] : valid->items()) {
        if (std::isfinite(number))
          PutEpoch({"valid", number, NumbersOf(*valid, task.c_str())}, &TaskOf(task).valid);
      }
    }
  }
}

void RunView::ReadCluster() {
  if (!HasChanged(kClusterFile, &cluster_file_)) return;
  presence_.clear();
  cluster_known_ = false;
  cluster_problem_.clear();
  if (cluster_file_.size < 0) return;  // not yet, or while the run is started again
  const auto text = ReadFile(Path(kClusterFile), kMostResultBytes);
  const auto cluster = text ? ClusterFromJson(*text, kClusterFile) : tl::unexpected(text.error());
  if (!cluster) {
    cluster_problem_ = Cut(cluster.error().text());
    return;
  }
  cluster_known_ = true;
  for (const ClusterFile::Process& member : cluster->members)
    presence_[ToString(member.node)] = member.missing ? "missing" : "alive";
  scheduler_host_ = cluster->scheduler_host;
  scheduler_pid_ = cluster->scheduler_pid;
}

void RunView::ReadHangReport() {
  if (!HasChanged(kHangFile, &hang_file_)) return;
  state_.hang_report.clear();
  state_.hang_reports = 0;
  if (hang_file_.size < 0) return;
  const auto text = ReadFile(Path(kHangFile), kMostHangBytes);
  if (!text) {
    state_.hang_report = text.error().text();
    return;
  }
  std::size_t newest = 0;
  for (std::size_t at = 0; at != std::string::npos; at = text->find("\n## ", at)) {
    if (at > 0) ++at;
    if (text->compare(at, 3, "## ") != 0) continue;
    ++state_.hang_reports;
    newest = at;
  }
  state_.hang_report = text->substr(newest, 16 * kMostTextBytes);
}

void RunView::FindCheckpoints() {
  state_.checkpoints.clear();
  std::error_code error;
  for (fs::directory_iterator entry(Path(kCheckpointsFolder), error), end; !error && entry != end;
       entry.increment(error)) {
    const auto number = CheckpointNumber(entry->path().filename().string());
    std::error_code unknown;
    if (number && fs::exists(entry->path() / kManifestFile, unknown)) state_.checkpoints.push_back(*number);
  }
  std::sort(state_.checkpoints.begin(), state_.checkpoints.end());
}

void RunView::SetStage() {
  if (verdict_) {
    state_.stage = done_ ? RunStage::kDone : RunStage::kFailed;
    for (WatchedMember& member : state_.members) {
      if (member.presence != "gone") member.presence = "ended";
    }
    return;
  }
  if (state_.age_seconds < kSilenceSeconds) {
    state_.stage = RunStage::kRunning;
    return;
  }
  const bool starts = !(metrics_file_.size > 0) && result_file_.size >= 0 &&
                      SecondsSince(result_file_.modified) < kStartSeconds;
  const bool gone = scheduler_pid_ != 0 && scheduler_host_ == HostName() && !ProcessLives(scheduler_pid_);
  state_.stage = starts ? RunStage::kStarting : gone ? RunStage::kDied : RunStage::kSilent;
}

}  // namespace cohort
