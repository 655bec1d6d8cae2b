// PrefaultedSlabs: slabs whose memory a thread of its own has used before, so that a shard that needs one need not wait for the
// kernel to find and clear it. It keeps a few ready, from the first Take on, and none before: small tables take none.
#ifndef COHORT_LAUNCH_PREFAULTED_SLABS_H_
#define COHORT_LAUNCH_PREFAULTED_SLABS_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>

#include "server/slab_source.h"

namespace cohort {

class PrefaultedSlabs : public SlabSource {
 public:
  static constexpr std::size_t kReady = 2;

  PrefaultedSlabs() = default;
  ~PrefaultedSlabs() override;

  // Any thread. Waits, for as long as the kernel takes, if they are taken faster than they are made.
  Slab Take() override;

 private:
  void Make();

  std::mutex mutex_;
  std::condition_variable taken_, made_;
  std::deque<Slab> ready_;
  bool out_of_memory_ = false;
  bool ending_ = false;
  std::thread thread_;  // started by the first Take
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_PREFAULTED_SLABS_H_
