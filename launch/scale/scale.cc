#include "launch/scale/scale.h"

#include <stdlib.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "common/atomic_file.h"
#include "common/process.h"
#include "launch/bench/stopwatch.h"
#include "launch/bench/training_job.h"
#include "launch/bench/training_run.h"
#include "launch/cluster_job.h"
#include "launch/report/html.h"
#include "launch/report/run_data.h"
#include "launch/run_folder.h"
#include "launch/scale/faults.h"
#include "launch/scale/link.h"
#include "launch/scale/point_log.h"
#include "launch/scale/run_figures.h"
#include "launch/scale/scale_page.h"

namespace cohort::scale {
namespace {

using bench::WallSeconds;

// One point, once. `stream`: of its faults.
Result<Figures> Measure(const Experiment& experiment, const Settings& settings, const RunConfig& config,
                        const std::string& folder, std::uint64_t stream, const bench::Progress& progress) {
  Figures before;
  if (double load = 0; getloadavg(&load, 1) == 1) before["load_average"] = load;
  std::optional<Faults> faults;
  if (settings.faults_per_hour > 0)
    faults.emplace(folder, settings.faults_per_hour, experiment.warm_epochs,
                   experiment.warm_epochs + experiment.epochs, experiment.seed, stream);
  const auto work = [&] { return bench::RunTraining(config, folder, progress); };
  const Status verdict = settings.link_mbit > 0 ? OnLink(settings.link_mbit, work) : work();
  if (faults) faults->Stop();
  if (!verdict.ok()) return tl::unexpected(verdict);
  COHORT_ASSIGN_OR_RETURN(const RunData run, ReadRunData(folder));
  Figures figures = FiguresOf(run, experiment);
  figures.merge(before);
  if (!faults) return figures;
  figures["faults"] = faults->killed();
  // By a clock that goes on while nobody trains, and by samples that are not done twice.
  if (faults->measured_seconds() > 0 && !run.samples.empty()) {
    figures["seconds"] = faults->measured_seconds();
    figures["samples_per_second"] =
        experiment.epochs * run.samples.back().Value("phase_rows") / figures["seconds"];
  }
  return figures;
}

class Runner {
 public:
  Runner(const Experiment& experiment, const ScaleOptions& options)
      : experiment_(experiment), options_(options) {}

  Result<ScaleResults> Run() {
    CatchStopSignals();
    COHORT_RETURN_IF_ERROR(CheckPoints());
    COHORT_ASSIGN_OR_RETURN(PointLog log,
                            PointLog::Open(options_.out, experiment_, "measured", ThisMachine()));
    if (!log.other_machine().empty()) {
      return InvalidInput(options_.out + " was begun on another machine (" + log.other_machine() +
                          "), whose figures do not stand beside this one's; give --out another folder");
    }
    for (const std::string& warning : WarningsOf(experiment_)) options_.note("warning: " + warning);
    std::vector<Turn> turns = Interleaved(experiment_);
    const std::size_t all = turns.size();
    std::erase_if(turns, [&](const Turn& turn) { return log.Has(turn); });
    if (turns.size() < all && !turns.empty())
      options_.note(options_.out + " has " + Count(all - turns.size(), all) + " already: goes on from there");
    Status status = turns.empty() ? Status() : RunTurns(turns, all, &log);
    const Status written = WriteScale(options_.out, log.results(), {});
    if (!status.ok()) {
      return Error(status.code(), status.text() + "\n" + options_.out + " keeps " + Count(log.size(), all) +
                                      "; the same command goes on from there");
    }
    if (!written.ok()) return tl::unexpected(written);
    return log.results();
  }

 private:
  static std::string Count(std::size_t done, std::size_t all) {
    return std::to_string(done) + " of " + std::to_string(all) + " repetitions";
  }

  // What would be found wrong in hours is found now: the user's data, and what links need.
  Status CheckPoints() const {
    bool links = false;
    for (const Settings& settings : experiment_.points) {
      links |= settings.link_mbit > 0;
      if (!experiment_.job.empty()) continue;
      ClusterJob job;
      COHORT_ASSIGN_OR_RETURN(job.config, experiment_.ConfigOf(settings, ""));
      const Status status = CheckClusterJob(job);
      if (!status.ok()) return status.Within(experiment_.path + ": the point of " + Describe(settings));
    }
    return links ? OnLink(1000, [] { return Status(); }) : Status();
  }

  Status RunTurns(const std::vector<Turn>& turns, std::size_t all, PointLog* log) {
    COHORT_ASSIGN_OR_RETURN(const ScratchFolder folder, ScratchFolder::Create(options_.folder));
    const std::string data = folder / "data.h5";
    if (!experiment_.job.empty()) {
      COHORT_RETURN_IF_ERROR(DrawData(data));
    }
    const double begun = WallSeconds();
    for (std::size_t i = 0; i < turns.size(); ++i) {
      const Turn& turn = turns[i];
      const Settings& settings = experiment_.points[turn.point];
      COHORT_ASSIGN_OR_RETURN(const RunConfig config, experiment_.ConfigOf(settings, data));
      const auto left = [&](std::size_t done) {  // of `done` that took so long
        if (done == 0) return std::string();
        const double each = (WallSeconds() - begun) / static_cast<double>(done);
        return ", " + FormatSeconds(each * static_cast<double>(turns.size() - done)) + " left";
      };
      const std::string place = std::to_string(all - turns.size() + i + 1) + " of " + std::to_string(all);
      const auto figures =
          Measure(experiment_, settings, config, folder / "run",
                  turn.repetition * experiment_.points.size() + turn.point, [&](const std::string& line) {
                    options_.progress(place + left(i) + ": " + Describe(settings) + ": " + line);
                  });
      if (!figures)
        return figures.error().Within(Describe(settings) + ", repetition " +
                                      std::to_string(turn.repetition + 1));
      COHORT_RETURN_IF_ERROR(log->Append(turn, *figures));
      Tell(place + left(i + 1), settings, *figures);
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
    }
    return {};
  }

  Status DrawData(const std::string& path) const {
    const auto data = bench::WriteTrainingData(experiment_.DataOptions(), path, options_.progress);
    return data ? Status() : data.error();
  }

  void Tell(const std::string& place, const Settings& settings, const Figures& figures) const {
    std::string text = place + ": " + Describe(settings);
    const auto add = [&](const char* name, const char* unit) {
      const auto found = figures.find(name);
      if (found != figures.end()) text += "; " + FormatShort(found->second) + " " + unit;
    };
    add("samples_per_second", "samples/s");
    add("cpu_s_per_msample", "CPU s per million");
    add("faults", "killed");
    options_.note(text);
  }

  const Experiment& experiment_;
  const ScaleOptions& options_;
};

}  // namespace

Result<ScaleResults> RunScale(const Experiment& experiment, const ScaleOptions& options) {
  return Runner(experiment, options).Run();
}

}  // namespace cohort::scale
