#include "prepare/duplicate_counter.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <queue>
#include <utility>

namespace cohort {
namespace {

// Reads one sorted run back, a piece at a time.
class RunReader {
 public:
  RunReader(int descriptor, std::uint64_t begin, std::uint64_t count)
      : descriptor_(descriptor), offset_(begin), left_(count) {}
  // False at the end of the run, or when the file cannot be read (then ok() is false).
  bool Next(std::uint64_t* hash) {
    if (at_ == piece_.size() && !Fill()) return false;
    *hash = piece_[at_++];
    return true;
  }
  bool ok() const { return ok_; }

 private:
  static constexpr std::uint64_t kPiece = 8192;
  bool Fill() {
    piece_.resize(std::min(kPiece, left_));
    at_ = 0;
    std::size_t bytes = piece_.size() * sizeof(std::uint64_t), got = 0;
    while (got < bytes) {
      ssize_t count = ::pread(descriptor_, reinterpret_cast<char*>(piece_.data()) + got, bytes - got,
                              static_cast<off_t>(offset_ * sizeof(std::uint64_t) + got));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        ok_ = false;
        piece_.clear();
        return false;
      }
      got += static_cast<std::size_t>(count);
    }
    offset_ += piece_.size();
    left_ -= piece_.size();
    return !piece_.empty();
  }

  int descriptor_;
  std::uint64_t offset_, left_;
  std::vector<std::uint64_t> piece_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

// Takes hashes in ascending order and counts equal ones.
class Grouper {
 public:
  void Add(std::uint64_t hash) {
    if (!started_ || hash >> 2 != row_) Finish();
    started_ = true;
    row_ = hash >> 2;
    ++rows_[hash & 3];
  }
  DuplicateCounter::Counts counts() {
    Finish();
    return counts_;
  }

 private:
  void Finish() {
    int splits = 0;
    for (std::size_t split = 0; split < rows_.size(); ++split) {
      if (rows_[split] == 0) continue;
      ++splits;
      counts_.within[split] += std::exchange(rows_[split], 0) - 1;
    }
    if (splits > 1) ++counts_.across;
  }
  DuplicateCounter::Counts counts_;
  std::array<std::uint64_t, kSplitCount> rows_{};
  std::uint64_t row_ = 0;
  bool started_ = false;
};

}  // namespace

DuplicateCounter::DuplicateCounter(std::string directory, std::size_t memory_rows)
    : directory_(std::move(directory)), memory_rows_(memory_rows) {}

DuplicateCounter::~DuplicateCounter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status DuplicateCounter::Spill() {
  auto failure = [this](const char* what) {
    return Status(ErrorCode::kIo,
                  directory_ + ": cannot " + what + " a temporary file: " + std::strerror(errno));
  };
  if (descriptor_ < 0) {
    std::string name = directory_ + "/.cohort-duplicates-XXXXXX";
    descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor_ < 0) return failure("create");
    ::unlink(name.c_str());  // gone with the process, however it ends
  }
  std::sort(hashes_.begin(), hashes_.end());
  const char* bytes = reinterpret_cast<const char*>(hashes_.data());
  std::size_t left = hashes_.size() * sizeof(std::uint64_t);
  while (left > 0) {
    ssize_t count = ::write(descriptor_, bytes, left);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failure("write");
    bytes += count;
    left -= static_cast<std::size_t>(count);
  }
  runs_.push_back(hashes_.size());
  spilled_ += hashes_.size();
  hashes_.clear();
  return {};
}

Result<DuplicateCounter::Counts> DuplicateCounter::Count() {
  Grouper grouper;
  std::sort(hashes_.begin(), hashes_.end());
  if (runs_.empty()) {
    for (std::uint64_t hash : hashes_) grouper.Add(hash);
    return grouper.counts();
  }
  if (!hashes_.empty()) COHORT_RETURN_IF_ERROR(Spill());
  hashes_.shrink_to_fit();
  std::vector<RunReader> readers;
  std::uint64_t begin = 0;
  for (std::uint64_t count : runs_) {
    readers.emplace_back(descriptor_, begin, count);
    begin += count;
  }
  using Head = std::pair<std::uint64_t, std::size_t>;  // next hash of a run
  std::priority_queue<Head, std::vector<Head>, std::greater<>> heads;
  std::uint64_t hash = 0;
  for (std::size_t run = 0; run < readers.size(); ++run) {
    if (readers[run].Next(&hash)) heads.emplace(hash, run);
  }
  while (!heads.empty()) {
    const auto [smallest, run] = heads.top();
    heads.pop();
    grouper.Add(smallest);
    if (readers[run].Next(&hash)) heads.emplace(hash, run);
  }
  for (const RunReader& reader : readers) {
    if (!reader.ok())
      return Error(ErrorCode::kIo, directory_ + ": cannot read the temporary file of row hashes back");
  }
  return grouper.counts();
}

}  // namespace cohort
