// EventQueue: what is to happen, in the order of time; at one time, in the order in which it was added. The near future lies in
// buckets, which are sorted one by one as they are reached, so that what comes next can be seen, and fetched, some events ahead.
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
    bool operator<(const Event& other) const {
      return at != other.at ? at < other.at : number < other.number;
    }
    bool operator>(const Event& other) const { return other < *this; }
  };

  EventQueue() : near_(kBuckets) {}

  // REQUIRES: at is not before the event that was taken last.
  void Push(VirtualTime at, What what) {
    ++size_;
    Add({at, next_++, std::move(what)});
  }
  bool empty() const { return size_ == 0; }
  // What comes `ahead` events after the next one, unless something is added before; null: not known.
  const What* Peek(std::size_t ahead) const {
    return next_now_ + ahead < now_.size() ? &now_[next_now_ + ahead].what : nullptr;
  }
  // REQUIRES: not empty.
  Event Pop() {
    while (next_now_ == now_.size() && late_.empty()) Advance();
    --size_;
    if (late_.empty() || (next_now_ < now_.size() && late_.front() > now_[next_now_]))
      return std::move(now_[next_now_++]);
    return PopHeap(late_);
  }

 private:
  static constexpr VirtualTime kWidth = 50'000;  // ns
  static constexpr std::int64_t kBuckets = 1 << 13;

  static void PushHeap(std::vector<Event>& heap, Event event) {
    heap.push_back(std::move(event));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  }
  static Event PopHeap(std::vector<Event>& heap) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    Event event = std::move(heap.back());
    heap.pop_back();
    return event;
  }
  void Add(Event event) {
    const std::int64_t bucket = event.at / kWidth;
    if (bucket <= current_) {
      PushHeap(late_, std::move(event));
    } else if (bucket < current_ + kBuckets) {
      std::vector<Event>& events = near_[static_cast<std::size_t>(bucket % kBuckets)];
      if (events.capacity() == 0 && !spare_.empty()) {
        events.swap(spare_.back());
        spare_.pop_back();
      }
      events.push_back(std::move(event));
      ++in_buckets_;
    } else {
      PushHeap(far_, std::move(event));
    }
  }
  // To the next bucket; what has come near is put into its own.
  void Advance() {
    if (in_buckets_ == 0) current_ = far_.front().at / kWidth - 1;
    ++current_;
    auto& bucket = near_[static_cast<std::size_t>(current_ % kBuckets)];
    in_buckets_ -= bucket.size();
    now_.clear(), next_now_ = 0;
    if (now_.capacity() > 0) spare_.push_back(std::move(now_));
    now_ = std::move(bucket);
    bucket = {};
    std::sort(now_.begin(), now_.end(), std::less<>());
    while (!far_.empty() && far_.front().at / kWidth < current_ + kBuckets) Add(PopHeap(far_));
  }

  std::vector<Event> now_;                // the current bucket, sorted
  std::size_t next_now_ = 0;              // of it, not yet taken
  std::vector<Event> late_;               // a heap: came into the current bucket since
  std::vector<std::vector<Event>> near_;  // a ring
  std::vector<std::vector<Event>> spare_;  // empty, their memory perhaps in a cache: for the next buckets
  std::vector<Event> far_;                // a heap: beyond the ring
  std::int64_t current_ = 0;
  std::size_t size_ = 0, in_buckets_ = 0;
  std::uint64_t next_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_SIMULATE_EVENT_QUEUE_H_
