// The options of sections that carry names of the data.
#include <cmath>

#include "common/option_builders.h"

namespace cohort {
namespace {

const std::vector<std::string> kSequenceEncoders = {"mean", "sum", "attention", "gru", "convolution"};

// The options of a [task.NAME] table, by their last word.
std::vector<Option> TaskOptions(const std::string& task) {
  const auto field = [task](auto member) {
    return [ task, member ](RunConfig & c) -> auto& { return c.tasks[task].*member; };
  };
  const std::string section = "task." + task;
  std::vector<Option> o;
  o.push_back(Real(section + ".weight", 0, HUGE_VAL, false, "", "of the task's loss in the objective",
                   field(&TaskConfig::weight)));
  o.push_back(Real(section + ".l2", 0, HUGE_VAL, false, "", "lambda of the task's own weights",
                   field(&TaskConfig::l2)));
  o.push_back(
      Flag(section + ".enabled", "false leaves the task out of the model", field(&TaskConfig::enabled)));
  o.push_back(Choice(
      section + ".loss", {"default", "huber", "focal", "poisson"},
      "huber: regression; focal: binary, multiclass; poisson: value; default: squared error, cross-entropy, "
      "likelihood",
      [task](RunConfig& c, std::size_t i) { c.tasks[task].loss = static_cast<TaskLoss>(i); },
      [task](const RunConfig& c) { return static_cast<std::size_t>(c.tasks.at(task).loss); }));
  o.push_back(Real(section + ".delta", 0, HUGE_VAL, true, "deviations of the label",
                   "huber: the loss is linear beyond it", field(&TaskConfig::delta)));
  o.push_back(Real(section + ".gamma", 0, 10, false, "",
                   "focal: how much less a row counts that is predicted well", field(&TaskConfig::gamma)));
  o.push_back(Real(section + ".alpha", 0.001, 0.999, false, "",
                   "focal, binary: weight of label 1; label 0 has 1 - alpha", field(&TaskConfig::alpha)));
  o.push_back(Real(section + ".label_smoothing", 0, 0.9, false, "of the label",
                   "binary, multiclass: share spread evenly over the classes; not with focal",
                   field(&TaskConfig::label_smoothing)));
  o.push_back(Text(section + ".offset", "the name of a numeric feature", false,
                   "count, poisson: added to the logarithm of what is predicted: what is known beforehand",
                   field(&TaskConfig::offset)));
  return o;
}

// The options of a [sequence.NAME] table, by their last word.
std::vector<Option> SequenceOptions(const std::string& feature) {
  const auto field = [feature](auto member) {
    return [ feature, member ](RunConfig & c) -> auto& { return c.model.sequences[feature].*member; };
  };
  const std::string section = "sequence." + feature;
  const auto encoder = field(&SequenceConfig::encoder);
  std::vector<Option> o;
  o.push_back(Choice(
      section + ".encoder", kSequenceEncoders, "how the steps of the sequence become one input",
      [encoder](RunConfig& c, std::size_t i) { encoder(c) = static_cast<SequenceEncoderKind>(i); },
      [encoder](const RunConfig& c) {
        return static_cast<std::size_t>(encoder(const_cast<RunConfig&>(c)));
      }));
  o.push_back(Text(section + ".target", "the name of a categorical feature", false,
                   "attention: the feature that each step is compared with", field(&SequenceConfig::target)));
  o.push_back(Whole(section + ".width", 1, 4096, "units",
                    "attention: of the hidden layer; gru: of the state; convolution: channels",
                    field(&SequenceConfig::width)));
  o.push_back(
      Whole(section + ".kernel", 1, 64, "steps", "convolution: of a window", field(&SequenceConfig::kernel)));
  return o;
}

// The options of a [feature.NAME] table, and of [feature.NAME.optimizer].
std::vector<Option> FeatureOptions(const std::string& feature) {
  const std::string section = "feature." + feature;
  std::vector<Option> o;
  o.push_back(Whole(
      section + ".embedding_dim", 1, 1024, "floats",
      "width of the feature's embedding rows; not given: model.embedding_dim",
      [feature](RunConfig & c) -> auto& { return c.model.features[feature].embedding_dim; }));
  o.push_back(Real(
      section + ".l2", 0, HUGE_VAL, false, "",
      "as embedding.l2, of the feature's rows; not given: embedding.l2", [feature](RunConfig & c) -> auto& {
        return c.model.features[feature].optimizer.l2;
      }));
  AddOptimizer(
      section + ".optimizer",
      "the feature's embeddings; each option not given here is that of [optimizer.embedding]",
      [feature](RunConfig & c) -> auto& { return c.model.features[feature].optimizer; }, &o);
  return o;
}

}  // namespace

bool IsNamed(const std::string& section) {
  return section == "task" || section == "sequence" || section == "feature";
}

void AddNamed(const std::string& section, const std::string& name, RunConfig* config) {
  if (section == "task") {
    config->tasks.try_emplace(name);
  } else if (section == "sequence") {
    config->model.sequences.try_emplace(name);
  } else {
    config->model.features.try_emplace(name, UsualFeature(*config));
  }
}

std::vector<Option> NamedOptions(const std::string& section, const std::string& name) {
  if (section == "task") return TaskOptions(name);
  return section == "sequence" ? SequenceOptions(name) : FeatureOptions(name);
}

}  // namespace cohort
