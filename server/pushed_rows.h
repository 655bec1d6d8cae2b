// The rows that a push speaks of, found out from its keys or from the kept pull that it names.
#ifndef COHORT_SERVER_PUSHED_ROWS_H_
#define COHORT_SERVER_PUSHED_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/message.h"
#include "common/table_spec.h"
#include "server/kept_pulls.h"

namespace cohort {

// Keys and ring positions of `count` rows side by side and, if known, where the rows are in the table.
struct PushedRows {
  std::size_t count = 0;
  const Key* keys = nullptr;
  const std::uint64_t* positions = nullptr;
  float* const* rows =
      nullptr;  // null: to be looked up; rows[i] null: there was none when the pull was answered

  std::span<const Key> key_span() const { return {keys, count}; }
  std::span<const std::uint64_t> position_span() const { return {positions, count}; }
  std::span<float* const> row_span() const { return {rows, rows == nullptr ? 0 : count}; }
  PushedRows Part(std::size_t first, std::size_t n) const {
    return {n, keys + first, positions + first, rows == nullptr ? nullptr : rows + first};
  }
};

// Finds out the rows of some pushes at a time; what has to be written down for it lives here until the next Start.
class PushedRowsFinder {
 public:
  // `most`: rows of all Find until the next Start.
  void Start(std::size_t most);
  // Rows [first, first + n) of a push that CheckPush found right. `pull`: the one it names, null if it has keys.
  PushedRows Find(const PushRequest& push, const KeptPull* pull, const TableSpec& table, std::size_t first,
                  std::size_t n);

 private:
  std::vector<Key> keys_;
  std::vector<std::uint64_t> positions_;
  std::vector<float*> rows_;
  std::size_t used_ = 0;
};

}  // namespace cohort

#endif  // COHORT_SERVER_PUSHED_ROWS_H_
