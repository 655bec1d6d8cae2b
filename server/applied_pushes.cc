#include "server/applied_pushes.h"

#include <algorithm>

namespace cohort {
namespace {

constexpr auto kBefore = [](const auto& entry, const PushName& push) { return entry.push < push; };

}  // namespace

bool AppliedPushes::Mark(std::uint32_t worker, const PushName& push, int group) {
  std::vector<Entry>& entries = by_worker_[worker];
  auto it = std::lower_bound(entries.begin(), entries.end(), push, kBefore);
  if (it == entries.end() || it->push != push) it = entries.insert(it, Entry{push, {}});
  const auto bit = static_cast<std::size_t>(group);
  if (it->groups[bit]) return false;
  it->groups[bit] = true;
  return true;
}

bool AppliedPushes::Contains(std::uint32_t worker, const PushName& push, int group) const {
  const std::vector<Entry>& entries = by_worker_[worker];
  const auto it = std::lower_bound(entries.begin(), entries.end(), push, kBefore);
  return it != entries.end() && it->push == push && it->groups[static_cast<std::size_t>(group)];
}

void AppliedPushes::Forget(std::uint32_t worker, Clock closed) {
  std::vector<Entry>& entries = by_worker_[worker];
  const auto end = std::find_if(entries.begin(), entries.end(),
                                [closed](const Entry& entry) { return entry.push.clock > closed; });
  entries.erase(entries.begin(), end);
}

void AppliedPushes::Clear() {
  for (std::vector<Entry>& entries : by_worker_) entries.clear();
}

std::size_t AppliedPushes::entries() const {
  std::size_t sum = 0;
  for (const std::vector<Entry>& entries : by_worker_) sum += entries.size();
  return sum;
}

}  // namespace cohort
