#include "server/cold_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>
#include <numeric>
#include <utility>

#include "common/check.h"

namespace cohort {
namespace {

// Segments that may wait to be written: what a burst of cold rows may take of memory.
constexpr std::size_t kMostWriting = 16;
// Fewer segments than these are not worth emptying.
constexpr std::size_t kFewSegments = 8;
constexpr std::size_t kSegmentsLookedAt = 64;
// A disk that seeks reads on over so many blocks as fast as it would find the next.
constexpr std::size_t kBulkGap = 16;
// A disk that had no room is asked again after so long.
constexpr auto kTryAgain = std::chrono::seconds(1);

std::shared_ptr<std::byte> NewMemory(std::size_t bytes) {
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(ColdFile::kBlockBytes, bytes));
  if (memory == nullptr) throw std::bad_alloc();
  return {memory, [](std::byte* p) { std::free(p); }};
}

}  // namespace

Result<std::unique_ptr<ColdFile>> ColdFile::Create(const Options& options) {
  COHORT_CHECK(options.row_words > 0 && options.threads > 0);
  const auto make = [&](int flags) {
    std::string name = options.directory + "/cohort-cold-XXXXXX";
    const int file = ::mkostemp(name.data(), O_CLOEXEC | flags);
    if (file >= 0) ::unlink(name.c_str());
    return file;
  };
  int file = make(O_DIRECT);
  if (file < 0 && errno == EINVAL) file = make(0);
  if (file < 0) {
    return InvalidInput("tier.path: cannot make a file in " + options.directory + ": " +
                        std::strerror(errno) +
                        "; give a folder that exists on every server's host, on its fastest local disk");
  }
  return std::unique_ptr<ColdFile>(new ColdFile(options, file));
}

ColdFile::ColdFile(const Options& options, int file)
    : options_(options),
      file_(file),
      row_bytes_(options.row_words * sizeof(float)),
      record_bytes_(sizeof(std::uint64_t) + row_bytes_),
      rows_per_segment_(static_cast<std::uint32_t>(kSegmentBytes / record_bytes_)),
      filled_(rows_per_segment_) {
  COHORT_CHECK(rows_per_segment_ > 0, "rows of %zu bytes", row_bytes_);
  for (int i = 0; i < options.threads; ++i) threads_.emplace_back([this] { Run(); });
}

ColdFile::~ColdFile() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  to_do_changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  ::close(file_);
}

// ---------------------------------------------------------------- the I/O threads

void ColdFile::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    to_do_changed_.wait(lock, [this] { return stop_ || !to_do_.empty(); });
    if (stop_) return;
    Job job = std::move(to_do_.front());
    to_do_.pop_front();
    lock.unlock();
    job.status = Do(job);
    lock.lock();
    done_.push_back(std::move(job));
    if (done_.size() > 1) continue;  // the owner knows
    any_done_ = true;
    done_changed_.notify_one();
    if (options_.wake != nullptr) options_.wake->Give();
  }
}

Status ColdFile::Do(Job& job) const {
  const bool write = job.kind == Job::Kind::kWrite;
  if (!write) job.memory = NewMemory(job.end - job.begin);
  for (std::size_t at = job.begin; at < job.end;) {
    std::byte* const memory = job.memory.get() + (at - job.begin);
    const auto offset = static_cast<off_t>(std::size_t{job.segment} * kSegmentBytes + at);
    const ssize_t n =
        write ? ::pwrite(file_, memory, job.end - at, offset) : ::pread(file_, memory, job.end - at, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) {
      at += static_cast<std::size_t>(n);
    } else if (write) {
      const int error = n < 0 ? errno : ENOSPC;
      return {
          ErrorCode::kIo,
          "tier.path " + options_.directory + ": rows cannot be written to disk: " + std::strerror(error) +
              (error == ENOSPC ? "; make room there, or raise tier.max_bytes so that more rows stay in memory"
                               : "")};
    } else {
      return {ErrorCode::kIo, "tier.path " + options_.directory + ": rows cannot be read from disk: " +
                                  (n < 0 ? std::strerror(errno) : "the file ends early")};
    }
  }
  return {};
}

// ---------------------------------------------------------------- the owner's thread

void ColdFile::Post(std::vector<Job> jobs) {
  {
    std::lock_guard lock(mutex_);
    // Writes first: memory waits for them.
    for (Job& job : jobs) {
      if (job.kind == Job::Kind::kWrite) {
        to_do_.push_front(std::move(job));
      } else {
        to_do_.push_back(std::move(job));
      }
    }
  }
  if (jobs.size() == 1) {
    to_do_changed_.notify_one();
  } else {
    to_do_changed_.notify_all();
  }
}

void ColdFile::Collect() {
  std::deque<Job> done;
  {
    std::lock_guard lock(mutex_);
    done.swap(done_);
    any_done_ = false;
  }
  for (Job& job : done) {
    if (job.kind != Job::Kind::kWrite && !job.status.ok() && failure_.ok()) failure_ = job.status;
    switch (job.kind) {
      case Job::Kind::kWrite:
        --writing_;
        segments_[job.segment].refused = !job.status.ok();
        if (job.status.ok()) {
          segments_[job.segment].memory.reset();
          if (job.segment == tried_) next_try_ = {};  // there is room again: the others may follow at once
        } else {                                      // it stays in memory, from where it is read
          full_ = job.status;
          refused_.push_back(job.segment);
          next_try_ = std::chrono::steady_clock::now() + kTryAgain;
        }
        MaybeReuse(job.segment);
        break;
      case Job::Kind::kRead:
        if (job.status.ok()) arrived_.push_back(std::move(job));
        break;
      case Job::Kind::kBulkRead:
        bulk_.push_back(std::move(job));
        break;
      case Job::Kind::kPiece:
        pieces_.push_back(std::move(job));
        break;
    }
  }
}

void ColdFile::CollectWhenDone() {
  {
    std::unique_lock lock(mutex_);
    done_changed_.wait(lock, [this] { return !done_.empty(); });
  }
  Collect();
}

bool ColdFile::OpenSegment() {
  if (writing_ >= kMostWriting || (!refused_.empty() && any_done_)) Collect();
  if (!failure_.ok() || writing_ >= kMostWriting) return false;
  if (!refused_.empty()) TryRefused();
  // Segments may serve again that the disk has taken before; but what it refuses must not pile up in memory.
  if (refused_.size() >= kMostWriting) return false;
  if (!reusable_.empty()) {
    filling_ = reusable_.back();
    reusable_.pop_back();
  } else if (!refused_.empty()) {
    return false;
  } else {
    const std::uint64_t taken = options_.taken ? *options_.taken : segments_.size() * kSegmentBytes;
    if (taken + kSegmentBytes > options_.most_bytes ||
        (segments_.size() + 1) * std::uint64_t{rows_per_segment_} > kMaxPlaces) {
      full_ = {ErrorCode::kIo,
               "tier.path " + options_.directory + ": rows cannot be written to disk: they take " +
                   std::to_string(taken) + " bytes there, and " +
                   std::to_string(std::min<std::uint64_t>(options_.most_bytes, kMaxPlaces * record_bytes_)) +
                   " are the most, in segments of 1 MiB; raise tier.max_disk_bytes, use more servers, or "
                   "raise tier.max_bytes so "
                   "that more rows stay in memory"};
      return false;
    }
    filling_ = static_cast<std::uint32_t>(segments_.size());
    segments_.emplace_back();
    if (options_.taken) *options_.taken += kSegmentBytes;
  }
  segments_[filling_].memory = NewMemory(kSegmentBytes);
  filled_ = 0;
  if (refused_.empty()) full_ = Status();
  return true;
}

void ColdFile::PostWrite(std::uint32_t segment) {
  ++writing_;
  segments_[segment].refused = false;
  Job job;
  job.kind = Job::Kind::kWrite;
  job.segment = segment;
  job.end = kSegmentBytes;
  job.memory = segments_[segment].memory;
  std::vector<Job> jobs;
  jobs.push_back(std::move(job));
  Post(std::move(jobs));
}

// One at a time shows whether there is room again.
void ColdFile::TryRefused() {
  while (!refused_.empty() && !segments_[refused_.front()].refused) refused_.pop_front();
  const auto now = std::chrono::steady_clock::now();
  if (refused_.empty() || writing_ > 0 || now < next_try_) return;
  next_try_ = now + kTryAgain;
  tried_ = refused_.front();
  PostWrite(tried_);
  refused_.pop_front();
}

std::optional<std::uint32_t> ColdFile::Write(std::uint64_t position, const float* row) {
  if (filled_ == rows_per_segment_ && !OpenSegment()) return std::nullopt;
  Segment& segment = segments_[filling_];
  const std::uint32_t place = filling_ * rows_per_segment_ + filled_;
  std::byte* const record = segment.memory.get() + OffsetOf(place);
  std::memcpy(record, &position, sizeof(position));
  std::memcpy(record + sizeof(position), row, row_bytes_);
  ++segment.live;
  ++live_;
  if (++filled_ == rows_per_segment_) {
    segment.full = true;
    PostWrite(filling_);
  }
  return place;
}

bool ColdFile::WaitForRoom() {
  while (failure_.ok() && writing_ >= kMostWriting) CollectWhenDone();
  return failure_.ok() && full_.ok();
}

void ColdFile::Free(std::uint32_t place) {
  Segment& segment = segments_[SegmentOf(place)];
  COHORT_CHECK(segment.live > 0);
  --segment.live;
  --live_;
  MaybeReuse(SegmentOf(place));
}

void ColdFile::MaybeReuse(std::uint32_t at) {
  Segment& segment = segments_[at];
  const bool on_disk_or_refused = segment.memory == nullptr || segment.refused;
  if (!segment.full || segment.live != 0 || segment.reading != 0 || !on_disk_or_refused) return;
  segment = Segment();
  reusable_.push_back(at);
}

void ColdFile::MaybeEmptyOne() {
  const std::size_t used = segments_.size() - reusable_.size();
  if (emptying_ || !failure_.ok() || used < kFewSegments ||
      2 * live_ > used * std::uint64_t{rows_per_segment_}) {
    return;
  }
  for (std::size_t looked = 0; looked < kSegmentsLookedAt; ++looked) {
    hand_ = (hand_ + 1) % static_cast<std::uint32_t>(segments_.size());
    Segment& segment = segments_[hand_];
    if (!segment.full || segment.memory || segment.live == 0 || 2 * segment.live > rows_per_segment_)
      continue;
    emptying_ = segment.emptying = true;
    ++segment.reading;
    Job job;
    job.segment = hand_;
    job.end = kSegmentBytes;
    job.places.resize(rows_per_segment_);
    std::iota(job.places.begin(), job.places.end(), hand_ * rows_per_segment_);
    std::vector<Job> jobs;
    jobs.push_back(std::move(job));
    return Post(std::move(jobs));
  }
}

std::vector<ColdFile::Job> ColdFile::CutReads(std::span<const std::uint32_t> places, std::size_t gap,
                                              Job::Kind kind) const {
  std::vector<Job> jobs;
  const auto first_block = [&](std::uint32_t place) { return OffsetOf(place) / kBlockBytes; };
  const auto last_block = [&](std::uint32_t place) {
    return (OffsetOf(place) + record_bytes_ - 1) / kBlockBytes;
  };
  for (auto begin = places.begin(); begin != places.end();) {
    auto end = begin + 1;
    while (end != places.end() && SegmentOf(*end) == SegmentOf(*begin) &&
           first_block(*end) <= last_block(*(end - 1)) + 1 + gap) {
      ++end;
    }
    Job job;
    job.kind = kind;
    job.segment = SegmentOf(*begin);
    job.begin = first_block(*begin) * kBlockBytes;
    job.end = (last_block(*(end - 1)) + 1) * kBlockBytes;
    job.places.assign(begin, end);
    if (const Memory& memory = segments_[job.segment].memory) {
      job.memory = memory;
      job.begin = 0;
    }
    jobs.push_back(std::move(job));
    begin = end;
  }
  return jobs;
}

void ColdFile::Request(std::span<const std::uint32_t> places, TimePoint) {
  std::vector<std::uint32_t> sorted(places.begin(), places.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<Job> jobs = CutReads(sorted, 0, Job::Kind::kRead);
  for (const Job& job : jobs) ++segments_[job.segment].reading;
  const auto at_hand =
      std::stable_partition(jobs.begin(), jobs.end(), [](const Job& job) { return !job.memory; });
  std::move(at_hand, jobs.end(), std::back_inserter(arrived_));
  jobs.erase(at_hand, jobs.end());
  if (!jobs.empty()) Post(std::move(jobs));
}

std::optional<ColdRows::Arrived> ColdFile::Take(TimePoint) {
  if (!arrived_.empty() && handed_out_ == arrived_.front().places.size()) {
    const std::uint32_t at = arrived_.front().segment;
    Segment& segment = segments_[at];
    --segment.reading;
    if (arrived_.front().places.size() == rows_per_segment_ && segment.emptying)
      emptying_ = segment.emptying = false;
    arrived_.pop_front();
    handed_out_ = 0;
    MaybeReuse(at);
  }
  if (arrived_.empty() && any_done_) Collect();
  if (arrived_.empty()) {
    MaybeEmptyOne();
    return std::nullopt;
  }
  const Job& job = arrived_.front();
  const std::uint32_t place = job.places[handed_out_++];
  const std::byte* const record = job.memory.get() + (OffsetOf(place) - job.begin);
  Arrived arrived;
  std::memcpy(&arrived.position, record, sizeof(arrived.position));
  arrived.place = place;
  arrived.row = reinterpret_cast<const float*>(record + sizeof(arrived.position));
  return arrived;
}

TimePoint ColdFile::NextArrival() const {
  return any_done_ || !arrived_.empty() || !pieces_.empty() ? TimePoint() : kNever;
}

void ColdFile::RequestPiece(std::uint32_t piece, TimePoint) {
  Segment& segment = segments_[piece];
  Job job;
  job.kind = Job::Kind::kPiece;
  job.segment = piece;
  // Nothing lies in a segment that waits to serve again.
  if (segment.live != 0) job.end = kSegmentBytes;
  job.memory = segment.memory;
  ++segment.reading;
  if (job.memory || job.end == 0) {
    pieces_.push_back(std::move(job));
    return;
  }
  std::vector<Job> jobs;
  jobs.push_back(std::move(job));
  Post(std::move(jobs));
}

bool ColdFile::TakePiece(TimePoint, const std::function<void(const Arrived&)>& visit) {
  if (pieces_.empty() && any_done_) Collect();
  if (pieces_.empty()) return false;
  const Job job = std::move(pieces_.front());
  pieces_.pop_front();
  // What could not be read is told by failure().
  if (job.end != 0 && job.status.ok()) {
    // Of a segment that is being filled only what has been written so far.
    const std::uint32_t rows = job.segment == filling_ ? filled_ : rows_per_segment_;
    for (std::uint32_t i = 0; i < rows; ++i) {
      Arrived arrived;
      arrived.place = job.segment * rows_per_segment_ + i;
      const std::byte* const record = job.memory.get() + OffsetOf(arrived.place);
      std::memcpy(&arrived.position, record, sizeof(arrived.position));
      arrived.row = reinterpret_cast<const float*>(record + sizeof(arrived.position));
      visit(arrived);
    }
  }
  --segments_[job.segment].reading;
  MaybeReuse(job.segment);
  return true;
}

Status ColdFile::Read(std::span<const std::uint32_t> places, float* rows) {
  std::vector<std::uint32_t> order(places.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return places[a] < places[b]; });
  std::vector<std::uint32_t> sorted;
  for (const std::uint32_t i : order) sorted.push_back(places[i]);
  std::vector<Job> jobs = CutReads(sorted, kBulkGap, Job::Kind::kBulkRead);
  // Jobs come back in any order; a place tells where its row goes.
  const auto copy_out = [&](const Job& job) {
    auto next =
        order.begin() + (std::lower_bound(sorted.begin(), sorted.end(), job.places.front()) - sorted.begin());
    for (const std::uint32_t place : job.places) {
      std::memcpy(rows + std::size_t{*next++} * options_.row_words,
                  job.memory.get() + (OffsetOf(place) - job.begin) + sizeof(std::uint64_t), row_bytes_);
    }
  };
  const auto at_hand =
      std::stable_partition(jobs.begin(), jobs.end(), [](const Job& job) { return !job.memory; });
  std::for_each(at_hand, jobs.end(), copy_out);
  jobs.erase(at_hand, jobs.end());
  std::size_t missing = jobs.size();
  if (missing == 0) return {};
  Post(std::move(jobs));
  Status status;
  while (missing > 0) {
    CollectWhenDone();
    for (const Job& job : bulk_) {
      if (!job.status.ok()) {
        status = job.status;
      } else {
        copy_out(job);
      }
    }
    missing -= bulk_.size();
    bulk_.clear();
  }
  return status;
}

}  // namespace cohort
