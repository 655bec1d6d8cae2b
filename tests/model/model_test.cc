// The model as its users see it: layout and initial values, bits, absent tasks, predictions, memory, learning.
#include "worker/model/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/model/counted_allocations.h"
#include "tests/model/model_fixture.h"
#include "worker/model/dropout.h"
#include "worker/model/matrix.h"
#include "worker/model/kernels.h"

namespace cohort::model_test {
namespace {

using ::testing::HasSubstr;

// Wide enough for full and partial tiles, with dimensions that divide nothing.
ModelSpec WideSpec(const std::string& kind, Balance balance = Balance::kFixed, bool other_losses = false) {
  RunConfig config = TestConfig(kind);
  config.train.balance = balance;
  config.model.embedding_dim = 21;
  config.model.expert_layers = {67, 35};
  config.model.tower_layers = {33, 17};
  DatasetInfo data = TestData(TypesFor(kind));
  for (const SequenceEncoderKind encoder : kSequenceEncoders) AddSequence(encoder, &data, &config);
  for (auto& [name, sequence] : config.model.sequences) sequence.width = 37;
  for (const TaskInfo& task : data.tasks) config.tasks[task.name].l2 = 0.01f;
  if (other_losses) {
    config.tasks[data.tasks[0].name].loss = config.tasks[data.tasks[1].name].loss = TaskLoss::kFocal;
    config.tasks[data.tasks[2].name].loss = TaskLoss::kHuber;
  }
  MakeChain(data, &config);
  return TestSpec(config, data);
}

std::vector<float> RunPredict(Model<float>& model, const ModelSpec& spec, const TestSlice<float>& slice,
                              const std::vector<float>& dense) {
  std::vector<float> predictions(slice.rows * spec.prediction_columns, -1.0f);
  model.SetDense(dense.data());
  model.Predict(slice.Input(), predictions.data());
  return predictions;
}

template <typename U>
void ExpectSameBits(const std::vector<U>& x, const std::vector<U>& y, const std::string& what) {
  ASSERT_EQ(x.size(), y.size());
  EXPECT_EQ(std::memcmp(x.data(), y.data(), x.size() * sizeof(U)), 0) << what;
}
void ExpectSameBits(const StepOutput<float>& x, const StepOutput<float>& y, const std::string& what) {
  ExpectSameBits(x.dense, y.dense, what + ": dense gradient");
  ExpectSameBits(x.Embeddings(), y.Embeddings(), what + ": embedding gradient");
  ExpectSameBits(x.loss, y.loss, what + ": loss");
}

// REQUIRES: the processor has AVX-512.
void ExpectSameBitsOnEveryInstructionSet(const ModelSpec& spec, const std::string& what) {
  const TestSlice<float> slice = RandomSlice<float>(spec, 93, 128, 1);
  const std::vector<float> dense = RandomDense<float>(spec, 2, 0.2);
  ASSERT_TRUE(UseKernels("avx2"));
  Model<float> narrow(spec, 128);
  ASSERT_TRUE(UseKernels("avx512"));
  Model<float> wide(spec, 128);
  ASSERT_TRUE(UseKernels(""));
  ExpectSameBits(RunStep(narrow, spec, slice, dense, true), RunStep(wide, spec, slice, dense, true), what);
  ExpectSameBits(RunPredict(narrow, spec, slice, dense), RunPredict(wide, spec, slice, dense), what);
}

TEST(Model, SameBitsOnEveryInstructionSet) {
  if (!HasKernelPath("avx512")) GTEST_SKIP() << "this processor has no AVX-512";
  for (const std::string& kind : kAllKinds) ExpectSameBitsOnEveryInstructionSet(WideSpec(kind), kind);
  for (const Balance balance :
       {Balance::kFixed, Balance::kUncertainty, Balance::kGradNorm, Balance::kPcGrad}) {
    ExpectSameBitsOnEveryInstructionSet(WideSpec("mmoe", balance, true),
                                        "balance " + std::to_string(static_cast<int>(balance)));
  }
}

TEST(Model, BitsDoNotDependOnPaddingOrCapacity) {
  for (const std::string& kind : kAllKinds) {
    const ModelSpec spec = WideSpec(kind);
    const std::vector<float> dense = RandomDense<float>(spec, 2, 0.2);
    Model<float> large(spec, 128), small(spec, 64);
    ExpectSameBits(RunStep(large, spec, RandomSlice<float>(spec, 45, 128, 3), dense, false),
                   RunStep(small, spec, RandomSlice<float>(spec, 45, 64, 3), dense, false), kind);
  }
}

TEST(Model, PredictionsOfARowDoNotDependOnItsNeighbours) {
  for (const std::string& kind : kAllKinds) {
    const ModelSpec spec = WideSpec(kind);
    const std::vector<float> dense = RandomDense<float>(spec, 2, 0.2);
    Model<float> model(spec, 128);
    const std::vector<float> all = RunPredict(model, spec, RandomSlice<float>(spec, 128, 128, 4), dense);
    for (std::uint32_t rows : {1u, 5u, 37u, 127u}) {
      const std::vector<float> some = RunPredict(model, spec, RandomSlice<float>(spec, rows, 128, 4), dense);
      EXPECT_EQ(std::memcmp(some.data(), all.data(), some.size() * sizeof(float)), 0) << kind << rows;
    }
  }
}

TEST(Model, Bfloat16StepsAreCloseToFloatOnes) {
  if (!HasKernelPath("avx512_bf16")) GTEST_SKIP() << "this processor has no AVX512-BF16";
  for (const std::string& kind : kAllKinds) {
    const ModelSpec spec = WideSpec(kind);
    ModelSpec half = spec;
    half.config.compute = FloatType::kBfloat16;
    const std::vector<float> dense = RandomDense<float>(spec, 2, 0.1);
    const TestSlice<float> slice = RandomSlice<float>(spec, 93, 128, 1);
    Model<float> exact(spec, 128), rounded(half, 128);
    const StepOutput<float> x = RunStep(exact, spec, slice, dense, true),
                            y = RunStep(rounded, half, slice, dense, true);
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < x.dense.size(); ++i) {
      difference += std::pow(static_cast<double>(x.dense[i]) - static_cast<double>(y.dense[i]), 2);
      size += std::pow(static_cast<double>(x.dense[i]), 2);
    }
    EXPECT_GT(difference, 0) << kind;  // it is another arithmetic
    EXPECT_LT(std::sqrt(difference / size), 0.02) << kind;
    for (std::size_t j = 0; j < x.loss.size(); ++j) EXPECT_NEAR(y.loss[j], x.loss[j], 5e-3 * x.loss[j]) << kind;
  }
}

// A drop of half of everything halves nothing on average, differs by key, and predictions know nothing of it.
TEST(Model, DropoutIsForTrainingOnly) {
  RunConfig config = TestConfig("shared_bottom");
  const ModelSpec plain = TestSpec(config, TestData({TaskType::kBinary}));
  config.model.dropout = 0.5f;
  config.model.embedding_dropout = 0.25f;
  const ModelSpec dropping = TestSpec(config, TestData({TaskType::kBinary}));
  const std::vector<float> dense = RandomDense<float>(plain, 2);
  TestSlice<float> slice = RandomSlice<float>(plain, 90, 90, 1);
  Model<float> a(plain, 90), b(dropping, 90);
  EXPECT_EQ(RunPredict(a, plain, slice, dense), RunPredict(b, dropping, slice, dense));
  const StepOutput<float> first = RunStep(b, dropping, slice, dense, false);
  EXPECT_EQ(first.dense, RunStep(b, dropping, slice, dense, false).dense);
  EXPECT_NE(first.loss, RunStep(a, plain, slice, dense, false).loss);
  slice.dropout_key = 1;
  EXPECT_NE(first.loss, RunStep(b, dropping, slice, dense, false).loss);
}

TEST(DropOut, KeepsTheMeanAndDropsItsShare) {
  constexpr std::size_t kRows = 400, kColumns = 333;
  for (const float rate : {0.0f, 0.1f, 0.5f, 0.95f}) {
    Matrix<double> x(kRows, kColumns);
    std::size_t dropped = 0, together = 0;  // together: with the value to the left
    for (std::size_t i = 0; i < kRows; ++i) std::fill_n(x.view().Row(i), kColumns, 1.0);
    DropOut(kRows, kColumns - 1, rate, {true, 7}, 3, x.view());
    for (std::size_t i = 0; i < kRows; ++i) {
      const double* row = x.view().Row(i);
      EXPECT_EQ(row[kColumns - 1], 1.0);
      for (std::size_t j = 0; j + 1 < kColumns; ++j) {
        if (row[j] != 0.0) {
          EXPECT_NEAR(row[j] * (1 - rate), 1.0, 1e-3);
          continue;
        }
        ++dropped;
        together += j > 0 && row[j - 1] == 0.0;
      }
    }
    constexpr double kCount = kRows * (kColumns - 1);
    EXPECT_NEAR(dropped / kCount, rate, 0.006);  // more than 4 standard deviations
    EXPECT_NEAR(together / kCount, rate * rate, 0.01);
  }
}

TEST(Model, RepeatedStepsAreIndependent) {
  const ModelSpec spec = WideSpec("mmoe");
  const std::vector<float> dense = RandomDense<float>(spec, 2, 0.2), other = RandomDense<float>(spec, 3, 0.2);
  Model<float> model(spec, 128), fresh(spec, 128);
  RunStep(model, spec, RandomSlice<float>(spec, 128, 128, 5), other, true);
  RunPredict(model, spec, RandomSlice<float>(spec, 77, 128, 6), other);
  const TestSlice<float> slice = RandomSlice<float>(spec, 45, 128, 7);
  ExpectSameBits(RunStep(model, spec, slice, dense, true), RunStep(fresh, spec, slice, dense, true),
                 "after others");
}

TEST(Model, AbsentTaskGivesZerosNeverNaN) {
  for (const std::string& kind : kAllKinds) {
    const ModelSpec spec = WideSpec(kind);
    const std::vector<float> dense = RandomDense<float>(spec, 2, 0.2);
    Model<float> model(spec, 32);
    TestSlice<float> slice = RandomSlice<float>(spec, 20, 32, 8);
    std::fill(slice.labels.begin(), slice.labels.end(), std::numeric_limits<float>::quiet_NaN());
    std::fill(slice.total_weight.begin(), slice.total_weight.end(), 0.0);
    const StepOutput<float> out = RunStep(model, spec, slice, dense, false);
    for (float g : out.dense) ASSERT_EQ(g, 0.0f);
    for (float g : out.embedding[0]) ASSERT_EQ(g, 0.0f);
    for (double loss : out.loss) EXPECT_EQ(loss, 0.0);
    // Labelled elsewhere in the global batch, but not in this slice.
    slice.total_weight.assign(spec.tasks.size(), 10.0);
    for (float g : RunStep(model, spec, slice, dense, false).dense) ASSERT_EQ(g, 0.0f);
  }
}

TEST(Model, RowsOfWeightZeroCountForNothing) {
  const ModelSpec spec = WideSpec("shared_bottom");
  const std::vector<float> dense = RandomDense<float>(spec, 2, 0.2);
  Model<float> model(spec, 32);
  TestSlice<float> slice = RandomSlice<float>(spec, 20, 32, 8);
  std::fill(slice.weights.begin(), slice.weights.end(), 0.0f);
  const StepOutput<float> out = RunStep(model, spec, slice, dense, false);
  for (float g : out.dense) ASSERT_EQ(g, 0.0f);
}

TEST(Model, ExtremeLogitsStayFinite) {
  for (const std::string& kind : kAllKinds) {
    const ModelSpec spec = WideSpec(kind);
    Model<float> model(spec, 32);
    const TestSlice<float> slice = RandomSlice<float>(spec, 32, 32, 9);
    const std::vector<float> dense = RandomDense<float>(spec, 2, 3.0);  // logits in the tens of thousands
    const StepOutput<float> out = RunStep(model, spec, slice, dense, true);
    for (float g : out.dense) ASSERT_TRUE(std::isfinite(g));
    for (double loss : out.loss) EXPECT_TRUE(std::isfinite(loss));
    for (float p : RunPredict(model, spec, slice, dense)) ASSERT_TRUE(std::isfinite(p));
  }
}

TEST(Model, SteadyStepAllocatesNothing) {
  std::vector<ModelSpec> specs = {WideSpec("mmoe", Balance::kGradNorm, true),
                                  WideSpec("mmoe", Balance::kPcGrad, true)};
  for (const std::string& kind : kAllKinds) specs.push_back(WideSpec(kind));
  for (const ModelSpec& spec : specs) {
    const TestSlice<float> slice = RandomSlice<float>(spec, 100, 128, 10);
    const std::vector<float> dense = RandomDense<float>(spec, 2);
    Model<float> model(spec, 128);
    std::vector<float> gradient(spec.dense_count), embedding(slice.ids[0].distinct.size() * 21),
        predictions(128 * spec.prediction_columns);
    std::vector<double> loss(spec.tasks.size());
    const SliceInput<float> input = slice.Input();
    float* const gradients[] = {embedding.data()};
    model.SetDense(dense.data());
    model.Predict(input, predictions.data());  // makes room for the steps of the sequences
    std::uint64_t before = 0;
    for (int i = 0; i < 4; ++i) {
      // A balance by task takes memory for the first slice's distinct ids.
      if (i == (spec.balance == Balance::kFixed ? 0 : 1)) before = CountedAllocations();
      model.SetDense(dense.data());
      model.Step(input, slice.total_weight.data(), true, {gradient.data(), gradients, loss.data()});
      model.Predict(input, predictions.data());
    }
    EXPECT_EQ(CountedAllocations() - before, 0u) << spec.config.kind;
  }
}

TEST(Model, UntrainedPredictionsAreTheBaseRates) {
  for (const std::string& kind : kAllKinds) {
    DatasetInfo data = TestData(TypesFor(kind));
    if (data.tasks.size() > 6)
      data.tasks[6].mean = 0.1, data.tasks[7].mean = 0.03;  // the chain: 0.2, 0.1, 0.03
    const ModelSpec spec = TestSpec(TestConfig(kind), data);
    std::vector<float> dense(spec.dense_count, 0.0f);  // the initial values without their random part
    for (std::size_t s = 0; s < spec.dense_init.size(); ++s) {
      const std::uint64_t end =
          s + 1 < spec.dense_init.size() ? spec.dense_init[s + 1].begin : spec.dense_count;
      for (std::uint64_t i = spec.dense_init[s].begin; i < end; ++i) dense[i] = spec.dense_init[s].mean;
    }
    Model<float> model(spec, 4);
    const std::vector<float> p = RunPredict(model, spec, RandomSlice<float>(spec, 1, 4, 1), dense);
    // binary, four classes, regression, value, three periods, count; of a chain two more binary ones
    ASSERT_GE(p.size(), 11u);
    if (p.size() > 11) {
      EXPECT_NEAR(p[11], 0.1, 1e-6);
      EXPECT_NEAR(p[12], 0.03, 1e-6);
    }
    EXPECT_NEAR(p[10], 1.7, 1e-6);
    EXPECT_NEAR(p[7], 0.2, 1e-6);
    EXPECT_NEAR(p[8], 1 - 0.8 * 0.9, 1e-6);
    EXPECT_NEAR(p[9], 1 - 0.8 * 0.9 * 0.7, 1e-6);
    EXPECT_NEAR(p[0], 0.2, 1e-6);
    EXPECT_NEAR(p[1], 0.1, 1e-6);
    EXPECT_NEAR(p[2], 0.4, 1e-6);
    EXPECT_NEAR(p[5], 50.0, 1e-4);
    EXPECT_NEAR(p[6], 0.3 * std::exp(2 + 0.5 * 0.49), 1e-4);
  }
}

// The losses of chains are what their header says of the predictions; a step of esmm is never likelier than the one before.
TEST(Model, LossesOfChainsFollowFromTheirPredictions) {
  for (const std::string kind : {"esmm", "aitm"}) {
    RunConfig config = TestConfig(kind);
    const DatasetInfo data = TestData(TypesFor(kind));
    MakeChain(data, &config);
    const ModelSpec spec = TestSpec(config, data);
    const TestSlice<double> slice = RandomSlice<double>(spec, 40, 40, 3);
    const std::vector<double> dense = RandomDense<double>(spec, 4);
    Model<double> model(spec, 40);
    model.SetDense(dense.data());
    std::vector<double> predictions(slice.rows * spec.prediction_columns);
    model.Predict(slice.Input(), predictions.data());
    const StepOutput<double> step = RunStep(model, spec, slice, dense, false);
    ASSERT_GE(spec.chain.size(), 3u);
    for (std::size_t t = 0; t < spec.chain.size(); ++t) {
      const ModelTask& task = spec.tasks[spec.chain[t]];
      if (task.info.type != TaskType::kBinary) continue;
      const bool second = t > 0 && spec.tasks[spec.chain[t - 1]].info.type == TaskType::kBinary;
      double loss = 0;
      std::size_t beyond = 0;
      for (std::uint32_t i = 0; i < slice.rows; ++i) {
        const double p = predictions[i * spec.prediction_columns + task.prediction_column];
        const double before =
            second
                ? predictions[i * spec.prediction_columns + spec.tasks[spec.chain[t - 1]].prediction_column]
                : 1.0;
        beyond += p > before;
        const float y = slice.labels[i * data.tasks.size() + task.label_column];
        if (std::isnan(y)) continue;
        double row = -(y > 0 ? std::log(p) : std::log1p(-p));
        if (kind == "aitm" && second) row += 0.6f * std::max(p - before, 0.0);
        loss += static_cast<double>(slice.weights[i]) * row;
      }
      EXPECT_NEAR(step.loss[spec.chain[t]], loss, 1e-9) << kind << t;
      if (kind == "esmm") {
        EXPECT_EQ(beyond, 0u);
      }
    }
  }
}

TEST(ModelSpec, ChainsNameTasksThatSuitThem) {
  const DatasetInfo data =
      TestData({TaskType::kBinary, TaskType::kValue, TaskType::kBinary});  // binary0 value1 binary2
  const auto chain = [&](const std::string& kind, std::vector<std::string> names) {
    RunConfig config = TestConfig(kind);
    config.model.chain = std::move(names);
    return BuildModelSpec(config, data);
  };
  EXPECT_EQ(chain("esmm", {})->chain, (std::vector<std::uint32_t>{0, 2}));
  EXPECT_EQ(chain("aitm", {})->chain, (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(chain("aitm", {"value1", "binary0"})->chain, (std::vector<std::uint32_t>{1, 0}));
  EXPECT_TRUE(chain("mmoe", {})->chain.empty());
  EXPECT_THAT(chain("esmm", {"binary0", "value1"}).error().text(), HasSubstr("\"value1\" is value"));
  EXPECT_THAT(chain("esmm", {"binary0", "bniary2"}).error().text(), HasSubstr("no enabled task \"bniary2\""));
  EXPECT_THAT(chain("aitm", {"binary0", "binary0"}).error().text(), HasSubstr("named twice"));
  EXPECT_THAT(chain("aitm", {"binary0"}).error().text(), HasSubstr("expected at least two"));
}

TEST(ModelSpec, WarnsOfChainsInTheWrongOrder) {
  DatasetInfo data = TestData({TaskType::kBinary, TaskType::kValue, TaskType::kBinary});
  data.tasks[0].mean = 0.1, data.tasks[2].mean = 0.3;
  RunConfig config = TestConfig("esmm");
  const auto warnings = WarningsOf(TestSpec(config, data));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("binary2 is more frequent (0.300000) than the step before it, binary0"));
  data.rows[static_cast<std::size_t>(Split::kTrain)] = 1001;
  EXPECT_THAT(WarningsOf(TestSpec(config, data)),
              ::testing::Contains(HasSubstr("task binary0 is labelled in 1000 of 1001 rows")));
  data.rows = {};
  config.model.chain = {"binary2", "binary0"};
  EXPECT_TRUE(WarningsOf(TestSpec(config, data)).empty());
  config = TestConfig("aitm");  // binary0, value1, binary2
  EXPECT_THAT(WarningsOf(TestSpec(config, data)),
              ::testing::ElementsAre(HasSubstr("model.calibration changes nothing")));
}

TEST(ModelSpec, InputsFollowTheFeatures) {
  const ModelSpec spec = TestSpec(TestConfig("mmoe"), TestData({TaskType::kBinary}));
  ASSERT_EQ(spec.fields.size(), 4u);
  EXPECT_EQ(spec.fields[2].feature, 2u);
  EXPECT_TRUE(spec.fields[2].bin);
  ASSERT_EQ(spec.numerics.size(), 3u);  // age, its missing indicator, height
  EXPECT_TRUE(spec.numerics[1].missing_indicator);
  EXPECT_EQ(spec.numerics[2].feature, 4u);
  EXPECT_EQ(spec.InputWidth(), 4u * 3 + 3);
}

TEST(ModelSpec, LayoutOfMmoeCountsByHand) {
  const ModelSpec spec = TestSpec(TestConfig("mmoe"), TestData({TaskType::kBinary, TaskType::kMulticlass}));
  const std::uint64_t experts = 3 * (15 * 7 + 7 + 7 * 5 + 5), gates = 2 * (15 * 3 + 3),
                      towers = 2 * (5 * 6 + 6 + 6 * 4 + 4), outputs = (4 + 1) + (4 * 4 + 4);
  EXPECT_EQ(spec.dense_count, experts + gates + towers + outputs);
  std::vector<std::uint64_t> own(2, 0);
  for (const OwnWeights& weights : LayoutOf(spec).own_weights) {
    own[weights.task] += std::uint64_t{weights.rows} * weights.columns;
  }
  EXPECT_EQ(own[0], 15u * 3 + 5 * 6 + 6 * 4 + 4);
  EXPECT_EQ(own[1], 15u * 3 + 5 * 6 + 6 * 4 + 16);
}

TEST(ModelSpec, DisabledTasksLeaveTheModel) {
  RunConfig config = TestConfig("single");
  const DatasetInfo data = TestData(kAllTaskTypes);
  config.tasks[data.tasks[1].name].enabled = false;
  const ModelSpec spec = TestSpec(config, data);
  ASSERT_EQ(spec.tasks.size(), 5u);
  EXPECT_EQ(spec.tasks[1].label_column, 2u);
  EXPECT_EQ(spec.tasks[1].prediction_column, 1u);
  EXPECT_EQ(spec.prediction_columns, 3u + 3u + 1u);  // the second 3 are the periods of a hazard
  // The labels of the disabled task are skipped over.
  Model<double> model(spec, 8);
  const StepOutput<double> out =
      RunStep(model, spec, RandomSlice<double>(spec, 8, 8, 1), RandomDense<double>(spec, 1), false);
  for (double loss : out.loss) EXPECT_TRUE(std::isfinite(loss));
}

TEST(ModelSpec, ErrorsNameWhatIsWrong) {
  const DatasetInfo data = TestData({TaskType::kBinary});
  const auto error = [](const RunConfig& config, const DatasetInfo& info) {
    const Result<ModelSpec> spec = BuildModelSpec(config, info);
    EXPECT_FALSE(spec);
    if (spec) return std::string();
    EXPECT_EQ(spec.error().code(), ErrorCode::kInvalidInput);
    return spec.error().text();
  };
  RunConfig config = TestConfig("mmoe");
  config.tasks["chrun"] = {};
  EXPECT_THAT(error(config, data), HasSubstr("chrun"));
  config = TestConfig("mmoe");
  config.tasks[data.tasks[0].name].enabled = false;
  EXPECT_THAT(error(config, data), HasSubstr("no task"));
  config = TestConfig("mmoe");
  DatasetInfo empty = data;
  empty.features.clear();
  EXPECT_THAT(error(config, empty), HasSubstr("no feature"));
  config.model.expert_layers.clear();
  EXPECT_THAT(error(config, data), HasSubstr("expert_layers"));
  config = TestConfig("transformer");
  EXPECT_THAT(error(config, data), HasSubstr("transformer"));
}

TEST(ModelSpec, TablesHoldTheInitialValues) {
  const RunConfig config = TestConfig("mmoe");
  const ModelSpec spec = TestSpec(config, TestData(kAllTaskTypes));
  const std::vector<TableSpec> tables = TablesOf(spec, config);
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[0].id, kDenseTable);
  EXPECT_EQ(tables[0].row_count, spec.DenseRows());
  EXPECT_EQ(tables[1].dim, 3u);
  std::vector<float> dense(spec.DenseRows() * kDenseRowWidth);
  for (std::uint64_t row = 0; row < spec.DenseRows(); ++row) {
    InitializeRow(tables[0], 1, row, dense.data() + row * kDenseRowWidth);
  }
  // The first layer: within +-sqrt(6 / inputs), spread out; its biases: 0; behind the last weight: 0.
  const double limit = std::sqrt(6.0 / 15);
  double square = 0;
  for (int i = 0; i < 15 * 21; ++i) {
    EXPECT_LE(std::fabs(dense[static_cast<std::size_t>(i)]), limit);
    square += std::pow(dense[static_cast<std::size_t>(i)], 2);
  }
  EXPECT_NEAR(square / (15 * 21), limit * limit / 3, 0.1 * limit * limit);
  for (std::size_t i = 15 * 21; i < 15 * 21 + 21; ++i) EXPECT_EQ(dense[i], 0.0f);
  for (std::size_t i = spec.dense_count; i < dense.size(); ++i) EXPECT_EQ(dense[i], 0.0f);
}

// Labels that depend on the inputs; plain SGD over the same slice must bring every task's loss down.
TEST(Model, LearnsASmallProblem) {
  for (const std::string& kind : kAllKinds) {
    RunConfig config = TestConfig(kind);
    config.model.expert_layers = {16, 8};
    config.model.tower_layers = {12, 8};
    // What one task of aitm learns moves the others; plain gradient steps must be small then.
    const bool moved = kind == "aitm";
    const float rate = moved ? 0.01f : 0.05f;
    const DatasetInfo data = TestData(TypesFor(kind));
    MakeChain(data, &config);
    const ModelSpec spec = TestSpec(config, data);
    TestSlice<float> slice = RandomSlice<float>(spec, 128, 128, 11);
    for (std::size_t i = 0; i < 128; ++i) {
      const float a = slice.numeric[i * 3], b = slice.numeric[i * 3 + 2];
      float* label = &slice.labels[i * data.tasks.size()];
      if (!std::isnan(label[0])) label[0] = a > 0 ? 1.0f : 0.0f;
      if (!std::isnan(label[4])) label[4] = a > 0 ? (b > 0 ? 1.0f : 2.0f) : (b > 0 ? 3.0f : -3.0f);
      for (std::size_t j = 5; j < data.tasks.size(); ++j) {  // of a chain: the steps before that of label 0
        if (!std::isnan(label[j])) label[j] = a > (j == 5 ? -0.5f : -1.0f) ? 1.0f : 0.0f;
      }
      if (!std::isnan(label[1])) label[1] = static_cast<float>((a > 0 ? 2 : 0) + (b > 0 ? 1 : 0));
      if (!std::isnan(label[2])) label[2] = 50 + 15 * a - 5 * b;
      if (!std::isnan(label[3])) {
        const float noise =
            static_cast<float>(i % 7) / 3.0f - 1.0f;  // an exact fit would have no deviation to learn
        label[3] = a > 0 ? std::exp(2.0f + 0.7f * (b + 0.5f * noise)) : 0.0f;
      }
    }
    const std::vector<TableSpec> tables = TablesOf(spec, config);
    std::vector<float> dense(spec.DenseRows() * kDenseRowWidth);
    for (std::uint64_t row = 0; row < spec.DenseRows(); ++row) {
      InitializeRow(tables[0], 7, row, dense.data() + row * kDenseRowWidth);
    }
    Model<float> model(spec, 128);
    StepOutput<float> first, out;
    for (int step = 0; step < (moved ? 2500 : 600); ++step) {
      out = RunStep(model, spec, slice, dense, false);
      if (step == 0) first = out;
      for (std::size_t i = 0; i < spec.dense_count; ++i) dense[i] -= rate * out.dense[i];
      for (std::size_t p = 0; p < slice.ids[0].distinct.size(); ++p) {
        for (std::size_t d = 0; d < 3; ++d)
          slice.embeddings[0][slice.ids[0].distinct[p] * 3 + d] -= rate * out.embedding[0][p * 3 + d];
      }
    }
    for (std::size_t j = 0; j < data.tasks.size(); ++j) {
      RecordProperty(kind + std::to_string(j), std::to_string(out.loss[j] / first.loss[j]));
      EXPECT_LT(out.loss[j], (j == 3 ? 0.75 : 0.5) * first.loss[j]) << kind << ' ' << spec.tasks[j].info.name;
    }
  }
}

// An offset of log c multiplies what is predicted by c, and nothing else.
TEST(Model, AnOffsetMultipliesThePrediction) {
  DatasetInfo data = TestData({TaskType::kCount, TaskType::kRegression});
  data.features[4].mean = 0.5, data.features[4].deviation = 2;
  RunConfig config = TestConfig("mmoe");
  const ModelSpec without = TestSpec(config, data);
  config.tasks["count0"].offset = "height";
  const ModelSpec with = TestSpec(config, data);
  const TestSlice<double> slice = RandomSlice<double>(with, 9, 16, 3);
  const std::vector<double> dense = RandomDense<double>(with, 4);
  const auto predict = [&](const ModelSpec& spec) {
    Model<double> model(spec, 16);
    std::vector<double> predictions(16 * spec.prediction_columns);
    model.SetDense(dense.data());
    model.Predict(slice.Input(), predictions.data());
    return predictions;
  };
  const std::vector<double> plain = predict(without), offset = predict(with);
  for (std::size_t row = 0; row < 9; ++row) {
    const double log_c = 0.5 + 2 * slice.numeric[row * with.numerics.size() + 2];
    EXPECT_NEAR(offset[2 * row], plain[2 * row] * std::exp(log_c), 1e-12 * offset[2 * row]) << row;
    EXPECT_EQ(offset[2 * row + 1], plain[2 * row + 1]) << row;
  }
}

}  // namespace
}  // namespace cohort::model_test
