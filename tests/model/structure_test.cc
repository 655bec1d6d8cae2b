// The raw outputs of every structure against its equations, written out row by row and expert by expert.
#include "worker/model/structure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/model/model_fixture.h"

namespace cohort::structure_test {
namespace {

using Vector = std::vector<double>;

// Group `g` of a layer, reading `x`.
Vector Layer(const LayerShape& layer, std::uint32_t g, const Vector& x, const Vector& dense) {
  EXPECT_EQ(x.size(), layer.inputs);
  Vector y(layer.outputs);
  for (std::uint32_t o = 0; o < layer.outputs; ++o) {
    y[o] = dense[layer.biases + g * layer.outputs + o];
    for (std::uint32_t i = 0; i < layer.inputs; ++i) {
      const std::uint64_t weight = layer.shared_input
                                       ? i * layer.Width() + g * layer.outputs + o
                                       : (std::uint64_t{g} * layer.inputs + i) * layer.outputs + o;
      y[o] += x[i] * dense[layer.weights + weight];
    }
    if (layer.relu) y[o] = std::max(y[o], 0.0);
  }
  return y;
}

Vector Stack(const std::vector<LayerShape>& layers, std::uint32_t g, Vector x, const Vector& dense) {
  for (const LayerShape& layer : layers) x = Layer(layer, g, x, dense);
  return x;
}

Vector Mixture(const Vector& logits, const std::vector<Vector>& experts) {
  EXPECT_EQ(logits.size(), experts.size());
  double sum = 0;
  for (const double z : logits) sum += std::exp(z);
  Vector h(experts[0].size(), 0.0);
  for (std::size_t e = 0; e < experts.size(); ++e) {
    for (std::size_t d = 0; d < h.size(); ++d) h[d] += std::exp(logits[e]) / sum * experts[e][d];
  }
  return h;
}

// What each task's tower reads.
std::vector<Vector> Hidden(const ModelSpec& spec, const ModelLayout& layout, const Vector& x,
                           const Vector& dense) {
  const std::size_t tasks = spec.tasks.size();
  if (layout.levels.empty()) {
    std::vector<Vector> hidden;
    for (std::uint32_t k = 0; k < tasks; ++k)
      hidden.push_back(Stack(layout.bottom, spec.config.kind == "shared_bottom" ? 0 : k, x, dense));
    return hidden;
  }
  std::vector<Vector> h(tasks + 1, x);  // what each block reads; the shared one last
  for (const ExpertLevelShape& level : layout.levels) {
    std::vector<std::vector<Vector>> experts(tasks + 1);
    for (std::uint32_t k = 0; k <= tasks; ++k) {
      const std::uint32_t count = k < tasks ? level.task_experts : level.shared_experts;
      for (std::uint32_t e = 0; e < count; ++e) {
        experts[k].push_back(level.first ? Stack(level.stacks[0], k * level.task_experts + e, h[k], dense)
                                         : Stack(level.stacks[k], e, h[k], dense));
      }
    }
    std::vector<Vector> next;
    for (std::uint32_t k = 0; k < tasks; ++k) {
      std::vector<Vector> mixed = experts[k];
      mixed.insert(mixed.end(), experts[tasks].begin(), experts[tasks].end());
      next.push_back(Mixture(Layer(level.task_gates, k, h[k], dense), mixed));
    }
    if (level.shared_gate) {
      std::vector<Vector> mixed;
      for (const auto& block : experts) mixed.insert(mixed.end(), block.begin(), block.end());
      next.push_back(Mixture(Layer(*level.shared_gate, 0, h[tasks], dense), mixed));
    }
    h = next;
  }
  return h;
}

// What each task's output reads: of a chain's tasks, after they have heard from the one before.
std::vector<Vector> Heard(const ModelSpec& spec, const ModelLayout& layout, std::vector<Vector> q,
                          const Vector& dense) {
  for (std::size_t t = 1; t < spec.chain.size() && !layout.transfers.empty(); ++t) {
    const TransferShape& step = layout.transfers[t - 1];
    const Vector told = Layer(step.told, 0, q[spec.chain[t - 1]], dense);
    Vector scores;
    std::vector<Vector> values;
    for (const Vector& u : {told, q[spec.chain[t]]}) {
      values.push_back(Layer(step.projections, 0, u, dense));
      const Vector query = Layer(step.projections, 1, u, dense), key = Layer(step.projections, 2, u, dense);
      double score = 0;
      for (std::size_t d = 0; d < u.size(); ++d) score += query[d] * key[d];
      scores.push_back(score / std::sqrt(static_cast<double>(u.size())));
    }
    q[spec.chain[t]] = Mixture(scores, values);
  }
  return q;
}

TEST(Structure, GivesWhatItsEquationsSay) {
  struct Case {
    std::string kind;
    std::uint32_t levels, task_experts, experts, tasks;
    bool linear = false;
  };
  constexpr std::size_t kRows = 7;
  for (const Case& c : std::vector<Case>{{"single", 1, 1, 1, 3},
                                         {"shared_bottom", 1, 1, 1, 3},
                                         {"mmoe", 1, 1, 3, 4},
                                         {"mmoe", 1, 1, 2, 1},
                                         {"ple", 1, 2, 3, 3},
                                         {"ple", 2, 2, 1, 4},
                                         {"ple", 3, 1, 2, 2},
                                         {"ple", 2, 3, 2, 1},
                                         {"esmm", 1, 1, 1, 3},
                                         {"aitm", 1, 1, 1, 4},
                                         {"mmoe", 1, 1, 3, 4, true},
                                         {"aitm", 1, 1, 1, 4, true}}) {
    SCOPED_TRACE(c.kind + " with " + std::to_string(c.levels) + " levels");
    RunConfig config = TestConfig(c.kind);
    config.model.experts = c.experts;
    config.model.task_experts = c.task_experts;
    config.model.expert_levels = c.levels;
    config.model.linear = c.linear;
    const std::vector<TaskType> types(kAllTaskTypes.begin(), kAllTaskTypes.begin() + c.tasks);
    const DatasetInfo data = TestData(TypesFor(c.kind, types));
    MakeChain(data, &config);
    const ModelSpec spec = TestSpec(config, data);
    const ModelLayout layout = LayoutOf(spec);
    ASSERT_EQ(layout.levels.size(), c.kind == "ple" ? c.levels : c.kind == "mmoe" ? 1 : 0);
    const Vector dense = RandomDense<double>(spec, 3);
    Structure<double> structure(layout, spec.chain, kRows, spec.InputWidth());
    structure.SetWeights(dense.data());
    Matrix<double> x(kRows, spec.InputWidth());
    RandomStream random(4, 5);
    for (std::size_t i = 0; i < kRows; ++i) {
      for (std::uint32_t j = 0; j < spec.InputWidth(); ++j) x.view().Row(i)[j] = random.Uniform() * 2 - 1;
    }
    structure.Forward(kRows, Const(x.view()));
    for (std::size_t i = 0; i < kRows; ++i) {
      const Vector row(x.view().Row(i), x.view().Row(i) + spec.InputWidth());
      const std::vector<Vector> hidden = Hidden(spec, layout, row, dense);
      const auto tasks = static_cast<std::uint32_t>(spec.tasks.size());
      ASSERT_EQ(hidden.size(), tasks);
      std::vector<Vector> q;
      for (std::uint32_t k = 0; k < tasks; ++k) q.push_back(Stack(layout.towers, k, hidden[k], dense));
      q = Heard(spec, layout, q, dense);
      const Vector linear = c.linear ? Layer(*layout.linear, 0, row, dense) : Vector();
      std::size_t term = 0;
      for (std::uint32_t k = 0; k < tasks; ++k) {
        Vector z = Layer(layout.outputs[k], 0, q[k], dense);
        for (double& value : z) value += c.linear ? linear[term++] : 0;
        for (std::size_t o = 0; o < z.size(); ++o)
          EXPECT_NEAR(structure.logits(k).Row(i)[o], z[o], 1e-12) << i << ' ' << k << ' ' << o;
      }
    }
  }
}

TEST(ModelSpec, LayoutOfPleCountsByHand) {
  RunConfig config = TestConfig("ple");  // experts of 7 and 5, towers of 6 and 4
  config.model.experts = 2;
  config.model.task_experts = 3;
  config.model.expert_levels = 2;
  const ModelSpec spec = TestSpec(config, TestData({TaskType::kBinary, TaskType::kValue}));
  const std::uint64_t x = spec.InputWidth();
  const std::uint64_t expert1 = x * 7 + 7 + 7 * 5 + 5, expert2 = 5 * 7 + 7 + 7 * 5 + 5;
  const std::uint64_t towers = 2 * (5 * 6 + 6 + 6 * 4 + 4), outputs = 4 + 1 + 4 * 3 + 3;
  const std::uint64_t level1 = 8 * expert1 + 2 * (x * 5 + 5) + (x * 8 + 8),
                      level2 = 8 * expert2 + 2 * (5 * 5 + 5);
  EXPECT_EQ(spec.dense_count, level1 + level2 + towers + outputs);
  // The weights of each task's own: experts and gates of both levels, towers, output.
  std::vector<std::uint64_t> own(2, 0);
  for (const OwnWeights& weights : LayoutOf(spec).own_weights)
    own[weights.task] += std::uint64_t{weights.rows} * weights.columns;
  const std::uint64_t each = 3 * (x * 7 + 7 * 5) + x * 5 + 3 * (5 * 7 + 7 * 5) + 5 * 5 + 5 * 6 + 6 * 4;
  EXPECT_EQ(own[0], each + 4);
  EXPECT_EQ(own[1], each + 12);
}

}  // namespace
}  // namespace cohort::structure_test
