// The `cohort` command: a file per subcommand, and the rules that all keep (launch/cohort.cc applies them).
//
// With --json, stdout carries exactly one JSON object, whatever happens; everything else goes to stderr. Exit
// codes: 0 done; 2 the user's input (usage, configuration, data) is at fault; 1 anything else.
#ifndef COHORT_LAUNCH_COMMANDS_COMMANDS_H_
#define COHORT_LAUNCH_COMMANDS_COMMANDS_H_

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "common/status.h"

namespace CLI {
class App;
}

namespace cohort {

// Where a command's words go. One thread at a time.
class Console {
 public:
  explicit Console(bool json);
  ~Console();

  bool json() const { return json_; }
  // The command's result for people: stdout, or stderr with --json. Whole lines.
  void Print(const std::string& text);
  // The command's result for programs: the text of one JSON object. Printed at the end, with --json only.
  void SetJson(std::string object) { object_ = std::move(object); }
  // The same, at once: for a command whose caller needs it before it has ended.
  void PrintJson(const std::string& object);
  // Of a command that did what it was asked to, and whose answer is one that scripts look for: 1 of `cohort diff` (they differ) and of `cohort
  // plan` (no cluster meets the deadline). An error has its own (Status).
  void SetExitCode(int code) { exit_code_ = code; }
  int exit_code() const { return exit_code_; }
  // A line that replaces the one before it, on a terminal only (stderr).
  void Progress(const std::string& line);
  // To stderr, whole lines.
  void Note(const std::string& text);

  // For cohort.cc: prints the JSON object, made from the status if the command has set none.
  void Finish(const Status& status);

 private:
  void ClearProgress();
  const bool json_;
  const bool terminal_;
  bool progress_shown_ = false;
  bool json_printed_ = false;
  std::string object_;
  int exit_code_ = 0;
};

// The input is at fault.
inline Status Refused(std::string why) { return {ErrorCode::kInvalidInput, std::move(why)}; }

// The type of an option that names a file to write. It is checked before the command begins (CheckOutputs, command_line.h).
inline constexpr const char* kOutputType = "OUTPUT";

// What runs when a subcommand was chosen, by subcommand. Usage errors that CLI11 cannot see are
// kInvalidInput.
using Commands = std::map<const CLI::App*, std::function<Status(Console&)>>;

// Each adds its subcommand to `app` and its action to `commands`; --json is added by cohort.cc to all, and to those below them.
void AddGenerate(CLI::App& app, Commands& commands);
void AddPrepare(CLI::App& app, Commands& commands);
void AddTrain(CLI::App& app, Commands& commands);
void AddEvaluate(CLI::App& app, Commands& commands);
void AddScore(CLI::App& app, Commands& commands);
void AddBaseline(CLI::App& app, Commands& commands);
void AddCompare(CLI::App& app, Commands& commands);
void AddUplift(CLI::App& app, Commands& commands);
void AddProfile(CLI::App& app, Commands& commands);
void AddLookalike(CLI::App& app, Commands& commands);
void AddStrategy(CLI::App& app, Commands& commands);
void AddRecommend(CLI::App& app, Commands& commands);
void AddExplain(CLI::App& app, Commands& commands);
void AddExport(CLI::App& app, Commands& commands);
void AddVerify(CLI::App& app, Commands& commands);
void AddInspect(CLI::App& app, Commands& commands);
void AddDiff(CLI::App& app, Commands& commands);
void AddReshard(CLI::App& app, Commands& commands);
void AddKey(CLI::App& app, Commands& commands);
void AddPseudonyms(CLI::App& app, Commands& commands);
void AddErase(CLI::App& app, Commands& commands);
void AddReport(CLI::App& app, Commands& commands);
void AddBench(CLI::App& app, Commands& commands);
void AddSimulate(CLI::App& app, Commands& commands);
void AddScale(CLI::App& app, Commands& commands);
void AddPlan(CLI::App& app, Commands& commands);
void AddDoctor(CLI::App& app, Commands& commands);
void AddCluster(CLI::App& app, Commands& commands);
void AddWatch(CLI::App& app, Commands& commands);
void AddTop(CLI::App& app, Commands& commands);
void AddMan(CLI::App& app, Commands& commands);
void AddCompletion(CLI::App& app, Commands& commands);

}  // namespace cohort

#endif  // COHORT_LAUNCH_COMMANDS_COMMANDS_H_
