#include "launch/line_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <utility>

#include "common/process.h"

namespace cohort {
namespace {

// One that has closed its streams is asked so often whether it has ended.
constexpr int kLookMilliseconds = 10;

void CloseFile(int* file) {
  if (*file >= 0) ::close(*file);
  *file = -1;
}

}  // namespace

Result<std::unique_ptr<LineProcess>> LineProcess::Start(const std::vector<std::string>& command) {
  ::signal(SIGPIPE, SIG_IGN);  // it may end while it is spoken to
  std::array<int, 6> ends{};
  ends.fill(-1);
  const auto close_all = [&ends] {
    for (int& each : ends) CloseFile(&each);
  };
  for (std::size_t i = 0; i < ends.size(); i += 2) {
    if (::pipe2(&ends[i], O_CLOEXEC) == 0) continue;
    const Status status{ErrorCode::kIo, std::string("pipe: ") + std::strerror(errno)};
    close_all();
    return tl::unexpected(status);
  }
  const auto pid = StartProcess(command, {.in = ends[0], .out = ends[3], .err = ends[5]});
  if (!pid) {
    close_all();
    return tl::unexpected(pid.error());
  }
  for (const std::size_t theirs : {0, 3, 5}) CloseFile(&ends[theirs]);
  for (const std::size_t ours : {1, 2, 4}) ::fcntl(ends[ours], F_SETFL, O_NONBLOCK);
  return std::unique_ptr<LineProcess>(new LineProcess(*pid, ends[1], ends[2], ends[4]));
}

LineProcess::~LineProcess() {
  if (!exit_code_) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  for (int* each : {&in_, &out_, &err_}) CloseFile(each);
}

void LineProcess::Say(const std::string& line) {
  unsent_ += line + "\n";
  Send();
}

void LineProcess::SayNoMore() {
  silent_ = true;
  Send();
}

void LineProcess::Send() {
  while (in_ >= 0 && !unsent_.empty()) {
    const ssize_t count = ::write(in_, unsent_.data(), unsent_.size());
    if (count > 0) {
      unsent_.erase(0, static_cast<std::size_t>(count));
    } else if (count < 0 && errno != EAGAIN && errno != EINTR) {
      CloseFile(&in_);  // it has ended, or hears nothing more
    } else {
      return;
    }
  }
  if (silent_ && unsent_.empty()) CloseFile(&in_);
}

std::vector<std::string> LineProcess::Heard() { return std::exchange(heard_, {}); }

void LineProcess::Stop() {
  if (!exit_code_) ::kill(-pid_, SIGTERM);
}

void LineProcess::Listen() {
  for (int* stream : {&out_, &err_}) {
    std::string& line = stream == &out_ ? out_line_ : err_line_;
    char bytes[4096];
    ssize_t count = 0;
    while (*stream >= 0 && (count = ::read(*stream, bytes, sizeof bytes)) > 0) {
      for (ssize_t i = 0; i < count; ++i) {
        if (bytes[i] != '\n' && line.size() < kLongestLineBytes) {
          if (bytes[i] != '\r') line += bytes[i];
          continue;
        }
        std::string whole = std::exchange(line, {});
        if (stream == &out_) {
          heard_.push_back(std::move(whole));
        } else if (!whole.empty()) {
          words_.push_back(std::move(whole));
          if (words_.size() > kWords) words_.erase(words_.begin());
        }
      }
    }
    const bool over = count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);
    if (*stream >= 0 && over) {
      if (stream == &err_ && !line.empty()) words_.push_back(std::exchange(line, {}));
      CloseFile(stream);
    }
  }
}

void LineProcess::Reap() {
  if (exit_code_ || out_ >= 0) return;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void LineProcess::Await(const std::vector<LineProcess*>& processes, Duration timeout) {
  std::vector<pollfd> files;
  bool dying = false;  // its streams are closed, and it has not been reaped
  for (const LineProcess* each : processes) {
    if (each == nullptr || each->exit_code_) continue;
    for (const int stream : {each->out_, each->err_}) {
      if (stream >= 0) files.push_back({stream, POLLIN, 0});
    }
    if (each->in_ >= 0 && !each->unsent_.empty()) files.push_back({each->in_, POLLOUT, 0});
    dying = dying || each->out_ < 0;
  }
  auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  if (milliseconds < 0) milliseconds = 0;
  if (dying && milliseconds > kLookMilliseconds) milliseconds = kLookMilliseconds;
  ::poll(files.data(), files.size(), static_cast<int>(milliseconds));
  for (LineProcess* each : processes) {
    if (each == nullptr || each->exit_code_) continue;
    each->Send();
    each->Listen();
    each->Reap();
  }
}

}  // namespace cohort
