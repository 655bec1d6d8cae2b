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
    const Welcome* welcome = scheduler_.welcome();
    if (!knew_view && welcome != nullptr) {
      parameters_.SetView(*welcome);
      for (std::uint32_t shard = 0; shard < welcome->shard_endpoints.size(); ++shard)
        out.Connect(ShardNode(shard), welcome->shard_endpoints[shard]);
    }
    while (const auto moved = scheduler_.TakeShardMoved()) {
      out.Connect(ShardNode(moved->shard), moved->endpoint);
      parameters_.OnShardMoved(*moved, now, out);
    }
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
  if (const Welcome* welcome = scheduler_.welcome()) stamp.generation = welcome->slot_map->generation;
  return stamp;
}

const Status& Worker::failure() const {
  return scheduler_.failure().ok() ? parameters_.failure() : scheduler_.failure();
}

}  // namespace cohort
