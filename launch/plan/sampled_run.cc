#include "launch/plan/sampled_run.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "common/gradient_tree.h"
#include "common/process.h"
#include "launch/plan/distinct_count.h"
#include "launch/plan/table_memory.h"
#include "worker/batch_reader.h"

namespace cohort {
namespace {

// What makes workers of one kind: the sizes of the sub-trees that they push.
std::vector<std::uint32_t> ShapeOf(const RunPlan& plan, std::uint32_t worker) {
  std::vector<std::uint32_t> sizes;
  if (plan.consistency != Consistency::kBsp) return sizes;
  const SliceRange own = SlicesOfWorker(plan.slices, plan.workers, worker);
  for (const std::uint16_t node : MaximalNodes(plan.slices, own.begin, own.end)) {
    const SliceRange slices = SlicesOfNode(plan.slices, node);
    sizes.push_back(slices.end - slices.begin);
  }
  return sizes;
}

// The different keys of each table in the train split, read as scoring would read it.
Status CountRows(const RunInputs& inputs, const PlanProgress& progress, SampledRun* sample) {
  COHORT_ASSIGN_OR_RETURN(std::unique_ptr<DatasetReader> dataset, DatasetReader::Open(inputs.config.data));
  COHORT_ASSIGN_OR_RETURN(Encoder encoder, Encoder::Create(inputs.spec, dataset->info()));
  const std::uint64_t rows = inputs.data.rows[static_cast<std::size_t>(Split::kTrain)];
  BatchReader reader(std::move(dataset), std::move(encoder), inputs.spec.tasks.size(), inputs.config.seed);
  ScoreLease all;
  all.split = Split::kTrain;
  all.block_count = BatchCount(rows, kBlockRows);
  reader.Start(all);
  std::vector<DistinctCount> counts(inputs.spec.tables.size());
  for (std::uint64_t read = 0; read < rows;) {
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    COHORT_ASSIGN_OR_RETURN(std::unique_ptr<Batch> batch, reader.Next(std::chrono::milliseconds(100)));
    if (!batch) continue;
    for (std::size_t table = 0; table < counts.size(); ++table) counts[table].Add(*batch->keys[table]);
    read += batch->rows;
    reader.Recycle(std::move(batch));
    progress("counting keys: row " + std::to_string(read) + " of " + std::to_string(rows));
  }
  for (DistinctCount& count : counts) {
    sample->rows.push_back(count.Count());
    sample->exact_rows = sample->exact_rows && count.exact();
  }
  return {};
}

Status SampleIndexes(const RunPlan& plan, SampledRun* sample) {
  for (const TableSpec& table : plan.tables) {
    if (table.kind == TableKind::kDense) continue;
    const double rows = sample->rows[sample->index.size()];
    COHORT_ASSIGN_OR_RETURN(const double bytes, RehearseIndex(rows, table.policy.NeedsStatistics()));
    sample->index.push_back(bytes);
  }
  return {};
}

Status SampleEvaluation(const RunInputs& inputs, const RunPlan& plan, SampledRun* sample) {
  const std::vector<EvaluationRehearsal>& evaluations = sample->first().evaluations;
  const auto rows_of = [&](const EvaluationRehearsal& each) { return RowsOf(plan, each.split); };
  const auto largest =
      std::max_element(evaluations.begin(), evaluations.end(),
                       [&](const auto& a, const auto& b) { return rows_of(a) < rows_of(b); });
  if (largest == evaluations.end() || largest->blocks.rows == 0) return {};
  const std::vector<TaskInfo> tasks = TaskInfosOf(inputs.spec);
  const std::vector<std::uint32_t>& top = inputs.config.evaluation.top;
  const auto splits = static_cast<std::uint32_t>(evaluations.size());
  sample->evaluated_rows = EvaluationShare(plan, largest->split);
  const double cells = static_cast<double>(largest->sums) / sizeof(ScoreSketch::Cell);
  const double distinct =
      std::min(1.0, cells / static_cast<double>(SketchesOf(tasks) * largest->blocks.rows));
  COHORT_ASSIGN_OR_RETURN(sample->evaluation, RehearseEvaluation(tasks, top, sample->evaluated_rows,
                                                                 plan.workers, splits, distinct));
  sample->rehearsed = sample->evaluation;
  if (largest->blocks.rows < sample->evaluated_rows) {
    COHORT_ASSIGN_OR_RETURN(sample->rehearsed, RehearseEvaluation(tasks, top, largest->blocks.rows,
                                                                  /*workers=*/1, splits, distinct));
  }
  return {};
}

}  // namespace

Result<std::vector<WorkerKind>> RehearseWorkers(const RunInputs& inputs, const RunPlan& plan,
                                                std::uint64_t sample_rows, const PlanProgress& progress) {
  std::map<std::vector<std::uint32_t>, std::vector<std::uint32_t>> shapes;
  for (std::uint32_t worker = 0; worker < plan.workers; ++worker)
    shapes[ShapeOf(plan, worker)].push_back(worker);
  std::vector<WorkerKind> kinds;
  for (auto& [shape, workers] : shapes) {
    progress("rehearsing worker " + std::to_string(workers.front()));
    WorkerKind kind;
    kind.workers = std::move(workers);
    COHORT_ASSIGN_OR_RETURN(kind.rehearsal, Rehearse(inputs, plan, kind.workers.front(), sample_rows));
    kinds.push_back(std::move(kind));
  }
  return kinds;
}

Result<SampledRun> TakeSample(const RunInputs& inputs, const RunPlan& plan, std::uint64_t sample_rows,
                              const PlanProgress& progress) {
  SampledRun sample;
  COHORT_ASSIGN_OR_RETURN(sample.kinds, RehearseWorkers(inputs, plan, sample_rows, progress));
  progress("rehearsing the evaluation");
  COHORT_RETURN_IF_ERROR(SampleEvaluation(inputs, plan, &sample));
  COHORT_RETURN_IF_ERROR(CountRows(inputs, progress, &sample));
  COHORT_RETURN_IF_ERROR(SampleIndexes(plan, &sample));
  return sample;
}

}  // namespace cohort
