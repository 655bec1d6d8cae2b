#include "scheduler/leases.h"

#include <algorithm>
#include <utility>

namespace cohort {
namespace {

constexpr std::uint64_t kMaxScoringBlocks = 8;

std::uint64_t BlocksOf(std::uint64_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }

}  // namespace

Leases::Leases(std::uint64_t rows, std::uint64_t block_count, std::uint32_t batch_rows,
               std::uint64_t first_lease)
    : rows_(rows), block_count_(block_count), batch_rows_(batch_rows), first_lease_(first_lease) {}

std::uint64_t Leases::TrainingBlocks(std::uint64_t rows, std::uint32_t shuffle_rows, std::uint32_t workers) {
  const std::uint64_t target = std::min<std::uint64_t>(shuffle_rows, rows / (8 * std::uint64_t{workers}));
  return std::max<std::uint64_t>(1, target / kBlockRows);
}

std::uint64_t Leases::ScoringBlocks(std::uint64_t rows, std::uint32_t workers) {
  return std::clamp<std::uint64_t>(BlocksOf(rows) / (4 * std::uint64_t{workers}), 1, kMaxScoringBlocks);
}

std::optional<LeaseReply> Leases::Repeat(std::uint32_t worker, RequestId request) const {
  const auto found = answers_.find({worker, request});
  if (found == answers_.end()) return std::nullopt;
  return found->second;
}

Clock Leases::EndClockOf(const LeaseRecord& record) const {
  return record.first_clock +
         static_cast<Clock>((record.block_count * kBlockRows + batch_rows_ - 1) / batch_rows_);
}

Clock Leases::EndClock() const {
  Clock last = 0;
  for (const auto& [worker, end] : journal_.ends) last = std::max(last, end);
  return last;
}

std::uint64_t Leases::Steps(Clock first) const {
  std::uint64_t steps = 0;
  for (const auto& [worker, end] : journal_.ends) steps += static_cast<std::uint64_t>(end - first);
  return steps;
}

LeaseReply Leases::ReplyFor(const LeaseRecord& record, RequestId request) const {
  LeaseReply reply;
  reply.request_id = request;
  reply.granted = true;
  reply.lease = record.lease;
  reply.first_block = record.first_block;
  reply.block_count = record.block_count;
  reply.first_clock = record.first_clock;
  reply.batch_rows = batch_rows_;
  return reply;
}

LeaseReply Leases::Grant(std::uint32_t worker, const LeaseRequest& request) {
  LeaseReply reply;
  reply.request_id = request.request_id;
  if (auto redo = redo_.find(worker); redo != redo_.end()) {
    reply = ReplyFor(journal_.records[redo->second.front()], request.request_id);
    redo->second.pop_front();
    if (redo->second.empty()) redo_.erase(redo);
  } else if (!queued_.empty()) {
    LeaseRecord& record = journal_.records[queued_.front()];
    queued_.pop_front();
    record.worker = worker;
    reply = ReplyFor(record, request.request_id);
  } else if (!exhausted()) {
    LeaseRecord record;
    record.lease = next_lease();
    record.worker = worker;
    record.request_id = request.request_id;
    record.first_block = next_block_;
    record.block_count = std::min(block_count_, BlocksOf(rows_) - next_block_);
    record.first_row = next_row();
    record.rows = std::min(rows_ - record.first_row, record.block_count * kBlockRows);
    record.first_clock = request.next_clock;
    next_block_ += record.block_count;
    journal_.records.push_back(record);
    reply = ReplyFor(record, request.request_id);
  } else {
    return Refuse(worker, request);
  }
  answers_.emplace(std::pair(worker, request.request_id), reply);
  return reply;
}

LeaseReply Leases::Refuse(std::uint32_t worker, const LeaseRequest& request) {
  LeaseReply reply;
  reply.request_id = request.request_id;
  journal_.ends[worker] = request.next_clock;
  answers_.emplace(std::pair(worker, request.request_id), reply);
  return reply;
}

void Leases::Restore(LeaseJournal journal) {
  journal_ = std::move(journal);
  const std::vector<LeaseRecord>& records = journal_.records;
  if (records.empty()) return;
  first_lease_ = records.front().lease;
  next_block_ = records.back().first_block + records.back().block_count;
}

void Leases::ForgetAnswers(std::uint32_t worker) {
  std::erase_if(answers_, [worker](const auto& answer) { return answer.first.first == worker; });
}

void Leases::Redo(std::uint32_t worker, Clock from) {
  ForgetAnswers(worker);
  redo_.erase(worker);
  for (std::size_t i = 0; i < journal_.records.size(); ++i) {
    const LeaseRecord& record = journal_.records[i];
    if (record.worker != worker || from == kClockInfinity) continue;
    if (EndClockOf(record) > from) redo_[worker].push_back(i);
  }
}

void Leases::Requeue(std::uint32_t worker, std::uint64_t first_row) {
  ForgetAnswers(worker);
  for (std::size_t i = 0; i < journal_.records.size(); ++i) {
    if (journal_.records[i].first_row + journal_.records[i].rows <= first_row) continue;
    const bool waits = std::find(queued_.begin(), queued_.end(), i) != queued_.end();
    if (journal_.records[i].worker == worker && !waits) queued_.push_back(i);
  }
}

const LeaseRecord* Leases::Find(std::uint64_t lease) const {
  if (lease < first_lease_ || lease - first_lease_ >= journal_.records.size()) return nullptr;
  return &journal_.records[lease - first_lease_];
}

}  // namespace cohort
