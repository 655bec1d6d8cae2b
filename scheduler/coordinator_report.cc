// Coordinator: what is going on in the run, for events, samples and errors.
#include <algorithm>
#include <cstdio>
#include <limits>

#include "common/seconds.h"
#include "scheduler/coordinator.h"

namespace cohort {
namespace {

std::string Join(const std::string& list, const std::string& item) {
  return list.empty() ? item : list + ", " + item;
}

}  // namespace

bool Coordinator::Scoring() const {
  return order_.kind == PhaseKind::kEvaluate || order_.kind == PhaseKind::kScore;
}

double Coordinator::SecondsSinceStart(TimePoint now) const {
  return std::chrono::duration<double>(now - started_at_).count();
}

void Coordinator::Event(const std::string& text) {
  if (observer_ != nullptr) observer_->OnEvent(text);
}

std::string Coordinator::StepName() const {
  switch (state_) {
    case State::kRegistering:
      return "start-up";
    case State::kSnapshot:
      return "writing the model";
    case State::kStopping:
    case State::kFinished:
      return "the end";
    default:
      break;
  }
  const std::string split = SplitName(order_.split);
  const std::string what = order_.kind == PhaseKind::kTrain ? "train, epoch " + std::to_string(order_.epoch)
                           : order_.kind == PhaseKind::kEvaluate ? "evaluate " + split
                                                                 : "score " + split;
  return "phase " + std::to_string(phase_) + " (" + what + ")";
}

std::string Coordinator::WaitingFor() const {
  std::string who;
  if (state_ == State::kRegistering) {
    who = membership_.Missing();
  } else if (state_ == State::kRunning) {
    for (const std::uint32_t worker : order_.workers) {
      if (!workers_done_.contains(worker)) who = Join(who, ToString(WorkerNode(worker)));
    }
  } else {
    for (const auto& [node, order] : orders_) who = Join(who, ToString(node));
  }
  return StepName() + (who.empty() ? "" : ", waiting for " + who);
}

Clock Coordinator::LowestWorkerClock() const {
  Clock lowest = kClockInfinity;
  for (const Member& member : membership_.all()) {
    if (TakesPart(member.node) && !workers_done_.contains(member.node.index))
      lowest = std::min(lowest, member.phase == phase_ ? member.counters.clock : -1);
  }
  return lowest;
}

void Coordinator::BeginRecovery(TimePoint now) {
  const bool trains = state_ == State::kRunning && order_.kind == PhaseKind::kTrain;
  if (trains && !recovery_) recovery_ = Recovery{now, LowestWorkerClock()};
}

// The step that was in hand may have been all but done; the one after it was not.
void Coordinator::FollowRecovery(TimePoint now) {
  if (!recovery_) return;
  const bool trains = state_ == State::kRunning && order_.kind == PhaseKind::kTrain;
  if (trains && LowestWorkerClock() <= recovery_->clock + 1) return;
  if (trains) {
    char seconds[32];
    std::snprintf(seconds, sizeof(seconds), "%.3f s",
                  std::chrono::duration<double>(now - recovery_->since).count());
    Event(std::string("steps go on, ") + seconds + " after the death was noticed");
  }
  recovery_.reset();
}

void Coordinator::ReportHang(const std::string& why, TimePoint now) {
  if (observer_ == nullptr) return;
  std::string page = "## After " + Seconds(now - started_at_) + ": " + why + "\n\nIn " + WaitingFor() +
                     "; the last progress was " + Seconds(now - last_progress_) + " ago.\n\n" +
                     "| who | process | last heard | phase | clock | waits for |\n" +
                     "| --- | --- | ---: | ---: | ---: | --- |\n";
  for (const Member& member : membership_.all()) {
    const Clock clock = member.counters.clock;
    page += "| " + ToString(member.node) + " | ";
    page += member.left() ? "has left |"
            : member.registered()
                ? "pid " + std::to_string(member.registration.pid) + " on " + member.registration.host +
                      " | " + Seconds(now - member.last_heard) + " ago"
                : "missing |";
    page += " | " + std::to_string(member.phase) + " | " +
            (clock == kClockInfinity ? "the end" : std::to_string(clock)) + " | " +
            (member.waiting.empty() ? "" : "at its last heartbeat: " + member.waiting) + " |\n";
  }
  std::string open;
  for (const auto& [node, order] : orders_)
    open = Join(open, ToString(node) + " has not confirmed " + StepName());
  for (const auto& [worker, fence] : fences_) {
    for (const std::uint32_t shard : fence.shards)
      open = Join(open, ToString(ShardNode(shard)) + " has not confirmed the fence of " +
                            ToString(WorkerNode(worker)));
  }
  for (const auto& [worker, until] : wanted_until_)
    open = Join(open, "the replacement of " + ToString(WorkerNode(worker)) + " has not registered");
  for (const auto& [shard, until] : promoted_until_)
    open = Join(open, "the backup of " + ToString(ShardNode(shard)) + " has not taken its place");
  for (const auto& [id, notice] : notices_)
    open = Join(open, ToString(notice.to) + " has not acknowledged an order");
  if (!open.empty()) page += "\n" + open + ".\n";
  observer_->OnHang(page + "\n");
}

std::uint64_t Coordinator::PhaseSamples() const {
  std::uint64_t samples = 0;
  for (const auto& [worker, before] : samples_before_phase_) {
    samples += membership_.Find(WorkerNode(worker))->counters.samples - before;
  }
  return samples;
}

void Coordinator::Losses(std::vector<double>* sum, std::vector<double>* weight) const {
  sum->clear(), weight->clear();
  if (order_.kind != PhaseKind::kTrain) return;
  for (const Member& member : membership_.all()) {
    if (member.node.role != Role::kWorker || member.phase != phase_) continue;
    const Counters& counters = member.counters;
    const std::size_t tasks = std::min(counters.loss_sum.size(), counters.loss_weight.size());
    if (sum->size() < tasks) sum->resize(tasks), weight->resize(tasks);
    for (std::size_t task = 0; task < tasks; ++task) {
      (*sum)[task] += counters.loss_sum[task];
      (*weight)[task] += counters.loss_weight[task];
    }
  }
}

MetricsSample Coordinator::Sample(TimePoint now) const {
  MetricsSample sample;
  sample.seconds = SecondsSinceStart(now);
  sample.phase = phase_;
  sample.kind = decided() ? PhaseKind::kStop : order_.kind;
  sample.epoch = order_.epoch;
  sample.split = order_.split;
  sample.phase_rows = plan_.rows[static_cast<std::size_t>(order_.split)];
  sample.phase_samples = PhaseSamples();
  sample.workers_replaced = replaced_;
  sample.failovers = failovers_;
  sample.moved = moved_;
  Clock lowest = kClockInfinity, highest = 0;
  std::uint64_t samples = 0;
  for (const Member& member : membership_.all()) {
    MemberSample each;
    each.node = member.node;
    each.server = member.registration.server;
    each.host = member.registration.host;
    each.pid = member.registration.pid;
    each.counters = member.counters;
    each.waiting = member.waiting;
    if (member.node.role == Role::kWorker) {
      samples += member.counters.samples;
      if (TakesPart(member.node)) {
        lowest = std::min(lowest, member.counters.clock);
        if (member.counters.clock != kClockInfinity) highest = std::max(highest, member.counters.clock);
      }
    } else if (member.node.role == Role::kShard) {
      sample.rows += member.counters.rows;
      sample.queue_depth += member.counters.queue_depth;
      sample.acknowledged += member.counters.pushes_acknowledged;
    }
    sample.bytes_sent += member.counters.bytes_sent;
    sample.members.push_back(std::move(each));
  }
  sample.highest_clock = highest;
  sample.lowest_clock = std::min(lowest, highest);
  const double elapsed = SecondsSinceStart(now) - SecondsSinceStart(last_sample_);
  if (elapsed > 0) sample.samples_per_second = static_cast<double>(samples - last_samples_) / elapsed;

  std::vector<double> weight;
  Losses(&sample.loss, &weight);
  const bool same_phase = last_sample_phase_ == phase_;
  for (std::size_t task = 0; task < weight.size(); ++task) {
    double sum = sample.loss[task], total = weight[task];
    if (same_phase && task < last_loss_sum_.size())
      sum -= last_loss_sum_[task], total -= last_loss_weight_[task];
    sample.loss[task] = total > 0 ? sum / total : std::numeric_limits<double>::quiet_NaN();
  }
  return sample;
}

void Coordinator::TakeSample(TimePoint now) {
  next_sample_ = now + kSampleInterval;
  if (observer_ != nullptr) observer_->OnSample(Sample(now));
  last_sample_ = now;
  last_sample_phase_ = phase_;
  last_samples_ = 0;
  for (const Member& member : membership_.all()) {
    if (member.node.role == Role::kWorker) last_samples_ += member.counters.samples;
  }
  Losses(&last_loss_sum_, &last_loss_weight_);
}

}  // namespace cohort
