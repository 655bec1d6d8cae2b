// The page of `cohort profile --report`: stages, tiers, segments in words, and groups of users side by side. Self-contained, as page.h.
#ifndef COHORT_LAUNCH_REPORT_PROFILE_PAGE_H_
#define COHORT_LAUNCH_REPORT_PROFILE_PAGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launch/report/chart.h"

namespace cohort {

struct ProfilePage {
  struct Segment {
    std::string name;
    std::uint64_t users = 0;
    std::string words;
  };
  // Users with the same value of a feature.
  struct Group {
    struct Mean {
      double expected = 0;  // mean prediction
      std::optional<double>
          off;  // on the judged split: mean of what came less what was expected, and its standard error
      double off_error = 0;
    };
    std::string name;
    std::uint64_t users = 0;
    std::optional<double> lost;  // share
    std::vector<double> tiers;   // shares, by tier
    std::vector<Mean> means;     // by prediction
  };
  struct Feature {
    std::string name;
    std::vector<Group> groups;
  };
  std::string title;
  std::string text;  // what was printed
  std::vector<NamedBar> stages, tiers;
  std::vector<Segment> segments;
  std::vector<std::string> predictions, tier_names;
  std::vector<Feature> features;
};

std::string RenderProfilePage(const ProfilePage& page);

}  // namespace cohort

#endif  // COHORT_LAUNCH_REPORT_PROFILE_PAGE_H_
