// Features with an embedding dimension or an optimizer of their own: which table each is in, and a model that reads several.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/model/finite_differences.h"
#include "tests/model/model_fixture.h"
#include "worker/model/field_tables.h"
#include "worker/model/kernels.h"

namespace cohort::mixed_tables_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A feature's own width, or its own learning rate.
void Own(RunConfig* config, const std::string& feature, std::uint32_t dim, float rate = 0.0f) {
  FeatureConfig& own = config->model.features[feature];
  own = UsualFeature(*config);
  own.embedding_dim = dim;
  if (rate > 0) own.optimizer.learning_rate = rate;
}

std::vector<std::string> FieldNames(const ModelSpec& spec) {
  std::vector<std::string> names;
  for (const EmbeddedField& field : spec.fields) {
    names.push_back(spec.data.features[field.feature].name + " " + std::to_string(field.table) + "." +
                    std::to_string(field.place) + " " + std::to_string(field.dim) + "@" +
                    std::to_string(field.column));
  }
  return names;
}

TEST(FieldTables, FeaturesOfOneWidthAndOptimizerShareOne) {
  RunConfig config = TestConfig("mmoe");
  DatasetInfo data = TestData({TaskType::kBinary});
  AddSequence(SequenceEncoderKind::kGru, &data, &config);  // "item", and "items6" of its vocabulary
  ModelSpec spec = TestSpec(config, data);
  EXPECT_THAT(FieldNames(spec), ElementsAre("city 0.0 3@0", "genres 0.1 3@3", "age 0.2 3@6", "visits 0.3 3@9",
                                            "item 0.4 3@12", "items6 0.5 3@15"));
  std::vector<TableSpec> tables = TablesOf(spec, config);
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[1].name, "embedding");

  Own(&config, "city", 8);
  Own(&config, "visits", 8);
  Own(&config, "age", 3, 0.5f);
  Own(&config, "genres", 3);  // as all
  Own(&config, "item", 2), Own(&config, "items6", 2);
  config.embedding.policy.evict_idle_clocks = 9;
  spec = TestSpec(config, data);
  EXPECT_THAT(FieldNames(spec), ElementsAre("genres 0.0 3@0", "city 1.0 8@3", "visits 1.1 8@11",
                                            "age 2.0 3@19", "item 3.0 2@22", "items6 3.1 2@24"));
  EXPECT_EQ(spec.PooledWidth(), 24u);
  EXPECT_EQ(spec.EmbeddedWidth(), 29u);  // the sequence gives five
  tables = TablesOf(spec, config);
  ASSERT_EQ(tables.size(), 5u);
  EXPECT_EQ(tables[0].id, kDenseTable);
  for (TableId t = 1; t < 5; ++t) {
    EXPECT_EQ(tables[t].id, t);
    EXPECT_EQ(tables[t].kind, TableKind::kSparse);
    EXPECT_EQ(tables[t].policy.evict_idle_clocks, 9u);
  }
  EXPECT_EQ(tables[1].name, "embedding");
  EXPECT_EQ(tables[2].name, "embedding.city");
  EXPECT_EQ(tables[2].dim, 8u);
  EXPECT_EQ(tables[3].name, "embedding.age");
  EXPECT_EQ(tables[3].optimizer.learning_rate, 0.5f);
  EXPECT_EQ(tables[4].dim, 2u);
  EXPECT_EQ(tables[4].optimizer, tables[1].optimizer);

  // The first is there though no feature is left for it.
  for (const char* name : {"genres"}) Own(&config, name, 8);
  spec = TestSpec(config, data);
  EXPECT_EQ(spec.tables[0].fields, 0u);
  EXPECT_EQ(spec.tables.size(), 4u);
}

TEST(FieldTables, NamesWhatCannotBe) {
  const auto error = [](const std::function<void(RunConfig*, DatasetInfo*)>& change) {
    RunConfig config = TestConfig("mmoe");
    DatasetInfo data = TestData({TaskType::kBinary});
    data.features.push_back(Feature("image", FeatureType::kVector));
    data.features.back().length = 2;
    change(&config, &data);
    const auto spec = BuildModelSpec(config, data);
    return spec ? std::string("accepted") : spec.error().text();
  };
  EXPECT_EQ(error([](RunConfig* c, DatasetInfo*) { Own(c, "citi", 8); }),
            "[feature.citi]: the dataset has no such feature; did you mean \"city\"?; correct the name or "
            "remove the "
            "section");
  EXPECT_THAT(
      error([](RunConfig* c, DatasetInfo*) { Own(c, "height", 8); }),
      AllOf(HasSubstr("[feature.height]"), HasSubstr("a number without bins"), HasSubstr("give it bins")));
  EXPECT_THAT(error([](RunConfig* c, DatasetInfo*) { Own(c, "image", 8); }), HasSubstr("it is a vector"));
  const auto with_sequence = [&](std::uint32_t item, std::uint32_t items, bool shared) {
    return error([&](RunConfig* c, DatasetInfo* data) {
      AddSequence(SequenceEncoderKind::kAttention, data, c);
      if (!shared) data->features.back().vocabulary.clear();
      if (item > 0) Own(c, "item", item);
      if (items > 0) Own(c, data->features.back().name, items);
    });
  };
  EXPECT_THAT(with_sequence(4, 0, true),
              AllOf(HasSubstr("[feature.item]: features item and items7 share their embeddings"),
                    HasSubstr("give both sections the same")));
  EXPECT_EQ(with_sequence(4, 4, true), "accepted");
  EXPECT_THAT(
      with_sequence(4, 0, false),
      AllOf(HasSubstr("[sequence.items7] encoder = \"attention\" compares embeddings of 3 values with those "
                      "of item, which have 4"),
            HasSubstr("the same embedding_dim")));
  EXPECT_EQ(with_sequence(4, 4, false), "accepted");
  EXPECT_THAT(error([](RunConfig* c, DatasetInfo* data) {
                for (int i = 0; i < 64; ++i) {
                  data->features.push_back(Feature("f" + std::to_string(i), FeatureType::kCategorical));
                  Own(c, data->features.back().name, 100 + static_cast<std::uint32_t>(i));
                }
              }),
              AllOf(HasSubstr("make 65 tables"), HasSubstr("at most 64")));
}

// Widths of all kinds; "genres" alone is as the model says.
void MakeMixed(RunConfig* config) {
  Own(config, "city", 5);
  Own(config, "age", 2);
  Own(config, "visits", 5);
}

TEST(MixedTables, GradientsOfEveryStructure) {
  for (const std::string& kind : kAllKinds) {
    const DatasetInfo data = TestData(TypesFor(kind));
    RunConfig config = TestConfig(kind);
    MakeChain(data, &config);
    MakeMixed(&config);
    config.model.linear = true;
    config.model.dropout = 0.3f;
    config.model.embedding_dropout = 0.2f;
    config.model.soft_bins = kind != "single";
    TestSlice<double> slice = RandomSlice<double>(TestSpec(config, data), 19, 24, 5);
    slice.dropout_key = 77;
    EXPECT_LE(LargestError(TestSpec(config, data), slice, true, 9), 1e-5) << kind;
  }
}

TEST(MixedTables, GradientsOfSequencesAndTheAutoencoder) {
  DatasetInfo data = TestData({TaskType::kBinary, TaskType::kRegression});
  RunConfig config = TestConfig("mmoe");
  for (const SequenceEncoderKind encoder : kSequenceEncoders) AddSequence(encoder, &data, &config);
  MakeMixed(&config);
  config.model.soft_bins = true;
  config.model.autoencoder = {.weight = 0.5f, .bottleneck = 4, .buckets = 6};
  // One table of the target and of the sequences that share its vocabulary.
  for (const FeatureInfo& feature : data.features) {
    if (feature.name.starts_with("item")) Own(&config, feature.name, 4);
  }
  const ModelSpec spec = TestSpec(config, data);
  ASSERT_EQ(spec.tables.size(), 4u);
  ASSERT_EQ(spec.sequences.size(), 3u);
  EXPECT_EQ(spec.sequences[0].width, 4u);
  EXPECT_LE(LargestError(spec, RandomSlice<double>(spec, 19, 24, 6), true, 9), 1e-5);
}

TEST(MixedTables, GradientsHoweverTasksAreBalanced) {
  for (const Balance balance : {Balance::kUncertainty, Balance::kGradNorm}) {
    const DatasetInfo data = TestData(kAllTaskTypes);
    RunConfig config = TestConfig("shared_bottom");
    config.train.balance = balance;
    MakeMixed(&config);
    const ModelSpec spec = TestSpec(config, data);
    EXPECT_LE(LargestError(spec, RandomSlice<double>(spec, 19, 24, 5), true, 9), 1e-5);
  }
}

// The slice of `one`, whose fields are all of one table, for a model whose tables are of the same width: each table has all rows.
template <typename T>
TestSlice<T> Divided(const ModelSpec& one, const ModelSpec& many, const TestSlice<T>& slice) {
  TestSlice<T> divided = slice;
  divided.ids.assign(many.tables.size(),
                     {.offsets = {0}, .positions = {}, .distinct = slice.ids[0].distinct});
  divided.embeddings.assign(many.tables.size(), slice.embeddings[0]);
  divided.keys.assign(many.tables.size(), slice.keys[0]);
  const SliceIds& from = slice.ids[0];
  std::size_t at = 0;
  const auto copy = [&](std::size_t field) {
    SliceIds& to = divided.ids[many.fields[field].table];
    to.positions.insert(to.positions.end(), from.positions.begin() + from.offsets[at],
                        from.positions.begin() + from.offsets[at + 1]);
    to.offsets.push_back(static_cast<std::uint32_t>(to.positions.size()));
    ++at;
  };
  for (std::uint32_t row = 0; row < slice.padded_rows; ++row) {
    for (std::size_t f = 0; f < one.fields.size(); ++f) copy(f);
    for (std::uint32_t n = 0; n < slice.negatives; ++n) {
      for (std::uint32_t f = 0; f < one.item_fields; ++f) copy(one.UserFields() + f);
    }
  }
  return divided;
}

// Fields of other optimizers lie in other tables, and the model computes what it did.
void ExpectTheModelOfOneTable(const ModelSpec& one, const ModelSpec& many) {
  ASSERT_EQ(one.tables.size(), 1u);
  ASSERT_GT(many.tables.size(), 2u);
  for (std::size_t f = 0; f < one.fields.size(); ++f)
    ASSERT_EQ(one.fields[f].feature, many.fields[f].feature);
  const std::vector<float> dense = RandomDense<float>(one, 3);
  const TestSlice<float> slice = RandomSlice<float>(one, 21, 24, 8), divided = Divided(one, many, slice);
  Model<float> model(one, 24), model_of_many(many, 24);
  const StepOutput<float> a = RunStep(model, one, slice, dense, true),
                          b = RunStep(model_of_many, many, divided, dense, true);
  EXPECT_EQ(a.dense, b.dense);
  EXPECT_EQ(a.loss, b.loss);
  const std::uint32_t dim = one.config.embedding_dim;
  std::vector<float> sum(a.embedding[0].size());
  for (const std::vector<float>& of_table : b.embedding) {
    ASSERT_EQ(of_table.size(), sum.size());
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += of_table[i];
  }
  for (std::size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(sum[i], a.embedding[0][i], 1e-5) << i / dim;
  const TestSlice<float> scored = RandomSlice<float>(one, 21, 24, 8, false);
  std::vector<float> x(21 * one.prediction_columns), y = x;
  model.Predict(scored.Input(), x.data());
  model_of_many.Predict(Divided(one, many, scored).Input(), y.data());
  EXPECT_EQ(x, y);
}

TEST(MixedTables, AModelOfSeveralTablesIsTheSameModel) {
  DatasetInfo data = TestData(kAllTaskTypes);
  RunConfig config = TestConfig("mmoe");
  config.model.soft_bins = true;
  config.model.autoencoder = {.weight = 0.5f, .bottleneck = 4, .buckets = 6};
  const ModelSpec one = TestSpec(config, data);
  Own(&config, "age", 3, 0.5f);  // the fields keep their order
  Own(&config, "visits", 3, 0.25f);
  ExpectTheModelOfOneTable(one, TestSpec(config, data));
}

TEST(MixedTables, TowersReadSeveralTablesInAnyOrder) {
  for (const bool deep : {false, true}) {
    TowerShape shape;
    if (deep) shape.user_layers = shape.item_layers = {5, 4};
    const ModelSpec one = TowerSpec(shape);
    for (const std::vector<std::string>& own :
         {std::vector<std::string>{"city", "age"}, {"genres", "visits"}, {"city", "genres", "visits"}}) {
      const auto change = [&](RunConfig* config) {
        float rate = 0.25f;
        for (const std::string& name : own) Own(config, name, 3, rate *= 2);
      };
      ExpectTheModelOfOneTable(one, TowerSpec(shape, change));
      const ModelSpec many = TowerSpec(shape, [&](RunConfig* config) {
        change(config);
        config->model.embedding_dropout = 0.3f;
      });
      EXPECT_LE(LargestError(many, RandomSlice<double>(many, 19, 24, 5), true, 9), 1e-5);
    }
  }
}

TEST(MixedTables, BothInstructionSetsGiveTheSameBits) {
  RunConfig config = TestConfig("ple");
  config.train.balance = Balance::kPcGrad;
  MakeMixed(&config);
  Own(&config, "genres", 21);
  const ModelSpec spec = TestSpec(config, TestData(kAllTaskTypes));
  std::vector<StepOutput<float>> outputs;
  for (const char* path : {"avx2", "avx512"}) {
    if (!UseKernels(path)) continue;
    Model<float> model(spec, 64);
    outputs.push_back(
        RunStep(model, spec, RandomSlice<float>(spec, 50, 64, 8), RandomDense<float>(spec, 9), true));
  }
  ASSERT_TRUE(UseKernels(""));
  for (const StepOutput<float>& output : outputs) {
    EXPECT_EQ(output.dense, outputs[0].dense);
    EXPECT_EQ(output.embedding, outputs[0].embedding);
  }
}

}  // namespace
}  // namespace cohort::mixed_tables_test
