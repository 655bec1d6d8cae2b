#include "launch/request_desk.h"

#include <utility>

#include "common/process.h"

namespace cohort {
namespace {

constexpr Duration kLook = std::chrono::milliseconds(200);

}  // namespace

RequestDesk::RequestDesk(const std::string& folder, bool supervised, bool took_over, Coordinator* coordinator)
    : supervised_(supervised),
      coordinator_(coordinator),
      inbox_(folder, took_over),
      request_(inbox_.under_way()) {}

void RequestDesk::Follow(TimePoint now, Outbox& out) {
  if (now < next_look_ && !coordinator_->decided()) return;
  next_look_ = now + kLook;
  while (const auto request = inbox_.Next()) {
    const Status begun = request->change ? Begin(*request->change, now, out) : request->change.error();
    if (begun.ok()) {
      request_ = request->number;
    } else {
      inbox_.Answer(request->number, {RequestAnswer::State::kRefused, begun.text()});
    }
  }
  if (!request_) return;
  const RequestAnswer answer = Answer();
  inbox_.Answer(*request_, answer);
  if (answer.state != RequestAnswer::State::kUnderWay) request_.reset();
}

Status RequestDesk::Begin(ClusterChange change, TimePoint now, Outbox& out) {
  if (!supervised_) {
    return {ErrorCode::kInvalidInput,
            "the run was launched by hand, and nobody starts processes for it; `cohort train` would"};
  }
  if (request_) {
    return {ErrorCode::kInvalidInput,
            "another request is under way, and waits for " + Answer().text + "; ask again when it is done"};
  }
  if (change.host.empty()) change.host = HostName();
  std::uint64_t pid = 0;
  for (const Member& member : coordinator_->membership().all()) {
    const bool worker = member.node.role == Role::kWorker;
    const bool goes = change.kind == ClusterChange::Kind::kDrainServer
                          ? !worker && member.registration.server == change.index
                          : change.kind == ClusterChange::Kind::kRemoveWorker && worker &&
                                member.node.index == change.index;
    if (goes && member.registered() && member.registration.host == HostName()) pid = member.registration.pid;
  }
  COHORT_RETURN_IF_ERROR(coordinator_->BeginChange(change, now, out));
  leaving_pid_ = pid;
  return {};
}

RequestAnswer RequestDesk::Answer() const {
  using State = RequestAnswer::State;
  if (const auto waits_for = coordinator_->ChangeWaitsFor()) {
    if (coordinator_->decided()) return {State::kFailed, "the run ended before that"};
    return {State::kUnderWay, *waits_for};
  }
  if (!coordinator_->change_verdict().ok()) return {State::kFailed, coordinator_->change_verdict().text()};
  if (leaving_pid_ != 0 && ProcessLives(leaving_pid_)) {
    return {State::kUnderWay,
            "pid " + std::to_string(leaving_pid_) + ", which has nothing to do any more, to end"};
  }
  return {State::kDone, ""};
}

}  // namespace cohort
