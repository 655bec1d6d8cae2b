// Training with several tables of embeddings equals the plain loop, and each table follows its own optimizer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/worker/training_fixture.h"

namespace cohort::mixed_tables_test {
namespace {

// Three tables: "age" (its bins), whatever else is as usual, and "genres".
void MakeMixed(RunConfig* config) {
  FeatureConfig& age = config->model.features["age"] = UsualFeature(*config);
  age.embedding_dim = 3;
  FeatureConfig& genres = config->model.features["genres"] = UsualFeature(*config);
  genres.embedding_dim = 8;
  genres.optimizer.kind = OptimizerKind::kAdam;
  genres.optimizer.learning_rate = 0.01f;
  genres.optimizer.l2 = 0.02f;
}

TEST(MixedTables, BspEqualsThePlainLoop) {
  ExpectThePlainLoop([](RunConfig* config) { MakeMixed(config); });
  ExpectThePlainLoop([](RunConfig* config) {
    MakeMixed(config);
    config->wire.push_rows = PushRowNames::kKeys;
    config->wire.pull_values = FloatType::kBfloat16;
    config->wire.push_values = FloatType::kFloat16;
  });
  ExpectThePlainLoop([](RunConfig* config) {
    MakeMixed(config);
    config->embedding.dtype = FloatType::kBfloat16;
    config->model.soft_bins = true;
    config->model.autoencoder = {.weight = 0.3f, .bottleneck = 4, .buckets = 16};
  });
}

// Slices of one row: many have no id of a table that the batch has keys of.
TEST(MixedTables, BspEqualsThePlainLoopWhereSlicesLackATable) {
  for (const PushRowNames names : {PushRowNames::kPositions, PushRowNames::kKeys}) {
    ExpectThePlainLoop([&](RunConfig* config) {
      MakeMixed(config);
      config->train.batch_size = 8;
      config->train.epochs = 1;
      config->wire.push_rows = names;
    });
  }
}

TEST(MixedTables, BspEqualsThePlainLoopForEverySequenceEncoder) {
  for (const SequenceEncoderKind encoder :
       {SequenceEncoderKind::kAttention, SequenceEncoderKind::kGru, SequenceEncoderKind::kConvolution}) {
    ExpectThePlainLoop([&](RunConfig* config) {
      MakeMixed(config);
      SequenceConfig& sequence = config->model.sequences["genres"];
      sequence.encoder = encoder;
      sequence.width = 7;
      if (encoder != SequenceEncoderKind::kAttention) return;
      sequence.target = "city";
      config->model.features["genres"].embedding_dim = config->model.embedding_dim;  // another optimizer only
    });
  }
}

TEST(MixedTables, BspEqualsThePlainLoopForTwoTowers) {
  for (const bool deep : {false, true}) {
    ExpectThePlainLoop([&](RunConfig* config) {
      config->tasks["kind"].enabled = false;
      config->model.kind = "two_tower";
      config->model.two_tower = {.item = {"city", "genres"}, .negatives = 3, .user_layers = {5}};
      if (deep) config->model.two_tower.user_layers = config->model.two_tower.item_layers = {6, 4};
      MakeMixed(config);
      for (auto& [name, feature] : config->model.features) {
        feature.embedding_dim = config->model.embedding_dim;
        if (name == "age") feature.optimizer.learning_rate = 0.2f;
      }
    });
  }
}

// With dropout, clipping and a balance that looks at every task's gradient.
TEST(MixedTables, TheModelIsTheSameForAnyNumberOfWorkersAndShards) {
  TemporaryFolder folder;
  const DatasetInfo info = MakeDataset(folder / "d.h5", 1100);
  RunConfig config = MakeConfig(folder / "d.h5");
  MakeMixed(&config);
  config.model.dropout = 0.3f;
  config.model.embedding_dropout = 0.2f;
  config.train.balance = Balance::kPcGrad;
  config.train.clip_norm = 0.4f;
  const ModelSpec spec = BuildModelSpec(config, info).value();
  ASSERT_EQ(spec.tables.size(), 3u);
  std::uint64_t clipped = 0;
  const Rows expected = TrainPlainly(config, spec, nullptr, &clipped);
  EXPECT_GT(clipped, 0u);
  std::map<TableId, std::size_t> rows;
  for (const auto& [name, row] : expected) ++rows[name.first];
  EXPECT_EQ(rows[EmbeddingTableAt(0)], 40u);  // cities
  EXPECT_EQ(rows[EmbeddingTableAt(1)], 4u);   // bins, and that of missing ages
  EXPECT_EQ(rows[EmbeddingTableAt(2)], 9u);   // genres
  for (const std::uint32_t workers : {1u, 2u, 4u}) {
    for (const std::uint32_t shards : {1u, 2u, 3u}) {
      InProcessCluster cluster(MakePlan(config, spec, shards, workers), nullptr);
      const Status status = cluster.Run();
      ASSERT_TRUE(status.ok()) << status.text();
      ExpectSameBits(cluster.Rows(), expected);
      EXPECT_EQ(cluster.clipped_gradients(), clipped) << workers << " workers";
    }
  }
}

TEST(MixedTables, PoliciesDecideInEachTable) {
  TemporaryFolder folder;
  const DatasetInfo info = MakeDataset(folder / "d.h5", 1100);
  RunConfig config = MakeConfig(folder / "d.h5");
  config.train.batch_size = 24;
  config.embedding.policy.admit = Admission::kCount;
  config.embedding.policy.admit_count = 4;
  config.embedding.policy.evict_idle_clocks = 4;
  config.embedding.policy.max_bytes = 1ull << 40;
  MakeMixed(&config);
  const ModelSpec spec = BuildModelSpec(config, info).value();
  Rows first;
  std::uint64_t refused = 0;
  for (const auto& [shards, workers] : {std::pair(1u, 1u), std::pair(2u, 2u), std::pair(3u, 4u)}) {
    InProcessCluster cluster(MakePlan(config, spec, shards, workers), nullptr);
    const Status status = cluster.Run();
    ASSERT_TRUE(status.ok()) << status.text();
    if (first.empty()) {
      first = cluster.Rows();
      refused = cluster.Count(ShardEvent::kNotAdmitted);
      EXPECT_GT(refused, 0u);
      EXPECT_GT(cluster.Count(ShardEvent::kEvictedIdle), 0u);
    }
    ExpectSameBits(cluster.Rows(), first);
    EXPECT_EQ(cluster.Count(ShardEvent::kNotAdmitted), refused);
  }
}

TEST(MixedTables, SspAndAspVisitEveryRowWithACacheOfEachTable) {
  TemporaryFolder folder;
  const DatasetInfo info = MakeDataset(folder / "d.h5", 3000);
  for (const Consistency consistency : {Consistency::kSsp, Consistency::kAsp}) {
    RunConfig config = MakeConfig(folder / "d.h5");
    config.train.consistency = consistency;
    config.train.staleness = 2;
    MakeMixed(&config);
    const ModelSpec spec = BuildModelSpec(config, info).value();
    ParameterClient::Options parameters;
    parameters.cache_rows = 24;
    parameters.cache_max_age = 2;
    InProcessCluster cluster(MakePlan(config, spec, 2, 3), nullptr, parameters);
    const Status status = cluster.Run();
    ASSERT_TRUE(status.ok()) << status.text();
    EXPECT_GT(cluster.cached_rows(), 0u);
    EXPECT_EQ(cluster.Rows().size(), TrainPlainly(config, spec).size());
    for (const auto& [name, row] : cluster.Rows()) {
      for (const float value : row) ASSERT_TRUE(std::isfinite(value));
    }
  }
}

// One step of one batch, each table's by its formula written out (server/optimizer.h).
TEST(MixedTables, AFeatureFollowsItsOwnOptimizer) {
  TemporaryFolder folder;
  const DatasetInfo info = MakeDataset(folder / "d.h5", 200);
  RunConfig config = MakeConfig(folder / "d.h5");
  config.train.batch_size = 200;
  config.train.slices = 1;
  config.train.epochs = 1;
  config.embedding_optimizer.kind = OptimizerKind::kAdagrad;
  config.embedding_optimizer.learning_rate = 0.05f;
  config.embedding_optimizer.initial_accumulator = 0.1f;
  MakeMixed(&config);
  OptimizerSpec& age = config.model.features["age"].optimizer;
  age.kind = OptimizerKind::kSgd;
  age.learning_rate = 0.5f;
  const ModelSpec spec = BuildModelSpec(config, info).value();
  const std::vector<TableSpec> tables = TablesOf(spec, config);
  InProcessCluster cluster(MakePlan(config, spec, 2, 1), nullptr);
  const Status status = cluster.Run();
  ASSERT_TRUE(status.ok()) << status.text();
  const Rows trained = cluster.Rows();

  auto dataset = DatasetReader::Open(config.data).value();
  Encoder encoder = Encoder::Create(spec, dataset->info()).value();
  BatchReader reader(std::move(dataset), std::move(encoder), spec.tasks.size(), config.seed);
  reader.Start(BspEpoch{0, 0, 0, 1, 200, 1, config.train.shuffle_rows});
  const auto batch = std::move(reader.Next(std::chrono::seconds(20)).value());
  std::vector<float> dense, dense_gradient(spec.dense_count);
  for (Key key = 0; key < spec.DenseRows(); ++key) {
    dense.resize(dense.size() + kDenseRowWidth);
    InitializeRow(tables[0], config.seed, key, dense.data() + key * kDenseRowWidth);
  }
  std::vector<std::vector<float>> rows(3), gradients(3);
  std::vector<float*> to;
  for (std::size_t t = 0; t < 3; ++t) {
    const TableSpec& table = tables[EmbeddingTableAt(t)];
    rows[t].resize(batch->keys[t]->size() * table.dim);
    for (std::size_t i = 0; i < batch->keys[t]->size(); ++i)
      InitializeRow(table, config.seed, (*batch->keys[t])[i], rows[t].data() + i * table.dim);
    gradients[t].resize(rows[t].size());
    to.push_back(gradients[t].data());
  }
  Model<float> model(spec, 200);
  model.SetDense(dense.data());
  std::vector<double> loss(spec.tasks.size());
  model.Step(TrainingInput(*batch, batch->slices[0], rows.data(), config.seed), batch->total_weight.data(),
             true, {dense_gradient.data(), to.data(), loss.data()});
  const auto expected = [&](std::size_t t, double w, double g) {
    if (t == 0) return w - 0.05 * g / (std::sqrt(0.1 + g * g) + 1e-8);
    if (t == 1) return w - 0.5 * g;
    // Adam's first step: both moments are corrected to the gradient and its square.
    const double with_l2 = g + 0.02 * w;
    return w - 0.01 * with_l2 / (std::sqrt(with_l2 * with_l2) + 1e-8);
  };
  for (std::size_t t = 0; t < 3; ++t) {
    const TableSpec& table = tables[EmbeddingTableAt(t)];
    ASSERT_GT(batch->keys[t]->size(), 3u);
    double moved = 0;
    for (std::size_t i = 0; i < batch->keys[t]->size(); ++i) {
      const std::vector<float>& row = trained.at({table.id, (*batch->keys[t])[i]});
      ASSERT_EQ(row.size(), RowFloats(table));
      for (std::uint32_t d = 0; d < table.dim; ++d) {
        const std::size_t at = i * table.dim + d;
        EXPECT_NEAR(row[d], expected(t, rows[t][at], gradients[t][at]), 1e-6) << table.name;
        moved = std::max(moved, std::fabs(static_cast<double>(row[d]) - rows[t][at]));
      }
    }
    EXPECT_GT(moved, 1e-4) << table.name;
  }
}

}  // namespace
}  // namespace cohort::mixed_tables_test
