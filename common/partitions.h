// Partitions: work over users or rows that is cut into parts, which are made one by one: in this process, or by workers
// (launch/partition_job.h).
//
// Where the cuts are depends on the work alone, never on who does it, and parts are taken in their order: so what is made of them
// has the same bytes whoever made them. One thread.
#ifndef COHORT_COMMON_PARTITIONS_H_
#define COHORT_COMMON_PARTITIONS_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "common/process.h"
#include "common/status.h"

namespace cohort {

struct PartitionedWork {
  std::string doing;                                  // for progress and errors: "recommending"
  std::string noun;                                   // what is counted: "users"
  std::uint64_t count = 0;                            // of them
  std::uint64_t size = 1;                             // of a part, the last one's perhaps less; not 0
  std::function<std::string(std::uint64_t)> name_of;  // one of them, in errors; its number, if empty
  // Of all that a part depends on: workers whose files are not the coordinator's are found out by it.
  std::uint64_t fingerprint = 0;
  // The part of [first, end). It may read what has been computed before, and change nothing of it: it runs in other processes.
  std::function<Result<std::string>(std::uint64_t first, std::uint64_t end)> make;
  // Each part in its order, in the process of the command.
  std::function<Status(const std::string& part)> take;

  std::uint64_t parts() const { return (count + size - 1) / size; }
};

class Partitions {
 public:
  virtual ~Partitions() = default;
  // What all parts need, and one process computes for all: its bytes. `name`: its own within the command, of letters and digits.
  virtual Result<std::string> Once(const std::string& name,
                                   const std::function<Result<std::string>()>& compute) = 0;
  // Makes and takes all parts; once per command. Errors: those of `make` and `take`, and of the processes.
  virtual Status Run(const PartitionedWork& work) = 0;
};

// All in this process, part by part. Run catches stop signals, and ends before the next part; before it they end the process at once, which has
// written nothing yet.
class PartitionsHere : public Partitions {
 public:
  explicit PartitionsHere(std::function<void(const std::string&)> progress)
      : progress_(std::move(progress)) {}

  Result<std::string> Once(const std::string&, const std::function<Result<std::string>()>& compute) override {
    return compute();
  }
  Status Run(const PartitionedWork& work) override {
    CatchStopSignals();
    for (std::uint64_t first = 0; first < work.count; first += work.size) {
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
      progress_(work.doing + ": " + std::to_string(first) + " of " + std::to_string(work.count) + " " +
                work.noun);
      COHORT_ASSIGN_OR_RETURN(const std::string part,
                              work.make(first, std::min(first + work.size, work.count)));
      COHORT_RETURN_IF_ERROR(work.take(part));
    }
    return {};
  }

 private:
  std::function<void(const std::string&)> progress_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_PARTITIONS_H_
