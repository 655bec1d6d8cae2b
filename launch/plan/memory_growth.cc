#include "launch/plan/memory_growth.h"

#include <malloc.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace cohort {
namespace {

// Of this process, in bytes.
struct Resident {
  std::uint64_t peak = 0, file = 0, own = 0;  // peak: of all, since it was last reset; own: of no file
};

Resident ReadResident() {
  std::ifstream status("/proc/self/status");
  Resident resident;
  std::string name, rest;
  for (std::uint64_t kilobytes = 0; status >> name; std::getline(status, rest)) {
    if (name != "VmHWM:" && name != "RssFile:" && name != "RssAnon:") continue;
    status >> kilobytes;
    (name == "VmHWM:" ? resident.peak : name == "RssFile:" ? resident.file : resident.own) = kilobytes << 10;
  }
  return resident;
}

}  // namespace

MemoryGrowth::MemoryGrowth() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins anew
  began_ = ReadResident().own;
}

std::uint64_t MemoryGrowth::Bytes() const {
  const Resident now = ReadResident();
  const std::uint64_t mine = now.peak - std::min(now.peak, now.file);
  return mine - std::min(mine, began_);
}

}  // namespace cohort
