// ScaleResults: what the points of an experiment came to, measured by `cohort scale` or simulated by `cohort simulate`:
// scale.json, written and read. Points of both kinds are drawn on the same plots (scale_page.h).
//
// scale.json is one object:
//   name, source ("measured" | "simulated"), job, fingerprint, warm_epochs, epochs, target {task, loss} or null
//   machine   {processor, cores, version}; of simulated points: the machine that the cost model is of
//   points    [{settings: {workers, servers, shards_per_server, batch, batch_per_worker, consistency, staleness, embedding_dim,
//               faults_per_hour, link_mbit},
//               figures: {NAME: {median, low, high, values: [one for each repetition]}}}]; low, high: lowest and highest
//
// Figures of a repetition (a simulation leaves out what it does not know; nothing else depends on a name):
//   samples_per_second          of the measured epochs
//   seconds                     of the measured epochs
//   cpu_s_per_msample           CPU seconds of all processes for a million samples of the measured epochs;
//   worker_cpu_s_per_msample, server_cpu_s_per_msample, scheduler_cpu_s_per_msample   its parts
//   run_cpu_s_per_msample       the same of the whole run: its start, its warm epochs and its end included
//   worker_bytes_per_msample, server_bytes_per_msample   sent by all workers, by all servers, for a million samples
//   worker_memory_bytes, server_memory_bytes             highest resident memory of one process of the role
//   loss                        training loss of the last epoch, summed over the tasks
//   seconds_to_loss             of training, from its beginning, to the target; absent: never
//   faults, recoveries, lost_pushes   processes killed; replacements, failovers, takeovers and restarts; parts of pushes lost
//   retries                     requests sent again, as no answer came within cluster.retry_seconds
//   load_average                of the machine, just before
#ifndef COHORT_LAUNCH_SCALE_RESULTS_H_
#define COHORT_LAUNCH_SCALE_RESULTS_H_

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/machine.h"
#include "launch/scale/experiment.h"

namespace cohort::scale {

inline constexpr const char* kScaleFile = "scale.json";  // in OUT

using Figures = std::map<std::string, double>;  // by name; what is not known is not there

struct Spread {
  double median = 0, low = 0, high = 0;  // NaN: no repetition has the figure
  std::vector<double> values;            // by repetition, without those that lack it
};

struct PointResult {
  Settings settings;
  std::vector<Figures> repetitions;

  Spread Of(const std::string& figure) const;
  double Median(const std::string& figure) const { return Of(figure).median; }
};

struct ScaleResults {
  std::string name, source, job, fingerprint;
  std::uint32_t warm_epochs = 0, epochs = 0;
  std::optional<Target> target;
  Machine machine;
  std::vector<PointResult> points;

  // What a point is measured against: the point of the fewest processes (then workers, then shards) among those that have
  // repetitions and differ from it by the cluster's size only; itself, if there is none. REQUIRES: `point` is below points.size().
  const PointResult& BaselineOf(std::size_t point) const;
};
// Without repetitions.
ScaleResults ResultsOf(const Experiment& experiment, const std::string& source, const Machine& machine);

std::string ToJson(const ScaleResults& results);
// kCorrupt: not what ToJson writes; `origin` names the text.
Result<ScaleResults> ScaleResultsFromJson(const std::string& text, const std::string& origin);
// OUT/scale.json, or the file itself. kInvalidInput: there is none.
Result<ScaleResults> ReadScaleResults(const std::string& path);

// As they stand in scale.json and in points.jsonl. Reading throws BadJson (json_guard.h), or what json.at() throws.
nlohmann::ordered_json SettingsToJson(const Settings& settings);
Settings SettingsFromJson(const nlohmann::ordered_json& json);

}  // namespace cohort::scale

#endif  // COHORT_LAUNCH_SCALE_RESULTS_H_
