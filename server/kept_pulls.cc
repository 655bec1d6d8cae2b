#include "server/kept_pulls.h"

#include <algorithm>
#include <utility>

namespace cohort {

KeptPulls::KeptPulls(std::uint32_t workers, std::uint64_t max_bytes)
    : max_bytes_(max_bytes), by_worker_(workers), spare_(std::make_shared<Spare>()) {}

std::shared_ptr<KeptPull> KeptPulls::NewList() {
  std::unique_ptr<KeptPull> list;
  if (spare_->empty()) {
    list = std::make_unique<KeptPull>();
  } else {
    list = std::move(spare_->back());
    spare_->pop_back();
  }
  return {list.release(), [spare = spare_](KeptPull* returned) {
            returned->keys = Buffer();  // lets the frame go
            spare->emplace_back(returned);
          }};
}

void KeptPulls::Keep(std::uint32_t worker, std::shared_ptr<const KeptPull> pull) {
  if (pull->bytes() > max_bytes_) {
    ++forgotten_;
    return;
  }
  if (Find(worker, pull->id) != nullptr) return;
  bytes_ += pull->bytes();
  by_worker_[worker].push_back({pull->id, pull->clock, next_number_++, std::move(pull)});
  while (bytes_ > max_bytes_) ForgetOldest();
}

void KeptPulls::ForgetOldest() {
  const auto age = [](const std::vector<Entry>& entries) {
    return entries.empty() ? ~std::uint64_t{0} : entries.front().number;
  };
  auto& entries = *std::min_element(by_worker_.begin(), by_worker_.end(),
                                    [&](const auto& a, const auto& b) { return age(a) < age(b); });
  bytes_ -= entries.front().pull->bytes();
  entries.erase(entries.begin());
  ++forgotten_;
}

std::shared_ptr<const KeptPull> KeptPulls::Find(std::uint32_t worker, RequestId id) const {
  for (const Entry& entry : by_worker_[worker]) {
    if (entry.id == id) return entry.pull;
  }
  return nullptr;
}

void KeptPulls::Forget(std::uint32_t worker, Clock closed) {
  std::erase_if(by_worker_[worker], [&](const Entry& entry) {
    if (entry.clock > closed) return false;
    bytes_ -= entry.pull->bytes();
    return true;
  });
}

void KeptPulls::Clear() {
  for (auto& entries : by_worker_) entries.clear();
  bytes_ = 0;
}

}  // namespace cohort
