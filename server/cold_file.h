// ColdFile: cold rows in a file of their own, in segments of 1 MiB that are written once, front to back, and serve again
// when none of their rows is wanted any more. The file is scratch: unlinked at once, gone with the process.
//
// A record is a row's ring position and its words. Which records are wanted is known to the table's index alone; here
// stands only how many of each segment are. When half of the file serves nobody, segments with few wanted rows are read
// whole and handed out by Take, so that their rows are written again side by side and the segment serves again.
//
// Reads and writes bypass the page cache (O_DIRECT): rows that the shard keeps in memory need no second copy there, and
// cold ones would only push out what others need. Where the file system has no O_DIRECT, they do not.
//
// The owner's thread collects rows in the segment being filled, out of which they are read until it is on disk. Some I/O
// threads do the rest: they write full segments, and read the blocks of requested rows, several at a time.
//
// Why not RocksDB: with rows of 128 bytes and 16 direct reads in flight it fetched a quarter to a half of the rows per
// second that this layout does (docs/tier.md): rows of one size, named by a place, need no sorted runs.
#ifndef COHORT_SERVER_COLD_FILE_H_
#define COHORT_SERVER_COLD_FILE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/wake_signal.h"
#include "server/cold_rows.h"

namespace cohort {

// One thread calls.
class ColdFile : public ColdRows {
 public:
  static constexpr std::size_t kSegmentBytes = 1u << 20;
  static constexpr std::size_t kBlockBytes = 4096;  // what is read of the disk at the least
  static constexpr int kDepth = 16;                 // reads in flight

  struct Options {
    std::string directory;  // must exist
    std::uint32_t row_words = 0;
    std::uint64_t most_bytes =
        ~0ull;  // of the file, and of those that share it; beyond it the disk counts as full
    // Of the files of one owner that share most_bytes: what they take. Null: this one has it for itself.
    std::shared_ptr<std::uint64_t> taken;
    WakeSignal* wake = nullptr;        // given when NextArrival() has changed; must outlive the file
    int threads = kDepth;
  };
  // Errors: kInvalidInput, the directory cannot be written.
  static Result<std::unique_ptr<ColdFile>> Create(const Options& options);
  ~ColdFile() override;

  std::optional<std::uint32_t> Write(std::uint64_t position, const float* row) override;
  bool WaitForRoom() override;
  void Free(std::uint32_t place) override;
  void Request(std::span<const std::uint32_t> places, TimePoint now) override;
  std::optional<Arrived> Take(TimePoint now) override;
  TimePoint NextArrival() const override;
  Status Read(std::span<const std::uint32_t> places, float* rows) override;
  // A piece is a segment.
  std::uint32_t pieces() const override { return static_cast<std::uint32_t>(segments_.size()); }
  void RequestPiece(std::uint32_t piece, TimePoint now) override;
  bool TakePiece(TimePoint now, const std::function<void(const Arrived&)>& visit) override;
  const Status& full() const override { return full_; }
  const Status& failure() const override { return failure_; }

  std::uint64_t file_bytes() const { return segments_.size() * kSegmentBytes; }

 private:
  using Memory = std::shared_ptr<std::byte>;
  struct Segment {
    Memory memory;              // until it is on disk
    std::uint32_t live = 0;     // rows wanted
    std::uint32_t reading = 0;  // jobs that read it, or whose rows are being handed out
    bool full = false;
    bool emptying = false;  // is being read so that it serves again
    bool refused = false;   // the disk has not taken it: it stays in memory and is tried again
  };
  // Bytes [begin, end) of a segment, read or written by an I/O thread.
  struct Job {
    enum class Kind : std::uint8_t { kWrite, kRead, kBulkRead, kPiece } kind = Kind::kRead;
    std::uint32_t segment = 0;
    std::size_t begin = 0, end = 0;
    Memory memory;                      // holds what of the segment begins at `begin`
    std::vector<std::uint32_t> places;  // reads: to be handed out
    Status status;
  };

  ColdFile(const Options& options, int file);
  // ---- I/O threads
  void Run();
  Status Do(Job& job) const;
  // ---- the owner's thread
  std::uint32_t SegmentOf(std::uint32_t place) const { return place / rows_per_segment_; }
  std::size_t OffsetOf(std::uint32_t place) const {
    return std::size_t{place % rows_per_segment_} * record_bytes_;
  }
  bool OpenSegment();
  void MaybeReuse(std::uint32_t segment);
  void MaybeEmptyOne();
  // Cuts reads of ascending places: those with up to `gap` blocks between them come in one.
  std::vector<Job> CutReads(std::span<const std::uint32_t> places, std::size_t gap, Job::Kind kind) const;
  void Post(std::vector<Job> jobs);
  void PostWrite(std::uint32_t segment);
  void TryRefused();
  void Collect();  // what the threads have done
  void CollectWhenDone();

  const Options options_;
  const int file_;
  const std::size_t row_bytes_, record_bytes_;
  const std::uint32_t rows_per_segment_;
  std::vector<Segment> segments_;
  std::vector<std::uint32_t> reusable_;
  std::uint32_t filling_ = 0, filled_ = 0;  // the segment being filled, its rows; rows_per_segment_: none
  std::size_t writing_ = 0;                 // segments not yet on disk
  std::uint64_t live_ = 0;                  // rows wanted
  bool emptying_ = false;                   // one segment at a time
  std::uint32_t hand_ = 0;                  // where the next such segment is looked for
  std::deque<Job> arrived_;                 // reads that have come; the first is being handed out
  std::size_t handed_out_ = 0;              // of its rows
  std::vector<Job> bulk_;                   // bulk reads that have come
  std::deque<Job> pieces_;                  // that have come
  std::deque<std::uint32_t> refused_;       // segments; those that serve nobody any more may stand here, too
  std::uint32_t tried_ = 0;                 // the one that was tried last
  std::chrono::steady_clock::time_point next_try_{};
  Status full_, failure_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable to_do_changed_, done_changed_;
  std::deque<Job> to_do_, done_;
  bool stop_ = false;
  std::atomic<bool> any_done_{false};  // read without the mutex
  std::vector<std::thread> threads_;
};

}  // namespace cohort

#endif  // COHORT_SERVER_COLD_FILE_H_
