#include "launch/report/profile_page.h"

#include <cmath>

#include "launch/report/html.h"
#include "launch/report/page.h"

namespace cohort {
namespace {

constexpr double kNormal975 = 1.96;

std::string RenderSegments(const ProfilePage& page) {
  if (page.segments.empty()) return {};
  std::string html =
      "<h2>Segments</h2>\n<div class=\"scroll\"><table><thead><tr><th>segment</th><th>users</th>"
      "<th class=\"left\">what makes it one</th></tr></thead><tbody>\n";
  for (const ProfilePage::Segment& segment : page.segments)
    html += "<tr><th>" + EscapeHtml(segment.name) + "</th>" +
            TableCell(FormatCount(static_cast<double>(segment.users))) + "<td class=\"words\">" +
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
    html += "<tr><th>" + EscapeHtml(group.name) + "</th>" +
            TableCell(FormatCount(static_cast<double>(group.users)));
    if (group.lost) html += TableCell(Format("%.1f %%", 100 * *group.lost));
    for (const double share : group.tiers) html += TableCell(Format("%.1f %%", 100 * share));
    for (const ProfilePage::Group::Mean& mean : group.means) {
      html += TableCell(FormatMetric(mean.expected));
      html += TableCell(mean.off ? FormatMetric(*mean.off) + " ± " + FormatMetric(kNormal975 * mean.off_error)
                                 : "–");
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string Facts(const std::vector<ProfilePage::User::Fact>& facts) {
  std::string html = "<div class=\"scroll\"><table><tbody>\n";
  for (const auto& [name, value] : facts)
    html += "<tr><th>" + EscapeHtml(name) + "</th><td class=\"words\">" + EscapeHtml(value) + "</td></tr>\n";
  return html + "</tbody></table></div>\n";
}

std::string RenderReasons(const ProfilePage::User::Reasons& reasons) {
  std::string html =
      "<p><b>" + EscapeHtml(reasons.prediction) + "</b> " + FormatMetric(reasons.value) +
      ", where the average input has " + FormatMetric(reasons.average) +
      "</p>\n<div class=\"scroll\"><table><thead><tr><th>feature</th><th class=\"left\">value</th>"
      "<th class=\"left\">share</th></tr></thead><tbody>\n";
  const double most = reasons.largest.empty() ? 0 : std::abs(reasons.largest[0].share);
  for (const ProfilePage::User::Reason& reason : reasons.largest) {
    html += "<tr><th>" + EscapeHtml(reason.feature) + "</th><td class=\"left\">" + EscapeHtml(reason.value) +
            Format("</td><td class=\"left\"><span class=\"meter\"><i style=\"width:%.1f%%\"></i></span>%s",
                   most > 0 ? 100 * std::abs(reason.share) / most : 0.0, reason.share > 0 ? "+" : "") +
            FormatMetric(reason.share) + "</td></tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string RenderUser(const ProfilePage::User& user) {
  std::string html = "<h3>" + EscapeHtml(user.id) + "</h3>\n<div class=\"tiles\">\n";
  for (const auto& [name, value] : user.facts)
    html +=
        "<div class=\"tile\"><b>" + EscapeHtml(value) + "</b><span>" + EscapeHtml(name) + "</span></div>\n";
  html += "</div>\n";
  for (const ProfilePage::User::Reasons& reasons : user.reasons) html += RenderReasons(reasons);
  if (!user.items.empty()) {
    html +=
        "<div class=\"scroll\"><table><thead><tr><th>rank</th><th class=\"left\">recommended</th><th "
        "class=\"left\">reason</th></tr></thead><tbody>\n";
    for (const ProfilePage::User::Item& item : user.items)
      html += "<tr>" + TableCell(EscapeHtml(item.rank)) + "<td class=\"left\">" + EscapeHtml(item.name) +
              "</td><td class=\"words\">" + EscapeHtml(item.reason) + "</td></tr>\n";
    html += "</tbody></table></div>\n";
  }
  if (!user.actions.empty()) html += Facts(user.actions);
  return html + "<details><summary>features</summary>\n" + Facts(user.features) + "</details>\n";
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
  if (!page.users.empty()) {
    html +=
        "<h2>Users</h2>\n<p>Predictions with their intervals of 90 %, where they are calibrated. A share is "
        "what a "
        "feature adds to the model's own prediction, before calibration.</p>\n";
    for (const ProfilePage::User& user : page.users) html += RenderUser(user);
  }
  return HtmlPage("Cohort profiles", html + "<h2>In words</h2>\n<pre>" + EscapeHtml(page.text) + "</pre>\n");
}

}  // namespace cohort
