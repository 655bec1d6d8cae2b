#include "launch/partition_job.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <thread>
#include <utility>

#include "common/atomic_file.h"
#include "common/check.h"
#include "common/process.h"
#include "common/row_hash.h"
#include "launch/hostfile.h"

namespace cohort {
namespace {

constexpr int kListenMilliseconds = 100;
constexpr int kWaitMilliseconds = 10;       // of a worker that waits for what is computed once
constexpr std::uint64_t kMostWaiting = 64;  // parts made, and not taken
constexpr Duration kFarewell = std::chrono::seconds(3);
constexpr std::size_t kLongestLineBytes = 1u << 16;
constexpr std::string_view kOnce = "once-", kPart = "part-";

TimePoint SteadyNow() { return std::chrono::steady_clock::now(); }

std::string OncePath(const std::string& folder, const std::string& name) {
  return folder + "/" + std::string(kOnce) + name;
}
std::string PartPath(const std::string& folder, std::uint64_t part) {
  return folder + "/" + std::string(kPart) + std::to_string(part);
}

// OUT.parts, held by one job and removed with the object.
class WorkFolder {
 public:
  static Result<std::unique_ptr<WorkFolder>> Create(const std::string& out) {
    const std::string path = std::filesystem::absolute(out + ".parts").lexically_normal().string();
    const auto refused = [&](const std::string& what) {
      return InvalidInput(path + ", the work folder of --workers: " + what);
    };
    if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST)
      return refused(std::string("cannot be made: ") + std::strerror(errno));
    const int lock = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0) return refused(std::string("cannot be opened: ") + std::strerror(errno));
    std::unique_ptr<WorkFolder> folder(new WorkFolder(path, lock));
    if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
      folder->path_.clear();  // it is the other's
      return refused("another job writes there; wait for that one, or choose another output");
    }
    // What a job that was killed has left.
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
      const std::string name = entry.path().filename();
      if (!name.starts_with(kOnce) && !name.starts_with(kPart)) {
        folder->path_.clear();
        return refused("holds " + name + ", which no job has left there; move it, or choose another output");
      }
      std::filesystem::remove(entry.path(), error);
    }
    if (error) return refused("cannot be emptied: " + error.message());
    return folder;
  }
  ~WorkFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
    ::close(lock_);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  WorkFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_;
};

struct WorkerProcess {
  std::uint32_t number = 0;
  std::string host;
  pid_t pid = -1;  // of the worker, or of the mpirun that runs it on another host; -1: none
  int in = -1, out = -1, err = -1;
  std::string out_line, err_line;  // as far as they have come
  std::string error, words;        // the last line that says "error: ", and the last of all
  bool ready = false;
  std::optional<std::uint64_t> part;  // that it has been given
  TimePoint heard{};

  std::string Name() const {
    return "worker " + std::to_string(number) + " (pid " + std::to_string(pid) + " on " + host + ")";
  }
  void Close() {
    for (int* each : {&in, &out, &err}) {
      if (*each >= 0) ::close(*each);
      *each = -1;
    }
  }
};

class JobCoordinator : public Partitions {
 public:
  JobCoordinator(PartitionJobOptions options, std::unique_ptr<WorkFolder> folder)
      : options_(std::move(options)), folder_(std::move(folder)) {}
  ~JobCoordinator() override {
    for (WorkerProcess& worker : workers_) {
      if (worker.pid > 0) ::kill(-worker.pid, SIGKILL);
    }
    for (WorkerProcess& worker : workers_) Reap(worker);
  }

  Status StartAll() {
    ::signal(SIGPIPE, SIG_IGN);  // a worker may die while it is given a part
    std::vector<std::string> hosts = {HostName()};
    if (!options_.hostfile.empty()) {
      COHORT_ASSIGN_OR_RETURN(const std::vector<ListedHost> listed, ReadHostfile(options_.hostfile));
      hosts = SlotsOf(listed);
    }
    workers_.resize(options_.workers);
    for (std::uint32_t i = 0; i < options_.workers; ++i) {
      workers_[i].number = i;
      workers_[i].host = hosts[i % hosts.size()];
      COHORT_RETURN_IF_ERROR(Start(workers_[i]));
    }
    return {};
  }

  Result<std::string> Once(const std::string& name,
                           const std::function<Result<std::string>()>& compute) override {
    COHORT_ASSIGN_OR_RETURN(std::string computed, compute());
    COHORT_RETURN_IF_ERROR(WriteFileAtomically(OncePath(folder_->path(), name), computed));
    return computed;
  }

  Status Run(const PartitionedWork& work) override {
    COHORT_CHECK(work_ == nullptr);
    work_ = &work;
    CatchStopSignals();
    for (WorkerProcess& worker : workers_) worker.heard = SteadyNow();
    while (taken_ < work.parts()) {
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
      COHORT_RETURN_IF_ERROR(Listen(NextIsThere() ? 0 : kListenMilliseconds));
      COHORT_RETURN_IF_ERROR(LookAtWorkers());
      HandOut();  // before one is taken: workers are at work meanwhile
      COHORT_RETURN_IF_ERROR(TakeNext());
    }
    SayFarewell();
    return {};
  }

 private:
  Status Start(WorkerProcess& worker) {
    std::vector<std::string> command;
    if (worker.host != HostName() && worker.host != "localhost") {
      command = {"mpirun", "-np", "1", "--host", worker.host, "--oversubscribe", "--bind-to", "none"};
      if (::geteuid() == 0) command.push_back("--allow-run-as-root");
    }
    command.insert(command.end(), options_.command.begin(), options_.command.end());
    command.insert(command.end(), {kPartitionWorkerOption, folder_->path()});
    std::array<int, 6> ends{};
    ends.fill(-1);
    const auto close_all = [&] {
      for (const int each : ends) {
        if (each >= 0) ::close(each);
      }
    };
    for (std::size_t i = 0; i < ends.size(); i += 2) {
      if (::pipe2(&ends[i], O_CLOEXEC) == 0) continue;
      const Status status{ErrorCode::kIo, std::string("pipe: ") + std::strerror(errno)};
      close_all();
      return status;
    }
    const auto pid = StartProcess(command, {.in = ends[0], .out = ends[3], .err = ends[5]});
    if (!pid) {
      close_all();
      return pid.error();
    }
    for (const int theirs : {ends[0], ends[3], ends[5]}) ::close(theirs);
    for (const int read : {ends[2], ends[4]}) ::fcntl(read, F_SETFL, O_NONBLOCK);
    WorkerProcess started;
    started.number = worker.number, started.host = worker.host, started.pid = *pid;
    started.in = ends[1], started.out = ends[2], started.err = ends[4];
    started.heard = SteadyNow();
    worker = std::move(started);
    return {};
  }

  // Waits for its end.
  void Reap(WorkerProcess& worker) {
    if (worker.pid > 0) ::waitpid(worker.pid, nullptr, 0);
    worker.pid = -1;
    worker.Close();
  }

  // A part to each worker that has none, unless too many wait on the disk for an earlier one, or for this process.
  void HandOut() {
    for (WorkerProcess& worker : workers_) {
      if (worker.pid < 0 || !worker.ready || worker.part) continue;
      if (again_.empty() && begun_ < std::min(work_->parts(), taken_ + kMostWaiting + workers_.size()))
        again_.push_back(begun_++);
      if (again_.empty()) return;
      worker.part = again_.front();
      again_.pop_front();
      const std::string line = std::to_string(*worker.part) + "\n";
      (void)!::write(worker.in, line.data(), line.size());  // it is dead if that fails, which is seen soon
    }
  }

  Status Listen(int milliseconds) {
    std::vector<pollfd> ready;
    for (const WorkerProcess& worker : workers_) {
      for (const int each : {worker.out, worker.err}) {
        if (each >= 0) ready.push_back({each, POLLIN, 0});
      }
    }
    if (::poll(ready.data(), ready.size(), milliseconds) <= 0) return {};
    for (WorkerProcess& worker : workers_) COHORT_RETURN_IF_ERROR(Hear(worker));
    return {};
  }

  // All that it has written.
  Status Hear(WorkerProcess& worker) {
    for (int* stream : {&worker.err, &worker.out}) {
      std::string& line = stream == &worker.out ? worker.out_line : worker.err_line;
      char bytes[4096];
      ssize_t count = 0;
      while (*stream >= 0 && (count = ::read(*stream, bytes, sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < count; ++i) {
          if (bytes[i] != '\n' && line.size() < kLongestLineBytes) {
            line += bytes[i];
            continue;
          }
          const std::string whole = std::exchange(line, {});
          if (stream == &worker.out) {
            COHORT_RETURN_IF_ERROR(Heard(worker, whole));
          } else if (!whole.empty()) {
            worker.words = whole;
            if (whole.starts_with("error: ")) worker.error = whole.substr(7);
          }
        }
      }
      if (count == 0 && *stream >= 0) {  // it has closed it
        ::close(*stream);
        *stream = -1;
      }
    }
    return {};
  }

  // A line of its stdout. Others than these are none of the job's.
  Status Heard(WorkerProcess& worker, const std::string& line) {
    worker.heard = SteadyNow();
    std::istringstream words(line);
    std::string word, value;
    words >> word >> value;
    if (word == "ready") {
      if (value != ToHex(work_->fingerprint))
        return {ErrorCode::kInvalidInput,
                worker.Name() +
                    " has read other data than this process: the files on its host are not the same, or "
                    "they were written to meanwhile; run the command again when nobody writes to them"};
      worker.ready = true;
      died_early_ = 0;
    } else if (word == "done" && worker.part && value == std::to_string(*worker.part)) {
      finished_.insert(*worker.part);
      worker.part.reset();
    }
    return {};
  }

  Status LookAtWorkers() {
    for (WorkerProcess& worker : workers_) {
      if (worker.pid < 0) continue;
      int status = 0;
      if (::waitpid(worker.pid, &status, WNOHANG) == worker.pid) {
        const WorkerProcess was = worker;  // its name
        COHORT_RETURN_IF_ERROR(Hear(worker));
        worker.pid = -1;
        COHORT_RETURN_IF_ERROR(Ended(worker, was.Name(), status));
      } else if (SteadyNow() >= worker.heard + options_.dead_after) {
        const WorkerProcess was = worker;
        ::kill(-worker.pid, SIGKILL);
        Reap(worker);
        COHORT_RETURN_IF_ERROR(
            Died(worker, was.Name(), "has said nothing for " + Seconds(options_.dead_after)));
      }
    }
    return {};
  }

  static std::string Seconds(Duration duration) {
    std::ostringstream text;
    text << std::chrono::duration<double>(duration).count() << " s";
    return text.str();
  }

  Status Ended(WorkerProcess& worker, const std::string& name, int status) {
    worker.Close();
    if (WIFSIGNALED(status)) return Died(worker, name, "was ended by " + SignalName(WTERMSIG(status)));
    const int code = WEXITSTATUS(status);
    if ((code == 1 || code == 2) && !worker.error.empty())
      return Status(code == 2 ? ErrorCode::kInvalidInput : ErrorCode::kUnavailable, worker.error)
          .Within(name);
    return Died(worker, name,
                "ended with exit code " + std::to_string(code) +
                    (worker.words.empty() ? "" : " (" + worker.words + ")"));
  }

  // Gives its part away once more, and starts another worker in its place if there is something to do for it.
  Status Died(WorkerProcess& worker, const std::string& name, const std::string& how) {
    std::string text = name + " " + how;
    if (worker.part) {
      const std::uint64_t part = *worker.part;
      worker.part.reset();
      const int deaths = ++deaths_[part];
      if (deaths >= kMostDeaths)
        return {ErrorCode::kUnavailable,
                work_->doing + ": " + NameOf(part) + " have ended their worker " + std::to_string(deaths) +
                    " times; the last one, " + text +
                    ". Is there memory for so many workers? Without --workers the command does them in its "
                    "own process"};
      again_.push_front(part);
      text += "; " + NameOf(part) + " are done once more";
    } else if (!worker.ready && ++died_early_ >= kMostDeaths) {
      return {ErrorCode::kUnavailable, "workers end before they have begun, " + std::to_string(died_early_) +
                                           " in a row; the last one, " + text};
    }
    if (options_.note) options_.note(text);
    const auto alive = static_cast<std::uint64_t>(std::count_if(
        workers_.begin(), workers_.end(), [](const WorkerProcess& each) { return each.pid > 0; }));
    if (work_->parts() - taken_ - finished_.size() <= alive) return {};
    return Start(worker);
  }

  // "users 512 to 767 (u512 to u767)"
  std::string NameOf(std::uint64_t part) const {
    const std::uint64_t first = part * work_->size, last = std::min(first + work_->size, work_->count) - 1;
    std::string text = work_->noun + " " + std::to_string(first) + " to " + std::to_string(last);
    if (work_->name_of) text += " (" + work_->name_of(first) + " to " + work_->name_of(last) + ")";
    return text;
  }

  bool NextIsThere() const { return !finished_.empty() && *finished_.begin() == taken_; }

  Status TakeNext() {
    if (NextIsThere()) {
      const std::string path = PartPath(folder_->path(), taken_);
      const auto part = ReadFile(path);
      if (!part) return {ErrorCode::kIo, part.error().text()};
      COHORT_RETURN_IF_ERROR(work_->take(*part));
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
      finished_.erase(finished_.begin());
      ++taken_;
    }
    if (options_.progress) {
      const auto ready = std::count_if(workers_.begin(), workers_.end(),
                                       [](const WorkerProcess& each) { return each.ready; });
      options_.progress(work_->doing + ": " + std::to_string(taken_ + finished_.size()) + " of " +
                        std::to_string(work_->parts()) + " partitions, " + std::to_string(ready) +
                        " workers");
    }
    return {};
  }

  void SayFarewell() {
    for (WorkerProcess& worker : workers_) {
      if (worker.in >= 0) ::close(std::exchange(worker.in, -1));
    }
    const TimePoint limit = SteadyNow() + kFarewell;
    for (WorkerProcess& worker : workers_) {
      while (worker.pid > 0 && SteadyNow() < limit) {
        if (::waitpid(worker.pid, nullptr, WNOHANG) == worker.pid) {
          worker.pid = -1;
          worker.Close();
        } else {
          ::poll(nullptr, 0, 1);
        }
      }
    }
  }

  const PartitionJobOptions options_;
  const std::unique_ptr<WorkFolder> folder_;
  std::vector<WorkerProcess> workers_;
  const PartitionedWork* work_ = nullptr;
  std::uint64_t begun_ = 0;              // parts [0, begun_) have been given to somebody
  std::deque<std::uint64_t> again_;      // to be given away before others
  std::set<std::uint64_t> finished_;     // and not taken: an earlier one is missing
  std::uint64_t taken_ = 0;              // parts [0, taken_)
  std::map<std::uint64_t, int> deaths_;  // by part
  int died_early_ = 0;                   // in a row
};

class JobWorker : public Partitions {
 public:
  JobWorker(std::string folder, Duration beat) : folder_(std::move(folder)) {
    heart_ = std::thread([this, beat] {
      std::unique_lock lock(mutex_);
      while (!changed_.wait_for(lock, beat, [this] { return over_; })) Say("alive");
    });
  }
  ~JobWorker() override {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    heart_.join();
  }

  Result<std::string> Once(const std::string& name, const std::function<Result<std::string>()>&) override {
    const std::string path = OncePath(folder_, name);
    while (::access(path.c_str(), F_OK) != 0) {
      pollfd coordinator{STDIN_FILENO, 0, 0};
      if (::poll(&coordinator, 1, kWaitMilliseconds) > 0)
        return Error(ErrorCode::kUnavailable, "the coordinator is gone");
    }
    return ReadFile(path);
  }

  Status Run(const PartitionedWork& work) override {
    Say("ready " + ToHex(work.fingerprint));
    for (std::uint64_t part = 0; std::cin >> part;) {
      if (part >= work.parts()) return {ErrorCode::kInternal, "there is no part " + std::to_string(part)};
      const std::uint64_t first = part * work.size;
      COHORT_ASSIGN_OR_RETURN(const std::string made,
                              work.make(first, std::min(first + work.size, work.count)));
      COHORT_RETURN_IF_ERROR(WriteFileAtomically(PartPath(folder_, part), made));
      Say("done " + std::to_string(part));
    }
    ::_exit(0);
  }

 private:
  // One write: lines of two threads do not mix.
  static void Say(const std::string& text) {
    const std::string line = text + "\n";
    (void)!::write(STDOUT_FILENO, line.data(), line.size());
  }

  const std::string folder_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread heart_;
};

}  // namespace

Result<std::unique_ptr<Partitions>> StartPartitionJob(const PartitionJobOptions& options) {
  COHORT_ASSIGN_OR_RETURN(std::unique_ptr<WorkFolder> folder, WorkFolder::Create(options.out));
  auto coordinator = std::make_unique<JobCoordinator>(options, std::move(folder));
  COHORT_RETURN_IF_ERROR(coordinator->StartAll());
  return coordinator;
}

Result<std::unique_ptr<Partitions>> JoinPartitionJob(const std::string& folder, Duration dead_after) {
  COHORT_RETURN_IF_ERROR(DieWithParent());
  return std::make_unique<JobWorker>(folder, dead_after / 5);
}

std::vector<std::string> OwnCommand() {
  std::vector<std::string> command;
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  for (std::string word; std::getline(file, word, '\0');) command.push_back(word);
  char path[PATH_MAX] = {};
  if (!command.empty() && ::readlink("/proc/self/exe", path, sizeof(path) - 1) > 0) command[0] = path;
  return command;
}

}  // namespace cohort
