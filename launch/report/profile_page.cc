#include "launch/report/profile_page.h"

#include "launch/report/html.h"
#include "launch/report/page.h"

namespace cohort {
namespace {

constexpr double kNormal975 = 1.96;

std::string Cell(const std::string& text) { return "<td>" + text + "</td>"; }

std::string RenderSegments(const ProfilePage& page) {
  if (page.segments.empty()) return {};
  std::string html =
      "<h2>Segments</h2>\n<div class=\"scroll\"><table><thead><tr><th>segment</th><th>users</th>"
      "<th class=\"left\">what makes it one</th></tr></thead><tbody>\n";
  for (const ProfilePage::Segment& segment : page.segments)
    html += "<tr><th>" + EscapeHtml(segment.name) + "</th>" +
            Cell(FormatCount(static_cast<double>(segment.users))) + "<td class=\"left\">" +
            EscapeHtml(segment.words) + "</td></tr>\n";
  return html + "</tbody></table></div>\n";
}

std::string RenderFeature(const ProfilePage& page, const ProfilePage::Feature& feature) {
  std::string html = "<h3>" + EscapeHtml(feature.name) +
                     "</h3>\n<div class=\"scroll\"><table><thead><tr><th>group</th><th>users</th>";
  if (!feature.groups.empty() && feature.groups[0].lost) html += "<th>lost</th>";
  for (const std::string& tier : page.tier_names) html += "<th>" + EscapeHtml(tier) + "</th>";
  for (const std::string& prediction : page.predictions)
    html += "<th>" + EscapeHtml(prediction) + "</th><th>came less expected</th>";
  html += "</tr></thead><tbody>\n";
  for (const ProfilePage::Group& group : feature.groups) {
    html +=
        "<tr><th>" + EscapeHtml(group.name) + "</th>" + Cell(FormatCount(static_cast<double>(group.users)));
    if (group.lost) html += Cell(Format("%.1f %%", 100 * *group.lost));
    for (const double share : group.tiers) html += Cell(Format("%.1f %%", 100 * share));
    for (const ProfilePage::Group::Mean& mean : group.means) {
      html += Cell(FormatMetric(mean.expected));
      html +=
          Cell(mean.off ? FormatMetric(*mean.off) + " ± " + FormatMetric(kNormal975 * mean.off_error) : "–");
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace

std::string RenderProfilePage(const ProfilePage& page) {
  std::string html = "<h1>Profiles: " + EscapeHtml(page.title) + "</h1>\n";
  if (!page.stages.empty() || !page.tiers.empty()) {
    html += "<div class=\"charts\">\n";
    if (!page.stages.empty()) html += RenderBars({"stages of life", "users by stage of life", page.stages});
    if (!page.tiers.empty()) html += RenderBars({"tiers of loyalty", "users by tier of loyalty", page.tiers});
    html += "</div>\n";
  }
  html += RenderSegments(page);
  if (!page.features.empty()) {
    html +=
        "<h2>Groups</h2>\n<p>Means of the predictions. <i>Came less expected</i>: on the valid split, the "
        "mean of what came less what "
        "was expected, with 1.96 standard errors.</p>\n";
    for (const ProfilePage::Feature& feature : page.features) html += RenderFeature(page, feature);
  }
  return HtmlPage("Cohort profiles", html + "<h2>In words</h2>\n<pre>" + EscapeHtml(page.text) + "</pre>\n");
}

}  // namespace cohort
