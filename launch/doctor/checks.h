// The doctor's judgement: facts in, a line per check out, with the hosts that it is about and the mend. No file, socket, clock or process.
#ifndef COHORT_LAUNCH_DOCTOR_CHECKS_H_
#define COHORT_LAUNCH_DOCTOR_CHECKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "launch/doctor/host_facts.h"

namespace cohort {

// What a run needs of each host.
struct Needs {
  std::string version;  // of Cohort, as here
  std::uint32_t wire_version = 0;
  std::uint64_t memory_bytes = 500'000'000;
  std::uint64_t open_files = 512;            // a process
  std::uint64_t disk_bytes = 1'000'000'000;  // in the run's folder
  std::uint64_t scratch_bytes = 200'000'000;
  std::uint64_t shared_memory_bytes = 16'000'000;
  std::string interface;         // cluster.interface, as given
  std::string data;              // the run's dataset; empty: none is named
  std::int64_t data_bytes = -1;  // of it, as seen here; -1: it cannot be read here
};

enum class Severity : std::uint8_t {
  kGood = 0,
  kLow = 1,  // a run works, with less
  kBad = 2,  // a run would fail
};
struct Check {
  std::string name;  // "open files"
  Severity severity = Severity::kGood;
  std::vector<std::string> hosts;  // whom it is about; good: nobody in particular
  std::string found;
  std::string mend;  // empty: good
};

// One good line per check, or one line per kind of fault with the hosts that have it. In the order in which they are best mended.
std::vector<Check> Judge(const ClusterFacts& facts, const Needs& needs);

// The hosts on which an MPI start is worth trying: those with nothing that is known to spoil it. Names of the hostfile.
std::vector<std::string> FitForMpi(const ClusterFacts& facts, const Needs& needs);

}  // namespace cohort

#endif  // COHORT_LAUNCH_DOCTOR_CHECKS_H_
