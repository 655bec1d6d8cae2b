// Parcel: a message under way in a simulated cluster, and what it costs where.
#ifndef COHORT_LAUNCH_SIMULATE_PARCEL_H_
#define COHORT_LAUNCH_SIMULATE_PARCEL_H_

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "common/message.h"
#include "launch/machine_costs.h"
#include "launch/simulate/simulated_host.h"
#include "launch/simulate/simulated_worker.h"

namespace cohort {

// CPU time by thread. Of what MachineCosts say of a request and its answer, an I/O thread has the bytes and half of the
// message, the main thread the rows and the other half; half of each at the request, half at the answer, rows and bytes
// where they are.
struct ParcelCost {
  VirtualTime main_send = 0, io_send = 0, io_receive = 0, main_receive = 0;
  double applying = 0;      // seconds of main_receive that are due only when the push is applied (bsp)
  std::uint64_t bytes = 0;  // on the wire
};

struct Parcel {
  Stamp from;
  std::uint32_t sender = 0, to = 0;  // places
  Message message;
  ParcelCost cost;
};

class ParcelCosts {
 public:
  // Both must outlive this object.
  ParcelCosts(const MachineCosts& costs, const SimulatedJob& job) : costs_(costs), job_(job) {}
  // `worker`: who sends the message, or gets it; null: the scheduler and a shard speak.
  ParcelCost Of(const Message& message, const SimulatedWorker* worker) const;

 private:
  const MachineCosts& costs_;
  const SimulatedJob& job_;
};

// Parcels by number; memory is reused.
class ParcelPool {
 public:
  std::uint32_t Add(Parcel parcel) {
    if (free_.empty()) {
      parcels_.push_back(std::move(parcel));
      return static_cast<std::uint32_t>(parcels_.size() - 1);
    }
    const std::uint32_t number = free_.back();
    free_.pop_back();
    parcels_[number] = std::move(parcel);
    return number;
  }
  Parcel& operator[](std::uint32_t number) { return parcels_[number]; }
  void Free(std::uint32_t number) { free_.push_back(number); }

 private:
  std::deque<Parcel> parcels_;
  std::vector<std::uint32_t> free_;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_PARCEL_H_
