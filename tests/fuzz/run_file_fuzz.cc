// RUN.toml and --set. Input: the file's text; behind a NUL byte each, overrides. What is accepted and written as TOML is
// read as the same configuration.
#include <string>
#include <vector>

#include "common/config.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/toml_bound.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cohort;
  std::vector<std::string> texts;
  std::string_view left(reinterpret_cast<const char*>(data), size);
  while (texts.size() < 4) {
    const std::size_t end = texts.size() == 3 ? left.npos : left.find('\0');
    texts.emplace_back(left.substr(0, end));
    if (end == left.npos) break;
    left.remove_prefix(end + 1);
  }
  const std::vector<std::string> overrides(texts.begin() + 1, texts.end());
  const Result<RunConfig> config = [&] {
    const fuzz::AllocationBound bound(size, {fuzz::kTomlBound.multiple, 512u << 10});  // the table of options
    return ParseRunConfig(texts[0], "run.toml", "/runs", overrides);
  }();
  if (!config) {
    fuzz::CheckRefusal(config.error());
    return 0;
  }
  (void)WarningsOf(*config);
  const std::string written = ToToml(*config);
  const Result<RunConfig> again = ParseRunConfig(written, "again.toml", "/elsewhere");
  COHORT_CHECK(again.has_value(), "%s", again.error().text().c_str());
  COHORT_CHECK(ToToml(*again) == written);
  return 0;
}
