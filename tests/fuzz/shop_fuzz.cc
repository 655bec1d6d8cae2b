// SHOP.toml. Input: the file's text.
#include <string>

#include "lifecycle/shop_schema.h"
#include "lifecycle/user_features.h"
#include "lifecycle/user_labels.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/toml_bound.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cohort;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Result<ShopSchema> schema = [&] {
    const fuzz::AllocationBound bound(size, fuzz::kTomlBound);
    return ParseShopSchema(text, "shop.toml", "/data");
  }();
  if (!schema) {
    fuzz::CheckRefusal(schema.error());
    return 0;
  }
  // Snapshots ascend, those to train on first, the test last.
  const auto& snapshots = schema->snapshots;
  COHORT_CHECK(snapshots.size() >= 2 && snapshots.size() <= kMostSnapshots);
  COHORT_CHECK(snapshots.front().split == Split::kTrain && snapshots.back().split == Split::kTest);
  for (std::size_t i = 1; i < snapshots.size(); ++i)
    COHORT_CHECK(snapshots[i - 1].time < snapshots[i].time && snapshots[i - 1].split <= snapshots[i].split);
  const UserFeatures features(*schema);
  const UserLabels labels(*schema);
  COHORT_CHECK(!schema->events.files.empty() && !labels.infos().empty());
  COHORT_CHECK(features.bins().size() == features.infos().size());
  return 0;
}
