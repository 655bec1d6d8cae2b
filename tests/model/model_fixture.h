// A small model with every kind of input and task, random weights and slices, for the model's tests.
#ifndef COHORT_TESTS_MODEL_MODEL_FIXTURE_H_
#define COHORT_TESTS_MODEL_MODEL_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "common/random.h"
#include "worker/model/layout.h"
#include "worker/model/model.h"

namespace cohort {

inline FeatureInfo Feature(const std::string& name, FeatureType type) {
  FeatureInfo feature;
  feature.name = name;
  feature.type = type;
  return feature;
}

// Features: a categorical, a mean bag, a sum bag, a numeric with bins and missing cells, a plain numeric.
inline DatasetInfo TestData(const std::vector<TaskType>& types) {
  DatasetInfo data;
  data.features = {Feature("city", FeatureType::kCategorical), Feature("genres", FeatureType::kBag),
                   Feature("age", FeatureType::kNumeric), Feature("visits", FeatureType::kBag),
                   Feature("height", FeatureType::kNumeric)};
  data.features[3].pooling = Pooling::kSum;
  data.features[2].bin_edges = {-1.0f, 0.0f, 1.0f};
  data.features[2].missing = 3;
  for (TaskType type : types) {
    TaskInfo task;
    task.name = TaskTypeName(type) + std::to_string(data.tasks.size());
    task.type = type;
    task.labelled = 1000;
    switch (type) {
      case TaskType::kBinary:
        task.mean = 0.2;
        break;
      case TaskType::kMulticlass:
        task.classes = {"a", "b", "c", "d"};
        task.class_rates = {0.1, 0.4, 0.3, 0.2};
        break;
      case TaskType::kRegression:
        task.mean = 50, task.deviation = 20;
        break;
      case TaskType::kValue:
        task.mean = 3, task.deviation = 9, task.positive_share = 0.3, task.log_mean = 2,
        task.log_deviation = 0.7;
        break;
      case TaskType::kHazard:
        task.periods = 3;
        task.at_risk = {1, 0.6, 0.3};
        task.hazards = {0.2, 0.1, 0.3};
        task.mean = EventShares(task.hazards).back();
        break;
      case TaskType::kCount:
        task.mean = 1.7, task.deviation = 2.1;
        break;
    }
    data.tasks.push_back(task);
  }
  return data;
}

inline RunConfig TestConfig(const std::string& kind) {
  RunConfig config;
  config.model.kind = kind;
  config.model.embedding_dim = 3;
  config.model.experts = 3;
  config.model.expert_layers = {7, 5};
  config.model.tower_layers = {6, 4};
  return config;
}

inline ModelSpec TestSpec(const RunConfig& config, const DatasetInfo& data) {
  Result<ModelSpec> spec = BuildModelSpec(config, data);
  EXPECT_TRUE(spec) << spec.error().text();
  return *std::move(spec);
}

inline const std::vector<TaskType> kAllTaskTypes = {
    TaskType::kBinary, TaskType::kMulticlass, TaskType::kRegression, TaskType::kValue,
    TaskType::kHazard, TaskType::kCount};

// A model kind with tasks that suit it: esmm and aitm want a chain of them.
inline const std::vector<std::string> kAllKinds = {"single", "shared_bottom", "mmoe", "ple", "esmm", "aitm"};
inline bool IsChain(const std::string& kind) { return kind == "esmm" || kind == "aitm"; }
inline std::vector<TaskType> TypesFor(const std::string& kind, std::vector<TaskType> types = kAllTaskTypes) {
  if (IsChain(kind)) types.insert(types.end(), {TaskType::kBinary, TaskType::kBinary});
  return types;
}
// The chain runs against the order of the tasks, and ends (aitm) with one that is not binary.
inline void MakeChain(const DatasetInfo& data, RunConfig* config) {
  if (!IsChain(config->model.kind)) return;
  for (std::size_t j = data.tasks.size(); j-- > 0;) {
    const bool binary = data.tasks[j].type == TaskType::kBinary;
    if (binary || (config->model.kind == "aitm" && j + 3 == data.tasks.size()))
      config->model.chain.push_back(data.tasks[j].name);
  }
}

// Adds a categorical feature "item" if there is none, and a sequence of such items with the given encoder.
inline const std::vector<SequenceEncoderKind> kSequenceEncoders = {
    SequenceEncoderKind::kAttention, SequenceEncoderKind::kGru, SequenceEncoderKind::kConvolution};
inline void AddSequence(SequenceEncoderKind encoder, DatasetInfo* data, RunConfig* config) {
  const auto named = [](const FeatureInfo& feature) { return feature.name == "item"; };
  if (std::none_of(data->features.begin(), data->features.end(), named))
    data->features.push_back(Feature("item", FeatureType::kCategorical));
  FeatureInfo sequence = Feature("items" + std::to_string(data->features.size()), FeatureType::kBag);
  sequence.sequence = true;
  sequence.vocabulary = "item";
  data->features.push_back(sequence);
  SequenceConfig& options = config->model.sequences[sequence.name];
  options.encoder = encoder;
  options.width = 5;
  if (encoder == SequenceEncoderKind::kAttention) options.target = "item";
}

// A model of two towers: "city" (the id) and "genres" are the item's, the others the user's. Without the user's layers there is
// no "height", which has no embedding.
struct TowerShape {
  TowerLoss loss = TowerLoss::kLogistic;
  std::vector<std::uint32_t> user_layers, item_layers;
  std::uint32_t dim = 3;
  std::vector<std::string> item = {"city", "genres"};
};
inline ModelSpec TowerSpec(const TowerShape& shape, const std::function<void(RunConfig*)>& change = {}) {
  DatasetInfo data = TestData({TaskType::kBinary});
  if (shape.user_layers.empty()) data.features.pop_back();
  RunConfig config = TestConfig("two_tower");
  config.model.embedding_dim = shape.dim;
  config.model.two_tower = {.item = shape.item,
                            .negatives = 4,
                            .loss = shape.loss,
                            .user_layers = shape.user_layers,
                            .item_layers = shape.item_layers};
  if (change) change(&config);
  return TestSpec(config, data);
}

// A random slice. Three quarters of the labels are there; weights differ; keys repeat within rows, fields and the slice.
template <typename T>
struct TestSlice {
  std::vector<T> numeric, shares;
  std::vector<SliceIds> ids;  // by table, as embeddings and keys
  std::vector<std::vector<T>> embeddings;
  std::vector<float> labels, weights;
  std::vector<double> total_weight;
  std::vector<std::shared_ptr<std::vector<Key>>> keys;  // of the batch
  std::uint32_t negatives = 0;
  std::vector<float> corrections;  // or empty
  std::uint32_t rows = 0, padded_rows = 0;
  std::uint64_t dropout_key = 0;

  SliceInput<T> Input() const {
    return {.rows = rows,
            .padded_rows = padded_rows,
            .numeric = numeric.data(),
            .ids = ids.data(),
            .shares = shares.data(),
            .embeddings = embeddings.data(),
            .labels = labels.data(),
            .weights = weights.data(),
            .dropout_key = dropout_key,
            .negatives = negatives,
            .corrections = corrections.empty() ? nullptr : corrections.data(),
            .keys = keys.data(),
            .global_rows = 2 * padded_rows};
  }
};

template <typename T>
TestSlice<T> RandomSlice(const ModelSpec& spec, std::uint32_t rows, std::uint32_t padded_rows,
                         std::uint64_t seed, bool training = true) {
  constexpr std::uint32_t kPulledRows = 29, kDistinct = 17;  // the slice holds some of the batch's keys
  TestSlice<T> slice;
  slice.rows = rows, slice.padded_rows = padded_rows;
  slice.negatives = training && spec.IsTwoTower() ? spec.config.two_tower.negatives : 0;
  RandomStream values(seed, 1);
  for (std::size_t t = 0; t < spec.tables.size(); ++t) {
    std::vector<T>& embeddings = slice.embeddings.emplace_back();
    for (std::uint32_t i = 0; i < kPulledRows * spec.tables[t].rows.embedding_dim; ++i)
      embeddings.push_back(static_cast<T>(static_cast<float>(values.Uniform() * 2 - 1)));
    std::vector<Key>& keys = *slice.keys.emplace_back(std::make_shared<std::vector<Key>>());
    for (std::uint32_t i = 0; i < kPulledRows; ++i) keys.push_back(RandomBits(seed, 3 + t, i));
    SliceIds& ids = slice.ids.emplace_back();
    for (std::uint32_t i = 0; i < kDistinct; ++i) ids.distinct.push_back((i * 11 + 3) % kPulledRows);
    ids.offsets = {0};
  }
  slice.total_weight.assign(spec.tasks.size(), 0.0);
  for (std::uint32_t row = 0; row < padded_rows; ++row) {
    RandomStream random(seed, 1000 + row);  // a row is the same in every slice of this seed
    const bool padding = row >= rows;
    for (const NumericInput& numeric : spec.numerics) {
      const float value = numeric.missing_indicator ? static_cast<float>(random.Below(2))
                                                    : static_cast<float>(random.Uniform() * 4 - 2);
      slice.numeric.push_back(padding ? T{0} : static_cast<T>(value));
    }
    const auto add_field = [&](const EmbeddedField& field, bool empty) {
      const bool bag = spec.data.features[field.feature].type == FeatureType::kBag;
      if (field.soft) slice.shares.push_back(static_cast<T>(static_cast<float>(random.Uniform())));
      const std::uint64_t ids = empty ? 0 : bag ? random.Below(5) : field.soft ? 1 + random.Below(2) : 1;
      SliceIds& of_table = slice.ids[field.table];
      for (std::uint64_t i = 0; i < ids; ++i) {
        of_table.positions.push_back(static_cast<std::uint32_t>(random.Below(kDistinct)));
      }
      of_table.offsets.push_back(static_cast<std::uint32_t>(of_table.positions.size()));
    };
    for (const EmbeddedField& field : spec.fields) add_field(field, padding);
    slice.weights.push_back(padding ? 0.0f : 0.25f + static_cast<float>(random.Uniform()));
    for (const TaskInfo& task : spec.data.tasks) {
      float label = 0.0f;
      switch (task.type) {
        case TaskType::kBinary:
          label = static_cast<float>(random.Below(2));
          break;
        case TaskType::kMulticlass:
          label = static_cast<float>(random.Below(task.classes.size()));
          break;
        case TaskType::kRegression:
          label = static_cast<float>(50 + 20 * (random.Uniform() * 4 - 2));
          break;
        case TaskType::kValue:
          label = random.Below(2) ? static_cast<float>(std::exp(2 + 0.7 * (random.Uniform() * 4 - 2))) : 0.0f;
          break;
        case TaskType::kHazard:
          label = static_cast<float>(1 + random.Below(task.periods)) * (random.Below(2) ? 1.0f : -1.0f);
          break;
        case TaskType::kCount:
          label = static_cast<float>(random.Below(6));
          break;
      }
      const bool missing = random.Below(4) == 0 || padding;
      slice.labels.push_back(missing ? std::numeric_limits<float>::quiet_NaN() : label);
    }
    for (std::uint32_t n = 0; n < slice.negatives; ++n) {  // drawn for rows of label 1
      const bool drawn = slice.labels.back() > 0.5f;
      for (std::uint32_t f = 0; f < spec.item_fields; ++f) add_field(spec.fields[spec.UserFields() + f], !drawn);
    }
    for (std::size_t j = 0; j < spec.tasks.size(); ++j) {
      const float label = slice.labels[row * spec.data.tasks.size() + spec.tasks[j].label_column];
      if (!std::isnan(label)) slice.total_weight[j] += static_cast<double>(slice.weights[row]);
    }
  }
  return slice;
}

// Dense weights of a sensible size, biases included, so that no gradient vanishes for lack of them.
template <typename T>
std::vector<T> RandomDense(const ModelSpec& spec, std::uint64_t seed, double scale = 0.5) {
  RandomStream random(seed, 2);
  std::vector<T> dense(spec.dense_count);
  for (T& w : dense) w = static_cast<T>(static_cast<float>((random.Uniform() * 2 - 1) * scale));
  return dense;
}

template <typename T>
struct StepOutput {
  std::vector<T> dense;
  std::vector<std::vector<T>> embedding;  // by table
  std::vector<double> loss;
  double reconstruction = 0;
  std::vector<T> Embeddings() const {  // of all tables
    std::vector<T> all;
    for (const std::vector<T>& of_table : embedding) all.insert(all.end(), of_table.begin(), of_table.end());
    return all;
  }
};
template <typename T>
StepOutput<T> RunStep(Model<T>& model, const ModelSpec& spec, const TestSlice<T>& slice,
                      const std::vector<T>& dense, bool with_l2) {
  StepOutput<T> out;
  out.dense.assign(spec.dense_count, std::numeric_limits<T>::quiet_NaN());  // every value must be replaced
  std::vector<T*> gradients;
  out.embedding.resize(spec.tables.size());
  for (std::size_t t = 0; t < spec.tables.size(); ++t) {
    out.embedding[t].assign(slice.ids[t].distinct.size() * spec.tables[t].rows.embedding_dim,
                            std::numeric_limits<T>::quiet_NaN());
    gradients.push_back(out.embedding[t].data());
  }
  out.loss.assign(spec.tasks.size(), std::numeric_limits<double>::quiet_NaN());
  model.SetDense(dense.data());
  model.Step(slice.Input(), slice.total_weight.data(), with_l2,
             {.dense_gradient = out.dense.data(),
              .embedding_gradient = gradients.data(),
              .loss_sum = out.loss.data(),
              .reconstruction_loss = &out.reconstruction});
  return out;
}

}  // namespace cohort

#endif  // COHORT_TESTS_MODEL_MODEL_FIXTURE_H_
