// Who takes part in a run and who has been heard of. Judges from registrations, messages and the time passed
// in.
#ifndef COHORT_SCHEDULER_MEMBERSHIP_H_
#define COHORT_SCHEDULER_MEMBERSHIP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/message.h"
#include "common/types.h"

namespace cohort {

enum class MemberState : std::uint8_t {
  kMissing = 0,  // not registered yet
  kAlive,
  kSuspected,  // silent for half of what is allowed
  kDead,
  kLeft,  // a worker that will not come back; its counters stay
};

struct Member {
  NodeId node;
  MemberState state = MemberState::kMissing;
  Register registration;          // of its newest life
  std::uint32_t incarnation = 0;  // while missing: the lowest that may register
  TimePoint last_heard{};
  Duration silence_allowed{};  // before it counts as dead
  std::uint32_t phase = 0;     // that `counters` speak of
  Counters counters;           // of the newest heartbeat, and of former lives
  RequestId orders_from = 0;   // of its newest life
  Counters past;               // of former lives
  std::uint32_t past_phase = 0;  // that the losses in `past` are of
  std::string waiting;         // of the newest heartbeat
  RequestId newest_warning = 0;
  bool registered() const { return state != MemberState::kMissing && state != MemberState::kLeft; }
  bool left() const { return state == MemberState::kLeft; }
};

class Membership {
 public:
  // Shards first, then workers, then backups, by index; then workers that come later.
  Membership(std::uint32_t shards, std::uint32_t workers, std::uint32_t backups, Duration dead_after);

  // Null for a node that is no member: an index beyond the run's counts.
  Member* Find(NodeId node);
  const Member* Find(NodeId node) const;
  const std::vector<Member>& all() const { return members_; }

  // False if another process has registered as this node. Repeats change nothing.
  bool Add(Member& member, const Register& registration, std::uint32_t incarnation, TimePoint now);
  // A registered member is dead, and another process will take its place: under the next incarnation.
  void Retire(Member& member);
  // Another worker, missing yet, which is to come on this host. REQUIRES: a higher index than all before. Members that were
  // found before are to be found again.
  void AddWorker(std::uint32_t index, const std::string& host);
  // A worker that is registered, dead or missing has gone, and nobody comes in its place.
  void Dismiss(Member& member);
  // Where the next life of a missing member is to be: in this server process, on this host.
  void Seat(Member& member, std::uint32_t server, const std::string& host);
  // How often members have come or gone, or were to come elsewhere.
  std::uint64_t changes() const { return changes_; }
  bool complete() const { return missing_ == 0; }
  std::string Missing() const;  // "shard 1, worker 0"

  // How long `member` may be silent: longer while it loads or writes a file; the default without `limit`.
  void Allow(Member& member, std::optional<Duration> limit, TimePoint now);
  void Heard(Member& member, TimePoint now);
  // Moves members on from alive to suspected to dead; returns those whose state has changed. After a gap in
  // the calls (this process was stopped or starved) the silence of the others says nothing: forgives it.
  std::vector<Member*> Judge(TimePoint now);
  TimePoint NextJudgement() const;

  // The lowest common kernel path of "avx2", "avx512" and "avx512_bf16".
  std::string CommonKernels() const;

 private:
  const Duration dead_after_;
  std::vector<Member> members_;
  std::size_t shards_, workers_, backups_;  // at the start
  std::size_t missing_;
  std::uint64_t changes_ = 0;
  TimePoint last_judged_ = kNever;
};

// Adds what a process counted in its former lives to what its newest one has: sums, and the highest peaks. Losses are of
// one phase, and added if both are of the same one.
void AddPast(const Counters& past, bool same_phase, Counters* counters);

// "worker 1 (pid 1234 on host x)"
std::string Describe(const Member& member);

}  // namespace cohort

#endif  // COHORT_SCHEDULER_MEMBERSHIP_H_
