// Parcel: a message under way in a simulated cluster, and what it costs where.
#ifndef COHORT_LAUNCH_SIMULATE_PARCEL_H_
#define COHORT_LAUNCH_SIMULATE_PARCEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
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
  bool came_in = false;  // through the receiver's link
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

// Parcels by number; they stay where they are, and their memory is reused.
class ParcelPool {
 public:
  std::uint32_t Add(Parcel parcel) {
    if (free_.empty()) {
      if (count_ % kBlock == 0) blocks_.push_back(std::make_unique<Parcel[]>(kBlock));
      free_.push_back(count_++);
    }
    const std::uint32_t number = free_.back();
    free_.pop_back();
    (*this)[number] = std::move(parcel);
    return number;
  }
  Parcel& operator[](std::uint32_t number) { return blocks_[number / kBlock][number % kBlock]; }
  void Free(std::uint32_t number) { free_.push_back(number); }
  // Has it brought near: it will be needed soon.
  void FetchAhead(std::uint32_t number) {
    const char* bytes = reinterpret_cast<const char*>(&(*this)[number]);
    for (std::size_t i = 0; i < sizeof(Parcel); i += 64) __builtin_prefetch(bytes + i);
  }

 private:
  static constexpr std::uint32_t kBlock = 1024;
  std::vector<std::unique_ptr<Parcel[]>> blocks_;
  std::uint32_t count_ = 0;
  std::vector<std::uint32_t> free_;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_PARCEL_H_
