#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "launch/commands/commands.h"

namespace cohort {
namespace {

void Write(std::FILE* file, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), file);
  if (text.empty() || text.back() != '\n') std::fputc('\n', file);
  std::fflush(file);
}

}  // namespace

Console::Console(bool json) : json_(json), terminal_(isatty(STDERR_FILENO) == 1) {}

Console::~Console() { ClearProgress(); }

void Console::ClearProgress() {
  if (!progress_shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  progress_shown_ = false;
}

void Console::Print(const std::string& text) {
  ClearProgress();
  Write(json_ ? stderr : stdout, text);
}

void Console::Note(const std::string& text) {
  ClearProgress();
  Write(stderr, text);
}

void Console::Progress(const std::string& line) {
  if (!terminal_) return;
  std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  std::fflush(stderr);
  progress_shown_ = true;
}

void Console::PrintJson(const std::string& object) {
  if (!json_ || json_printed_) return;
  Write(stdout, object);
  json_printed_ = true;
}

void Console::Finish(const Status& status) {
  if (!status.ok()) Note("error: " + status.text());
  if (!json_ || json_printed_) return;
  if (object_.empty()) {
    nlohmann::json object = {{"status", status.ok() ? "done" : "failed"}};
    if (!status.ok()) object["reason"] = status.text();
    object_ = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  PrintJson(object_);
}

}  // namespace cohort
