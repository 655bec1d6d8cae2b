#include "launch/simulate/parcel.h"

#include <cmath>
#include <variant>

#include "common/wire.h"

namespace cohort {
namespace {

constexpr double kSmallBody = 32;  // bytes, about
constexpr double kHeldShare =
    0.5;  // bsp: of a pushed row's cost, due when it comes; the rest when it is applied
constexpr double kPositionBytes = 4;  // of a row in a push by places

}  // namespace

ParcelCost ParcelCosts::Of(const Message& message, const SimulatedWorker* worker) const {
  const auto rows_of = [&](TableId table, std::size_t keys) {
    const double fullness = worker == nullptr || table == kDenseTable ? 1 : worker->Fullness();
    return static_cast<double>(keys) * job_.rows_of_key[table] * fullness;
  };
  const auto table_of = [&](TableId table) -> const SimulatedWorkload::Table& {
    return table == kDenseTable ? job_.workload.dense : job_.workload.embeddings[table - 1u];
  };
  const auto whole = [](double main_send, double io_send, double io_receive, double main_receive,
                        double bytes) {
    return ParcelCost{ToVirtual(main_send),
                      ToVirtual(io_send),
                      ToVirtual(io_receive),
                      ToVirtual(main_receive),
                      0,
                      static_cast<std::uint64_t>(static_cast<double>(kHeaderBytes) + kSmallBody + bytes)};
  };
  const ExchangeCosts &wp = costs_.worker_pull, &sp = costs_.server_pull;
  const ExchangeCosts &wq = costs_.worker_push, &sq = costs_.server_push;
  if (const auto* pull = std::get_if<PullRequest>(&message)) {
    const double rows = rows_of(pull->table, pull->keys.size() / sizeof(Key));
    return whole(wp.message / 4 + wp.row * rows / 2, wp.message / 4, sp.message / 4, sp.message / 4,
                 rows * sizeof(Key));
  }
  if (const auto* reply = std::get_if<PullReply>(&message)) {
    const double rows = rows_of(reply->table, reply->values.size() / sizeof(float));
    const auto& table = table_of(reply->table);
    const double bytes = rows * table.dim * table.pull_value_bytes;
    return whole(sp.message / 4 + sp.row * rows, sp.message / 4 + sp.byte * bytes,
                 wp.message / 4 + wp.byte * bytes, wp.message / 4 + wp.row * rows / 2, bytes);
  }
  if (const auto* push = std::get_if<PushRequest>(&message)) {
    const double share = worker == nullptr ? 1 : worker->ShareOf(push->node);
    const double rows = rows_of(push->table, push->values.size() / sizeof(float)) * share;
    const auto& table = table_of(push->table);
    const double bytes = rows * table.dim * table.push_value_bytes;
    const double apply = sq.row * rows;
    const double now = job_.consistency == Consistency::kBsp ? kHeldShare : 1;
    ParcelCost cost =
        whole(wq.message / 4 + wq.row * rows, wq.message / 4 + wq.byte * bytes,
              sq.message / 4 + sq.byte * bytes, sq.message / 4 + apply * now,
              bytes + (share < 1 ? rows * kPositionBytes : 0) + static_cast<double>(push->runs.size()));
    cost.applying = apply * (1 - now);
    return cost;
  }
  if (std::holds_alternative<PushReply>(message))
    return whole(sq.message / 4, sq.message / 4, wq.message / 4, wq.message / 4, 0);
  const double least_worker = std::fmin(wp.message, wq.message),
               least_server = std::fmin(sp.message, sq.message);
  if (std::holds_alternative<CloseRequest>(message))
    return whole(least_worker / 4, least_worker / 4, least_server / 4, least_server / 4, 0);
  return whole(least_server / 4, least_server / 4, least_worker / 4, least_worker / 4, 0);
}

}  // namespace cohort
