// EventQueue: what is to happen, in the order of time; at one time, in the order in which it was added. Most of what is added is
// near: only the events of the next instant are kept in order, those of the near future lie in buckets.
#ifndef COHORT_LAUNCH_SIMULATE_EVENT_QUEUE_H_
#define COHORT_LAUNCH_SIMULATE_EVENT_QUEUE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "launch/simulate/simulated_host.h"

namespace cohort {

template <typename What>
class EventQueue {
 public:
  struct Event {
    VirtualTime at = 0;
    std::uint64_t number = 0;
    What what{};
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : number > other.number;
    }
  };

  EventQueue() : near_(kBuckets) {}

  // REQUIRES: at is not before the event that was taken last.
  void Push(VirtualTime at, What what) {
    ++size_;
    Add({at, next_++, std::move(what)});
  }
  bool empty() const { return size_ == 0; }
  // What comes next, unless something is added before; null: not known.
  const What* Peek() const { return now_.empty() ? nullptr : &now_.front().what; }
  // REQUIRES: not empty.
  Event Pop() {
    while (now_.empty()) Advance();
    std::pop_heap(now_.begin(), now_.end(), std::greater<>());
    Event event = std::move(now_.back());
    now_.pop_back();
    --size_;
    return event;
  }

 private:
  static constexpr VirtualTime kWidth = 50'000;  // ns
  static constexpr std::int64_t kBuckets = 1 << 13;

  void Add(Event event) {
    const std::int64_t bucket = event.at / kWidth;
    if (bucket <= current_) {
      now_.push_back(std::move(event));
      std::push_heap(now_.begin(), now_.end(), std::greater<>());
    } else if (bucket < current_ + kBuckets) {
      near_[static_cast<std::size_t>(bucket % kBuckets)].push_back(std::move(event));
      ++in_buckets_;
    } else {
      far_.push_back(std::move(event));
      std::push_heap(far_.begin(), far_.end(), std::greater<>());
    }
  }
  // To the next bucket; what has come near is put into its own.
  void Advance() {
    if (in_buckets_ == 0) current_ = far_.front().at / kWidth - 1;
    ++current_;
    auto& bucket = near_[static_cast<std::size_t>(current_ % kBuckets)];
    in_buckets_ -= bucket.size();
    now_.swap(bucket);
    std::make_heap(now_.begin(), now_.end(), std::greater<>());
    while (!far_.empty() && far_.front().at / kWidth < current_ + kBuckets) {
      std::pop_heap(far_.begin(), far_.end(), std::greater<>());
      Event event = std::move(far_.back());
      far_.pop_back();
      Add(std::move(event));
    }
  }

  std::vector<Event> now_;                // a heap: up to the end of the current bucket
  std::vector<std::vector<Event>> near_;  // a ring
  std::vector<Event> far_;                // a heap: beyond the ring
  std::int64_t current_ = 0;
  std::size_t size_ = 0, in_buckets_ = 0;
  std::uint64_t next_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_EVENT_QUEUE_H_
