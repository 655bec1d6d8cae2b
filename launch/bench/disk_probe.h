// DiskProbe: how many random blocks a second a disk gives, past the page cache: the limit of a table that lies there.
#ifndef COHORT_LAUNCH_BENCH_DISK_PROBE_H_
#define COHORT_LAUNCH_BENCH_DISK_PROBE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "common/status.h"

namespace cohort::bench {

class DiskProbe {
 public:
  // Writes a file of about `bytes` into a folder; it has no name and goes with this object. Errors: kInvalidInput, the
  // folder cannot be written or lies on no disk; kIo, the disk is full.
  static Result<std::unique_ptr<DiskProbe>> Create(const std::string& folder, std::uint64_t bytes);
  ~DiskProbe();
  DiskProbe(const DiskProbe&) = delete;
  DiskProbe& operator=(const DiskProbe&) = delete;

  // Reads of `block` bytes (a multiple of 4,096) per second, at random places, `depth` at a time, for `seconds`.
  Result<double> RandomReads(std::size_t block, int depth, double seconds, std::uint64_t seed) const;

 private:
  DiskProbe(int file, std::uint64_t bytes) : file_(file), bytes_(bytes) {}
  const int file_;
  std::uint64_t bytes_;
};

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_DISK_PROBE_H_
