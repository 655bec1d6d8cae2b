// One line per event on stderr: "12:34:56.789 worker 0: text". Thread-safe; a line is written whole.
#ifndef COHORT_COMMON_LOG_H_
#define COHORT_COMMON_LOG_H_

#include <string>

namespace cohort {

// Names the process in its lines: "worker 0". Before the first line of other threads.
void SetLogName(const std::string& name);
void Log(const std::string& text);
// The same, marked "error: ": what `cohort train` shows to its user at once.
void LogError(const std::string& text);

}  // namespace cohort

#endif  // COHORT_COMMON_LOG_H_
