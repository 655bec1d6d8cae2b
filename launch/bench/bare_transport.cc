#include "launch/bench/bare_transport.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "common/wire.h"
#include "common/zmq_transport.h"
#include "launch/bench/child_processes.h"
#include "launch/role.h"

namespace cohort::bench {
namespace {

constexpr auto kLook = std::chrono::milliseconds(20);
constexpr Duration kStartLimit = std::chrono::seconds(20);
constexpr Duration kAnswerLimit = std::chrono::seconds(60);

// The first bytes of a request's first frame; its reply begins with the same.
struct Tag {
  std::uint32_t push = 0;
  std::uint32_t exchange = 0;  // in FramePlan::pulls or pushes
  std::uint64_t batch = 0;
};
static_assert(sizeof(Tag) <= kHeaderBytes);

void Configure(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::sndhwm, 0);
  socket.set(zmq::sockopt::rcvhwm, 0);
  socket.set(zmq::sockopt::linger, 0);
}

std::size_t LargestFrame(const FramePlan& plan) {
  std::size_t largest = sizeof(Tag);
  for (const auto* exchanges : {&plan.pulls, &plan.pushes}) {
    for (const PlannedExchange& exchange : *exchanges) {
      for (const auto* frames : {&exchange.request, &exchange.reply}) {
        for (const std::size_t size : *frames) largest = std::max(largest, size);
      }
    }
  }
  return largest;
}

// Sends frames whose content does not matter. Large ones are not copied; they lie in as many blocks as a
// window of requests has, so that they are no warmer in the caches than real ones.
class FrameSender {
 public:
  FrameSender(const Options& options, const FramePlan& plan)
      : blocks_(options.window * std::max<std::size_t>(1, std::max(plan.pulls.size(), plan.pushes.size()))),
        block_bytes_(LargestFrame(plan)),
        memory_(blocks_ * block_bytes_, 'x') {}

  void Send(zmq::socket_t& socket, const Tag& tag, const std::vector<std::size_t>& sizes) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto flags = i + 1 < sizes.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
      if (i > 0 && sizes[i] >= ZmqTransport::kCopyBelow) {
        char* block = memory_.data() + block_bytes_ * (next_++ % blocks_);
        socket.send(zmq::message_t(
                        block, sizes[i], [](void*, void*) {}, nullptr),
                    flags);
        continue;
      }
      zmq::message_t frame(sizes[i]);
      std::memset(frame.data(), 0, frame.size());
      if (i == 0) std::memcpy(frame.data(), &tag, sizeof(tag));
      socket.send(std::move(frame), flags);
    }
  }

 private:
  const std::size_t blocks_, block_bytes_;
  std::vector<char> memory_;
  std::size_t next_ = 0;
};

// Takes the rest of a message. False: nothing was there.
bool ReceiveMessage(zmq::socket_t& socket, zmq::message_t* route, zmq::message_t* first) {
  if (route != nullptr && !socket.recv(*route, zmq::recv_flags::dontwait)) return false;
  if (!socket.recv(*first, zmq::recv_flags::dontwait)) return false;
  for (bool more = first->more(); more;) {
    zmq::message_t frame;
    if (!socket.recv(frame, zmq::recv_flags::dontwait)) return false;
    more = frame.more();
  }
  return true;
}

Tag TagOf(const zmq::message_t& frame) {
  Tag tag;
  if (frame.size() >= sizeof(tag)) std::memcpy(&tag, frame.data(), sizeof(tag));
  return tag;
}

// Answers until the channel says stop. One per shard.
void Answer(zmq::socket_t socket, const Options& options, const FramePlan& plan,
            const std::atomic<bool>& stop) {
  FrameSender sender(options, plan);
  zmq::pollitem_t item{socket.handle(), 0, ZMQ_POLLIN, 0};
  while (!stop.load(std::memory_order_relaxed)) {
    if (zmq::poll(&item, 1, kLook) == 0) continue;
    zmq::message_t route, first;
    while (ReceiveMessage(socket, &route, &first)) {
      const Tag tag = TagOf(first);
      const auto& exchanges = tag.push != 0 ? plan.pushes : plan.pulls;
      socket.send(std::move(route), zmq::send_flags::sndmore);
      sender.Send(socket, tag, exchanges.at(tag.exchange).reply);
    }
  }
}

std::string ListenEndpoint(const Options& options, std::uint32_t shard) {
  if (options.transport == "tcp") return "tcp://127.0.0.1:*";
  return "ipc://@cohort-bare-" + std::to_string(getppid()) + "-" + std::to_string(shard);
}

Status Serve(Channel& channel, const Options& options, const FramePlan& plan, std::uint32_t server) {
  KeepFreedMemory();
  zmq::context_t context(1);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < options.shards; ++i) {
    zmq::socket_t socket(context, zmq::socket_type::router);
    Configure(socket);
    socket.bind(ListenEndpoint(options, server * options.shards + i));
    COHORT_RETURN_IF_ERROR(channel.SendText(socket.get(zmq::sockopt::last_endpoint)));
    threads.emplace_back(
        [&, moved = std::move(socket)]() mutable { Answer(std::move(moved), options, plan, stop); });
  }
  const Result<RoundOrder> order = ReceiveOrder(channel);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  return order ? Status() : order.error();
}

// One worker: batches go out, window by window, and are counted when all replies are there.
class Asker {
 public:
  Asker(const Options& options, const FramePlan& plan, const std::vector<std::string>& endpoints)
      : options_(options), plan_(plan), context_(1), sender_(options, plan), slots_(options.window) {
    for (const std::string& endpoint : endpoints) {
      sockets_.emplace_back(context_, zmq::socket_type::dealer);
      Configure(sockets_.back());
      sockets_.back().connect(endpoint);
    }
    for (zmq::socket_t& socket : sockets_) items_.push_back({socket.handle(), 0, ZMQ_POLLIN, 0});
  }

  Status Run(const RoundOrder& order, WorkerReport* report) {
    const bool push_only = order.work == Work::kPush;
    std::uint64_t issued = 0, done = 0;
    WaitForStart(order);
    while (done < order.batches) {
      for (; issued < order.batches && issued < done + options_.window; ++issued) {
        slots_[issued % options_.window].asked = std::chrono::steady_clock::now();
        SendAll(push_only, issued);
      }
      COHORT_RETURN_IF_ERROR(TakeReplies());
      // Batches end in order.
      for (std::uint64_t batch = done; batch < issued; ++batch) {
        Slot& slot = slots_[batch % options_.window];
        if (slot.missing > 0) break;
        if (order.work == Work::kPullPush && !slot.pushed) {
          SendAll(true, batch);
          continue;
        }
        if (batch != done) continue;
        const std::chrono::duration<float, std::micro> took = std::chrono::steady_clock::now() - slot.asked;
        report->latency_us.push_back(took.count());
        slot.pushed = false;
        ++done;
      }
    }
    report->end_ns = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
    report->rows = plan_.rows * order.batches;
    report->bytes = order.batches * ((push_only ? 0 : plan_.PullBytes()) +
                                     (order.work == Work::kPull ? 0 : plan_.PushBytes()));
    return {};
  }

 private:
  struct Slot {
    std::size_t missing = 0;
    bool pushed = false;
    TimePoint asked{};
  };

  void SendAll(bool push, std::uint64_t batch) {
    const auto& exchanges = push ? plan_.pushes : plan_.pulls;
    Slot& slot = slots_[batch % options_.window];
    slot.missing = exchanges.size();
    slot.pushed = push;
    for (std::uint32_t i = 0; i < exchanges.size(); ++i) {
      sender_.Send(sockets_[exchanges[i].shard], {push, i, batch}, exchanges[i].request);
    }
  }

  Status TakeReplies() {
    if (zmq::poll(items_, std::chrono::duration_cast<std::chrono::milliseconds>(kAnswerLimit)) == 0) {
      return {ErrorCode::kTimeout, "no reply for 60 s"};
    }
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      if ((items_[i].revents & ZMQ_POLLIN) == 0) continue;
      for (zmq::message_t first; ReceiveMessage(sockets_[i], nullptr, &first);)
        --slots_[TagOf(first).batch % options_.window].missing;
    }
    return {};
  }

  const Options& options_;
  const FramePlan& plan_;
  zmq::context_t context_;
  FrameSender sender_;
  std::vector<zmq::socket_t> sockets_;
  std::vector<zmq::pollitem_t> items_;
  std::vector<Slot> slots_;
};

Status Ask(Channel& channel, const Options& options, const FramePlan& plan,
           const std::vector<std::string>& endpoints) {
  KeepFreedMemory();
  Asker asker(options, plan, endpoints);
  for (;;) {
    COHORT_ASSIGN_OR_RETURN(const RoundOrder order, ReceiveOrder(channel));
    if (order.work == Work::kStop) return {};
    WorkerReport report;
    COHORT_RETURN_IF_ERROR(asker.Run(order, &report));
    COHORT_RETURN_IF_ERROR(SendReport(channel, report));
  }
}

// What ZeroMQ throws becomes the child's error.
Status Guarded(const std::function<Status()>& body) {
  try {
    return body();
  } catch (const zmq::error_t& error) {
    return {ErrorCode::kIo, std::string("ZeroMQ: ") + error.what()};
  }
}

}  // namespace

Result<BareTransport> BareTransport::Start(ChildProcesses& all, const Options& options,
                                           const FramePlan& plan) {
  BareTransport transport;
  transport.all_ = &all;
  std::vector<std::string> endpoints;
  for (std::uint32_t i = 0; i < options.servers; ++i) {
    COHORT_ASSIGN_OR_RETURN(ChildProcesses::Child * server,
                            all.Start("bare server " + std::to_string(i), [&](Channel& channel) {
                              return Guarded([&] { return Serve(channel, options, plan, i); });
                            }));
    transport.processes_.servers.push_back(server);
    for (std::uint32_t shard = 0; shard < options.shards; ++shard) {
      const Result<std::string> endpoint = server->channel->ReceiveText(kStartLimit);
      if (!endpoint) return tl::unexpected(all.Explain(*server, endpoint.error()));
      endpoints.push_back(*endpoint);
    }
  }
  for (std::uint32_t i = 0; i < options.workers; ++i) {
    COHORT_ASSIGN_OR_RETURN(ChildProcesses::Child * worker,
                            all.Start("bare worker " + std::to_string(i), [&](Channel& channel) {
                              return Guarded([&] { return Ask(channel, options, plan, endpoints); });
                            }));
    transport.processes_.workers.push_back(worker);
  }
  return transport;
}

Status BareTransport::Stop() {
  const RoundOrder stop;
  for (auto* server : processes_.servers) COHORT_RETURN_IF_ERROR(server->channel->Send(&stop, sizeof(stop)));
  return SendStop(processes_);
}

}  // namespace cohort::bench
