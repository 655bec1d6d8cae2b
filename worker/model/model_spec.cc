// What a configuration and a dataset make of the model (BuildModelSpec, TablesOf of model.h).
#include <algorithm>

#include "common/nearest.h"
#include "worker/model/autoencoder.h"
#include "worker/model/field_tables.h"
#include "worker/model/layout.h"
#include "worker/model/losses.h"
#include "worker/model/model.h"

namespace cohort {
namespace {

std::string TaskNames(const DatasetInfo& data) {
  std::string names;
  for (const TaskInfo& task : data.tasks) names += (names.empty() ? "" : ", ") + task.name;
  return names.empty() ? "none" : names;
}

constexpr const char* kTwoTower = "two_tower";

bool IsChain(const ModelConfig& model) { return model.kind == "esmm" || model.kind == "aitm"; }

Status CheckConfig(const ModelConfig& model) {
  const bool progressive = model.kind == "ple", mixes = model.kind == "mmoe" || progressive;
  if (model.kind != "single" && model.kind != "shared_bottom" && !mixes && !IsChain(model) &&
      model.kind != kTwoTower) {
    return {ErrorCode::kInvalidInput, "[model] kind = \"" + model.kind +
                                          "\": expected \"single\", \"shared_bottom\", \"mmoe\", \"ple\", "
                                          "\"esmm\", \"aitm\" or \"two_tower\""};
  }
  if (model.kind == "aitm" && model.tower_layers.empty()) {
    return {ErrorCode::kInvalidInput,
            "[model] kind = \"aitm\" needs at least one width in tower_layers: tasks tell each other what "
            "their towers "
            "say"};
  }
  if (mixes && (model.experts == 0 || model.expert_layers.empty())) {
    return {ErrorCode::kInvalidInput,
            "[model] kind = \"" + model.kind +
                "\" needs experts >= 1 and at least one width in expert_layers; give "
                "both, or take kind = \"shared_bottom\""};
  }
  if (progressive && (model.task_experts == 0 || model.expert_levels == 0)) {
    return {ErrorCode::kInvalidInput,
            "[model] kind = \"ple\" needs task_experts >= 1 and expert_levels >= 1; give both, or take "
            "kind = \"mmoe\""};
  }
  for (const auto* widths : {&model.expert_layers, &model.tower_layers}) {
    if (std::find(widths->begin(), widths->end(), 0u) != widths->end()) {
      return {ErrorCode::kInvalidInput,
              "[model] expert_layers, tower_layers: found a layer of width 0; expected >= 1"};
    }
  }
  if (model.embedding_dim == 0)
    return {ErrorCode::kInvalidInput, "[model] embedding_dim = 0: expected 1 or more"};
  return {};
}

// Whether the loss that the run file gives suits the task's type.
Status CheckLoss(const ModelTask& task) {
  const TaskConfig& config = task.config;
  const TaskType type = task.info.type;
  const bool classes = type == TaskType::kBinary || type == TaskType::kMulticlass;
  const auto bad = [&](const std::string& option, const std::string& expected) {
    return Status(ErrorCode::kInvalidInput, "[task." + task.info.name + "] " + option + ": the task is " +
                                                TaskTypeName(type) + "; " + expected);
  };
  if (config.loss == TaskLoss::kHuber && type != TaskType::kRegression)
    return bad("loss = \"huber\"", "huber is for regression tasks; remove it");
  if (config.loss == TaskLoss::kFocal && !classes)
    return bad("loss = \"focal\"", "focal is for binary and multiclass tasks; remove it");
  if (config.loss == TaskLoss::kPoisson && type != TaskType::kValue && type != TaskType::kCount)
    return bad("loss = \"poisson\"", "poisson is for value tasks (and what count tasks have anyway); remove it");
  if (!config.offset.empty() && !IsPoisson(task))
    return bad("offset", std::string("an offset is of tasks that predict by their logarithm: count, ") +
                             "and value with loss = \"poisson\"; remove it");
  if (config.label_smoothing > 0.0f && !classes)
    return bad("label_smoothing", "only labels of binary and multiclass tasks can be smoothed; remove it");
  if (config.label_smoothing > 0.0f && config.loss == TaskLoss::kFocal)
    return bad("label_smoothing", "with loss = \"focal\" labels are not smoothed; remove one of the two");
  return {};
}

// Finds the feature that the run file calls the task's offset.
Status SetOffset(const ModelSpec& spec, ModelTask* task) {
  if (task->config.offset.empty()) return {};
  const auto bad = [&](const std::string& text) {
    return Status(ErrorCode::kInvalidInput,
                  "[task." + task->info.name + "] offset = \"" + task->config.offset + "\": " + text +
                      "; name a numeric feature of scale standard, minmax or none, a logarithm");
  };
  const std::vector<FeatureInfo>& features = spec.data.features;
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < spec.numerics.size(); ++i) {
    const FeatureInfo& feature = features[spec.numerics[i].feature];
    names.push_back(feature.name);
    if (spec.numerics[i].missing_indicator || feature.name != task->config.offset) continue;
    if (feature.type != FeatureType::kNumeric) return bad("it is a vector");
    if (feature.scale == NumericScale::kLog1p) return bad("its scale is log1p");
    task->has_offset = true;
    task->offset_input = i;
    if (feature.scale == NumericScale::kStandard) {
      task->offset_shift = feature.mean;
      task->offset_factor = feature.deviation > 0 ? feature.deviation : 1;
    } else if (feature.scale == NumericScale::kMinMax) {
      task->offset_shift = feature.minimum;
      task->offset_factor = feature.maximum > feature.minimum ? feature.maximum - feature.minimum : 1;
    }
    task->offset_mean = feature.mean;
    task->offset_deviation = feature.deviation;
    return {};
  }
  return bad("the dataset has no numeric feature of that name" + DidYouMean(task->config.offset, names));
}

Status AddTasks(const RunConfig& config, const DatasetInfo& data, ModelSpec* spec) {
  for (const auto& entry : config.tasks) {
    const std::string& name = entry.first;
    if (std::none_of(data.tasks.begin(), data.tasks.end(),
                     [&](const TaskInfo& t) { return t.name == name; })) {
      return {ErrorCode::kInvalidInput, "[task." + name + "]: the dataset has no such task (it has: " +
                                            TaskNames(data) + "); correct the name or remove the section"};
    }
  }
  for (std::size_t i = 0; i < data.tasks.size(); ++i) {
    ModelTask task;
    task.info = data.tasks[i];
    if (const auto found = config.tasks.find(task.info.name); found != config.tasks.end())
      task.config = found->second;
    if (!task.config.enabled) continue;
    if (task.info.type == TaskType::kMulticlass && task.info.classes.empty()) {
      return {ErrorCode::kInvalidInput,
              "task " + task.info.name +
                  " is multiclass, yet no row of the train split has a class; set [task." + task.info.name +
                  "] enabled = false, or prepare it with labels"};
    }
    COHORT_RETURN_IF_ERROR(CheckLoss(task));
    task.label_column = static_cast<std::uint32_t>(i);
    task.outputs = OutputsOf(task);
    COHORT_RETURN_IF_ERROR(SetOffset(*spec, &task));
    task.prediction_column = spec->prediction_columns;
    spec->prediction_columns += task.info.PredictionColumns();
    spec->tasks.push_back(std::move(task));
  }
  if (spec->tasks.empty()) {
    return {ErrorCode::kInvalidInput, "no task is left to learn: the dataset has " + TaskNames(data) +
                                          "; enable one in the run file, or add a [[task]] to the schema"};
  }
  return {};
}

// The fields that are pooled, and the numerics; then the sequences that have an encoder.
Status AddFeatures(const RunConfig& config, const DatasetInfo& data, ModelSpec* spec) {
  const auto& wanted = config.model.sequences;
  std::vector<std::size_t> encoded;
  for (std::size_t i = 0; i < data.features.size(); ++i) {
    const FeatureInfo& feature = data.features[i];
    if (feature.type == FeatureType::kCategorical || feature.type == FeatureType::kBag) {
      EmbeddedField field{.feature = i, .bin = false, .pooling = feature.pooling};
      if (const auto found = wanted.find(feature.name); found != wanted.end()) {
        if (!IsPooling(found->second.encoder)) {
          encoded.push_back(i);
          continue;
        }
        field.pooling = found->second.encoder == SequenceEncoderKind::kSum ? Pooling::kSum : Pooling::kMean;
      }
      spec->fields.push_back(field);
      continue;
    }
    if (!feature.bin_edges.empty()) {
      // A single edge leaves nothing between two bins.
      spec->fields.push_back(
          {.feature = i, .bin = true, .soft = config.model.soft_bins && feature.bin_edges.size() > 1});
    }
    const std::uint32_t length = feature.type == FeatureType::kVector ? feature.length : 1;
    for (std::uint32_t element = 0; element < length; ++element)
      spec->numerics.push_back({.feature = i, .missing_indicator = false, .element = element});
    if (feature.missing > 0) spec->numerics.push_back({.feature = i, .missing_indicator = true});
  }
  for (const std::size_t i : encoded) {
    SequenceField sequence{.config = wanted.at(data.features[i].name),
                           .field = static_cast<std::uint32_t>(spec->fields.size())};
    sequence.width = sequence.config.width;
    if (sequence.config.encoder == SequenceEncoderKind::kAttention) {
      const auto target =
          std::find_if(spec->fields.begin(), spec->fields.end(), [&](const EmbeddedField& field) {
            const FeatureInfo& feature = data.features[field.feature];
            return feature.type == FeatureType::kCategorical && feature.name == sequence.config.target;
          });
      if (target == spec->fields.end()) {
        return {ErrorCode::kInvalidInput, "[sequence." + data.features[i].name +
                                              "] encoder = \"attention\" compares the steps with a " +
                                              "categorical feature, and target = \"" +
                                              sequence.config.target +
                                              "\" is none of the dataset; name one, or take another encoder"};
      }
      sequence.target = static_cast<std::uint32_t>(target - spec->fields.begin());
    }
    spec->fields.push_back({.feature = i, .bin = false});
    spec->sequences.push_back(std::move(sequence));
  }
  for (const auto& entry : wanted) {
    const auto feature = std::find_if(data.features.begin(), data.features.end(),
                                      [&](const FeatureInfo& each) { return each.name == entry.first; });
    if (feature != data.features.end() && feature->sequence) continue;
    return {ErrorCode::kInvalidInput,
            "[sequence." + entry.first + "]: the dataset has no " +
                (feature == data.features.end() ? "feature of that name"
                                                : "order of this feature's items: it is not a sequence") +
                "; name a [[feature]] of type = \"sequence\", or remove the section"};
  }
  if (spec->fields.empty() && spec->numerics.empty()) {
    return {ErrorCode::kInvalidInput,
            "the dataset has no feature; add a [[feature]] to the schema and prepare it again"};
  }
  return {};
}

// kind = "two_tower": the features' sides, and whether the data suits it.
Status MakeSides(ModelSpec* spec) {
  const ModelConfig& config = spec->config;
  if (config.kind != kTwoTower) return {};
  const auto bad = [](const std::string& text) {
    return Status(ErrorCode::kInvalidInput, "[model] kind = \"two_tower\": " + text);
  };
  const std::vector<FeatureInfo>& features = spec->data.features;
  if (spec->tasks.size() != 1) {
    return bad("it learns one binary task, and " + std::to_string(spec->tasks.size()) + " are enabled (" +
               TaskNames(spec->data) + "); set enabled = false in the [task.NAME] of the others");
  }
  const ModelTask& task = spec->tasks[0];
  if (task.info.type != TaskType::kBinary)
    return bad("task " + task.info.name + " is " + TaskTypeName(task.info.type) + "; expected a binary one");
  if (task.config.loss != TaskLoss::kDefault || task.config.label_smoothing > 0.0f)
    return bad("[task." + task.info.name +
               "] loss, label_smoothing: its loss is that of [two_tower]; remove them");
  if (task.info.labelled > 0 && !(task.info.mean > 0))
    return bad("task " + task.info.name + " has no row of label 1 in the train split to hold others against");
  for (const SequenceField& sequence : spec->sequences) {
    return bad("[sequence." + features[spec->fields[sequence.field].feature].name +
               "] encoder: towers read sequences pooled; take \"mean\" or \"sum\"");
  }
  // A number is read as a number by layers of the user's side, else by its bin.
  const bool layers = !config.two_tower.user_layers.empty();
  const auto& named = config.two_tower.item;
  const auto is_item = [&](std::size_t feature) {
    return std::find(named.begin(), named.end(), features[feature].name) != named.end();
  };
  const auto has_field = [&](std::size_t feature) {
    return std::any_of(spec->fields.begin(), spec->fields.end(),
                       [&](const EmbeddedField& field) { return field.feature == feature; });
  };
  for (std::size_t f = 0; f < features.size(); ++f) {
    if (has_field(f) || (!is_item(f) && layers)) continue;
    return bad("feature " + features[f].name + " has no embedding, and " +
               (is_item(f) ? "the item's side reads nothing else"
                           : "without two_tower.user_layers the user's side reads nothing else") +
               "; give it bins in the schema, or leave it out there");
  }
  std::erase_if(spec->numerics,
                [&](const NumericInput& number) { return !layers || is_item(number.feature); });
  std::vector<EmbeddedField> sides;
  for (const EmbeddedField& field : spec->fields) {
    if (!is_item(field.feature)) sides.push_back(field);
  }
  if (sides.empty())
    return bad(
        "two_tower.item names every feature that has an embedding, and none is left for the user's side");
  for (auto name = named.begin(); name != named.end(); ++name) {
    if (std::find(named.begin(), name, *name) != name) return bad("two_tower.item names " + *name + " twice");
    const auto field = std::find_if(spec->fields.begin(), spec->fields.end(), [&](const EmbeddedField& each) {
      return features[each.feature].name == *name;
    });
    if (field == spec->fields.end()) {
      std::string names;
      for (const FeatureInfo& feature : features) names += (names.empty() ? "" : ", ") + feature.name;
      return bad("two_tower.item names " + *name + ", which the dataset does not have (it has: " + names +
                 ")");
    }
    if (name == named.begin() && features[field->feature].type != FeatureType::kCategorical)
      return bad("two_tower.item begins with " + *name +
                 ", which is not categorical; begin with the item's id");
    sides.push_back(*field);
  }
  spec->item_fields = static_cast<std::uint32_t>(named.size());
  spec->fields = std::move(sides);
  return {};
}

Status MakeChain(ModelSpec* spec) {
  const ModelConfig& config = spec->config;
  if (!IsChain(config)) return {};
  const bool esmm = config.kind == "esmm";
  const std::string where = "[model] kind = \"" + config.kind + "\", chain: ";
  const auto fits = [&](const ModelTask& task) { return !esmm || task.info.type == TaskType::kBinary; };
  std::vector<std::uint32_t>& chain = spec->chain;
  for (std::uint32_t j = 0; config.chain.empty() && j < spec->tasks.size(); ++j) {
    if (fits(spec->tasks[j])) chain.push_back(j);
  }
  for (const std::string& name : config.chain) {
    const auto task = std::find_if(spec->tasks.begin(), spec->tasks.end(),
                                   [&](const ModelTask& each) { return each.info.name == name; });
    if (task == spec->tasks.end()) {
      return {ErrorCode::kInvalidInput, where + "there is no enabled task \"" + name +
                                            "\" (the dataset has: " + TaskNames(spec->data) + ")"};
    }
    if (!fits(*task)) {
      return {ErrorCode::kInvalidInput, where + "task \"" + name + "\" is " + TaskTypeName(task->info.type) +
                                            "; esmm multiplies the probabilities of binary tasks"};
    }
    const auto j = static_cast<std::uint32_t>(task - spec->tasks.begin());
    if (std::find(chain.begin(), chain.end(), j) != chain.end())
      return {ErrorCode::kInvalidInput, where + "task \"" + name + "\" is named twice"};
    chain.push_back(j);
  }
  for (const std::uint32_t j : chain) {
    const TaskConfig& task = spec->tasks[j].config;
    if (!esmm || (task.loss == TaskLoss::kDefault && task.label_smoothing == 0.0f)) continue;
    return {ErrorCode::kInvalidInput,
            "[task." + spec->tasks[j].info.name +
                "] loss, label_smoothing: the task is in the chain of esmm, whose loss is "
                "the cross-entropy of products; remove them"};
  }
  if (chain.size() < 2) {
    return {ErrorCode::kInvalidInput,
            where + "found " + std::to_string(chain.size()) + (esmm ? " binary" : "") +
                " task; expected at least two: name them, or take kind = \"single\""};
  }
  return {};
}

}  // namespace

Result<ModelSpec> BuildModelSpec(const RunConfig& config, const DatasetInfo& data) {
  COHORT_RETURN_IF_ERROR(CheckConfig(config.model));
  ModelSpec spec;
  spec.config = config.model;
  spec.data = data;
  COHORT_RETURN_IF_ERROR(AddFeatures(config, data, &spec));
  COHORT_RETURN_IF_ERROR(AddTasks(config, data, &spec));
  COHORT_RETURN_IF_ERROR(MakeSides(&spec));
  COHORT_RETURN_IF_ERROR(AssignTables(config, &spec));
  COHORT_RETURN_IF_ERROR(MakeChain(&spec));
  spec.balance = config.train.balance;
  spec.gradnorm_alpha = config.train.gradnorm_alpha;
  if (spec.HasAutoencoder() && (spec.balance == Balance::kGradNorm || spec.balance == Balance::kPcGrad))
    return InvalidInput(
        "autoencoder.weight is above 0, and train.balance weighs the tasks' gradients one by one, in which "
        "the "
        "autoencoder has no part; take balance = \"fixed\" or \"uncertainty\", or weight = 0");
  if (const ReconstructedInputs inputs = ReconstructedOf(spec);
      spec.HasAutoencoder() && inputs.numbers.empty() && inputs.bags.empty()) {
    return InvalidInput(
        "autoencoder.weight is above 0, but the dataset has nothing to reconstruct: no numeric feature, "
        "vector, bag or "
        "text (or all of them are sequences with an encoder); leave [autoencoder] out");
  }
  const ModelLayout layout = LayoutOf(spec);
  spec.dense_count = layout.dense_count;
  spec.dense_init = InitialValues(spec, layout);
  return spec;
}

std::vector<TaskInfo> TaskInfosOf(const ModelSpec& spec) {
  std::vector<TaskInfo> tasks;
  for (const ModelTask& task : spec.tasks) tasks.push_back(task.info);
  return tasks;
}

std::vector<std::string> WarningsOf(const ModelSpec& spec) {
  std::vector<std::string> warnings;
  for (const SequenceField& sequence : spec.sequences) {
    if (sequence.config.encoder != SequenceEncoderKind::kAttention) continue;
    const auto vocabulary = [&](std::uint32_t field) {
      const FeatureInfo& feature = spec.data.features[spec.fields[field].feature];
      return feature.vocabulary.empty() ? feature.name : feature.vocabulary;
    };
    if (vocabulary(sequence.field) == vocabulary(sequence.target)) continue;
    const std::string& name = spec.data.features[spec.fields[sequence.field].feature].name;
    warnings.push_back("sequence." + name + ".target: " + name + " and " + sequence.config.target +
                       " have embeddings of their own, so equal items look unlike at first; give one of them "
                       "the other's vocabulary in the schema");
  }
  if (spec.config.soft_bins && spec.SoftFields() == 0)
    warnings.push_back("model.soft_bins changes nothing: it needs a numeric feature with three bins or more");
  if (spec.IsTwoTower()) {
    const FeatureInfo& item = spec.data.features[spec.fields[spec.UserFields()].feature];
    if (item.missing > 0) {
      warnings.push_back(
          "two_tower.item: " + item.name + " is missing in " + std::to_string(item.missing) +
          " rows of the train split, which count as rows of one item; leave them out of the log");
    }
  }
  bool calibrated = false;
  const std::uint64_t rows = spec.data.rows[static_cast<std::size_t>(Split::kTrain)];
  for (const std::uint32_t j : spec.chain) {
    const TaskInfo& task = spec.tasks[j].info;
    if (spec.config.kind != "esmm" || task.labelled >= rows) continue;
    warnings.push_back(
        "model.kind = \"esmm\": task " + task.name + " is labelled in " + std::to_string(task.labelled) +
        " of " + std::to_string(rows) +
        " rows of the train split; the chain wants every row, 0 where a step was not reached. Are these "
        "steps of one chain (model.chain)?");
  }
  for (std::size_t t = 1; t < spec.chain.size(); ++t) {
    const TaskInfo &before = spec.tasks[spec.chain[t - 1]].info, &task = spec.tasks[spec.chain[t]].info;
    if (before.type != TaskType::kBinary || task.type != TaskType::kBinary) continue;
    calibrated = true;
    if (task.mean > before.mean) {
      warnings.push_back("model.chain: " + task.name + " is more frequent (" + std::to_string(task.mean) +
                         ") than the step before it, " + before.name + " (" + std::to_string(before.mean) +
                         "); give the tasks in the order of a user's steps");
    }
  }
  if ((spec.balance == Balance::kGradNorm || spec.balance == Balance::kPcGrad) && spec.tasks.size() == 1)
    warnings.push_back("train.balance changes nothing: the model has one task");
  for (const ModelTask& task : spec.tasks) {
    const TaskConfig &config = task.config, usual;
    const bool focal = config.loss == TaskLoss::kFocal;
    const auto idle = [&](const char* option, bool changed, bool used, const char* needs) {
      if (changed && !used)
        warnings.push_back("task." + task.info.name + "." + option + " changes nothing: it needs " + needs);
    };
    idle("delta", config.delta != usual.delta, config.loss == TaskLoss::kHuber, "loss = \"huber\"");
    if (config.loss == TaskLoss::kPoisson && task.info.type == TaskType::kCount)
      warnings.push_back("task." + task.info.name + ".loss = \"poisson\" changes nothing: the task is count");
    idle("gamma", config.gamma != usual.gamma, focal, "loss = \"focal\"");
    idle("alpha", config.alpha != usual.alpha, focal && task.info.type == TaskType::kBinary,
         "loss = \"focal\" and a binary task");
  }
  if (spec.IsTwoTower() && spec.config.two_tower.loss == TowerLoss::kSoftmax && spec.tasks[0].info.mean < 1) {
    warnings.push_back("two_tower.loss = \"softmax\": rows of label 0 of task " + spec.tasks[0].info.name +
                       " (" + std::to_string(1 - spec.tasks[0].info.mean) +
                       " of the train split) count for nothing; with \"logistic\" they are negatives");
  }
  if (spec.config.kind == "aitm" && spec.config.calibration > 0.0f && !calibrated)
    warnings.push_back(
        "model.calibration changes nothing: no two tasks that follow each other in the chain are binary");
  return warnings;
}

std::vector<TableSpec> TablesOf(const ModelSpec& spec, const RunConfig& config) {
  TableSpec dense;
  dense.id = kDenseTable;
  dense.name = "dense";
  dense.kind = TableKind::kDense;
  dense.dim = kDenseRowWidth;
  dense.row_count = spec.DenseRows();
  dense.optimizer = config.dense_optimizer;
  dense.init = spec.dense_init;
  dense.init.push_back({spec.dense_count, 0.0f, 0.0f});  // the rest of the last row

  std::vector<TableSpec> tables = {dense};
  for (std::size_t t = 0; t < spec.tables.size(); ++t) {
    TableSpec embedding;
    embedding.id = EmbeddingTableAt(t);
    embedding.name = spec.tables[t].name;
    embedding.kind = TableKind::kSparse;
    embedding.dim = spec.tables[t].rows.embedding_dim;
    embedding.optimizer = spec.tables[t].rows.optimizer;
    embedding.init = {{0, 0.0f, spec.config.embedding_init}};
    embedding.policy = config.embedding.policy;
    embedding.dtype = config.embedding.dtype;
    // The dense weights stay float32: every sample's gradient and Adam's small steps go through each of them, and they
    // are few beside the rows of a batch.
    embedding.pull_values = config.wire.pull_values;
    embedding.push_values = config.wire.push_values;
    tables.push_back(std::move(embedding));
  }
  const std::uint64_t rows = spec.data.rows[static_cast<std::size_t>(Split::kTrain)];
  for (TableSpec& table : tables) {
    RateSchedule& schedule = table.optimizer.schedule;
    schedule.steps_per_epoch = (rows + config.train.batch_size - 1) / config.train.batch_size;
    schedule.epochs = config.train.epochs;
  }
  return tables;
}

}  // namespace cohort
