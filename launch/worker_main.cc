// cohort-worker: reads batches, computes, pulls and pushes; keeps nothing that the run could miss.
#include <unistd.h>

#include <optional>

#include "common/log.h"
#include "common/node_loop.h"
#include "common/process.h"
#include "common/zmq_transport.h"
#include "launch/greeting.h"
#include "launch/network_pump.h"
#include "launch/place.h"
#include "launch/role.h"
#include "launch/run_plan.h"
#include "worker/model/kernels.h"
#include "worker/worker.h"
#include "worker/worker_job.h"

namespace cohort {
namespace {

Status Run(const RoleArguments& arguments) {
  COHORT_ASSIGN_OR_RETURN(const RunConfig config, LoadRunConfig(arguments.config, arguments.overrides));
  COHORT_ASSIGN_OR_RETURN(const Place place, FindPlace(Program::kWorker, arguments, config));
  const Bootstrap& bootstrap = place.bootstrap;
  const std::uint32_t index = bootstrap.index;
  const NodeId self = WorkerNode(index);
  SetLogName(ToString(self));
  std::optional<SchedulerWatch> watch;
  if (!arguments.supervised) watch.emplace(bootstrap.scheduler_host, bootstrap.scheduler_pid);

  COHORT_ASSIGN_OR_RETURN(const auto key,
                          KeyFor(bootstrap.scheduler_endpoint, config.cluster, arguments.key));
  ZmqContext context(1, key);
  ZmqTransport::Options silent;
  silent.listen_host.clear();
  silent.incarnation = place.incarnation;
  COHORT_ASSIGN_OR_RETURN(const auto transport, ZmqTransport::Create(context, self, silent));
  COHORT_RETURN_IF_ERROR(transport->Connect(kSchedulerNode, bootstrap.scheduler_endpoint));

  Register registration;
  registration.host = HostName();
  registration.pid = static_cast<std::uint64_t>(getpid());
  registration.kernels = BestKernelPath();
  SchedulerClient::Options scheduler = ClientOptions(config, bootstrap.run_id);
  scheduler.incarnation = place.incarnation;
  scheduler.term = place.term;
  ParameterClient::Options parameters;
  parameters.retry = scheduler.retry;
  parameters.request_deadline = scheduler.dead_after;
  parameters.wait_deadline =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(config.cluster.wait_seconds));
  parameters.credit_bytes = config.cluster.credit_bytes;
  parameters.request_rows = config.cluster.request_rows;
  parameters.cache_rows = config.cache.rows;
  parameters.cache_max_age = config.cache.max_age;
  parameters.incarnation = place.incarnation;
  Worker worker(index, registration, scheduler, parameters);
  NodeLoop loop(&worker, transport.get());
  NetworkPump pump(worker, loop);
  return RunWorker(worker, pump, index, [&loop](Counters* counters) {
    AddProcessCounters(counters);
    counters->bytes_received = loop.counters().bytes_received;
    counters->bytes_sent = loop.counters().bytes_sent;
    counters->bad_frames += loop.counters().bad_frames;
  });
}

}  // namespace
}  // namespace cohort

int main(int argc, char** argv) {
  if (const auto greeted = cohort::Greet(cohort::Program::kWorker, argc, argv)) return *greeted;
  int exit_code = 0;
  const auto arguments = cohort::ParseRoleArguments("cohort-worker", argc, argv, &exit_code);
  if (!arguments) return exit_code;
  cohort::BeginRole("worker");
  const cohort::Status status = cohort::Run(*arguments);
  if (!status.ok()) cohort::Log(status.text());
  return status.exit_code();
}
