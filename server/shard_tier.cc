// Shard: operations that wait for rows from disk.
#include <algorithm>
#include <utility>
#include <vector>

#include "common/check.h"
#include "server/request_check.h"
#include "server/shard.h"

namespace cohort {
namespace {

// A table beyond its memory grows by so much from one look at what is left to the next.
constexpr std::uint64_t kMemoryCheckBytes = 16u << 20;

}  // namespace

bool Shard::AlreadyWaiting(std::uint32_t worker, RequestId id) const {
  return std::any_of(waiting_.begin(), waiting_.end(), [&](const auto& waiting) {
    return waiting.second.worker == worker && waiting.second.id == id;
  });
}

void Shard::Await(std::uint64_t use, Waiting waiting, ShardEvent event) {
  Count(event);
  waiting_.emplace(use, std::move(waiting));
}

// `positions_` holds the ring positions of the request's keys.
bool Shard::WaitsForDisk(std::uint32_t worker, PullRequest& request) {
  ShardTable& table = *FindTable(request.table);
  if (!table.tiered()) return false;
  if (AlreadyWaiting(worker, request.request_id)) {
    Count(ShardEvent::kFetchedAgain);
    return true;
  }
  const std::uint64_t use = next_use_++;
  const std::size_t rows = table.Fetch(positions_, use, now_);
  if (rows == 0) return false;
  const RequestId id = request.request_id;
  Await(use, {rows, worker, id, std::move(request), nullptr}, ShardEvent::kPullFetched);
  return true;
}

// `positions_` holds the ring positions of the push's keys, if it names no pull.
bool Shard::WaitsForDisk(std::uint32_t worker, PushRequest& request,
                         const std::shared_ptr<const KeptPull>& pull) {
  ShardTable& table = *FindTable(request.table);
  if (!table.tiered()) return false;
  // It has not been counted yet: its repetition is answered with it.
  if (AlreadyWaiting(worker, request.request_id)) {
    Count(ShardEvent::kFetchedAgain);
    return true;
  }
  std::span<const std::uint64_t> positions = positions_;
  if (pull != nullptr) {
    const std::size_t n = request.values.size() / SizeOf(request.type) / request.dim;
    finder_.Start(n);
    positions = finder_.Find(request, pull.get(), table.spec(), 0, n).position_span();
  }
  const std::uint64_t use = next_use_++;
  const std::size_t rows = table.Fetch(positions, use, now_);
  if (rows == 0) return false;
  const RequestId id = request.request_id;
  Await(use, {rows, worker, id, std::move(request), pull}, ShardEvent::kPushFetched);
  return true;
}

bool Shard::ClosingWaitsForDisk() {
  const std::uint64_t use = next_use_++;
  std::size_t rows = 0;
  for (const HeldPushes::Part& part : closing_.parts) {
    ShardTable& table = *FindTable(part.table);
    if (!table.tiered()) continue;
    const PushRequest& push = closing_.messages[part.message].push;
    const KeptPull* const pull = closing_.messages[part.message].pull.get();
    finder_.Start(part.rows);
    rows += table.Fetch(finder_.Find(push, pull, table.spec(), part.first_row, part.rows).position_span(),
                        use, now_);
  }
  if (rows == 0) return false;
  applying_ = true;
  Await(use, {rows, 0, 0, std::monostate(), nullptr}, ShardEvent::kClockFetched);
  return true;
}

TimePoint Shard::NextArrival() const {
  TimePoint next = kNever;
  for (const auto& table : tables_) {
    if (table->tiered()) next = std::min(next, table->NextArrival());
  }
  return next;
}

// Tables whose rows all fit into an equal share of the memory leave the rest of it to the others.
void Shard::ShareMemory() {
  const auto tiered = [](const auto& table) { return table->tiered(); };
  if (std::count_if(tables_.begin(), tables_.end(), tiered) < 2) return;
  std::vector<ShardTable*> sharing;
  for (const auto& table : tables_) {
    if (tiered(table)) sharing.push_back(table.get());
  }
  std::stable_sort(sharing.begin(), sharing.end(),
                   [](const ShardTable* a, const ShardTable* b) { return a->TierBytes() < b->TierBytes(); });
  std::uint64_t left = options_.tier_bytes, tables = sharing.size();
  for (ShardTable* table : sharing) {
    const std::uint64_t share = left / tables--;
    table->LimitMemory(share);
    left -= std::min(table->TierBytes(), share);
  }
}

// Rows that an operation waits for, and those that it has found in memory, stay there until it is done.
void Shard::TrimTables(TimePoint now, Outbox& out) {
  ShareMemory();
  const std::uint64_t oldest = waiting_.empty() ? next_use_ : waiting_.begin()->first;
  for (const auto& table : tables_) {
    if (!table->tiered()) continue;
    table->rows().Trim(oldest);
    if (!table->rows().tier_failure().ok()) Fail(table->rows().tier_failure(), now, out);
    if (!table->rows().tier_full().ok()) KeepInMemory(table->rows(), now, out);
  }
}

// The disk has no room: rows stay in memory, as long as there is some.
void Shard::KeepInMemory(const EmbeddingTable& rows, TimePoint now, Outbox& out) {
  const Status& full = rows.tier_full();
  Count(ShardEvent::kDiskFull);
  if (!warned_of_disk_) {
    warned_of_disk_ = true;
    client_.SendReliably(
        Warning{0, full.text() + "; until there is room, rows stay in memory beyond tier.max_bytes"}, now,
        out);
  }
  if (rows.memory_bytes() < next_memory_check_ || !options_.memory_is_short) return;
  next_memory_check_ = rows.memory_bytes() + kMemoryCheckBytes;
  if (options_.memory_is_short())
    Fail({full.code(), full.text() + "; and the memory for rows that stay there is used up"}, now, out);
}

// Takes in the rows that have come, and does what waited for them.
void Shard::FollowDisk(TimePoint now, Outbox& out) {
  ready_.clear();
  for (const auto& table : tables_) {
    if (!table->tiered()) continue;
    table->TakeIn(now, [this](std::uint64_t use) {
      const auto waiting = waiting_.find(use);  // not there: of an earlier phase
      if (waiting != waiting_.end() && --waiting->second.rows == 0) ready_.push_back(use);
    });
  }
  if (!failure_.ok()) return;
  for (std::size_t i = 0; i < ready_.size(); ++i) {
    auto node = waiting_.extract(ready_[i]);
    if (node.empty()) continue;  // a phase has begun meanwhile
    Waiting& waiting = node.mapped();
    if (auto* pull = std::get_if<PullRequest>(&waiting.request)) {
      const bool valid = !CheckPull(*pull, FindTable(pull->table)->spec(), owned_, &positions_);
      COHORT_CHECK(valid, "a pull was checked when it came");
      AnswerPull(waiting.worker, *pull, {}, out);
    } else if (auto* push = std::get_if<PushRequest>(&waiting.request)) {
      const bool valid =
          !CheckPush(*push, FindTable(push->table)->spec(), owned_, waiting.pull.get(), &positions_);
      COHORT_CHECK(valid, "a push was checked when it came");
      CountPush(waiting.worker, std::move(*push), std::move(waiting.pull), out);
    } else {
      applying_ = false;
      FinishClosing();
      ApplyClosedClocks();
      ReleasePulls(out);
      BeginPhaseIfReady(now, out);
      WriteSnapshotIfReady(now, out);
    }
  }
  TrimTables(now, out);
}

}  // namespace cohort
