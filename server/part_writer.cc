#include "server/part_writer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <utility>

#include "common/check.h"
#include "common/checkpoint_files.h"
#include "common/fault_point.h"
#include "server/part_state.h"
#include "server/row_layout.h"

namespace cohort {
namespace {

// The disk is set to work whenever so much has been written: what is left for the end is little, and the page cache does
// not fill with what nobody will read.
constexpr std::uint64_t kWritebackBytes = 32u << 20;

constexpr std::size_t kMostSpare = 16;

double ThreadCpuSeconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

PartWriter::PartWriter(CheckpointPart part, WakeSignal* wake, double core_share)
    : part_(std::move(part)), wake_(wake), core_share_(core_share), thread_([this] { Run(); }) {}

PartWriter::~PartWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void PartWriter::Append(CopiedRows rows, TimePoint) {
  if (done_) return;  // it has failed
  waiting_bytes_ += rows.bytes();
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(rows));
  }
  changed_.notify_one();
}

void PartWriter::Finish(ShardState state, TimePoint) {
  {
    const std::lock_guard lock(mutex_);
    state_ = std::move(state);
  }
  changed_.notify_one();
}

std::optional<CheckpointDone> PartWriter::Take(TimePoint) {
  if (taken_ || !done_) return std::nullopt;
  taken_ = true;
  return outcome_;
}

CopiedRows PartWriter::TakeSpare() {
  const std::lock_guard lock(mutex_);
  if (spare_.empty()) return {};
  CopiedRows rows = std::move(spare_.back());
  spare_.pop_back();
  return rows;
}

// ---------------------------------------------------------------- the thread

void PartWriter::Run() {
  outcome_.number = part_.number;
  outcome_.file = CheckpointPartName(part_.shard);
  outcome_.layers = part_.layers;
  const auto summary = Write();
  if (summary) {
    outcome_.bytes = summary->bytes;
    outcome_.checksum = summary->checksum;
    outcome_.rows = 0;
    for (const CheckpointPart::Table& table : part_.tables) outcome_.rows += table.rows;
    outcome_.hash_low = summary->hash.low;
    outcome_.hash_high = summary->hash.high;
  } else {
    outcome_.error = summary.error().text();
    for (const PartLayer& layer : part_.layers) ::unlink(LayerPath(layer).c_str());  // nothing of it stays
  }
  done_ = true;
  if (wake_ != nullptr) wake_->Give();
}

Result<ModelPartSummary> PartWriter::Write() {
  COHORT_RETURN_IF_ERROR(MakeCheckpointFolder(part_.checkpoint_path, part_.number));
  RemoveUnfinishedParts(part_.checkpoint_path, part_.shard);
  COHORT_RETURN_IF_ERROR(LinkLayers());
  const std::string path =
      CheckpointFolder(part_.checkpoint_path, part_.number) + "/" + CheckpointPartName(part_.shard);
  COHORT_ASSIGN_OR_RETURN(ModelPartWriter writer, ModelPartWriter::Create(path, /*ascending=*/false));
  for (const CheckpointPart::Table& table : part_.tables) {
    const TableSpec& spec = table.spec;
    COHORT_RETURN_IF_ERROR(
        writer.BeginTable(spec, RowFloats(spec), table.coming, spec.policy.NeedsStatistics()));
  }
  for (;;) {
    COHORT_ASSIGN_OR_RETURN(const bool more, WriteNext(writer));
    if (!more) break;
  }
  return writer.Finish();
}

std::string PartWriter::LayerPath(const PartLayer& layer) const {
  return CheckpointFolder(part_.checkpoint_path, part_.number) + "/" +
         CheckpointLayerName(part_.shard, layer.number);
}

// They are durable when the part's own file is: its folder is synced then.
Status PartWriter::LinkLayers() const {
  if (part_.layers.empty()) return {};
  const std::uint64_t base = part_.layers.back().number;
  COHORT_CHECK(base < part_.number);
  for (const PartLayer& layer : part_.layers) {
    const std::string file = CheckpointFolder(part_.checkpoint_path, base) + "/" +
                             (layer.number == base ? CheckpointPartName(part_.shard)
                                                   : CheckpointLayerName(part_.shard, layer.number));
    const std::string link = LayerPath(layer);
    ::unlink(link.c_str());  // of a former life
    if (::link(file.c_str(), link.c_str()) != 0) {
      return {ErrorCode::kIo, link + ": cannot be made as a hard link to " + file + ": " +
                                  std::strerror(errno) +
                                  "; on a file system without hard links set checkpoint.full_every = 1"};
    }
    struct stat found {};
    if (::stat(link.c_str(), &found) != 0 || static_cast<std::uint64_t>(found.st_size) != layer.bytes)
      return {ErrorCode::kIo,
              file + ": is not what was written for checkpoint " + std::to_string(layer.number)};
  }
  FaultPoint("checkpoint: layers linked", CheckpointFolder(part_.checkpoint_path, part_.number));
  return {};
}

Result<bool> PartWriter::WriteNext(ModelPartWriter& writer) {
  Rest();
  CopiedRows rows;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stop_ || !waiting_.empty() || state_; });
    if (stop_) return Error(ErrorCode::kUnavailable, "given up");
    if (waiting_.empty()) {
      ShardState state = *std::move(state_);
      lock.unlock();
      COHORT_RETURN_IF_ERROR(WriteShardState(state, &writer));
      return false;
    }
    rows = std::move(waiting_.front());
    waiting_.pop_front();
  }
  const std::size_t bytes = rows.bytes();
  const Status status = WriteRows(rows, writer);
  // Whoever waits for room is woken when there is some again.
  const std::size_t before = waiting_bytes_.fetch_sub(bytes);
  if (before >= kRoomBytes && before - bytes < kRoomBytes && wake_ != nullptr) wake_->Give();
  COHORT_RETURN_IF_ERROR(status);
  rows.Clear();
  {
    const std::lock_guard lock(mutex_);
    if (spare_.size() < kMostSpare) spare_.push_back(std::move(rows));
  }
  unsynced_bytes_ += bytes;
  if (unsynced_bytes_ >= kWritebackBytes) {
    writer.StartWriteback();
    unsynced_bytes_ = 0;
  }
  return true;
}

Status PartWriter::WriteRows(const CopiedRows& rows, ModelPartWriter& writer) {
  const auto table = std::find_if(part_.tables.begin(), part_.tables.end(),
                                  [&rows](const auto& t) { return t.spec.id == rows.table; });
  COHORT_CHECK(table != part_.tables.end() && !rows.positions.empty());
  const TableSpec& spec = table->spec;
  const RowLayout layout(spec);
  const std::size_t words = rows.words.size() / rows.positions.size();
  keys_.clear();
  for (const std::uint64_t position : rows.positions) keys_.push_back(KeyAt(spec, position));
  if (layout.dtype == FloatType::kFloat32)  // as they lie in memory
    return writer.Append(spec.id, keys_, rows.words.data(), words, rows.statistics);
  const std::size_t floats = layout.dim + layout.state_floats;
  values_.resize(keys_.size() * floats);
  for (std::size_t i = 0; i < keys_.size(); ++i)
    layout.Load(rows.words.data() + i * words, values_.data() + i * floats);
  return writer.Append(spec.id, keys_, values_.data(), floats, rows.statistics);
}

// Sleeps until the time that has been used is the share of the time that has passed.
void PartWriter::Rest() {
  if (core_share_ >= 1) return;
  const double used = ThreadCpuSeconds();
  const double rest = (used - rested_for_) / core_share_ - (used - rested_for_);
  rested_for_ = used;
  if (waiting_bytes_ > kMostBehindBytes) return;  // fresh memory for more would cost more than the writing
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(rest), [this] { return stop_; });
}

}  // namespace cohort
