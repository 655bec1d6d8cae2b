#include "launch/bench/options.h"

#include <algorithm>
#include <bit>

#include "server/embedding_table.h"

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

std::uint64_t Options::HotRows() const {
  const auto fit = static_cast<std::uint64_t>(static_cast<double>(rows) * memory_share);
  return std::min(rows, std::max<std::uint64_t>(batch, fit / 16));
}

Status CheckCluster(const Options& options) {
  if (options.ShardCount() > static_cast<std::uint32_t>(kMaxShards)) {
    return {ErrorCode::kInvalidInput,
            "--servers " + std::to_string(options.servers) + " with --shards " +
                std::to_string(options.shards) + " makes " + std::to_string(options.ShardCount()) +
                " shards, expected at most " + std::to_string(kMaxShards) + ": lower one of them"};
  }
  if (options.cache_rows > 0 && (options.consistency == Consistency::kBsp ||
                                 (options.consistency == Consistency::kSsp && options.staleness == 0))) {
    return {ErrorCode::kInvalidInput,
            "--cache-rows " + std::to_string(options.cache_rows) +
                " asks for rows that serve several clocks, which neither --consistency bsp nor ssp with "
                "--staleness 0 allows: use 0, or another consistency"};
  }
  if (options.staleness != Options().staleness && options.consistency != Consistency::kSsp) {
    return {ErrorCode::kInvalidInput, "--staleness " + std::to_string(options.staleness) +
                                          " is for --consistency ssp alone: give both, or leave it out"};
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

TierConfig TierOf(const Options& options) {
  const EmbeddingTable table(TableOf(options), options.seed);
  const double row =
      static_cast<double>(table.row_words() * sizeof(float) + EmbeddingTable::kTierBytesPerRow);
  TierConfig tier;
  tier.path = options.tier;
  tier.max_bytes = static_cast<std::uint64_t>(static_cast<double>(options.rows) * options.memory_share * row /
                                              options.ShardCount());
  return tier;
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
