// What a benchmark can be told: the workload, the cluster it runs on, and how long it is measured.
#ifndef COHORT_LAUNCH_BENCH_OPTIONS_H_
#define COHORT_LAUNCH_BENCH_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "common/config.h"
#include "common/message.h"
#include "common/run_key.h"
#include "common/status.h"
#include "common/table_spec.h"
#include "common/types.h"

namespace cohort::bench {

// What a worker does with each batch of keys.
enum class Operation : std::uint8_t { kPull = 0, kPush, kPullPush };
const char* OperationName(Operation operation);  // "pull", "push", "pull-push"

struct Options {
  // The cluster. tcp is loopback; ipc are Unix-domain sockets.
  std::uint32_t servers = 1;
  std::uint32_t shards = 1;  // per server
  std::uint32_t workers = 1;
  std::string transport = "tcp";
  std::optional<RunKey>
      key;  // given: connections of the cluster are encrypted; those of the bare transport are not
  // asp, so that the window is not serialised by bsp's barrier: in bsp a pull waits for the batch before it.
  Consistency consistency = Consistency::kAsp;
  std::uint32_t staleness = 4;  // ssp
  std::uint32_t request_rows = ClusterConfig().request_rows;
  std::uint64_t credit_bytes = ClusterConfig().credit_bytes;

  // The workload.
  std::uint32_t dim = 16;
  std::uint32_t batch = 16384;  // keys of a batch; with zipf, draws, of which the distinct ones travel
  std::uint64_t rows = 4'000'000;
  double zipf = 0;  // 0: uniform
  PushRowNames push_rows = WireConfig().push_rows;
  FloatType pull_values = WireConfig().pull_values;
  FloatType push_values = WireConfig().push_values;
  std::uint64_t cache_rows = CacheConfig().rows;  // pulls
  std::uint32_t window = 4;  // batches outstanding per worker
  OptimizerKind optimizer = OptimizerKind::kSgd;
  std::uint64_t keys_drawn = 4'000'000;  // beforehand, at most; then batches repeat
  std::string tier;            // a folder for rows that do not fit into memory; empty: all stay in memory
  double memory_share = 0.25;  // `tier`: of the rows, that fit
  std::uint64_t grow_to = 50'000'000;           // `table`: rows at the end of growth; 0: no growth
  std::uint32_t slices = TrainConfig().slices;  // `step`
  std::uint64_t seed = 1;

  // `train`
  std::string job = "gemm";         // or "embedding"
  std::uint64_t samples = 400'000;  // of the dataset
  FloatType compute = FloatType::kFloat32;
  std::uint32_t epochs = 2;         // that are measured, after a first one
  double core_share = CheckpointConfig().core_share;  // `checkpoint`
  std::string measure = "all";                        // `checkpoint`: or "pushes", "idle", one half of it
  std::string folder;  // for data and runs, or checkpoints; empty: the system's for temporary files
  std::string out;     // `machine`: the file

  // The measurement.
  double seconds = 1;  // of each repetition and side, about
  std::uint32_t repetitions = 5;

  std::uint32_t ShardCount() const { return servers * shards; }
  // The most popular rows by Zipf's law, few enough that all of them are in memory.
  std::uint64_t HotRows() const;
};

// What the options' own ranges cannot tell: kInvalidInput names the options that do not fit together.
Status CheckCluster(const Options& options);

// The one table of a benchmark, and what its roles are told when they join.
TableSpec TableOf(const Options& options);
// REQUIRES: CheckCluster has passed. Endpoints are empty.
Welcome ViewOf(const Options& options);
// A shard's tier.
TierConfig TierOf(const Options& options);
// A power of two that gives every worker a slice; 1 outside bsp.
std::uint32_t SlicesOf(const Options& options);

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_OPTIONS_H_
