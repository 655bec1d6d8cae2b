#include "tests/simulation/planted_bugs.h"

#include <utility>

#include "common/gradient_tree.h"

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

}  // namespace

std::unique_ptr<Shard> NewShard(PlantedBug bug, NodeId self, ShardOptions options, SnapshotStore& store) {
  if (bug == PlantedBug::kNoDuplicateCheck)
    return std::make_unique<ForgetfulShard>(self, std::move(options), store);
  if (bug == PlantedBug::kSumInArrivalOrder)
    return std::make_unique<ImpatientShard>(self, std::move(options), store);
  return std::make_unique<Shard>(self, std::move(options), store);
}

ParameterClientFaults ClientFaults(PlantedBug bug) {
  ParameterClientFaults faults;
  faults.close_before_acknowledgements = bug == PlantedBug::kCloseBeforeAcknowledgements;
  faults.cache_beyond_the_bound = bug == PlantedBug::kCacheBeyondTheBound;
  return faults;
}

}  // namespace cohort
