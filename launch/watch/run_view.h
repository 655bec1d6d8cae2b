// RunView: a run, seen from its folder alone. It asks no process of the run for anything, writes nothing and locks nothing, so that
// it can neither slow nor harm the run, and sees as much of one that goes on as of one that died or is over.
//
// Read are metrics.jsonl and log.txt as they grow; result.json, cluster.json and hang_report.md when they change; and which
// checkpoints there are.
#ifndef COHORT_LAUNCH_WATCH_RUN_VIEW_H_
#define COHORT_LAUNCH_WATCH_RUN_VIEW_H_

#include <sys/stat.h>

#include <map>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/watch/file_tail.h"
#include "launch/watch/run_state.h"

namespace cohort {

// One thread at a time. Movable.
class RunView {
 public:
  // kInvalidInput: there is no such folder, or it holds no run. Nothing is read yet.
  static Result<RunView> Open(const std::string& folder);

  // Reads what is new, of metrics.jsonl and log.txt some 16 MB each at the most: state().read_share says how far it has come.
  // What cannot be read ends up in state().problems.
  void Refresh();
  const RunState& state() const { return state_; }

 private:
  explicit RunView(std::string folder);

  // Which file it was, and as of when.
  struct Stamp {
    ino_t inode = 0;
    off_t size = -1;
    timespec modified{};
    bool operator==(const Stamp& other) const {
      return inode == other.inode && size == other.size && modified.tv_sec == other.modified.tv_sec &&
             modified.tv_nsec == other.modified.tv_nsec;
    }
  };
  // What a rate is taken of.
  struct Counted {
    double seconds = kUnknown;
    std::map<std::string, WatchedMember> members;  // by node
    double bytes_sent = kUnknown;
  };

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  bool HasChanged(const char* name, Stamp* stamp) const;
  void ReadMetrics();
  void ReadLog();
  void ReadResult();
  void ReadCluster();
  void ReadHangReport();
  void FindCheckpoints();
  void AddSample(const std::string& line);
  void SetRates(const Counted& now);
  void Remember();
  void SetStage();
  WatchedTask& TaskOf(const std::string& name);

  std::string folder_;
  FileTail metrics_, log_;
  Stamp result_file_, cluster_file_, hang_file_, metrics_file_;
  RunState state_;
  Counted before_, newest_;
  double lived_ = 0;         // seconds of the run's lives before this one
  double metrics_read_ = 0;  // bytes, about
  double unreadable_ = 0;    // lines of metrics.jsonl
  std::string result_problem_, cluster_problem_;
  bool verdict_ = false;                         // result.json has one
  bool done_ = false;                            // it is a good one
  std::map<std::string, std::string> presence_;  // by node, from cluster.json
  bool cluster_known_ = false;
  std::string scheduler_host_;
  std::uint64_t scheduler_pid_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_WATCH_RUN_VIEW_H_
