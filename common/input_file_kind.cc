#include "common/input_file_kind.h"

#include <algorithm>
#include <initializer_list>

namespace cohort {
namespace {

struct Kind {
  InputFileKind kind;
  const char* name;
  std::initializer_list<std::string_view> keys;  // that a file of this kind has, and no other
};
const Kind kKinds[] = {
    {InputFileKind::kSchema, "a SCHEMA.toml, of `cohort prepare`", {"source", "id"}},
    {InputFileKind::kShop,
     "a SHOP.toml, of `cohort prepare` and `cohort recommend`",
     {"shop", "events", "items", "campaigns", "snapshots", "labels"}},
    {InputFileKind::kRun,
     "a run file, of `cohort train`",
     {"model", "train", "optimizer", "cluster", "two_tower"}},
    {InputFileKind::kActions, "an ACTIONS.toml, of `cohort strategy`", {"action", "budget", "holdout"}},
    {InputFileKind::kExperiment,
     "an EXPERIMENT.toml, of `cohort scale` and `cohort simulate`",
     {"experiment", "matrix"}},
};

}  // namespace

std::string OtherKindOfFile(std::string_view key, InputFileKind expected) {
  for (const Kind& kind : kKinds) {
    if (kind.kind == expected || std::find(kind.keys.begin(), kind.keys.end(), key) == kind.keys.end())
      continue;
    return "; this looks like " + std::string(kind.name);
  }
  return "";
}

}  // namespace cohort
