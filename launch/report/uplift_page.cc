#include "launch/report/uplift_page.h"

#include "launch/report/chart.h"
#include "launch/report/html.h"
#include "launch/report/page.h"

namespace cohort {
namespace {

std::string RenderCurves(const UpliftPage& page, const UpliftPage::Arm& arm) {
  Chart chart;
  chart.title = arm.name + ", Qini curves";
  chart.description =
      "outcomes gained over the control when the arm goes to the first users by each ranking and to nobody "
      "else";
  chart.x = {.label = "users who get it (%)", .low = 0, .high = 100};
  chart.y.label = page.outcome + " gained per user";
  for (const UpliftPage::Ranking& ranking : arm.rankings) {
    Series& line = chart.series.emplace_back();
    line.name = ranking.name;
    for (std::size_t i = 0; i < ranking.gain.size(); ++i)
      line.points.push_back({static_cast<double>(i), ranking.gain[i]});
  }
  if (!arm.rankings.empty() && !arm.rankings[0].gain.empty()) {
    chart.series.push_back(
        {.name = "at random", .mark = Mark::kLine, .points = {{0, 0}, {100, arm.rankings[0].gain.back()}}});
  }
  return RenderChart(chart);
}

std::string RenderCoefficients(const UpliftPage& page) {
  std::string html =
      "<div class=\"scroll\"><table><thead><tr><th>arm</th><th class=\"left\">users ranked by</th>"
      "<th>Qini coefficient</th><th>95 % interval</th></tr></thead><tbody>\n";
  for (const UpliftPage::Arm& arm : page.arms) {
    for (const UpliftPage::Ranking& ranking : arm.rankings)
      html += "<tr><th>" + EscapeHtml(arm.name) + "</th><td class=\"left\">" + EscapeHtml(ranking.name) +
              "</td><td>" + FormatMetric(ranking.qini) + "</td><td>" + FormatMetric(ranking.low) + " to " +
              FormatMetric(ranking.high) + "</td></tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace

std::string RenderUpliftPage(const UpliftPage& page) {
  std::string html =
      "<h1>Uplift: " + EscapeHtml(page.outcome) +
      "</h1>\n<h2>Who gains most, first</h2>\n"
      "<p>The further a ranking's curve is above the straight line, the better it finds those whom the arm "
      "moves. The Qini "
      "coefficient is the area between them, with a 95 % interval; both are means over the halves.</p>\n"
      "<div class=\"charts\">\n";
  for (const UpliftPage::Arm& arm : page.arms) html += RenderCurves(page, arm);
  return HtmlPage("Cohort uplift", html + "</div>\n" + RenderCoefficients(page) +
                                       "<h2>In numbers</h2>\n<pre>" + EscapeHtml(page.text) + "</pre>\n");
}

}  // namespace cohort
