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

struct TerminalSize {
  std::size_t columns = 80, rows = 24;
};

TerminalSize SizeOfTerminal() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

// Over what stands on the screen: home, each line to its end, then what is below. No more than fits, or it would scroll.
std::string Picture(const RunState& state) {
  const TerminalSize size = SizeOfTerminal();
  const std::string table = TopTable(state, size.columns);
  std::string picture = "\x1b[H";
  std::size_t lines = 0;
  for (std::size_t begin = 0; begin < table.size() && lines + 1 < size.rows; ++lines) {
    const std::size_t end = table.find('\n', begin);
    picture += table.substr(begin, end - begin) + "\x1b[K\n";
    begin = end + 1;
  }
  return picture + "\x1b[J";
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
    std::fputs(Picture(view.state()).c_str(), stdout);
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
