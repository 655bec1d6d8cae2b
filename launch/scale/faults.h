// Faults: kills processes of a training run on this host (SIGKILL) at random moments, at a given rate, and keeps the time of
// the run's measured epochs by a clock of its own, which deaths do not stop.
#ifndef COHORT_LAUNCH_SCALE_FAULTS_H_
#define COHORT_LAUNCH_SCALE_FAULTS_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace cohort::scale {

// Who dies when: a stream of the seed. Moments are seconds since training began, with exponential gaps.
struct Fault {
  double seconds = 0;
  double who = 0;  // in [0, 1): of those that live then, in the order of cluster.json, the scheduler first
};
std::vector<Fault> DrawFaults(double per_hour, double seconds, std::uint64_t seed, std::uint64_t stream);

class Faults {
 public:
  // A thread watches `folder`, the RUN_DIR of a run that is about to start, until Stop. The epochs from `first_epoch` on, before
  // `end_epoch`, are measured.
  Faults(std::string folder, double per_hour, std::uint32_t first_epoch, std::uint32_t end_epoch,
         std::uint64_t seed, std::uint64_t stream);
  ~Faults() { Stop(); }
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  void Stop();
  // After Stop.
  std::uint32_t killed() const { return killed_; }
  double measured_seconds() const { return measured_seconds_; }  // to about a second; 0: not reached

 private:
  void Watch();
  bool Kill(double who);

  const std::string folder_;
  const double per_hour_;
  const std::uint32_t first_epoch_, end_epoch_;
  const std::uint64_t seed_, stream_;
  std::atomic<bool> over_{false};
  std::uint32_t killed_ = 0;
  double measured_seconds_ = 0;
  std::thread thread_;  // last: it uses the others
};

}  // namespace cohort::scale

#endif  // COHORT_LAUNCH_SCALE_FAULTS_H_
