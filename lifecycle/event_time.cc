#include "lifecycle/event_time.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "prepare/number.h"

namespace cohort {
namespace {

// Reads digits from the front of a text, and what must stand there.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  bool Number(std::size_t digits, int least, int most, int* value) {
    if (text_.size() < digits) return false;
    *value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (text_[i] < '0' || text_[i] > '9') return false;
      *value = *value * 10 + (text_[i] - '0');
    }
    text_.remove_prefix(digits);
    return *value >= least && *value <= most;
  }
  bool Take(char c) {
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void SkipDigits() {
    while (!text_.empty() && text_[0] >= '0' && text_[0] <= '9') text_.remove_prefix(1);
  }
  bool at_end() const { return text_.empty(); }

 private:
  std::string_view text_;
};

std::optional<Time> Days(int year, int month, int day) {
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

std::optional<Time> ReadIso(std::string_view cell) {
  Scanner scanner(cell);
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!scanner.Number(4, 0, 9999, &year) || !scanner.Take('-') || !scanner.Number(2, 1, 12, &month) ||
      !scanner.Take('-') || !scanner.Number(2, 1, 31, &day))
    return std::nullopt;
  const std::optional<Time> days = Days(year, month, day);
  if (!days) return std::nullopt;
  Time offset = 0;
  if (!scanner.at_end()) {
    if (!scanner.Take('T') && !scanner.Take(' ')) return std::nullopt;
    if (!scanner.Number(2, 0, 23, &hour) || !scanner.Take(':') || !scanner.Number(2, 0, 59, &minute))
      return std::nullopt;
    if (scanner.Take(':')) {
      if (!scanner.Number(2, 0, 59, &second)) return std::nullopt;
      if (scanner.Take('.')) scanner.SkipDigits();
    }
    const bool plus = scanner.Take('+');
    if (plus || scanner.Take('-')) {
      int hours = 0, minutes = 0;
      if (!scanner.Number(2, 0, 23, &hours)) return std::nullopt;
      scanner.Take(':');
      if (!scanner.Number(2, 0, 59, &minutes)) return std::nullopt;
      offset = (plus ? 1 : -1) * (hours * 3600 + minutes * 60);
    } else {
      scanner.Take('Z');
    }
    if (!scanner.at_end()) return std::nullopt;
  }
  return *days * kDay + hour * 3600 + minute * 60 + second - offset;
}

std::optional<Time> ReadPattern(const std::string& pattern, std::string_view cell) {
  char text[128];
  if (cell.size() >= sizeof text) return std::nullopt;
  *std::copy(cell.begin(), cell.end(), text) = '\0';
  constexpr int kUnset = -1'000'000;
  std::tm parts{};
  parts.tm_year = parts.tm_mon = parts.tm_mday = kUnset;
  const char* end = ::strptime(text, pattern.c_str(), &parts);
  if (end == nullptr || *end != '\0' || parts.tm_year == kUnset || parts.tm_mon == kUnset ||
      parts.tm_mday == kUnset)
    return std::nullopt;
  // Not timegm: it would take the 31st of February for a day in March.
  const std::optional<Time> days = Days(parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
  if (!days) return std::nullopt;
  return *days * kDay + parts.tm_hour * 3600 + parts.tm_min * 60 + std::min(parts.tm_sec, 59);
}

}  // namespace

std::optional<TimeFormat> TimeFormat::Parse(const std::string& text) {
  TimeFormat format;
  if (text == "iso") return format;
  if (text == "unix") {
    format.kind_ = Kind::kUnix;
  } else if (text == "unix_ms") {
    format.kind_ = Kind::kUnixMilliseconds;
  } else if (text.find('%') != std::string::npos) {
    format.kind_ = Kind::kPattern;
    format.pattern_ = text;
  } else {
    return std::nullopt;
  }
  return format;
}

std::optional<Time> TimeFormat::Read(std::string_view cell) const {
  std::optional<Time> time;
  switch (kind_) {
    case Kind::kIso:
      time = ReadIso(cell);
      break;
    case Kind::kPattern:
      time = ReadPattern(pattern_, cell);
      break;
    case Kind::kUnix:
    case Kind::kUnixMilliseconds: {
      double number = 0;
      if (ParseNumber(cell, &number) != NumberKind::kNumber) return std::nullopt;
      if (kind_ == Kind::kUnixMilliseconds) number /= 1000;
      if (!(number >= 0) || number > static_cast<double>(kLatestTime)) return std::nullopt;
      time = static_cast<Time>(std::floor(number));
    }
  }
  if (!time || *time < 0 || *time > kLatestTime) return std::nullopt;
  return time;
}

std::string TimeFormat::Text() const {
  switch (kind_) {
    case Kind::kIso:
      return "iso";
    case Kind::kUnix:
      return "unix";
    case Kind::kUnixMilliseconds:
      return "unix_ms";
    case Kind::kPattern:
      break;
  }
  return pattern_;
}

std::string TimeFormat::Expected() const {
  switch (kind_) {
    case Kind::kIso:
      return "a time from 1970 on like 2011-10-01 or 2011-10-01 08:30:00 (name another form with "
             "time_format)";
    case Kind::kUnix:
      return "a number of seconds since 1970";
    case Kind::kUnixMilliseconds:
      return "a number of milliseconds since 1970";
    case Kind::kPattern:
      break;
  }
  return "a time from 1970 on of the form \"" + pattern_ + "\"";
}

std::string TimeText(Time time) {
  const std::chrono::sys_days day{std::chrono::days(time / kDay)};
  const std::chrono::year_month_day date(day);
  char text[64];
  int length = std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()),
                             static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  if (const int second = static_cast<int>(time % kDay); second > 0) {
    length += std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length), " %02d:%02d:%02d",
                            second / 3600, second / 60 % 60, second % 60);
  }
  return {text, static_cast<std::size_t>(length)};
}

}  // namespace cohort
