// A command whose work is cut into partitions, as small as can be, and with the faults that tests ask for.
//
//   partition_program --out FILE --count N --size S --workers W [--dead-after SECONDS] [--hostfile FILE]
//                     [--fault KIND --at PART|all|setup --times K]
//
// Writes a line per number. A fault befalls the workers that do part `--at`, K times each part; who has had it is kept in
// FILE.faults/. Kinds: kill, stop, exit, refuse (the user's error), fail (the world's), full (no more bytes fit on the disk), other
// (reads other data), or the name of a fault point, at which it is killed while it writes that part.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "common/atomic_file.h"
#include "common/fault_point.h"
#include "launch/partition_job.h"

namespace cohort {
namespace {

std::map<std::string, std::string> options;

std::uint64_t Whole(const std::string& name, std::uint64_t otherwise) {
  return options.contains(name) ? std::strtoull(options[name].c_str(), nullptr, 10) : otherwise;
}

// Whether this place is to have its fault once more.
bool Befalls(const std::string& place) {
  if (!options.contains("--fault") || !options.contains(kPartitionWorkerOption)) return false;
  if (options["--at"] != place && !(options["--at"] == "all" && place != "setup")) return false;
  const std::string folder = options["--out"] + ".faults";
  ::mkdir(folder.c_str(), 0777);
  for (std::uint64_t i = 0; i < Whole("--times", 1); ++i) {
    const std::string mark = folder + "/" + place + "-" + std::to_string(i);
    const int file = ::open(mark.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0666);
    if (file < 0) continue;
    ::close(file);
    return true;
  }
  return false;
}

Status Fault(const std::string& kind) {
  if (kind == "kill") ::raise(SIGKILL);
  if (kind == "stop") ::raise(SIGSTOP);
  if (kind == "exit") ::_exit(0);
  if (kind == "refuse") return {ErrorCode::kInvalidInput, "numbers.csv:7: \"x\" is no number"};
  if (kind == "fail") return {ErrorCode::kIo, "numbers.csv: cannot read: Input/output error"};
  if (kind == "full") {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{10, 10};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  return {};
}

Status Main() {
  const std::string out = options["--out"];
  const auto dead_after = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
      options.contains("--dead-after") ? std::atof(options["--dead-after"].c_str()) : 60));
  std::unique_ptr<Partitions> partitions;
  if (options.contains(kPartitionWorkerOption)) {
    COHORT_ASSIGN_OR_RETURN(partitions, JoinPartitionJob(options[kPartitionWorkerOption], dead_after));
  } else if (Whole("--workers", 0) == 0) {
    partitions = std::make_unique<PartitionsHere>([](const std::string&) {});
  } else {
    PartitionJobOptions job;
    job.workers = static_cast<std::uint32_t>(Whole("--workers", 0));
    job.hostfile = options["--hostfile"];
    job.dead_after = dead_after;
    job.out = out;
    job.command = OwnCommand();
    job.note = [](const std::string& line) { std::cerr << line << std::endl; };
    COHORT_ASSIGN_OR_RETURN(partitions, StartPartitionJob(job));
  }
  if (Befalls("setup")) COHORT_RETURN_IF_ERROR(Fault(options["--fault"]));
  // A worker that computed it itself would show.
  COHORT_ASSIGN_OR_RETURN(const std::string factor, partitions->Once("factor", []() -> Result<std::string> {
    return std::string(options.contains(kPartitionWorkerOption) ? "5" : "3");
  }));
  PartitionedWork work;
  work.doing = "multiplying", work.noun = "numbers";
  work.count = Whole("--count", 0), work.size = Whole("--size", 1);
  work.name_of = [](std::uint64_t number) { return "n" + std::to_string(number); };
  work.fingerprint = options["--fault"] == "other" && options.contains(kPartitionWorkerOption) ? 1 : 2;
  work.make = [&](std::uint64_t first, std::uint64_t end) -> Result<std::string> {
    static std::string point, path;  // where the process is to be killed
    const std::string part = std::to_string(first / work.size), kind = options["--fault"];
    if (options.contains("--slow")) {  // work that takes a while, and says that it has begun
      std::ofstream(options["--out"] + ".begun");
      std::this_thread::sleep_for(std::chrono::milliseconds(Whole("--slow", 0)));
    }
    if (Befalls(part)) {
      COHORT_RETURN_IF_ERROR(Fault(kind));
      point = kind, path = "/part-" + part;
      fault_hook = [](const char* at, const std::string& of) {
        if (point == at && of.ends_with(path)) ::raise(SIGKILL);
      };
    }
    std::string lines;
    for (std::uint64_t number = first; number < end; ++number)
      lines += std::to_string(number) + "," +
               std::to_string(number * std::strtoull(factor.c_str(), nullptr, 10)) + "\n";
    return lines;
  };
  std::string all = "number,product\n";
  work.take = [&](const std::string& part) {
    all += part;
    return Status();
  };
  COHORT_RETURN_IF_ERROR(partitions->Run(work));
  return WriteFileAtomically(out, all);
}

}  // namespace
}  // namespace cohort

int main(int argc, char** argv) {
  for (int i = 1; i + 1 < argc; i += 2) cohort::options[argv[i]] = argv[i + 1];
  const cohort::Status status = cohort::Main();
  if (!status.ok()) std::cerr << "error: " << status.text() << std::endl;
  return status.exit_code();
}
