// Finite differences in double: every structure with every loss, alone and together, with masks, weights, bags, absent
// tasks and l2; and float against double.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/finite_differences.h"
#include "tests/model/model_fixture.h"

namespace cohort::gradient_test {
namespace {

TEST(Gradient, EveryStructureWithEveryLoss) {
  for (const std::string& kind : kAllKinds) {
    for (std::size_t only = 0; only <= kAllTaskTypes.size(); ++only) {
      const bool all = only == kAllTaskTypes.size();
      const DatasetInfo data =
          TestData(TypesFor(kind, all ? kAllTaskTypes : std::vector<TaskType>{kAllTaskTypes[only]}));
      RunConfig config = TestConfig(kind);
      MakeChain(data, &config);
      for (std::size_t j = 0; j < data.tasks.size(); ++j) {
        config.tasks[data.tasks[j].name].weight = 0.5f + 0.4f * static_cast<float>(j);
        config.tasks[data.tasks[j].name].l2 = 0.01f * static_cast<float>(j + 1);
      }
      const ModelSpec spec = TestSpec(config, data);
      for (bool with_l2 : {false, true}) {
        const double error =
            LargestError(spec, RandomSlice<double>(spec, 19, 24, 5 + only), with_l2, 9 + only);
        EXPECT_LE(error, 1e-5) << kind << (all ? " all" : TaskTypeName(kAllTaskTypes[only]));
        RecordProperty(kind + std::to_string(only), std::to_string(error));
      }
    }
  }
}

TEST(Gradient, SoftBins) {
  for (const std::string& kind : kAllKinds) {
    const DatasetInfo data = TestData(TypesFor(kind));
    RunConfig config = TestConfig(kind);
    MakeChain(data, &config);
    config.model.soft_bins = true;
    const ModelSpec spec = TestSpec(config, data);
    ASSERT_EQ(spec.SoftFields(), 1u);
    EXPECT_LE(LargestError(spec, RandomSlice<double>(spec, 19, 24, 5), true, 9), 1e-5) << kind;
  }
}

TEST(Gradient, WithDropoutAndALinearTerm) {
  for (const std::string& kind : kAllKinds) {
    const DatasetInfo data = TestData(TypesFor(kind));
    RunConfig config = TestConfig(kind);
    MakeChain(data, &config);
    config.model.linear = true;
    config.tasks[data.tasks[0].name].l2 = 0.02f;
    for (const auto& [hidden, embedding] : {std::pair(0.0f, 0.0f), std::pair(0.4f, 0.3f)}) {
      config.model.dropout = hidden;
      config.model.embedding_dropout = embedding;
      const ModelSpec spec = TestSpec(config, data);
      EXPECT_LE(LargestError(spec, RandomSlice<double>(spec, 19, 24, 5), true, 9), 1e-5) << kind << hidden;
    }
  }
}

// The losses that a task may take instead of its type's own.
TEST(Gradient, EveryStructureWithOtherLosses) {
  struct Variant {
    const char* name;
    TaskType type;
    TaskConfig task;
  };
  TaskConfig huber{.loss = TaskLoss::kHuber, .delta = 0.6f};
  TaskConfig focal{.loss = TaskLoss::kFocal, .gamma = 2.0f, .alpha = 0.3f};
  TaskConfig sharp{.loss = TaskLoss::kFocal, .gamma = 0.5f, .alpha = 0.7f};
  TaskConfig smooth{.label_smoothing = 0.2f};
  TaskConfig poisson{.loss = TaskLoss::kPoisson}, exposed{.offset = "height"};
  TaskConfig both{.loss = TaskLoss::kPoisson, .offset = "age"};
  const Variant variants[] = {
      {"huber", TaskType::kRegression, huber},      {"focal", TaskType::kBinary, focal},
      {"focal", TaskType::kMulticlass, focal},      {"focal 0.5", TaskType::kBinary, sharp},
      {"focal 0.5", TaskType::kMulticlass, sharp},  {"smoothing", TaskType::kBinary, smooth},
      {"smoothing", TaskType::kMulticlass, smooth}, {"poisson", TaskType::kValue, poisson},
      {"offset", TaskType::kCount, exposed},        {"poisson, offset", TaskType::kValue, both},
  };
  for (const std::string& kind : kAllKinds) {
    for (const Variant& variant : variants) {
      const DatasetInfo data = TestData(TypesFor(kind, {variant.type, TaskType::kValue}));
      RunConfig config = TestConfig(kind);
      config.model.chain.clear();
      config.model.expert_layers = {4};
      config.model.tower_layers = {3};
      // The chain of esmm has its own loss: only the tasks beside it may take another.
      if (IsChain(kind)) config.model.chain = {data.tasks[2].name, data.tasks[3].name};
      config.tasks[data.tasks[0].name] = variant.task;
      config.tasks[data.tasks[0].name].weight = 0.7f;
      const ModelSpec spec = TestSpec(config, data);
      EXPECT_LE(LargestError(spec, RandomSlice<double>(spec, 19, 24, 15), true, 19), 1e-5)
          << kind << ' ' << variant.name << ' ' << TaskTypeName(variant.type);
    }
  }
}

TEST(Gradient, EveryStructureWithLearnedWeightsOfTheTasks) {
  for (const Balance balance : {Balance::kUncertainty, Balance::kGradNorm}) {
    for (const std::string& kind : kAllKinds) {
      for (const bool absent : {false, true}) {
        const DatasetInfo data = TestData(TypesFor(kind));
        RunConfig config = TestConfig(kind);
        MakeChain(data, &config);
        config.train.balance = balance;
        for (std::size_t j = 0; j < data.tasks.size(); ++j)
          config.tasks[data.tasks[j].name].weight = 0.5f + 0.4f * static_cast<float>(j);
        config.model.expert_layers = {4};
        config.model.tower_layers = {3};
        const ModelSpec spec = TestSpec(config, data);
        TestSlice<double> slice = RandomSlice<double>(spec, 19, 24, 25);
        for (std::size_t i = 0; absent && i < 19; ++i)
          slice.labels[i * data.tasks.size()] = std::numeric_limits<float>::quiet_NaN();
        if (absent) slice.total_weight[0] = 0;
        EXPECT_LE(LargestError(spec, slice, !absent, 29), 1e-5) << kind << absent;
      }
    }
  }
}

TEST(Gradient, TwoTasksOfEachTypeAndAnAbsentOne) {
  for (const std::string& kind : kAllKinds) {
    const DatasetInfo data = TestData(
        TypesFor(kind, {TaskType::kValue, TaskType::kBinary, TaskType::kValue, TaskType::kMulticlass}));
    RunConfig config = TestConfig(kind);
    MakeChain(data, &config);
    const ModelSpec spec = TestSpec(config, data);
    TestSlice<double> slice = RandomSlice<double>(spec, 16, 16, 3);
    for (std::size_t i = 0; i < 16; ++i)
      slice.labels[i * data.tasks.size() + 1] = std::numeric_limits<float>::quiet_NaN();
    slice.total_weight[1] = 0;
    EXPECT_LE(LargestError(spec, slice, false, 4), 1e-5) << kind;
  }
}

TEST(Gradient, ShallowAndDegenerateShapes) {
  struct Shape {
    std::vector<std::uint32_t> experts, towers;
  };
  for (const std::string& kind : kAllKinds) {
    const DatasetInfo data = TestData(TypesFor(kind, {TaskType::kBinary, TaskType::kRegression}));
    for (const Shape& shape :
         {Shape{{5}, {}}, Shape{{}, {4}}, Shape{{}, {}}, Shape{{1}, {1}}, Shape{{4, 3, 5}, {2, 2, 2}}}) {
      if ((kind == "mmoe" || kind == "ple") && shape.experts.empty()) continue;
      if (kind == "aitm" && shape.towers.empty()) continue;
      RunConfig config = TestConfig(kind);
      config.model.expert_layers = shape.experts;
      config.model.tower_layers = shape.towers;
      config.model.experts = 1;
      const ModelSpec spec = TestSpec(config, data);
      EXPECT_LE(LargestError(spec, RandomSlice<double>(spec, 8, 8, 6), false, 7), 1e-5) << kind;
    }
  }
}

TEST(Gradient, WithoutEmbeddingsOrWithoutNumerics) {
  for (bool numeric : {false, true}) {
    DatasetInfo data = TestData({TaskType::kBinary, TaskType::kValue, TaskType::kBinary});
    std::erase_if(data.features,
                  [&](const FeatureInfo& f) { return (f.type == FeatureType::kNumeric) != numeric; });
    for (FeatureInfo& feature : data.features) feature.bin_edges.clear();
    for (const std::string& kind : kAllKinds) {
      const ModelSpec spec = TestSpec(TestConfig(kind), data);
      EXPECT_EQ(spec.fields.empty(), numeric);
      EXPECT_LE(LargestError(spec, RandomSlice<double>(spec, 8, 8, 6), false, 7), 1e-5) << kind;
    }
  }
}

// Both losses; with layers on both sides, on one, and none; one field of an item or two; with corrections, dropout and l2; rows of
// both labels and of none.
TEST(Gradient, TwoTowers) {
  using Widths = std::vector<std::uint32_t>;
  for (const TowerLoss loss : {TowerLoss::kLogistic, TowerLoss::kSoftmax}) {
    for (const auto& [user, item] : {std::pair(Widths{}, Widths{}), std::pair(Widths{5, 4}, Widths{6, 4}),
                                     std::pair(Widths{3}, Widths{}), std::pair(Widths{}, Widths{5, 3})}) {
      for (const bool id_only : {false, true}) {
        TowerShape shape{.loss = loss, .user_layers = user, .item_layers = item};
        if (id_only) shape.item = {"city"};
        for (const float dropout : {0.0f, 0.3f}) {
          const ModelSpec spec = TowerSpec(shape, [&](RunConfig* config) {
            config->model.dropout = config->model.embedding_dropout = dropout;
            config->tasks["binary0"].weight = 0.7f;
            config->tasks["binary0"].l2 = 0.02f;
          });
          TestSlice<double> slice = RandomSlice<double>(spec, 19, 24, 15);
          RandomStream random(7);
          for (std::uint32_t i = 0; dropout > 0 && i < 24 * (1 + slice.negatives); ++i)
            slice.corrections.push_back(static_cast<float>(random.Uniform() * 2 - 1));
          EXPECT_LE(LargestError(spec, slice, true, 19), 1e-5)
              << static_cast<int>(loss) << ' ' << user.size() << ' ' << item.size() << id_only << dropout;
        }
      }
    }
  }
}

// Every encoder of sequences, alone, then all at once: with rows of 0 to 4 steps, and windows of 1 to 4.
TEST(Gradient, EverySequenceEncoder) {
  for (const std::string& kind : kAllKinds) {
    for (std::size_t only = 0; only <= kSequenceEncoders.size(); ++only) {
      DatasetInfo data = TestData(TypesFor(kind, {TaskType::kBinary, TaskType::kRegression}));
      RunConfig config = TestConfig(kind);
      MakeChain(data, &config);
      for (std::size_t e = 0; e < kSequenceEncoders.size(); ++e) {
        if (only == e || only == kSequenceEncoders.size()) AddSequence(kSequenceEncoders[e], &data, &config);
      }
      for (auto& [name, sequence] : config.model.sequences) {
        if (sequence.encoder == SequenceEncoderKind::kConvolution)
          sequence.kernel = 1 + static_cast<std::uint32_t>(&kind - kAllKinds.data()) % 4;
      }
      config.model.embedding_dropout = only % 2 == 0 ? 0.25f : 0.0f;
      const ModelSpec spec = TestSpec(config, data);
      ASSERT_EQ(spec.sequences.size(), only < kSequenceEncoders.size() ? 1u : 3u);
      EXPECT_LE(LargestError(spec, RandomSlice<double>(spec, 19, 24, 15 + only), true, 19 + only), 1e-5)
          << kind << only;
    }
  }
}

// With numbers, missing ones, empty bags, and a sequence beside.
TEST(Gradient, Autoencoder) {
  for (const std::string& kind : kAllKinds) {
    DatasetInfo data = TestData(TypesFor(kind, {TaskType::kBinary, TaskType::kRegression}));
    RunConfig config = TestConfig(kind);
    MakeChain(data, &config);
    config.model.autoencoder = {.weight = 0.7f, .bottleneck = 4, .buckets = 6};
    if (kind != "single") AddSequence(SequenceEncoderKind::kAttention, &data, &config);
    if (kind != "mmoe") config.model.embedding_dropout = 0.25f;
    const ModelSpec spec = TestSpec(config, data);
    EXPECT_LE(LargestError(spec, RandomSlice<double>(spec, 19, 24, 15), true, 19), 1e-5) << kind;
  }
  for (const bool numeric : {false, true}) {
    DatasetInfo data = TestData({TaskType::kBinary});
    std::erase_if(data.features,
                  [&](const FeatureInfo& f) { return (f.type == FeatureType::kNumeric) != numeric; });
    for (FeatureInfo& feature : data.features) feature.bin_edges.clear();
    RunConfig config = TestConfig("mmoe");
    config.model.autoencoder = {.weight = 0.7f, .bottleneck = 4, .buckets = 6};
    const ModelSpec spec = TestSpec(config, data);
    EXPECT_LE(LargestError(spec, RandomSlice<double>(spec, 8, 8, 6), false, 7), 1e-5);
  }
}

TEST(Gradient, SequencesWithoutSteps) {
  for (const SequenceEncoderKind encoder : kSequenceEncoders) {
    DatasetInfo data = TestData({TaskType::kBinary});
    RunConfig config = TestConfig("shared_bottom");
    AddSequence(encoder, &data, &config);
    const ModelSpec spec = TestSpec(config, data);
    TestSlice<double> slice = RandomSlice<double>(spec, 6, 6, 3);
    // The sequence is the last field: its ids are taken out row by row.
    std::vector<std::uint32_t> positions;
    for (std::size_t i = 0, at = 0; i < 6 * spec.fields.size(); ++i) {
      const std::uint32_t end = slice.ids[0].offsets[i + 1];
      if ((i + 1) % spec.fields.size() != 0) {
        positions.insert(positions.end(), slice.ids[0].positions.begin() + static_cast<std::ptrdiff_t>(at),
                         slice.ids[0].positions.begin() + static_cast<std::ptrdiff_t>(end));
      }
      slice.ids[0].offsets[i + 1] = static_cast<std::uint32_t>(positions.size());
      at = end;
    }
    slice.ids[0].positions = positions;
    EXPECT_LE(LargestError(spec, slice, true, 4), 1e-5);
  }
}

// The float model, on shapes wide enough for every tile of the products, against the double one.
TEST(Gradient, FloatAgreesWithDouble) {
  for (const std::string& kind : kAllKinds) {
    RunConfig config = TestConfig(kind);
    config.model.embedding_dim = 18;
    config.model.expert_layers = {130, 50};
    config.model.tower_layers = {40, 20};
    DatasetInfo data = TestData(TypesFor(kind));
    MakeChain(data, &config);
    for (const SequenceEncoderKind encoder : kSequenceEncoders) AddSequence(encoder, &data, &config);
    const ModelSpec spec = TestSpec(config, data);
    Model<double> reference(spec, 64);
    Model<float> model(spec, 64);
    const StepOutput<double> exact = RunStep(reference, spec, RandomSlice<double>(spec, 50, 64, 8),
                                             RandomDense<double>(spec, 9, 0.15), false);
    const StepOutput<float> got =
        RunStep(model, spec, RandomSlice<float>(spec, 50, 64, 8), RandomDense<float>(spec, 9, 0.15), false);
    const auto compare = [&](const std::vector<float>& x, const std::vector<double>& y) {
      double largest = 0, difference = 0;
      for (std::size_t i = 0; i < y.size(); ++i) {
        largest = std::max(largest, std::fabs(y[i]));
        difference = std::max(difference, std::fabs(static_cast<double>(x[i]) - y[i]));
      }
      EXPECT_LE(difference, 2e-5 * largest) << kind;
    };
    compare(got.dense, exact.dense);
    compare(got.Embeddings(), exact.Embeddings());
    for (std::size_t j = 0; j < exact.loss.size(); ++j)
      EXPECT_NEAR(got.loss[j], exact.loss[j], 1e-4 * exact.loss[j]);
  }
}

}  // namespace
}  // namespace cohort::gradient_test
