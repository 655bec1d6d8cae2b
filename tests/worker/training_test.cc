// Training through the real classes (Worker with its trainer, Shard, Coordinator) equals a plain loop in one thread that
// knows nothing of messages, slots or shards: bit for bit in bsp, for any number of workers and shards.
#include "tests/worker/training_fixture.h"

namespace cohort::training_test {
namespace {

TEST(Training, BspEqualsThePlainLoopBitForBit) {
  ExpectThePlainLoop([](RunConfig*) {});
}
TEST(Training, BspEqualsThePlainLoopWithPushesByKeys) {
  ExpectThePlainLoop([](RunConfig* config) { config->wire.push_rows = PushRowNames::kKeys; });
}
TEST(Training, BspEqualsThePlainLoopWithHalfValues) {
  ExpectThePlainLoop([](RunConfig* config) {
    config->wire.pull_values = FloatType::kFloat16;
    config->wire.push_values = FloatType::kBfloat16;
  });
  ExpectThePlainLoop([](RunConfig* config) {
    config->wire.pull_values = FloatType::kBfloat16;
    config->wire.push_values = FloatType::kFloat16;
  });
}

TEST(Training, BspEqualsThePlainLoopForEveryStructure) {
  for (const std::string kind : {"single", "shared_bottom", "ple", "aitm"})
    ExpectThePlainLoop([&](RunConfig* config) { config->model.kind = kind; });
}
TEST(Training, BspEqualsThePlainLoopForTwoTowers) {
  for (const bool deep : {false, true}) {
    ExpectThePlainLoop([&](RunConfig* config) {
      config->tasks["kind"].enabled = false;
      config->model.kind = "two_tower";
      config->model.two_tower = {.item = {"city", "genres"}, .negatives = 3, .user_layers = {5}};
      if (!deep) return;
      config->model.two_tower.sampling = NegativeSampling::kFrequency;
      config->model.two_tower.loss = TowerLoss::kSoftmax;
      config->model.two_tower.user_layers = config->model.two_tower.item_layers = {6, 4};
    });
  }
}
TEST(Training, BspEqualsThePlainLoopForEverySequenceEncoder) {
  for (const SequenceEncoderKind encoder : {SequenceEncoderKind::kSum, SequenceEncoderKind::kAttention,
                                            SequenceEncoderKind::kGru, SequenceEncoderKind::kConvolution}) {
    ExpectThePlainLoop([&](RunConfig* config) {
      SequenceConfig& sequence = config->model.sequences["genres"];
      sequence.encoder = encoder;
      sequence.width = 7;
      if (encoder == SequenceEncoderKind::kAttention) sequence.target = "city";
    });
  }
}
TEST(Training, BspEqualsThePlainLoopWithAnAutoencoder) {
  ExpectThePlainLoop([](RunConfig* config) {
    config->model.autoencoder = {.weight = 0.3f, .bottleneck = 4, .buckets = 16};
  });
}
TEST(Training, BspEqualsThePlainLoopWithSchedulesAndDecay) {
  ExpectThePlainLoop([](RunConfig* config) {
    config->dense_optimizer.schedule.kind = ScheduleKind::kOneCycle;
    config->dense_optimizer.schedule.warmup = 0.3f;
    config->dense_optimizer.weight_decay = 0.01f;
    config->embedding_optimizer.schedule.kind = ScheduleKind::kStep;
    config->embedding_optimizer.schedule.step_every = 0.25f;
  });
}

TEST(Training, BspEqualsThePlainLoopWithDropoutAndALinearTerm) {
  ExpectThePlainLoop([](RunConfig* config) {
    config->model.dropout = 0.3f;
    config->model.embedding_dropout = 0.2f;
    config->model.linear = true;
  });
}

TEST(Training, BspEqualsThePlainLoopHoweverTasksAreBalanced) {
  for (const Balance balance : {Balance::kUncertainty, Balance::kGradNorm, Balance::kPcGrad}) {
    for (const std::string kind : {"single", "shared_bottom", "mmoe", "ple"}) {
      ExpectThePlainLoop([&](RunConfig* config) {
        config->train.balance = balance;
        config->model.kind = kind;
      });
    }
  }
}
TEST(Training, BspEqualsThePlainLoopWithOtherLossesAndL2) {
  ExpectThePlainLoop([](RunConfig* config) {
    config->tasks["buys"].loss = TaskLoss::kFocal;
    config->tasks["kind"].label_smoothing = 0.1f;
    config->embedding_optimizer.l2 = 0.01f;
  });
}
TEST(Training, ClipsTheSameSlicesForAnyNumberOfWorkersAndShards) {
  TemporaryFolder folder;
  const DatasetInfo info = MakeDataset(folder / "d.h5", 1100);
  RunConfig config = MakeConfig(folder / "d.h5");
  const ModelSpec spec = BuildModelSpec(config, info).value();
  const Rows unclipped = TrainPlainly(config, spec);
  config.train.clip_norm = 0.4f;  // some slices' gradients are longer, some are not
  std::uint64_t clipped = 0;
  const Rows expected = TrainPlainly(config, spec, nullptr, &clipped);
  EXPECT_NE(expected, unclipped);
  const std::uint64_t slices = 2 * (4 * 8 + 4);
  EXPECT_GT(clipped, 0u);
  EXPECT_LT(clipped, slices);
  for (const auto& [shards, workers] : {std::pair(1u, 1u), std::pair(2u, 3u), std::pair(3u, 8u)}) {
    InProcessCluster cluster(MakePlan(config, spec, shards, workers), nullptr);
    const Status status = cluster.Run();
    ASSERT_TRUE(status.ok()) << status.text();
    ExpectSameBits(cluster.Rows(), expected);
    EXPECT_EQ(cluster.clipped_gradients(), clipped) << workers << " workers";
  }
}

TEST(Training, PoliciesDecideTheSameForAnyNumberOfWorkersAndShards) {
  TemporaryFolder folder;
  const DatasetInfo info = MakeDataset(folder / "d.h5", 1100);
  RunConfig config = MakeConfig(folder / "d.h5");
  config.train.batch_size = 24;  // many clocks
  for (const Admission admit : {Admission::kCount, Admission::kProbability}) {
    config.embedding.policy.admit = admit;
    config.embedding.policy.admit_count = 4;
    config.embedding.policy.admit_probability = 0.2f;
    config.embedding.policy.evict_idle_clocks = 4;
    config.embedding.policy.max_bytes = 1ull
                                        << 40;  // what it needs is sent; the slots of 50 keys do not fill up
    const ModelSpec spec = BuildModelSpec(config, info).value();
    Decisions decisions{};
    const Rows expected = TrainPlainly(config, spec, &decisions);
    EXPECT_GT(decisions[0], 0u);
    EXPECT_GT(decisions[1], 0u);
    for (const auto& [shards, workers] : {std::pair(1u, 1u), std::pair(2u, 2u), std::pair(3u, 4u)}) {
      InProcessCluster cluster(MakePlan(config, spec, shards, workers), nullptr);
      const Status status = cluster.Run();
      ASSERT_TRUE(status.ok()) << status.text();
      ExpectSameBits(cluster.Rows(), expected);
      EXPECT_EQ(cluster.Count(ShardEvent::kNotAdmitted), decisions[0]);
      EXPECT_EQ(cluster.Count(ShardEvent::kEvictedIdle), decisions[1]);
    }
  }
}

TEST(Training, NarrowRowsRoundTheSameForAnyNumberOfWorkersAndShards) {
  TemporaryFolder folder;
  const DatasetInfo info = MakeDataset(folder / "d.h5", 1100);
  RunConfig config = MakeConfig(folder / "d.h5");
  const ModelSpec wide_spec = BuildModelSpec(config, info).value();
  const Rows wide = TrainPlainly(config, wide_spec);
  for (const FloatType dtype : {FloatType::kBfloat16, FloatType::kFloat16}) {
    config.embedding.dtype = dtype;
    const ModelSpec spec = BuildModelSpec(config, info).value();
    const Rows expected = TrainPlainly(config, spec);
    EXPECT_NE(expected, wide);
    for (const auto& [shards, workers] : {std::pair(1u, 1u), std::pair(2u, 3u), std::pair(3u, 8u)}) {
      InProcessCluster cluster(MakePlan(config, spec, shards, workers), nullptr);
      const Status status = cluster.Run();
      ASSERT_TRUE(status.ok()) << status.text();
      ExpectSameBits(cluster.Rows(), expected);
    }
  }
}

TEST(Training, SspAndAspVisitEveryRow) {
  TemporaryFolder folder;
  const DatasetInfo info = MakeDataset(folder / "d.h5", 5000);
  for (const Consistency consistency : {Consistency::kSsp, Consistency::kAsp}) {
    for (const std::uint64_t cache_rows : {0u, 24u}) {
      RunConfig config = MakeConfig(folder / "d.h5");
      config.train.consistency = consistency;
      config.train.staleness = 2;
      const ModelSpec spec = BuildModelSpec(config, info).value();
      Predictions sink;
      ParameterClient::Options parameters;
      parameters.cache_rows = cache_rows;
      parameters.cache_max_age = 2;
      InProcessCluster cluster(MakePlan(config, spec, 2, 3), &sink, parameters);
      const Status status = cluster.Run();
      ASSERT_TRUE(status.ok()) << status.text();
      EXPECT_EQ(cluster.cached_rows() > 0, cache_rows > 0);
      const Rows trained = cluster.Rows();
      EXPECT_EQ(trained.size(), TrainPlainly(config, spec).size());  // every key of the data got its row
      for (const auto& [name, row] : trained) {
        for (const float value : row) ASSERT_TRUE(std::isfinite(value));
      }
    }
  }
}

// The others take all leases that may be granted before the slow worker's rows are there; then it must hand those over
// before it asks for more.
TEST(Scoring, AWorkerFarBehindTheOthersHoldsNobodyUp) {
  TemporaryFolder folder;
  const std::uint64_t rows = 100 * kBlockRows;
  const DatasetInfo info = MakeDataset(folder / "d.h5", 1100, rows);
  RunConfig config = MakeConfig(folder / "d.h5");
  config.train.epochs = 0;
  const ModelSpec spec = BuildModelSpec(config, info).value();
  RunPlan plan = MakePlan(config, spec, 1, 2);
  plan.steps = {PlanStep::Phase(PhaseKind::kScore, 0, Split::kValid)};
  Predictions sink;
  InProcessCluster cluster(plan, &sink);
  cluster.SlowDown(std::chrono::milliseconds(40));
  const Status status = cluster.Run();
  ASSERT_TRUE(status.ok()) << status.text();
  EXPECT_EQ(sink.values.size(), rows * spec.prediction_columns);
}

}  // namespace
}  // namespace cohort::training_test
