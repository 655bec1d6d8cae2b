#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <queue>
#include <string>
#include <vector>

#include "launch/machine_costs.h"
#include "launch/simulate/parcel.h"
#include "launch/simulate/simulate.h"
#include "launch/simulate/simulated_cluster.h"
#include "launch/simulate/simulated_host.h"
#include "launch/simulate/workload_fit.h"

namespace cohort::simulate_test {

using ::testing::HasSubstr;

constexpr VirtualTime kMillisecond = 1'000'000;

// Jobs of given lengths; notes when each ends.
class Clockwork : public SimulatedHosts::Driver {
 public:
  explicit Clockwork(VirtualTime switch_cost = 0) : hosts(this, switch_cost) {}
  VirtualTime Begin(SimulatedHosts::ThreadId, const SimulatedHosts::Job& job, VirtualTime now) override {
    begins[job.what] = now;
    return job.more * kMillisecond;
  }
  void End(SimulatedHosts::ThreadId, const SimulatedHosts::Job& job, VirtualTime now) override {
    ends[job.what] = now;
  }
  void WakeAt(VirtualTime at, SimulatedHosts::ThreadId thread, std::uint32_t ticket) override {
    wakes.insert({at, {thread, ticket}});
  }
  void RunUntil(VirtualTime time) {
    while (!wakes.empty() && wakes.begin()->first <= time) {
      const auto [at, who] = *wakes.begin();
      wakes.erase(wakes.begin());
      hosts.Wake(who.first, who.second, at);
    }
  }

  SimulatedHosts hosts;
  std::map<std::uint32_t, VirtualTime> begins, ends;  // by Job::what
  std::multimap<VirtualTime, std::pair<SimulatedHosts::ThreadId, std::uint32_t>> wakes;
};

TEST(ParcelPool, ASenderTakesItsFirstFreePlaceAndNobodyElses) {
  ParcelPool pool;
  const auto add = [&](std::uint32_t sender, RequestId id) {
    return pool.Add({{}, sender, 0, {}, false, HeartbeatReply{id}});
  };
  std::vector<std::uint32_t> mine;
  for (RequestId id = 0; id < 200; ++id) {
    mine.push_back(add(3, id));
    add(0, 1000 + id);
  }
  const Parcel* const where = &pool[mine[150]];
  for (const std::size_t i : {150u, 7u, 70u}) pool.Free(mine[i]);
  for (const std::size_t i : {7u, 70u, 150u}) EXPECT_EQ(add(3, i), mine[i]);
  EXPECT_EQ(&pool[mine[150]], where);
  for (std::size_t i = 0; i < mine.size(); ++i) {
    EXPECT_EQ(pool[mine[i]].sender, 3u);
    EXPECT_EQ(std::get<HeartbeatReply>(pool[mine[i]].message).request_id, i);
  }
}

TEST(SimulatedHosts, ThreadsOfACoreShareItEvenly) {
  Clockwork clockwork;
  const auto host = clockwork.hosts.AddHost(1);
  const auto a = clockwork.hosts.AddThread(host, 0), b = clockwork.hosts.AddThread(host, 1);
  EXPECT_FALSE(clockwork.hosts.Roomy(a));
  clockwork.hosts.Submit(a, {0, 1, 100}, 0);
  clockwork.hosts.Submit(b, {0, 2, 50}, 0);
  clockwork.RunUntil(60 * kMillisecond);
  EXPECT_NEAR(clockwork.hosts.ran(a), 30e6, 3e6);
  EXPECT_NEAR(clockwork.hosts.ran(b), 30e6, 3e6);
  clockwork.RunUntil(1000 * kMillisecond);
  EXPECT_NEAR(clockwork.ends[2], 100e6, 4e6);
  EXPECT_EQ(clockwork.ends[1], 150 * kMillisecond);  // the core has never been idle
  EXPECT_EQ(clockwork.hosts.ran(a) + clockwork.hosts.ran(b), 150 * kMillisecond);
}

TEST(SimulatedHosts, WhoWakesUpNeedNotWaitForWhoHasComputedLong) {
  Clockwork clockwork;
  const auto host = clockwork.hosts.AddHost(1);
  const auto computing = clockwork.hosts.AddThread(host, 0), serving = clockwork.hosts.AddThread(host, 1);
  clockwork.hosts.Submit(computing, {0, 1, 200}, 0);
  clockwork.RunUntil(100 * kMillisecond);
  clockwork.hosts.Submit(serving, {0, 2, 1}, 100 * kMillisecond);
  EXPECT_EQ(clockwork.begins[2], 100 * kMillisecond);
  clockwork.RunUntil(1000 * kMillisecond);
  EXPECT_EQ(clockwork.ends[2], 101 * kMillisecond);
  EXPECT_EQ(clockwork.ends[1], 201 * kMillisecond);
}

TEST(SimulatedHosts, AsManyRunAtOnceAsThereAreCores) {
  Clockwork clockwork;
  const auto host = clockwork.hosts.AddHost(2);
  for (std::uint32_t i = 0; i < 3; ++i)
    clockwork.hosts.Submit(clockwork.hosts.AddThread(host, i), {0, i, 40}, 0);
  clockwork.RunUntil(1000 * kMillisecond);
  const VirtualTime last = std::max({clockwork.ends[0], clockwork.ends[1], clockwork.ends[2]});
  EXPECT_GE(last, 60 * kMillisecond);
  EXPECT_LE(last, 64 * kMillisecond);  // a time slice more at most
}

TEST(SimulatedHosts, WhoComesAfterAnotherProcessPaysForColdCaches) {
  constexpr VirtualTime kCost = kMillisecond / 10;
  for (const bool same : {false, true}) {
    Clockwork clockwork(kCost);
    const auto host = clockwork.hosts.AddHost(1);
    const auto a = clockwork.hosts.AddThread(host, 0), b = clockwork.hosts.AddThread(host, same ? 0 : 1);
    clockwork.hosts.Submit(a, {0, 1, 2}, 0);  // nobody was there before
    clockwork.hosts.Submit(b, {0, 2, 2}, 0);
    clockwork.hosts.Submit(a, {0, 3, 2}, 0);
    clockwork.RunUntil(1000 * kMillisecond);
    const VirtualTime paid = clockwork.hosts.ran(a) + clockwork.hosts.ran(b) - 6 * kMillisecond;
    EXPECT_EQ(paid, same ? 0 : 2 * kCost);
  }
  // A core of the own process is taken rather than another that is idle.
  Clockwork clockwork(kCost);
  const auto host = clockwork.hosts.AddHost(2);
  const auto a = clockwork.hosts.AddThread(host, 0), b = clockwork.hosts.AddThread(host, 1);
  clockwork.hosts.AddThread(host, 2);
  for (std::uint32_t i = 0; i < 6; ++i) {
    clockwork.hosts.Submit(i % 2 == 0 ? a : b, {0, i, 1}, 10 * i * kMillisecond);
    clockwork.RunUntil((10 * i + 9) * kMillisecond);
  }
  EXPECT_EQ(clockwork.hosts.ran(a) + clockwork.hosts.ran(b), 6 * kMillisecond);
}

TEST(SimulatedHosts, ARoomyHostIsArithmetic) {
  Clockwork clockwork;
  const auto thread = clockwork.hosts.AddThread(clockwork.hosts.AddHost(1), 0);
  ASSERT_TRUE(clockwork.hosts.Roomy(thread));
  EXPECT_EQ(clockwork.hosts.RunAlone(thread, clockwork.hosts.FreeAt(thread, 5), 10), 15);
  EXPECT_EQ(clockwork.hosts.FreeAt(thread, 7), 15);
  EXPECT_EQ(clockwork.hosts.FreeAt(thread, 20), 20);
}

// Computing alone takes time.
SimulationInput OnlyComputing(std::uint32_t workers, std::uint32_t servers, Consistency consistency) {
  SimulationInput input;
  input.workload.compute_seconds = 10e-6;
  input.workload.batch_rows = 4096;
  input.workload.dense = {100, 256};
  input.workload.embeddings = {{20'000, 16}};
  input.workers = workers;
  input.servers = servers;
  input.consistency = consistency;
  input.slices = 8;
  input.batch_size = 4096 * workers;
  input.rows = std::uint64_t{20} * input.batch_size;
  input.hosts = 0;
  input.cores_per_host = 4;
  return input;
}

SimulationResult Simulated(const SimulationInput& input) {
  auto result = SimulateCluster(input, {});
  EXPECT_TRUE(result.has_value()) << result.error().text();
  return result ? *result : SimulationResult();
}

TEST(SimulateCluster, EveryRowIsTrainedOnOnce) {
  for (const Consistency consistency : {Consistency::kBsp, Consistency::kSsp, Consistency::kAsp}) {
    for (const std::uint32_t workers : {1u, 3u, 8u}) {
      for (const std::uint32_t servers : {1u, 5u}) {
        SimulationInput input = OnlyComputing(workers, servers, consistency);
        input.staleness = 2;
        input.rows -= 1000;  // the last batch is short
        const SimulationResult result = Simulated(input);
        EXPECT_EQ(result.samples, input.rows)
            << ConsistencyName(consistency) << " " << workers << " x " << servers;
      }
    }
  }
}

TEST(SimulateCluster, ComputingAloneScalesWithTheWorkers) {
  for (const Consistency consistency : {Consistency::kBsp, Consistency::kAsp}) {
    const SimulationResult one = Simulated(OnlyComputing(1, 1, consistency)),
                           four = Simulated(OnlyComputing(4, 2, consistency));
    EXPECT_NEAR(static_cast<double>(one.samples) / one.seconds, 1e5, 1e3);
    EXPECT_NEAR(static_cast<double>(four.samples) / four.seconds, 4e5, 4e3);
    EXPECT_GT(four.compute_share, 0.98);
  }
}

TEST(SimulateCluster, CoresThatAreShortAreShared) {
  SimulationInput input = OnlyComputing(4, 1, Consistency::kAsp);
  input.hosts = 1;
  input.cores_per_host = 2;
  const SimulationResult result = Simulated(input);
  EXPECT_NEAR(static_cast<double>(result.samples) / result.seconds, 2e5, 4e3);
  EXPECT_GT(result.busiest_host, 0.97);
  EXPECT_NEAR(result.worker_cpu_seconds, 10e-6 * static_cast<double>(result.samples), 1e-6);
}

// Two workers on two cores compute beside each other but for the moments when one waits for its rows.
TEST(SimulateCluster, ComputingTakesLongerWhereEveryCoreComputes) {
  SimulationInput one = OnlyComputing(1, 1, Consistency::kAsp), two = OnlyComputing(2, 1, Consistency::kAsp);
  one.hosts = two.hosts = 1;
  one.cores_per_host = two.cores_per_host = 2;
  const double alone = Simulated(one).worker_cpu_seconds, calm = Simulated(two).worker_cpu_seconds;
  one.workload.crowd_factor = two.workload.crowd_factor = 1.2;
  EXPECT_NEAR(Simulated(one).worker_cpu_seconds / alone, 1, 1e-9);
  const double crowded = Simulated(two).worker_cpu_seconds / calm;
  EXPECT_GT(crowded, 1.15);
  EXPECT_LT(crowded, 1.2 + 1e-9);
  two.cores_per_host = 1;  // they take turns
  two.workload.crowd_factor = 1;
  const double in_turns = Simulated(two).worker_cpu_seconds;
  two.workload.crowd_factor = 1.2;
  EXPECT_EQ(Simulated(two).worker_cpu_seconds, in_turns);
}

TEST(SimulateCluster, ANarrowLinkBinds) {
  SimulationInput input = OnlyComputing(4, 1, Consistency::kAsp);
  input.link_bytes_per_second = 10e6;
  const SimulationResult result = Simulated(input);
  EXPECT_GT(result.busiest_link, 0.95);
  // What the servers' one host sends, or gets, goes through its link.
  EXPECT_NEAR(result.seconds, std::max(result.server_bytes, result.worker_bytes) / 10e6,
              0.1 * result.seconds);
  EXPECT_THAT(Bound(result), HasSubstr("link"));
}

TEST(SimulateCluster, ALinkThatAllShareBinds) {
  SimulationInput input = OnlyComputing(4, 2, Consistency::kAsp);
  input.hosts = 1;
  input.shared_link_bytes_per_second = 100e6;
  const SimulationResult result = Simulated(input);
  EXPECT_GT(result.busiest_link, 0.95);
  EXPECT_NEAR(result.seconds, (result.server_bytes + result.worker_bytes) / 100e6, 0.05 * result.seconds);
}

TEST(SimulateCluster, RowsAtTheServerBindUntilThereAreMoreServers) {
  SimulationInput input = OnlyComputing(8, 1, Consistency::kAsp);
  input.costs.server_pull.row = input.costs.server_push.row = 1e-6;
  const SimulationResult one = Simulated(input);
  EXPECT_GT(one.busiest_shard_thread, 0.95);
  EXPECT_THAT(Bound(one), HasSubstr("shard"));
  input.servers = 8;
  const SimulationResult eight = Simulated(input);
  EXPECT_LT(eight.seconds, one.seconds / 4);
  EXPECT_NEAR(eight.server_cpu_seconds, one.server_cpu_seconds,
              0.05 * one.server_cpu_seconds);  // leases are cut elsewhere
}

TEST(SimulateCluster, BspWaitsForStragglersAndStalenessHidesThem) {
  SimulationInput input = OnlyComputing(32, 4, Consistency::kBsp);
  input.slices = 32;
  input.rows *= 5;
  input.straggler_share = 0.05;
  input.straggler_factor = 2;
  const auto idle = [](const SimulationResult& result) { return 1 - result.compute_share; };
  const double bsp = idle(Simulated(input));
  // Of 32 workers one is slow in 81 % of the steps: they take 1.81 times as long, computing 1.05.
  EXPECT_NEAR(bsp, 1 - 1.05 / 1.81, 0.03);
  input.consistency = Consistency::kSsp;
  double before = bsp;
  for (const std::uint32_t staleness : {1u, 4u, 16u}) {
    input.staleness = staleness;
    const double now = idle(Simulated(input));
    EXPECT_LT(now, before + 0.01) << staleness;
    before = now;
  }
  EXPECT_LT(before, 0.5 * bsp);
}

TEST(SimulateCluster, InAspNobodyWaitsForASlowOne) {
  SimulationInput input = OnlyComputing(16, 4, Consistency::kAsp);
  input.rows *= 5;
  input.straggler_share = 0.05;
  input.straggler_factor = 4;
  for (const std::uint32_t hosts : {0u, 5u}) {
    input.hosts = hosts;
    input.cores_per_host = 32;
    const SimulationResult result = Simulated(input);
    EXPECT_LT(result.pull_wait_share, 0.01) << hosts;
    EXPECT_LT(result.read_wait_share, 0.02) << hosts;
  }
}

TEST(SimulateCluster, TheSameInputGivesTheSameResult) {
  SimulationInput input = OnlyComputing(5, 3, Consistency::kSsp);
  input.staleness = 1;
  input.straggler_share = 0.2;
  input.straggler_factor = 3;
  input.faults_per_hour = 3600;
  const SimulationResult a = Simulated(input), b = Simulated(input);
  EXPECT_EQ(a.seconds, b.seconds);
  EXPECT_EQ(a.events, b.events);
  EXPECT_EQ(a.messages, b.messages);
  input.seed = 2;
  EXPECT_NE(Simulated(input).events, a.events);
}

TEST(SimulateCluster, WorkersThatDieAreReplaced) {
  for (const Consistency consistency : {Consistency::kBsp, Consistency::kAsp}) {
    SimulationInput input = OnlyComputing(4, 2, consistency);
    const SimulationResult undisturbed = Simulated(input);
    input.faults_per_hour = 3600 * 4;
    input.restart_seconds = 0.1;
    const SimulationResult result = Simulated(input);
    EXPECT_GT(result.workers_replaced, 0u);
    EXPECT_GE(result.samples, input.rows);  // what was under way is done once more
    EXPECT_GT(result.seconds, undisturbed.seconds);
  }
}

TEST(SimulateCluster, WhatCannotBeIsSaid) {
  SimulationInput input = OnlyComputing(1, 300, Consistency::kBsp);
  const auto result = SimulateCluster(input, {});
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().text(), HasSubstr("at most 256 shards"));
}

TEST(FitWorkload, GivesBackWhatWasMeasured) {
  SimulationInput input = OnlyComputing(1, 1, Consistency::kAsp);
  input.hosts = 1;
  input.costs.worker_pull = {5e-6, 10e-9, 0.1e-9};
  input.costs.server_pull = {5e-6, 40e-9, 0.1e-9};
  input.costs.worker_push = {5e-6, 10e-9, 0.1e-9};
  input.costs.server_push = {5e-6, 40e-9, 0.1e-9};
  SimulationInput truth = input;
  const WorkloadFit planted{1.3, 0.7};
  planted.Apply(&truth);
  const SimulationResult measured = Simulated(truth);
  const double msamples = static_cast<double>(measured.samples) * 1e-6;
  const auto fit =
      FitWorkload(input, measured.worker_cpu_seconds / msamples, measured.server_cpu_seconds / msamples);
  ASSERT_TRUE(fit.has_value());
  EXPECT_NEAR(fit->worker, 1.3, 0.002);
  EXPECT_NEAR(fit->server, 0.7, 0.002);
}

TEST(FitWorkload, WhatCannotBeMetIsAnError) {
  SimulationInput input = OnlyComputing(1, 1, Consistency::kAsp);
  input.hosts = 1;
  input.cores_per_host = 1;
  input.costs.switch_seconds = 1e-3;
  const auto less = FitWorkload(input, 10, 1);
  ASSERT_FALSE(less.has_value());
  EXPECT_THAT(less.error().text(), HasSubstr("changes of process alone"));
  const auto none = FitWorkload(input, std::nan(""), std::nan(""));
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().text(), HasSubstr("too short"));
}

class MachineCostsFile : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = ::testing::TempDir() + "/machine.json";
    std::ofstream(path) << text;
    return path;
  }
};

TEST_F(MachineCostsFile, IsReadAsItWasWritten) {
  MachineCosts costs;
  costs.machine = {"a processor", 4, "1.2"};
  costs.round_trip_seconds = 50e-6;
  costs.switch_seconds = 70e-6;
  costs.worker_pull = {1e-6, 2e-9, 3e-10};
  costs.server_push = {4e-6, 5e-9, 0};
  const auto read = ReadMachineCosts(Write(ToJson(costs)));
  ASSERT_TRUE(read.has_value()) << read.error().text();
  EXPECT_EQ(read->machine, costs.machine);
  EXPECT_EQ(read->round_trip_seconds, costs.round_trip_seconds);
  EXPECT_EQ(read->switch_seconds, costs.switch_seconds);
  EXPECT_EQ(read->worker_pull.byte, 3e-10);
  EXPECT_EQ(read->server_push.row, 5e-9);
}

TEST_F(MachineCostsFile, WhatIsWrongIsNamed) {
  MachineCosts costs;
  costs.machine.cores = 2;
  const std::string good = ToJson(costs);
  std::string negative = good;
  negative.replace(negative.find("\"row_seconds\": 0.0"), 18, "\"row_seconds\": -1.0");
  for (const auto& [text, expected] : std::map<std::string, std::string>{{"", "machine.json"},
                                                                         {"{}", "cohort bench machine"},
                                                                         {"[1, 2", "machine.json"},
                                                                         {negative, "row_seconds"},
                                                                         {ToJson(MachineCosts()), "cores"}}) {
    const auto read = ReadMachineCosts(Write(text));
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_THAT(read.error().text(), HasSubstr(expected));
  }
  EXPECT_FALSE(ReadMachineCosts("/nonexistent/machine.json").has_value());
}

}  // namespace cohort::simulate_test
