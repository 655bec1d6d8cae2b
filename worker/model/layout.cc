#include "worker/model/layout.h"

#include <cmath>

#include "worker/model/losses.h"

namespace cohort {
namespace {

// The block of activations that the next layer reads.
struct Block {
  std::uint32_t width = 0;  // of one group
  bool shared = true;       // one block for all groups
};

class LayoutBuilder {
 public:
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
      input = {width, groups == 1};
    }
    return input;
  }

  // Group g of the layer belongs to task g.
  void OwnedByTasks(const LayerShape& layer) {
    for (std::uint32_t g = 0; g < layer.groups; ++g) {
      const std::uint64_t size = std::uint64_t{layer.inputs} * layer.outputs;
      layout_.own_weights.push_back(
          {.task = g,
           .begin = layer.weights + (layer.shared_input ? g * layer.outputs : g * size),
           .rows = layer.inputs,
           .columns = layer.outputs,
           .stride = layer.shared_input ? layer.Width() : layer.outputs});
    }
  }

  ModelLayout& layout() { return layout_; }

 private:
  ModelLayout layout_;
};

}  // namespace

ModelLayout LayoutOf(const ModelSpec& spec) {
  LayoutBuilder builder;
  ModelLayout& layout = builder.layout();
  const ModelConfig& config = spec.config;
  const auto tasks = static_cast<std::uint32_t>(spec.tasks.size());
  const Block input{spec.InputWidth(), true};
  Block hidden;
  if (config.kind == "mmoe") {
    hidden = builder.AddStack(config.experts, input, config.expert_layers, &layout.bottom);
    layout.gates = builder.Add(tasks, input.width, config.experts, tasks > 1, false);
    builder.OwnedByTasks(*layout.gates);
    hidden.shared = tasks == 1;  // a mixture per task
  } else if (config.kind == "shared_bottom") {
    hidden = builder.AddStack(1, input, config.expert_layers, &layout.bottom);
  } else {
    hidden = builder.AddStack(tasks, input, config.expert_layers, &layout.bottom);
    for (const LayerShape& layer : layout.bottom) builder.OwnedByTasks(layer);
  }
  hidden = builder.AddStack(tasks, hidden, config.tower_layers, &layout.towers);
  for (const LayerShape& layer : layout.towers) builder.OwnedByTasks(layer);
  for (std::uint32_t j = 0; j < tasks; ++j) {
    LayerShape layer = builder.Add(1, hidden.width, spec.tasks[j].outputs, false, false);
    layer.input_column = hidden.shared ? 0 : j * hidden.width;
    layout.own_weights.push_back({.task = j,
                                  .begin = layer.weights,
                                  .rows = layer.inputs,
                                  .columns = layer.outputs,
                                  .stride = layer.outputs});
    layout.outputs.push_back(layer);
  }
  return layout;
}

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
  for (const LayerShape& layer : layout.bottom) add_layer(layer);
  if (layout.gates) add_layer(*layout.gates);
  for (const LayerShape& layer : layout.towers) add_layer(layer);
  for (std::size_t j = 0; j < layout.outputs.size(); ++j) {
    add_weights(layout.outputs[j]);
    for (std::uint32_t k = 0; k < layout.outputs[j].outputs; ++k) {
      segments.push_back({layout.outputs[j].biases + k, BaseRateBias(spec.tasks[j].info, k), 0.0f});
    }
  }
  return segments;
}

}  // namespace cohort
