#include "server/applied_pushes.h"

#include <algorithm>

namespace cohort {
namespace {

constexpr auto kBefore = [](const auto& entry, const PushName& push) { return entry.push < push; };

}  // namespace

bool AppliedPushes::Mark(std::uint32_t worker, const PushName& push, int group) {
  if (BelowFloor(worker, push, group)) return false;
  std::vector<Entry>& entries = by_worker_[worker];
  auto it = std::lower_bound(entries.begin(), entries.end(), push, kBefore);
  if (it == entries.end() || it->push != push) it = entries.insert(it, Entry{push, {}});
  const auto bit = static_cast<std::size_t>(group);
  if (it->groups[bit]) return false;
  it->groups[bit] = true;
  return true;
}

bool AppliedPushes::Contains(std::uint32_t worker, const PushName& push, int group) const {
  if (BelowFloor(worker, push, group)) return true;
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

void AppliedPushes::Count(std::uint32_t workers) { by_worker_.resize(workers); }

void AppliedPushes::Clear() {
  for (std::vector<Entry>& entries : by_worker_) entries.clear();
  floors_.clear();
}

void AppliedPushes::RaiseFloor(std::uint32_t worker, int group, Clock clock) {
  while (floors_.size() < by_worker_.size()) floors_.emplace_back().fill(kNoFloor);
  Clock& floor = floors_[worker][static_cast<std::size_t>(group)];
  floor = std::max(floor, clock);
}

std::vector<AppliedPart> AppliedPushes::Parts() const {
  std::vector<AppliedPart> parts;
  for (std::uint32_t worker = 0; worker < by_worker_.size(); ++worker) {
    for (const Entry& entry : by_worker_[worker]) parts.push_back({worker, entry.push, entry.groups});
  }
  return parts;
}

std::vector<AppliedFloor> AppliedPushes::Floors() const {
  std::vector<AppliedFloor> floors;
  for (std::uint32_t worker = 0; worker < floors_.size(); ++worker) {
    for (std::size_t group = 0; group < kSlotGroupCount; ++group) {
      const Clock floor = floors_[worker][group];
      if (floor != kNoFloor) floors.push_back({worker, static_cast<std::uint16_t>(group), floor});
    }
  }
  return floors;
}

std::size_t AppliedPushes::entries() const {
  std::size_t sum = 0;
  for (const std::vector<Entry>& entries : by_worker_) sum += entries.size();
  return sum;
}

}  // namespace cohort
