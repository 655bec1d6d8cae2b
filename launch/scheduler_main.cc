// cohort-scheduler: the coordinator on ZeroMQ and the real clock, and everything of a run that is files: the run's
// folder, the manifest of the model, scores, and the verdict.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "common/atomic_file.h"
#include "common/log.h"
#include "common/node_loop.h"
#include "common/process.h"
#include "common/zmq_transport.h"
#include "launch/checkpoints.h"
#include "launch/cluster_file.h"
#include "launch/greeting.h"
#include "launch/journal_file.h"
#include "launch/mpi_bootstrap.h"
#include "launch/request_desk.h"
#include "launch/role.h"
#include "launch/run_folder.h"
#include "launch/run_plan.h"
#include "launch/run_recorder.h"
#include "scheduler/coordinator.h"

namespace cohort {
namespace {

constexpr Duration kProcessCheck = std::chrono::milliseconds(200);
constexpr Duration kSignOfLife = std::chrono::seconds(1);

std::uint64_t NewRunId() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) ^ device();
}

// One run, from the exchange of addresses to its verdict.
class SchedulerJob {
 public:
  SchedulerJob(RoleArguments arguments, JobRequest request, RunConfig config, std::string folder)
      : arguments_(std::move(arguments)),
        request_(std::move(request)),
        config_(std::move(config)),
        folder_(std::move(folder)) {}

  Status Run() {
    Status status = Write(kResultFile, ToJson(KilledStatus(), RunResult{}));
    if (status.ok()) status = Lead();
    if (!status.ok() && !written_) WriteResult(status);
    return status;
  }

 private:
  Status Write(const char* file, const std::string& text) const {
    return WriteFileAtomically(folder_ + "/" + file, text);
  }

  Status Lead() {
    ZmqTransport::Options listen;
    std::optional<JournalReader> former;
    if (arguments_.take_over != 0) {
      COHORT_ASSIGN_OR_RETURN(former, JournalReader::Open(journal_path_));
      start_ = former->header();
      listen.listen_host = start_.endpoint;
    } else {
      COHORT_ASSIGN_OR_RETURN(listen.listen_host,
                              ListenAddress(AllRanksAreLocal(), config_.cluster.interface));
    }
    COHORT_ASSIGN_OR_RETURN(const auto key, KeyFor(listen.listen_host, config_.cluster, arguments_.key));
    ZmqContext context(1, key);
    COHORT_ASSIGN_OR_RETURN(const auto transport, ZmqTransport::Create(context, kSchedulerNode, listen));
    transport_ = transport.get();
    if (!former) COHORT_RETURN_IF_ERROR(Meet(transport->endpoint()));
    // mpirun's counts win over the file's.
    config_.cluster.servers = start_.servers;
    config_.cluster.workers = start_.workers;
    if (!former) COHORT_RETURN_IF_ERROR(Write(kRunFile, ToToml(config_)));

    // From here on the others wait: whatever is wrong now, they are told.
    Status problem;
    RunPlan plan;
    if (auto prepared = Prepare()) {
      plan = std::move(*prepared);
    } else {
      problem = prepared.error();
      plan.run_id = start_.run_id;
      plan.shards = config_.cluster.servers * config_.cluster.shards_per_server;
      plan.workers = config_.cluster.workers;
    }
    if (arguments_.supervised) plan.recoveries = config_.cluster.recoveries;
    if (former) plan.term = arguments_.take_over;
    cluster_.run_id = start_.run_id;
    cluster_.scheduler_endpoint = transport->endpoint();
    cluster_.scheduler_host = host_;
    cluster_.scheduler_pid = static_cast<std::uint64_t>(getpid());
    cluster_.scheduler_term = plan.term;
    Coordinator coordinator(std::move(plan), recorder_ ? &*recorder_ : nullptr,
                            recorder_ ? &*recorder_ : nullptr);
    NodeLoop loop(&coordinator, transport.get());
    coordinator_ = &coordinator;
    coordinator.Start(loop.Now());
    if (problem.ok() && former) problem = TakeOver(*former, loop);
    if (problem.ok() && !former) BeginJournal();
    recoverable_ = former && !problem.ok();
    desk_.emplace(folder_, arguments_.supervised, former.has_value(), &coordinator);
    loop.Run([&] { return Watch(loop, problem); });
    return Conclude(loop);
  }

  // Who takes part.
  Status Meet(const std::string& endpoint) {
    BootstrapOffer offer;
    offer.program = Program::kScheduler;
    offer.endpoint = endpoint;
    offer.run_id = NewRunId();
    offer.limit = ClientOptions(config_, 0).startup;
    COHORT_ASSIGN_OR_RETURN(const Bootstrap bootstrap, ExchangeAddresses(offer));
    start_.run_id = offer.run_id;
    start_.endpoint = endpoint;
    start_.servers = bootstrap.servers;
    start_.workers = bootstrap.workers;
    start_.restarts = arguments_.restarts;
    start_.acknowledged = arguments_.acknowledged;
    start_.checkpoint = arguments_.resume;
    return {};
  }

  void BeginJournal() {
    if (!arguments_.supervised || config_.cluster.recoveries == 0) return;
    auto journal = JournalFile::Create(journal_path_, start_);
    if (!journal) return LoseJournal(journal.error());
    journal_ = std::move(*journal);
    coordinator_->KeepJournal(journal_.get());
  }

  // The run goes on without.
  void LoseJournal(const Status& why) {
    coordinator_->KeepJournal(nullptr);
    recorder_->OnWarning(why.text() + "; should the scheduler die, the run goes back to its last checkpoint");
    journal_.reset();
  }

  // Comes to where the dead scheduler was.
  Status TakeOver(JournalReader& former, NodeLoop& loop) {
    JournalEntry entry;
    for (;;) {
      COHORT_ASSIGN_OR_RETURN(const bool more, former.Next(&entry));
      if (!more) break;
      coordinator_->Replay(std::move(entry));
    }
    COHORT_RETURN_IF_ERROR(recorder_->EndReplay());
    COHORT_ASSIGN_OR_RETURN(journal_, JournalFile::Reopen(journal_path_, former.place()));
    coordinator_->KeepJournal(journal_.get());
    coordinator_->TakeOver(loop.Now());
    return {};
  }

  Result<RunPlan> Prepare() {
    const bool anew = arguments_.take_over == 0;
    // Again, with the counts as they are: what fits together depends on them.
    COHORT_ASSIGN_OR_RETURN(config_, ParseRunConfig(ToToml(config_), arguments_.config, ""));
    COHORT_ASSIGN_OR_RETURN(inputs_, ReadRunInputs(config_, request_));
    if (request_.job == Job::kTrain) {
      request_.snapshot = folder_ + "/" + kModelFolder;
      std::error_code error;
      std::filesystem::create_directory(request_.snapshot, error);
      if (error) return Error(ErrorCode::kIo, request_.snapshot + " cannot be made: " + error.message());
    }
    COHORT_ASSIGN_OR_RETURN(RunPlan plan, MakePlan(inputs_, request_, start_.run_id));
    recorder_.emplace(inputs_, request_.job, folder_);
    if (!anew) recorder_->BeginReplay();
    if (request_.job == Job::kTrain && plan.checkpoint_every > 0) {
      plan.checkpoint_path = folder_ + "/" + kCheckpointsFolder;
      std::error_code error;
      std::filesystem::create_directory(plan.checkpoint_path, error);
      if (error) return Error(ErrorCode::kIo, plan.checkpoint_path + " cannot be made: " + error.message());
    }
    if (!start_.checkpoint.empty()) COHORT_RETURN_IF_ERROR(Resume(&plan));
    if (!plan.checkpoint_path.empty() && anew)
      RemoveCheckpointsAfter(plan.checkpoint_path, plan.resume ? plan.resume->number : 0);
    RunResult& result = recorder_->result();
    result.restarts = std::max(result.restarts, start_.restarts);
    const std::uint64_t kept = plan.resume ? plan.resume->acknowledged : 0;
    result.pushes_rolled_back += std::max(start_.acknowledged, kept) - kept;
    if (!anew) result.takeovers += arguments_.take_over - 1;
    for (const std::string& warning : WarningsOf(config_)) recorder_->OnWarning(warning);
    for (const std::string& warning : WarningsOf(inputs_.spec)) recorder_->OnWarning(warning);
    if (!inputs_.data.has_group && config_.evaluation.top != EvaluationConfig().top) {
      recorder_->OnWarning("evaluation.top changes nothing: the dataset has no groups ([group] in the schema)");
    }
    recorder_->result().model_hash = inputs_.model_hash;
    recorder_->result().model_rows = inputs_.model_rows;
    COHORT_RETURN_IF_ERROR(recorder_->Open());
    return plan;
  }

  // The run begins, or began, from a checkpoint. That one may have been removed since.
  Status Resume(RunPlan* plan) {
    const std::string& folder = start_.checkpoint;
    if (arguments_.take_over == 0) {
      COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(folder));
      COHORT_ASSIGN_OR_RETURN(const RunProgress progress, ReadProgress(folder));
      COHORT_RETURN_IF_ERROR(CheckResumable(inputs_, manifest, progress.position, *plan).Within(folder));
      start_.progress = ToJson(progress);
    }
    COHORT_ASSIGN_OR_RETURN(const RunProgress progress, RunProgressFromJson(start_.progress, folder));
    plan->resume = progress.position;
    plan->model_path = folder;
    return recorder_->Resume(progress, plan->steps[progress.position.step].epoch);
  }

  // Between messages: what does not come as a message. True when the run is over.
  bool Watch(NodeLoop& loop, const Status& problem) {
    const TimePoint now = loop.Now();
    Outbox out;
    if (!coordinator_->decided()) {
      if (!problem.ok()) {
        coordinator_->Abort(problem, now, out);
      } else if (StopSignal() != 0) {
        coordinator_->Abort({ErrorCode::kUnavailable,
                             "ended by " + SignalName(StopSignal()) + " in " + coordinator_->WaitingFor()},
                            now, out);
      } else if (recorder_ && !recorder_->failure().ok()) {
        coordinator_->Abort(recorder_->failure(), now, out);
      }
    }
    if (now >= next_check_) {
      next_check_ = now + kProcessCheck;
      for (const Member& member : coordinator_->membership().all()) {
        if (member.registered() && member.registration.host == host_ &&
            !ProcessLives(member.registration.pid)) {
          coordinator_->OnProcessDeath(member.node, now, out);
        }
      }
    }
    desk_->Follow(now, out);
    loop.Flush(out);
    WriteCluster();
    if (journal_ && !journal_->failure().ok()) LoseJournal(Status(journal_->failure()));
    // A failure is on the disk at once: after a SIGTERM, mpirun leaves one second.
    if (coordinator_->decided() && !coordinator_->verdict().ok() && !written_) {
      CloseResult(loop);
      WriteResult(coordinator_->verdict());
    }
    return coordinator_->finished();
  }

  // Once all have registered, and whenever somebody comes or goes.
  void WriteCluster() {
    const Membership& members = coordinator_->membership();
    if (coordinator_->decided() || members.changes() == cluster_changes_) return;
    if (coordinator_->kernels().empty()) return;  // not everyone has been here yet
    cluster_changes_ = members.changes();
    cluster_.members.clear();
    for (const Member& member : members.all()) {
      if (member.left()) continue;
      cluster_.members.push_back({member.node, member.registration.server, !member.registered(),
                                  member.incarnation, member.registration.host,
                                  member.registered() ? member.registration.pid : 0});
    }
    if (Status status = Write(kClusterFile, ToJson(cluster_)); !status.ok()) LogError(status.text());
  }

  void CloseResult(NodeLoop& loop) {
    if (!recorder_) return;
    RunResult& result = recorder_->result();
    const MetricsSample last = coordinator_->Sample(loop.Now());
    recorder_->OnSample(last);
    result.seconds = last.seconds;
    result.kernels = coordinator_->kernels();
    if (config_.model.compute == FloatType::kBfloat16 && !result.kernels.empty() && result.kernels != "avx512_bf16")
      recorder_->OnWarning("model.compute = \"bfloat16\", but not every host has AVX512-BF16: computed in float32");
    AddCounters(last, &result);
    const ProcessUsage usage = ReadProcessUsage();
    result.peak_memory_bytes["scheduler"] = usage.peak_memory_bytes;
    result.cpu_seconds["scheduler"] = usage.cpu_seconds;
    result.traffic_bytes += loop.counters().bytes_sent;
    result.counts["refused_frames"] += loop.counters().bad_frames;
    result.counts["refused_peers"] += transport_->refused_peers();
    result.recoverable = recoverable_ || coordinator_->recoverable();
    result.counts["ignored_messages"] = coordinator_->ignored_messages();
  }

  void WriteResult(const Status& verdict) {
    written_ = true;
    RunResult empty;
    empty.recoverable =
        arguments_.take_over != 0;  // without what it needs to take over; the run has its checkpoints
    const RunResult& result = recorder_ ? recorder_->result() : empty;
    Status status = Write(kResultFile, ToJson(verdict, result));
    if (status.ok() && !result.splits.empty())
      status = Write(kEvaluationFile, EvaluationToJson(result.splits));
    if (!status.ok()) LogError(status.text());
  }

  // The run is over: what is left to do without the others.
  Status Conclude(NodeLoop& loop) {
    if (journal_) std::remove(journal_path_.c_str());
    Status verdict = coordinator_->verdict();
    if (verdict.ok() && recorder_) verdict = recorder_->failure();
    if (verdict.ok() && request_.job == Job::kScore) verdict = WriteScores();
    if (!written_) CloseResult(loop);
    if (verdict.ok() && config_.strict) verdict = CheckStrict(recorder_->result());
    if (!written_) WriteResult(verdict);
    return verdict;
  }

  Status WriteScores() {
    COHORT_ASSIGN_OR_RETURN(const auto dataset, DatasetReader::Open(config_.data));
    COHORT_ASSIGN_OR_RETURN(const auto writer,
                            ScoreWriter::Create(arguments_.scores, TaskInfosOf(inputs_.spec), inputs_.data.has_id));
    TimePoint next_sign = std::chrono::steady_clock::now();
    const auto go_on = [&](std::uint64_t) -> Status {
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
      const TimePoint now = std::chrono::steady_clock::now();
      if (now < next_sign) return {};
      next_sign = now + kSignOfLife;
      recorder_->OnSample(coordinator_->Sample(now));  // the supervisor sees that there is progress
      return recorder_->failure();
    };
    COHORT_RETURN_IF_ERROR(
        MergeScores(*dataset, recorder_->spilled(), inputs_.spec.prediction_columns, *writer, go_on));
    return writer->Finish();
  }

  static Status CheckStrict(const RunResult& result) {
    for (const char* count : {"defaulted_rows", "refused_frames", "nan_gradients", "clipped_weights",
                              "clipped_values", "not_admitted", "evicted"}) {
      const auto found = result.counts.find(count);
      if (found == result.counts.end() || found->second == 0) continue;
      return {ErrorCode::kCorrupt,
              "strict = true, and counts." + std::string(count) + " is " + std::to_string(found->second)};
    }
    return {};
  }

  const RoleArguments arguments_;
  JobRequest request_;
  RunConfig config_;
  const std::string folder_;
  const std::string host_ = HostName();
  RunInputs inputs_;
  std::optional<RunRecorder> recorder_;
  JournalHeader start_;
  const std::string journal_path_ = folder_ + "/" + kJournalFile;
  std::unique_ptr<JournalFile> journal_;
  Coordinator* coordinator_ = nullptr;
  const ZmqTransport* transport_ = nullptr;
  TimePoint next_check_{};
  ClusterFile cluster_;
  std::uint64_t cluster_changes_ = 0;  // when it was written
  std::optional<RequestDesk> desk_;
  bool written_ = false;
  bool recoverable_ = false;  // it could not take over
};

Status Run(RoleArguments arguments) {
  JobRequest request;
  request.job = *JobFromName(arguments.job);
  COHORT_ASSIGN_OR_RETURN(request.split, SplitFromName(arguments.split));
  if (request.job != Job::kTrain && arguments.model.empty())
    return {ErrorCode::kInvalidInput, "--model is missing"};
  if (request.job == Job::kScore && arguments.scores.empty())
    return {ErrorCode::kInvalidInput, "--scores is missing"};
  request.model = arguments.model;
  COHORT_ASSIGN_OR_RETURN(RunConfig config, LoadRunConfig(arguments.config, arguments.overrides));
  std::string folder = arguments.out;
  std::optional<RunFolder> held;
  if (!arguments.supervised) {
    COHORT_ASSIGN_OR_RETURN(RunFolder made,
                            RunFolder::Create(arguments.out, arguments.overwrite,
                                              {arguments.config, config.data, arguments.model}));
    folder = made.path();
    held = std::move(made);
  }
  return SchedulerJob(std::move(arguments), std::move(request), std::move(config), folder).Run();
}

}  // namespace
}  // namespace cohort

int main(int argc, char** argv) {
  if (const auto greeted = cohort::Greet(cohort::Program::kScheduler, argc, argv)) return *greeted;
  int exit_code = 0;
  auto arguments = cohort::ParseRoleArguments("cohort-scheduler", argc, argv, &exit_code);
  if (!arguments) return exit_code;
  cohort::BeginRole("scheduler");
  const cohort::Status status = cohort::Run(std::move(*arguments));
  if (!status.ok()) cohort::LogError(status.text());
  return status.exit_code();
}
