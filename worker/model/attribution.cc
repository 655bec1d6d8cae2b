#include "worker/model/attribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/check.h"

namespace cohort {
namespace {

double Sigmoid(double z) { return z >= 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z)); }
double Softplus(double z) { return std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))); }
double Positive(double deviation) { return deviation > 0 ? deviation : 1.0; }

}  // namespace

std::vector<FeatureColumns> ColumnsByFeature(const ModelSpec& spec) {
  std::vector<FeatureColumns> all(spec.data.features.size() + 1);
  for (std::size_t i = 0; i < all.size(); ++i) all[i].feature = i;
  const auto add = [&](std::size_t feature, std::uint32_t first, std::uint32_t count) {
    for (std::uint32_t column = first; column < first + count; ++column)
      all[feature].columns.push_back(column);
  };
  for (std::size_t f = 0; f < spec.PooledFields(); ++f)
    add(spec.fields[f].feature, spec.fields[f].column, spec.fields[f].dim);
  std::uint32_t column = spec.PooledWidth();
  for (const SequenceField& sequence : spec.sequences) {
    add(spec.fields[sequence.field].feature, column, sequence.width);
    column += sequence.width;
  }
  add(spec.data.features.size(), column, spec.EmbeddedWidth() - column);
  column = spec.EmbeddedWidth();
  for (const NumericInput& input : spec.numerics) add(input.feature, column++, 1);
  std::erase_if(all, [](const FeatureColumns& each) { return each.columns.empty(); });
  return all;
}

Attribution::Attribution(const ModelSpec& spec)
    : spec_(spec),
      layout_(LayoutOf(spec)),
      structure_(layout_, spec.chain, kRows, spec.InputWidth()),
      losses_(kRows),
      chain_losses_(spec, kRows),
      x_(kRows, spec.InputWidth()),
      dx_(kRows, spec.InputWidth()),
      predictions_(kRows * spec.prediction_columns),
      dense_gradient_(spec.dense_count) {
  COHORT_CHECK(!spec.IsTwoTower(), "a two_tower has no structure");
}

void Attribution::SetDense(const double* dense) { structure_.SetWeights(dense); }

void Attribution::Forward(std::size_t rows) {
  structure_.Forward(rows, Const(x_.view()));
  for (std::size_t j = 0; j < spec_.tasks.size(); ++j) {
    if (chain_losses_.Owns(j)) continue;
    AddOffset(spec_.tasks[j], rows, Const(x_.view()).From(spec_.EmbeddedWidth()), structure_.logits(j));
    losses_.Predict(spec_.tasks[j], rows, Const(structure_.logits(j)),
                    predictions_.data() + spec_.tasks[j].prediction_column, spec_.prediction_columns);
  }
  chain_losses_.Predict(rows, structure_, predictions_.data(), spec_.prediction_columns);
}

void Attribution::LogitGradient(std::size_t i, std::size_t task, std::uint32_t column) {
  const TaskInfo& info = spec_.tasks[task].info;
  const double* p = predictions_.data() + i * spec_.prediction_columns + spec_.tasks[task].prediction_column;
  const double* z = structure_.logits(task).Row(i);
  double* dz = structure_.logit_gradient(task).Row(i);
  if (chain_losses_.Owns(task)) {  // esmm: P_j = product over i <= j of sigmoid(z_i)
    for (const std::uint32_t before : spec_.chain) {
      *structure_.logit_gradient(before).Row(i) = *p * Sigmoid(-*structure_.logits(before).Row(i));
      if (before == task) return;
    }
    return;
  }
  if (IsPoisson(spec_.tasks[task])) {
    *dz = std::abs(*z) > kMostLogMean ? 0 : *p;
    return;
  }
  switch (info.type) {
    case TaskType::kBinary:
      *dz = *p * Sigmoid(-*z);
      return;
    case TaskType::kRegression:
      *dz = Positive(info.deviation);
      return;
    case TaskType::kMulticlass:
      for (std::size_t k = 0; k < info.classes.size(); ++k)
        dz[k] = p[column] * ((k == column ? 1.0 : 0.0) - p[k]);
      return;
    case TaskType::kValue: {  // sigmoid(z_p) exp(E), E held within bounds: there only z_p matters
      const double s = kSigmaFloor + Softplus(z[2]), spread = Positive(info.log_deviation) * s;
      const double exponent = info.log_mean + Positive(info.log_deviation) * z[1] + spread * spread / 2;
      const bool held = std::abs(exponent) > 80;
      dz[0] = *p * Sigmoid(-z[0]);
      dz[1] = held ? 0 : *p * Positive(info.log_deviation);
      dz[2] = held ? 0 : *p * spread * Positive(info.log_deviation) * Sigmoid(z[2]);
      return;
    }
    case TaskType::kHazard:  // 1 - product over j <= k of (1 - h_j)
      for (std::uint32_t k = 0; k <= column; ++k) dz[k] = (1 - p[column]) * Sigmoid(z[k]);
      return;
    case TaskType::kCount:
      return;
  }
}

void Attribution::Backward(std::size_t rows, std::uint32_t output) {
  std::size_t task = 0;
  while (task + 1 < spec_.tasks.size() && spec_.tasks[task + 1].prediction_column <= output) ++task;
  for (std::size_t j = 0; j < spec_.tasks.size(); ++j) {
    for (std::size_t i = 0; i < rows; ++i)
      std::fill_n(structure_.logit_gradient(j).Row(i), spec_.tasks[j].outputs, 0.0);
  }
  for (std::size_t i = 0; i < rows; ++i) LogitGradient(i, task, output - spec_.tasks[task].prediction_column);
  structure_.Backward(rows, Const(x_.view()), dense_gradient_.data(), dx_.view());
  if (!spec_.tasks[task].has_offset) return;
  const std::size_t column = spec_.EmbeddedWidth() + spec_.tasks[task].offset_input;
  for (std::size_t i = 0; i < rows; ++i)
    dx_.view().Row(i)[column] += spec_.tasks[task].offset_factor * *structure_.logit_gradient(task).Row(i);
}

double Attribution::Predict(std::span<const double> x, std::uint32_t output) {
  std::copy(x.begin(), x.end(), x_.view().Row(0));
  Forward(1);
  return predictions_[output];
}

Attributed Attribution::Explain(std::span<const double> x, std::span<const double> baseline,
                                std::uint32_t output, double tolerance) {
  COHORT_CHECK(x.size() == spec_.InputWidth() && baseline.size() == x.size(),
               "%zu inputs, %zu of the baseline", x.size(), baseline.size());
  const std::size_t width = x.size();
  Attributed result;
  result.prediction = Predict(x, output);
  result.baseline = Predict(baseline, output);
  const auto place = [&](std::size_t row, double s) {
    double* point = x_.view().Row(row);
    for (std::size_t c = 0; c < width; ++c) point[c] = baseline[c] + s * (x[c] - baseline[c]);
  };
  const auto value = [&](std::size_t row) { return predictions_[row * spec_.prediction_columns + output]; };
  // A part of the way; its slopes at the middle times the step are `parts` of the same number.
  struct Interval {
    double from = 0, to = 1, at_from = 0, at_middle = 0, at_to = 0, missing = 0;
    double middle() const { return (from + to) / 2; }
  };
  std::vector<Interval> intervals(kRows);
  std::vector<double> parts;
  std::vector<std::uint32_t> changed(kRows);  // intervals whose middles are new
  std::iota(changed.begin(), changed.end(), 0u);
  for (std::size_t i = 0; i < kRows; ++i) {
    intervals[i].from = static_cast<double>(i) / kRows, intervals[i].to = static_cast<double>(i + 1) / kRows;
    place(i, intervals[i].to);
  }
  Forward(kRows);
  for (std::size_t i = 0; i < kRows; ++i) {
    intervals[i].at_from = i == 0 ? result.baseline : intervals[i - 1].at_to;
    intervals[i].at_to = i + 1 == kRows ? result.prediction : value(i);
  }
  while (true) {
    parts.resize(intervals.size() * width);
    for (std::size_t i = 0; i < kRows; ++i) place(i, intervals[changed[i]].middle());
    Forward(kRows);
    Backward(kRows, output);
    for (std::size_t i = 0; i < kRows; ++i) {
      Interval& each = intervals[changed[i]];
      each.at_middle = value(i);
      const double* slope = dx_.view().Row(i);
      double* part = &parts[changed[i] * width];
      double sum = 0;
      for (std::size_t c = 0; c < width; ++c) {
        part[c] = slope[c] * (x[c] - baseline[c]) * (each.to - each.from);
        sum += part[c];
      }
      each.missing = std::abs(sum - (each.at_to - each.at_from));
    }
    double missing = 0;
    for (const Interval& each : intervals) missing += each.missing;
    if (missing <= tolerance || intervals.size() >= kMaxIntervals) break;
    // Halves those that miss most.
    std::vector<std::uint32_t> order(intervals.size());
    std::iota(order.begin(), order.end(), 0u);
    std::nth_element(order.begin(), order.begin() + kRows / 2 - 1, order.end(),
                     [&](std::uint32_t a, std::uint32_t b) {
                       return std::pair(-intervals[a].missing, a) < std::pair(-intervals[b].missing, b);
                     });
    for (std::size_t i = 0; i < kRows / 2; ++i) {
      const Interval whole = intervals[order[i]];
      intervals[order[i]] = {whole.from, whole.middle(), whole.at_from, 0, whole.at_middle, 0};
      changed[2 * i] = order[i];
      changed[2 * i + 1] = static_cast<std::uint32_t>(intervals.size());
      intervals.push_back({whole.middle(), whole.to, whole.at_middle, 0, whole.at_to, 0});
    }
  }
  result.inputs.assign(width, 0.0);
  for (std::size_t i = 0; i < parts.size(); ++i) result.inputs[i % width] += parts[i];
  result.sum = std::accumulate(result.inputs.begin(), result.inputs.end(), 0.0);
  return result;
}

}  // namespace cohort
