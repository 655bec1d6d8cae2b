// cohort doctor: on this machine, on three hosts (network namespaces with names and addresses of their own) with a fault planted in one of
// them, and on fifty.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/end_to_end/shop_run.h"
#include "tests/support/network_hosts.h"
#include "tests/support/subprocess.h"

namespace cohort::testing::doctor_test {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using ::testing::HasSubstr;

json Parsed(const Outcome& outcome) {
  json result = json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  if (result.is_object() && result.contains("checks") && result.contains("hosts")) return result;
  ADD_FAILURE() << outcome.all();
  return {{"checks", json::array()}, {"hosts", json::array()}, {"pairs", json::array()}};
}

// The checks of that name that are not good.
std::vector<json> FaultsOf(const json& result, const std::string& name) {
  std::vector<json> faults;
  for (const json& check : result["checks"]) {
    if (check["name"] == name && !check["good"]) faults.push_back(check);
  }
  return faults;
}
// All checks that are not good, but for the MPI start, which leaves out the hosts that have a fault.
std::string FaultyNames(const json& result) {
  std::string names;
  for (const json& check : result["checks"]) {
    if (!check["good"] && check["name"] != "MPI start") names += check["name"].get<std::string>() + ";";
  }
  return names;
}

TEST(DoctorHere, ThisMachine) {
  const Outcome outcome = RunProgram({Program(), "doctor", "--json"}, seconds(60));
  const json result = Parsed(outcome);
  for (const char* name :
       {"AVX2", "open files", "memory", "run folder", "loopback", "mpirun", "programs", "MPI start"}) {
    bool there = false;
    for (const json& check : result["checks"]) there = there || (check["name"] == name && check["good"]);
    EXPECT_TRUE(there) << name << ": " << outcome.all();
  }
  EXPECT_EQ(outcome.exit_code, 0) << outcome.all();
}

TEST(DoctorHere, BadInputIsNamed) {
  const TemporaryFolder folder;
  const auto refused = [](const std::vector<std::string>& words, const std::string& text) {
    std::vector<std::string> command = {Program(), "doctor"};
    command.insert(command.end(), words.begin(), words.end());
    const Outcome outcome = RunProgram(command, seconds(60));
    EXPECT_EQ(outcome.exit_code, 2) << outcome.all();
    EXPECT_THAT(outcome.err, HasSubstr(text));
  };
  refused({"--hostfile", folder / "none"}, "--hostfile");
  refused({"--hostfile", folder.Write("empty", "# nobody\n")}, "names no host");
  refused({"--run", folder.Write("run.toml", "data = \"none.h5\"\n")}, "none.h5 cannot be read here");
  refused({"--wait", "1"}, "--wait");
}

// One probe answers to whoever speaks its language, and says so to others.
TEST(DoctorHere, AProbeObeysNobodyElse) {
  const Outcome outcome =
      RunProgram({"sh", "-c", "echo hello | " + Program() + " doctor --probe"}, seconds(60));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("a probe obeys `cohort doctor` alone"));
}

class Doctor : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    hosts_ = std::make_unique<NetworkHosts>(3, folder_.path());
    if (!hosts_->failure().empty()) GTEST_SKIP() << "no network namespaces here: " << hosts_->failure();
    std::filesystem::create_directory(folder_ / "run");
  }

  // Has the launch agent do `words` of a shell on host 2 before what it starts there.
  void Plant(const std::string& words) { SetAgent("if [ $1 = host2 ]; then before='" + words + "'; fi\n"); }
  // On host 2 the lines of the probe go through a filter.
  void Filter(const std::string& filter) {
    SetAgent("case \"$*\" in host2*--probe*) after='| " + filter + "';; esac\n");
  }
  void SetAgent(const std::string& choice) {
    agent_ =
        folder_.Write("planted_agent", "#!/bin/sh\nbefore=true; after=\n" + choice + "host=$1; shift\nexec " +
                                           folder_.path() + "/agent $host \"$before; { $* ; } $after\"\n");
    std::filesystem::permissions(agent_, std::filesystem::perms::all);
  }

  Outcome RunDoctor(const std::vector<std::string>& more = {}, int wait = 10) {
    std::vector<std::string> words = {
        Program(), "doctor",        "--hostfile", hosts_->list(),
        "--out",   folder_ / "run", "--wait",     std::to_string(wait * kSlowdown),
        "--json"};
    words.insert(words.end(), more.begin(), more.end());
    auto environment = hosts_->Environment();
    if (!agent_.empty()) environment["OMPI_MCA_plm_rsh_agent"] = agent_;
    return Subprocess(hosts_->On(1, words), environment).Wait(seconds(60));
  }

  // The check of that name is bad or low for `hosts` and nobody else, and says so; no other check is.
  void ExpectFault(const Outcome& outcome, const std::string& name, const std::vector<std::string>& hosts,
                   const std::string& found, const std::string& mend, bool needed = true) {
    const json result = Parsed(outcome);
    const std::vector<json> faults = FaultsOf(result, name);
    ASSERT_EQ(faults.size(), 1u) << outcome.err;
    EXPECT_EQ(faults[0]["hosts"], json(hosts)) << outcome.err;
    EXPECT_THAT(faults[0]["found"].get<std::string>(), HasSubstr(found));
    EXPECT_THAT(faults[0]["mend"].get<std::string>(), HasSubstr(mend));
    EXPECT_EQ(faults[0]["needed"], needed);
    EXPECT_EQ(FaultyNames(result), name + ";") << outcome.err;
    EXPECT_EQ(outcome.exit_code, needed ? 1 : 0) << outcome.err;
    std::string names;
    for (const std::string& host : hosts) names += (names.empty() ? "" : ", ") + host;
    EXPECT_THAT(outcome.err, HasSubstr(names + ": "));
  }

  TemporaryFolder folder_;
  std::unique_ptr<NetworkHosts> hosts_;
  std::string agent_;
};

TEST_F(Doctor, ThreeGoodHosts) {
  const Outcome outcome = RunDoctor();
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json result = Parsed(outcome);
  EXPECT_EQ(FaultyNames(result), "") << outcome.err;
  EXPECT_TRUE(FaultsOf(result, "MPI start").empty()) << outcome.err;
  EXPECT_EQ(result["hosts"].size(), 3u);
  EXPECT_EQ(result["pairs"].size(), 6u);
  for (const json& pair : result["pairs"]) {
    EXPECT_TRUE(pair["reached"]) << pair;
    EXPECT_GT(pair["round_trip_us"], 0.0);
  }
  EXPECT_THAT(outcome.err, HasSubstr("nothing here would stop a run (3 hosts"));
  // What it has made in the folder is gone.
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "run"));
}

TEST_F(Doctor, FindsAClosedPort) {
  hosts_->cable(2).refuses_connections = true;
  ExpectFault(RunDoctor(), "reach", {"host2"}, "no other host can connect to its port at 10.77.77.2",
              "firewall");
}

TEST_F(Doctor, FindsAnotherVersion) {
  Filter("sed -u s/\\\"version\\\":\\\"[^\\\"]*\\\"/\\\"version\\\":\\\"0.0.9\\\"/");
  ExpectFault(RunDoctor(), "version", {"host2"}, "Cohort 0.0.9", "install the same version");
}

TEST_F(Doctor, FindsAVersionThatKnowsNoProbe) {
  SetAgent("if [ $1 = host2 ]; then shift; set -- host2 " + Program() + " doctor --no-such-option; fi\n");
  ExpectFault(RunDoctor(), "answer", {"host2"}, "knows no probe", "install the same version");
}

TEST_F(Doctor, FindsNoProgram) {
  SetAgent("if [ $1 = host2 ]; then shift; set -- host2 /nowhere/cohort doctor; fi\n");
  ExpectFault(RunDoctor(), "answer", {"host2"}, "cohort is not there", "install Cohort there");
}

TEST_F(Doctor, FindsAClockThatIsAMinuteAhead) {
  const std::string shift = folder_.Write("shift.py", R"(import json, sys
for line in iter(sys.stdin.readline, ""):
    said = json.loads(line)
    if "clock" in said: said["clock"] += 60 * 10**9
    print(json.dumps(said), flush=True)
)");
  Filter("python3 " + shift);
  const Outcome outcome = RunDoctor();
  // A run works all the same.
  ExpectFault(outcome, "clock", {"host2"}, "s ahead of most of the others", "NTP", /*needed=*/false);
  const json result = Parsed(outcome);
  ASSERT_EQ(result["hosts"].size(), 3u);
  const double ahead = result["hosts"][1]["clock_ahead_seconds"].get<double>(),
               error = result["hosts"][1]["clock_error_seconds"].get<double>();
  EXPECT_NEAR(ahead, 60, error + 0.001);
  EXPECT_LT(error, 2.0);
}

TEST_F(Doctor, FindsAFullDisk) {
  const std::string run = folder_ / "run";
  Plant("mount -t tmpfs -o size=64k none " + run + " && head -c 60000 /dev/zero > " + run + "/filled");
  const Outcome outcome = RunDoctor();
  const json result = Parsed(outcome);
  const std::vector<json> faults = FaultsOf(result, "disk");
  ASSERT_EQ(faults.size(), 1u) << outcome.all();
  EXPECT_EQ(faults[0]["hosts"], json({"host2"}));
  EXPECT_THAT(faults[0]["found"].get<std::string>(), HasSubstr(run + " is full: No space left on device"));
  EXPECT_THAT(faults[0]["mend"].get<std::string>(), HasSubstr("make room"));
  EXPECT_TRUE(faults[0]["needed"]);
  // It is another file system than here, too.
  ASSERT_EQ(FaultsOf(result, "run folder").size(), 1u) << outcome.all();
  EXPECT_THAT(FaultsOf(result, "run folder")[0]["found"].get<std::string>(),
              HasSubstr("is another folder there"));
  EXPECT_EQ(outcome.exit_code, 1);
}

TEST_F(Doctor, FindsAFullDiskThatAllShare) {
  const std::string run = folder_ / "run";
  ASSERT_EQ(::mount("none", run.c_str(), "tmpfs", 0, "size=64k"), 0);
  std::ofstream(run + "/filled") << std::string(std::size_t{1} << 17, '0');  // as much as there is room for
  const Outcome outcome = RunDoctor();
  ::umount2(run.c_str(), MNT_DETACH);
  const json result = Parsed(outcome);
  ASSERT_EQ(FaultsOf(result, "disk").size(), 1u) << outcome.all();
  EXPECT_EQ(FaultsOf(result, "disk")[0]["hosts"], json({"host1", "host2", "host3"}));
}

TEST_F(Doctor, FindsAFolderThatCannotBeWritten) {
  const std::string run = folder_ / "run";
  Plant("mount --bind " + run + " " + run + " && mount -o remount,bind,ro " + run);
  ExpectFault(RunDoctor(), "run folder", {"host2"}, run + " cannot be written: Read-only file system",
              "writable");
}

TEST_F(Doctor, FindsAFolderThatIsNotShared) {
  const std::string run = folder_ / "run";
  Plant("mount -t tmpfs -o size=2g none " + run);
  ExpectFault(RunDoctor(), "run folder", {"host2"}, "is another folder there than here",
              "mount the same file system");
}

TEST_F(Doctor, FindsTooFewOpenFiles) {
  Plant("ulimit -n 64");
  ExpectFault(RunDoctor(), "open files", {"host2"}, "limit 64, a process of the run needs 512",
              "limits.conf");
}

TEST_F(Doctor, FindsTooLittleMemory) {
  const std::string file =
      folder_.Write("meminfo", "MemTotal: 8000000 kB\nMemFree: 100000 kB\nMemAvailable: 3000000 kB\n");
  Plant("mount --bind " + file + " /proc/meminfo");
  ExpectFault(RunDoctor({"--needs-memory", "3.5"}), "memory", {"host2"},
              "3.1 GB available, the run needs 3.5 GB there", "spread the processes");
}

TEST_F(Doctor, FindsAnInterfaceThatIsMissing) {
  // The interface of a host is named after its number.
  const std::string name = hosts_->InterfaceName(1);
  const Outcome outcome = RunDoctor({"--interface", name});
  const json result = Parsed(outcome);
  const std::vector<json> faults = FaultsOf(result, "interface");
  ASSERT_EQ(faults.size(), 2u) << outcome.all();
  EXPECT_EQ(faults[0]["hosts"], json({"host2"}));
  EXPECT_EQ(faults[1]["hosts"], json({"host3"}));
  EXPECT_THAT(faults[0]["found"].get<std::string>(), HasSubstr("host host2 has no \"" + name + "\""));
  EXPECT_THAT(faults[0]["mend"].get<std::string>(), HasSubstr("set cluster.interface"));
  EXPECT_EQ(outcome.exit_code, 1);
}

// The first interface that is up is one that no other host reaches.
TEST_F(Doctor, FindsAWrongInterface) {
  Plant(
      "ip link add name docker0 index 2 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set "
      "docker0 up");
  ExpectFault(RunDoctor(), "interface", {"host2"},
              "it listens on 172.17.0.1 (docker0), and the others are in 10.77.77.0/24",
              "set cluster.interface=\"" + hosts_->InterfaceName(2) + "\"");
}

TEST_F(Doctor, FindsAHostThatIsCutOff) {
  hosts_->cable(2).cut = true;
  ExpectFault(RunDoctor(), "reach", {"host2"}, "no other host reaches it at 10.77.77.2", "cable");
}

TEST_F(Doctor, FindsAHostThatIsNotThere) {
  // As ssh says it, to an address where nobody is.
  std::ofstream(hosts_->list(), std::ios::app) << "host4 slots=2\n";
  SetAgent("if [ $1 = host4 ]; then exec ssh -o BatchMode=yes -o ConnectTimeout=3 10.77.77.4 true; fi\n");
  const Outcome outcome = RunDoctor();
  const json result = Parsed(outcome);
  ASSERT_EQ(FaultsOf(result, "answer").size(), 1u) << outcome.all();
  const json fault = FaultsOf(result, "answer")[0];
  EXPECT_EQ(fault["hosts"], json({"host4"}));
  EXPECT_THAT(fault["found"].get<std::string>(), HasSubstr("10.77.77.4"));
  EXPECT_THAT(fault["mend"].get<std::string>(), HasSubstr("ssh -o BatchMode=yes HOST true"));
  EXPECT_EQ(outcome.exit_code, 1);
}

TEST_F(Doctor, FindsAnAgentThatIsRefused) {
  SetAgent("if [ $1 = host2 ]; then echo \"root@host2: Permission denied (publickey).\" >&2; exit 255; fi\n");
  ExpectFault(RunDoctor(), "answer", {"host2"}, "Permission denied (publickey)", "authorized_keys");
}

TEST_F(Doctor, FindsAHostThatSaysNothing) {
  SetAgent("if [ $1 = host2 ]; then exec sleep 100; fi\n");
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = RunDoctor({}, 6);
  ExpectFault(outcome, "answer", {"host2"}, "no answer in time", "is it up");
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(30) * kSlowdown);
}

TEST_F(Doctor, FindsThatMpirunIsMissing) {
  Plant("PATH=/nowhere");
  ExpectFault(RunDoctor(), "mpirun", {"host2"}, "mpirun is not to be found", "apt-get install openmpi-bin");
}

TEST_F(Doctor, FindsTooLittleSharedMemory) {
  Plant("mount -t tmpfs -o size=1m none /dev/shm");
  ExpectFault(RunDoctor(), "shared memory", {"host2"}, "1 MB free in /dev/shm", "--shm-size");
}

// Fifty hosts by name, each a process group of its own on this machine.
TEST_F(Doctor, FiftyHosts) {
  std::string list;
  for (int i = 1; i <= 50; ++i) list += "198.51.100." + std::to_string(i) + " slots=2\n";
  const std::string agent = folder_.Write("agent50",
                                          "#!/bin/sh\nhost=$1; shift\nexec unshare --uts sh -c 'hostname "
                                          "sim${0##*.} && eval \"$*\"' $host \"$@\"\n");
  std::filesystem::permissions(agent, std::filesystem::perms::all);
  Subprocess doctor(hosts_->On(1, {Program(), "doctor", "--hostfile", folder_.Write("fifty", list), "--out",
                                   folder_ / "run", "--wait", std::to_string(10 * kSlowdown), "--json"}),
                    {{"OMPI_MCA_plm_rsh_agent", agent}});
  const Outcome outcome = doctor.Wait(seconds(90));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.all();
  const json result = Parsed(outcome);
  EXPECT_EQ(result["pairs"].size(), 50u * 49u);
  EXPECT_EQ(FaultyNames(result), "");
  EXPECT_TRUE(FaultsOf(result, "MPI start").empty()) << outcome.err;
  RecordProperty("seconds", std::to_string(result["seconds"].get<double>()));
  std::printf("fifty hosts: %.1f s\n", result["seconds"].get<double>());
}

}  // namespace
}  // namespace cohort::testing::doctor_test
