#include "tests/simulation/sim_disk.h"

#include <algorithm>
#include <set>
#include <utility>

namespace cohort {

Status SimDisk::Begin() {
  if (!dead_ && operations_left_-- == 0) dead_ = true;
  return dead_ ? Status(ErrorCode::kIo, "the machine is dead") : Status();
}

Status SimDisk::Write(const std::string& path, std::string bytes) {
  COHORT_RETURN_IF_ERROR(Begin());
  if (random_.Uniform() < full_chance_) return {ErrorCode::kIo, path + ": no space left on device"};
  cached_[path] = std::make_shared<File>(File{std::move(bytes), ""});
  return {};
}

Status SimDisk::Sync(const std::string& path) {
  COHORT_RETURN_IF_ERROR(Begin());
  const auto found = cached_.find(path);
  if (found == cached_.end()) return {ErrorCode::kIo, path + ": no such file"};
  found->second->synced = found->second->cached;
  return {};
}

Status SimDisk::Rename(const std::string& from, const std::string& to) {
  COHORT_RETURN_IF_ERROR(Begin());
  const auto found = cached_.find(from);
  if (found == cached_.end()) return {ErrorCode::kIo, from + ": no such file"};
  cached_[to] = std::move(found->second);
  cached_.erase(found);
  return {};
}

Status SimDisk::SyncDirectory(const std::string& directory) {
  COHORT_RETURN_IF_ERROR(Begin());
  const auto within = [&](const auto& entry) { return entry.first.starts_with(directory + "/"); };
  std::erase_if(synced_, within);
  std::copy_if(cached_.begin(), cached_.end(), std::inserter(synced_, synced_.end()), within);
  return {};
}

Status SimDisk::Remove(const std::string& path) {
  COHORT_RETURN_IF_ERROR(Begin());
  cached_.erase(path);
  return {};
}

std::optional<std::string> SimDisk::Read(const std::string& path) const {
  const auto found = cached_.find(path);
  if (found == cached_.end()) return std::nullopt;
  return found->second->cached;
}

std::vector<std::string> SimDisk::List() const {
  std::vector<std::string> paths;
  for (const auto& [path, file] : cached_) paths.push_back(path);
  return paths;
}

void SimDisk::Restart(bool power) {
  dead_ = false;
  operations_left_ = ~0ull;
  if (!power) return;
  std::set<std::string> paths;
  for (const Entries* entries : {&cached_, &synced_}) {
    for (const auto& [path, file] : *entries) paths.insert(path);
  }
  Entries left;
  for (const std::string& path : paths) {
    const Entries& from = random_.Below(2) == 0 ? cached_ : synced_;
    if (const auto entry = from.find(path); entry != from.end()) left.insert(*entry);
  }
  for (auto& [path, file] : left) {
    if (file->cached == file->synced) continue;
    const std::size_t size = file->cached.size(), at = random_.Below(size + 1);
    switch (random_.Below(4)) {
      case 0:
        file->cached = file->synced;
        break;
      case 1:
        file->cached.resize(at);
        break;
      case 2:
        std::fill_n(file->cached.begin() + static_cast<std::ptrdiff_t>(at),
                    std::min<std::size_t>(size - at, 512), '\0');
        break;
      default:
        break;
    }
    file->synced = file->cached;
  }
  cached_ = synced_ = std::move(left);
}

std::string SimDisk::Rot() {
  if (cached_.empty()) return {};
  const auto entry = std::next(cached_.begin(), static_cast<std::ptrdiff_t>(random_.Below(cached_.size())));
  std::string& bytes = entry->second->cached;
  if (bytes.empty()) return {};
  if (random_.Below(4) == 0) {
    bytes.resize(random_.Below(bytes.size()));
  } else {
    bytes[random_.Below(bytes.size())] ^= static_cast<char>(1u << random_.Below(8));
  }
  entry->second->synced = bytes;
  return entry->first;
}

}  // namespace cohort
