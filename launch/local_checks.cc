#include "launch/local_checks.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "common/wire.h"
#include "common/zmq_transport.h"

namespace cohort {
namespace {

constexpr int kRoundTrips = 101;
constexpr Duration kPatience = std::chrono::seconds(2);

double SecondsNow() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Status SendAck(Transport& transport, NodeId from, NodeId to, RequestId id) {
  Stamp stamp;
  stamp.sender = from;
  return transport.Send(to, Encode(stamp, to, Ack{id}));
}

}  // namespace

Result<double> LoopbackRoundTrip() {
  ZmqContext context;
  ZmqTransport::Options silent;
  silent.listen_host.clear();
  COHORT_ASSIGN_OR_RETURN(const auto server, ZmqTransport::Create(context, ShardNode(0), {}));
  COHORT_ASSIGN_OR_RETURN(const auto client, ZmqTransport::Create(context, WorkerNode(0), silent));
  COHORT_RETURN_IF_ERROR(client->Connect(ShardNode(0), server->endpoint()));
  std::vector<double> seconds;
  for (int i = 0; i < kRoundTrips; ++i) {
    const double start = SecondsNow();
    const auto id = static_cast<RequestId>(i + 1);
    COHORT_RETURN_IF_ERROR(SendAck(*client, WorkerNode(0), ShardNode(0), id));
    if (!server->Receive(kPatience))
      return Error(ErrorCode::kTimeout, "a message over 127.0.0.1 did not arrive within 2 s");
    COHORT_RETURN_IF_ERROR(SendAck(*server, ShardNode(0), WorkerNode(0), id));
    if (!client->Receive(kPatience))
      return Error(ErrorCode::kTimeout, "an answer over 127.0.0.1 did not arrive within 2 s");
    seconds.push_back(SecondsNow() - start);
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRoundTrips / 2, seconds.end());
  return seconds[kRoundTrips / 2];
}

Result<std::string> TryMpirun() {
  const std::string root = geteuid() == 0 ? " --allow-run-as-root" : "";
  const std::string command = "timeout 20 mpirun --enable-recovery --oversubscribe --bind-to none" + root +
                              " -np 2 sh -c 'echo started' 2>&1; mpirun --version 2>&1 | head -n 1";
  std::string output;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return Error(ErrorCode::kIo, "a shell cannot be started");
  char bytes[512];
  while (std::fgets(bytes, sizeof(bytes), pipe) != nullptr) output += bytes;
  pclose(pipe);
  std::size_t started = 0;
  for (std::size_t at = output.find("started"); at != std::string::npos; at = output.find("started", at + 1))
    ++started;
  output.erase(output.find_last_not_of('\n') + 1);
  const std::string last = output.substr(output.rfind('\n') + 1);
  if (started == 2) return last + " starts processes";
  return Error(ErrorCode::kUnavailable,
               output.empty() ? "did not start" : output.substr(0, output.find('\n')));
}

}  // namespace cohort
