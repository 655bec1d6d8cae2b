#include "prepare/words.h"

#include <locale.h>
#include <wctype.h>

#include "common/check.h"

namespace cohort {
namespace {

constexpr std::uint32_t kNoLetter = 0;

// The code point at the text's begin, which is taken off; kNoLetter for a byte that begins no valid one (RFC 3629).
std::uint32_t TakeCodePoint(std::string_view* text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>((*text)[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  std::uint32_t point = length == 1   ? first
                        : length == 2 ? first & 0x1f
                        : length == 3 ? first & 0xf
                                      : first & 7;
  bool valid = length > 0 && first < 0xf5 && length <= text->size();
  for (std::size_t i = 1; valid && i < length; ++i) {
    valid = (byte(i) & 0xc0) == 0x80;
    point = point << 6 | (byte(i) & 0x3f);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  valid = valid && point >= kLeast[length] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
  text->remove_prefix(valid ? length : 1);
  return valid ? point : kNoLetter;
}

void AppendCodePoint(std::uint32_t point, std::string* text) {
  const auto add = [&](std::uint32_t byte) { *text += static_cast<char>(byte); };
  if (point < 0x80) return add(point);
  if (point < 0x800) {
    add(0xc0 | point >> 6);
  } else {
    if (point < 0x10000) {
      add(0xe0 | point >> 12);
    } else {
      add(0xf0 | point >> 18);
      add(0x80 | (point >> 12 & 0x3f));
    }
    add(0x80 | (point >> 6 & 0x3f));
  }
  add(0x80 | (point & 0x3f));
}

locale_t Unicode() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  COHORT_CHECK(locale != nullptr, "the C library has no locale C.UTF-8");
  return locale;
}

}  // namespace

const std::vector<std::string>& Words::Of(std::string_view text) {
  const locale_t locale = Unicode();
  std::size_t count = 0;
  bool inside = false;
  while (!text.empty()) {
    const auto point = static_cast<wint_t>(TakeCodePoint(&text));
    if (point == kNoLetter || iswalnum_l(point, locale) == 0) {
      inside = false;
      continue;
    }
    if (!inside) {
      if (words_.size() == count) words_.emplace_back();
      words_[count++].clear();
      inside = true;
    }
    AppendCodePoint(towlower_l(point, locale), &words_[count - 1]);
  }
  words_.resize(count);
  return words_;
}

void Words::AppendNgrams(std::string_view text, std::uint32_t ngrams, const FeatureKeys& keys,
                         std::vector<Key>* out) {
  Of(text);
  for (std::size_t first = 0; first < words_.size(); ++first) {
    run_.clear();
    for (std::size_t last = first; last < words_.size() && last < first + ngrams; ++last) {
      if (last > first) run_ += ' ';
      run_ += words_[last];
      out->push_back(keys.Category(run_));
    }
  }
}

}  // namespace cohort
