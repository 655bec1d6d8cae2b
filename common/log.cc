#include "common/log.h"

#include <time.h>
#include <unistd.h>

#include <cstdio>

namespace cohort {
namespace {

std::string& LogName() {
  static std::string name = "cohort";
  return name;
}

void WriteLine(const char* mark, const std::string& text) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm local{};
  localtime_r(&now.tv_sec, &local);
  char time[32];
  std::snprintf(time, sizeof(time), "%02d:%02d:%02d.%03ld ", local.tm_hour, local.tm_min, local.tm_sec,
                now.tv_nsec / 1000000);
  std::string line = time + LogName() + ": " + mark + text;
  for (char& c : line) {
    if (c == '\n') c = ' ';
  }
  line += '\n';
  // One write: lines of several threads and processes do not mix.
  for (std::size_t done = 0; done < line.size();) {
    const ssize_t written = write(STDERR_FILENO, line.data() + done, line.size() - done);
    if (written <= 0) return;
    done += static_cast<std::size_t>(written);
  }
}

}  // namespace

void SetLogName(const std::string& name) { LogName() = name; }
void Log(const std::string& text) { WriteLine("", text); }
void LogError(const std::string& text) { WriteLine("error: ", text); }

}  // namespace cohort
