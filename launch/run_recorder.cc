#include "launch/run_recorder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/log.h"
#include "launch/run_folder.h"
#include "scheduler/metrics_json.h"

namespace cohort {
namespace {

Status WriteError(const std::string& path) {
  return {ErrorCode::kIo, path + ": cannot be written: " + std::strerror(errno)};
}

}  // namespace

RunRecorder::RunRecorder(const RunInputs& inputs, Job job, std::string folder) : folder_(std::move(folder)) {
  for (const ModelTask& task : inputs.spec.tasks) {
    tasks_.push_back(task.info);
    result_.tasks.push_back(task.info.name);
  }
  const ClusterConfig& cluster = inputs.config.cluster;
  result_.job = JobName(job);
  result_.servers = cluster.servers;
  result_.shards = cluster.servers * cluster.shards_per_server;
  result_.workers = cluster.workers;
  result_.consistency = ConsistencyName(inputs.config.train.consistency);
  result_.seed = inputs.config.seed;
}

RunRecorder::~RunRecorder() = default;

Status RunRecorder::Open() {
  const std::string path = folder_ + "/" + kMetricsFile;
  metrics_.reset(std::fopen(path.c_str(), "wb"));
  return metrics_ ? Status() : WriteError(path);
}

Status RunRecorder::OnPhase(const PhaseOrder& order) {
  order_ = order;
  if (order.kind == PhaseKind::kEvaluate) {
    evaluation_.emplace(tasks_);
    return {};
  }
  const std::string path = folder_ + "/scores-" + SplitName(order.split) + ".bin";
  spill_.reset(std::fopen(path.c_str(), "wb"));
  if (!spill_) return WriteError(path);
  spilled_.push_back({order.split, path});
  return {};
}

Status RunRecorder::OnBlock(const ScoreBlock& block) {
  if (order_.kind == PhaseKind::kEvaluate) {
    if (block.label_columns != tasks_.size()) {
      return {ErrorCode::kCorrupt, "predictions came with " + std::to_string(block.label_columns) +
                                       " columns of labels; the model has " + std::to_string(tasks_.size()) +
                                       " tasks"};
    }
    evaluation_->Add(block.predictions.As<float>(), block.labels.As<float>(), block.weights.As<float>(),
                     block.rows);
    return {};
  }
  if (std::fwrite(block.predictions.data(), 1, block.predictions.size(), spill_.get()) !=
      block.predictions.size()) {
    return WriteError(spilled_.back().path);
  }
  return {};
}

Status RunRecorder::OnPhaseEnd() {
  if (order_.kind == PhaseKind::kScore) {
    return std::fclose(spill_.release()) == 0 ? Status() : WriteError(spilled_.back().path);
  }
  SplitEvaluation evaluation{SplitName(order_.split), evaluation_->Finish()};
  evaluation_.reset();
  if (order_.split == Split::kValid && !result_.epochs.empty())
    result_.epochs.back().valid = evaluation.tasks;
  // The newest of a split is what the result tells.
  std::erase_if(result_.splits, [&](const SplitEvaluation& each) { return each.split == evaluation.split; });
  result_.splits.push_back(std::move(evaluation));
  return {};
}

void RunRecorder::OnSample(const MetricsSample& sample) {
  const std::string line = ToJsonLine(sample, result_.tasks) + "\n";
  if (std::fwrite(line.data(), 1, line.size(), metrics_.get()) != line.size() ||
      std::fflush(metrics_.get()) != 0) {
    if (failure_.ok()) failure_ = WriteError(folder_ + "/" + kMetricsFile);
  }
}

void RunRecorder::OnPhaseEnd(const PhaseSummary& summary) {
  const PhaseKind counted = result_.job == JobName(Job::kTrain)      ? PhaseKind::kTrain
                            : result_.job == JobName(Job::kEvaluate) ? PhaseKind::kEvaluate
                                                                     : PhaseKind::kScore;
  if (summary.kind == counted) {
    samples_ += summary.samples;
    phase_seconds_ += summary.seconds;
    result_.samples_per_second = phase_seconds_ > 0 ? static_cast<double>(samples_) / phase_seconds_ : 0;
  }
  if (summary.kind != PhaseKind::kTrain) return;
  result_.steps += summary.steps;
  result_.epochs.push_back(
      {summary.epoch, summary.seconds, summary.samples, summary.steps, summary.loss, {}});
}

void RunRecorder::OnEvent(const std::string& text) { Log(text); }

void RunRecorder::OnWarning(const std::string& text) {
  Log("warning: " + text);
  result_.warnings.push_back(text);
}

}  // namespace cohort
