#include "scheduler/leases.h"

#include <algorithm>

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

LeaseReply Leases::Grant(std::uint32_t worker, const LeaseRequest& request) {
  LeaseReply reply;
  reply.request_id = request.request_id;
  if (!exhausted()) {
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
    journal_.push_back(record);

    reply.granted = true;
    reply.lease = record.lease;
    reply.first_block = record.first_block;
    reply.block_count = record.block_count;
    reply.first_clock = record.first_clock;
    reply.batch_rows = batch_rows_;
  }
  answers_.emplace(std::pair(worker, request.request_id), reply);
  return reply;
}

const LeaseRecord* Leases::Find(std::uint64_t lease) const {
  if (lease < first_lease_ || lease - first_lease_ >= journal_.size()) return nullptr;
  return &journal_[lease - first_lease_];
}

}  // namespace cohort
