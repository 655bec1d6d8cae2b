#include "worker/model/layout.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "worker/model/autoencoder.h"
#include "worker/model/base_rates.h"

namespace cohort {
namespace {

// The block of activations that the next layer reads.
struct Block {
  std::uint32_t width = 0;  // of one group
  bool shared = true;       // one block for all groups
};

class LayoutBuilder {
 public:
  explicit LayoutBuilder(const ModelConfig& config)
      : dropout_(config.dropout), bfloat16_(config.compute == FloatType::kBfloat16) {}

  LayerShape Add(std::uint32_t groups, std::uint32_t inputs, std::uint32_t outputs, bool shared, bool relu) {
    LayerShape layer{
        .groups = groups, .inputs = inputs, .outputs = outputs, .shared_input = shared, .relu = relu};
    layer.weights = layout_.dense_count;
    layer.biases = layer.weights + layer.WeightCount();
    layout_.dense_count = layer.biases + layer.Width();
    return layer;
  }

  // A stack of relu layers for each of `groups`; returns its output.
  Block AddStack(std::uint32_t groups, Block input, const std::vector<std::uint32_t>& widths,
                 std::vector<LayerShape>* layers) {
    for (std::uint32_t width : widths) {
      layers->push_back(Add(groups, input.width, width, input.shared && groups > 1, true));
      layers->back().dropout = dropout_;
      layers->back().bfloat16 = bfloat16_;
      input = {width, groups == 1};
    }
    return input;
  }

  // The first `groups` groups of the layer belong to one task after the other, `each` of them to one.
  void OwnedByTasks(const LayerShape& layer, std::uint32_t groups, std::uint32_t each,
                    std::uint32_t task = 0) {
    for (std::uint32_t g = 0; g < groups; ++g) {
      const std::uint64_t size = std::uint64_t{layer.inputs} * layer.outputs;
      layout_.own_weights.push_back(
          {.task = task + g / each,
           .begin = layer.weights + (layer.shared_input ? g * layer.outputs : g * size),
           .rows = layer.inputs,
           .columns = layer.outputs,
           .stride = layer.shared_input ? layer.Width() : layer.outputs});
    }
  }

  void OwnedByTasks(const LayerShape& layer) { OwnedByTasks(layer, layer.groups, 1); }

  // Returns its output: a block for each task.
  Block AddLevel(Block input, ExpertLevelShape level, bool last, const std::vector<std::uint32_t>& widths) {
    level.first = input.shared;
    const std::uint32_t own = level.tasks * level.task_experts;
    const auto add_stack = [&](std::uint32_t experts) {
      level.stacks.emplace_back();
      level.width = AddStack(experts, {input.width, true}, widths, &level.stacks.back()).width;
    };
    if (level.first) {
      add_stack(own + level.shared_experts);
      for (const LayerShape& layer : level.stacks[0]) {
        if (own > 0) OwnedByTasks(layer, own, level.task_experts);
      }
    } else {
      for (std::uint32_t k = 0; k <= level.tasks; ++k) {
        add_stack(k < level.tasks ? level.task_experts : level.shared_experts);
        level.stacks[k].front().input_column = k * input.width;
        if (k == level.tasks) continue;
        for (const LayerShape& layer : level.stacks[k]) OwnedByTasks(layer, layer.groups, layer.groups, k);
      }
    }
    level.task_gates = Add(level.tasks, input.width, level.task_experts + level.shared_experts,
                           level.first && level.tasks > 1, false);
    OwnedByTasks(level.task_gates);
    if (!last) {
      level.shared_gate = Add(1, input.width, own + level.shared_experts, false, false);
      level.shared_gate->input_column = level.first ? 0 : level.tasks * input.width;
    }
    layout_.levels.push_back(level);
    return {level.width, last && level.tasks == 1};
  }

  // Shapes of the inputs: see the encoders' headers.
  void AddSequence(const SequenceField& sequence, std::uint32_t dim) {
    SequenceShape shape;
    const std::uint32_t width = sequence.config.width;
    switch (sequence.config.encoder) {
      case SequenceEncoderKind::kAttention:
        shape.layers = {Add(1, 4 * dim, width, false, true), Add(1, width, 1, false, false)};
        break;
      case SequenceEncoderKind::kGru:
        shape.layers = {Add(3, dim, width, true, false)};
        shape.recurrent = layout_.dense_count;
        layout_.dense_count += 3 * std::uint64_t{width} * width;
        break;
      case SequenceEncoderKind::kConvolution:
        shape.layers = {Add(1, sequence.config.kernel * dim, width, false, true)};
        break;
      case SequenceEncoderKind::kMean:
      case SequenceEncoderKind::kSum:
        break;
    }
    layout_.sequences.push_back(std::move(shape));
  }

  // two_tower: the last layer is linear.
  void AddVectorTower(std::uint32_t inputs, const std::vector<std::uint32_t>& widths,
                      std::vector<LayerShape>* layers) {
    if (widths.empty()) return;
    const Block hidden = AddStack(1, {inputs, true}, {widths.begin(), widths.end() - 1}, layers);
    layers->push_back(Add(1, hidden.width, widths.back(), false, false));
    for (const LayerShape& layer : *layers) OwnedByTasks(layer);
  }

  void AddTwoTower(const ModelSpec& spec) {
    const TwoTowerConfig& config = spec.config.two_tower;
    const std::uint32_t dim = spec.config.embedding_dim;
    AddVectorTower(spec.UserFields() * dim + static_cast<std::uint32_t>(spec.numerics.size()),
                   config.user_layers, &layout_.user_tower);
    AddVectorTower(spec.item_fields * dim, config.item_layers, &layout_.item_tower);
    layout_.score_bias = layout_.dense_count++;
  }

  void AddAutoencoder(const ModelSpec& spec) {
    const AutoencoderConfig& config = spec.config.autoencoder;
    const ReconstructedInputs inputs = ReconstructedOf(spec);
    const auto outputs =
        static_cast<std::uint32_t>(inputs.numbers.size() + inputs.bags.size() * config.buckets);
    const std::uint32_t width = spec.PooledWidth() + static_cast<std::uint32_t>(spec.numerics.size());
    AutoencoderShape shape;
    shape.encoder = Add(1, width, config.bottleneck, false, true);
    shape.decoder = Add(1, config.bottleneck, outputs, false, false);
    layout_.autoencoder = shape;
  }

  ModelLayout& layout() { return layout_; }

 private:
  const float dropout_;
  const bool bfloat16_;
  ModelLayout layout_;
};

}  // namespace

ModelLayout LayoutOf(const ModelSpec& spec) {
  LayoutBuilder builder(spec.config);
  ModelLayout& layout = builder.layout();
  const ModelConfig& config = spec.config;
  if (spec.IsTwoTower()) {
    builder.AddTwoTower(spec);
    return layout;
  }
  const auto tasks = static_cast<std::uint32_t>(spec.tasks.size());
  for (const SequenceField& sequence : spec.sequences)
    builder.AddSequence(sequence, spec.fields[sequence.field].dim);
  if (spec.HasAutoencoder()) builder.AddAutoencoder(spec);
  const Block input{spec.InputWidth(), true};
  Block hidden;
  if (config.kind == "mmoe" || config.kind == "ple") {
    const bool progressive = config.kind == "ple";
    ExpertLevelShape level;
    level.tasks = tasks;
    level.shared_experts = config.experts;
    level.task_experts = progressive ? config.task_experts : 0;
    hidden = input;
    for (std::uint32_t left = progressive ? config.expert_levels : 1; left > 0; --left)
      hidden = builder.AddLevel(hidden, level, left == 1, config.expert_layers);
  } else if (config.kind == "shared_bottom") {
    hidden = builder.AddStack(1, input, config.expert_layers, &layout.bottom);
  } else {
    hidden = builder.AddStack(tasks, input, config.expert_layers, &layout.bottom);
    for (const LayerShape& layer : layout.bottom) builder.OwnedByTasks(layer);
  }
  hidden = builder.AddStack(tasks, hidden, config.tower_layers, &layout.towers);
  for (const LayerShape& layer : layout.towers) builder.OwnedByTasks(layer);
  std::vector<std::uint32_t> column(tasks);  // that each output reads
  for (std::uint32_t j = 0; j < tasks; ++j) column[j] = hidden.shared ? 0 : j * hidden.width;
  layout.transferred.assign(tasks, false);
  layout.one_hidden = hidden.shared;
  for (std::uint32_t t = 1; config.kind == "aitm" && t < spec.chain.size(); ++t) {
    TransferShape step;
    step.told = builder.Add(1, hidden.width, hidden.width, false, true);
    step.projections = builder.Add(3, hidden.width, hidden.width, true, false);
    const std::uint32_t task = spec.chain[t];
    builder.OwnedByTasks(step.told, 1, 1, task);
    builder.OwnedByTasks(step.projections, 3, 3, task);
    layout.transfers.push_back(step);
    layout.transferred[task] = true;
    column[task] = (t - 1) * hidden.width;
  }
  for (std::uint32_t j = 0; j < tasks; ++j) {
    LayerShape layer = builder.Add(1, hidden.width, spec.tasks[j].outputs, false, false);
    layer.input_column = column[j];
    layout.own_weights.push_back({.task = j,
                                  .begin = layer.weights,
                                  .rows = layer.inputs,
                                  .columns = layer.outputs,
                                  .stride = layer.outputs});
    layout.outputs.push_back(layer);
  }
  if (config.linear) {
    std::uint32_t outputs = 0;
    for (const ModelTask& task : spec.tasks) outputs += task.outputs;
    layout.linear = builder.Add(1, input.width, outputs, false, false);
    std::uint64_t begin = layout.linear->weights;
    for (std::uint32_t j = 0; j < tasks; begin += spec.tasks[j++].outputs)
      layout.own_weights.push_back({j, begin, input.width, spec.tasks[j].outputs, outputs});
  }
  layout.learned_balance = layout.dense_count;
  if (LearnsBalance(spec.balance)) layout.dense_count += tasks;
  return layout;
}

namespace {

// Of the raw outputs of task j. In esmm a task's output is the rate among the rows that got as far as the task before it.
std::vector<float> OutputBiases(const ModelSpec& spec, std::size_t j) {
  ModelTask task = spec.tasks[j];
  const auto place = std::find(spec.chain.begin(), spec.chain.end(), j);
  if (spec.config.kind == "esmm" && place != spec.chain.begin() && place != spec.chain.end()) {
    const double before = spec.tasks[*(place - 1)].info.mean;
    // Close to 1 nothing would be learned: the gradient has the factor 1 - rate.
    if (before > 0) task.info.mean = std::min(task.info.mean / before, 0.95);
  }
  return BaseRatesOf(task).biases;
}

// two_tower: the share of rows that are positive, drawn ones included.
float ScoreBias(const ModelSpec& spec) {
  const TwoTowerConfig& config = spec.config.two_tower;
  const TaskInfo& task = spec.tasks[0].info;
  if (config.loss == TowerLoss::kSoftmax || task.labelled == 0) return 0.0f;
  const double rate = std::clamp(task.mean, 1e-6, 1.0);
  return static_cast<float>(std::log(rate / (rate * config.negatives + 1.0 - rate)));
}

}  // namespace

std::vector<InitSegment> InitialValues(const ModelSpec& spec, const ModelLayout& layout) {
  std::vector<InitSegment> segments;
  const auto add_weights = [&](const LayerShape& layer) {
    const double fan = layer.relu ? layer.inputs : layer.inputs + layer.outputs;
    segments.push_back({layer.weights, 0.0f, static_cast<float>(std::sqrt(6.0 / fan))});
  };
  const auto add_layer = [&](const LayerShape& layer) {
    add_weights(layer);
    segments.push_back({layer.biases, 0.0f, 0.0f});
  };
  for (std::size_t i = 0; i < layout.sequences.size(); ++i) {
    const SequenceShape& shape = layout.sequences[i];
    for (const LayerShape& layer : shape.layers) add_layer(layer);
    if (spec.sequences[i].config.encoder == SequenceEncoderKind::kGru)
      segments.push_back(
          {shape.recurrent, 0.0f, static_cast<float>(std::sqrt(3.0 / spec.sequences[i].width))});
  }
  if (layout.autoencoder) {
    add_layer(layout.autoencoder->encoder);
    add_layer(layout.autoencoder->decoder);
  }
  for (const LayerShape& layer : layout.user_tower) add_layer(layer);
  for (const LayerShape& layer : layout.item_tower) add_layer(layer);
  if (spec.IsTwoTower()) segments.push_back({layout.score_bias, ScoreBias(spec), 0.0f});
  for (const LayerShape& layer : layout.bottom) add_layer(layer);
  for (const ExpertLevelShape& level : layout.levels) {
    for (const std::vector<LayerShape>& stack : level.stacks) {
      for (const LayerShape& layer : stack) add_layer(layer);
    }
    add_layer(level.task_gates);
    if (level.shared_gate) add_layer(*level.shared_gate);
  }
  for (const LayerShape& layer : layout.towers) add_layer(layer);
  for (const TransferShape& step : layout.transfers) {
    add_layer(step.told);
    add_layer(step.projections);
  }
  for (std::size_t j = 0; j < layout.outputs.size(); ++j) {
    add_weights(layout.outputs[j]);
    const std::vector<float> biases = OutputBiases(spec, j);
    for (std::uint32_t k = 0; k < layout.outputs[j].outputs; ++k)
      segments.push_back({layout.outputs[j].biases + k, biases[k], 0.0f});
  }
  if (layout.linear) segments.push_back({layout.linear->weights, 0.0f, 0.0f});
  if (LearnsBalance(spec.balance)) segments.push_back({layout.learned_balance, 0.0f, 0.0f});
  return segments;
}

}  // namespace cohort
