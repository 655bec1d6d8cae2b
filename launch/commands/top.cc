// cohort top: a run in a terminal (launch/watch/top_table.h; docs/watching.md).
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "common/process.h"
#include "launch/commands/commands.h"
#include "launch/watch/run_view.h"
#include "launch/watch/state_json.h"
#include "launch/watch/top_table.h"

namespace cohort {
namespace {

constexpr auto kRedraw = std::chrono::seconds(1);
constexpr auto kSignalCheck = std::chrono::milliseconds(100);

std::size_t TerminalWidth() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

Status Top(const std::string& run, Console& console) {
  COHORT_ASSIGN_OR_RETURN(RunView view, RunView::Open(run));
  do view.Refresh();
  while (view.state().read_share < 1);
  console.SetJson(StateToJson(view.state()));
  if (console.json()) return {};
  if (isatty(STDOUT_FILENO) != 1) {
    console.Print(TopTable(view.state(), 0));
    return {};
  }
  CatchStopSignals();
  for (;;) {
    // Home, and each line to its end; then what is below.
    std::string picture = "\x1b[H";
    for (const char c : TopTable(view.state(), TerminalWidth()))
      picture += c == '\n' ? "\x1b[K\n" : std::string(1, c);
    std::fputs((picture + "\x1b[J").c_str(), stdout);
    std::fflush(stdout);
    if (IsOver(view.state().stage)) return {};
    const auto next = std::chrono::steady_clock::now() + kRedraw;
    while (std::chrono::steady_clock::now() < next) {
      if (StopSignal() != 0) return {};
      std::this_thread::sleep_for(kSignalCheck);
    }
    view.Refresh();
  }
}

}  // namespace

void AddTop(CLI::App& app, Commands& commands) {
  auto run = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "top", "a run in a terminal, drawn anew every second until it is over; not on a terminal: once");
  command->add_option("RUN_DIR", *run, "of a run that goes on, has died or is over")->required();
  commands[command] = [run](Console& console) { return Top(*run, console); };
}

}  // namespace cohort
