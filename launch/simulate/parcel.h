// Parcel: a message under way in a simulated cluster, and what it costs where.
#ifndef COHORT_LAUNCH_SIMULATE_PARCEL_H_
#define COHORT_LAUNCH_SIMULATE_PARCEL_H_

#include <algorithm>
#include <bit>
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
  ParcelCost cost;
  bool came_in = false;  // through the receiver's link
  Message message;       // last: of most kinds it fills only its beginning
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

// Parcels by number; they stay where they are, and their memory is reused: a sender's lie together, and it takes the first free place. What
// it sends at once arrives about in that order, so that few pages are in use at a time. Thousands of processes' parcels, in no order, wait for
// the page table more than for anything else.
class ParcelPool {
 public:
  std::uint32_t Add(Parcel parcel) {
    if (parcel.sender >= shelves_.size()) shelves_.resize(parcel.sender + 1);
    Shelf& shelf = shelves_[parcel.sender];
    while (shelf.first < shelf.blocks.size() && blocks_[shelf.blocks[shelf.first]].free == 0) ++shelf.first;
    if (shelf.first == shelf.blocks.size()) {
      shelf.blocks.push_back(static_cast<std::uint32_t>(blocks_.size()));
      blocks_.push_back({std::make_unique<Parcel[]>(kBlock), ~std::uint64_t{0}, shelf.first});
    }
    const std::uint32_t number = shelf.blocks[shelf.first];
    Block& block = blocks_[number];
    const auto place = static_cast<std::uint32_t>(std::countr_zero(block.free));
    block.free &= block.free - 1;
    block.parcels[place] = std::move(parcel);
    return number * kBlock + place;
  }
  Parcel& operator[](std::uint32_t number) { return blocks_[number / kBlock].parcels[number % kBlock]; }
  void Free(std::uint32_t number) {
    Block& block = blocks_[number / kBlock];
    block.free |= std::uint64_t{1} << number % kBlock;
    std::uint32_t& first = shelves_[block.parcels[number % kBlock].sender].first;
    first = std::min(first, block.place);
  }
  // Has it brought near: it will be needed soon.
  void FetchAhead(std::uint32_t number) {
    const char* bytes = reinterpret_cast<const char*>(&(*this)[number]);
    for (std::size_t i = 0; i < sizeof(Parcel); i += 64) __builtin_prefetch(bytes + i);
  }

 private:
  static constexpr std::uint32_t kBlock = 64;
  struct Block {
    std::unique_ptr<Parcel[]> parcels;
    std::uint64_t free = 0;   // bits
    std::uint32_t place = 0;  // in its shelf
  };
  struct Shelf {
    std::vector<std::uint32_t> blocks;
    std::uint32_t first = 0;  // those before it are full
  };
  std::vector<Block> blocks_;
  std::vector<Shelf> shelves_;  // by sender
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_PARCEL_H_
