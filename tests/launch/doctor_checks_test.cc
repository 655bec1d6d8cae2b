// The doctor's judgement on facts that were made up: each fault is named once, with the right hosts and a mend, and nothing else is.
#include "launch/doctor/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "launch/doctor/probe_lines.h"

namespace cohort::doctor_checks_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Words = std::vector<std::string>;

Needs SomeNeeds() {
  Needs needs;
  needs.version = "1.2.3";
  needs.wire_version = 11;
  return needs;
}

std::string Address(std::size_t host) { return "10.1.0." + std::to_string(host + 1); }

HostProbe GoodHost(std::size_t number) {
  HostProbe host;
  host.name = "host" + std::to_string(number + 1);
  host.answer = Answer::kWhole;
  host.has_facts = true;
  HostFacts& facts = host.facts;
  facts.host = host.name;
  facts.version = "1.2.3";
  facts.wire_version = 11;
  facts.kernels = "avx2";
  facts.avx2 = true;
  facts.cores = 8;
  facts.open_files = 4096;
  facts.memory_bytes = 16'000'000'000;
  facts.shared_memory = {"/dev/shm", true, 8'000'000'000};
  facts.folder = {"/shared/run", true, 100'000'000'000};
  facts.folder_shared = true;
  facts.write_bytes_per_second = 2e8;
  facts.scratch = {"/tmp", true, 50'000'000'000};
  facts.interfaces = {{"lo", "127.0.0.1", 8, true, true}, {"eth0", Address(number), 24, true, false}};
  facts.address = Address(number);
  facts.endpoint = "tcp://" + Address(number) + ":41000";
  facts.mpirun = "mpirun (Open MPI) 4.1.4";
  facts.orted = true;
  host.clock_error_seconds = 0.001;
  return host;
}

ClusterFacts GoodCluster(std::size_t count) {
  ClusterFacts facts;
  facts.marked = true;
  facts.mpi.tried = true;
  facts.mpi.seconds = 1;
  facts.mpi.exchanged = count;
  for (std::size_t i = 0; i < count; ++i) {
    facts.hosts.push_back(GoodHost(i));
    facts.hosts[i].pairs.assign(count, {Reach::kReached, "", 1e-4});
    facts.hosts[i].pairs[i] = {};
    facts.mpi.hosts.push_back(facts.hosts[i].name);
    facts.mpi.greeted.push_back(facts.hosts[i].name);
  }
  return facts;
}

void Cut(ClusterFacts& facts, std::size_t from, std::size_t to, Reach reach = Reach::kSilent) {
  facts.hosts[from].pairs[to] = {reach, "no answer to a connection", 0};
}

std::vector<Check> FaultsIn(const ClusterFacts& facts, const Needs& needs = SomeNeeds()) {
  std::vector<Check> faults;
  for (const Check& check : Judge(facts, needs))
    if (check.severity != Severity::kGood) faults.push_back(check);
  return faults;
}

// One fault, and no other.
void ExpectFault(const ClusterFacts& facts, const std::string& name, const Words& hosts,
                 const std::string& found, Severity severity = Severity::kBad,
                 const Needs& needs = SomeNeeds()) {
  const std::vector<Check> faults = FaultsIn(facts, needs);
  ASSERT_EQ(faults.size(), 1u) << (faults.size() > 1 ? faults[1].name + ": " + faults[1].found : "none");
  EXPECT_EQ(faults[0].name, name);
  EXPECT_EQ(faults[0].hosts, hosts);
  EXPECT_THAT(faults[0].found, HasSubstr(found));
  EXPECT_EQ(faults[0].severity, severity);
  EXPECT_FALSE(faults[0].mend.empty());
}

TEST(DoctorChecks, NothingIsSaidOfGoodHosts) {
  for (const std::size_t count : {2, 3, 50}) {
    EXPECT_THAT(FaultsIn(GoodCluster(count)), IsEmpty()) << count;
    EXPECT_EQ(FitForMpi(GoodCluster(count), SomeNeeds()).size(), count);
  }
}

TEST(DoctorChecks, WhatAHostHasIsHeldAgainstWhatIsNeeded) {
  const auto second = [](const auto& change) {
    ClusterFacts facts = GoodCluster(3);
    change(facts.hosts[1].facts);
    return facts;
  };
  using Facts = HostFacts;
  ExpectFault(second([](Facts& f) { f.open_files = 511; }), "open files", {"host2"}, "limit 511");
  ExpectFault(second([](Facts& f) { f.memory_bytes = 499'999'999; }), "memory", {"host2"}, "0.5 GB");
  ExpectFault(second([](Facts& f) { f.shared_memory.free_bytes = 1'000'000; }), "shared memory", {"host2"},
              "1 MB");
  ExpectFault(second([](Facts& f) { f.write_error = std::strerror(ENOSPC); }), "disk", {"host2"}, "is full");
  ExpectFault(second([](Facts& f) { f.folder.free_bytes = 1'000'000; }), "disk", {"host2"}, "1 MB free",
              Severity::kLow);
  ExpectFault(second([](Facts& f) { f.write_error = std::strerror(EROFS); }), "run folder", {"host2"},
              "cannot be written: Read-only file system");
  ExpectFault(second([](Facts& f) { f.folder_shared = false; }), "run folder", {"host2"}, "another folder");
  ExpectFault(second([](Facts& f) { f.folder.there = false; }), "run folder", {"host2"}, "is not there");
  ExpectFault(second([](Facts& f) { f.cores = 1; }), "cores", {"host2"}, "1 online", Severity::kLow);
  ExpectFault(second([](Facts& f) { f.avx2 = false; }), "AVX2", {"host2"}, "numerical path");
  ExpectFault(second([](Facts& f) { f.missing = {"/opt/cohort-server"}; }), "programs", {"host2"},
              "/opt/cohort-server");
  ExpectFault(second([](Facts& f) { f.mpirun.clear(); }), "mpirun", {"host2"}, "mpirun is not to be found");
  ExpectFault(second([](Facts& f) { f.orted = false; }), "mpirun", {"host2"}, "orted");
  ExpectFault(second([](Facts& f) { f.mpirun = "mpirun (Open MPI) 5.0.0"; }), "mpirun", {"host2"},
              "5.0.0; on most", Severity::kLow);
  ExpectFault(second([](Facts& f) { f.version = "1.2.2"; }), "version", {"host2"}, "Cohort 1.2.2");
  ExpectFault(second([](Facts& f) { f.wire_version = 10; }), "version", {"host2"}, "wire 10");
  // Two names of one host, or two hosts of one name.
  ExpectFault(second([](Facts& f) { f.host = "host1"; }), "names", {"host1", "host2"}, "\"host1\"");
}

TEST(DoctorChecks, TheDatasetIsTheSameEverywhere) {
  Needs needs = SomeNeeds();
  needs.data = "/shared/shop.h5";
  needs.data_bytes = 1000;
  ClusterFacts facts = GoodCluster(3);
  for (HostProbe& host : facts.hosts) host.facts.data_bytes = 1000;
  EXPECT_THAT(FaultsIn(facts, needs), IsEmpty());
  facts.hosts[2].facts.data_bytes = 999;
  ExpectFault(facts, "data", {"host3"}, "999 bytes, here 1000", Severity::kBad, needs);
  facts.hosts[2].facts.data_bytes = -1;
  ExpectFault(facts, "data", {"host3"}, "cannot be read there", Severity::kBad, needs);
}

TEST(DoctorChecks, TheSameFaultOfSeveralHostsIsOneLine) {
  ClusterFacts facts = GoodCluster(4);
  facts.hosts[1].facts.open_files = facts.hosts[3].facts.open_files = 64;
  ExpectFault(facts, "open files", {"host2", "host4"}, "limit 64");
}

TEST(DoctorChecks, AClockIsHeldAgainstThatOfMostHosts) {
  ClusterFacts facts = GoodCluster(3);
  facts.hosts[1].clock_ahead_seconds = 60;
  ExpectFault(facts, "clock", {"host2"}, "60.0 s ahead of most of the others", Severity::kLow);
  // It is this machine's clock that is wrong.
  for (HostProbe& host : facts.hosts) host.clock_ahead_seconds = 60;
  facts.hosts[0].clock_ahead_seconds = 0;
  ExpectFault(facts, "clock", {"host1"}, "60.0 s behind most of the others", Severity::kLow);
  // What cannot be told from the time that the answer took is no skew.
  facts = GoodCluster(3);
  facts.hosts[1].clock_ahead_seconds = 1.5;
  facts.hosts[1].clock_error_seconds = 0.6;
  EXPECT_THAT(FaultsIn(facts), IsEmpty());
  facts = GoodCluster(2);
  facts.hosts[1].clock_ahead_seconds = -5;
  ExpectFault(facts, "clock", {"host2"}, "5.0 s behind host1's", Severity::kLow);
}

TEST(DoctorChecks, AHostThatDoesNotAnswerIsNamedOnce) {
  for (const auto& [answer, words] : std::vector<std::pair<Answer, std::string>>{
           {Answer::kRefused, "could not start anything there: Permission denied"},
           {Answer::kNoProgram, "cohort is not there"},
           {Answer::kOtherProgram, "knows no probe"},
           {Answer::kSilent, "no answer in time"},
           {Answer::kDied, "ended too soon"}}) {
    ClusterFacts facts = GoodCluster(3);
    facts.hosts[1].answer = answer;
    facts.hosts[1].words = "Permission denied";
    facts.hosts[1].has_facts = false;
    facts.hosts[1].pairs.clear();
    for (const std::size_t other : {0, 2}) facts.hosts[other].pairs[1] = {};
    EXPECT_THAT(FitForMpi(facts, SomeNeeds()), ElementsAre("host1", "host3"));
    ExpectFault(facts, "answer", {"host2"}, words);
  }
}

TEST(DoctorChecks, AHostThatNobodyCanCallIsNamedOnce) {
  ClusterFacts facts = GoodCluster(5);
  for (const std::size_t other : {0, 2, 3, 4}) Cut(facts, other, 1);
  EXPECT_EQ(FitForMpi(facts, SomeNeeds()), (Words{"host1", "host3", "host4", "host5"}));
  ExpectFault(facts, "reach", {"host2"}, "no other host can connect to its port at 10.1.0.2 (eth0)");
  for (const std::size_t other : {0, 2, 3, 4}) Cut(facts, 1, other);
  ExpectFault(facts, "reach", {"host2"}, "no other host reaches it at 10.1.0.2 (eth0), and it reaches none");
  facts = GoodCluster(5);
  for (const std::size_t other : {0, 2, 3, 4}) Cut(facts, 1, other);
  ExpectFault(facts, "reach", {"host2"}, "it can connect to no other host");
}

TEST(DoctorChecks, OfTwoHostsTheOneThatLetsNobodyInIsNamed) {
  ClusterFacts facts = GoodCluster(2);
  Cut(facts, 0, 1);
  ExpectFault(facts, "reach", {"host2"}, "no other host can connect to its port");
  Cut(facts, 1, 0);
  ExpectFault(facts, "reach", {"host1", "host2"},
              "cannot connect: host1 to host2 at 10.1.0.2, host2 to host1");
}

TEST(DoctorChecks, APairIsNamedWhereOnlyThatPairFails) {
  ClusterFacts facts = GoodCluster(4);
  Cut(facts, 1, 3, Reach::kRefused);
  ExpectFault(facts, "reach", {"host2", "host4"}, "host2 to host4 at 10.1.0.4");
}

TEST(DoctorChecks, AnInterfaceOutsideTheCommonNetworkIsNamed) {
  ClusterFacts facts = GoodCluster(3);
  HostFacts& second = facts.hosts[1].facts;
  second.interfaces.push_back({"docker0", "172.17.0.1", 16, true, false});
  second.address = "172.17.0.1";
  // A network of its own does no harm where there is a route.
  EXPECT_THAT(FaultsIn(facts), IsEmpty());
  for (const std::size_t other : {0, 2}) Cut(facts, other, 1, Reach::kNoRoute);
  ExpectFault(facts, "interface", {"host2"},
              "it listens on 172.17.0.1 (docker0), and the others are in 10.1.0.0/24");
  EXPECT_THAT(FaultsIn(facts)[0].mend, HasSubstr("cluster.interface=\"eth0\""));

  facts = GoodCluster(3);
  facts.hosts[2].facts.address = "127.0.0.1";
  ExpectFault(facts, "interface", {"host3"}, "which no other host reaches");
  facts = GoodCluster(3);
  facts.hosts[2].facts.address.clear();
  facts.hosts[2].facts.address_error = "host host3 has no \"eth7\"";
  ExpectFault(facts, "interface", {"host3"}, "has no \"eth7\"");
}

TEST(DoctorChecks, AnMpiStartThatFailsNamesWhoDidNotCome) {
  ClusterFacts facts = GoodCluster(3);
  facts.mpi.greeted = {"host1", "host3"};
  facts.mpi.error = "2 of 3 processes took part";
  ExpectFault(facts, "MPI start", {"host2"}, "2 of 3 processes took part");
  facts.mpi = {};
  ExpectFault(facts, "MPI start", {"host1", "host2", "host3"}, "not tried", Severity::kLow);
}

TEST(DoctorChecks, FactsAreTheSameAfterTheirWayThroughALine) {
  HostFacts facts = GoodHost(4).facts;
  facts.missing = {"/a b", "c\"d"};
  facts.data_bytes = 77;
  facts.write_error = "line\nbreak";
  const std::string line = ToLine(ProbeLine(facts));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto read = ProbeLineFrom(line, facts.version);
  ASSERT_TRUE(read.has_value()) << read.error().text();
  const HostFacts& same = std::get<HostFacts>(*read);
  EXPECT_TRUE(same.whole);
  EXPECT_EQ(ToLine(ProbeLine(same)), line);
}

TEST(DoctorChecks, LinesThatAreNoneAreToldFromThoseThatAreWrong) {
  for (const char* noise : {"", "Welcome to host2!", "{\"motd\": 1}", "[1, 2]", "{\"facts\": "}) {
    const auto read = ProbeLineFrom(noise, "1.2.3");
    ASSERT_TRUE(read.has_value()) << noise;
    EXPECT_TRUE(std::holds_alternative<std::monostate>(*read)) << noise;
  }
  const std::string here = R"({"facts": {"host": "h", "version": "1.2.3", "wire_version": 11}})",
                    other = R"({"facts": {"host": "h", "version": "0.9.0", "wire_version": 3}})";
  EXPECT_FALSE(ProbeLineFrom(here, "1.2.3").has_value());
  const auto read = ProbeLineFrom(other, "1.2.3");
  ASSERT_TRUE(read.has_value());
  EXPECT_FALSE(std::get<HostFacts>(*read).whole);
  EXPECT_FALSE(
      ProbeLineFrom(R"({"pairs": [{"reach": 9, "words": "", "round_trip_seconds": 0}]})", "").has_value());
  EXPECT_FALSE(OrderFromLine("{}").has_value());
  EXPECT_FALSE(OrderFromLine(R"({"look": {"folder": 7}})").has_value());
}

TEST(DoctorChecks, AnInterfaceThatIsNotThereIsSaidOfOneHostToo) {
  ClusterFacts facts = GoodCluster(1);
  facts.hosts[0].pairs[0] = {Reach::kReached, "", 1e-4};
  Needs needs = SomeNeeds();
  for (const std::string& named : {std::string("eth0"), Address(0)}) {
    needs.interface = named;
    EXPECT_THAT(FaultsIn(facts, needs), IsEmpty()) << named;
  }
  needs.interface = "eth9";
  ExpectFault(facts, "interface", {"host1"}, "no \"eth9\" with an IPv4 address", Severity::kLow, needs);
}

}  // namespace
}  // namespace cohort::doctor_checks_test
