// EvaluationSums: what predictions and labels of a split come to, in bounded memory and mergeable: each worker sums up
// the rows of its leases, the scheduler merges the workers' sums, and scheduler/evaluation.h turns them into metrics. No
// process ever holds the predictions of a split. The merged sums are the same, bit for bit, however rows were divided.
#ifndef COHORT_COMMON_EVALUATION_SUMS_H_
#define COHORT_COMMON_EVALUATION_SUMS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/buffer.h"
#include "common/dataset.h"
#include "common/fixed_sum.h"
#include "common/group_ranking.h"
#include "common/score_sketch.h"
#include "common/status.h"

namespace cohort {

// Probabilities are clipped to [floor, 1 - floor] in a log-loss.
inline constexpr double kProbabilityFloor = 1e-7;
// Cells of all sketches of an evaluation, 80 bytes each, divided among them; and of one of them at the most.
inline constexpr std::size_t kSketchCells = std::size_t{1} << 20, kMostCellsOfASketch = std::size_t{1} << 18;

// What a label y >= 0 tells against a mean m > 0: 2 (y log(y / m) - (y - m)), 0 at y = m. A mean below the floor counts as that.
double PoissonDeviance(double label, double mean);
inline constexpr double kMeanFloor = 1e-7;

// Of the labelled rows of one task. Sums are over weights, and of real values in the unit of the task's sketch.
struct TaskSums {
  std::uint64_t rows = 0;
  std::uint64_t bad_predictions =
      0;                         // values that are not finite; their rows count in `rows` and nowhere else
  std::uint64_t bad_labels = 0;  // infinite, or of no class or period; likewise
  FixedSum weight;
  FixedSum loss;           // classes, hazard: -log p(label); real: squared error / scale^2
  FixedSum absolute;       // real: |error| / scale
  FixedSum label_squared;  // real: ((label - origin) / scale)^2
  FixedSum deviance;       // count: PoissonDeviance
  // By class, at a threshold of 0.5 (binary: of class 1 only) or of the most likely class: right ones, predicted,
  // labelled. `right` is over all classes.
  FixedSum right;
  // hazard, by period: the weight with the event, and what the predictions expect of those at risk in it.
  std::vector<FixedSum> hit, predicted, actual;
  // hazard, by period: the weight at risk in it; and of the squared error of the last prediction: by the period of the
  // event, then of those seen to the end without it.
  std::vector<FixedSum> at_risk, squared;
  // binary, regression, value, count: one of (prediction, label); multiclass: of (probability of the class, is it the class) by
  // class, then of (largest probability, is it right); hazard: of (P(event by the last period), label).
  std::vector<ScoreSketch> sketches;
};

// One thread at a time.
class EvaluationSums {
 public:
  // `tasks` in the order of the label columns; task j's predictions follow those of task j - 1. `top`: the k of the
  // metrics of groups.
  explicit EvaluationSums(std::vector<TaskInfo> tasks, std::vector<std::uint32_t> top = {});

  // Rows of a split from `first_row` on. predictions: rows x (sum of PredictionColumns), labels: rows x tasks (NaN:
  // missing), weights: rows, or empty for 1 each; groups: rows, or empty (dataset.h). REQUIRES: the sizes fit.
  void Add(std::uint64_t first_row, std::span<const float> predictions, std::span<const float> labels,
           std::span<const float> weights, std::span<const std::uint64_t> groups, std::size_t rows);
  // No more rows. What follows REQUIRES it.
  void Finish();
  // REQUIRES: of the same tasks and k.
  void Merge(const EvaluationSums& other);

  const std::vector<TaskInfo>& tasks() const { return tasks_; }
  const TaskSums& sums(std::size_t task) const { return sums_[task]; }
  std::uint64_t rows() const { return rows_; }
  bool grouped() const { return grouped_ != 0; }  // rows came with groups
  const GroupRanking& groups() const { return groups_; }
  // The place of a binary task among the tasks of groups().
  std::size_t GroupTask(std::size_t task) const { return group_task_[task]; }

  Buffer ToBytes() const;
  // Replaces everything. kCorrupt: not the sums of these tasks and k.
  Status FromBytes(std::span<const std::byte> bytes);

 private:
  void AddClasses(std::size_t task, std::span<const float> p, float label, float weight);
  void AddReal(std::size_t task, float prediction, float label, float weight);
  void AddHazard(std::size_t task, std::span<const float> p, float label, float weight);

  std::vector<TaskInfo> tasks_;
  std::size_t columns_ = 0;
  std::vector<TaskSums> sums_;
  std::vector<std::size_t> group_task_;
  GroupRanking groups_;
  std::uint64_t rows_ = 0;
  std::uint64_t next_row_ = 0;
  std::uint8_t grouped_ = 0;
};

}  // namespace cohort

#endif  // COHORT_COMMON_EVALUATION_SUMS_H_
