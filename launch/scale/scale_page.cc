#include "launch/scale/scale_page.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "common/atomic_file.h"
#include "common/config_option.h"
#include "launch/report/chart.h"
#include "launch/report/html.h"
#include "launch/report/page.h"

namespace cohort::scale {
namespace {

// What can be varied, as a number; the first of those with most values is the plots' horizontal axis.
struct Varied {
  const char* label;
  double (*of)(const Settings&);
  void (*erase)(Settings*);
};
const Varied kVaried[] = {
    {"workers", [](const Settings& s) -> double { return s.workers; }, [](Settings* s) { s->workers = 0; }},
    {"servers", [](const Settings& s) -> double { return s.servers; }, [](Settings* s) { s->servers = 0; }},
    {"shards a server", [](const Settings& s) -> double { return s.shards_per_server; },
     [](Settings* s) { s->shards_per_server = 0; }},
    {"batch", [](const Settings& s) -> double { return s.batch; }, [](Settings* s) { s->batch = 0; }},
    {"embedding dim", [](const Settings& s) -> double { return s.embedding_dim; },
     [](Settings* s) { s->embedding_dim = 0; }},
    {"faults an hour", [](const Settings& s) { return s.faults_per_hour; },
     [](Settings* s) { s->faults_per_hour = 0; }},
    {"link (Mbit/s)", [](const Settings& s) { return s.link_mbit; }, [](Settings* s) { s->link_mbit = 0; }}};
constexpr std::size_t kSizes = 3;  // the first ones: the cluster's size

// A point with what it is held against.
struct Placed {
  const ScaleResults* results;
  const PointResult* point;
  const PointResult* baseline;
};

std::vector<Placed> PlacedPoints(const std::vector<ScaleResults>& all) {
  std::vector<Placed> placed;
  for (const ScaleResults& results : all) {
    for (std::size_t i = 0; i < results.points.size(); ++i) {
      if (!results.points[i].repetitions.empty())
        placed.push_back({&results, &results.points[i], &results.BaselineOf(i)});
    }
  }
  return placed;
}

// Which of kVaried have more than one value.
std::vector<const Varied*> VariedIn(const std::vector<Placed>& points) {
  std::vector<const Varied*> varied;
  for (const Varied& each : kVaried) {
    std::set<double> values;
    for (const Placed& placed : points) values.insert(each.of(placed.point->settings));
    if (values.size() > 1) varied.push_back(&each);
  }
  return varied;
}

const Varied& HorizontalAxis(const std::vector<Placed>& points) {
  const Varied* best = &kVaried[0];
  std::size_t most = 0;
  for (const Varied& each : kVaried) {
    std::set<double> values;
    for (const Placed& placed : points) values.insert(each.of(placed.point->settings));
    if (values.size() > most) best = &each, most = values.size();
  }
  return *best;
}

double Ratio(const Placed& placed, const std::string& figure) {
  return placed.point->Median(figure) / placed.baseline->Median(figure);
}
double SpeedUp(const Placed& placed) { return Ratio(placed, "samples_per_second"); }
double Efficiency(const Placed& placed) {
  return SpeedUp(placed) * placed.baseline->settings.workers / placed.point->settings.workers;
}

// ---------------------------------------------------------------- plots

struct Plot {
  std::string title, label, description;
  std::function<ChartPoint(const Placed&)> value;  // x is left alone
  bool against_workers = false;     // speed-up: as many times as fast as there are times as many workers
  std::optional<double> rule = {};  // "the baseline"
};

Plot PlotOf(const char* title, const char* label, const std::string& figure, double unit,
            const char* description) {
  return {title, label, description, [figure, unit](const Placed& placed) {
            const Spread spread = placed.point->Of(figure);
            return ChartPoint{0, spread.median / unit, spread.low / unit, spread.high / unit};
          }};
}

std::vector<Plot> Plots() {
  std::vector<Plot> plots;
  plots.push_back(PlotOf("Speed", "thousand samples per second", "samples_per_second", 1e3,
                         "samples trained on per second, of the measured epochs"));
  plots.push_back({"Speed-up", "times the baseline's speed", "speed over that of the fewest processes",
                   [](const Placed& placed) {
                     return ChartPoint{0, SpeedUp(placed)};
                   },
                   true, 1.0});
  plots.push_back({"Efficiency", "speed-up by workers",
                   "speed-up over how many times as many workers there are",
                   [](const Placed& placed) {
                     return ChartPoint{0, Efficiency(placed)};
                   },
                   false, 1.0});
  plots.push_back(PlotOf("CPU time, all processes", "CPU s per million samples", "cpu_s_per_msample", 1,
                         "CPU seconds of all processes for a million samples"));
  plots.push_back({"CPU time beside the baseline's", "times the baseline's",
                   "CPU seconds for a million samples over those of the fewest processes",
                   [](const Placed& placed) {
                     return ChartPoint{0, Ratio(placed, "cpu_s_per_msample")};
                   },
                   false, 1.0});
  plots.push_back(PlotOf("CPU time, workers", "CPU s per million samples", "worker_cpu_s_per_msample", 1,
                         "CPU seconds of all workers for a million samples"));
  plots.push_back(PlotOf("CPU time, servers", "CPU s per million samples", "server_cpu_s_per_msample", 1,
                         "CPU seconds of all servers for a million samples"));
  plots.push_back(PlotOf("Sent by workers", "GB per million samples", "worker_bytes_per_msample", 1e9,
                         "bytes that all workers send for a million samples"));
  plots.push_back(PlotOf("Sent by servers", "GB per million samples", "server_bytes_per_msample", 1e9,
                         "bytes that all servers send for a million samples"));
  plots.push_back(PlotOf("Memory of a worker", "MB", "worker_memory_bytes", 1e6,
                         "highest resident memory of the largest worker"));
  plots.push_back(PlotOf("Memory of a server", "MB", "server_memory_bytes", 1e6,
                         "highest resident memory of the largest server"));
  plots.push_back(
      PlotOf("Loss", "loss, summed over the tasks", "loss", 1, "training loss of the last epoch"));
  plots.push_back(PlotOf("Time to the loss", "seconds of training", "seconds_to_loss", 1,
                         "training until the target's loss is reached"));
  plots.push_back(PlotOf("Recoveries", "recoveries of a run", "recoveries", 1,
                         "replacements, failovers, takeovers and restarts of a run"));
  return plots;
}

// The curve that a point is on: its size but for the horizontal axis, and whose results they are.
std::string CurveOf(const Placed& placed, const Varied& x, const std::vector<const Varied*>& varied,
                    bool several) {
  std::string name;
  for (const Varied* each : varied) {
    if (each == &x || each >= kVaried + kSizes) continue;
    const double value = each->of(placed.point->settings);
    const std::string label = each->label;
    name += (name.empty() ? "" : ", ") + Number(value) + " " +
            (value == 1 && label.ends_with("s") ? label.substr(0, label.size() - 1) : label);
  }
  if (several) name += (name.empty() ? "" : ", ") + placed.results->name + " " + placed.results->source;
  return name;
}

std::string RenderPlots(const std::vector<Placed>& points, const Varied& x,
                        const std::vector<const Varied*>& varied, bool several) {
  std::string html = "<div class=\"charts\">\n";
  for (const Plot& plot : Plots()) {
    Chart chart;
    chart.title = plot.title;
    chart.description = plot.description + ", by " + x.label;
    chart.x = {.label = x.label, .whole = &x < kVaried + kSizes};
    chart.y = {.label = plot.label};
    bool any = false, positive = true, one_worker = true;
    std::vector<std::string> names;  // in the order of the points
    for (const Placed& placed : points) {
      const std::string name = CurveOf(placed, x, varied, several);
      auto found = std::find(names.begin(), names.end(), name);
      if (found == names.end()) {
        found = names.insert(names.end(), name);
        chart.series.push_back({name, Mark::kLineAndPoints, {}});
      }
      ChartPoint point = plot.value(placed);
      point.x = x.of(placed.point->settings);
      any |= std::isfinite(point.y) && (point.y != 0 || plot.title != "Recoveries");
      positive &= !(point.y < 0);
      one_worker &= placed.baseline->settings.workers == 1;
      chart.series[static_cast<std::size_t>(found - names.begin())].points.push_back(point);
    }
    if (!any) continue;
    for (Series& series : chart.series) {
      std::sort(series.points.begin(), series.points.end(),
                [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; });
    }
    if (positive && plot.title != "Loss") chart.y.low = 0;
    chart.diagonal = plot.against_workers && one_worker && &x == &kVaried[0];
    if (plot.rule) chart.rules.push_back({*plot.rule, false, "baseline"});
    html += RenderChart(chart);
  }
  return html + "</div>\n";
}

// ---------------------------------------------------------------- tables

struct Table {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
};

std::string Shown(const Spread& spread, double unit, const char* format) {
  if (!std::isfinite(spread.median)) return "–";
  std::string text = Format(format, spread.median / unit);
  if (spread.low < spread.high)
    text += " (" + Format(format, spread.low / unit) + ", " + Format(format, spread.high / unit) + ")";
  return text;
}

Table TableOf(const std::vector<Placed>& points, bool several, bool wide) {
  Table table;
  const std::vector<const Varied*> varied = VariedIn(points);
  std::set<std::string> consistencies;
  for (const Placed& placed : points) consistencies.insert(ConsistencyOf(placed.point->settings));
  struct Column {
    const char* head;
    const char* figure;
    double unit;
    const char* format;
    bool always;
  };
  const Column columns[] = {{"k samples/s", "samples_per_second", 1e3, "%.1f", true},
                            {"CPU s per M samples", "cpu_s_per_msample", 1, "%.1f", true},
                            {"workers' CPU s", "worker_cpu_s_per_msample", 1, "%.1f", true},
                            {"servers' CPU s", "server_cpu_s_per_msample", 1, "%.2f", true},
                            {"scheduler's CPU s", "scheduler_cpu_s_per_msample", 1, "%.2f", false},
                            {"whole run, CPU s", "run_cpu_s_per_msample", 1, "%.1f", false},
                            {"workers sent, GB per M", "worker_bytes_per_msample", 1e9, "%.2f", false},
                            {"servers sent, GB per M", "server_bytes_per_msample", 1e9, "%.2f", false},
                            {"worker, MB", "worker_memory_bytes", 1e6, "%.0f", false},
                            {"server, MB", "server_memory_bytes", 1e6, "%.0f", false},
                            {"loss", "loss", 1, "%.4f", false},
                            {"s to the loss", "seconds_to_loss", 1, "%.1f", false},
                            {"killed", "faults", 1, "%.0f", true},
                            {"recoveries", "recoveries", 1, "%.0f", false},
                            {"pushes lost", "lost_pushes", 1, "%.0f", false},
                            {"requests sent again", "retries", 1, "%.0f", false},
                            {"machine's load before", "load_average", 1, "%.1f", false}};
  std::vector<const Column*> shown;
  for (const Column& column : columns) {
    const bool any = std::any_of(points.begin(), points.end(), [&](const Placed& placed) {
      return std::isfinite(placed.point->Median(column.figure));
    });
    if (any && (wide || column.always)) shown.push_back(&column);
  }
  if (several) table.head.emplace_back("results");
  for (const Varied* each : varied) table.head.emplace_back(each->label);
  if (consistencies.size() > 1) table.head.emplace_back("consistency");
  table.head.insert(table.head.end(), {"runs", "speed-up", "efficiency", "CPU of baseline's"});
  for (const Column* column : shown) table.head.emplace_back(column->head);
  for (const Placed& placed : points) {
    std::vector<std::string>& row = table.rows.emplace_back();
    if (several) row.push_back(placed.results->name + " " + placed.results->source);
    for (const Varied* each : varied) row.push_back(Number(each->of(placed.point->settings)));
    if (consistencies.size() > 1) row.emplace_back(ConsistencyOf(placed.point->settings));
    row.push_back(std::to_string(placed.point->repetitions.size()));
    for (const double value : {SpeedUp(placed), Efficiency(placed), Ratio(placed, "cpu_s_per_msample")})
      row.push_back(std::isfinite(value) ? Format("%.2f", value) : "–");
    for (const Column* column : shown)
      row.push_back(Shown(placed.point->Of(column->figure), column->unit, column->format));
  }
  return table;
}

std::string HtmlTable(const Table& table) {
  std::string html = "<div class=\"scroll\"><table><thead><tr>";
  for (const std::string& cell : table.head) html += "<th>" + EscapeHtml(cell) + "</th>";
  html += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    html += "<tr>";
    for (const std::string& cell : row) html += TableCell(EscapeHtml(cell));
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

// Characters, of UTF-8.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// ---------------------------------------------------------------- words

std::string About(const ScaleResults& results) {
  std::uint32_t most = 0;
  std::size_t repetitions = 0, points = 0;
  for (const PointResult& point : results.points) {
    if (point.repetitions.empty()) continue;
    most = std::max(most, point.settings.Processes());
    repetitions += point.repetitions.size(), ++points;
  }
  std::string text =
      "<p><b>" + EscapeHtml(results.name) + "</b>, " + EscapeHtml(results.source) + ": " +
      std::to_string(points) + " points, " + std::to_string(repetitions) + " repetitions of the job " +
      EscapeHtml(results.job) +
      Format("; epochs measured: %u, after %u to warm up. ", results.epochs, results.warm_epochs) +
      EscapeHtml(results.machine.processor) + Format(", %u cores, cohort ", results.machine.cores) +
      EscapeHtml(results.machine.version) + ".";
  if (results.target)
    text += " Target: loss " + Number(results.target->loss) + " of " + EscapeHtml(results.target->task) + ".";
  text += "</p>\n";
  if (results.source == "measured" && most > results.machine.cores) {
    text += Format(
        "<p><b>Up to %u processes share %u cores.</b> Beyond these cores more processes cannot make a job "
        "faster: "
        "speed-up and efficiency show what sharing them leaves. What scaling costs shows in the CPU seconds "
        "per million samples, which would be much the same on more cores.</p>\n",
        most, results.machine.cores);
  }
  return text;
}

}  // namespace

std::string RenderScalePage(const std::vector<ScaleResults>& all) {
  const std::vector<Placed> points = PlacedPoints(all);
  const bool several = all.size() > 1;
  std::string html = "<h1>Scaling: " + EscapeHtml(all.front().name) + "</h1>\n";
  for (const ScaleResults& results : all) html += About(results);
  html +=
      "<p class=\"soft\">Medians; whiskers and brackets: lowest and highest. A point's baseline is the one "
      "of the fewest "
      "processes that differs from it by workers, servers and shards only; efficiency is speed-up over the "
      "ratio of "
      "workers.</p>\n";
  if (points.empty())
    return HtmlPage("Cohort scaling", html + "<p class=\"none\">No repetition has been finished.</p>\n");
  const Varied& x = HorizontalAxis(points);
  const std::vector<const Varied*> varied = VariedIn(points);
  // What is neither on the horizontal axis nor size parts the page.
  std::vector<std::pair<Settings, std::vector<Placed>>> sections;
  for (const Placed& placed : points) {
    Settings key = placed.point->settings;
    for (std::size_t i = 0; i < kSizes; ++i) kVaried[i].erase(&key);
    x.erase(&key);
    auto section =
        std::find_if(sections.begin(), sections.end(), [&](const auto& each) { return each.first == key; });
    if (section == sections.end()) section = sections.insert(sections.end(), {key, {}});
    section->second.push_back(placed);
  }
  for (const auto& [key, placed] : sections) {
    std::string title = ConsistencyOf(key);
    if (key.batch > 0)
      title += ", batch " + std::to_string(key.batch) + (key.batch_per_worker ? " a worker" : "");
    if (key.embedding_dim > 0) title += ", dim " + std::to_string(key.embedding_dim);
    if (key.faults_per_hour > 0) title += ", " + Number(key.faults_per_hour) + " faults an hour";
    if (key.link_mbit > 0) title += ", one link of " + Number(key.link_mbit) + " Mbit/s";
    html += "<h2>" + EscapeHtml(title) + "</h2>\n" + RenderPlots(placed, x, varied, several);
    html += HtmlTable(TableOf(placed, several, /*wide=*/true));
  }
  return HtmlPage("Cohort scaling: " + all.front().name, html);
}

std::string ScaleTable(const ScaleResults& results) {
  Table table = TableOf(PlacedPoints({results}), /*several=*/false, /*wide=*/false);
  table.rows.insert(table.rows.begin(), table.head);
  std::vector<std::size_t> widths(table.head.size());
  for (const auto& row : table.rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string text;
  for (const auto& row : table.rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      text += std::string(widths[i] - Width(row[i]) + (i > 0 ? 2 : 0), ' ') + row[i];
    text += "\n";
  }
  return text;
}

Status WriteScale(const std::string& out, const ScaleResults& results,
                  const std::vector<ScaleResults>& others) {
  COHORT_RETURN_IF_ERROR(WriteFileAtomically(out + "/" + kScaleFile, ToJson(results)));
  std::vector<ScaleResults> all = {results};
  all.insert(all.end(), others.begin(), others.end());
  return WriteFileAtomically(out + "/" + kScaleReport, RenderScalePage(all));
}

}  // namespace cohort::scale
