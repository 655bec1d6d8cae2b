#include "launch/explanation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "common/cbor.h"
#include "common/model_files.h"
#include "common/nearest.h"
#include "common/random.h"
#include "worker/encoder.h"
#include "worker/model/attribution.h"
#include "worker/model/model.h"

namespace cohort {
namespace {

constexpr double kTolerance = 9e-4;  // of Explanation::unit: less than 0.001

// What a model keeps of a table for the rows at hand.
struct Weights {
  std::vector<double> dense;
  std::vector<std::unordered_map<Key, std::vector<double>>>
      rows;  // by the spec's tables; keys that are wanted
};

Status ReadWeights(const std::string& directory, const ModelManifest& manifest, const ModelSpec& spec,
                   Weights* weights) {
  weights->dense.assign(spec.DenseRows() * kDenseRowWidth, 0.0);
  return VisitModel(directory, manifest, [&](const ModelRows& rows) -> Status {
    const std::uint32_t dim = rows.table->dim;
    for (std::size_t i = 0; i < rows.keys.size(); ++i) {
      const float* row = rows.rows + i * rows.row_floats;
      if (rows.table->kind == TableKind::kDense) {
        if (rows.keys[i] >= spec.DenseRows() || dim != kDenseRowWidth)
          return {ErrorCode::kCorrupt, directory + ": its dense rows are not its configuration's"};
        std::copy_n(row, dim, weights->dense.data() + rows.keys[i] * kDenseRowWidth);
        continue;
      }
      const std::size_t table = rows.table->id - kEmbeddingTable;
      if (table >= spec.tables.size() || dim != spec.tables[table].rows.embedding_dim)
        return {ErrorCode::kCorrupt,
                directory + ": table " + rows.table->name + " is not its configuration's"};
      const auto wanted = weights->rows[table].find(rows.keys[i]);
      if (wanted != weights->rows[table].end()) wanted->second.assign(row, row + dim);
    }
    return {};
  });
}

// Rows of a dataset, encoded together: at most kBlockRows.
struct EncodedRows {
  Slice slice;
  std::vector<std::vector<Key>> keys;  // by table, distinct
  std::vector<std::string> ids;
  std::vector<std::uint64_t> rows;               // of the split
  std::vector<std::vector<std::string>> values;  // by row, by feature, if wanted

  // Rows x spec.InputWidth().
  std::vector<double> Inputs(const ModelSpec& spec, const Weights& weights, Model<double>& model) const {
    std::vector<std::vector<double>> embeddings(keys.size());
    for (std::size_t t = 0; t < keys.size(); ++t) {
      for (const Key key : keys[t]) {  // one without a row is zeros, as in scoring
        const std::vector<double>& row = weights.rows[t].at(key);
        embeddings[t].insert(embeddings[t].end(), row.begin(), row.end());
        embeddings[t].resize(embeddings[t].size() + (row.empty() ? spec.tables[t].rows.embedding_dim : 0));
      }
    }
    const std::vector<double> numeric(slice.numeric.begin(), slice.numeric.end());
    const std::vector<double> shares(slice.shares.begin(), slice.shares.end());
    const SliceInput<double> input{.rows = slice.rows,
                                   .padded_rows = slice.padded_rows,
                                   .numeric = numeric.data(),
                                   .ids = slice.ids.data(),
                                   .shares = shares.data(),
                                   .embeddings = embeddings.data(),
                                   .labels = slice.labels.data(),
                                   .weights = slice.weights.data()};
    std::vector<double> inputs(static_cast<std::size_t>(slice.rows) * spec.InputWidth());
    model.Inputs(input, inputs.data());
    return inputs;
  }
};

std::string ValueText(const DatasetInfo& info, const DatasetNames& names, std::size_t feature,
                      const RowBlock& block, std::uint32_t row) {
  const std::uint32_t column = info.ColumnOf(feature);
  char text[32];
  switch (info.features[feature].type) {
    case FeatureType::kNumeric: {
      const float value =
          block.numeric[static_cast<std::size_t>(row) * info.CountOf(FeatureType::kNumeric) + column];
      if (std::isnan(value)) return "missing";
      std::snprintf(text, sizeof text, "%.6g", static_cast<double>(value));
      return text;
    }
    case FeatureType::kBag: {
      const std::vector<std::uint64_t>& offsets = block.bag_offsets[column];
      return std::to_string(offsets[row + 1] - offsets[row]) + " ids";
    }
    case FeatureType::kCategorical: {
      const Key key =
          block.categorical[static_cast<std::size_t>(row) * info.CountOf(FeatureType::kCategorical) + column];
      if (key == MissingKey(info.features[feature].name)) return "missing";
      const auto name = names.find(key);
      return name == names.end() ? "" : name->second;
    }
    case FeatureType::kVector:
      return "";
  }
  return "";
}

class Reader {
 public:
  Reader(DatasetReader& data, const ModelSpec& spec, const Encoder& encoder)
      : data_(data), spec_(spec), encoder_(encoder) {
    for (const FeatureInfo& feature : spec.data.features) {
      const auto& features = data.info().features;
      const auto named = [&](const FeatureInfo& each) { return each.name == feature.name; };
      columns_.push_back(
          static_cast<std::size_t>(std::find_if(features.begin(), features.end(), named) - features.begin()));
    }
  }

  // The rows of a split for which `wanted` holds, which hears of each row and its id. With names of categories: values in words, too.
  Result<std::vector<EncodedRows>> Read(
      Split split, const DatasetNames* names,
      const std::function<bool(std::uint64_t, const std::string&)>& wanted) {
    std::vector<EncodedRows> all;
    const std::uint64_t count = data_.info().rows[static_cast<std::size_t>(split)];
    std::vector<DistinctKeys> distinct(encoder_.table_count());
    RowBlock block;
    for (std::uint64_t first = 0; first < count; first += block.rows) {
      const auto some = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, count - first));
      COHORT_RETURN_IF_ERROR(data_.Read(split, first, some, /*with_ids=*/true, &block));
      std::vector<std::uint32_t> chosen;
      for (std::uint32_t i = 0; i < block.rows; ++i) {
        if (wanted(first + i, block.ids.empty() ? std::to_string(block.input_rows[i]) : block.ids[i]))
          chosen.push_back(i);
      }
      if (chosen.empty()) continue;
      EncodedRows& rows = all.emplace_back();
      encoder_.Start(static_cast<std::uint32_t>(chosen.size()), &rows.slice);
      for (DistinctKeys& of_table : distinct) of_table.Clear();
      for (const std::uint32_t i : chosen) {
        encoder_.Append(block, i, distinct.data(), &rows.slice);
        rows.ids.push_back(block.ids.empty() ? std::to_string(block.input_rows[i]) : block.ids[i]);
        rows.rows.push_back(first + i);
        if (names == nullptr) continue;
        std::vector<std::string>& texts = rows.values.emplace_back();
        for (const std::size_t feature : columns_)
          texts.push_back(ValueText(data_.info(), *names, feature, block, i));
      }
      encoder_.Finish(&rows.slice);
      for (std::size_t t = 0; t < distinct.size(); ++t) {
        distinct[t].Sort();
        rows.keys.push_back(distinct[t].keys());
        SliceIds& ids = rows.slice.ids[t];
        ids.distinct.resize(distinct[t].size());
        std::iota(ids.distinct.begin(), ids.distinct.end(), 0u);
        for (std::uint32_t& id : ids.positions) id = distinct[t].Rank(id);
      }
    }
    return all;
  }

 private:
  DatasetReader& data_;
  const ModelSpec& spec_;
  const Encoder& encoder_;
  std::vector<std::size_t> columns_;  // by the model's feature: the dataset's
};

// So many of `count` rows, evenly spread.
bool IsSpread(std::uint64_t row, std::uint64_t count, std::uint64_t wanted) {
  return wanted >= count || row * wanted / count != (row + 1) * wanted / count;
}

// A column of the predictions that can be asked for.
struct Output {
  std::string name;
  std::uint32_t column = 0;
  double deviation = 0;  // of the label; a probability: 0
};

// By task: the columns that are explained, or all of a multiclass task, of which the greatest will be.
struct TaskOutputs {
  std::vector<Output> outputs;
  bool greatest_only = false;
};
Result<std::vector<TaskOutputs>> OutputsOf(const ModelSpec& spec, const std::vector<std::string>& asked) {
  std::vector<TaskOutputs> all;
  std::vector<std::string> names;
  std::unordered_set<std::string> found;
  for (const ModelTask& task : spec.tasks) {
    const std::vector<std::string> columns = task.info.PredictionNames();
    const double deviation = PredictsProbability(task.info.type) ? 0.0 : task.info.deviation;
    TaskOutputs of_task;
    for (std::uint32_t i = 0; i < columns.size(); ++i) {
      names.push_back(columns[i]);
      const bool named = std::find(asked.begin(), asked.end(), columns[i]) != asked.end();
      if (named) found.insert(columns[i]);
      if (named || (asked.empty() && (i == 0 || task.info.type == TaskType::kMulticlass)))
        of_task.outputs.push_back({columns[i], task.prediction_column + i, deviation});
    }
    of_task.greatest_only = asked.empty() && task.info.type == TaskType::kMulticlass;
    if (!of_task.outputs.empty()) all.push_back(std::move(of_task));
  }
  for (const std::string& name : asked) {
    if (found.count(name) == 0)
      return InvalidInput("--output " + name + ": the model has no such prediction" +
                          DidYouMean(name, names));
  }
  return all;
}

constexpr std::uint64_t kRowsOfPart = 16;

nlohmann::json ToJson(const Explanation& one) {
  nlohmann::json shares = nlohmann::json::array();
  for (const FeatureShare& share : one.shares) shares.push_back({share.feature, share.value, share.share});
  return {one.id, one.row, one.output, one.prediction, one.baseline, one.sum, one.unit, std::move(shares)};
}
Explanation ExplanationFrom(const nlohmann::json& json) {
  Explanation one;
  json.at(0).get_to(one.id), json.at(1).get_to(one.row), json.at(2).get_to(one.output);
  json.at(3).get_to(one.prediction), json.at(4).get_to(one.baseline);
  json.at(5).get_to(one.sum), json.at(6).get_to(one.unit);
  for (const nlohmann::json& each : json.at(7))
    one.shares.push_back(
        {each.at(0).get<std::string>(), each.at(1).get<std::string>(), each.at(2).get<double>()});
  return one;
}

// Explains rows: what a process has read and computed before its first one.
class Explainer {
 public:
  Explainer(const ModelSpec& spec, std::vector<TaskOutputs> tasks)
      : spec_(spec),
        tasks_(std::move(tasks)),
        features_(ColumnsByFeature(spec)),
        model_(spec, kBlockRows),
        attribution_(spec) {}

  // The model in `directory`, and the mean input of `average`. Keeps the embedding rows of `explained` too.
  Status Read(const std::string& directory, const ModelManifest& manifest,
              const std::vector<EncodedRows>& average, const std::vector<EncodedRows>& explained) {
    weights_.rows.resize(spec_.tables.size());
    for (const std::vector<EncodedRows>* some : {&average, &explained}) {
      for (const EncodedRows& rows : *some) {
        for (std::size_t t = 0; t < rows.keys.size(); ++t) {
          for (const Key key : rows.keys[t]) weights_.rows[t].try_emplace(key);
        }
      }
    }
    COHORT_RETURN_IF_ERROR(ReadWeights(directory, manifest, spec_, &weights_));
    model_.SetDense(weights_.dense.data());
    attribution_.SetDense(weights_.dense.data());
    const std::size_t width = spec_.InputWidth();
    baseline_.assign(width, 0.0);
    std::uint64_t averaged = 0;
    for (const EncodedRows& rows : average) {
      const std::vector<double> inputs = rows.Inputs(spec_, weights_, model_);
      for (std::size_t i = 0; i < inputs.size(); ++i) baseline_[i % width] += inputs[i];
      averaged += rows.ids.size();
    }
    for (double& each : baseline_) each /= static_cast<double>(averaged);
    return {};
  }
  bool has_read() const { return !baseline_.empty(); }

  // Adds row `row` of `rows`, whose inputs are kept for the next call.
  void Explain(const EncodedRows& rows, std::size_t row, nlohmann::json* explanations) {
    if (inputs_of_ != &rows) inputs_ = rows.Inputs(spec_, weights_, model_), inputs_of_ = &rows;
    const std::size_t width = spec_.InputWidth();
    const std::span<const double> x = std::span(inputs_).subspan(row * width, width);
    for (const TaskOutputs& task : tasks_) {
      const auto less = [&](const Output& a, const Output& b) {
        return attribution_.Predict(x, a.column) < attribution_.Predict(x, b.column);
      };
      std::vector<Output> outputs = task.outputs;
      if (task.greatest_only) outputs = {*std::max_element(outputs.begin(), outputs.end(), less)};
      for (const Output& output : outputs) {
        double unit = 1;
        if (output.deviation > 0) {
          const double difference =
              attribution_.Predict(x, output.column) - attribution_.Predict(baseline_, output.column);
          unit = std::max(std::abs(difference), 1e-3 * output.deviation);
        }
        const Attributed owed = attribution_.Explain(x, baseline_, output.column, kTolerance * unit);
        Explanation one;
        one.id = rows.ids[row];
        one.row = rows.rows[row];
        one.output = output.name;
        one.prediction = owed.prediction, one.baseline = owed.baseline;
        one.sum = owed.sum, one.unit = unit;
        for (const FeatureColumns& each : features_) {
          const bool bottleneck = each.feature == spec_.data.features.size();
          FeatureShare& share = one.shares.emplace_back();
          share.feature = bottleneck ? "autoencoder" : spec_.data.features[each.feature].name;
          share.value = bottleneck ? "" : rows.values[row][each.feature];
          for (const std::uint32_t column : each.columns) share.share += owed.inputs[column];
        }
        explanations->push_back(ToJson(one));
      }
    }
  }

 private:
  const ModelSpec& spec_;
  const std::vector<TaskOutputs> tasks_;
  const std::vector<FeatureColumns> features_;
  Weights weights_;
  Model<double> model_;
  Attribution attribution_;
  std::vector<double> baseline_;
  const EncodedRows* inputs_of_ = nullptr;
  std::vector<double> inputs_;
};

// Of all that explanations are made of.
std::uint64_t FingerprintOf(const ModelManifest& manifest, const std::vector<EncodedRows>& average,
                            const std::vector<EncodedRows>& explained) {
  std::uint64_t hash = 0;
  for (const ModelPart& part : manifest.parts) hash = RandomBits(hash, part.checksum, part.rows);
  for (const std::vector<EncodedRows>* some : {&average, &explained}) {
    for (const EncodedRows& rows : *some) {
      for (const float value : rows.slice.numeric)
        hash = RandomBits(hash, std::bit_cast<std::uint32_t>(value));
      for (const std::vector<Key>& keys : rows.keys) {
        for (const Key key : keys) hash = RandomBits(hash, key);
      }
      for (const std::uint64_t row : rows.rows) hash = RandomBits(hash, row);
    }
  }
  return hash;
}

}  // namespace

Result<std::vector<Explanation>> Explain(const ExplainRequest& request, Partitions& partitions) {
  const auto tell = [&](const std::string& what) {
    if (request.progress) request.progress(what);
  };
  COHORT_ASSIGN_OR_RETURN(const std::string directory, FindModel(request.model));
  COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(directory));
  COHORT_ASSIGN_OR_RETURN(const RunConfig config, ParseRunConfig(manifest.run_config, directory, ""));
  COHORT_ASSIGN_OR_RETURN(const DatasetInfo trained_on, DatasetInfoFromJson(manifest.dataset_info));
  COHORT_ASSIGN_OR_RETURN(const ModelSpec spec, BuildModelSpec(config, trained_on));
  if (spec.IsTwoTower())
    return InvalidInput(directory +
                        ": a two_tower model scores pairs of user and item by a product; it has no "
                        "features to explain it by");
  COHORT_ASSIGN_OR_RETURN(const std::vector<TaskOutputs> tasks, OutputsOf(spec, request.outputs));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<DatasetReader> data, DatasetReader::Open(request.data));
  COHORT_ASSIGN_OR_RETURN(const Encoder encoder, Encoder::Create(spec, data->info()));
  const auto rows_of = [&](Split split) { return data->info().rows[static_cast<std::size_t>(split)]; };
  if (rows_of(request.split) == 0)
    return InvalidInput(request.data + ": the " + SplitName(request.split) + " split has no rows");

  Reader reader(*data, spec, encoder);
  const Split background = rows_of(Split::kTrain) > 0 ? Split::kTrain : request.split;
  tell("reading rows");
  COHORT_ASSIGN_OR_RETURN(const std::vector<EncodedRows> average,
                          reader.Read(background, nullptr, [&](std::uint64_t row, const std::string&) {
                            return IsSpread(row, rows_of(background), request.background);
                          }));
  COHORT_ASSIGN_OR_RETURN(const DatasetNames names, data->ReadNames());
  std::unordered_set<std::string> missing(request.users.begin(), request.users.end());
  const std::unordered_set<std::string> users = missing;
  COHORT_ASSIGN_OR_RETURN(const std::vector<EncodedRows> explained,
                          reader.Read(request.split, &names, [&](std::uint64_t row, const std::string& id) {
                            if (users.empty()) return IsSpread(row, rows_of(request.split), request.rows);
                            missing.erase(id);
                            return users.count(id) > 0;
                          }));
  for (const std::string& user : request.users) {
    if (missing.count(user) > 0)
      return InvalidInput("--user " + user + ": the " + SplitName(request.split) + " split of " +
                          request.data + " has no row of this id");
  }

  std::vector<std::pair<std::size_t, std::size_t>> places;  // by row: its block, and its place there
  for (std::size_t block = 0; block < explained.size(); ++block) {
    for (std::size_t i = 0; i < explained[block].ids.size(); ++i) places.emplace_back(block, i);
  }
  Explainer explainer(spec, tasks);
  std::vector<Explanation> result;
  PartitionedWork work;
  work.doing = "explaining", work.noun = "rows";
  work.count = places.size(), work.size = kRowsOfPart;
  work.name_of = [&](std::uint64_t row) { return explained[places[row].first].ids[places[row].second]; };
  work.fingerprint = FingerprintOf(manifest, average, explained);
  work.make = [&](std::uint64_t first, std::uint64_t end) -> Result<std::string> {
    if (!explainer.has_read()) {
      tell("reading the model");
      COHORT_RETURN_IF_ERROR(explainer.Read(directory, manifest, average, explained));
    }
    nlohmann::json explanations = nlohmann::json::array();
    for (std::uint64_t row = first; row < end; ++row)
      explainer.Explain(explained[places[row].first], places[row].second, &explanations);
    return ToCbor(explanations);
  };
  work.take = [&](const std::string& part) {
    return FromCbor(part, [&](const nlohmann::json& json) {
      for (const nlohmann::json& each : json) result.push_back(ExplanationFrom(each));
    });
  };
  COHORT_RETURN_IF_ERROR(partitions.Run(work));
  return result;
}

}  // namespace cohort
