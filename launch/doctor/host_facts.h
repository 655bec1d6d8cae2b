// What `cohort doctor` knows of hosts, pairs of hosts and of an MPI start on them, before anybody has judged it (checks.h): plain facts.
#ifndef COHORT_LAUNCH_DOCTOR_HOST_FACTS_H_
#define COHORT_LAUNCH_DOCTOR_HOST_FACTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "launch/interfaces.h"

namespace cohort {

// What to look at on a host.
struct LookOrder {
  std::string folder;     // absolute: the run's folder, or what is there of the way to it
  std::string marker;     // a file that was made in `folder` just now; empty: none was
  std::string data;       // the run's dataset; empty: none is named
  std::string interface;  // cluster.interface
  bool alone = false;     // the only host: its processes talk over 127.0.0.1
};

struct DiskSpace {
  std::string path;
  bool there = false;
  std::uint64_t free_bytes = 0;  // for this user
};

struct HostFacts {
  std::string host;     // as it calls itself
  std::string version;  // of Cohort there
  std::uint32_t wire_version = 0;
  bool whole = true;    // false: it runs another version, and nothing else of what it said was understood
  std::string kernels;  // the best numerical path
  bool avx2 = false;
  std::uint32_t cores = 0;            // online
  std::uint64_t open_files = 0;       // a process may have, once it has asked for as many as it may
  std::uint64_t memory_bytes = 0;     // that processes there could still have
  DiskSpace shared_memory;            // /dev/shm
  DiskSpace folder;                   // the run's
  bool folder_shared = false;         // the marker is seen there
  std::string write_error;            // why nothing could be written into the folder; empty: it could
  double write_bytes_per_second = 0;  // into it, to the disk
  DiskSpace scratch;
  std::int64_t data_bytes = -1;  // of the dataset; -1: it cannot be read there, or none is named
  std::vector<NetworkInterface> interfaces;
  std::string address;        // that a run's processes would listen on
  std::string address_error;  // why there is none
  std::string endpoint;       // where the probe listens; empty: nowhere
  std::string
      mpirun;  // what it calls itself: "mpirun (Open MPI) 4.1.4"; empty: it is not to be found, or does not start
  bool orted = false;                // mpirun's daemon, which has to be there on every host
  std::vector<std::string> missing;  // programs of a run
};

// What a host found when it called another one.
enum class Reach : std::uint8_t {
  kUntried = 0,
  kReached = 1,
  kRefused = 2,  // the host answers, the port does not let anybody in
  kSilent = 3,   // nothing came back
  kNoRoute = 4,  // the network says that there is no way
  kMute = 5,     // connected, and ZeroMQ got no answer
};
struct PairFact {
  Reach reach = Reach::kUntried;
  std::string words;              // of the system, where it was not reached
  double round_trip_seconds = 0;  // over ZeroMQ: the best of some
};

// How far a probe came on a host.
enum class Answer : std::uint8_t {
  kWhole = 0,
  kRefused = 1,       // the launch agent ended before the probe said anything
  kNoProgram = 2,     // there is no cohort at that path
  kOtherProgram = 3,  // the program there does not know what a probe is
  kSilent = 4,        // nothing, or not all, in time
  kDied = 5,          // it ended in the middle
};
struct HostProbe {
  std::string name;  // in the hostfile
  Answer answer = Answer::kSilent;
  std::string words;  // where it is not whole: what it or the agent said last, or what it was doing
  HostFacts facts;
  bool has_facts = false;
  double clock_ahead_seconds = 0;  // of this process's clock
  double clock_error_seconds = 0;  // that may be wrong by so much
  std::vector<PairFact>
      pairs;  // what it found of each host, by place in ClusterFacts::hosts; empty: it was not asked
};

struct MpiFacts {
  bool tried = false;
  std::vector<std::string> hosts;  // names in the hostfile; those that there was no reason to leave out
  std::vector<std::string>
      greeted;                // hosts, as they call themselves, whose programs took part in the exchange
  std::size_t exchanged = 0;  // hosts in MPI's exchange; mpirun started the programs on all
  std::string error;          // empty: all went well
  double seconds = 0;
};

struct ClusterFacts {
  std::vector<HostProbe> hosts;
  bool marked =
      false;  // there was a marker in the run's folder, by which a host can tell that it sees the same one
  MpiFacts mpi;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_DOCTOR_HOST_FACTS_H_
