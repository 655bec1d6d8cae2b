// A small cluster in one process, data for it, and the plain loop in one thread that training must equal.
#ifndef COHORT_TESTS_WORKER_TRAINING_FIXTURE_H_
#define COHORT_TESTS_WORKER_TRAINING_FIXTURE_H_

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "common/config.h"
#include "common/float16.h"
#include "common/random.h"
#include "scheduler/coordinator.h"
#include "server/optimizer.h"
#include "server/shard.h"
#include "tests/support/plain_policy.h"
#include "tests/support/plain_rounding.h"
#include "tests/support/rows_of.h"
#include "tests/support/subprocess.h"
#include "worker/batch_reader.h"
#include "worker/gradient_clip.h"
#include "worker/model/model.h"
#include "worker/worker.h"
#include "worker/worker_job.h"

namespace cohort {

using testing::TemporaryFolder;

inline constexpr std::uint64_t kSeed = 5;

class NoSnapshots : public SnapshotStore {
 public:
  SnapshotDone Write(const std::string&, std::uint32_t, std::span<const EmbeddingTable* const>) override {
    return {};
  }
  Status Load(const std::string&, const OwnedGroups&, std::span<EmbeddingTable* const>) override {
    return Status();
  }
  bool HasCheckpoint(const std::string&, std::uint64_t) override { return false; }
  std::unique_ptr<CheckpointWriter> WriteCheckpoint(const CheckpointPart&) override { return nullptr; }
  Result<std::vector<ShardState>> Resume(const std::string&, const OwnedGroups&,
                                         std::span<EmbeddingTable* const>) override {
    return std::vector<ShardState>();
  }
};

// Shards and coordinator on one thread, each worker on its own, one lock around every message: a cluster without
// sockets.
class InProcessCluster {
 public:
  InProcessCluster(RunPlan plan, ScoreSink* sink, ParameterClient::Options parameters = {})
      : plan_(plan), parameters_(parameters), coordinator_(std::move(plan), sink, nullptr) {
    coordinator_.Start(Now());
    for (std::uint32_t s = 0; s < plan_.shards; ++s) {
      ShardOptions options;
      options.registration.endpoint = "shard " + std::to_string(s);
      options.registration.kernels = "avx2";
      options.scheduler.run_id = plan_.run_id;
      shards_.push_back(std::make_unique<Shard>(ShardNode(s), options, store_));
      Outbox out;
      shards_.back()->Start(Now(), out);
      Route(*shards_.back(), out);
    }
  }

  Status Run() {
    std::vector<Status> status(plan_.workers);
    std::vector<std::thread> threads;
    for (std::uint32_t w = 0; w < plan_.workers; ++w) {
      threads.emplace_back([this, w, &status] {
        Register registration;
        registration.kernels = "avx2";
        SchedulerClient::Options options;
        options.run_id = plan_.run_id;
        Worker worker(w, registration, options, parameters_);
        WorkerPump pump(*this, worker, WorkerNode(w));
        status[w] = RunWorker(worker, pump, w, {});
        cached_rows_ += worker.parameters().counters().cached_rows;
      });
    }
    const auto deadline = Now() + std::chrono::seconds(60);
    while (!coordinator_.finished() && Now() < deadline) Step(std::chrono::milliseconds(1));
    for (auto& thread : threads) thread.join();
    EXPECT_TRUE(coordinator_.finished()) << coordinator_.WaitingFor();
    if (!coordinator_.verdict().ok()) return coordinator_.verdict();
    for (const Status& s : status) {
      if (!s.ok()) return s;
    }
    return Status();
  }

  std::uint64_t cached_rows() const { return cached_rows_; }

  // Worker 0 sleeps so long whenever it moves messages.
  void SlowDown(Duration sleep) { slowed_by_ = sleep; }

  // Every row of every shard: (table, key) -> weights and state.
  std::map<std::pair<TableId, Key>, std::vector<float>> Rows() const {
    std::map<std::pair<TableId, Key>, std::vector<float>> rows;
    for (const auto& shard : shards_) {
      for (const TableSpec& spec : plan_.tables) {
        const EmbeddingTable* table = shard->table(spec.id);
        for (const auto& [key, row] : AllRowsOf(*table)) {
          EXPECT_TRUE(rows.emplace(std::pair(spec.id, key), row).second) << "two shards hold key " << key;
        }
      }
    }
    return rows;
  }

  std::uint64_t clipped_gradients() const {
    std::uint64_t sum = 0;
    for (const MemberSample& member : coordinator_.Sample(Now()).members)
      sum += member.counters.clipped_gradients;
    return sum;
  }

  std::uint64_t Count(ShardEvent event) const {
    std::uint64_t sum = 0;
    for (const auto& shard : shards_) sum += shard->count(event);
    return sum;
  }

 private:
  class WorkerPump : public Pump {
   public:
    WorkerPump(InProcessCluster& cluster, Worker& worker, NodeId self)
        : cluster_(cluster), worker_(worker), self_(self) {}
    TimePoint Now() const override { return InProcessCluster::Now(); }
    void Run(Outbox& out, Duration at_most) override {
      if (self_ == WorkerNode(0)) std::this_thread::sleep_for(cluster_.slowed_by_);
      cluster_.Route(worker_, out);
      std::deque<std::pair<Stamp, Message>> messages;
      {
        std::unique_lock lock(cluster_.mutex_);
        auto& inbox = cluster_.inbox_[self_];
        cluster_.changed_.wait_for(lock, std::min<Duration>(at_most, std::chrono::milliseconds(20)),
                                   [&] { return !inbox.empty(); });
        messages.swap(inbox);
      }
      for (auto& [stamp, message] : messages) worker_.OnMessage(stamp, std::move(message), Now(), out);
      if (worker_.NextTimer() <= Now()) worker_.OnTimer(Now(), out);
      cluster_.Route(worker_, out);
    }

   private:
    InProcessCluster& cluster_;
    Worker& worker_;
    const NodeId self_;
  };

  static TimePoint Now() { return TimePoint(std::chrono::steady_clock::now()); }

  void Route(const Node& from, Outbox& out) {
    {
      std::lock_guard lock(mutex_);
      for (Outgoing& outgoing : out.Take())
        inbox_[outgoing.to].emplace_back(from.stamp(), std::move(outgoing.message));
    }
    changed_.notify_all();
  }
  void Deliver(Node& node, NodeId id) {
    std::deque<std::pair<Stamp, Message>> messages;
    {
      std::lock_guard lock(mutex_);
      messages.swap(inbox_[id]);
    }
    Outbox out;
    for (auto& [stamp, message] : messages) node.OnMessage(stamp, std::move(message), Now(), out);
    if (node.NextTimer() <= Now()) node.OnTimer(Now(), out);
    Route(node, out);
  }
  void Step(Duration wait) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, wait);
    }
    for (auto& shard : shards_) Deliver(*shard, shard->stamp().sender);
    Deliver(coordinator_, kSchedulerNode);
  }

  const RunPlan plan_;
  const ParameterClient::Options parameters_;
  NoSnapshots store_;
  Coordinator coordinator_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<std::uint64_t> cached_rows_{0};
  Duration slowed_by_ = Duration::zero();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<NodeId, std::deque<std::pair<Stamp, Message>>> inbox_;
};

// A dataset of two tasks with missing labels, a sequence, a vector, missing numbers and weights.
inline DatasetInfo MakeDataset(const std::string& path, std::uint64_t rows, std::uint64_t valid_rows = 100) {
  DatasetInfo info;
  FeatureInfo age, city, genres, image;
  age.name = "age", age.type = FeatureType::kNumeric, age.mean = 40, age.deviation = 10, age.missing = 3;
  age.bin_edges = {30, 50};
  city.name = "city", city.type = FeatureType::kCategorical;
  genres.name = "genres", genres.type = FeatureType::kBag, genres.sequence = true;
  image.name = "image", image.type = FeatureType::kVector, image.length = 2, image.missing = 1;
  info.features = {age, city, genres, image};
  TaskInfo buys, kind;
  buys.name = "buys", buys.type = TaskType::kBinary, buys.mean = 0.4, buys.labelled = rows;
  kind.name = "kind", kind.type = TaskType::kMulticlass, kind.classes = {"a", "b", "c"},
  kind.class_rates = {0.3, 0.3, 0.4};
  kind.labelled = rows / 2;
  info.tasks = {buys, kind};
  info.has_weight = true;
  info.rows = {rows, valid_rows, 0};
  auto writer = DatasetWriter::Create(path, info).value();
  RandomStream random(1);
  for (const auto& [split, count] : {std::pair(Split::kTrain, rows), std::pair(Split::kValid, valid_rows)}) {
    RowBlock block;
    block.bag_offsets = {{0}};
    block.bag_keys.resize(1);
    block.vectors.resize(1);
    for (std::uint64_t row = 0; row < count; ++row) {
      block.numeric.push_back(random.Below(9) == 0 ? std::nanf("") : static_cast<float>(random.Below(80)));
      block.categorical.push_back(CategoryKey("city", std::to_string(random.Below(40))));
      for (std::uint64_t i = random.Below(4); i > 0; --i) {
        block.bag_keys[0].push_back(CategoryKey("genres", std::to_string(random.Below(9))));
      }
      block.bag_offsets[0].push_back(block.bag_keys[0].size());
      const bool seen = random.Below(10) > 0;
      for (int i = 0; i < 2; ++i)
        block.vectors[0].push_back(seen ? static_cast<float>(random.Uniform() - 0.5) : std::nanf(""));
      block.labels.push_back(static_cast<float>(random.Below(2)));
      block.labels.push_back(random.Below(2) == 0 ? std::nanf("") : static_cast<float>(random.Below(3)));
      block.weights.push_back(0.5f + static_cast<float>(random.Below(4)));
      block.input_rows.push_back(row);
    }
    block.rows = static_cast<std::uint32_t>(count);
    EXPECT_TRUE(writer->Append(split, block).ok());
  }
  EXPECT_TRUE(writer->Finish(info).ok());
  return info;
}

inline RunConfig MakeConfig(const std::string& data) {
  RunConfig config;
  config.data = data;
  config.seed = kSeed;
  config.model.kind = "mmoe";
  config.model.embedding_dim = 5;
  config.model.experts = 2;
  config.model.expert_layers = {9};
  config.model.tower_layers = {6};
  config.train.batch_size = 250;  // 1100 rows: four full batches and one of 100, which fills 4 of 8 slices
  config.train.slices = 8;
  config.train.epochs = 2;
  config.train.shuffle_rows = 1024;
  config.tasks["buys"].l2 = 0.01f;
  return config;
}

inline RunPlan MakePlan(const RunConfig& config, const ModelSpec& spec, std::uint32_t shards,
                        std::uint32_t workers) {
  RunPlan plan;
  plan.run_id = 77;
  plan.shards = shards;
  plan.workers = workers;
  plan.seed = config.seed;
  plan.consistency = config.train.consistency;
  plan.staleness = config.train.staleness;
  plan.slices = config.train.slices;
  plan.batch_size = config.train.batch_size;
  plan.shuffle_rows = config.train.shuffle_rows;
  plan.rows = spec.data.rows;
  plan.prediction_columns = spec.prediction_columns;
  plan.tables = TablesOf(spec, config);
  plan.run_config = ToToml(config);
  for (std::uint32_t epoch = 0; epoch < config.train.epochs; ++epoch) {
    plan.steps.push_back(PlanStep::Phase(PhaseKind::kTrain, epoch, Split::kTrain));
    plan.steps.push_back(PlanStep::Phase(PhaseKind::kScore, epoch, Split::kValid));
  }
  return plan;
}

// Keeps the predictions of the last phase.
class Predictions : public ScoreSink {
 public:
  Status OnPhase(const PhaseOrder&) override {
    values.clear();
    return Status();
  }
  Status OnBlock(const ScoreBlock& block) override {
    const auto rows = block.predictions.As<float>();
    values.insert(values.end(), rows.begin(), rows.end());
    return Status();
  }
  Status OnEvaluation(const Buffer&) override { return Status(); }
  Status OnPhaseEnd() override { return Status(); }
  std::vector<float> values;
};

using Rows = std::map<std::pair<TableId, Key>, std::vector<float>>;
using Gradient = std::map<Key, std::vector<float>>;

// Rows not admitted, evicted for idleness, evicted for memory.
using Decisions = std::array<std::uint64_t, 3>;

// The sum of the slices below a node, as DESIGN 2.2 words it, each node's as it would travel.
inline Gradient SumBelow(const std::vector<Gradient>& slices, std::size_t node, FloatType type) {
  Gradient left = node < slices.size() ? SumBelow(slices, 2 * node, type) : slices[node - slices.size()];
  if (node < slices.size()) {
    for (auto& [key, right] : SumBelow(slices, 2 * node + 1, type)) {
      auto [at, fresh] = left.emplace(key, right);
      if (!fresh) {
        for (std::size_t i = 0; i < right.size(); ++i) at->second[i] = at->second[i] + right[i];
      }
    }
  }
  for (auto& [key, values] : left) RoundValues(type, values.data(), values.size());
  return left;
}

inline double NormOf(const std::vector<Gradient>& tables) {
  double sum = 0;
  for (const Gradient& gradient : tables) {
    for (const auto& [key, values] : gradient) {
      for (const float value : values) sum += static_cast<double>(value) * value;
    }
  }
  return std::sqrt(sum);
}

// The plain loop. A policy: with one table of embeddings only.
inline Rows TrainPlainly(const RunConfig& config, const ModelSpec& spec, Decisions* decisions = nullptr,
                         std::uint64_t* clipped = nullptr) {
  const std::vector<TableSpec> tables = TablesOf(spec, config);
  Rows rows;
  PlainPolicy policy(tables[kEmbeddingTable], config.seed);
  const auto row_of = [&](TableId table, Key key) -> std::vector<float> {
    const auto found = rows.find({table, key});
    if (found != rows.end()) return found->second;
    const Optimizer optimizer(tables[table].optimizer, tables[table].dim);
    std::vector<float> row(optimizer.row_floats());
    InitializeRow(tables[table], config.seed, key, row.data());
    optimizer.InitState(row.data());
    return row;
  };
  for (Key key = 0; key < spec.DenseRows(); ++key) rows[{kDenseTable, key}] = row_of(kDenseTable, key);

  auto dataset = DatasetReader::Open(config.data).value();
  Encoder encoder = Encoder::Create(spec, dataset->info()).value();
  BatchReader reader(std::move(dataset), std::move(encoder), spec.tasks.size(), config.seed);
  const std::uint32_t slice_rows = (config.train.batch_size + config.train.slices - 1) / config.train.slices;
  Model<float> model(spec, slice_rows);
  Clock clock = 0;
  for (std::uint32_t epoch = 0; epoch < config.train.epochs; ++epoch) {
    const Clock first = clock;
    reader.Start(BspEpoch{epoch, first, 0, 1, config.train.batch_size, config.train.slices,
                          config.train.shuffle_rows});
    for (bool last = false; !last;) {
      auto batch = std::move(reader.Next(std::chrono::seconds(20)).value());
      last = batch->last_of_source;
      batch->clock = clock;
      std::vector<float> dense;
      std::vector<std::vector<float>> embeddings(spec.tables.size());
      for (Key key = 0; key < spec.DenseRows(); ++key) {
        const auto& row = rows[{kDenseTable, key}];
        dense.insert(dense.end(), row.begin(), row.begin() + kDenseRowWidth);
      }
      for (std::size_t t = 0; t < spec.tables.size(); ++t) {
        const TableSpec& table = tables[EmbeddingTableAt(t)];
        for (const Key key : *batch->keys[t]) {
          const auto row = row_of(table.id, key);
          embeddings[t].insert(embeddings[t].end(), row.begin(), row.begin() + table.dim);
        }
        RoundValues(table.pull_values, embeddings[t].data(), embeddings[t].size());
      }
      model.SetDense(dense.data());
      std::map<Key, std::uint32_t> occurrences;
      std::vector<std::vector<Gradient>> by_slice(tables.size(), std::vector<Gradient>(config.train.slices));
      for (std::size_t s = 0; s < batch->slice_count; ++s) {
        const Slice& slice = batch->slices[s];
        std::vector<float> dense_gradient(spec.DenseRows() * kDenseRowWidth);
        std::vector<std::vector<float>> embedding_gradients;
        std::vector<float*> gradients;
        std::vector<std::span<float>> pieces = {dense_gradient};
        for (std::size_t t = 0; t < spec.tables.size(); ++t)
          embedding_gradients.emplace_back(slice.ids[t].distinct.size() * tables[EmbeddingTableAt(t)].dim);
        for (std::vector<float>& each : embedding_gradients)
          gradients.push_back(each.data()), pieces.push_back(each);
        std::vector<double> loss(spec.tasks.size());
        model.Step(TrainingInput(*batch, slice, embeddings.data(), config.seed), batch->total_weight.data(),
                   slice.index == 0, {dense_gradient.data(), gradients.data(), loss.data()});
        if (config.train.clip_norm > 0) {
          const double share = static_cast<double>(slice.rows) / batch->global_rows;
          const bool scaled = ClipNorm(config.train.clip_norm * share, pieces);
          if (clipped != nullptr && scaled) ++*clipped;
        }
        for (Key key = 0; key < spec.DenseRows(); ++key) {
          const auto begin = dense_gradient.begin() + static_cast<std::ptrdiff_t>(key * kDenseRowWidth);
          by_slice[0][slice.index][key].assign(begin, begin + kDenseRowWidth);
        }
        for (std::size_t t = 0; t < spec.tables.size(); ++t) {
          const SliceIds& ids = slice.ids[t];
          const std::vector<Key>& keys = *batch->keys[t];
          const std::uint32_t dim = tables[EmbeddingTableAt(t)].dim;
          for (const std::uint32_t id : ids.positions) ++occurrences[keys[ids.distinct[id]]];
          for (std::size_t i = 0; i < ids.distinct.size(); ++i) {
            const float* begin = embedding_gradients[t].data() + i * dim;
            by_slice[EmbeddingTableAt(t)][slice.index][keys[ids.distinct[i]]].assign(begin, begin + dim);
          }
        }
      }
      if (config.train.clip_norm > 0) {
        std::vector<Gradient> sums;
        for (const auto& slices : by_slice) sums.push_back(SumBelow(slices, 1, FloatType::kFloat32));
        EXPECT_LE(NormOf(sums), config.train.clip_norm * 1.000001);
      }
      for (TableId table = kDenseTable; table < tables.size(); ++table) {
        const Optimizer optimizer(tables[table].optimizer, tables[table].dim);
        std::map<std::uint64_t, std::pair<Key, std::vector<float>>> in_ring_order;
        for (const auto& [key, gradient] : SumBelow(by_slice[table], 1, tables[table].push_values))
          in_ring_order[RingPosition(tables[table], key)] = {key, gradient};
        for (const auto& [position, update] : in_ring_order) {
          const auto& [key, gradient] = update;
          if (tables[table].policy.Any() && !policy.Update(key, occurrences[key], clock)) continue;
          std::vector<float> row = row_of(table, key);
          optimizer.Step(gradient.data(), row.data(),
                         RateShare(tables[table].optimizer.schedule, epoch, clock - first));
          RoundPlainly(tables[table], config.seed, clock, key, row.data());
          rows[{table, key}] = row;
        }
      }
      if (tables[kEmbeddingTable].policy.Any()) {
        for (const Key key : policy.EndClock(clock)) rows.erase({kEmbeddingTable, key});
      }
      ++clock;
      reader.Recycle(std::move(batch));
    }
  }
  if (decisions != nullptr) *decisions = {policy.not_admitted, policy.evicted_idle, policy.evicted_memory};
  return rows;
}

inline void ExpectSameBits(const Rows& a, const Rows& b) {
  ASSERT_EQ(a.size(), b.size());
  for (auto left = a.begin(), right = b.begin(); left != a.end(); ++left, ++right) {
    ASSERT_EQ(left->first, right->first);
    ASSERT_EQ(0, std::memcmp(left->second.data(), right->second.data(), left->second.size() * sizeof(float)))
        << "table " << left->first.first << " key " << left->first.second;
  }
}

inline void ExpectThePlainLoop(const std::function<void(RunConfig*)>& change) {
  TemporaryFolder folder;
  const DatasetInfo info = MakeDataset(folder / "d.h5", 1100);
  RunConfig config = MakeConfig(folder / "d.h5");
  change(&config);
  const ModelSpec spec = BuildModelSpec(config, info).value();
  const Rows expected = TrainPlainly(config, spec);
  EXPECT_GT(expected.size(), 50u);
  std::vector<float> predictions;
  for (const auto& [shards, workers] :
       {std::pair(1u, 1u), std::pair(2u, 3u), std::pair(3u, 8u), std::pair(1u, 10u)}) {
    Predictions sink;
    InProcessCluster cluster(MakePlan(config, spec, shards, workers), &sink);
    const Status status = cluster.Run();
    ASSERT_TRUE(status.ok()) << status.text();
    ExpectSameBits(cluster.Rows(), expected);
    ASSERT_EQ(sink.values.size(), 100u * spec.prediction_columns);
    if (predictions.empty()) predictions = sink.values;
    EXPECT_EQ(sink.values, predictions) << workers << " workers";
  }
}

}  // namespace cohort

#endif  // COHORT_TESTS_WORKER_TRAINING_FIXTURE_H_
