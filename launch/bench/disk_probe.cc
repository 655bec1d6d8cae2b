#include "launch/bench/disk_probe.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include "common/random.h"
#include "launch/bench/stopwatch.h"

namespace cohort::bench {
namespace {

constexpr std::size_t kPieceBytes = 1u << 20;
constexpr std::size_t kAlignment = 4096;

std::unique_ptr<std::uint64_t, void (*)(void*)> Memory(std::size_t bytes) {
  auto* memory = static_cast<std::uint64_t*>(std::aligned_alloc(kAlignment, bytes));
  if (memory == nullptr) throw std::bad_alloc();
  return {memory, std::free};
}

}  // namespace

Result<std::unique_ptr<DiskProbe>> DiskProbe::Create(const std::string& folder, std::uint64_t bytes) {
  std::string name = folder + "/cohort-bench-XXXXXX";
  const int file = ::mkostemp(name.data(), O_CLOEXEC | O_DIRECT);
  if (file < 0) {
    return InvalidInput("--tier " + folder + ": no file can be made there that bypasses the page cache: " +
                        std::strerror(errno) + "; give a folder on a local disk");
  }
  ::unlink(name.c_str());
  auto probe = std::unique_ptr<DiskProbe>(new DiskProbe(file, 0));
  // Different everywhere, so that no layer below can make it smaller.
  const auto piece = Memory(kPieceBytes);
  RandomStream random(1, 1);
  for (; probe->bytes_ < bytes; probe->bytes_ += kPieceBytes) {
    for (std::size_t i = 0; i < kPieceBytes / sizeof(std::uint64_t); ++i) piece.get()[i] = random();
    if (::pwrite(file, piece.get(), kPieceBytes, static_cast<off_t>(probe->bytes_)) !=
        static_cast<ssize_t>(kPieceBytes)) {
      return Error(ErrorCode::kIo, "--tier " + folder + ": cannot be written: " + std::strerror(errno) +
                                       "; make room, or lower --rows");
    }
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
  }
  return probe;
}

DiskProbe::~DiskProbe() { ::close(file_); }

Result<double> DiskProbe::RandomReads(std::size_t block, int depth, double seconds,
                                      std::uint64_t seed) const {
  std::atomic<std::uint64_t> reads{0};
  std::atomic<int> error{0};
  const double start = WallSeconds();
  std::vector<std::thread> threads;
  for (int i = 0; i < depth; ++i) {
    threads.emplace_back([&, i] {
      const auto memory = Memory(block);
      RandomStream random(seed, static_cast<std::uint64_t>(i));
      const std::uint64_t places = (bytes_ - block) / kAlignment + 1;
      while (WallSeconds() < start + seconds && StopSignal() == 0) {
        const auto at = static_cast<off_t>(random.Below(places) * kAlignment);
        if (::pread(file_, memory.get(), block, at) != static_cast<ssize_t>(block)) {
          error = errno == 0 ? EIO : errno;
          return;
        }
        ++reads;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  COHORT_RETURN_IF_ERROR(CheckStopSignal());
  if (error != 0)
    return Error(ErrorCode::kIo, std::string("the disk cannot be read: ") + std::strerror(error));
  return static_cast<double>(reads) / (WallSeconds() - start);
}

}  // namespace cohort::bench
