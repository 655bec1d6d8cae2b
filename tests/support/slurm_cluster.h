// SlurmCluster: a Slurm of its own (munged, slurmctld, a slurmd a host) on the hosts of a NetworkHosts, for tests of what is submitted to one. Nothing of
// the machine's own Slurm, if it has one, is touched: key, socket, ports, state and configuration are the test's. Debian's slurmctld, slurmd,
// slurm-client and munge; needs root.
#ifndef COHORT_TESTS_SUPPORT_SLURM_CLUSTER_H_
#define COHORT_TESTS_SUPPORT_SLURM_CLUSTER_H_

#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/network_hosts.h"
#include "tests/support/processes.h"
#include "tests/support/subprocess.h"

namespace cohort::testing {

class SlurmCluster {
 public:
  // Hosts host1 .. host`count`, of two processors each, in a partition; the controller is on host1. `hosts` and `folder` outlive it.
  SlurmCluster(const NetworkHosts& hosts, int count, const TemporaryFolder& folder)
      : hosts_(hosts), folder_(folder) {
    for (const char* program : {"munged", "slurmctld", "slurmd", "sbatch", "scontrol"}) {
      if (RunProgram({"sh", "-c", std::string("command -v ") + program}).exit_code == 0) continue;
      failure_ = std::string(program) + " is missing (launch/install-dependencies --with-cluster)";
      return;
    }
    Configure(count);
    daemons_.push_back(
        Start(1, {"munged", "--foreground", "--force", "--key-file=" + folder / "munge.key",
                  "--socket=" + Socket(), "--pid-file=" + folder / "munge.pid",
                  "--log-file=" + folder / "munge.log", "--seed-file=" + folder / "munge.seed"}));
    if (!Within(std::chrono::seconds(10), [&] { return std::filesystem::exists(Socket()); })) {
      failure_ = "munged did not start: " + daemons_.back()->Wait(std::chrono::seconds(0)).all();
      return;
    }
    daemons_.push_back(Start(1, {"slurmctld", "-D"}));
    for (int host = 1; host <= count; ++host) daemons_.push_back(Start(host, {"slurmd", "-D"}));
    const std::string idle = std::to_string(count) + " idle\n";
    if (!Within(std::chrono::seconds(30), [&] { return On(1, {"sinfo", "-h", "-o", "%D %T"}).out == idle; }))
      failure_ = "the hosts did not register: " + Logs();
  }

  // Why there is none; empty: there is one.
  const std::string& failure() const { return failure_; }

  // A command of Slurm's on a host.
  std::unique_ptr<Subprocess> Start(int host, const std::vector<std::string>& command,
                                    std::map<std::string, std::string> environment = {}) const {
    environment["SLURM_CONF"] = folder_ / "slurm.conf";
    std::vector<std::string> words = {"setpriv", "--pdeathsig", "KILL"};  // nothing outlives the test
    for (const std::string& word : hosts_.On(host, command)) words.push_back(word);
    return std::make_unique<Subprocess>(words, environment, folder_.path());
  }
  Outcome On(int host, const std::vector<std::string>& command) const {
    return Start(host, command)->Wait(std::chrono::seconds(20));
  }
  // What the daemons have to say last, for a test that fails.
  std::string Logs() const { return On(1, {"sh", "-c", "tail -n 20 -v *.log"}).all(); }

 private:
  std::string Socket() const { return folder_ / "munge.socket"; }

  void Configure(int count) const {
    std::random_device random;
    std::string key;
    for (int i = 0; i < 128; ++i) key += static_cast<char>(random());
    ::chmod(folder_.Write("munge.key", key).c_str(), 0600);
    std::filesystem::create_directory(folder_ / "state");
    std::filesystem::create_directory(folder_ / "spool");
    // As no cgroup can be made where the test runs: processes are known by their group. The controller's plugin for version 1 does nothing when
    // nobody asks it to.
    folder_.Write("cgroup.conf", "CgroupPlugin=cgroup/v1\n");
    std::string text = "ClusterName=cohort\nSlurmctldHost=host1(" + NetworkHosts::Address(1) + ")\n";
    for (int host = 1; host <= count; ++host) {
      text +=
          "NodeName=host" + std::to_string(host) + " NodeAddr=" + NetworkHosts::Address(host) + " CPUs=2\n";
    }
    text += "AuthType=auth/munge\nCredType=cred/munge\nAuthInfo=socket=" + Socket() +
            "\nSlurmUser=root\nSlurmdUser=root\nStateSaveLocation=" + folder_ / "state" +
            "\nSlurmdSpoolDir=" + folder_ / "spool/%n" + "\nSlurmctldPidFile=" + folder_ / "slurmctld.pid" +
            "\nSlurmdPidFile=" + folder_ / "slurmd-%n.pid" +
            "\nSlurmctldLogFile=" + folder_ / "slurmctld.log" +
            "\nSlurmdLogFile=" + folder_ / "slurmd-%n.log";
    folder_.Write("slurm.conf", text + R"(
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
PartitionName=all Nodes=ALL Default=YES State=UP
)");
  }

  const NetworkHosts& hosts_;
  const TemporaryFolder& folder_;
  std::string failure_;
  std::vector<std::unique_ptr<Subprocess>> daemons_;
};

}  // namespace cohort::testing

#endif  // COHORT_TESTS_SUPPORT_SLURM_CLUSTER_H_
