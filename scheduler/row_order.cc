#include "scheduler/row_order.h"

#include <string>
#include <utility>

namespace cohort {
namespace {

std::string Rows(std::uint64_t first, std::uint64_t count) {
  return "rows " + std::to_string(first) + " to " + std::to_string(first + count);
}

bool HasFloats(const Buffer& buffer, std::uint64_t count) { return buffer.size() == count * sizeof(float); }

}  // namespace

Status RowOrder::Take(ScoreBlock block, const LeaseRecord& lease, std::uint32_t prediction_columns) {
  const std::uint64_t first = block.first_row, count = block.rows;
  if (count == 0 || first < lease.first_row || first - lease.first_row > lease.rows ||
      count > lease.rows - (first - lease.first_row)) {
    return {ErrorCode::kCorrupt, "predictions of " + Rows(first, count) + " are outside lease " +
                                     std::to_string(lease.lease) + " of " +
                                     Rows(lease.first_row, lease.rows)};
  }
  if (block.prediction_columns != prediction_columns ||
      !HasFloats(block.predictions, count * prediction_columns)) {
    return {ErrorCode::kCorrupt, "predictions of " + Rows(first, count) + " have sizes that do not fit: " +
                                     std::to_string(block.prediction_columns) + " columns, expected " +
                                     std::to_string(prediction_columns)};
  }
  if (first + count <= next_row_) return {};  // taken and handed on before
  const auto after = held_.lower_bound(first);
  if (after != held_.end() && after->first == first && after->second.rows == count) return {};
  const bool overlaps_before =
      first < next_row_ ||
      (after != held_.begin() && std::prev(after)->first + std::prev(after)->second.rows > first);
  const bool overlaps_after = after != held_.end() && after->first < first + count;
  if (overlaps_before || overlaps_after) {
    return {ErrorCode::kCorrupt,
            "predictions of " + Rows(first, count) + " overlap others of the same lease"};
  }
  held_.emplace_hint(after, first, std::move(block));
  return {};
}

std::optional<ScoreBlock> RowOrder::Next() {
  if (held_.empty() || held_.begin()->first != next_row_) return std::nullopt;
  auto node = held_.extract(held_.begin());
  next_row_ += node.mapped().rows;
  return std::move(node.mapped());
}

}  // namespace cohort
