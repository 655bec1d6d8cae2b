// Texts of the report: escaping, and numbers as people read them.
#ifndef COHORT_LAUNCH_REPORT_HTML_H_
#define COHORT_LAUNCH_REPORT_HTML_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace cohort {

// For text and for attribute values in double quotes. Control characters and bytes that are not UTF-8 become
// U+FFFD, so that no file's content can break the page.
std::string EscapeHtml(std::string_view text);

std::string TableCell(std::string_view html);  // <td>

// printf into a string. REQUIRES: a format of this program's own.
std::string Format(const char* format, ...) __attribute__((format(printf, 1, 2)));

std::string FormatMetric(double value);     // four significant digits; an en dash for NaN
std::string FormatCount(double value);      // 12,345,678
std::string FormatShort(double value);      // 950, 1.2k, 3.4M
std::string FormatBytes(double bytes);      // 1.5 MiB
std::string FormatSeconds(double seconds);  // 8.3 s, 2 min 05 s, 1 h 02 min

}  // namespace cohort

#endif  // COHORT_LAUNCH_REPORT_HTML_H_
