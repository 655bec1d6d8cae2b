#include "launch/report/lifecycle_page.h"

#include <algorithm>

#include "launch/report/chart.h"
#include "launch/report/html.h"
#include "launch/report/page.h"
#include "lifecycle/event_time.h"

namespace cohort {
namespace {

using Move = LifecycleCounts::StageMoves;

std::string Head(const std::string& text) { return "<th>" + text + "</th>"; }
std::string Table(const std::string& head, const std::string& body) {
  return "<div class=\"scroll\"><table><thead><tr>" + head + "</tr></thead><tbody>\n" + body +
         "</tbody></table></div>\n";
}
std::string Count(std::uint64_t users) { return FormatCount(static_cast<double>(users)); }
std::string Percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "–" : Format("%.1f %%", 100 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string RenderFunnel(const std::vector<LifecycleCounts::Step>& funnel) {
  NamedBars bars{"funnel", "users who reached each step", {}};
  std::string body;
  for (std::size_t i = 0; i < funnel.size(); ++i) {
    const LifecycleCounts::Step& step = funnel[i];
    const std::uint64_t before = funnel[i == 0 ? 0 : i - 1].reached;
    bars.bars.push_back(
        {step.name, static_cast<double>(step.reached), Percent(step.reached, funnel[0].reached)});
    body += "<tr>" + Head(EscapeHtml(step.name)) + TableCell(Count(step.reached)) +
            TableCell(Percent(step.reached, funnel[0].reached)) +
            TableCell(i == 0 ? "–" : Percent(step.reached, before)) + TableCell(Count(step.furthest)) +
            "</tr>\n";
  }
  return "<h2>How far users came</h2>\n<p>Visited: signed up, or did anything. Viewed: a view or a "
         "favourite. Bought "
         "again: at another time. Who has reached a step counts as having reached all before it.</p>\n<div "
         "class=\"charts\">\n" +
         RenderBars(bars) + "</div>\n" +
         Table(Head("step") + Head("users") + Head("of all") + Head("of the step before") +
                   Head("and no further"),
               body);
}

std::string RenderRetention(const LifecycleCounts& counts) {
  std::size_t months = 1;
  for (const LifecycleCounts::Newcomers& of : counts.retention) months = std::max(months, of.active.size());
  HeatMap map{.title = "retention",
              .description =
                  "share of the users of each month of first activity who were active in each month after "
                  "it, in percent",
              .row_label = "first active (users)",
              .column_label = "months later: active users (%)"};
  std::string head = Head("first active") + Head("users"), body;
  for (std::size_t later = 1; later < months; ++later) {
    map.columns.push_back(std::to_string(later));
    head += Head(std::to_string(later));
  }
  for (const LifecycleCounts::Newcomers& of : counts.retention) {
    map.rows.push_back(MonthText(of.month) + " (" + Count(of.active[0]) + ")");
    std::vector<HeatMap::Cell>& cells = map.cells.emplace_back();
    body += "<tr>" + Head(MonthText(of.month)) + TableCell(Count(of.active[0]));
    for (std::size_t later = 1; later < months; ++later) {
      if (later >= of.active.size()) {
        body += TableCell("");
        continue;
      }
      const char* mark = later + 1 == of.active.size() && !counts.last_month_whole ? "*" : "";
      const double share = static_cast<double>(of.active[later]) / static_cast<double>(of.active[0]);
      cells.push_back({share, Format("%.0f%s", 100 * share, mark)});
      body += TableCell(Count(of.active[later]) + mark);
    }
    body += "</tr>\n";
  }
  std::string html =
      "<h2>Who stayed</h2>\n<p>Users by the month of their first activity (any event but a return), and how "
      "many of them "
      "were active so many months later.";
  if (!counts.last_month_whole) html += " * The logs end before that month does.";
  if (counts.earlier > 0)
    html += " " + Count(counts.earlier) + " users who came before the last " +
            std::to_string(LifecycleCounts::kMostMonths) + " months are left out.";
  return html + "</p>\n" + RenderHeatMap(map) + "<details><summary>in users</summary>\n" + Table(head, body) +
         "</details>\n";
}

std::string RenderMoves(const Move& moves) {
  Flows flows{.title = "stages of life",
              .description =
                  "users by their stage at the first snapshot, on the left, and at the second, on the right",
              .left_label = TimeText(moves.from),
              .right_label = TimeText(moves.to)};
  for (const char* name : kLifeStageNames) flows.from.emplace_back(name), flows.to.emplace_back(name);
  flows.from.emplace_back("not there yet");
  std::string head = Head("from, to"), body;
  for (const std::string& name : flows.to) head += Head(name);
  for (std::size_t i = 0; i < flows.from.size(); ++i) {
    flows.counts.emplace_back(moves.users[i].begin(), moves.users[i].end());
    body += "<tr>" + Head(flows.from[i]);
    for (const std::uint64_t users : moves.users[i]) body += TableCell(Count(users));
    body += "</tr>\n";
  }
  return "<h2>Who moved</h2>\n<p>Stages of life of all users whom the logs know by then, at the last two "
         "snapshots. New: no order "
         "yet. Loyal: " +
         std::to_string(LifeStageRule::kLoyalOrders) +
         " orders or more. Lost: probably will not order again, as the orders so far say.</p>\n" +
         RenderFlows(flows) + Table(head, body);
}

}  // namespace

std::string RenderLifecyclePage(const LifecyclePage& page) {
  std::string html = "<h1>Lifecycle: " + EscapeHtml(page.title) + "</h1>\n" +
                     RenderFunnel(page.counts.funnel) + RenderRetention(page.counts);
  if (page.counts.moves) html += RenderMoves(*page.counts.moves);
  return HtmlPage("Cohort lifecycle",
                  html + "<h2>What was found in the logs</h2>\n<pre>" + EscapeHtml(page.text) + "</pre>\n");
}

}  // namespace cohort
