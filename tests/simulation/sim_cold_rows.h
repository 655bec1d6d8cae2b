// The disk below a tier's memory, in virtual time.
#ifndef COHORT_TESTS_SIMULATION_SIM_COLD_ROWS_H_
#define COHORT_TESTS_SIMULATION_SIM_COLD_ROWS_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "common/random.h"
#include "common/status.h"
#include "common/types.h"
#include "server/cold_rows.h"

namespace cohort {

// Every read takes as long as the seed says, and may overtake others. It refuses some writes, and brings rows that
// nobody has asked for, wanted or not.
class SimColdRows : public ColdRows {
 public:
  SimColdRows(std::uint64_t seed, Duration slowest, std::uint32_t row_words)
      : random_(seed, 0x6469736b), slowest_(slowest), row_words_(row_words) {}
  std::optional<std::uint32_t> Write(std::uint64_t position, const float* row) override {
    if (full_writes_ > 0) {
      if (--full_writes_ > 0) return std::nullopt;
      full_ = {};
    } else if (random_.Below(500) == 0) {
      full_ = {ErrorCode::kIo, "the disk is full"};
      full_writes_ = 1 + random_.Below(300);
      return std::nullopt;
    }
    if (random_.Below(20) == 0) return std::nullopt;  // busy
    rows_[next_] = {position, std::vector<float>(row, row + row_words_)};
    return next_++;
  }
  bool WaitForRoom() override { return full_.ok(); }
  void Free(std::uint32_t place) override {
    if (rows_.erase(place) == 0) bug_ = {ErrorCode::kInternal, "a place was freed twice"};
  }
  void Request(std::span<const std::uint32_t> places, TimePoint now) override {
    for (const std::uint32_t place : places) Bring(rows_.find(place), now);
    if (random_.Below(4) == 0)
      Bring(rows_.lower_bound(static_cast<std::uint32_t>(random_.Below(next_))), now);
  }
  std::optional<Arrived> Take(TimePoint now) override {
    if (coming_.empty() || coming_.begin()->first > now) return std::nullopt;
    taken_ = std::move(coming_.begin()->second);
    coming_.erase(coming_.begin());
    return Arrived{taken_.second.position, taken_.first, taken_.second.words.data()};
  }
  TimePoint NextArrival() const override {
    return std::min(coming_.empty() ? kNever : coming_.begin()->first,
                    pieces_.empty() ? kNever : pieces_.begin()->first);
  }
  // Pieces of eight places, read like rows.
  std::uint32_t pieces() const override { return next_ / kPiece + 1; }
  void RequestPiece(std::uint32_t piece, TimePoint now) override {
    pieces_.emplace(now + Duration(random_.Below(static_cast<std::uint64_t>(slowest_.count()) + 1)), piece);
  }
  bool TakePiece(TimePoint now, const std::function<void(const Arrived&)>& visit) override {
    if (pieces_.empty() || pieces_.begin()->first > now) return false;
    const std::uint32_t piece = pieces_.begin()->second;
    pieces_.erase(pieces_.begin());
    for (std::uint32_t place = piece * kPiece; place < (piece + 1) * kPiece; ++place) {
      const auto row = rows_.find(place);
      const std::vector<float> nothing(row_words_, 7.0f);
      visit(row == rows_.end() ? Arrived{random_(), place, nothing.data()}
                               : Arrived{row->second.position, place, row->second.words.data()});
    }
    return true;
  }
  Status Read(std::span<const std::uint32_t> places, float* rows) override {
    for (const std::uint32_t place : places)
      rows = std::copy(rows_.at(place).words.begin(), rows_.at(place).words.end(), rows);
    return {};
  }
  const Status& full() const override { return full_; }
  const Status& failure() const override { return bug_; }

 private:
  struct Record {
    std::uint64_t position;
    std::vector<float> words;
  };

  void Bring(std::map<std::uint32_t, Record>::const_iterator row, TimePoint now) {
    if (row == rows_.end()) return;
    const Duration delay(random_.Below(static_cast<std::uint64_t>(slowest_.count()) + 1));
    coming_.emplace(now + delay, std::pair(row->first, row->second));
  }

  RandomStream random_;
  const Duration slowest_;
  const std::uint32_t row_words_;
  std::uint32_t next_ = 0;
  std::map<std::uint32_t, Record> rows_;
  static constexpr std::uint32_t kPiece = 8;
  std::multimap<TimePoint, std::uint32_t> pieces_;
  std::multimap<TimePoint, std::pair<std::uint32_t, Record>> coming_;
  std::pair<std::uint32_t, Record> taken_;
  std::uint64_t full_writes_ = 0;  // that will find no room
  Status full_, bug_;
};

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_COLD_ROWS_H_
