#include "launch/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "common/atomic_file.h"
#include "common/process.h"
#include "launch/cluster_file.h"
#include "launch/failed_start.h"
#include "launch/journal_file.h"
#include "launch/run_folder.h"
#include "scheduler/metrics_json.h"
#include "scheduler/result.h"

namespace cohort {
namespace {

constexpr int kPollMilliseconds = 50;
constexpr Duration kProgressInterval = std::chrono::milliseconds(500);
constexpr int kUnseen = 4;  // times as long as for a child that was seen to go, for one that never was
constexpr Duration kTryAgain =
    std::chrono::seconds(1);     // to start a replacement that has ended before it registered
// Attempts in a row that end before the scheduler has been heard of: so many at least, and for as long as one may take to start. A link
// between hosts may be down.
constexpr int kMostUnheard = 2;
constexpr Duration kLongestPause = std::chrono::seconds(10);  // between two of them
constexpr std::size_t kTailLines = 15;
constexpr std::size_t kHeadLines = 15;
constexpr std::size_t kMaxLineBytes = 1u << 16;

TimePoint Now() { return std::chrono::steady_clock::now(); }

std::string Seconds(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) + " s";
}

// A process that takes the place of a dead one.
struct Replacement {
  NodeId node;  // a server's: the first that it was to begin
  std::uint32_t incarnation = 0;
  pid_t pid = -1;
};

class Run {
 public:
  // `command`: what is to be run; `again`: after a death.
  Run(const SupervisorOptions& options, std::vector<std::string> command, bool again)
      : options_(options), command_(std::move(command)), again_(again), expected_(options.children) {}
  ~Run() {
    if (output_ >= 0) close(output_);
    if (input_ >= 0) close(input_);
  }

  Status Start() {
    log_.reset(std::fopen(Path(kLogFile).c_str(), again_ ? "ab" : "wb"));
    if (!log_) return {ErrorCode::kIo, Path(kLogFile) + ": cannot be written: " + std::strerror(errno)};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return {ErrorCode::kIo, std::string("pipe: ") + std::strerror(errno)};
    output_ = ends[0];
    input_ = ends[1];
    fcntl(output_, F_SETFL, O_NONBLOCK);
    for (const char* of_a_former_life : {kClusterFile, kJournalFile})
      std::remove(Path(of_a_former_life).c_str());
    struct stat metrics {};
    if (stat(Path(kMetricsFile).c_str(), &metrics) == 0) metrics_bytes_ = metrics.st_size;
    COHORT_ASSIGN_OR_RETURN(child_, Spawn(command_));
    return {};
  }

  // Until the command has ended by itself or been ended. Returns why it was ended, if so.
  Status Watch() {
    started_ = changed_ = Now();
    Status ended;
    TimePoint terminated = kNever, next_progress = started_;
    bool killed = false;
    while (!Exited() || SchedulerRunsBeside()) {
      ReadOutput(kPollMilliseconds);
      const TimePoint now = Now();
      LookAtChildren(now);
      LookAtCluster();
      if (now >= next_progress) {
        next_progress = now + kProgressInterval;
        LookAtFiles(now);
      }
      if (terminated == kNever) {
        ended = WhyEnd(now);
        if (!ended.ok() || farewell_over_) {
          terminated = now;
          const bool in_haste = ended.ok() ? recoverable_ : Died();
          // mpirun passes SIGTERM on, and sends SIGKILL a second later. Of a run that goes on, nothing is left to be said.
          Signal(in_haste && options_.restart ? SIGKILL : SIGTERM);
        }
      } else if (!killed && now >= terminated + options_.terminate) {
        killed = true;
        Signal(SIGKILL);
      }
    }
    EndReplacements();
    ReadOutput(0);
    FlushLine();
    return ended;
  }

  // How the run ended, by its result file, or by what was seen from here if the scheduler could not tell.
  Status Verdict(const Status& ended) {
    auto text = ReadFile(Path(kResultFile));
    auto verdict = text ? VerdictFromJson(*text, Path(kResultFile)) : tl::unexpected(text.error());
    if (verdict && verdict->done) return {};
    const bool unknown =
        !verdict || verdict->reason == KilledStatus().text() || verdict->reason == first_reason_;
    Status status = unknown ? Status() : verdict->status();
    unknown_ = unknown && ended.ok();
    recoverable_ = !unknown && verdict->recoverable;
    if (!ended.ok()) {
      status = ended;
    } else if (unknown && CameToNothing()) {
      status = WhyItCameToNothing();
    } else if (unknown) {
      const std::string reason = verdict ? verdict->reason : "there is no " + Path(kResultFile);
      status = Status(ErrorCode::kUnavailable, reason + HowItExited());
      for (const std::string& line : tail_) Note("  " + line);
    }
    const Status written = WriteFileAtomically(Path(kResultFile), ReplaceVerdict(text ? *text : "", status));
    if (!written.ok()) Note(written.text());
    return status;
  }

  // Whether it ended by a death, of whomever: the run may go on. Who dies in the start-up of a first life could not run there.
  bool Died() const {
    return StopSignal() == 0 &&
           (recoverable_ || (unknown_ && !CameToNothing()) || lost_scheduler_ || (lost_early_ && again_));
  }
  bool heard() const { return heard_; }
  // What is left of the run's processes on this host is dead, or will be within `limit`.
  void WaitForDeaths(Duration limit) const {
    const TimePoint end = Now() + limit;
    for (const ClusterFile::Process& each : cluster_.members) {
      while (each.host == HostName() && !each.missing && ProcessLives(each.pid) && Now() < end)
        poll(nullptr, 0, kPollMilliseconds);
    }
  }

  void SetFirstReason(std::string reason) { first_reason_ = std::move(reason); }

 private:
  struct FileCloser {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  std::string Path(const char* name) const { return options_.folder + "/" + name; }
  void Note(const std::string& text) {
    if (options_.note) options_.note(text);
  }

  // The first start of a new run has ended by itself, before everybody had registered: it would again.
  bool CameToNothing() const {
    return !again_ && !options_.resumes && !heard_ && cluster_.members.empty() && exit_status_ &&
           WIFEXITED(*exit_status_);
  }
  Status WhyItCameToNothing() {
    for (const std::string& line : head_) Note("  " + line);
    const Status why = options_.explain ? options_.explain(head_)
                                        : Status(ErrorCode::kUnavailable,
                                                 head_.empty() ? "nothing was said" : head_.front());
    return {why.code(), why.text() + "; the run has not begun" + HowItExited()};
  }

  bool Exited() {
    if (exit_status_) return true;
    int status = 0;
    const pid_t pid = waitpid(child_, &status, WNOHANG);
    if (pid == child_) exit_status_ = status;
    if (pid < 0 && errno != EINTR) exit_status_ = 0;
    return exit_status_.has_value();
  }
  std::string HowItExited() const {
    if (!exit_status_) return "";
    if (WIFSIGNALED(*exit_status_))
      return "; " + command_[0] + " was ended by " + SignalName(WTERMSIG(*exit_status_));
    return "; " + command_[0] + " ended with exit code " + std::to_string(WEXITSTATUS(*exit_status_));
  }

  // Starts a process of the run: its output goes to the log.
  Result<pid_t> Spawn(const std::vector<std::string>& command) {
    auto child = StartProcess(command, {.out = input_, .err = input_});
    if (child) return child;
    return Error(child.error().code(),
                 child.error().text() + "; is openmpi-bin installed? (`cohort doctor` checks)");
  }

  // To mpirun, which passes SIGTERM on to its processes, and whose death they die of; and to a scheduler beside it.
  void Signal(int signal) {
    if (!exit_status_) kill(signal == SIGKILL ? -child_ : child_, signal);
    for (const Replacement& each : replacements_) {
      if (each.node == kSchedulerNode) kill(-each.pid, signal);
    }
  }

  // Of a scheduler that has taken over: mpirun may end before it.
  bool SchedulerRunsBeside() {
    ReapReplacements();
    return std::any_of(replacements_.begin(), replacements_.end(),
                       [](const Replacement& each) { return each.node == kSchedulerNode; });
  }

  // Starts another one in the place of the scheduler, which is dead, or as good as dead. False: there is no way.
  bool ReplaceScheduler(const std::string& why) {
    if (!options_.take_over || cluster_.members.empty() || cluster_.scheduler_host != HostName())
      return false;
    // One that did not come so far as to say that it is there would not the next time.
    if (cluster_.scheduler_term < term_ || term_ > options_.restarts) return false;
    if (access(Path(kJournalFile).c_str(), R_OK) != 0) return false;
    const auto former = static_cast<pid_t>(cluster_.scheduler_pid);
    kill(former, SIGKILL);  // one that wakes up must not write any more
    const TimePoint limit = Now() + options_.bereaved;
    while (ProcessLives(cluster_.scheduler_pid) && Now() < limit) poll(nullptr, 0, 1);
    ++term_;
    const auto pid = Spawn(options_.take_over(term_));
    if (!pid) {
      Note(pid.error().text());
      return false;
    }
    replacements_.push_back({kSchedulerNode, term_, *pid});
    cluster_.scheduler_pid = static_cast<std::uint64_t>(*pid);
    changed_ = Now();
    Note(why + "; pid " + std::to_string(*pid) + " takes its place");
    return true;
  }

  void ReapReplacements() {
    std::erase_if(replacements_,
                  [](const Replacement& each) { return waitpid(each.pid, nullptr, WNOHANG) != 0; });
  }

  // Starts who is missing (cluster_file.h): each of them once, and again if it is gone and still missing.
  void LookAtCluster() {
    if (decided_at_ != kNever) return;
    struct stat now {};
    if (stat(Path(kClusterFile).c_str(), &now) != 0) return;
    const bool changed = now.st_ino != cluster_file_ || now.st_mtim.tv_sec != cluster_time_.tv_sec ||
                         now.st_mtim.tv_nsec != cluster_time_.tv_nsec;
    if (changed) {
      cluster_file_ = now.st_ino;
      cluster_time_ = now.st_mtim;
      const auto text = ReadFile(Path(kClusterFile));
      auto cluster = text ? ClusterFromJson(*text, kClusterFile) : tl::unexpected(text.error());
      if (!cluster) return Note(cluster.error().text());
      // What the dead scheduler has written says nothing of the living one.
      if (cluster->scheduler_term < term_) cluster->scheduler_pid = cluster_.scheduler_pid;
      cluster_ = std::move(*cluster);
    }
    ReapReplacements();
    for (const ClusterFile::Process& member : cluster_.members) {
      // A shard's place is taken by its backup.
      if (!member.missing || member.node.role == Role::kShard || !options_.replacement) continue;
      if (member.node.role == Role::kBackup && HasServer(member.server)) continue;
      const auto same = [&](const Replacement& each) {
        return each.node == member.node && each.incarnation == member.incarnation;
      };
      if (std::any_of(replacements_.begin(), replacements_.end(), same)) continue;
      TimePoint& tried = tried_[{member.node, member.incarnation}];
      if (tried != TimePoint{} && Now() < tried + kTryAgain) continue;
      tried = Now();
      const auto pid = Spawn(options_.replacement(member));
      if (!pid) return Note(pid.error().text());
      replacements_.push_back({member.node, member.incarnation, *pid});
      const std::string who = "pid " + std::to_string(*pid);
      Note(member.node.role == Role::kBackup
               ? who + " becomes server " + std::to_string(member.server) + ": its backups are missing"
           : member.incarnation == 0 ? who + " becomes " + ToString(member.node)
                                     : ToString(member.node) + " died; " + who + " takes its place");
    }
  }

  // It lives, and begins what it misses by itself; or it is about to.
  bool HasServer(std::uint32_t server) const {
    if (!MembersOf(cluster_, server).empty()) return true;
    const auto seats = SeatsOf(cluster_, server);
    return std::any_of(replacements_.begin(), replacements_.end(), [&](const Replacement& each) {
      return std::any_of(seats.begin(), seats.end(), [&](const ClusterFile::Process& seat) {
        return each.node == seat.node && each.incarnation == seat.incarnation;
      });
    });
  }

  // The run is over, and so are they; or they are ended.
  void EndReplacements() {
    const TimePoint limit = Now() + options_.farewell;
    for (bool killed = false; !replacements_.empty();) {
      ReapReplacements();
      if (!killed && Now() >= limit) {
        killed = true;
        for (const Replacement& each : replacements_) kill(-each.pid, SIGKILL);
      }
      if (!replacements_.empty()) ReadOutput(kPollMilliseconds);
    }
  }

  // Why the run cannot go on, if so.
  Status WhyEnd(TimePoint now) {
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    if (decided_at_ != kNever) {
      // It is decided already: whoever has not gone by now is sent away.
      farewell_over_ = (recoverable_ && options_.restart) || now >= decided_at_ + options_.farewell;
      return {};
    }
    if (!scheduler_seen_ && now >= started_ + options_.startup) {
      return {ErrorCode::kTimeout,
              command_[0] + " did not start the scheduler within " + Seconds(options_.startup)};
    }
    if (lost_at_ != kNever && lost_.pid != 0 && now >= lost_at_ + options_.bereaved) {
      lost_early_ = true;
      return {ErrorCode::kUnavailable,
              lost_.name + " (pid " + std::to_string(lost_.pid) + ") died during start-up"};
    }
    if (lost_at_ != kNever && now >= lost_at_ + kUnseen * options_.bereaved) {
      lost_early_ = true;
      return {ErrorCode::kUnavailable, command_[0] + " runs " + std::to_string(children_.size()) + " of " +
                                           std::to_string(expected_) +
                                           " processes: the others died at once, or were never started"};
    }
    // Its death is seen at once from here; a verdict that it may have written first is still looked at.
    if (cluster_.scheduler_pid != 0 && cluster_.scheduler_host == HostName() &&
        !ProcessLives(cluster_.scheduler_pid)) {
      LookAtFiles(now);
      if (decided_at_ != kNever) return {};
      return LoseScheduler(
          {ErrorCode::kUnavailable,
           "the scheduler (pid " + std::to_string(cluster_.scheduler_pid) + ") died: its process is gone"});
    }
    if (heard_ && now >= changed_ + options_.silence) {
      return LoseScheduler(
          {ErrorCode::kTimeout,
           "the scheduler has been silent for " + Seconds(now - changed_) +
               "; on a machine that is busy with other work raise cluster.dead_after_seconds"});
    }
    return {};
  }

  // Why the run cannot go on without it, if so.
  Status LoseScheduler(Status why) {
    if (ReplaceScheduler(why.text())) return {};
    lost_scheduler_ = true;
    return why;
  }

  // During start-up nobody else can tell that a rank has died: MPI waits for it, and the scheduler does not know it
  // yet. Its own log line, if it had one, has been shown.
  void LookAtChildren(TimePoint now) {
    if (heard_) return;
    std::vector<ChildProcess> alive = ChildrenOf(child_);
    // Where some start on other hosts, mpirun has launch agents, too (ssh, srun), which end when they have done so.
    if (options_.children == 0)
      std::erase_if(alive, [](const ChildProcess& child) { return !child.name.starts_with("cohort-"); });
    expected_ = std::max(expected_, alive.size());
    if (children_.empty() && alive.empty()) return;  // mpirun has not begun
    for (const ChildProcess& child : children_) {
      const auto same = [&](const ChildProcess& other) { return other.pid == child.pid; };
      if (std::none_of(alive.begin(), alive.end(), same)) lost_ = child;
    }
    if (alive.size() >= expected_) {
      lost_at_ = kNever;
      lost_ = {};
    } else if (lost_at_ == kNever ||
               alive.size() > children_.size()) {  // on a busy machine they come one by one
      lost_at_ = now;
    }
    if (!alive.empty()) children_ = std::move(alive);
  }

  void LookAtFiles(TimePoint now) {
    if (decided_at_ == kNever) {
      if (auto text = ReadFile(Path(kResultFile))) {
        const auto verdict = VerdictFromJson(*text, kResultFile);
        if (verdict && (verdict->done || verdict->reason != first_reason_)) scheduler_seen_ = true;
        if (verdict && scheduler_seen_ && verdict->reason != KilledStatus().text()) {
          decided_at_ = now;
          recoverable_ = verdict->recoverable;
        }
      }
    }
    struct stat metrics {};
    if (stat(Path(kMetricsFile).c_str(), &metrics) != 0 || metrics.st_size == metrics_bytes_) return;
    metrics_bytes_ = metrics.st_size;
    heard_ = true;
    lost_at_ = kNever;  // from here on the scheduler sees who dies
    changed_ = now;
    if (!options_.progress) return;
    const std::string text = ProgressText(NewestMetrics(options_.folder));
    if (!text.empty()) options_.progress(text);
  }

  void ReadOutput(int timeout) {
    pollfd ready{output_, POLLIN, 0};
    if (output_ < 0) {
      poll(nullptr, 0, timeout);
      return;
    }
    if (poll(&ready, 1, timeout) <= 0) return;
    char bytes[8192];
    for (;;) {
      const ssize_t count = read(output_, bytes, sizeof(bytes));
      if (count < 0) return;  // nothing more for now
      if (count == 0) {       // all writers are gone
        close(output_);
        output_ = -1;
        return;
      }
      std::fwrite(bytes, 1, static_cast<std::size_t>(count), log_.get());
      std::fflush(log_.get());
      for (ssize_t i = 0; i < count; ++i) {
        const bool ends = bytes[i] == '\n' || bytes[i] == '\r';  // ssh has both
        if (ends || line_.size() >= kMaxLineBytes) FlushLine();
        if (!ends) line_ += bytes[i];
      }
    }
  }
  void FlushLine() {
    if (line_.empty()) return;
    if (line_.find(": error: ") != std::string::npos) Note(line_);
    if (head_.size() < kHeadLines && SaysSomething(line_)) head_.push_back(line_);
    tail_.push_back(std::exchange(line_, {}));
    if (tail_.size() > kTailLines) tail_.pop_front();
  }

  const SupervisorOptions& options_;
  const std::vector<std::string> command_;
  const bool again_;
  std::string first_reason_;
  std::unique_ptr<std::FILE, FileCloser> log_;
  pid_t child_ = -1;
  int output_ = -1, input_ = -1;  // of the pipe that all processes write to
  std::optional<int> exit_status_;
  std::string line_;
  std::vector<std::string> head_;  // the first lines that say something
  std::deque<std::string> tail_;
  TimePoint started_{}, changed_{};
  TimePoint decided_at_ = kNever;
  std::size_t expected_;  // children of the command
  std::vector<ChildProcess> children_;
  TimePoint lost_at_ = kNever;
  ChildProcess lost_;
  off_t metrics_bytes_ = 0;
  bool heard_ = false;        // the scheduler: it has added to metrics.jsonl
  bool recoverable_ = false;  // by its verdict
  timespec cluster_time_{};   // of cluster.json, as read
  ino_t cluster_file_ = 0;
  ClusterFile cluster_;
  std::vector<Replacement> replacements_;  // a scheduler, too: its incarnation is its term
  std::uint32_t term_ = 1;                 // of the newest scheduler
  std::map<std::pair<NodeId, std::uint32_t>, TimePoint> tried_;  // by node and incarnation
  bool scheduler_seen_ = false;
  bool farewell_over_ = false;
  bool unknown_ = false;         // it ended, and the scheduler has not said how
  bool lost_early_ = false;      // a process, during start-up
  bool lost_scheduler_ = false;  // it was silent
};

}  // namespace

namespace {

// Before the next attempt, after so many in a row that came to nothing: 1 s, 2 s, 4 s and so on. A stop signal ends it.
void Pause(int unheard) {
  if (unheard == 0) return;
  const TimePoint end =
      Now() + std::min<Duration>(kLongestPause, std::chrono::seconds(1) * (1 << std::min(unheard - 1, 10)));
  while (Now() < end && StopSignal() == 0) poll(nullptr, 0, kPollMilliseconds);
}

}  // namespace

Status Supervise(const SupervisorOptions& options) {
  std::vector<std::string> command = options.command;
  int unheard = 0;  // attempts in a row that came to nothing
  TimePoint last_heard = Now();
  for (std::uint32_t restarts = 0;; ++restarts) {
    const Status first(ErrorCode::kUnavailable, command[0] + " ended before it had started the scheduler");
    COHORT_RETURN_IF_ERROR(
        WriteFileAtomically(options.folder + "/" + kResultFile, ToJson(first, RunResult{})));
    Run run(options, command, restarts > 0);
    run.SetFirstReason(first.text());
    const Status started = run.Start();
    const Status ended = started.ok() ? run.Watch() : started;
    const Status verdict = run.Verdict(ended);
    unheard = run.heard() ? 0 : unheard + 1;
    if (run.heard()) last_heard = Now();
    if (verdict.ok() || !started.ok() || !options.restart || !run.Died() ||
        (unheard > kMostUnheard && Now() - last_heard > options.startup))
      return verdict;
    if (restarts == options.restarts) {
      if (options.note)
        options.note("given up after " + std::to_string(restarts) + " restarts (cluster.recoveries)");
      return verdict;
    }
    run.WaitForDeaths(options.bereaved);
    if (options.note) options.note(verdict.text());
    Pause(unheard);
    command = options.restart(restarts + 1);
  }
}

}  // namespace cohort
