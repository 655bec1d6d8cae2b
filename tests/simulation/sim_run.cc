#include "tests/simulation/sim_run.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>
#include <memory>
#include <utility>
#include <vector>

#include "common/float16.h"
#include "scheduler/coordinator.h"
#include "server/shard.h"
#include "tests/simulation/sim_checkpoints.h"
#include "tests/simulation/sim_worker.h"
#include "tests/support/memory_checkpoints.h"
#include "tests/support/rows_of.h"
#include "tests/support/workload.h"

namespace cohort {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

template <typename T, std::size_t N>
T Pick(RandomStream& random, const T (&values)[N]) {
  return values[random.Below(N)];
}

// What the seed decides.
struct Shape {
  SimPlan plan;
  std::uint32_t shards = 1, epochs = 1;
  std::uint64_t credit_bytes = 0;
  std::uint32_t request_rows = 0;
  std::uint64_t kept_pull_bytes = 0;
  std::optional<std::uint64_t> tier_bytes;  // none: all rows in memory
  Duration slowest_read{};
  std::uint64_t cache_rows = 0;
  std::uint32_t cache_max_age = 0;
  Duration max_compute{};
  NetworkFaults faults;
  Duration max_start{};  // processes start within
  std::uint32_t deaths = 0;  // of workers, at most
  Duration between_deaths{};

  std::string DescribePolicy() const {
    const RowPolicySpec& policy = plan.workload.Table(kEmbeddingTable).policy;
    if (!policy.Any()) return "";
    return ", admit " + std::to_string(static_cast<int>(policy.admit)) + ", idle " +
           std::to_string(policy.evict_idle_clocks) + ", max_bytes " + std::to_string(policy.max_bytes);
  }
  std::string Describe() const {
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
           FloatTypeName(plan.workload.Table(kEmbeddingTable).push_values) + " pushes" + DescribePolicy() +
           (cache_rows > 0 ? ", cache of " + std::to_string(cache_rows) + " rows" : "") +
           (plan.positions ? ", positions in " + std::to_string(kept_pull_bytes) + " bytes" : "") +
           (tier_bytes ? ", tier above " + std::to_string(*tier_bytes) + " bytes" : "");
  }
};

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

Shape DrawShape(std::uint64_t seed, Scenario scenario) {
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
  if (scenario == Scenario::kDeaths) DrawDeaths(seed, &shape);
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

// ---------------------------------------------------------------- what must come out

// The model after each epoch, on one process; what its policies did is left in `model`. `by_clock`: after each clock of bsp.
std::vector<PlainTables> ExpectedAfterEpochs(const SimPlan& plan, std::uint32_t epochs, PlainModel& model,
                                             std::vector<PlainTables>* by_clock) {
  const Workload& workload = plan.workload;
  std::vector<PlainTables> after;
  for (std::uint32_t epoch = 0; epoch < epochs; ++epoch) {
    std::vector<float> pulled;
    const Lookup weights = [&](TableId table, Key key) -> const float* {
      const TableSpec& spec = workload.Table(table);
      const float* row = model.Weights(table, key, false);
      pulled.assign(row, row + spec.dim);
      RoundValues(spec.pull_values, pulled.data(), pulled.size());
      return pulled.data();
    };
    if (workload.whole) {
      // Sums of whole numbers at rate 1: the order does not matter.
      const bool bsp = plan.consistency == Consistency::kBsp;
      const std::uint64_t piece = bsp ? plan.batch_size : plan.train_rows;
      for (std::uint64_t begin = 0; begin < plan.train_rows; begin += piece) {
        model.Apply(workload.Gradients(epoch, begin, std::min(plan.train_rows, begin + piece), {}, weights),
                    0);
        if (bsp) by_clock->push_back(model.tables());
      }
      after.push_back(model.tables());
      continue;
    }
    for (std::uint64_t batch = 0; batch < plan.BatchesPerEpoch(); ++batch) {
      std::vector<std::optional<PlainTables>> slices(plan.slices);
      for (std::uint32_t slice = 0; slice < plan.slices; ++slice) {
        const RowRange rows = RowsOfSlice(plan.train_rows, plan.batch_size, plan.slices, batch, slice);
        if (rows.begin < rows.end)
          slices[slice] = workload.Rounded(workload.Gradients(epoch, rows.begin, rows.end, {}, weights));
      }
      model.Apply(*PlainTreeSum(workload, slices, 0, plan.slices),
                  static_cast<Clock>(epoch * plan.BatchesPerEpoch() + batch));
      by_clock->push_back(model.tables());
    }
    after.push_back(model.tables());
  }
  return after;
}

// Adds what the owners of markers have pushed by now.
void AddMarkers(const SimPlan& plan, const Markers& markers, PlainTables* tables) {
  const TableSpec& spec = plan.workload.Table(kEmbeddingTable);
  for (std::uint32_t owner = 0; owner < markers.owners(); ++owner) {
    if (markers.CountOf(owner) == 0) continue;
    for (Key key : markers.KeysOfOwner(owner)) {
      PlainRow& row = (*tables)[kEmbeddingTable][RingPosition(spec, key)];
      if (row.values.empty()) row = {key, std::vector<float>(spec.dim, spec.init[0].mean)};
      for (float& value : row.values) value += static_cast<float>(markers.CountOf(owner));
    }
  }
}

std::string Difference(const PlainTables& expected, const PlainTables& found) {
  for (TableId table : {kDenseTable, kEmbeddingTable}) {
    const auto of = [&](const PlainTables& tables) {
      return tables.contains(table) ? tables.at(table) : PlainRows();
    };
    const PlainRows want = of(expected), have = of(found);
    for (const auto& [position, row] : want) {
      auto at = have.find(position);
      const std::string name = "table " + std::to_string(table) + " key " + std::to_string(row.key);
      if (at == have.end()) return name + " has no row";
      for (std::size_t i = 0; i < row.values.size(); ++i) {
        if (i < at->second.values.size() &&
            std::memcmp(&row.values[i], &at->second.values[i], sizeof(float)) == 0) {
          continue;
        }
        char text[96];
        std::snprintf(text, sizeof(text), " value %zu is %.9g, expected %.9g", i,
                      static_cast<double>(i < at->second.values.size() ? at->second.values[i] : NAN),
                      static_cast<double>(row.values[i]));
        return name + text;
      }
    }
    if (want.size() != have.size()) {
      return "table " + std::to_string(table) + " has " + std::to_string(have.size()) + " rows, expected " +
             std::to_string(want.size());
    }
  }
  return {};
}

// What must hold of rows under a policy, or of 16-bit weights, whatever the order of arrival. `all` is the model that keeps every row.
std::string OptionBroken(const SimPlan& plan, const PlainTables& all, const PlainTables& found) {
  const TableSpec& spec = plan.workload.Table(kEmbeddingTable);
  std::map<int, std::uint64_t> rows_of_slot;
  if (found.contains(kEmbeddingTable)) {
    for (const auto& [position, row] : found.at(kEmbeddingTable)) {
      if (!all.at(kEmbeddingTable).contains(position))
        return "key " + std::to_string(row.key) + " has a row, yet was never pushed";
      ++rows_of_slot[SlotOf(position)];
    }
  }
  for (const auto& [slot, rows] : rows_of_slot) {
    if (spec.policy.max_bytes != 0 && rows > spec.policy.max_bytes / kSlotCount / BytesPerRow(spec))
      return "slot " + std::to_string(slot) + " holds " + std::to_string(rows) +
             " rows, more than its budget";
  }
  if (!spec.policy.Any() && found.at(kEmbeddingTable).size() != all.at(kEmbeddingTable).size())
    return "rows are missing";
  return Difference({{kDenseTable, all.at(kDenseTable)}}, {{kDenseTable, found.at(kDenseTable)}});
}

PlainTables RowsOf(const EmbeddingTable& table) {
  PlainTables out;
  for (const auto& [key, row] : AllRowsOf(table))
    out[table.spec().id][RingPosition(table.spec(), key)] = {key, row};
  return out;
}

// Merges a shard's rows in; a row at two shards, or at one that does not own it, is wrong.
std::string Merge(const PlainTables& part, std::uint32_t shard, std::uint32_t shards, PlainTables* all) {
  const SlotMap map = SlotMap::Even(shards);
  for (const auto& [table, rows] : part) {
    for (const auto& [position, row] : rows) {
      if (map.ShardOfGroup(GroupOf(position)) != shard || !(*all)[table].emplace(position, row).second) {
        return "shard " + std::to_string(shard) + " holds key " + std::to_string(row.key) +
               ", which is not its own";
      }
    }
  }
  return {};
}

// ---------------------------------------------------------------- the parts of the cluster

// Keeps what shards write.
class MemoryStore : public SnapshotStore {
 public:
  explicit MemoryStore(MemoryCheckpoints::Disk disk) : checkpoints(std::move(disk)) {}
  SnapshotDone Write(const std::string& directory, std::uint32_t shard,
                     std::span<const EmbeddingTable* const> tables) override {
    PlainTables& part = snapshots[directory][shard];
    part.clear();
    for (const EmbeddingTable* table : tables) part.merge(RowsOf(*table));
    SnapshotDone done;
    done.file = "shard " + std::to_string(shard);
    return done;
  }
  Status Load(const std::string&, const OwnedGroups&, std::span<EmbeddingTable* const>) override {
    return {};
  }
  std::unique_ptr<CheckpointWriter> WriteCheckpoint(const CheckpointPart& part) override {
    return checkpoints.Write(part);
  }
  Result<std::vector<ShardState>> Resume(const std::string& path, const OwnedGroups& owned,
                                         std::span<EmbeddingTable* const> tables) override {
    return checkpoints.Resume(path, owned, tables);
  }

  MemoryCheckpoints checkpoints;
  std::map<std::string, std::map<std::uint32_t, PlainTables>> snapshots;
};

class CheckingSink : public ScoreSink {
 public:
  // `exact`: what the predictions must be is known.
  CheckingSink(const SimPlan& plan, const std::vector<PlainTables>& expected, bool exact)
      : plan_(plan), expected_(expected), exact_(exact) {}
  Status OnPhase(const PhaseOrder& order) override {
    epoch_ = order.epoch;
    rows_.clear();
    return {};
  }
  Status OnBlock(const ScoreBlock& block) override {
    const auto predictions = block.predictions.As<float>();
    for (std::uint32_t i = 0; i < block.rows; ++i) {
      if (block.first_row + i != rows_.size()) {
        return {ErrorCode::kInternal, "row " + std::to_string(block.first_row + i) + " scored out of order"};
      }
      if (Status status = Check(block.first_row + i, predictions[i]); !status.ok()) return status;
    }
    return {};
  }
  Status OnEvaluation(const Buffer& sums) override {
    for (const EvaluatedRow& row : sums.As<EvaluatedRow>()) {
      if (Status status = Check(row.row, row.prediction); !status.ok()) return status;
    }
    return {};
  }
  Status OnPhaseEnd() override {
    ++phases;
    return rows_.size() == plan_.test_rows ? Status() : Status(ErrorCode::kInternal, "rows were not scored");
  }
  std::uint64_t phases = 0;

 private:
  Status Check(std::uint64_t row, float prediction) {
    if (row >= plan_.test_rows || !rows_.insert(row).second)
      return {ErrorCode::kInternal, "row " + std::to_string(row) + " scored twice, or not there"};
    const Lookup weights = [&](TableId table, Key key) -> const float* {
      static const std::vector<float> kZeros(16, 0.0f);
      const PlainTables& tables = expected_[epoch_];
      auto rows = tables.find(table);
      if (rows == tables.end()) return kZeros.data();
      auto found = rows->second.find(RingPosition(plan_.workload.Table(table), key));
      return found == rows->second.end() ? kZeros.data() : found->second.values.data();
    };
    const float expected = plan_.workload.PredictionOf(kTestRows + row, weights);
    if (!exact_ || prediction == expected) return {};
    return {ErrorCode::kInternal, "row " + std::to_string(row) + " scored " + std::to_string(prediction) +
                                      ", expected " + std::to_string(expected)};
  }

  const SimPlan& plan_;
  const std::vector<PlainTables>& expected_;
  const bool exact_;
  std::uint32_t epoch_ = 0;
  std::set<std::uint64_t> rows_;
};

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

struct Record {
  std::uint64_t position = 0;
  std::vector<float> words;
};

// A disk in virtual time: every read takes as long as the seed says, and may overtake others. It refuses some writes, and
// brings rows that nobody has asked for, wanted or not.
class SlowDisk : public ColdRows {
 public:
  SlowDisk(std::uint64_t seed, Duration slowest, std::uint32_t row_words)
      : random_(seed, 0x6469736b), slowest_(slowest), row_words_(row_words) {}
  std::optional<std::uint32_t> Write(std::uint64_t position, const float* row) override {
    if (full_writes_ > 0) {
      if (--full_writes_ > 0) return std::nullopt;
      full_ = {};
    } else if (random_.Below(500) == 0) {
      full_ = {ErrorCode::kIo, "the disk is full"};
      full_writes_ = 1 + random_.Below(300);
      return std::nullopt;
    }
    if (random_.Below(20) == 0) return std::nullopt;  // busy
    rows_[next_] = {position, std::vector<float>(row, row + row_words_)};
    return next_++;
  }
  bool WaitForRoom() override { return full_.ok(); }
  void Free(std::uint32_t place) override {
    if (rows_.erase(place) == 0) bug_ = {ErrorCode::kInternal, "a place was freed twice"};
  }
  void Request(std::span<const std::uint32_t> places, TimePoint now) override {
    for (const std::uint32_t place : places) Bring(rows_.find(place), now);
    if (random_.Below(4) == 0)
      Bring(rows_.lower_bound(static_cast<std::uint32_t>(random_.Below(next_))), now);
  }
  std::optional<Arrived> Take(TimePoint now) override {
    if (coming_.empty() || coming_.begin()->first > now) return std::nullopt;
    taken_ = std::move(coming_.begin()->second);
    coming_.erase(coming_.begin());
    return Arrived{taken_.second.position, taken_.first, taken_.second.words.data()};
  }
  TimePoint NextArrival() const override {
    return std::min(coming_.empty() ? kNever : coming_.begin()->first,
                    pieces_.empty() ? kNever : pieces_.begin()->first);
  }
  // Pieces of eight places, read like rows.
  std::uint32_t pieces() const override { return next_ / kPiece + 1; }
  void RequestPiece(std::uint32_t piece, TimePoint now) override {
    pieces_.emplace(now + Duration(random_.Below(static_cast<std::uint64_t>(slowest_.count()) + 1)), piece);
  }
  bool TakePiece(TimePoint now, const std::function<void(const Arrived&)>& visit) override {
    if (pieces_.empty() || pieces_.begin()->first > now) return false;
    const std::uint32_t piece = pieces_.begin()->second;
    pieces_.erase(pieces_.begin());
    for (std::uint32_t place = piece * kPiece; place < (piece + 1) * kPiece; ++place) {
      const auto row = rows_.find(place);
      const std::vector<float> nothing(row_words_, 7.0f);
      visit(row == rows_.end() ? Arrived{random_(), place, nothing.data()}
                               : Arrived{row->second.position, place, row->second.words.data()});
    }
    return true;
  }
  Status Read(std::span<const std::uint32_t> places, float* rows) override {
    for (const std::uint32_t place : places)
      rows = std::copy(rows_.at(place).words.begin(), rows_.at(place).words.end(), rows);
    return {};
  }
  const Status& full() const override { return full_; }
  const Status& failure() const override { return bug_; }

 private:
  void Bring(std::map<std::uint32_t, Record>::const_iterator row, TimePoint now) {
    if (row == rows_.end()) return;
    const Duration delay(random_.Below(static_cast<std::uint64_t>(slowest_.count()) + 1));
    coming_.emplace(now + delay, std::pair(row->first, row->second));
  }

  RandomStream random_;
  const Duration slowest_;
  const std::uint32_t row_words_;
  std::uint32_t next_ = 0;
  std::map<std::uint32_t, Record> rows_;
  static constexpr std::uint32_t kPiece = 8;
  std::multimap<TimePoint, std::uint32_t> pieces_;
  std::multimap<TimePoint, std::pair<std::uint32_t, Record>> coming_;
  std::pair<std::uint32_t, Record> taken_;
  std::uint64_t full_writes_ = 0;  // that will find no room
  Status full_, bug_;
};

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
  plan.recoveries = shape.deaths > 0 ? 1000 : 0;
  return plan;
}

}  // namespace

SimOutcome Simulate(std::uint64_t seed, Scenario scenario, PlantedBug bug, bool trace) {
  const Shape shape = DrawShape(seed, scenario);
  const SimPlan& plan = shape.plan;
  SimOutcome outcome;
  outcome.shape = shape.Describe();
  SimNetwork network(seed, shape.faults, trace);
  RandomStream random(seed, 0x72756e);
  const std::uint64_t run_id = 1 + random.Below(1000);
  const std::uint32_t incarnation = 1 + static_cast<std::uint32_t>(random.Below(3));

  Markers markers(plan);
  const TableSpec& embedding = plan.workload.Table(kEmbeddingTable);
  // Outside bsp, which keys are admitted, and what is rounded, depends on the order in which pushes arrive.
  const bool exact = (!embedding.policy.Any() && embedding.dtype == FloatType::kFloat32) ||
                     plan.consistency == Consistency::kBsp;
  SimPlan expected_of = plan;
  if (!exact) expected_of.workload.tables[kEmbeddingTable].policy = {};  // every row that was ever pushed
  PlainModel reference(expected_of.workload);
  std::vector<PlainTables> by_clock;
  const std::vector<PlainTables> expected =
      ExpectedAfterEpochs(expected_of, shape.epochs, reference, &by_clock);
  CheckingSink sink(plan, expected, exact);
  RandomStream checkpoint_random(seed, 0x636865636b);
  const Duration slowest_block =
      Pick<Duration>(checkpoint_random, {microseconds(1), milliseconds(3), milliseconds(50)});
  MemoryStore store(
      {[&] { return Duration(checkpoint_random.Below(static_cast<std::uint64_t>(slowest_block.count()))); },
       [&] { return checkpoint_random.Below(1000) == 0; }});
  const std::uint64_t every =
      plan.consistency == Consistency::kBsp ? 1 + checkpoint_random.Below(4) : 0;  // clocks
  PushJournal journal;
  Coordinator coordinator(PlanOf(shape, run_id), &sink, nullptr);
  const auto start_at = [&] {
    return TimePoint(Duration(random.Below(static_cast<std::uint64_t>(shape.max_start.count()) + 1)));
  };
  network.SetNode(kSchedulerNode, &coordinator, start_at(),
                  [&](TimePoint now, Outbox&) { coordinator.Start(now); });

  SchedulerClient::Options follow;
  follow.heartbeat = milliseconds(200);
  follow.retry = milliseconds(60);
  follow.dead_after = seconds(10);
  follow.startup = seconds(20);
  follow.run_id = run_id;
  follow.incarnation = incarnation;

  std::vector<std::unique_ptr<Shard>> shards;
  std::vector<std::unique_ptr<CheckpointingShard>> checkpointing;
  for (std::uint32_t index = 0; index < shape.shards; ++index) {
    ShardOptions options{Register{0, index, "sim:" + std::to_string(index), "sim", index, "avx2"},
                         follow,
                         {},
                         nullptr,
                         nullptr,
                         shape.kept_pull_bytes};
    // Runs with deaths are long.
    options.checkpoint_turn_bytes = (shape.deaths > 0 ? 200 : 1) + checkpoint_random.Below(600);
    options.checkpoint_block_bytes = 1 + checkpoint_random.Below(600);
    if (shape.tier_bytes) {
      options.tier_bytes = *shape.tier_bytes;
      options.cold_rows = [&shape, seed, index](std::uint32_t words) -> Result<std::unique_ptr<ColdRows>> {
        return std::make_unique<SlowDisk>(RandomBits(seed, index), shape.slowest_read, words);
      };
    }
    const NodeId self = ShardNode(index);
    shards.push_back(
        bug == PlantedBug::kNoDuplicateCheck    ? std::make_unique<ForgetfulShard>(self, options, store)
        : bug == PlantedBug::kSumInArrivalOrder ? std::make_unique<ImpatientShard>(self, options, store)
                                                : std::make_unique<Shard>(self, options, store));
    Shard* shard = shards.back().get();
    const TimePoint start = start_at();
    checkpointing.push_back(std::make_unique<CheckpointingShard>(shard, every, RandomBits(seed, index)));
    network.SetNode(self, checkpointing.back().get(), start,
                    [shard](TimePoint now, Outbox& out) { shard->Start(now, out); });
    // What an earlier life of a worker had on its way arrives before the shard has joined.
    if (shape.faults.ghost > 0) {
      network.Inject(Stamp{WorkerNode(0), run_id, 0, 0, 7, 1}, self, CloseRequest{1ull << 62, 1, 5},
                     start + microseconds(1));
    }
  }
  ParameterClient::Options parameters;
  parameters.retry = milliseconds(60);
  parameters.request_deadline = seconds(20);
  parameters.wait_deadline = seconds(60);
  parameters.credit_bytes = shape.credit_bytes;
  parameters.request_rows = shape.request_rows;
  parameters.cache_rows = shape.cache_rows;
  parameters.cache_max_age = shape.cache_max_age;
  parameters.incarnation = incarnation;
  ParameterClientFaults client_faults;
  client_faults.close_before_acknowledgements = bug == PlantedBug::kCloseBeforeAcknowledgements;
  client_faults.cache_beyond_the_bound = bug == PlantedBug::kCacheBeyondTheBound;
  std::vector<std::unique_ptr<SimWorker>> workers, dead;
  std::vector<std::uint32_t> lives(plan.workers, incarnation);
  std::uint64_t births = 0;
  const auto new_worker = [&](std::uint32_t index, Duration compute) {
    follow.incarnation = parameters.incarnation = lives[index];
    ++births;
    return std::make_unique<SimWorker>(index, plan, &markers, follow, parameters, client_faults, compute,
                                       RandomBits(seed, births), births > plan.workers, births);
  };
  std::vector<Duration> computes;
  for (std::uint32_t index = 0; index < plan.workers; ++index) {
    // Some are slower than others.
    computes.push_back(shape.max_compute * (random.Below(4) == 0 ? 5 : 1));
    workers.push_back(new_worker(index, computes.back()));
    SimWorker* worker = workers.back().get();
    worker->KeepJournal(&journal);
    network.SetNode(WorkerNode(index), worker, start_at(),
                    [worker](TimePoint now, Outbox& out) { worker->Start(now, out); });
  }

  // Deaths, noticed by the silence or at once, and the supervisor, which starts who is missing.
  RandomStream fate(seed, 0x66617465);
  std::uint32_t deaths_left = shape.deaths;
  TimePoint next_death(Duration(
      shape.max_start + Duration(fate.Below(static_cast<std::uint64_t>(shape.between_deaths.count())))));
  std::map<TimePoint, std::uint32_t> notices;
  std::map<std::uint32_t, TimePoint> starting;
  const auto kill_and_replace = [&] {
    if (shape.deaths == 0 || coordinator.decided() || coordinator.kernels().empty()) return;
    const TimePoint now = network.now();
    if (deaths_left > 0 && now >= next_death) {
      next_death = now + Duration(fate.Below(static_cast<std::uint64_t>(2 * shape.between_deaths.count())));
      const auto victim = static_cast<std::uint32_t>(fate.Below(plan.workers));
      if (network.Runs(WorkerNode(victim)) && !workers[victim]->stopped()) {
        --deaths_left;
        network.Kill(WorkerNode(victim));
        if (fate.Below(2) == 0) notices[now + Duration(fate.Below(300'000'000))] = victim;
      }
    }
    while (!notices.empty() && notices.begin()->first <= now) {
      const std::uint32_t victim = notices.begin()->second;
      notices.erase(notices.begin());
      // The scheduler looks at the process that it knows.
      if (network.Runs(WorkerNode(victim))) continue;
      network.Poke(kSchedulerNode, [&](TimePoint at, Outbox& out) {
        coordinator.OnProcessDeath(WorkerNode(victim), at, out);
      });
    }
    for (std::uint32_t index = 0; index < plan.workers; ++index) {
      const Member& member = *coordinator.membership().Find(WorkerNode(index));
      const bool gone = !network.Runs(WorkerNode(index));
      // Two lives of one incarnation: the first has died with its registration on the way, the second is refused and ends.
      if (!gone && !workers[index]->failure().ok() && member.registration.pid != workers[index]->pid()) {
        network.Kill(WorkerNode(index));
        continue;
      }
      // One that has died before it registered is started again as it was.
      if (member.registered() || (lives[index] == member.incarnation && !gone)) continue;
      if (starting.contains(index) && starting[index] > now) continue;
      lives[index] = member.incarnation;
      dead.push_back(std::move(workers[index]));
      workers[index] = new_worker(index, computes[index]);
      SimWorker* worker = workers[index].get();
      worker->KeepJournal(&journal);
      const TimePoint start =
          now + Duration(1 + fate.Below(static_cast<std::uint64_t>(shape.max_start.count())));
      starting[index] = start;
      network.SetNode(WorkerNode(index), worker, start,
                      [worker](TimePoint at, Outbox& out) { worker->Start(at, out); });
    }
  };

  const TimePoint deadline(seconds(300));
  const auto broken = [&] {
    for (const auto& worker : workers) {
      const bool runs = network.Runs(worker->stamp().sender);
      if (!worker->violation().empty() || (runs && !worker->failure().ok())) return true;
    }
    return false;
  };
  const bool ended = network.Run(
      [&] {
        kill_and_replace();
        return coordinator.finished() || broken();
      },
      deadline);
  outcome.virtual_time = network.now().time_since_epoch();

  // ---- judgement
  const auto violated = [&](const std::string& what) {
    if (outcome.violation.empty()) outcome.violation = what;
  };
  if (!network.violation().empty()) violated(network.violation());
  for (const auto& worker : dead) {
    if (!worker->violation().empty()) violated(worker->violation());
  }
  for (const auto& worker : workers) {
    if (!worker->violation().empty()) violated(worker->violation());
    if (network.Runs(worker->stamp().sender) && !worker->failure().ok())
      violated("a worker failed: " + worker->failure().text());
  }
  if (!ended) {
    std::string waiting = coordinator.WaitingFor();
    for (const auto& worker : workers) waiting += "; " + worker->Waiting(network.now());
    violated("not ended after " + std::to_string(network.now().time_since_epoch().count() / 1000000) +
             " ms of virtual time: " + waiting);
  }
  if (!coordinator.verdict().ok()) violated("the run failed: " + coordinator.verdict().text());
  if (outcome.violation.empty()) {
    PlainTables found;
    for (std::uint32_t index = 0; index < shape.shards; ++index) {
      for (TableId table : {kDenseTable, kEmbeddingTable}) {
        if (auto wrong = Merge(RowsOf(*shards[index]->table(table)), index, shape.shards, &found);
            !wrong.empty()) {
          violated(wrong);
        }
      }
    }
    if (!exact) {
      if (auto wrong = OptionBroken(plan, expected.back(), found); !wrong.empty()) violated(wrong);
    }
    PlainTables final_rows = expected.back();
    AddMarkers(plan, markers, &final_rows);
    if (auto wrong = exact ? Difference(final_rows, found) : ""; !wrong.empty())
      violated("final model: " + wrong);
    for (std::uint32_t epoch = 0; exact && epoch < shape.epochs; ++epoch) {
      PlainTables snapshot;
      for (auto& [shard, part] : store.snapshots[std::to_string(epoch)]) {
        if (auto wrong = Merge(part, shard, shape.shards, &snapshot); !wrong.empty()) violated(wrong);
      }
      PlainTables wanted = expected[epoch];
      if (plan.workload.whole) {  // how far the markers had come is known at the end only
        if (epoch + 1 < shape.epochs) {
          for (Key key : markers.all())
            snapshot[kEmbeddingTable].erase(RingPosition(plan.workload.Table(kEmbeddingTable), key));
        } else {
          wanted = final_rows;
        }
      }
      if (auto wrong = Difference(wanted, snapshot); !wrong.empty()) {
        violated("snapshot after epoch " + std::to_string(epoch) + ": " + wrong);
      }
    }
  }

  if (outcome.violation.empty()) {
    if (auto wrong = JudgeCheckpoints(plan, store.checkpoints, markers, by_clock, journal, shape.shards);
        !wrong.empty())
      violated(wrong);
  }
  if (exact && outcome.violation.empty()) {
    const PlainPolicy& policy = reference.policy(kEmbeddingTable);
    const auto expect = [&](ShardEvent event, std::uint64_t wanted) {
      std::uint64_t have = 0;
      for (const auto& shard : shards) have += shard->count(event);
      if (have == wanted) return;
      violated(std::string(ShardEventName(event)) + " is " + std::to_string(have) + ", expected " +
               std::to_string(wanted));
    };
    expect(ShardEvent::kNotAdmitted, policy.not_admitted);
    expect(ShardEvent::kEvictedIdle, policy.evicted_idle);
    expect(ShardEvent::kEvictedMemory, policy.evicted_memory);
  }

  // ---- what happened
  Counts& counts = outcome.counts;
  counts = network.counts();
  for (const auto& shard : shards) {
    for (std::size_t event = 0; event < static_cast<std::size_t>(ShardEvent::kCount); ++event) {
      counts[std::string("shard: ") + ShardEventName(static_cast<ShardEvent>(event))] +=
          shard->count(static_cast<ShardEvent>(event));
    }
    const Counters of_shard = shard->counters();
    counts["shard: pull forgotten for want of room"] += of_shard.pulls_forgotten;
    counts["shard: row on disk at the end"] += of_shard.cold_rows;
    counts["shard: row read from disk"] += of_shard.rows_read;
  }
  for (const auto& worker : workers) {
    const ParameterClientCounters& c = worker->parameters().counters();
    counts["worker: request sent again"] += c.retries;
    counts["worker: parked notice"] += c.parked;
    counts["worker: row served by the cache"] += c.cached_rows;
    counts["worker: push by rows sent again with keys"] += c.unknown_pulls;
    counts["worker: refused for now, asked again"] += c.refused;
    counts["worker: late or repeated reply ignored"] += c.stale_replies;
    counts["worker: waited for credit"] += c.credit_waits;
    counts["worker: close held for acknowledgements"] += c.held_closes;
    counts["worker: absent row pulled"] += c.absent_rows;
    counts["worker: push part acknowledged as duplicate"] += c.parts_duplicated;
    counts["worker: clock without data"] += worker->clocks_without_data();
  }
  counts["scheduler: worker replaced"] += coordinator.replaced();
  counts["scheduler: message ignored"] += coordinator.ignored_messages();
  counts["scheduler: lease granted"] += coordinator.leases().journal().records.size();
  return outcome;
}

namespace {

// Notes which checkpoints are whole.
class WholeCheckpoints : public RunObserver {
 public:
  explicit WholeCheckpoints(MemoryCheckpoints* disk) : disk_(disk) {}
  void OnSample(const MetricsSample&) override {}
  void OnPhaseEnd(const PhaseSummary&) override {}
  void OnEvent(const std::string&) override {}
  void OnWarning(const std::string&) override {}
  void OnCheckpoint(const RunPosition& position, const std::vector<CheckpointDone>& parts,
                    const std::string&) override {
    // Those of the same number that a former life with more shards has left are not of it.
    auto& all = disk_->parts[CheckpointFolder(CheckpointingShard::kPath, position.number)];
    all.erase(all.lower_bound(static_cast<std::uint32_t>(parts.size())), all.end());
    std::erase_if(positions, [&](const RunPosition& other) { return other.number >= position.number; });
    positions.push_back(position);
  }
  std::vector<RunPosition> positions;  // ascending by number

 private:
  MemoryCheckpoints* const disk_;
};

}  // namespace

SimOutcome SimulateRestarts(std::uint64_t seed, bool trace) {
  Shape shape = DrawShape(seed, Scenario::kPlain);
  RandomStream random(seed, 0x72657374617274);
  SimPlan& plan = shape.plan;
  const bool bsp = plan.consistency == Consistency::kBsp;
  shape.max_compute = Pick<Duration>(random, {milliseconds(2), milliseconds(30), milliseconds(100)});
  if (!bsp) plan.train_rows = 2000 + random.Below(6000);
  plan.test_rows = 1 + random.Below(100);
  SimOutcome outcome;
  outcome.shape = shape.Describe();
  PlainModel reference(plan.workload);
  std::vector<PlainTables> by_clock;
  const PlainTables expected = ExpectedAfterEpochs(plan, shape.epochs, reference, &by_clock).back();
  MemoryStore store(
      {[&] { return Duration(random.Below(3'000'000)); }, [&] { return random.Below(1000) == 0; }});
  WholeCheckpoints whole(&store.checkpoints);
  const std::uint64_t every = 1 + random.Below(4);
  const std::uint64_t deaths = random.Below(5);

  for (std::uint64_t life = 0; outcome.violation.empty(); ++life) {
    const bool last = life == deaths;
    shape.shards = 1 + static_cast<std::uint32_t>(random.Below(4));
    if (bsp) plan.workers = 1 + static_cast<std::uint32_t>(random.Below(5));
    RunPlan run = PlanOf(shape, 100 + life);
    run.checkpoint_path = CheckpointingShard::kPath;
    run.checkpoint_every = every;
    // The newest may be damaged.
    if (!whole.positions.empty() && random.Below(5) == 0) whole.positions.pop_back();
    if (!whole.positions.empty()) {
      run.resume = whole.positions.back();
      run.model_path = CheckpointFolder(CheckpointingShard::kPath, run.resume->number);
      ++outcome.counts[bsp ? "restart from a checkpoint, bsp" : "restart from a checkpoint, ssp or asp"];
    } else if (life > 0) {
      ++outcome.counts["restart from the start"];
    }
    SimNetwork network(RandomBits(seed, life), shape.faults, trace);
    Markers markers(plan, /*none=*/true);
    Coordinator coordinator(run, nullptr, &whole);
    network.SetNode(kSchedulerNode, &coordinator, TimePoint{},
                    [&](TimePoint now, Outbox&) { coordinator.Start(now); });
    SchedulerClient::Options follow;
    follow.heartbeat = milliseconds(200);
    follow.retry = milliseconds(60);
    follow.startup = seconds(20);
    follow.run_id = run.run_id;
    follow.incarnation = 2;  // ghosts have lower ones
    std::vector<std::unique_ptr<Shard>> shards;
    for (std::uint32_t index = 0; index < shape.shards; ++index) {
      ShardOptions options{Register{0, index, "sim:" + std::to_string(index), "sim", index, "avx2"}, follow};
      options.kept_pull_bytes = shape.kept_pull_bytes;
      options.checkpoint_turn_bytes = 200 + random.Below(600);
      options.checkpoint_block_bytes = 1 + random.Below(600);
      shards.push_back(std::make_unique<Shard>(ShardNode(index), options, store));
      Shard* shard = shards.back().get();
      network.SetNode(ShardNode(index), shard, TimePoint(Duration(random.Below(1'000'000))),
                      [shard](TimePoint now, Outbox& out) { shard->Start(now, out); });
    }
    ParameterClient::Options parameters;
    parameters.retry = milliseconds(60);
    parameters.request_deadline = seconds(20);
    parameters.wait_deadline = seconds(60);
    parameters.credit_bytes = shape.credit_bytes;
    parameters.request_rows = shape.request_rows;
    parameters.incarnation = 2;
    std::vector<std::unique_ptr<SimWorker>> workers;
    for (std::uint32_t index = 0; index < plan.workers; ++index) {
      workers.push_back(std::make_unique<SimWorker>(index, plan, &markers, follow, parameters,
                                                    ParameterClientFaults{}, shape.max_compute,
                                                    RandomBits(seed, life, index), false, index));
      SimWorker* worker = workers.back().get();
      network.SetNode(WorkerNode(index), worker, TimePoint(Duration(random.Below(1'000'000))),
                      [worker](TimePoint now, Outbox& out) { worker->Start(now, out); });
    }
    const TimePoint death = last ? kNever : TimePoint(Duration(random.Below(4'000'000'000)));
    const bool ended = network.Run(
        [&] {
          return coordinator.finished() || network.now() >= death ||
                 std::any_of(workers.begin(), workers.end(),
                             [](const auto& worker) { return !worker->failure().ok(); });
        },
        TimePoint(seconds(300)));
    outcome.virtual_time += network.now().time_since_epoch();
    for (const auto& [name, count] : network.counts()) outcome.counts[name] += count;
    for (const auto& worker : workers) {
      if (!worker->failure().ok()) outcome.violation = "a worker failed: " + worker->failure().text();
      if (!worker->violation().empty()) outcome.violation = worker->violation();
    }
    if (!network.violation().empty()) outcome.violation = network.violation();
    if (!ended && outcome.violation.empty()) outcome.violation = "not ended: " + coordinator.WaitingFor();
    if (!outcome.violation.empty()) break;
    if (!coordinator.finished()) {
      ++outcome.counts["death of all"];
      continue;
    }
    if (!coordinator.verdict().ok()) outcome.violation = "the run failed: " + coordinator.verdict().text();
    PlainTables found;
    for (std::uint32_t index = 0; index < shape.shards && outcome.violation.empty(); ++index) {
      for (TableId table : {kDenseTable, kEmbeddingTable}) {
        const std::string wrong = Merge(RowsOf(*shards[index]->table(table)), index, shape.shards, &found);
        if (!wrong.empty()) outcome.violation = wrong;
      }
    }
    if (outcome.violation.empty()) outcome.violation = Difference(expected, found);
    if (!outcome.violation.empty())
      outcome.violation = "after " + std::to_string(life) + " restarts: " + outcome.violation;
    break;
  }
  return outcome;
}

}  // namespace cohort
