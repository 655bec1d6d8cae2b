// The part of the page about the machinery: speed, clocks, queues, and the load of each server and worker.
#include <algorithm>
#include <cmath>

#include "launch/report/chart.h"
#include "launch/report/html.h"
#include "launch/report/page.h"

namespace cohort {
namespace {

constexpr double kMebibyte = 1024.0 * 1024.0;

template <typename Value>
Series OverTime(const RunData& run, const std::string& name, const Value& value) {
  Series series{name, Mark::kLine, {}};
  for (const RunSample& sample : run.samples)
    series.points.push_back({sample.Value("seconds"), value(sample)});
  return series;
}

Chart TimeChart(const std::string& title, const std::string& y, std::vector<Series> series) {
  Chart chart;
  chart.title = title;
  chart.description = y + " over the time of the run";
  chart.x.label = "time since the start (s)";
  chart.y.label = y;
  chart.y.low = 0;
  chart.series = std::move(series);
  return chart;
}

bool AnyFinite(const Series& series) {
  return std::any_of(series.points.begin(), series.points.end(),
                     [](const ChartPoint& p) { return std::isfinite(p.y); });
}

// A cumulative number as a rate between samples.
Series RateOf(const RunData& run, const std::string& field, double unit) {
  Series series{"", Mark::kLine, {}};
  for (std::size_t i = 1; i < run.samples.size(); ++i) {
    const double time = run.samples[i].Value("seconds") - run.samples[i - 1].Value("seconds");
    const double amount = run.samples[i].Value(field) - run.samples[i - 1].Value(field);
    if (time > 0) series.points.push_back({run.samples[i].Value("seconds"), amount / time / unit});
  }
  return series;
}

// The highest value that each node reported: counters are cumulative, so this is the last one, also of a node
// that died.
NamedBars PerNode(const RunData& run, const std::string& role, const std::string& field,
                  const std::string& title, const std::string& description, std::string (*text)(double)) {
  NamedBars bars{title, description, {}};
  for (const RunSample& sample : run.samples) {
    for (const MemberPoint& member : sample.members) {
      const double value = member.Value(field);
      if (!std::isfinite(value) || (!role.empty() && member.node.rfind(role, 0) != 0)) continue;
      auto found = std::find_if(bars.bars.begin(), bars.bars.end(),
                                [&](const NamedBar& b) { return b.name == member.node; });
      if (found == bars.bars.end()) found = bars.bars.insert(bars.bars.end(), {member.node, value, ""});
      found->value = std::max(found->value, value);
      found->text = text(found->value);
    }
  }
  return bars;
}

// Where the workers' time goes: the parts of their steps, summed over the workers.
NamedBars StepParts(const RunData& run) {
  NamedBars bars{"Workers' time", "seconds that all workers spent in each part of their training steps", {}};
  if (run.samples.empty()) return bars;
  double total = 0;
  for (const MemberPoint& member : run.samples.back().members) {
    for (const auto& [part, seconds] : member.step_seconds) {
      if (!std::isfinite(seconds)) continue;
      std::string name = part;
      std::replace(name.begin(), name.end(), '_', ' ');
      auto found = std::find_if(bars.bars.begin(), bars.bars.end(),
                                [&](const NamedBar& bar) { return bar.name == name; });
      if (found == bars.bars.end()) found = bars.bars.insert(bars.bars.end(), {name, 0, ""});
      found->value += seconds;
      total += seconds;
    }
  }
  for (NamedBar& bar : bars.bars)
    bar.text = FormatSeconds(bar.value) + Format(", %.0f %%", total > 0 ? 100 * bar.value / total : 0.0);
  return bars;
}

// A worker without data stands at an endless clock; it spreads nothing.
double ClockSpread(const RunSample& sample) {
  constexpr double kEndless = 9e18;
  const double low = sample.Value("lowest_clock"), high = sample.Value("highest_clock");
  return low < kEndless && high < kEndless ? high - low : std::nan("");
}

std::string Counts(const RunData& run) {
  std::string rows;
  for (const auto& [name, value] : run.numbers) {
    rows += "<tr><td>" + EscapeHtml(name) + "</td><td>";
    rows += name.find("bytes") != std::string::npos ? FormatBytes(value)
            : value == std::floor(value)            ? FormatCount(value)
                                                    : FormatMetric(value);
    rows += "</td></tr>\n";
  }
  if (rows.empty()) return {};
  return "<h2>Everything counted</h2>\n<details><summary>Numbers of result.json</summary>\n<div "
         "class=\"scroll\"><table>"
         "<tbody>\n" +
         rows + "</tbody></table></div></details>\n";
}

}  // namespace

std::string RenderSystem(const RunData& run) {
  std::string html = "<h2>The machinery</h2>\n";
  if (run.samples.empty()) {
    html +=
        "<p class=\"soft\">No samples over time: metrics.jsonl is missing or empty (a run of less than a "
        "second has "
        "none).</p>\n";
  }
  if (run.unreadable_samples > 0) {
    html += Format("<p class=\"soft\">%llu lines of metrics.jsonl could not be read and are left out.</p>\n",
                   static_cast<unsigned long long>(run.unreadable_samples));
  }
  html += "<div class=\"charts\">\n";
  std::vector<Chart> charts;
  charts.push_back(TimeChart("Speed", "samples per second", {OverTime(run, "", [](const RunSample& s) {
                               return s.Value("samples_per_second");
                             })}));
  charts.push_back(TimeChart("Traffic", "sent by all (MiB/s)", {RateOf(run, "bytes_sent", kMebibyte)}));
  charts.push_back(TimeChart("Clock spread", "clocks between fastest and slowest worker",
                             {OverTime(run, "", ClockSpread)}));
  charts.push_back(TimeChart("Queue depth", "requests waiting at all shards",
                             {OverTime(run, "", [](const RunSample& s) { return s.Value("queue_depth"); })}));
  charts.push_back(TimeChart("Rows held", "rows on all shards",
                             {OverTime(run, "", [](const RunSample& s) { return s.Value("rows"); })}));
  for (const Chart& chart : charts) {
    if (AnyFinite(chart.series[0])) html += RenderChart(chart);
  }
  const NamedBars bars[] = {
      PerNode(run, "worker", "samples", "Samples per worker", "samples handled by each worker", FormatShort),
      PerNode(run, "shard", "pulls_served", "Rows pulled per shard", "rows that each shard handed out",
              FormatShort),
      PerNode(run, "shard", "rows", "Rows held per shard", "rows of the model on each shard", FormatShort),
      StepParts(run),
      PerNode(run, "", "bytes_sent", "Sent per node", "bytes sent by each node", FormatBytes),
      PerNode(run, "", "busy_seconds", "CPU time per node", "seconds of CPU time used by each node's process",
              FormatSeconds),
      PerNode(run, "", "peak_memory_bytes", "Peak memory per node",
              "highest resident memory of each node's process", FormatBytes)};
  for (const NamedBars& each : bars) {
    if (!each.bars.empty()) html += RenderBars(each);
  }
  html += "</div>\n" + Counts(run);
  if (!run.config.empty()) {
    html += "<h2>Configuration</h2>\n<details><summary>The run file, resolved</summary><pre>" +
            EscapeHtml(run.config) + "</pre></details>\n";
  }
  return html;
}

}  // namespace cohort
