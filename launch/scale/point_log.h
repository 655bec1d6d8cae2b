// PointLog: OUT/points.jsonl, where every repetition that is finished is kept, so that an experiment that was killed goes on where
// it stopped. A line for the experiment, then one for each repetition, forced to the disk before Append returns; a line that a
// dying process has not written to its end is dropped.
//
//   {"experiment": NAME, "fingerprint": ..., "source": "measured", "machine": {processor, cores, version}}
//   {"repetition": 0, "settings": {...}, "figures": {NAME: value}}
//
// A point is known by its settings, so that points may be added to an experiment that has been begun.
#ifndef COHORT_LAUNCH_SCALE_POINT_LOG_H_
#define COHORT_LAUNCH_SCALE_POINT_LOG_H_

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "common/status.h"
#include "launch/scale/experiment.h"
#include "launch/scale/results.h"

namespace cohort::scale {

inline constexpr const char* kPointLog = "points.jsonl";

// One thread; one process (a lock on the file). Move-only.
class PointLog {
 public:
  // Makes the folder, or goes on with what is there. Errors, kInvalidInput: the folder holds another experiment, another source or
  // another process's; kCorrupt: not a points.jsonl.
  static Result<PointLog> Open(const std::string& folder, const Experiment& experiment,
                               const std::string& source, const Machine& machine);
  PointLog(PointLog&& other) noexcept;
  PointLog& operator=(PointLog&&) = delete;
  ~PointLog();

  bool Has(const Turn& turn) const { return done_.contains({turn.point, turn.repetition}); }
  std::size_t size() const { return done_.size(); }  // repetitions of the experiment that are there
  Status Append(const Turn& turn, const Figures& figures);
  // Everything that is there; the machine is the one that the experiment was begun on.
  const ScaleResults& results() const { return results_; }
  // It was begun on another processor, number of cores or version; empty: it was not.
  const std::string& other_machine() const { return other_machine_; }

 private:
  PointLog(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  Status ReadLines(const std::string& text, const Experiment& experiment, const std::string& source,
                   const Machine& machine);
  Status Write(const std::string& line);

  std::string path_;
  int descriptor_ = -1;
  ScaleResults results_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> done_;  // by point and repetition
  std::string other_machine_;
};

}  // namespace cohort::scale

#endif  // COHORT_LAUNCH_SCALE_POINT_LOG_H_
