#include "scheduler/membership.h"

#include <algorithm>
#include <iterator>

namespace cohort {
namespace {

// From the lowest on; each can do what those before it can.
constexpr const char* kKernelPaths[] = {"avx2", "avx512", "avx512_bf16"};

}  // namespace

Membership::Membership(std::uint32_t shards, std::uint32_t workers, std::uint32_t backups,
                       Duration dead_after)
    : dead_after_(dead_after),
      shards_(shards),
      workers_(workers),
      backups_(backups),
      missing_(shards + workers + backups) {
  members_.resize(missing_);
  for (std::uint32_t i = 0; i < shards; ++i) members_[i].node = ShardNode(i);
  for (std::uint32_t i = 0; i < workers; ++i) members_[shards + i].node = WorkerNode(i);
  for (std::uint32_t i = 0; i < backups; ++i) members_[shards + workers + i].node = BackupNode(i);
  for (Member& member : members_) member.silence_allowed = dead_after_;
}

const Member* Membership::Find(NodeId node) const {
  if (node.role == Role::kShard && node.index < shards_) return &members_[node.index];
  if (node.role == Role::kWorker && node.index < workers_) return &members_[shards_ + node.index];
  if (node.role == Role::kBackup && node.index < backups_) return &members_[shards_ + workers_ + node.index];
  if (node.role != Role::kWorker) return nullptr;
  const auto later = members_.begin() + static_cast<std::ptrdiff_t>(shards_ + workers_ + backups_);
  const auto found =
      std::find_if(later, members_.end(), [&](const Member& each) { return each.node == node; });
  return found == members_.end() ? nullptr : &*found;
}

Member* Membership::Find(NodeId node) {
  return const_cast<Member*>(static_cast<const Membership*>(this)->Find(node));
}

bool Membership::Add(Member& member, const Register& registration, std::uint32_t incarnation, TimePoint now) {
  if (member.registered()) {
    return member.registration.pid == registration.pid && member.registration.host == registration.host &&
           member.incarnation == incarnation;
  }
  if (incarnation < member.incarnation) return false;
  member.registration = registration;
  member.incarnation = incarnation;
  member.state = MemberState::kAlive;
  member.last_heard = now;
  --missing_;
  ++changes_;
  return true;
}

void Membership::Retire(Member& member) {
  member.state = MemberState::kMissing;
  ++member.incarnation;
  member.past = member.counters;
  member.past_phase = member.phase;
  member.waiting.clear();
  member.newest_warning = 0;
  member.silence_allowed = dead_after_;
  ++missing_;
  ++changes_;
}

void Membership::AddWorker(std::uint32_t index, const std::string& host) {
  Member member;
  member.node = WorkerNode(index);
  member.registration.host = host;
  member.silence_allowed = dead_after_;
  members_.push_back(std::move(member));
  ++missing_;
  ++changes_;
}

void Membership::Dismiss(Member& member) {
  if (!member.registered()) --missing_;
  member.state = MemberState::kLeft;
  member.waiting.clear();
  ++changes_;
}

void Membership::Seat(Member& member, std::uint32_t server, const std::string& host) {
  if (member.registration.server == server && member.registration.host == host) return;
  member.registration.server = server;
  member.registration.host = host;
  ++changes_;
}

std::string Membership::Missing() const {
  std::string text;
  for (const Member& member : members_) {
    if (member.registered() || member.left()) continue;
    if (!text.empty()) text += ", ";
    text += ToString(member.node);
  }
  return text;
}

void Membership::Allow(Member& member, std::optional<Duration> limit, TimePoint now) {
  member.silence_allowed = std::max(dead_after_, limit.value_or(dead_after_));
  member.last_heard = std::max(member.last_heard, now);
}

void Membership::Heard(Member& member, TimePoint now) {
  member.last_heard = std::max(member.last_heard, now);
  if (member.state == MemberState::kSuspected) member.state = MemberState::kAlive;
}

std::vector<Member*> Membership::Judge(TimePoint now) {
  std::vector<Member*> changed;
  const Duration gap = last_judged_ == kNever ? Duration(0) : now - last_judged_;
  last_judged_ = now;
  const bool forgive = gap > dead_after_ / 2;
  for (Member& member : members_) {
    if (!member.registered() || member.state == MemberState::kDead) continue;
    if (forgive) member.last_heard = std::min(now, member.last_heard + gap);
    const Duration silence = now - member.last_heard;
    const MemberState state = silence >= member.silence_allowed       ? MemberState::kDead
                              : silence >= member.silence_allowed / 2 ? MemberState::kSuspected
                                                                      : MemberState::kAlive;
    if (state == member.state) continue;
    member.state = state;
    changed.push_back(&member);
  }
  return changed;
}

TimePoint Membership::NextJudgement() const {
  // Often enough that a gap between two calls means that this process did not run.
  return last_judged_ == kNever ? kNever : last_judged_ + dead_after_ / 4;
}

std::string Membership::CommonKernels() const {
  std::size_t lowest = std::size(kKernelPaths) - 1;
  for (const Member& member : members_) {
    const auto path =
        std::find(std::begin(kKernelPaths), std::end(kKernelPaths), member.registration.kernels);
    lowest =
        std::min(lowest, path == std::end(kKernelPaths) ? 0 : static_cast<std::size_t>(path - kKernelPaths));
  }
  return kKernelPaths[lowest];
}

void AddPast(const Counters& past, bool same_phase, Counters* counters) {
  Counters& c = *counters;
  const auto add = [](const auto& from, auto* to) {
    if (to->size() < from.size()) to->resize(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) (*to)[i] += from[i];
  };
  if (same_phase) add(past.loss_sum, &c.loss_sum), add(past.loss_weight, &c.loss_weight);
  add(past.step_seconds, &c.step_seconds);
  add(past.step_times, &c.step_times);
  c.samples += past.samples;
  c.bytes_received += past.bytes_received;
  c.bytes_sent += past.bytes_sent;
  c.pushes_acknowledged += past.pushes_acknowledged;
  c.pushes_duplicated += past.pushes_duplicated;
  c.pulls_served += past.pulls_served;
  c.pulls_parked += past.pulls_parked;
  c.retries += past.retries;
  c.absent_rows += past.absent_rows;
  c.bad_frames += past.bad_frames;
  c.refused_peers += past.refused_peers;
  c.cached_rows += past.cached_rows;
  c.nan_gradients += past.nan_gradients;
  c.clipped_values += past.clipped_values;
  c.clipped_gradients += past.clipped_gradients;
  c.peak_memory_bytes = std::max(c.peak_memory_bytes, past.peak_memory_bytes);
  c.busy_seconds += past.busy_seconds;
}

std::string Describe(const Member& member) {
  if (!member.registered()) return ToString(member.node);
  return ToString(member.node) + " (pid " + std::to_string(member.registration.pid) + " on host " +
         member.registration.host + ")";
}

}  // namespace cohort
