// cohort watch: a live page of a run, and its metrics for Prometheus (launch/watch/watch_server.h; docs/watching.md).
#include "launch/watch/watch_server.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "common/atomic_file.h"
#include "common/process.h"
#include "common/secret_key.h"
#include "launch/commands/commands.h"

namespace cohort {
namespace {

struct WatchArguments {
  std::string run, listen = "127.0.0.1:0", token_file;
  bool no_token = false;
};

Result<std::string> TokenFor(const WatchArguments& arguments) {
  if (arguments.no_token) return std::string();
  if (arguments.token_file.empty()) return NewToken();
  COHORT_ASSIGN_OR_RETURN([[maybe_unused]] const SecretKey key, SecretKey::ReadOrMake(arguments.token_file));
  COHORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(arguments.token_file));
  return text.substr(0, 2 * SecretKey::kBytes);
}

Status Watch(const WatchArguments& arguments, Console& console) {
  if (arguments.no_token && !arguments.token_file.empty())
    return Refused("--no-token and --token-file exclude each other");
  COHORT_ASSIGN_OR_RETURN(const ListenAt at, ParseListenAt(arguments.listen));
  COHORT_ASSIGN_OR_RETURN(RunView view, RunView::Open(arguments.run));
  COHORT_ASSIGN_OR_RETURN(const std::string token, TokenFor(arguments));
  COHORT_ASSIGN_OR_RETURN(const auto server, WatchServer::Listen(std::move(view), at, token));
  CatchStopSignals();
  if (!at.loopback()) {
    console.Note(token.empty()
                     ? "warning: whoever reaches this address can see the run: there is no token"
                     : "note: what is sent is not encrypted, the token neither: use a network you trust");
  }
  console.Print("watching " + arguments.run + " at " + server->url() + "\nCtrl-C ends it; the run goes on");
  console.PrintJson(nlohmann::json{{"status", "done"}, {"url", server->url()}}.dump());
  server->Run([] { return StopSignal() != 0; });
  return {};
}

}  // namespace

void AddWatch(CLI::App& app, Commands& commands) {
  auto arguments = std::make_shared<WatchArguments>();
  CLI::App* command = app.add_subcommand("watch", "a live page of a run, and its metrics for Prometheus");
  command->add_option("RUN_DIR", arguments->run, "of a run that goes on, has died or is over")->required();
  command->add_option("--listen", arguments->listen, "ADDRESS:PORT (0: any free port)")
      ->capture_default_str();
  command->add_option(
      "--token-file", arguments->token_file,
      "the token is what this file holds, made if it is not there; default: a new one every time");
  command->add_flag("--no-token", arguments->no_token, "let in whoever reaches the address");
  commands[command] = [arguments](Console& console) { return Watch(*arguments, console); };
}

}  // namespace cohort
