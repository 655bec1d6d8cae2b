#include "tests/simulation/planted_bugs.h"

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

#include "common/gradient_tree.h"
#include "common/random.h"

namespace cohort {
namespace {

// Adds parts in the order in which they came, whatever the tree says.
void SumInOrder(std::uint32_t dim, std::span<const GradientView> parts, GradientRows* out) {
  GradientRows sum, next;
  for (const GradientView& part : parts) {
    AddRows(dim, sum, part, &next);
    std::swap(sum, next);
  }
  *out = sum;
}

class ForgetfulShard : public Shard {
 public:
  using Shard::Shard;

 protected:
  bool CountOnce(std::uint32_t, const PushName&, int) override { return true; }
  std::size_t Sum(FloatType, std::uint32_t dim, std::span<const std::uint16_t>,
                  std::span<const GradientView> parts, GradientRows* out) override {
    SumInOrder(dim, parts, out);
    return 0;
  }
};

class ImpatientShard : public Shard {
 public:
  using Shard::Shard;

 protected:
  std::size_t Sum(FloatType, std::uint32_t dim, std::span<const std::uint16_t>,
                  std::span<const GradientView> parts, GradientRows* out) override {
    SumInOrder(dim, parts, out);
    return 0;
  }
};

class LossyShard : public Shard {
 public:
  using Shard::Shard;

 protected:
  bool CountOnce(std::uint32_t worker, const PushName& push, int group) override {
    if (RandomBits(static_cast<std::uint64_t>(push.clock), worker, static_cast<std::uint64_t>(group)) % 500 ==
        0)
      return false;
    return Shard::CountOnce(worker, push, group);
  }
};

// Takes what workers say as said by the newest of their lives.
class Newest {
 public:
  Stamp Raised(Stamp stamp) {
    if (stamp.sender.role != Role::kWorker) return stamp;
    Heard(stamp.sender.index, stamp.incarnation);
    stamp.incarnation = lives_[stamp.sender.index];
    return stamp;
  }
  void Heard(std::uint32_t worker, std::uint32_t incarnation) {
    lives_[worker] = std::max(lives_[worker], incarnation);
  }

 private:
  std::map<std::uint32_t, std::uint32_t> lives_;  // incarnations, by worker
};

class UnfencedShard : public Shard {
 public:
  using Shard::Shard;
  void OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) override {
    if (const auto* fence = std::get_if<FenceOrder>(&message))
      newest_.Heard(fence->worker, fence->incarnation);
    Shard::OnMessage(newest_.Raised(from), std::move(message), now, out);
  }

 private:
  Newest newest_;
};

class UnfencedScheduler : public Node {
 public:
  explicit UnfencedScheduler(Node* scheduler) : scheduler_(scheduler) {}
  void OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) override {
    scheduler_->OnMessage(newest_.Raised(from), std::move(message), now, out);
  }
  void OnTimer(TimePoint now, Outbox& out) override { scheduler_->OnTimer(now, out); }
  TimePoint NextTimer() const override { return scheduler_->NextTimer(); }
  Stamp stamp() const override { return scheduler_->stamp(); }

 private:
  Node* const scheduler_;
  Newest newest_;
};

class HastyShard : public Shard {
 public:
  using Shard::Shard;

 protected:
  void Reply(NodeId to, Message message, Outbox& out) override { out.Send(to, std::move(message)); }
};

class BackupThatKeepsWorkers : public Shard {
 public:
  using Shard::Shard;
  void OnMessage(const Stamp& from, Message message, TimePoint now, Outbox& out) override {
    if (auto* event = std::get_if<ReplicaEvent>(&message);
        event != nullptr && event->kind == ReplicaEvent::Kind::kPhase) {
      if (workers_.empty()) workers_ = event->phase.workers;
      event->phase.workers = workers_;
    }
    Shard::OnMessage(from, std::move(message), now, out);
  }

 private:
  std::vector<std::uint32_t> workers_;  // of the first phase that it heard of
};

}  // namespace

std::unique_ptr<Shard> NewShard(PlantedBug bug, NodeId self, ShardOptions options, SnapshotStore& store) {
  if (bug == PlantedBug::kNoDuplicateCheck)
    return std::make_unique<ForgetfulShard>(self, std::move(options), store);
  if (bug == PlantedBug::kBackupKeepsWorkers)
    return std::make_unique<BackupThatKeepsWorkers>(self, std::move(options), store);
  if (bug == PlantedBug::kAckBeforeBackup)
    return std::make_unique<HastyShard>(self, std::move(options), store);
  if (bug == PlantedBug::kSumInArrivalOrder)
    return std::make_unique<ImpatientShard>(self, std::move(options), store);
  if (bug == PlantedBug::kLostAck) return std::make_unique<LossyShard>(self, std::move(options), store);
  if (bug == PlantedBug::kMissingFence)
    return std::make_unique<UnfencedShard>(self, std::move(options), store);
  return std::make_unique<Shard>(self, std::move(options), store);
}

std::unique_ptr<Node> WithoutFence(PlantedBug bug, Node* scheduler) {
  if (bug != PlantedBug::kMissingFence) return nullptr;
  return std::make_unique<UnfencedScheduler>(scheduler);
}

ParameterClientFaults ClientFaults(PlantedBug bug) {
  ParameterClientFaults faults;
  faults.close_before_acknowledgements = bug == PlantedBug::kCloseBeforeAcknowledgements;
  faults.cache_beyond_the_bound = bug == PlantedBug::kCacheBeyondTheBound;
  return faults;
}

}  // namespace cohort
