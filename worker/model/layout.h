// Where each layer's weights lie in the dense vector, from the model's configuration alone.
//
// The dense vector holds, in this order: the sequences' layers, the autoencoder's, the bottom's layers (the shared one, or
// each task's own) or, level by level, the experts and gates (mmoe, ple), the towers' layers, the transfers between them
// (aitm), each task's output layer, the linear term, the learned weights of the tasks' balance; of every layer first the
// weights, then the biases. two_tower: the user's layers, the item's, and a bias.
#ifndef COHORT_WORKER_MODEL_LAYOUT_H_
#define COHORT_WORKER_MODEL_LAYOUT_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "worker/model/model.h"

namespace cohort {

// `groups` dense layers of one shape that are computed together: the first layers of all experts, of all
// towers, ….
struct LayerShape {
  std::uint32_t groups = 1;
  std::uint32_t inputs = 0, outputs = 0;  // of one group
  bool shared_input = false;  // all groups read the same columns; else group g reads g * inputs ..
  bool relu = false;
  float dropout = 0.0f;  // rate, after relu
  bool bfloat16 = false;  // products, where the processor has the kernels
  std::uint32_t input_column = 0;  // of the first group
  // Shared input: one matrix inputs x (groups * outputs), so that all groups are one product. Else `groups`
  // matrices inputs x outputs, one after the other. Biases: groups * outputs.
  std::uint64_t weights = 0, biases = 0;

  std::uint32_t Width() const { return groups * outputs; }
  std::uint64_t WeightCount() const { return std::uint64_t{groups} * inputs * outputs; }
};

// A block of weights that belongs to one task alone: what the task's l2 applies to (biases are left out).
struct OwnWeights {
  std::uint32_t task = 0;
  std::uint64_t begin = 0;
  std::uint32_t rows = 0, columns = 0;
  std::uint64_t stride = 0;
};

// One level of experts and gates (expert_level.h).
struct ExpertLevelShape {
  bool first = true;  // all read the same input; else block k reads columns k * width .. of the level below
  std::uint32_t tasks = 0;
  std::uint32_t task_experts = 0;  // of each task; mmoe: 0
  std::uint32_t shared_experts = 0;
  std::uint32_t width = 0;  // of an expert's output
  // The first level: one stack, its groups the experts of task 0, of task 1, …, then the shared ones. Else a stack for
  // each task, and one for the shared ones.
  std::vector<std::vector<LayerShape>> stacks;
  LayerShape task_gates;  // a group for each task, an output for each of its and the shared experts
  std::optional<LayerShape> shared_gate;  // an output for each expert; the last level has none

  std::uint32_t OutputWidth() const { return (tasks + (shared_gate ? 1 : 0)) * width; }
};

// A step of a Transfer (transfer.h): what the task before tells, and V, Q, K.
struct TransferShape {
  LayerShape told, projections;
};

// The weights of a sequence's encoder (sequence.h and the encoders' headers).
struct SequenceShape {
  // attention: relu, then linear; gru: what the step tells reset gate, update gate and candidate; convolution: one.
  std::vector<LayerShape> layers;
  std::uint64_t recurrent = 0;  // gru: width x (2 width) of the gates, then width x width of the candidate
};

struct AutoencoderShape {
  LayerShape encoder;  // relu; reads the pooled fields and the numerics
  LayerShape decoder;  // linear; the numerics' values, then the buckets of each bag
};

struct ModelLayout {
  std::vector<SequenceShape> sequences;  // as the spec's
  std::optional<AutoencoderShape> autoencoder;
  std::vector<LayerShape> bottom;        // single, shared_bottom
  std::vector<ExpertLevelShape> levels;  // mmoe, ple
  std::vector<LayerShape> towers;
  std::vector<TransferShape> transfers;  // aitm: one less than the chain has tasks
  std::vector<LayerShape> outputs;       // by task
  std::optional<LayerShape> linear;      // from the input to all raw outputs, side by side
  std::vector<LayerShape> user_tower, item_tower;  // two_tower: relu layers, then a linear one; or none
  std::uint64_t score_bias = 0;                    // two_tower
  // Per task: its output reads block `input_column` of the transfers' output, not of the towers'.
  std::vector<bool> transferred;
  bool one_hidden = false;  // all outputs read the same columns
  std::vector<OwnWeights> own_weights;
  std::uint64_t learned_balance = 0;  // what task_balance.h learns: a weight for each task, if any
  std::uint64_t dense_count = 0;
};

// REQUIRES: a spec whose inputs and tasks are filled in, and a configuration that BuildModelSpec accepts.
ModelLayout LayoutOf(const ModelSpec& spec);

// He-uniform for layers followed by relu, Glorot-uniform for linear ones, biases 0; output biases the label's
// base rate, so that training starts from the best constant prediction (base_rates.h).
std::vector<InitSegment> InitialValues(const ModelSpec& spec, const ModelLayout& layout);

}  // namespace cohort

#endif  // COHORT_WORKER_MODEL_LAYOUT_H_
