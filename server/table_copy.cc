#include "server/table_copy.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/check.h"
#include "server/embedding_table.h"

namespace cohort {
namespace {

// Pieces of the disk on their way at a time.
constexpr std::uint32_t kPiecesAhead = 2;
constexpr std::size_t kEntriesAtATime = 512;
constexpr std::size_t kRowsAhead = 16;  // rows fetched before they are copied
constexpr std::size_t kLookedAt = 16;  // rows that are looked at, and not copied, in the time of one that is
constexpr int kMarkedBits = 17;     // 1 MB of positions, which a core's own cache holds
std::size_t MarkedPlace(std::uint64_t position) { return position & ((std::size_t{1} << kMarkedBits) - 1); }

std::uint64_t FirstOfSlot(int slot) { return static_cast<std::uint64_t>(slot) << 50; }
static_assert(kSlotCount == 1 << (64 - 50));

}  // namespace

TableCopy::TableCopy(EmbeddingTable& table, std::size_t block_bytes, ChangesSince changed)
    : table_(table),
      block_bytes_(block_bytes),
      changed_(std::move(changed)),
      statistics_(table.spec().policy.NeedsStatistics()) {
  COHORT_CHECK(table.copy_ == nullptr && block_bytes > 0);
  table_.index_.BeginMarking();
  // Nobody's own place, each: a position with these bits has another.
  marked_.assign(std::size_t{1} << kMarkedBits, 0);
  marked_[MarkedPlace(0)] = 1;
  table_.copy_ = this;
  if (table_.cold_ != nullptr) pieces_ = table_.cold_->pieces();
  FinishIfDone();
}

TableCopy::~TableCopy() {
  if (table_.copy_ == this) table_.copy_ = nullptr;
}

bool TableCopy::CanStep() const {
  if (done_) return false;
  if (next_piece_ < pieces_) return pieces_asked_ < kPiecesAhead;
  return pieces_asked_ == 0;
}

void TableCopy::Step(std::size_t bytes, TimePoint now) {
  TakePieces(now);
  if (!CanStep()) return;
  if (next_piece_ < pieces_) return StepDisk(now);
  StepMemory(bytes);
  FinishIfDone();
}

void TableCopy::StepDisk(TimePoint now) {
  while (next_piece_ < pieces_ && pieces_asked_ < kPiecesAhead) {
    table_.cold_->RequestPiece(next_piece_++, now);
    ++pieces_asked_;
  }
}

void TableCopy::TakePieces(TimePoint now) {
  if (pieces_asked_ == 0) return;
  const auto take = [this](const ColdRows::Arrived& row) { Arrived(row.position, row.place, row.row); };
  while (pieces_asked_ > 0 && table_.cold_->TakePiece(now, take)) --pieces_asked_;
  if (!table_.cold_->failure().ok()) Abandon();  // some rows cannot be had
  FinishIfDone();
}

void TableCopy::Arrived(std::uint64_t position, std::uint32_t place, const float* row) {
  if (const auto erased = erased_.find(place); erased != erased_.end()) {
    Copy(erased->second, row);
    table_.cold_->Free(place);
    erased_.erase(erased);
    return;
  }
  // The place may be nobody's by now, or never have been.
  if (abandoned_ || table_.index_.Find(position) != EmbeddingTable::kCold + place) return;
  found_.clear();
  table_.index_.Mark({&position, 1}, &found_);
  for (const RowIndex::Entry& entry : found_) Copy(entry, row);
}

void TableCopy::StepMemory(std::size_t bytes) {
  const std::size_t row_bytes = table_.stride_ * sizeof(float);
  for (std::size_t left = std::max<std::size_t>(bytes / row_bytes, 1); left > 0 && slot_ < kSlotCount;) {
    found_.clear();
    if (from_ == 0) from_ = FirstOfSlot(slot_);
    if (!table_.index_.MarkSlot(slot_, &from_, std::min(left, kEntriesAtATime), &found_)) {
      ++slot_;
      from_ = 0;
    }
    const std::size_t looked_at = found_.size();
    CopyFound();
    left -= std::min(left, std::max<std::size_t>({found_.size(), looked_at / kLookedAt, 1}));
  }
  COHORT_CHECK(slot_ < kSlotCount || table_.index_.unmarked() == 0, "a row was left out of a copy");
}

// Rows of `found_`, which are in memory. Those that are not wanted are taken out of it.
void TableCopy::CopyFound() {
  if (abandoned_) return;
  if (!changed_.empty())
    std::erase_if(found_, [this](const RowIndex::Entry& entry) { return !IsWanted(entry.position); });
  const auto row_of = [this](std::size_t i) {
    COHORT_CHECK(!table_.IsCold(found_[i].row));
    return table_.Row(found_[i].row);
  };
  for (std::size_t i = 0; i < std::min(kRowsAhead, found_.size()); ++i) table_.PrefetchRow(row_of(i));
  for (std::size_t i = 0; i < found_.size(); ++i) {
    if (i + kRowsAhead < found_.size()) table_.PrefetchRow(row_of(i + kRowsAhead));
    Copy(found_[i], row_of(i));
  }
}

void TableCopy::Copy(const RowIndex::Entry& entry, const float* row) {
  if (abandoned_ || !IsWanted(entry.position)) return;
  if (blocks_.empty() || blocks_.back().bytes() >= block_bytes_) {
    if (spare_.empty()) spare_.emplace_back();
    blocks_.push_back(std::move(spare_.back()));
    spare_.pop_back();
    blocks_.back().table = table_.spec().id;
    blocks_.back().words.reserve((block_bytes_ / sizeof(float)) + table_.stride_);
  }
  CopiedRows& block = blocks_.back();
  block.positions.push_back(entry.position);
  block.words.insert(block.words.end(), row, row + table_.stride_);
  if (statistics_) {
    RowStatistics statistics = entry.statistics;
    if (!aged_.empty()) {
      if (const auto aged = aged_.find(entry.position); aged != aged_.end()) {
        statistics = aged->second;
        aged_.erase(aged);
      }
    }
    block.statistics.push_back(PackedStatistics(statistics));
  }
  ++copied_;
}

std::optional<CopiedRows> TableCopy::TakeBlock() {
  if (blocks_.empty() || (blocks_.size() == 1 && blocks_.front().bytes() < block_bytes_ && !done_))
    return std::nullopt;
  std::optional<CopiedRows> block(std::move(blocks_.front()));
  blocks_.pop_front();
  return block;
}

void TableCopy::Abandon() {
  if (done_) return;
  abandoned_ = true;
  blocks_.clear();
  aged_.clear();
  next_piece_ = pieces_;
  for (const auto& [place, entry] : erased_) table_.cold_->Free(place);
  erased_.clear();
  table_.copy_ = nullptr;
  FinishIfDone();
}

void TableCopy::FinishIfDone() {
  if (done_ || pieces_asked_ != 0 || table_.index_.unmarked() != 0 || !erased_.empty()) return;
  done_ = true;
  if (table_.copy_ == this) table_.copy_ = nullptr;
}

// ---------------------------------------------------------------- what the table tells

void TableCopy::BeforeChange(std::span<const std::uint64_t> positions) {
  // What lies before the turn's place on the ring has its mark.
  const std::uint64_t next = from_ != 0 ? from_ : slot_ < kSlotCount ? FirstOfSlot(slot_) : ~std::uint64_t{0};
  if (positions.empty() || positions.back() < next) return;
  const auto first = std::lower_bound(positions.begin(), positions.end(), next);
  positions_.clear();
  std::copy_if(first, positions.end(), std::back_inserter(positions_),
               [this](std::uint64_t position) { return MayLackMark(position); });
  if (positions_.empty()) return;
  found_.clear();
  table_.index_.Mark(positions_, &found_);
  const std::uint64_t before = copied_;
  CopyFound();
  saved_ += copied_ - before;
}

bool TableCopy::MayLackMark(std::uint64_t position) {
  return std::exchange(marked_[MarkedPlace(position)], position) != position;
}

bool TableCopy::BeforeErase(const RowIndex::Entry& entry) {
  if (!table_.IsCold(entry.row)) {
    ++saved_;
    Copy(entry, table_.Row(entry.row));
    return false;
  }
  erased_.emplace(entry.row - EmbeddingTable::kCold, entry);
  return true;
}

void TableCopy::BeforeStatistics(int slot) {
  table_.index_.VisitUnmarked(slot, [this](std::uint64_t position, RowStatistics statistics) {
    aged_.try_emplace(position, statistics);  // may have aged before
  });
}

}  // namespace cohort
