#include "worker/worker.h"

#include <algorithm>
#include <utility>

namespace cohort {

Worker::Worker(std::uint32_t index, Register registration, SchedulerClient::Options scheduler,
               ParameterClient::Options parameters)
    : scheduler_(WorkerNode(index), std::move(registration), scheduler),
      parameters_(WorkerNode(index), parameters) {}

void Worker::OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) {
  if (from.sender.role == Role::kScheduler) {
    const bool knew_view = scheduler_.welcome() != nullptr;
    scheduler_.OnMessage(from, message, now, out);
    if (!knew_view && scheduler_.welcome() != nullptr) parameters_.SetView(*scheduler_.welcome());
  } else {
    parameters_.OnMessage(from, message, now, out);
  }
}

void Worker::OnTimer(TimePoint now, Outbox& out) {
  scheduler_.OnTimer(now, out);
  parameters_.OnTimer(now, out);
}

TimePoint Worker::NextTimer() const { return std::min(scheduler_.NextTimer(), parameters_.NextTimer()); }

Stamp Worker::stamp() const {
  Stamp stamp = scheduler_.stamp();
  if (const Welcome* welcome = scheduler_.welcome()) stamp.generation = welcome->slot_map.generation;
  return stamp;
}

const Status& Worker::failure() const {
  return scheduler_.failure().ok() ? parameters_.failure() : scheduler_.failure();
}

}  // namespace cohort
