// Cells as moments.
#ifndef COHORT_LIFECYCLE_EVENT_TIME_H_
#define COHORT_LIFECYCLE_EVENT_TIME_H_

#include <optional>
#include <string>
#include <string_view>

#include "lifecycle/event.h"

namespace cohort {

// How a column writes times:
//   "iso"      YYYY-MM-DD, or with "T" or a space hh:mm, hh:mm:ss or hh:mm:ss.fraction; then "Z" or an offset +hh:mm, which
//              is taken off. Without one the time is taken as it stands (the shop's own clock)
//   "unix"     seconds since 1970, "unix_ms" thousandths of them; fractions of a second are cut off
//   a pattern  of strptime(3) with a '%', as "%d/%m/%Y %H:%M"; the whole cell must match, and day, month and year be in it
class TimeFormat {
 public:
  TimeFormat() = default;  // "iso"
  // Nothing when `text` is none of them.
  static std::optional<TimeFormat> Parse(const std::string& text);
  // Nothing when the cell does not hold such a time, or one before 1970 or after the year 9999.
  std::optional<Time> Read(std::string_view cell) const;
  // What Read expects, for errors: "a time like 2011-10-01 08:30:00".
  std::string Expected() const;
  // What Parse makes it of.
  std::string Text() const;

 private:
  enum class Kind { kIso, kUnix, kUnixMilliseconds, kPattern };
  Kind kind_ = Kind::kIso;
  std::string pattern_;
};

inline constexpr Time kLatestTime = 253'402'300'799;  // 9999-12-31 23:59:59

// "2011-10-01", or with the time of day where that is not midnight.
std::string TimeText(Time time);

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_EVENT_TIME_H_
