#include "tests/simulation/sim_shape.h"

#include <algorithm>

#include "tests/support/workload.h"

namespace cohort {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string DescribePolicy(const SimPlan& plan) {
  const RowPolicySpec& policy = plan.workload.Table(kEmbeddingTable).policy;
  if (!policy.Any()) return "";
  return ", admit " + std::to_string(static_cast<int>(policy.admit)) + ", idle " +
         std::to_string(policy.evict_idle_clocks) + ", max_bytes " + std::to_string(policy.max_bytes);
}

// Policies that decide something within a few clocks and a few hundred keys.
void DrawPolicies(std::uint64_t seed, Shape* shape) {
  RandomStream random(seed, 0x706f6c);
  Workload& workload = shape->plan.workload;
  TableSpec& sparse = workload.tables[kEmbeddingTable];
  if (shape->plan.consistency == Consistency::kBsp) workload.whole = false;  // every bit tells
  workload.key_pool = Pick(random, {40ull, 300ull, 3000ull});
  sparse.policy.admit = static_cast<Admission>(random.Below(3));
  sparse.policy.admit_count = 2 + static_cast<std::uint32_t>(random.Below(4));
  sparse.policy.admit_probability = Pick(random, {0.1f, 0.5f, 0.9f});
  sparse.policy.sketch_bytes = kSlotCount * 64;
  if (random.Below(2) == 0) sparse.policy.evict_idle_clocks = 1 + random.Below(6);
  if (random.Below(2) == 0)
    sparse.policy.max_bytes = kSlotCount * BytesPerRow(sparse) * (1 + random.Below(2));
}

// Whether pushes name rows by their places in pulls, and how much room the shards have for these.
void DrawPositions(std::uint64_t seed, Scenario scenario, Shape* shape) {
  RandomStream random(seed, 0x77697265);
  shape->plan.positions = scenario == Scenario::kPositions || scenario == Scenario::kAll ||
                          (scenario != Scenario::kPlain && random.Below(2) == 0);
  shape->kept_pull_bytes = Pick(random, {0ull, 1000ull, 5000ull, 1ull << 20});
}

// As what the embeddings' values travel, sometimes from and to rows of 16-bit weights.
void DrawHalfValues(std::uint64_t seed, Shape* shape) {
  RandomStream random(seed, 0x68616c66);
  const Workload& workload = shape->plan.workload;
  const bool bsp = shape->plan.consistency == Consistency::kBsp;
  TableSpec& sparse = shape->plan.workload.tables[kEmbeddingTable];
  sparse.pull_values = Pick(random, {FloatType::kFloat32, FloatType::kBfloat16, FloatType::kFloat16});
  sparse.push_values = Pick(random, {FloatType::kBfloat16, FloatType::kFloat16});
  // Whole numbers must stay exact, up to 256 in bfloat16 and 2,048 in float16: a push of ssp or asp has the sum of a
  // thousand rows, perhaps all of one key.
  if (!bsp && workload.key_pool < 300) sparse.push_values = FloatType::kFloat16;
  if (bsp && !workload.whole && random.Below(2) == 0)
    sparse.dtype = Pick(random, {FloatType::kBfloat16, FloatType::kFloat16});
}

// A disk below a memory of few rows, perhaps none; some tables have policies or 16-bit rows as well.
void DrawTier(std::uint64_t seed, Shape* shape) {
  RandomStream random(seed, 0x74696572);
  shape->tier_bytes = 64 * random.Below(20);
  shape->slowest_read = Pick<Duration>(random, {microseconds(50), milliseconds(2), milliseconds(40)});
  if (random.Below(3) == 0) DrawPolicies(seed, shape);
  if (random.Below(4) == 0) {
    if (shape->plan.consistency == Consistency::kBsp) shape->plan.workload.whole = false;
    shape->plan.workload.tables[kEmbeddingTable].dtype = FloatType::kBfloat16;
  }
}

// A cache of few or of all rows, at the workers of ssp and asp.
void DrawCache(std::uint64_t seed, Shape* shape) {
  if (shape->plan.consistency == Consistency::kBsp) return;
  RandomStream random(seed, 0x6361636865);
  shape->cache_rows = Pick(random, {1ull, 24ull, 1000ull});
  shape->cache_max_age = static_cast<std::uint32_t>(random.Below(4));
}

// Workers die often in a short run, or seldom; so soon after each other that a replacement may not have registered.
void DrawDeaths(std::uint64_t seed, Shape* shape) {
  RandomStream random(seed, 0x64656174);
  shape->deaths = 1 + static_cast<std::uint32_t>(random.Below(6));
  shape->between_deaths = Pick<Duration>(random, {milliseconds(20), milliseconds(200), milliseconds(1000)});
}

// Some runs are long, so that there are several deaths in them; some tables have policies.
void DrawBackups(std::uint64_t seed, Shape* shape) {
  RandomStream random(seed, 0x6261636b);
  shape->backups = true;
  shape->deaths = 1 + static_cast<std::uint32_t>(random.Below(10));
  shape->between_deaths = Pick<Duration>(random, {milliseconds(50), milliseconds(300), milliseconds(1000)});
  if (random.Below(2) == 0) shape->epochs += 2;
  if (random.Below(4) == 0) DrawPolicies(seed, shape);
}

// Servers and workers of which some go and others come, often before the last change is done; without backups workers alone.
void DrawElastic(std::uint64_t seed, Shape* shape) {
  DrawBackups(seed, shape);
  RandomStream random(seed, 0x656c61);
  shape->shards_per_server = 1 + static_cast<std::uint32_t>(random.Below(3));
  shape->shards = shape->shards_per_server * (2 + static_cast<std::uint32_t>(random.Below(3)));
  shape->deaths = random.Below(2) == 0 ? 0 : 1 + static_cast<std::uint32_t>(random.Below(4));
  shape->changes = 1 + static_cast<std::uint32_t>(random.Below(8));
  shape->between_changes = Pick<Duration>(random, {milliseconds(5), milliseconds(100), milliseconds(500)});
  if (random.Below(2) == 0) shape->epochs += 2;
  shape->scheduler_dies = shape->deaths > 0 && random.Below(3) == 0;
  shape->plan.more_workers = shape->changes;
  if (shape->plan.consistency != Consistency::kBsp) {
    // Leases enough for one that comes late, and clocks that shards have come to at different times.
    shape->plan.train_rows = 1 + random.Below(10000);
    shape->plan.batch_size = shape->plan.workers * (100 + static_cast<std::uint32_t>(random.Below(400)));
  }
  shape->worker_changes = Pick(random, {0.0, 0.5, 0.5, 1.0});
  if (shape->worker_changes == 1.0 && random.Below(2) == 0) shape->backups = false;
}

// The scheduler dies, often alone.
void DrawSchedulers(std::uint64_t seed, Shape* shape) {
  RandomStream random(seed, 0x736368);
  shape->scheduler_dies = true;
  if (random.Below(2) == 0) DrawBackups(seed, shape);
  shape->deaths = 1 + static_cast<std::uint32_t>(random.Below(8));
  shape->between_deaths = Pick<Duration>(random, {milliseconds(20), milliseconds(100), milliseconds(500)});
}

// Faults of links between groups of nodes, drawn before the run. REQUIRES: the cluster's size and deaths are known.
void DrawPartitions(std::uint64_t seed, Shape* shape) {
  RandomStream random(seed, 0x6c696e6b73);
  const auto some_time = [&](Duration most) {
    return Duration(random.Below(static_cast<std::uint64_t>(most.count()) + 1));
  };
  shape->max_compute = Pick<Duration>(random, {milliseconds(2), milliseconds(30), milliseconds(100)});
  // A worker may be silent for so long that it is taken for dead, where that can be mended; a shard may not.
  const TimePoint begin(shape->max_start + some_time(milliseconds(400)));
  const Duration mended = milliseconds(2500);
  const Duration whole = shape->deaths > 0 ? Duration(seconds(8)) : mended;
  shape->faults.end = begin + whole;

  std::vector<NodeId> nodes{kSchedulerNode};
  for (std::uint32_t index = 0; index < shape->shards; ++index) nodes.push_back(ShardNode(index));
  for (std::uint32_t index = 0; index < shape->plan.workers; ++index) nodes.push_back(WorkerNode(index));
  const auto break_link = [&](NodeId from, NodeId to, TimePoint at, TimePoint until, bool clogged) {
    if (from == to) return;
    if (from.role != Role::kWorker && to.role != Role::kWorker) until = std::min(until, begin + mended);
    if (at < until) shape->faults.links.push_back({from, to, at, until, clogged});
  };
  if (shape->deaths > 0 && random.Below(3) == 0) {  // nobody hears of a worker until it has been replaced
    const NodeId lonely = WorkerNode(static_cast<std::uint32_t>(random.Below(shape->plan.workers)));
    shape->between_deaths = seconds(40);  // and it lives on, mostly
    const TimePoint until =
        begin + milliseconds(5500) + some_time(milliseconds(1500));  // dead_after, and more
    for (const NodeId other : nodes) {
      break_link(lonely, other, begin, until, false);
      break_link(other, lonely, begin, until, false);
    }
  }
  for (std::uint64_t left = 1 + random.Below(4); left > 0; --left) {
    // Each node is on one side, on the other, or on none.
    std::vector<NodeId> sides[3];
    for (const NodeId node : nodes) sides[random.Below(3)].push_back(node);
    const TimePoint at = begin + some_time(whole), until = at + some_time(shape->faults.end - at);
    const std::uint64_t kind = random.Below(4);
    if (kind < 3) {  // both ways, one way, clogged
      for (const NodeId one : sides[0]) {
        for (const NodeId other : sides[1]) {
          break_link(one, other, at, until, kind == 2);
          if (kind == 0) break_link(other, one, at, until, false);
        }
      }
      continue;
    }
    // Swizzled: one node after the other loses its links to all, and they come back in another order.
    const bool clogged = random.Below(2) == 0;
    std::vector<std::pair<TimePoint, TimePoint>> times;
    for (std::size_t i = 0; i < sides[0].size(); ++i) {
      const TimePoint middle = at + (until - at) / 2;
      times.emplace_back(at + some_time(middle - at), middle + some_time(until - middle));
    }
    for (std::size_t i = 0; i < sides[0].size(); ++i) {
      for (const NodeId other : nodes) {
        break_link(sides[0][i], other, times[i].first, times[i].second, clogged);
        break_link(other, sides[0][i], times[i].first, times[i].second, clogged);
      }
    }
  }
}

}  // namespace

std::string Shape::Describe() const {
  const char* consistency = plan.consistency == Consistency::kBsp   ? "bsp"
                            : plan.consistency == Consistency::kSsp ? "ssp"
                                                                    : "asp";
  return std::string(consistency) + (plan.workload.whole ? ", whole" : ", bits") + ", " +
         std::to_string(plan.workers) + " workers, " + std::to_string(shards) + " shards, " +
         std::to_string(plan.slices) + " slices, staleness " + std::to_string(plan.staleness) + ", " +
         std::to_string(epochs) + " epochs of " + std::to_string(plan.train_rows) + " rows in batches of " +
         std::to_string(plan.batch_size) + ", credit " + std::to_string(credit_bytes) + ", request_rows " +
         std::to_string(request_rows) + ", " +
         OptimizerName(plan.workload.Table(kEmbeddingTable).optimizer.kind) + ", " +
         FloatTypeName(plan.workload.Table(kEmbeddingTable).dtype) + " rows, " +
         FloatTypeName(plan.workload.Table(kEmbeddingTable).pull_values) + " pulls, " +
         FloatTypeName(plan.workload.Table(kEmbeddingTable).push_values) + " pushes" + DescribePolicy(plan) +
         (cache_rows > 0 ? ", cache of " + std::to_string(cache_rows) + " rows" : "") +
         (plan.positions ? ", positions in " + std::to_string(kept_pull_bytes) + " bytes" : "") +
         (faults.links.empty() ? "" : ", " + std::to_string(faults.links.size()) + " faults of links") +
         (backups ? ", backups" : "") + (deaths > 0 ? ", deaths" : "") +
         (scheduler_dies ? ", schedulers" : "") +
         (changes > 0 ? ", " + std::to_string(shards_per_server) + " shards a server, " +
                            std::to_string(changes) + " changes"
                      : "") +
         (tier_bytes ? ", tier above " + std::to_string(*tier_bytes) + " bytes" : "");
}

TimePoint Shape::Deadline() const {
  const bool one_by_one = credit_bytes < 1000;
  if (faults.end == kNever) return TimePoint(seconds(one_by_one ? 1200 : 300));
  return faults.end + (one_by_one ? kEndsWithinOneByOne : kEndsWithin);
}

namespace {

Shape DrawWithoutLimits(std::uint64_t seed, Scenario scenario) {
  RandomStream random(seed, 0x7368);
  Shape shape;
  SimPlan& plan = shape.plan;
  plan.workers = 1 + static_cast<std::uint32_t>(random.Below(5));
  shape.shards = 1 + static_cast<std::uint32_t>(random.Below(4));
  const std::uint64_t kind = random.Below(4);
  plan.consistency = kind < 2 ? Consistency::kBsp : kind == 2 ? Consistency::kSsp : Consistency::kAsp;
  const bool bsp = plan.consistency == Consistency::kBsp;
  if (plan.consistency == Consistency::kSsp) plan.staleness = static_cast<std::uint32_t>(random.Below(4));
  plan.slices = bsp ? 1u << random.Below(5) : 1u;
  shape.epochs = 1 + static_cast<std::uint32_t>(random.Below(2));
  if (bsp) {
    plan.batch_size = 1 + static_cast<std::uint32_t>(random.Below(40));
    const std::uint64_t batches = 1 + random.Below(8);
    plan.train_rows = std::max<std::uint64_t>(1, batches * plan.batch_size - random.Below(plan.batch_size));
  } else {
    plan.batch_size = plan.workers * (200 + static_cast<std::uint32_t>(random.Below(1000)));
    plan.train_rows = 1 + random.Below(5000);
  }
  plan.test_rows = 1 + random.Below(random.Below(4) == 0 ? 3000 : 300);

  Workload& workload = plan.workload;
  workload.seed = RandomBits(seed, 0x77);
  workload.whole = !bsp || random.Below(2) == 0;
  workload.keys_per_row = 1 + static_cast<std::uint32_t>(random.Below(3));
  workload.key_pool = Pick(random, {3ull, 40ull, 300ull});
  TableSpec dense;
  dense.id = kDenseTable;
  dense.name = "dense";
  dense.kind = TableKind::kDense;
  dense.dim = Pick(random, {1u, 4u});
  dense.row_count = Pick(random, {1ull, 5ull, 40ull});
  TableSpec sparse;
  sparse.id = kEmbeddingTable;
  sparse.name = "embeddings";
  sparse.dim = Pick(random, {1u, 2u, 5u});
  if (workload.whole) {
    sparse.optimizer.learning_rate = dense.optimizer.learning_rate = 1.0f;
    sparse.init = dense.init = {{0, 3.0f, 0.0f}};
  } else {
    sparse.init = dense.init = {{0, 0.0f, 0.5f}};
    for (OptimizerSpec* optimizer : {&sparse.optimizer, &dense.optimizer}) {
      optimizer->kind = static_cast<OptimizerKind>(random.Below(6));
      optimizer->learning_rate = 0.05f;
      optimizer->ftrl_l1 = 0.001f;
    }
  }
  workload.tables = {dense, sparse};
  if (scenario == Scenario::kPolicies) DrawPolicies(seed, &shape);
  if (scenario == Scenario::kTier) DrawTier(seed, &shape);
  if (scenario == Scenario::kDeaths || scenario == Scenario::kPartitionsAndDeaths) DrawDeaths(seed, &shape);
  if (scenario == Scenario::kBackups) DrawBackups(seed, &shape);
  if (scenario == Scenario::kSchedulers) DrawSchedulers(seed, &shape);
  if (scenario == Scenario::kElastic) DrawElastic(seed, &shape);
  DrawPositions(seed, scenario, &shape);
  if (scenario == Scenario::kHalfValues || scenario == Scenario::kAll) DrawHalfValues(seed, &shape);
  if (scenario == Scenario::kCache || scenario == Scenario::kAll) DrawCache(seed, &shape);
  if (scenario == Scenario::kNarrow) {
    if (bsp) workload.whole = false;  // every bit tells
    workload.tables[kEmbeddingTable].dtype = seed % 2 == 0 ? FloatType::kBfloat16 : FloatType::kFloat16;
  }

  shape.credit_bytes = Pick(random, {300ull, 2000ull, 20000ull, 1ull << 20});
  shape.request_rows = Pick(random, {3u, 20u, 100u, 4096u});
  shape.max_compute = Pick<Duration>(random, {microseconds(10), milliseconds(2), milliseconds(30)});
  NetworkFaults& faults = shape.faults;
  const bool calm = random.Below(10) == 0;
  faults.min_delay = microseconds(50);
  faults.max_delay = Pick<Duration>(random, {microseconds(60), milliseconds(1), milliseconds(10)});
  shape.max_start = Pick<Duration>(random, {milliseconds(1), milliseconds(300)});
  if (scenario == Scenario::kPartitions || scenario == Scenario::kPartitionsAndDeaths)
    DrawPartitions(seed, &shape);
  if (calm) return shape;
  faults.lose = Pick(random, {0.0, 0.01, 0.05, 0.15});
  faults.repeat = Pick(random, {0.0, 0.01, 0.05, 0.15});
  faults.late = Pick(random, {0.0, 0.01, 0.03});
  faults.max_late = Pick<Duration>(random, {milliseconds(100), milliseconds(1500)});
  faults.flip = Pick(random, {0.0, 0.01, 0.03});
  faults.ghost = Pick(random, {0.0, 0.02, 0.05});
  faults.pauses_per_second = Pick(random, {0.0, 2.0, 10.0});
  faults.max_pause = Pick<Duration>(random, {milliseconds(50), milliseconds(600)});
  return shape;
}

}  // namespace

Shape DrawShape(std::uint64_t seed, Scenario scenario, const Limits& limits) {
  Shape shape = DrawWithoutLimits(seed, scenario);
  shape.shards = std::min(shape.shards, limits.shards);
  shape.epochs = std::min(shape.epochs, limits.epochs);
  shape.plan.workers = std::min(shape.plan.workers, limits.workers);
  shape.plan.train_rows = std::min(shape.plan.train_rows, limits.train_rows);
  shape.plan.test_rows = std::min(shape.plan.test_rows, limits.test_rows);
  return shape;
}

RunPlan PlanOf(const Shape& shape, std::uint64_t run_id) {
  RunPlan plan;
  plan.run_id = run_id;
  plan.term = 7;
  plan.shards = shape.shards;
  plan.workers = shape.plan.workers;
  plan.seed = shape.plan.workload.seed;
  plan.consistency = shape.plan.consistency;
  plan.staleness = shape.plan.staleness;
  plan.slices = shape.plan.slices;
  plan.batch_size = shape.plan.batch_size;
  plan.shuffle_rows = 1;
  plan.rows[static_cast<std::size_t>(Split::kTrain)] = shape.plan.train_rows;
  plan.rows[static_cast<std::size_t>(Split::kTest)] = shape.plan.test_rows;
  plan.prediction_columns = 1;
  plan.tables = shape.plan.workload.tables;
  for (std::uint32_t epoch = 0; epoch < shape.epochs; ++epoch) {
    plan.steps.push_back(PlanStep::Phase(PhaseKind::kTrain, epoch, Split::kTrain));
    plan.steps.push_back(
        PlanStep::Phase(epoch % 2 == 0 ? PhaseKind::kScore : PhaseKind::kEvaluate, epoch, Split::kTest));
    plan.steps.push_back(PlanStep::Snapshot(std::to_string(epoch)));
  }
  plan.startup = seconds(20);
  plan.heartbeat = milliseconds(200);
  plan.dead_after = seconds(5);
  plan.retry = milliseconds(60);
  plan.request = seconds(20);
  plan.wait = seconds(40);
  plan.stop = seconds(5);
  plan.recoveries = shape.deaths > 0 || shape.changes > 0 ? 1000 : 0;
  plan.backups = shape.backups;
  return plan;
}

}  // namespace cohort
