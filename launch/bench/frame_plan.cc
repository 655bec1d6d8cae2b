#include "launch/bench/frame_plan.h"

#include <limits>
#include <utility>
#include <variant>

#include "common/check.h"
#include "common/node.h"
#include "common/wire.h"
#include "worker/parameter_client.h"

namespace cohort::bench {
namespace {

std::vector<std::size_t> SizesOf(const Frames& frames) {
  std::vector<std::size_t> sizes;
  for (const Buffer& frame : frames) sizes.push_back(frame.size());
  return sizes;
}

Message ReplyTo(const Message& request, std::uint32_t dim) {
  if (const auto* pull = std::get_if<PullRequest>(&request)) {
    const std::size_t rows = pull->keys.size() / sizeof(Key);
    return PullReply{pull->request_id,
                     pull->table,
                     dim,
                     0,
                     Buffer::Own(std::vector<std::byte>(rows * dim * SizeOf(pull->type))),
                     pull->type};
  }
  const auto* push = std::get_if<PushRequest>(&request);
  COHORT_CHECK(push != nullptr);
  return PushReply{push->request_id, 1, 0};
}

// What is in `out`, answered.
std::vector<PlannedExchange> Exchanges(ParameterClient& client, Outbox& out, std::uint32_t dim) {
  const Stamp stamp{WorkerNode(0)};
  std::vector<PlannedExchange> exchanges;
  Outbox none;
  for (const Outgoing& outgoing : out.Take()) {
    Message reply = ReplyTo(outgoing.message, dim);
    exchanges.push_back({outgoing.to.index, SizesOf(Encode(stamp, outgoing.to, outgoing.message)),
                         SizesOf(Encode(Stamp{outgoing.to}, WorkerNode(0), reply))});
    client.OnMessage(Stamp{outgoing.to}, reply, TimePoint{}, none);
  }
  return exchanges;
}

std::size_t BytesOf(const std::vector<PlannedExchange>& exchanges) {
  std::size_t bytes = 0;
  for (const PlannedExchange& exchange : exchanges) {
    for (const std::size_t size : exchange.request) bytes += size;
    for (const std::size_t size : exchange.reply) bytes += size;
  }
  return bytes;
}

}  // namespace

std::size_t FramePlan::PullBytes() const { return BytesOf(pulls); }
std::size_t FramePlan::PushBytes() const { return BytesOf(pushes); }

FramePlan PlanFrames(const Options& options, const Buffer& keys) {
  ParameterClient::Options client_options;
  client_options.request_rows = options.request_rows;
  client_options.credit_bytes = std::numeric_limits<std::uint64_t>::max();
  ParameterClient client(WorkerNode(0), client_options);
  client.SetView(ViewOf(options));
  client.BeginPhase(1);

  FramePlan plan;
  plan.rows = keys.size() / sizeof(Key);
  std::vector<float> values(plan.rows * options.dim);
  Outbox out;
  const bool by_position = options.push_rows == PushRowNames::kPositions;
  const auto pull = client.Pull(kEmbeddingTable, 0, AbsentRow::kInitial, keys, values.data(), TimePoint{},
                                out, by_position);
  plan.pulls = Exchanges(client, out, options.dim);
  const Buffer gradients = Buffer::Own(std::move(values));
  if (by_position) {
    client.PushRows(pull, 1, {}, gradients, TimePoint{}, out);
  } else {
    client.Push(kEmbeddingTable, 0, 1, keys, gradients, TimePoint{}, out);
  }
  plan.pushes = Exchanges(client, out, options.dim);
  return plan;
}

}  // namespace cohort::bench
