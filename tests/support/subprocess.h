// Runs a program as a user would, with a time limit, and tells what it printed and how it ended.
#ifndef COHORT_TESTS_SUPPORT_SUBPROCESS_H_
#define COHORT_TESTS_SUPPORT_SUBPROCESS_H_

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/slowdown.h"

namespace cohort::testing {

struct Outcome {
  int exit_code = -1;  // 128 + signal where a signal ended it
  bool timed_out = false;
  std::string out, err;
  std::string all() const { return out + err; }
};

// A child process whose output goes to two files, so that nobody has to read pipes while it runs.
class Subprocess {
 public:
  Subprocess(const std::vector<std::string>& arguments,
             const std::map<std::string, std::string>& environment = {}, const std::string& directory = "") {
    char name[] = "/tmp/cohort-test-XXXXXX";
    folder_ = mkdtemp(name);
    pid_ = fork();
    if (pid_ == 0) {
      setpgid(0, 0);
      for (const auto& [key, value] : environment) setenv(key.c_str(), value.c_str(), 1);
      if (!directory.empty() && chdir(directory.c_str()) != 0) _exit(126);
      Redirect(folder_ + "/out", 1);
      Redirect(folder_ + "/err", 2);
      const int null = open("/dev/null", O_RDONLY);
      dup2(null, 0);
      std::vector<char*> argv;
      for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
      argv.push_back(nullptr);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    setpgid(pid_, pid_);
  }
  ~Subprocess() {
    if (!reaped_) {
      kill(-pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) { kill(pid_, signal); }
  bool Running() {
    if (reaped_) return false;
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
    reaped_ = true;
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return false;
  }
  // `limit` is for a release build.
  Outcome Wait(std::chrono::seconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit * kSlowdown;
    Outcome outcome;
    while (Running()) {
      if (std::chrono::steady_clock::now() > deadline) {
        outcome.timed_out = true;
        kill(-pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        reaped_ = true;
        exit_code_ = 128 + SIGKILL;
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));  // poll: waitpid has no deadline
    }
    outcome.exit_code = exit_code_;
    outcome.out = Out();
    outcome.err = Read(folder_ + "/err");
    return outcome;
  }
  std::string Out() const { return Read(folder_ + "/out"); }

 private:
  static void Redirect(const std::string& path, int to) {
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, to);
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::string folder_;
  pid_t pid_ = -1;
  bool reaped_ = false;
  int exit_code_ = -1;
};

inline Outcome RunProgram(const std::vector<std::string>& arguments,
                          std::chrono::seconds limit = std::chrono::seconds(120),
                          const std::map<std::string, std::string>& environment = {}) {
  return Subprocess(arguments, environment).Wait(limit);
}

// A folder of its own for a test, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/cohort-test-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

 private:
  std::string path_;
};

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace cohort::testing

#endif  // COHORT_TESTS_SUPPORT_SUBPROCESS_H_
