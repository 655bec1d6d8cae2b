#include "launch/run_recorder.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "common/fault_point.h"
#include "common/log.h"
#include "common/model_files.h"
#include "launch/run_folder.h"
#include "scheduler/metrics_json.h"

namespace cohort {
namespace {

constexpr int kMostHangReports = 50;

Status WriteError(const std::string& path) {
  return {ErrorCode::kIo, path + ": cannot be written: " + std::strerror(errno)};
}

}  // namespace

RunRecorder::RunRecorder(const RunInputs& inputs, Job job, std::string folder)
    : inputs_(inputs), tasks_(TaskInfosOf(inputs.spec)), folder_(std::move(folder)) {
  std::vector<double> weights;
  for (const ModelTask& task : inputs.spec.tasks) {
    weights.push_back(task.config.weight);
    result_.tasks.push_back(task.info.name);
    const auto threshold = inputs.thresholds.find(task.info.name);
    thresholds_.push_back(threshold == inputs.thresholds.end() ? std::nan("") : threshold->second);
  }
  const TrainConfig& train = inputs.config.train;
  if (job == Job::kTrain && train.early_stopping > 0 && train.epochs > 0)
    stopping_.emplace(train.early_stopping, train.early_stopping_metric, std::move(weights));
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
  if (!resumed_ && !replaying_ && result_.restarts == 0) std::remove((folder_ + "/" + kHangFile).c_str());
  const std::string path = folder_ + "/" + kMetricsFile;
  metrics_.reset(std::fopen(path.c_str(), resumed_ || replaying_ ? "ab" : "wb"));
  return metrics_ ? Status() : WriteError(path);
}

Status RunRecorder::Resume(const RunProgress& progress, std::uint32_t epoch) {
  resumed_ = true;
  COHORT_RETURN_IF_ERROR(ProgressFromJson(progress.result, &result_));
  // While the checkpoint was written, its epoch may have come to its end.
  std::erase_if(result_.epochs, [epoch](const EpochResult& each) { return each.epoch >= epoch; });
  for (const EpochResult& each : result_.epochs) {
    result_.steps += each.steps;
    samples_ += each.samples;
    phase_seconds_ += each.seconds;
    if (stopping_ && !each.valid.empty()) stopping_->Add(each.epoch, each.valid);
  }
  if (stopping_ && !result_.epochs.empty()) {
    result_.early_stopping = {stopping_->metric(), stopping_->patience(), stopping_->best_epoch(),
                              stopping_->best(), stopping_->Ending()};
  }
  // A model that was written before, of the best epoch so far.
  const std::string folder = folder_ + "/" + kModelFolder;
  if (auto manifest = ReadModelManifest(folder)) {
    model_folder_ = folder;
    manifest_ = std::move(*manifest);
  }
  return {};
}

Status RunRecorder::EndReplay() {
  replaying_ = false;
  // The one before may have died with all parts there, and no manifest. Older ones are of no use.
  if (const auto newest = std::exchange(newest_checkpoint_, std::nullopt)) {
    const std::string folder =
        CheckpointFolder(folder_ + "/" + kCheckpointsFolder, newest->position.number);
    std::error_code unknown;
    if (!std::filesystem::exists(folder + "/" + kManifestFile, unknown)) {
      --result_.checkpoints;
      OnCheckpoint(newest->position, newest->parts, newest->kernels);
    }
  }
  if (!manifest_) return {};
  COHORT_RETURN_IF_ERROR(WriteModelManifest(model_folder_, *manifest_));
  for (const std::string& part : std::exchange(replaced_parts_, {})) {
    const auto is = [&](const ModelPart& each) { return each.file == part; };
    if (std::any_of(manifest_->parts.begin(), manifest_->parts.end(), is)) continue;
    std::error_code gone_already;
    std::filesystem::remove(model_folder_ + "/" + part, gone_already);
  }
  return {};
}

Status RunRecorder::OnPhase(const PhaseOrder& order) {
  order_ = order;
  if (order.kind == PhaseKind::kEvaluate) {
    sums_.emplace(tasks_, inputs_.config.evaluation.top);
    return {};
  }
  const std::string path = folder_ + "/scores-" + SplitName(order.split) + ".bin";
  spill_.reset(std::fopen(path.c_str(), "wb"));
  if (!spill_) return WriteError(path);
  spilled_.push_back({order.split, path});
  return {};
}

Status RunRecorder::OnBlock(const ScoreBlock& block) {
  if (std::fwrite(block.predictions.data(), 1, block.predictions.size(), spill_.get()) !=
      block.predictions.size()) {
    return WriteError(spilled_.back().path);
  }
  return {};
}

Status RunRecorder::OnEvaluation(const Buffer& sums) {
  EvaluationSums part(tasks_, inputs_.config.evaluation.top);
  COHORT_RETURN_IF_ERROR(part.FromBytes({sums.data(), sums.size()}));
  sums_->Merge(part);
  return {};
}

void RunRecorder::ChooseThresholds() {
  const bool none =
      std::all_of(thresholds_.begin(), thresholds_.end(), [](double t) { return std::isnan(t); });
  if (order_.split == Split::kValid && (result_.job == JobName(Job::kTrain) || none))
    thresholds_ = BestThresholds(*sums_);
}

std::map<std::string, double> RunRecorder::Thresholds() const {
  std::map<std::string, double> thresholds;
  for (std::size_t j = 0; j < tasks_.size(); ++j) {
    if (std::isfinite(thresholds_[j])) thresholds[tasks_[j].name] = thresholds_[j];
  }
  return thresholds;
}

Status RunRecorder::OnPhaseEnd() {
  if (order_.kind == PhaseKind::kScore) {
    return std::fclose(spill_.release()) == 0 ? Status() : WriteError(spilled_.back().path);
  }
  if (const std::uint64_t rows = inputs_.data.rows[static_cast<std::size_t>(order_.split)];
      sums_->rows() != rows) {
    return {ErrorCode::kInternal,
            "the workers judged " + std::to_string(sums_->rows()) + " rows of " + std::to_string(rows)};
  }
  sums_->Finish();
  ChooseThresholds();
  SplitEvaluation evaluation{SplitName(order_.split), MetricsOf(*sums_, thresholds_)};
  sums_.reset();
  // The scheduler before may have died before it wrote the newest; what was judged earlier stands in metrics.jsonl.
  if (replaying_) evaluated_.clear();
  evaluated_.push_back({order_.epoch, evaluation});
  if (order_.split == Split::kValid && !result_.epochs.empty()) {
    std::vector<TaskMetrics>& valid = result_.epochs.back().valid = evaluation.tasks;
    // Of an epoch nobody draws the curves, and every checkpoint would carry those of all before.
    for (TaskMetrics& task : valid)
      task.roc.clear(), task.calibration.clear(), task.deciles.clear(), task.lift.clear();
  }
  // A model that was written before its valid split was judged learns of its thresholds.
  if (order_.split == Split::kValid && manifest_ && !stopping_) {
    manifest_->thresholds = Thresholds();
    if (!replaying_) COHORT_RETURN_IF_ERROR(WriteModelManifest(model_folder_, *manifest_));
  }
  if (order_.split == Split::kValid && stopping_) {
    stopping_->Add(order_.epoch, evaluation.tasks);
    result_.early_stopping = {stopping_->metric(), stopping_->patience(), stopping_->best_epoch(),
                              stopping_->best(), stopping_->Ending()};
    if (std::isnan(stopping_->ValueOf(evaluation.tasks))) {
      OnWarning("train.early_stopping: after epoch " + std::to_string(order_.epoch) + " the " +
                stopping_->metric() + " of the valid split is not defined for any task, or not finite");
    }
    if (!stopping_->improved()) return {};  // the result tells of the model that is kept
  }
  // The newest of a split is what the result tells, in the order of the splits.
  std::erase_if(result_.splits, [&](const SplitEvaluation& each) { return each.split == evaluation.split; });
  result_.splits.push_back(std::move(evaluation));
  const auto place = [](const SplitEvaluation& each) {
    int split = 0;
    while (split < kSplitCount && each.split != SplitName(static_cast<Split>(split))) ++split;
    return split;
  };
  std::sort(result_.splits.begin(), result_.splits.end(),
            [&](const SplitEvaluation& a, const SplitEvaluation& b) { return place(a) < place(b); });
  return {};
}

void RunRecorder::OnSample(const MetricsSample& sample) {
  // What the run was resumed with is in the result already.
  result_.workers_replaced +=
      sample.workers_replaced - std::exchange(workers_replaced_, sample.workers_replaced);
  result_.failovers += sample.failovers - std::exchange(failovers_, sample.failovers);
  result_.moved += sample.moved - std::exchange(moved_, sample.moved);
  if (!metrics_) return;  // what is wrong was found before Open
  const std::string line = ToJsonLine(sample, result_, std::exchange(evaluated_, {})) + "\n";
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

void RunRecorder::OnSnapshot(const std::string& directory, const std::vector<SnapshotDone>& parts,
                             const std::string& kernels) {
  Status status = WriteModel(directory, parts, kernels);
  if (!status.ok() && failure_.ok()) failure_ = std::move(status);
}

ModelManifest RunRecorder::Manifest(const std::string& kernels) const {
  ModelManifest manifest;
  manifest.tables = TablesOf(inputs_.spec, inputs_.config);
  manifest.kernels = kernels;
  manifest.seed = inputs_.config.seed;
  manifest.run_config = ToToml(inputs_.config);
  manifest.dataset_info = ToJson(inputs_.data);
  return manifest;
}

void RunRecorder::OnCheckpoint(const RunPosition& position, const std::vector<CheckpointDone>& parts,
                               const std::string& kernels) {
  if (replaying_) {
    ++result_.checkpoints;
    newest_checkpoint_ = {position, parts, kernels};
    return;
  }
  const std::string path = folder_ + "/" + kCheckpointsFolder;
  ModelManifest manifest = Manifest(kernels);
  const SlotMap slots = SlotMap::Even(static_cast<std::uint32_t>(parts.size()));
  Hash128 hash;
  bool incremental = false;
  for (std::size_t shard = 0; shard < parts.size(); ++shard) {
    const CheckpointDone& part = parts[shard];
    std::bitset<kSlotGroupCount> groups;
    for (int group = 0; group < kSlotGroupCount; ++group)
      groups[static_cast<std::size_t>(group)] =
          slots.ShardOfGroup(group) == static_cast<std::uint32_t>(shard);
    manifest.parts.push_back({part.file, part.bytes, part.checksum, part.rows, std::nullopt, groups, {}});
    for (const PartLayer& layer : part.layers) {
      manifest.parts.back().layers.push_back(
          {CheckpointLayerName(static_cast<std::uint32_t>(shard), layer.number), layer.bytes,
           layer.checksum});
    }
    if (part.layers.empty()) {
      manifest.parts.back().hash = Hash128{part.hash_low, part.hash_high};
      hash += *manifest.parts.back().hash;
    } else {
      incremental = true;  // nobody knows the hash over the rows below
    }
  }
  if (!incremental) manifest.hash = hash;
  ++result_.checkpoints;
  manifest.checkpoint = ToJson(RunProgress{position, ProgressToJson(result_)});
  const std::string folder = CheckpointFolder(path, position.number);
  FaultPoint("checkpoint: before manifest", folder);
  const Status status = WriteModelManifest(folder, manifest);
  if (!status.ok()) {
    // Training goes on, and so does the checkpoint before this one.
    --result_.checkpoints;
    return OnWarning("no checkpoint " + std::to_string(position.number) + ": " + status.text());
  }
  std::uint64_t bytes = 0;
  for (const ModelPart& part : manifest.parts) bytes += part.bytes;
  OnEvent("checkpoint " + std::to_string(position.number) +
          " is written: " + std::to_string((bytes + (1u << 19)) >> 20) + " MB, " +
          (incremental ? "what has changed of " : "all ") + std::to_string(manifest.rows()) + " rows");
  FaultPoint("checkpoint: after manifest", folder);
  // The last but one may be what the next is being laid over.
  const CheckpointConfig& config = inputs_.config.checkpoint;
  RemoveOldCheckpoints(path, position.number,
                       config.full_every > 1 ? std::max(config.keep, 2u) : config.keep);
}

Status RunRecorder::WriteModel(const std::string& directory, const std::vector<SnapshotDone>& parts,
                               const std::string& kernels) {
  ModelManifest manifest = Manifest(kernels);
  Hash128 hash;
  for (const SnapshotDone& part : parts) {
    manifest.parts.push_back({part.file, part.bytes, part.checksum, part.rows, {}, {}, {}});
    hash += Hash128{part.hash_low, part.hash_high};
  }
  manifest.hash = hash;
  if (stopping_) manifest.thresholds = Thresholds();  // of this very epoch; else they are yet to come
  if (!replaying_) COHORT_RETURN_IF_ERROR(WriteModelManifest(directory, manifest));
  result_.model_hash = ToHex(hash);
  result_.model_rows = manifest.rows();
  for (const ModelPart& part : manifest_ ? manifest_->parts : std::vector<ModelPart>()) {
    std::error_code error;  // a part that stays takes room, and harms nothing
    if (replaying_) replaced_parts_.push_back(part.file);
    if (!replaying_) std::filesystem::remove(directory + "/" + part.file, error);
  }
  model_folder_ = directory;
  manifest_ = std::move(manifest);
  return {};
}

void RunRecorder::OnHang(const std::string& page) {
  if (replaying_) return;
  if (++hangs_ > kMostHangReports) return;  // one more says nothing new
  const std::string path = folder_ + "/" + kHangFile;
  std::FILE* const file = std::fopen(path.c_str(), "ab");
  const bool written = file != nullptr && std::fwrite(page.data(), 1, page.size(), file) == page.size();
  if (file == nullptr || std::fclose(file) != 0 || !written)
    return Log("warning: " + path + " cannot be written: " + std::strerror(errno));
  Log("who waits for whom: " + path);
}

void RunRecorder::OnEvent(const std::string& text) {
  if (!replaying_) Log(text);
}

void RunRecorder::OnWarning(const std::string& text) {
  if (!replaying_) Log("warning: " + text);
  result_.warnings.push_back(text);
}

}  // namespace cohort
