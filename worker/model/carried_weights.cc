#include "worker/model/carried_weights.h"

#include <map>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>

#include "worker/model/autoencoder.h"
#include "worker/model/layout.h"

namespace cohort {
namespace {

constexpr std::int64_t kNone = -1;
// By index now: the index before, or kNone.
using Map = std::vector<std::int64_t>;

Map Identity(std::size_t size) {
  Map map(size);
  std::iota(map.begin(), map.end(), 0);
  return map;
}

template <typename Name>
Map ByName(const std::vector<Name>& now, const std::vector<Name>& before) {
  std::map<Name, std::int64_t> places;
  for (const Name& name : before) places.emplace(name, static_cast<std::int64_t>(places.size()));
  Map map;
  for (const Name& name : now) {
    const auto found = places.find(name);
    map.push_back(found == places.end() ? kNone : found->second);
  }
  return map;
}

// What a column is: the feature, which of its inputs, and which element of that.
using Column = std::tuple<std::string, std::string, std::uint32_t>;

Column NumberColumn(const ModelSpec& spec, const NumericInput& numeric) {
  const FeatureInfo& feature = spec.data.features[numeric.feature];
  if (numeric.missing_indicator) return {feature.name, "missing", 0};
  // The elements of a vector of another length are others.
  return {feature.name, "number of " + std::to_string(feature.length), numeric.element};
}

std::vector<Column> PooledColumns(const ModelSpec& spec) {
  std::vector<Column> columns;
  for (std::uint32_t f = 0; f < spec.PooledFields(); ++f) {
    const EmbeddedField& field = spec.fields[f];
    for (std::uint32_t d = 0; d < field.dim; ++d)
      columns.push_back({spec.data.features[field.feature].name, field.bin ? "bin" : "ids", d});
  }
  return columns;
}

// A sequence with another encoder, or one of another shape, is another input.
std::string EncoderOf(const SequenceField& sequence) {
  const SequenceConfig& config = sequence.config;
  std::string name = std::to_string(static_cast<int>(config.encoder)) + " of " + std::to_string(config.width);
  if (config.encoder == SequenceEncoderKind::kAttention) name += " to " + config.target;
  if (config.encoder == SequenceEncoderKind::kConvolution) name += " by " + std::to_string(config.kernel);
  return name;
}

const std::string& FeatureOf(const ModelSpec& spec, const SequenceField& sequence) {
  return spec.data.features[spec.fields[sequence.field].feature].name;
}

using Sequence = std::pair<std::string, std::string>;  // feature, encoder
std::vector<Sequence> SequencesOf(const ModelSpec& spec) {
  std::vector<Sequence> sequences;
  for (const SequenceField& sequence : spec.sequences)
    sequences.push_back({FeatureOf(spec, sequence), EncoderOf(sequence)});
  return sequences;
}

// Of the input of the first layers, in its order (ModelSpec::InputWidth).
std::vector<Column> InputColumns(const ModelSpec& spec) {
  std::vector<Column> columns = PooledColumns(spec);
  for (const SequenceField& sequence : spec.sequences) {
    for (std::uint32_t d = 0; d < sequence.width; ++d)
      columns.push_back({FeatureOf(spec, sequence), "encoder " + EncoderOf(sequence), d});
  }
  if (spec.HasAutoencoder()) {
    const std::uint32_t width = spec.config.autoencoder.bottleneck;
    for (std::uint32_t d = 0; d < width; ++d)
      columns.push_back({"", "bottleneck of " + std::to_string(width), d});
  }
  for (const NumericInput& numeric : spec.numerics) columns.push_back(NumberColumn(spec, numeric));
  return columns;
}

// two_tower: of the inputs of its towers.
std::vector<Column> UserColumns(const ModelSpec& spec) {
  std::vector<Column> columns = PooledColumns(spec);
  columns.resize(std::size_t{spec.UserFields()} * spec.config.embedding_dim);
  for (const NumericInput& numeric : spec.numerics) columns.push_back(NumberColumn(spec, numeric));
  return columns;
}
std::vector<Column> ItemColumns(const ModelSpec& spec) {
  const std::vector<Column> columns = PooledColumns(spec);
  return {columns.end() - static_cast<std::ptrdiff_t>(spec.item_fields * spec.config.embedding_dim),
          columns.end()};
}

// Of the input of the autoencoder.
std::vector<Column> EncodedColumns(const ModelSpec& spec) {
  std::vector<Column> columns = PooledColumns(spec);
  for (const NumericInput& numeric : spec.numerics) columns.push_back(NumberColumn(spec, numeric));
  return columns;
}

// Of what the autoencoder reconstructs.
std::vector<Column> DecodedColumns(const ModelSpec& spec) {
  std::vector<Column> columns;
  const ReconstructedInputs inputs = ReconstructedOf(spec);
  for (const ReconstructedInputs::Number& number : inputs.numbers)
    columns.push_back(NumberColumn(spec, spec.numerics[number.value]));
  const std::uint32_t buckets = spec.config.autoencoder.buckets;
  for (const std::uint32_t bag : inputs.bags) {
    for (std::uint32_t bucket = 0; bucket < buckets; ++bucket)
      columns.push_back({spec.data.features[spec.fields[bag].feature].name,
                         "bucket of " + std::to_string(buckets), bucket});
  }
  return columns;
}

using Task = std::tuple<std::string, TaskType, std::vector<std::string>, std::uint32_t>;
std::vector<Task> TasksOf(const ModelSpec& spec) {
  std::vector<Task> tasks;
  for (const ModelTask& task : spec.tasks)
    tasks.push_back({task.info.name, task.info.type, task.info.classes, task.info.periods});
  return tasks;
}

// `each` things of every task one after the other, then `shared` ones.
Map OfTasks(const Map& tasks, std::size_t tasks_before, std::uint32_t each, std::uint32_t shared) {
  Map map;
  for (const std::int64_t task : tasks) {
    for (std::uint32_t k = 0; k < each; ++k) map.push_back(task == kNone ? kNone : task * each + k);
  }
  for (std::uint32_t k = 0; k < shared; ++k)
    map.push_back(static_cast<std::int64_t>(tasks_before * each + k));
  return map;
}

std::uint64_t WeightAt(const LayerShape& layer, std::uint64_t group, std::uint64_t input,
                       std::uint64_t output) {
  return layer.weights + (layer.shared_input ? input * layer.Width() + group * layer.outputs + output
                                             : (group * layer.inputs + input) * layer.outputs + output);
}

// Each feature's field, by its name.
std::map<std::string, const EmbeddedField*> FieldsByFeature(const ModelSpec& spec) {
  std::map<std::string, const EmbeddedField*> fields;
  for (const EmbeddedField& field : spec.fields) fields[spec.data.features[field.feature].name] = &field;
  return fields;
}

class Carrier {
 public:
  explicit Carrier(std::uint64_t count) : sources_(count, kNone) {}

  void Layer(const LayerShape& now, const LayerShape& before, const Map& groups, const Map& inputs,
             const Map& outputs) {
    for (std::size_t g = 0; g < groups.size(); ++g) {
      for (std::size_t o = 0; o < outputs.size(); ++o) {
        if (groups[g] == kNone || outputs[o] == kNone) continue;
        const auto group = static_cast<std::uint64_t>(groups[g]),
                   output = static_cast<std::uint64_t>(outputs[o]);
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          if (inputs[i] == kNone) continue;
          sources_[WeightAt(now, g, i, o)] = static_cast<std::int64_t>(
              WeightAt(before, group, static_cast<std::uint64_t>(inputs[i]), output));
        }
        sources_[now.biases + g * now.outputs + o] =
            static_cast<std::int64_t>(before.biases + group * before.outputs + output);
      }
    }
  }

  // Layers above each other; `inputs` is what the first reads, and then what reads the last.
  void Stack(const std::vector<LayerShape>& now, const std::vector<LayerShape>& before, const Map& groups,
             Map* inputs) {
    for (std::size_t l = 0; l < now.size(); ++l) {
      Layer(now[l], before[l], groups, *inputs, Identity(now[l].outputs));
      *inputs = Identity(now[l].outputs);
    }
  }

  // `count` weights from `now` on are those from `before` on.
  void Block(std::uint64_t now, std::uint64_t before, std::uint64_t count) {
    std::iota(sources_.begin() + static_cast<std::ptrdiff_t>(now),
              sources_.begin() + static_cast<std::ptrdiff_t>(now + count), static_cast<std::int64_t>(before));
  }

  std::vector<std::int64_t>& sources() { return sources_; }

 private:
  std::vector<std::int64_t> sources_;
};

void CarrySequence(const SequenceField& sequence, const SequenceShape& now, const SequenceShape& before,
                   Carrier* carrier) {
  for (std::size_t l = 0; l < now.layers.size(); ++l) {
    const LayerShape& layer = now.layers[l];
    carrier->Layer(layer, before.layers[l], Identity(layer.groups), Identity(layer.inputs),
                   Identity(layer.outputs));
  }
  if (sequence.config.encoder == SequenceEncoderKind::kGru)
    carrier->Block(now.recurrent, before.recurrent, 3 * std::uint64_t{sequence.width} * sequence.width);
}

void CarryLevel(const ExpertLevelShape& now, const ExpertLevelShape& before, const Map& tasks,
                const Map& inputs, Carrier* carrier) {
  const Map experts = OfTasks(tasks, before.tasks, now.task_experts, now.shared_experts);
  for (std::size_t k = 0; k < now.stacks.size(); ++k) {
    Map hidden = inputs;
    if (now.first) {
      carrier->Stack(now.stacks[k], before.stacks[k], experts, &hidden);
      continue;
    }
    const bool shared = k == tasks.size();
    if (!shared && tasks[k] == kNone) continue;
    const std::vector<LayerShape>& source =
        shared ? before.stacks.back() : before.stacks[static_cast<std::size_t>(tasks[k])];
    carrier->Stack(now.stacks[k], source, Identity(now.stacks[k][0].groups), &hidden);
  }
  carrier->Layer(now.task_gates, before.task_gates, tasks, inputs, Identity(now.task_gates.outputs));
  if (now.shared_gate) carrier->Layer(*now.shared_gate, *before.shared_gate, Identity(1), inputs, experts);
}

}  // namespace

Status CheckMatchingLayers(const ModelSpec& now_spec, const ModelSpec& before_spec) {
  const ModelConfig &now = now_spec.config, &before = before_spec.config;
  const auto differ = [](const std::string& option, const std::string& a, const std::string& b) -> Status {
    return {ErrorCode::kInvalidInput, option + " is " + a + ", but " + b +
                                          " in the model to start from: its layers do not fit; give the same "
                                          "value, or train without it"};
  };
  if (now.kind != before.kind) return differ("model.kind", now.kind, before.kind);
  const auto number = [](std::uint32_t value) { return std::to_string(value); };
  if (now.embedding_dim != before.embedding_dim)
    return differ("model.embedding_dim", number(now.embedding_dim), number(before.embedding_dim));
  const auto fields_before = FieldsByFeature(before_spec);
  for (const auto& [name, field] : FieldsByFeature(now_spec)) {
    const auto found = fields_before.find(name);
    if (found != fields_before.end() && found->second->dim != field->dim)
      return differ("feature." + name + ".embedding_dim", number(field->dim), number(found->second->dim));
  }
  const bool ple = now.kind == "ple";
  if ((ple || now.kind == "mmoe") && now.experts != before.experts)
    return differ("model.experts", number(now.experts), number(before.experts));
  if (ple && now.task_experts != before.task_experts)
    return differ("model.task_experts", number(now.task_experts), number(before.task_experts));
  if (ple && now.expert_levels != before.expert_levels)
    return differ("model.expert_levels", number(now.expert_levels), number(before.expert_levels));
  const auto widths = [&](const std::vector<std::uint32_t>& list) {
    std::string text;
    for (const std::uint32_t width : list) text += (text.empty() ? "[" : ", ") + number(width);
    return text.empty() ? "[]" : text + "]";
  };
  if (now.kind == "two_tower") {
    if (now.two_tower.user_layers != before.two_tower.user_layers)
      return differ("two_tower.user_layers", widths(now.two_tower.user_layers),
                    widths(before.two_tower.user_layers));
    if (now.two_tower.item_layers != before.two_tower.item_layers)
      return differ("two_tower.item_layers", widths(now.two_tower.item_layers),
                    widths(before.two_tower.item_layers));
    return {};
  }
  if (now.expert_layers != before.expert_layers)
    return differ("model.expert_layers", widths(now.expert_layers), widths(before.expert_layers));
  if (now.tower_layers != before.tower_layers)
    return differ("model.tower_layers", widths(now.tower_layers), widths(before.tower_layers));
  return {};
}

std::vector<std::int64_t> CarriedWeights(const ModelSpec& now, const ModelSpec& before) {
  const ModelLayout layout = LayoutOf(now), old = LayoutOf(before);
  const Map columns = ByName(InputColumns(now), InputColumns(before));
  const Map tasks = ByName(TasksOf(now), TasksOf(before));
  Carrier carrier(layout.dense_count);
  const Map sequences = ByName(SequencesOf(now), SequencesOf(before));
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (sequences[i] == kNone) continue;
    CarrySequence(now.sequences[i], layout.sequences[i],
                  old.sequences[static_cast<std::size_t>(sequences[i])], &carrier);
  }
  if (layout.autoencoder && old.autoencoder &&
      now.config.autoencoder.bottleneck == before.config.autoencoder.bottleneck) {
    const Map bottleneck = Identity(now.config.autoencoder.bottleneck);
    carrier.Layer(layout.autoencoder->encoder, old.autoencoder->encoder, Identity(1),
                  ByName(EncodedColumns(now), EncodedColumns(before)), bottleneck);
    carrier.Layer(layout.autoencoder->decoder, old.autoencoder->decoder, Identity(1), bottleneck,
                  ByName(DecodedColumns(now), DecodedColumns(before)));
  }
  if (now.IsTwoTower()) {
    Map user = ByName(UserColumns(now), UserColumns(before)), item = ByName(ItemColumns(now), ItemColumns(before));
    carrier.Stack(layout.user_tower, old.user_tower, Identity(1), &user);
    carrier.Stack(layout.item_tower, old.item_tower, Identity(1), &item);
    carrier.Block(layout.score_bias, old.score_bias, 1);
    return std::move(carrier.sources());
  }
  Map hidden = columns;
  carrier.Stack(layout.bottom, old.bottom, now.config.kind == "shared_bottom" ? Identity(1) : tasks, &hidden);
  for (std::size_t l = 0; l < layout.levels.size(); ++l) {
    CarryLevel(layout.levels[l], old.levels[l], tasks, hidden, &carrier);
    hidden = Identity(layout.levels[l].width);
  }
  carrier.Stack(layout.towers, old.towers, tasks, &hidden);
  for (std::size_t t = 0; t < layout.transfers.size(); ++t) {
    for (std::size_t s = 0; s < old.transfers.size(); ++s) {
      if (tasks[now.chain[t]] != static_cast<std::int64_t>(before.chain[s]) ||
          tasks[now.chain[t + 1]] != static_cast<std::int64_t>(before.chain[s + 1]))
        continue;
      carrier.Layer(layout.transfers[t].told, old.transfers[s].told, Identity(1), hidden, hidden);
      carrier.Layer(layout.transfers[t].projections, old.transfers[s].projections, Identity(3), hidden,
                    hidden);
    }
  }
  Map raw_outputs;  // of all tasks, side by side
  for (std::size_t j = 0; j < tasks.size(); ++j) {
    const std::uint32_t outputs = now.tasks[j].outputs;
    if (tasks[j] == kNone) {
      raw_outputs.insert(raw_outputs.end(), outputs, kNone);
      continue;
    }
    const auto source = static_cast<std::size_t>(tasks[j]);
    carrier.Layer(layout.outputs[j], old.outputs[source], Identity(1), hidden, Identity(outputs));
    std::int64_t first = 0;
    for (std::size_t k = 0; k < source; ++k) first += before.tasks[k].outputs;
    for (std::uint32_t k = 0; k < outputs; ++k) raw_outputs.push_back(first + k);
  }
  if (layout.linear && old.linear)
    carrier.Layer(*layout.linear, *old.linear, Identity(1), columns, raw_outputs);
  for (std::size_t j = 0; LearnsBalance(now.balance) && now.balance == before.balance && j < tasks.size();
       ++j) {
    if (tasks[j] != kNone)
      carrier.Block(layout.learned_balance + j, old.learned_balance + static_cast<std::uint64_t>(tasks[j]),
                    1);
  }
  return std::move(carrier.sources());
}

Result<std::vector<std::int64_t>> CarriedTables(const ModelSpec& now, const ModelSpec& before) {
  std::vector<std::int64_t> sources(now.tables.size(), kNone);
  std::vector<std::string> from(now.tables.size());  // whose table it is
  const auto fields_before = FieldsByFeature(before);
  for (const auto& [name, field] : FieldsByFeature(now)) {
    const auto found = fields_before.find(name);
    if (found == fields_before.end()) continue;
    const auto source = static_cast<std::int64_t>(found->second->table);
    if (sources[field->table] == kNone) {
      sources[field->table] = source;
      from[field->table] = name;
    } else if (sources[field->table] != source) {
      return InvalidInput(
          "features " + from[field->table] + " and " + name +
          " have one table of embeddings, but two in the model to start from, whose rows cannot "
          "become one; give [feature." +
          name + "] and [feature." + from[field->table] +
          "] an embedding_dim, l2 and optimizer that keep them apart, or train without it");
    }
  }
  if (sources[0] == kNone) sources[0] = 0;
  return sources;
}

}  // namespace cohort
