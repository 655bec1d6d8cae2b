#include "launch/report/lookalike_page.h"

#include <cstddef>
#include <utility>

#include "launch/report/chart.h"
#include "launch/report/html.h"
#include "launch/report/page.h"

namespace cohort {
namespace {

std::string RenderTenths(std::string title, std::string description, std::string label, double all,
                         const std::vector<double>& tenths, double scale) {
  Chart chart;
  chart.title = std::move(title);
  chart.description = std::move(description);
  chart.x = {.label = "tenth of the users, 1: the highest scores", .low = 0.5, .high = 10.5, .whole = true};
  chart.y.label = std::move(label);
  chart.y.low = 0;
  chart.bar_width = 0.8;
  Series& bars = chart.series.emplace_back();
  bars.mark = Mark::kBars;
  for (std::size_t i = 0; i < tenths.size(); ++i)
    bars.points.push_back({static_cast<double>(i + 1), scale * tenths[i]});
  chart.rules.push_back({.at = scale * all, .vertical = false, .label = "all users"});
  return RenderChart(chart);
}

std::string RenderCarriers(const LookalikePage& page) {
  std::string html =
      "<div class=\"scroll\"><table><thead><tr><th>attribute</th><th>AUC lost</th><th>95 % interval</th></tr>"
      "</thead><tbody>\n";
  for (const LookalikePage::Attribute& attribute : page.attributes)
    html += "<tr><th>" + EscapeHtml(attribute.name) + "</th>" +
            TableCell(Format("%+.4f", attribute.auc_lost)) +
            TableCell(Format("%+.4f to %+.4f", attribute.low, attribute.high)) + "</tr>\n";
  return html + "</tbody></table></div>\n";
}

}  // namespace

std::string RenderLookalikePage(const LookalikePage& page) {
  std::string html =
      "<h1>Look-alikes</h1>\n<h2>Users that the model has not seen, by their scores</h2>\n"
      "<p>If attributes told nothing, every tenth would be as the line for all users.</p>\n"
      "<div class=\"charts\">\n" +
      RenderTenths("Wanted users", "share of wanted users in each tenth of the users by score",
                   "wanted (% of the tenth)", page.wanted, page.wanted_by_tenth, 100);
  if (!page.value.empty())
    html += RenderTenths(page.value, "mean " + page.value + " in each tenth of the users by score",
                         page.value + " per user", page.of_all, page.value_by_tenth, 1);
  return HtmlPage(
      "Cohort look-alikes",
      html +
          "</div>\n<h2>What it comes from</h2>\n<p>How much of the AUC is lost when an attribute is not "
          "known.</p>\n" +
          RenderCarriers(page) + "<h2>In numbers</h2>\n<pre>" + EscapeHtml(page.text) + "</pre>\n");
}

}  // namespace cohort
