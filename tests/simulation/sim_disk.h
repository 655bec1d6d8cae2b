// A disk that keeps what was synced, and perhaps more: files and directory entries live in a cache first, as on POSIX. When the
// power fails, a file that was not synced may be what it last was on the disk, cut short, have a hole, or be whole; an entry that
// was made, replaced or removed without a sync of its directory may be so or not. Beside that it may be full now and then, and
// rot: bits flip, files lose their end.
#ifndef COHORT_TESTS_SIMULATION_SIM_DISK_H_
#define COHORT_TESTS_SIMULATION_SIM_DISK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/random.h"
#include "common/status.h"

namespace cohort {

class SimDisk {
 public:
  explicit SimDisk(std::uint64_t seed) : random_(seed, 0x64697363) {}

  // Writes that fail for want of room, of all.
  void SetFullChance(double chance) { full_chance_ = chance; }
  // The machine dies with the operation after so many more (each call below that changes something is one).
  void DieAfter(std::uint64_t operations) { operations_left_ = operations; }
  bool dead() const { return dead_; }

  // Errors: the disk is full, or the machine is dead; then nothing happens.
  Status Write(const std::string& path, std::string bytes);
  Status Sync(const std::string& path);
  Status Rename(const std::string& from, const std::string& to);
  Status SyncDirectory(const std::string& directory);
  Status Remove(const std::string& path);

  std::optional<std::string> Read(const std::string& path) const;
  std::vector<std::string> List() const;  // all paths, ascending

  // The machine is dead; another life begins. `power`: with the cache; else only processes died, and all is as it was.
  void Restart(bool power);
  // Damages a file as time does. Returns its path; empty: there is none.
  std::string Rot();

 private:
  struct File {
    std::string cached, synced;
  };
  using Entries = std::map<std::string, std::shared_ptr<File>>;

  Status Begin();  // an operation

  RandomStream random_;
  double full_chance_ = 0;
  std::uint64_t operations_left_ = ~0ull;
  bool dead_ = false;
  Entries cached_, synced_;
};

}  // namespace cohort

#endif  // COHORT_TESTS_SIMULATION_SIM_DISK_H_
