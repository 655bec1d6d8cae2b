#include "launch/doctor/cluster_probe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "common/process.h"
#include "launch/doctor/look_at_host.h"
#include "launch/doctor/pair_trial.h"
#include "launch/doctor/probe.h"
#include "launch/doctor/probe_lines.h"
#include "launch/hostfile.h"
#include "launch/line_process.h"

namespace cohort {
namespace {

constexpr int kClockQuestions = 3;                    // the one that was answered soonest counts
constexpr Duration kSlack = std::chrono::seconds(2);  // for the answer of a probe that has used all its time
constexpr Duration kLongestWait = std::chrono::milliseconds(200);
constexpr int kNotFound = 127, kNotRunnable = 126;  // a shell's exit codes

std::int64_t NowNanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// A file in a folder while the object lives, by which others see that it is the same folder. Without one, where it cannot be made.
class Marker {
 public:
  explicit Marker(const std::string& folder) {
    std::string path = folder + "/.cohort-doctor-XXXXXX";
    const int file = mkostemp(path.data(), O_CLOEXEC);
    if (file < 0) return;
    close(file);
    path_ = path;
  }
  ~Marker() {
    if (!path_.empty()) unlink(path_.c_str());
  }
  Marker(const Marker&) = delete;
  Marker& operator=(const Marker&) = delete;
  std::string name() const { return path_.substr(path_.rfind('/') + 1); }

 private:
  std::string path_;
};

// One host, its probe, and how far they are.
struct Patient {
  HostProbe probe;
  std::unique_ptr<LineProcess> process;  // null: it could not be started
  std::string stage;                     // what it said last that it was about
  int clocks = 0;                        // answers
  std::int64_t asked = 0;                // ns since 1970, the last question for the time
  bool has_pairs = false;
  bool over = false;  // there is nothing more to hope from it

  bool has_all() const { return probe.has_facts && (clocks == kClockQuestions || !probe.facts.whole); }
};

std::string LastWords(const Patient& patient) {
  const std::vector<std::string>& words = patient.process->words();
  // The first line tells more than the last, where a program ends with its usage; ssh's last one is the reason.
  for (auto line = words.rbegin(); line != words.rend(); ++line) {
    if (line->starts_with("error: ")) return line->substr(7);
  }
  return words.empty() ? "" : words.back();
}

class ProbeRound {
 public:
  ProbeRound(const ClusterProbeOptions& options, const std::string& marker) : options_(options) {
    order_ = options.order;
    order_.marker = marker;
    order_.alone = options.hosts.size() == 1;
  }

  Status Start() {
    const int connect = static_cast<int>(
        std::chrono::floor<std::chrono::seconds>(options_.answer_limit - std::chrono::seconds(1)).count());
    const std::string program = ProgramFolder() + "/cohort";
    std::optional<std::vector<std::string>> agent;
    patients_.resize(options_.hosts.size());
    start_ = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < patients_.size(); ++i) {
      Patient& patient = patients_[i];
      patient.probe.name = options_.hosts[i];
      std::vector<std::string> command;
      if (IsThisHost(patient.probe.name)) {
        command = {program, "doctor", kProbeOption};
      } else {
        if (!agent) {
          COHORT_ASSIGN_OR_RETURN(agent, LaunchAgent(connect));
        }
        command = *agent;
        command.insert(command.end(), {patient.probe.name, ShellWord(program) + " doctor " + kProbeOption});
      }
      COHORT_ASSIGN_OR_RETURN(patient.process, LineProcess::Start(command));
      patient.process->Say(ToLine(ProbeOrder(order_)));
    }
    return {};
  }

  Status HearFacts() {
    return Hear("looking at", start_ + options_.answer_limit,
                [](const Patient& patient) { return patient.has_all(); });
  }

  Status HearPairs() {
    std::vector<std::string> endpoints;
    for (const Patient& patient : patients_)
      endpoints.push_back(patient.over || !patient.probe.facts.whole ? "" : patient.probe.facts.endpoint);
    const double seconds = std::chrono::duration<double>(options_.pairs_limit).count();
    for (std::size_t i = 0; i < patients_.size(); ++i) {
      if (patients_[i].over || !patients_[i].probe.facts.whole) continue;
      std::vector<std::string> others = endpoints;
      if (others.size() > 1) others[i].clear();
      patients_[i].process->Say(
          ToLine(ProbeOrder(PairsOrder{static_cast<std::uint32_t>(i), seconds, std::move(others)})));
    }
    return Hear("calling from", std::chrono::steady_clock::now() + options_.pairs_limit + kSlack,
                [](const Patient& patient) { return patient.has_pairs || !patient.probe.facts.whole; });
  }

  ClusterFacts Take() {
    ClusterFacts facts;
    for (Patient& patient : patients_) facts.hosts.push_back(std::move(patient.probe));
    return facts;
  }

 private:
  template <typename Done>
  Status Hear(const std::string& what, std::chrono::steady_clock::time_point deadline, const Done& done) {
    for (;;) {
      std::vector<LineProcess*> open;
      for (Patient& patient : patients_) {
        if (!patient.over && !done(patient)) open.push_back(patient.process.get());
      }
      if (options_.progress && !open.empty())
        options_.progress(what + " " + std::to_string(patients_.size()) + " hosts, " +
                          std::to_string(open.size()) + " to go");
      const Duration left = deadline - std::chrono::steady_clock::now();
      if (open.empty() || left <= Duration::zero()) break;
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
      LineProcess::Await(open, std::min(left, kLongestWait));
      for (Patient& patient : patients_) {
        if (!patient.over) Listen(patient);
      }
    }
    for (Patient& patient : patients_) {
      if (patient.over || done(patient)) continue;
      patient.over = true;
      patient.probe.answer = Answer::kSilent;
      patient.probe.words = patient.stage.empty() ? LastWords(patient) : "it was " + patient.stage;
    }
    return {};
  }

  void Listen(Patient& patient) {
    HostProbe& probe = patient.probe;
    for (const std::string& text : patient.process->Heard()) {
      auto line = ProbeLineFrom(text, options_.version);
      if (!line) {
        probe.answer = Answer::kOtherProgram;
        probe.words = "it says what this version does not understand: " + line.error().text();
        patient.over = true;
        return;
      }
      if (const auto* stage = std::get_if<StageLine>(&*line)) {
        patient.stage = stage->text;
      } else if (auto* facts = std::get_if<HostFacts>(&*line)) {
        probe.facts = std::move(*facts);
        probe.has_facts = true;
        probe.answer = Answer::kWhole;
        patient.stage = "asked for the time";
        if (probe.facts.whole) AskClock(patient);
      } else if (const auto* clock = std::get_if<ClockLine>(&*line)) {
        HearClock(patient, clock->nanoseconds);
      } else if (auto* pairs = std::get_if<std::vector<PairFact>>(&*line)) {
        if (pairs->size() == patients_.size()) probe.pairs = std::move(*pairs);
        patient.has_pairs = true;
      }
    }
    if (patient.process->exit_code()) HearEnd(patient, *patient.process->exit_code());
  }

  void AskClock(Patient& patient) {
    patient.asked = NowNanoseconds();
    patient.process->Say(ToLine(ProbeOrder(ClockOrder{})));
  }

  // The answer was given at some time between question and now: in the middle, give or take the half.
  void HearClock(Patient& patient, std::int64_t nanoseconds) {
    if (patient.clocks == kClockQuestions) return;
    const std::int64_t now = NowNanoseconds();
    const double half = static_cast<double>(now - patient.asked) / 2e9;
    const double ahead = static_cast<double>(nanoseconds - patient.asked) / 1e9 - half;
    if (patient.clocks == 0 || half < patient.probe.clock_error_seconds) {
      patient.probe.clock_ahead_seconds = ahead;
      patient.probe.clock_error_seconds = half;
    }
    if (++patient.clocks < kClockQuestions) AskClock(patient);
    if (patient.clocks == kClockQuestions) patient.stage = "calling the other hosts";
  }

  void HearEnd(Patient& patient, int exit_code) {
    patient.over = true;
    HostProbe& probe = patient.probe;
    probe.words = LastWords(patient);
    if (!patient.stage.empty() || probe.has_facts) {
      probe.answer = Answer::kDied;
      if (!patient.stage.empty())
        probe.words += (probe.words.empty() ? "it was " : "; it was ") + patient.stage;
    } else if (exit_code == kNotFound || exit_code == kNotRunnable) {
      probe.answer = Answer::kNoProgram;
    } else if (exit_code == Status(ErrorCode::kInvalidInput, "").exit_code()) {
      probe.answer = Answer::kOtherProgram;
    } else {
      probe.answer = Answer::kRefused;
    }
    if (probe.words.empty()) probe.words = "it ended with exit code " + std::to_string(exit_code);
  }

  const ClusterProbeOptions& options_;
  LookOrder order_;
  std::chrono::steady_clock::time_point start_{};
  std::vector<Patient> patients_;
};

}  // namespace

Result<ClusterFacts> ProbeCluster(const ClusterProbeOptions& options) {
  CatchStopSignals();
  const Marker marker(options.order.folder);
  ProbeRound round(options, marker.name());
  COHORT_RETURN_IF_ERROR(round.Start());
  COHORT_RETURN_IF_ERROR(round.HearFacts());
  COHORT_RETURN_IF_ERROR(round.HearPairs());
  ClusterFacts facts = round.Take();
  facts.marked = !marker.name().empty();
  return facts;
}

ClusterFacts LookHere(const LookOrder& order, const std::string& version) {
  ClusterFacts facts;
  HostProbe probe;
  LookOrder here = order;
  here.alone = true;
  probe.name = HostName();
  probe.facts = LookAtHost(here, version, [](const std::string&) {});
  probe.has_facts = true;
  probe.answer = Answer::kWhole;
  ZmqContext context;
  const auto end = EchoEnd::Open(context, probe.facts.address);
  if (end) {
    probe.facts.endpoint = (*end)->endpoint();
    probe.pairs = CallAll(context, 0, {probe.facts.endpoint}, std::chrono::seconds(2));
  } else {
    probe.facts.address_error = end.error().text();
  }
  facts.hosts.push_back(std::move(probe));
  return facts;
}

}  // namespace cohort
