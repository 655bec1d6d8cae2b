#include "common/toml_guard.h"

#include <algorithm>
#include <cctype>

namespace cohort {
namespace {

bool BeginsKey(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '"' || c == '\'';
}

bool BeyondAscii(char c) { return static_cast<unsigned char>(c) >= 0x80; }

// The place behind the string that begins at `at`. One that is not closed ends with its line, or with the text. `trimmed`:
// the last place where a character beyond ASCII follows a backslash, or space that a backslash takes away.
std::size_t EndOfString(std::string_view text, std::size_t at, std::size_t* trimmed) {
  const char quote = text[at];
  const bool lines = text.substr(at, 3) == std::string(3, quote);
  for (std::size_t i = at + (lines ? 3 : 1); i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      const std::size_t next = std::min(text.find_first_not_of(" \t\n\v\f\r", i + 1), text.size());
      if (lines && next < text.size() && BeyondAscii(text[next])) *trimmed = next;
      ++i;
    } else if (lines && text.substr(i, 3) == std::string(3, quote)) {
      // Up to two more quotes are content.
      const std::size_t end = std::min(text.find_first_not_of(quote, i), text.size());
      return std::min(end, i + 5);
    } else if (!lines && (text[i] == quote || text[i] == '\n')) {
      return i + (text[i] == quote ? 1 : 0);
    }
  }
  return text.size();
}

}  // namespace

Status CheckTomlShape(std::string_view text, const std::string& origin) {
  std::size_t dots = 0, line = 1, line_begin = 0;
  std::string open;  // brackets
  bool line_is_blank = true, in_header = false;
  bool in_value = false;  // else in a key, or between statements
  const auto bad = [&](std::size_t at, const std::string& what) {
    return Status(ErrorCode::kInvalidInput, origin + ":" + std::to_string(line) + ":" +
                                                std::to_string(at - line_begin + 1) + ": " + what);
  };
  for (std::size_t i = text.starts_with("\xEF\xBB\xBF") ? 3 : 0; i < text.size();) {  // a byte order mark
    const char c = text[i];
    if (c == '\n') {
      ++line, line_begin = ++i, dots = 0, line_is_blank = true, in_header = false;
      in_value = in_value && !open.empty();
      continue;
    }
    if (c == ' ' || c == '\t') {
      ++i;
      continue;
    }
    const bool begins_line = line_is_blank;
    line_is_blank = false;
    if (c == '#') {
      i = std::min(text.find('\n', i), text.size());
      continue;
    }
    if (c == '"' || c == '\'') {
      std::size_t trimmed = text.npos;
      const std::size_t end = EndOfString(text, i, &trimmed);
      for (; i < end; ++i) {
        if (text[i] == '\n') ++line, line_begin = i + 1;
        if (i == trimmed) {
          return bad(i,
                     "a character beyond ASCII follows a backslash; put it before the backslash, or write "
                     "the backslash twice");
        }
      }
      continue;
    }
    if (c == '[' || c == '{') {
      dots = 0;
      if (begins_line && c == '[' && open.empty()) {
        in_header = true;
        const std::size_t first = text.substr(i, 2) == "[[" ? i + 2 : i + 1;
        const std::size_t name = text.find_first_not_of(" \t", first);
        if (name != text.npos && text[name] != ']' && !BeginsKey(text[name])) {
          return bad(name,
                     "the name of a table was expected: letters, digits, _ and -, or any text in quotes");
        }
      }
      in_value = c == '[' && !in_header;
      open += c;
      if (open.size() > kMaxTomlDepth) {
        return bad(i, "brackets within brackets, more than " + std::to_string(kMaxTomlDepth) +
                          " deep; is one not closed?");
      }
    } else if (c == ']' || c == '}') {
      if (!open.empty()) open.pop_back();
    } else if (c == ',') {
      dots = 0;
      in_value = !open.empty() && open.back() == '[' && !in_header;
    } else if (c == '=' && !in_value) {
      dots = 0;
      in_value = true;
    } else {
      // A number, a date or a word goes on to the next of these, whatever is in it: quotes begin no text there.
      const std::size_t end =
          in_value ? std::min(text.find_first_of(" \t\n\v\f\r]},#", i + 1), text.size()) : i + 1;
      for (; i < end; ++i) {
        if (BeyondAscii(text[i])) return bad(i, "a character that may stand in quotes only");
        if (!in_value && text[i] == '.' && ++dots > kMaxTomlDots) {
          return bad(i, "a key of more than " + std::to_string(kMaxTomlDots) + " dots");
        }
      }
      continue;
    }
    ++i;
  }
  return {};
}

}  // namespace cohort
