// EmbeddingTable: rows that do not fit into memory.
#include <algorithm>
#include <cstring>
#include <optional>

#include "common/check.h"
#include "server/embedding_table.h"
#include "server/table_copy.h"

namespace cohort {
namespace {

// Rows that the hand looks at in one call, at the most, while memory is not pressing: a tenth of a millisecond.
constexpr std::uint64_t kLooks = 1u << 16;
// Rows in memory may be one in so many too many before the disk is waited for.
constexpr std::uint64_t kSlackShare = 8;

const Status kOk;

}  // namespace

void EmbeddingTable::UseTier(ColdRows* cold, std::uint64_t max_rows) {
  COHORT_CHECK(spec_.kind == TableKind::kSparse && size() == 0 && cold != nullptr);
  cold_ = cold;
  max_rows_ = max_rows;
}

const Status& EmbeddingTable::tier_failure() const { return cold_ == nullptr ? kOk : cold_->failure(); }

const Status& EmbeddingTable::tier_full() const {
  return cold_ == nullptr || rows_in_memory_ <= max_rows_ ? kOk : cold_->full();
}

void EmbeddingTable::Use(std::span<const std::uint64_t> positions, std::uint64_t use,
                         std::vector<ColdEntry>* cold, std::vector<float*>* found) {
  cold->clear();
  found->assign(positions.size(), nullptr);
  last_use_ = std::max(last_use_, use);
  std::uint32_t numbers[RowIndex::kMostAtOnce];
  for (std::size_t begin = 0; begin < positions.size(); begin += RowIndex::kMostAtOnce) {
    const auto piece = positions.subspan(begin, std::min(RowIndex::kMostAtOnce, positions.size() - begin));
    index_.Find(piece, numbers);
    std::size_t hot = 0;  // their numbers move to the front
    for (std::size_t i = 0; i < piece.size(); ++i) {
      const std::uint32_t number = numbers[i];
      if (number == RowIndex::kNoRow) continue;
      if (number >= kCold) {
        cold->push_back({piece[i], number - kCold});
      } else {
        __builtin_prefetch(&hot_[number], 1);
        (*found)[begin + i] = Row(number);
        numbers[hot++] = number;
      }
    }
    for (std::size_t i = 0; i < hot; ++i) hot_[numbers[i]].use = std::max(hot_[numbers[i]].use, use);
  }
}

void EmbeddingTable::Install(const ColdEntry& cold, const float* row, std::uint64_t use) {
  if (index_.Find(cold.position) != kCold + cold.place) return;
  const std::uint32_t number = TakeRow();
  std::memcpy(Row(number), row, stride_ * sizeof(float));
  hot_[number] = {cold.position, use};
  index_.Replace(cold.position, number);
  cold_->Free(cold.place);
}

void EmbeddingTable::Trim(std::uint64_t before) {
  const std::uint64_t most = max_rows_ + max_rows_ / kSlackShare;
  // Within three turns every row has been looked at with a chance to go.
  std::uint64_t looks = 3 * std::uint64_t{used_rows_};
  if (rows_in_memory_ <= most) looks = std::min(looks, kLooks);
  for (; rows_in_memory_ > max_rows_ && looks > 0; --looks) {
    if (hand_ == used_rows_) {
      hand_ = 0;
      idle_since_ = turn_use_;
      turn_use_ = last_use_;
    }
    const std::uint32_t number = hand_;
    const Hot hot = hot_[number];
    if (hot.use >= before || hot.use > idle_since_) {
      ++hand_;
      continue;
    }
    if (copy_ != nullptr) copy_->BeforeChange({&hot.position, 1});  // it moves, and stays what it is
    const std::optional<std::uint32_t> place = cold_->Write(hot.position, Row(number));
    if (!place) {
      if (rows_in_memory_ <= most || !cold_->WaitForRoom()) return;
      continue;
    }
    index_.Replace(hot.position, kCold + *place);
    FreeRow(number);
    ++hand_;
  }
}

}  // namespace cohort
