// FramePlan: the frames that a batch takes on the wire, by size: what the transport alone is measured with.
// It is found by letting the protocol itself cut a batch (ParameterClient, wire.h), so it follows every change of theirs.
#ifndef COHORT_LAUNCH_BENCH_FRAME_PLAN_H_
#define COHORT_LAUNCH_BENCH_FRAME_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/buffer.h"
#include "launch/bench/options.h"

namespace cohort::bench {

// A request and its reply.
struct PlannedExchange {
  std::uint32_t shard = 0;
  std::vector<std::size_t> request, reply;  // bytes of each frame
};

struct FramePlan {
  std::uint64_t rows = 0;
  std::vector<PlannedExchange> pulls, pushes;  // all of one batch, each in one go

  std::size_t PullBytes() const;  // both ways
  std::size_t PushBytes() const;
};

// For a batch of these keys (Key[n], distinct, ascending by ring position). Closes, a small message for each batch
// and shard, are left out.
FramePlan PlanFrames(const Options& options, const Buffer& keys);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_FRAME_PLAN_H_
