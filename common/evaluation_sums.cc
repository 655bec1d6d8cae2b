#include "common/evaluation_sums.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "common/check.h"

namespace cohort {
namespace {

// Of a worker: what is computed from the sums of all multiplies numbers of rows by small ones.
constexpr std::uint64_t kMostRows = std::uint64_t{1} << 48;

bool IsReal(TaskType type) { return !PredictsProbability(type); }

std::size_t SketchesOf(const TaskInfo& task) {
  return task.type == TaskType::kMulticlass ? task.PredictionColumns() + std::size_t{1} : 1;
}

std::size_t BinaryTasks(const std::vector<TaskInfo>& tasks) {
  return static_cast<std::size_t>(std::count_if(
      tasks.begin(), tasks.end(), [](const TaskInfo& task) { return task.type == TaskType::kBinary; }));
}

// Values as the training labels are spread.
ScoreSketch::Unit UnitOf(const TaskInfo& task) {
  if (!IsReal(task.type)) return {};
  ScoreSketch::Unit unit{task.mean, 1};
  if (std::isfinite(task.deviation) && task.deviation > 0)
    unit.scale = std::ldexp(1.0, std::clamp(std::ilogb(task.deviation), -100, 100));
  if (!std::isfinite(unit.origin)) unit.origin = 0;
  return unit;
}

bool IsClass(float label, std::size_t classes) {
  return label >= 0 && label < static_cast<float>(classes) && label == std::floor(label);
}

double LossOf(double probability) {
  return -std::log(std::clamp(probability, kProbabilityFloor, 1 - kProbabilityFloor));
}

}  // namespace

double PoissonDeviance(double label, double mean) {
  mean = std::max(mean, kMeanFloor);
  return 2 * ((label > 0 ? label * std::log(label / mean) : 0.0) - (label - mean));
}

EvaluationSums::EvaluationSums(std::vector<TaskInfo> tasks, std::vector<std::uint32_t> top)
    : tasks_(std::move(tasks)), sums_(tasks_.size()), groups_(BinaryTasks(tasks_), std::move(top)) {
  std::size_t sketches = 0, binary = 0;
  for (const TaskInfo& task : tasks_) sketches += SketchesOf(task);
  const std::size_t capacity =
      std::clamp<std::size_t>(kSketchCells / std::max<std::size_t>(1, sketches), 256, kMostCellsOfASketch);
  for (std::size_t j = 0; j < tasks_.size(); ++j) {
    TaskSums& sums = sums_[j];
    sums.sketches.assign(SketchesOf(tasks_[j]), ScoreSketch(capacity, UnitOf(tasks_[j])));
    const std::size_t classes = IsReal(tasks_[j].type) ? 0 : tasks_[j].PredictionColumns();
    for (auto* by_class : {&sums.hit, &sums.predicted, &sums.actual}) by_class->resize(classes);
    if (tasks_[j].type == TaskType::kHazard) {
      sums.hit.clear();
      sums.at_risk.resize(classes);
      sums.squared.resize(classes + 1);
    }
    columns_ += tasks_[j].PredictionColumns();
    group_task_.push_back(binary);
    binary += tasks_[j].type == TaskType::kBinary;
  }
}

void EvaluationSums::Add(std::uint64_t first_row, std::span<const float> predictions,
                         std::span<const float> labels, std::span<const float> weights,
                         std::span<const std::uint64_t> groups, std::size_t rows) {
  COHORT_CHECK(predictions.size() == rows * columns_ && labels.size() == rows * tasks_.size(),
               "%zu predictions, %zu labels for %zu rows", predictions.size(), labels.size(), rows);
  COHORT_CHECK(weights.empty() || weights.size() == rows, "%zu weights for %zu rows", weights.size(), rows);
  COHORT_CHECK(groups.empty() || groups.size() == rows, "%zu groups for %zu rows", groups.size(), rows);
  if (!groups.empty()) {
    if (first_row != next_row_) groups_.Interrupt();
    grouped_ = 1;
  }
  for (std::size_t i = 0; i < rows; ++i) {
    if (!groups.empty()) groups_.NextRow(groups[i]);
    const float weight = weights.empty() ? 1.0f : weights[i];
    std::size_t column = i * columns_;
    for (std::size_t j = 0; j < tasks_.size(); ++j) {
      const TaskInfo& task = tasks_[j];
      const auto p = predictions.subspan(column, task.PredictionColumns());
      column += task.PredictionColumns();
      const float label = labels[i * tasks_.size() + j];
      if (std::isnan(label)) continue;
      TaskSums& sums = sums_[j];
      ++sums.rows;
      const auto bad = static_cast<std::uint64_t>(
          std::count_if(p.begin(), p.end(), [](float value) { return !std::isfinite(value); }));
      const bool bad_label = std::isinf(label) ||
                             (task.type == TaskType::kMulticlass && !IsClass(label, p.size())) ||
                             (task.type == TaskType::kHazard && !IsHazardLabel(label, task.periods)) ||
                             (task.type == TaskType::kCount && label < 0);
      sums.bad_predictions += bad;
      sums.bad_labels += bad_label;
      if (bad > 0 || bad_label) continue;
      if (IsReal(task.type)) {
        AddReal(j, p[0], label, weight);
      } else if (task.type == TaskType::kHazard) {
        AddHazard(j, p, label, weight);
      } else {
        AddClasses(j, p, label, weight);
        if (task.type == TaskType::kBinary && !groups.empty())
          groups_.Add(group_task_[j], {p[0], label > 0.5f ? 1.0f : 0.0f, weight});
      }
    }
  }
  rows_ += rows;
  next_row_ = first_row + rows;
}

void EvaluationSums::AddClasses(std::size_t task, std::span<const float> p, float label, float weight) {
  TaskSums& sums = sums_[task];
  const double w = weight;
  sums.weight.Add(w);
  if (tasks_[task].type == TaskType::kBinary) {
    const bool positive = label > 0.5f, guess = p[0] >= 0.5f;
    sums.loss.Add(w * LossOf(positive ? static_cast<double>(p[0]) : 1 - static_cast<double>(p[0])));
    if (positive == guess) sums.right.Add(w);
    if (positive && guess) sums.hit[0].Add(w);
    if (guess) sums.predicted[0].Add(w);
    if (positive) sums.actual[0].Add(w);
    sums.sketches[0].Add(p[0], positive ? 1.0f : 0.0f, weight);
    return;
  }
  const auto actual = static_cast<std::size_t>(label);
  const auto guess = static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin());
  sums.loss.Add(w * LossOf(p[actual]));
  if (actual == guess) sums.right.Add(w);
  if (actual == guess) sums.hit[guess].Add(w);
  sums.predicted[guess].Add(w);
  sums.actual[actual].Add(w);
  for (std::size_t c = 0; c < p.size(); ++c) sums.sketches[c].Add(p[c], c == actual ? 1.0f : 0.0f, weight);
  sums.sketches.back().Add(p[guess], actual == guess ? 1.0f : 0.0f, weight);
}

void EvaluationSums::AddReal(std::size_t task, float prediction, float label, float weight) {
  TaskSums& sums = sums_[task];
  const ScoreSketch::Unit& unit = sums.sketches[0].unit();
  const double w = weight, error = (static_cast<double>(prediction) - label) / unit.scale, y = unit.To(label);
  sums.weight.Add(w);
  sums.loss.Add(w * error * error);
  sums.absolute.Add(w * std::abs(error));
  sums.label_squared.Add(w * y * y);
  if (tasks_[task].type == TaskType::kCount) sums.deviance.Add(w * PoissonDeviance(label, prediction));
  sums.sketches[0].Add(prediction, label, weight);
}

void EvaluationSums::AddHazard(std::size_t task, std::span<const float> p, float label, float weight) {
  TaskSums& sums = sums_[task];
  const HazardLabel seen = HazardLabelOf(label);
  const double w = weight, last = p.back();
  double before = 0;  // P(event by the end of the period before)
  sums.weight.Add(w);
  for (std::uint32_t k = 0; k < seen.period; ++k) {
    const double by = p[k], hazard = before < 1 ? (by - before) / (1 - before) : 0;
    const bool event = seen.event && k + 1 == seen.period;
    sums.at_risk[k].Add(w);
    sums.predicted[k].Add(w * hazard);
    if (event) sums.actual[k].Add(w);
    if (k + 1 == seen.period) sums.loss.Add(w * LossOf(event ? by - before : 1 - by));
    before = by;
  }
  if (seen.event) {
    sums.squared[seen.period - 1].Add(w * (1 - last) * (1 - last));
  } else if (seen.period == p.size()) {
    sums.squared.back().Add(w * last * last);
  }
  sums.sketches[0].Add(p.back(), label, weight);
}

void EvaluationSums::Finish() {
  groups_.Interrupt();
  for (TaskSums& sums : sums_) {
    for (ScoreSketch& sketch : sums.sketches) sketch.Fold();
  }
}

void EvaluationSums::Merge(const EvaluationSums& other) {
  COHORT_CHECK(tasks_.size() == other.tasks_.size());
  for (std::size_t j = 0; j < sums_.size(); ++j) {
    TaskSums& sums = sums_[j];
    const TaskSums& theirs = other.sums_[j];
    sums.rows += theirs.rows;
    sums.bad_predictions += theirs.bad_predictions;
    sums.bad_labels += theirs.bad_labels;
    sums.weight.Add(theirs.weight);
    sums.loss.Add(theirs.loss);
    sums.absolute.Add(theirs.absolute);
    sums.label_squared.Add(theirs.label_squared);
    sums.deviance.Add(theirs.deviance);
    sums.right.Add(theirs.right);
    for (std::size_t c = 0; c < sums.hit.size(); ++c) {
      sums.hit[c].Add(theirs.hit[c]);
    }
    for (std::size_t c = 0; c < sums.actual.size(); ++c) {
      sums.predicted[c].Add(theirs.predicted[c]);
      sums.actual[c].Add(theirs.actual[c]);
    }
    for (std::size_t k = 0; k < sums.at_risk.size(); ++k) sums.at_risk[k].Add(theirs.at_risk[k]);
    for (std::size_t k = 0; k < sums.squared.size(); ++k) sums.squared[k].Add(theirs.squared[k]);
    for (std::size_t s = 0; s < sums.sketches.size(); ++s) sums.sketches[s].Merge(theirs.sketches[s]);
  }
  groups_.Merge(other.groups_);
  grouped_ |= other.grouped_;
  rows_ += other.rows_;
}

Buffer EvaluationSums::ToBytes() const {
  ByteWriter out;
  out.Put(rows_);
  out.Put(grouped_);
  groups_.Write(&out);
  out.Put<std::uint64_t>(sums_.size());
  for (const TaskSums& sums : sums_) {
    for (const std::uint64_t count : {sums.rows, sums.bad_predictions, sums.bad_labels}) out.Put(count);
    for (const FixedSum& sum :
         {sums.weight, sums.loss, sums.absolute, sums.label_squared, sums.deviance, sums.right})
      out.Put(sum);
    for (const auto* list : {&sums.hit, &sums.predicted, &sums.actual, &sums.at_risk, &sums.squared})
      out.PutList(*list);
    for (const ScoreSketch& sketch : sums.sketches) sketch.Write(&out);
  }
  return Buffer::Own(out.Take());
}

Status EvaluationSums::FromBytes(std::span<const std::byte> bytes) {
  const auto wrong = [] {
    return Status(ErrorCode::kCorrupt, "the sums of an evaluation are not those of this model's tasks");
  };
  ByteReader in(bytes);
  std::uint64_t tasks = 0;
  if (!in.Get(&rows_) || !in.Get(&grouped_) || grouped_ > 1 || !groups_.Read(&in) || !in.Get(&tasks) ||
      tasks != sums_.size() || rows_ > kMostRows) {
    return wrong();
  }
  for (TaskSums& sums : sums_) {
    for (std::uint64_t* count : {&sums.rows, &sums.bad_predictions, &sums.bad_labels}) in.Get(count);
    if (sums.rows > rows_) return wrong();
    for (FixedSum* sum :
         {&sums.weight, &sums.loss, &sums.absolute, &sums.label_squared, &sums.deviance, &sums.right})
      in.Get(sum);
    for (auto* list : {&sums.hit, &sums.predicted, &sums.actual, &sums.at_risk, &sums.squared}) {
      const std::size_t size = list->size();
      if (!in.GetList(list) || list->size() != size) return wrong();
    }
    for (ScoreSketch& sketch : sums.sketches) {
      if (!sketch.Read(&in, sums.rows)) return wrong();
      if (sums.bad_predictions == 0 && sums.bad_labels == 0 && sketch.rows() != sums.rows) return wrong();
    }
  }
  return in.AtEnd() ? Status() : wrong();
}

}  // namespace cohort
