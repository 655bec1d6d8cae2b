// ParkedPulls: pulls that wait for slower workers' pushes, in the order of their arrival. Thousands of workers may wait at once:
// finding a repetition, and that nothing can be answered yet, does not look at all of them. One thread.
#ifndef COHORT_SERVER_PARKED_PULLS_H_
#define COHORT_SERVER_PARKED_PULLS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/message.h"
#include "common/types.h"

namespace cohort {

class ParkedPulls {
 public:
  // False: it is here already.
  bool Park(std::uint32_t worker, PullRequest request) {
    if (names_.size() <= worker) names_.resize(worker + 1);
    std::vector<RequestId>& names = names_[worker];
    if (std::find(names.begin(), names.end(), request.request_id) != names.end()) return false;
    names.push_back(request.request_id);
    earliest_ = std::min(earliest_, request.clock);
    pulls_.push_back({worker, std::move(request)});
    return true;
  }
  bool empty() const { return pulls_.empty(); }
  std::size_t size() const { return pulls_.size(); }

  // Hands those that may be answered to `answer` (worker, PullRequest); the others keep their order. `may_answer` (Clock) is
  // true for all clocks below one for which it is.
  template <typename MayAnswer, typename Answer>
  void Release(MayAnswer may_answer, Answer answer) {
    if (pulls_.empty() || !may_answer(earliest_)) return;
    std::size_t kept = 0;
    earliest_ = kClockInfinity;
    for (Pull& pull : pulls_) {
      if (may_answer(pull.request.clock)) {
        std::erase(names_[pull.worker], pull.request.request_id);
        answer(pull.worker, std::move(pull.request));
        continue;
      }
      earliest_ = std::min(earliest_, pull.request.clock);
      if (&pulls_[kept] != &pull) pulls_[kept] = std::move(pull);
      ++kept;
    }
    pulls_.resize(kept);
  }
  // Those of a worker.
  void Forget(std::uint32_t worker) {
    std::erase_if(pulls_, [worker](const Pull& pull) { return pull.worker == worker; });
    if (worker < names_.size()) names_[worker].clear();
  }
  void Clear() {
    pulls_.clear();
    for (std::vector<RequestId>& names : names_) names.clear();
    earliest_ = kClockInfinity;
  }

 private:
  struct Pull {
    std::uint32_t worker = 0;
    PullRequest request;
  };
  std::vector<Pull> pulls_;
  std::vector<std::vector<RequestId>> names_;  // by worker: few each
  Clock earliest_ = kClockInfinity;            // no pull has a lower clock
};

}  // namespace cohort

#endif  // COHORT_SERVER_PARKED_PULLS_H_
