// SCHEMA.toml. Input: the file's text. What is accepted is bound to a header, too.
#include <string>
#include <vector>

#include "prepare/schema.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/toml_bound.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cohort;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Result<Schema> schema = [&] {
    const fuzz::AllocationBound bound(size, fuzz::kTomlBound);
    return ParseSchema(text, "schema.toml", "/data");
  }();
  if (!schema) {
    fuzz::CheckRefusal(schema.error());
    return 0;
  }
  COHORT_CHECK(!schema->files.empty() && !schema->features.empty() && !schema->tasks.empty());
  const std::vector<std::string> header = {"a", "b", "c", "id", "age", "label"};
  for (const bool labels_may_be_absent : {false, true}) {
    const auto bound = BindColumns(*schema, "a.csv", header.size(), header, labels_may_be_absent);
    if (!bound) {
      fuzz::CheckRefusal(bound.error());
      continue;
    }
    COHORT_CHECK(bound->features.size() == schema->features.size() &&
                 bound->tasks.size() == schema->tasks.size());
    for (const std::ptrdiff_t column : bound->features) COHORT_CHECK(column >= 0 && column < 6);
  }
  return 0;
}
