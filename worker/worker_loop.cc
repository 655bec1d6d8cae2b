#include "worker/worker_loop.h"

namespace cohort {

Status WorkerLoop::Step(Duration at_most) {
  pump_.Run(out_, at_most);
  if (std::optional<PhaseOrder> order = scheduler().TakePhaseOrder()) order_ = std::move(order);
  if (order_ && order_->kind == PhaseKind::kStop) {
    return Status(ErrorCode::kUnavailable,
                  order_->reason.empty() ? "the scheduler ended the run" : "the run ends: " + order_->reason);
  }
  return worker_.failure();
}

Result<PhaseOrder> WorkerLoop::NextPhase() {
  while (!order_) {
    if (Status status = Step(kLongestStep); !status.ok() && !order_) return tl::unexpected<Status>(status);
  }
  PhaseOrder order = *std::move(order_);
  order_.reset();
  return order;
}

std::optional<PhaseOrder> WorkerLoop::WaitForStop(Duration limit) {
  const TimePoint give_up = Now() + limit;
  while (Now() < give_up && !(order_ && order_->kind == PhaseKind::kStop)) (void)Step(kLongestStep);
  return std::exchange(order_, std::nullopt);
}

}  // namespace cohort
