// LineProcess: another program that is spoken with in lines, by a process that speaks with many and waits for none.
#ifndef COHORT_LAUNCH_LINE_PROCESS_H_
#define COHORT_LAUNCH_LINE_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "common/types.h"

namespace cohort {

// One thread at a time.
class LineProcess {
 public:
  // The program dies with this process, or with the object. kUnavailable: it cannot be started; kIo: no more files may be opened.
  static Result<std::unique_ptr<LineProcess>> Start(const std::vector<std::string>& command);
  ~LineProcess();  // kills it and its process group
  LineProcess(const LineProcess&) = delete;
  LineProcess& operator=(const LineProcess&) = delete;

  // Sends what fits now; Await sends the rest.
  void Say(const std::string& line);
  void SayNoMore();  // its stdin ends when all is sent
  // The lines of its stdout since the last call.
  std::vector<std::string> Heard();
  // The newest lines of its stderr, in order, at most kWords.
  const std::vector<std::string>& words() const { return words_; }
  // How it ended, as a shell has it (128 + signal); nothing: it runs, or has not been heard to the end.
  const std::optional<int>& exit_code() const { return exit_code_; }
  // SIGTERM to its process group.
  void Stop();

  // Waits until one of them has said something or has ended, `timeout` at most; null pointers are passed over.
  static void Await(const std::vector<LineProcess*>& processes, Duration timeout);

  static constexpr std::size_t kWords = 12;
  static constexpr std::size_t kLongestLineBytes = 1u << 20;

 private:
  LineProcess(pid_t pid, int in, int out, int err) : pid_(pid), in_(in), out_(out), err_(err) {}
  void Send();
  void Listen();
  void Reap();

  pid_t pid_;
  int in_, out_, err_;  // -1: closed
  std::string unsent_;
  bool silent_ = false;  // nothing more will be said to it
  std::string out_line_, err_line_;
  std::vector<std::string> heard_, words_;
  std::optional<int> exit_code_;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_LINE_PROCESS_H_
