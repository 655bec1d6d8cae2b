#include "server/pushed_rows.h"

#include "common/check.h"

namespace cohort {

void PushedRowsFinder::Start(std::size_t most) {
  used_ = 0;
  if (positions_.size() >= most) return;
  keys_.resize(most);
  positions_.resize(most);
  rows_.resize(most);
}

PushedRows PushedRowsFinder::Find(const PushRequest& push, const KeptPull* pull, const TableSpec& table,
                                  std::size_t first, std::size_t n) {
  if (pull != nullptr && push.rows.empty()) {
    return PushedRows{pull->size(), pull->keys.As<Key>().data(), pull->positions.data(),
                      pull->rows.empty() ? nullptr : pull->rows.data()}
        .Part(first, n);
  }
  COHORT_CHECK(n <= positions_.size() - used_, "%zu rows more than announced", n);
  std::uint64_t* const positions = positions_.data() + used_;
  PushedRows found{n, nullptr, positions, nullptr};
  if (pull == nullptr) {
    found.keys = push.keys.As<Key>().data() + first;
    for (std::size_t i = 0; i < n; ++i) positions[i] = RingPosition(table, found.keys[i]);
  } else {
    Key* const keys = keys_.data() + used_;
    float** const rows = pull->rows.empty() ? nullptr : rows_.data() + used_;
    const std::uint32_t* const named = push.rows.As<std::uint32_t>().data() + first;
    const Key* const pulled = pull->keys.As<Key>().data();
    for (std::size_t i = 0; i < n; ++i) {
      keys[i] = pulled[named[i]];
      positions[i] = pull->positions[named[i]];
    }
    if (rows != nullptr) {
      for (std::size_t i = 0; i < n; ++i) rows[i] = pull->rows[named[i]];
    }
    found.keys = keys;
    found.rows = rows;
  }
  used_ += n;
  return found;
}

}  // namespace cohort
