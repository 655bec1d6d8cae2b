#include "launch/bench/options.h"

#include <bit>

namespace cohort::bench {

const char* OperationName(Operation operation) {
  switch (operation) {
    case Operation::kPull:
      return "pull";
    case Operation::kPush:
      return "push";
    case Operation::kPullPush:
      return "pull-push";
  }
  return "unknown";
}

Status CheckCluster(const Options& options) {
  if (options.ShardCount() > static_cast<std::uint32_t>(kMaxShards)) {
    return {ErrorCode::kInvalidInput,
            "--servers " + std::to_string(options.servers) + " with --shards " +
                std::to_string(options.shards) + " makes " + std::to_string(options.ShardCount()) +
                " shards, expected at most " + std::to_string(kMaxShards) + ": lower one of them"};
  }
  if (options.zipf == 0 && options.batch > options.rows) {
    return {ErrorCode::kInvalidInput,
            "--batch " + std::to_string(options.batch) + " asks for more distinct keys than --rows " +
                std::to_string(options.rows) + " has: raise --rows or lower --batch"};
  }
  return {};
}

TableSpec TableOf(const Options& options) {
  TableSpec table;
  table.id = kEmbeddingTable;
  table.name = "embedding";
  table.dim = options.dim;
  table.optimizer = RunConfig().embedding_optimizer;
  table.optimizer.kind = options.optimizer;
  table.init = {{0, 0.0f, ModelConfig().embedding_init}};
  table.pull_values = options.pull_values;
  table.push_values = options.push_values;
  return table;
}

std::uint32_t SlicesOf(const Options& options) {
  return options.consistency == Consistency::kBsp ? std::bit_ceil(options.workers) : 1;
}

Welcome ViewOf(const Options& options) {
  Welcome welcome;
  welcome.worker_count = options.workers;
  welcome.seed = options.seed;
  welcome.consistency = options.consistency;
  welcome.staleness = options.staleness;
  welcome.slices = SlicesOf(options);
  welcome.slot_map = SlotMap::Even(options.ShardCount());
  welcome.tables = {TableOf(options)};
  return welcome;
}

}  // namespace cohort::bench
