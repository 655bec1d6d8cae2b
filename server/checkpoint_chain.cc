#include "server/checkpoint_chain.h"

#include <algorithm>
#include <utility>

namespace cohort {
namespace {

constexpr std::size_t kMostInstants = 4;  // each costs a look per row
constexpr int kMostFailures = 2;

std::uint64_t RowsOf(std::span<ShardTable* const> tables) {
  std::uint64_t rows = 0;
  for (const ShardTable* table : tables) rows += table->rows().size();
  return rows;
}

}  // namespace

CheckpointChain::Base CheckpointChain::Begin(std::uint64_t number, std::span<ShardTable* const> tables,
                                             std::uint64_t slots,
                                             const std::function<bool(std::uint64_t)>& is_complete) {
  Base base;
  if (failed_ == kMostFailures) {
    for (ShardTable* table : tables) table->rows().TakeDownChanges(nullptr);
    instants_.clear();
    return base;
  }
  if (full_every_ <= 1 || std::any_of(tables.begin(), tables.end(), [](const ShardTable* table) {
        return table->spec().policy.NeedsStatistics();
      }))
    return base;
  const auto newest = std::find_if(instants_.rbegin(), instants_.rend(), [&](const Instant& instant) {
    return !instant.layers.empty() && is_complete(instant.number);
  });
  if (newest != instants_.rend()) {
    instants_.erase(instants_.begin(), std::prev(newest.base()));
    if (CanBeBase(tables)) {
      base.layers = instants_.front().layers;
      base.changed.resize(tables.size());
      for (const Instant& instant : instants_) {
        for (std::size_t t = 0; t < tables.size(); ++t) base.changed[t].push_back(instant.changed[t]);
      }
    }
  }
  if (instants_.size() == kMostInstants) instants_.erase(instants_.begin());
  Instant& now = instants_.emplace_back();
  now.number = number;
  now.rows = RowsOf(tables);
  for (ShardTable* table : tables) {
    now.changed.push_back(std::make_shared<ChangedRows>(table->rows().size(), slots));
    table->rows().TakeDownChanges(now.changed.back().get());
  }
  return base;
}

// Whether the first instant is worth being one.
bool CheckpointChain::CanBeBase(std::span<ShardTable* const> tables) const {
  const std::uint64_t rows = RowsOf(tables);
  const Instant& base = instants_.front();
  std::uint64_t changed = 0, over_lowest = 0;
  for (const Instant& instant : instants_) {
    for (const auto& piece : instant.changed) changed += piece->cells();
  }
  changed = std::max(changed, rows - base.rows);  // cells are as many as there were rows then
  for (std::size_t i = 1; i < base.layers.size(); ++i) over_lowest += base.layers[i].bytes;
  return base.layers.size() < full_every_ && over_lowest <= base.layers[0].bytes && changed <= rows / 2;
}

void CheckpointChain::End(const CheckpointDone& done) {
  if (!done.layers.empty() && failed_ < kMostFailures) failed_ = done.error.empty() ? 0 : failed_ + 1;
  for (Instant& instant : instants_) {
    if (!done.error.empty()) instant.layers.clear();
    if (!done.error.empty() || instant.number != done.number) continue;
    instant.layers = done.layers;
    instant.layers.push_back({done.number, done.bytes, done.checksum});
  }
}

}  // namespace cohort
