// The page of `cohort profile --report`: stages, tiers, segments in words, groups of users side by side, and single users. Self-contained,
// as page.h.
#ifndef COHORT_LAUNCH_REPORT_PROFILE_PAGE_H_
#define COHORT_LAUNCH_REPORT_PROFILE_PAGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
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
  // What is known, expected and meant to be done of one user.
  struct User {
    using Fact = std::pair<std::string, std::string>;
    struct Reason {
      std::string feature, value;
      double share = 0;
    };
    // The features with the largest shares of a prediction (cohort explain), the largest first.
    struct Reasons {
      std::string prediction;
      double value = 0, average = 0;  // of the user; of the average input
      std::vector<Reason> largest;
    };
    struct Item {
      std::string rank, name, reason;
    };
    std::string id;
    std::vector<Fact> facts;     // stage, segment, tier, predictions
    std::vector<Fact> features;  // the rest of the profile
    std::vector<Reasons> reasons;
    std::vector<Item> items;    // cohort recommend
    std::vector<Fact> actions;  // cohort strategy: the action, and why
  };
  std::string title;
  std::string text;  // what was printed
  std::vector<User> users;
  std::vector<NamedBar> stages, tiers;
  std::vector<Segment> segments;
  std::vector<std::string> predictions, tier_names;
  std::vector<Feature> features;
};

std::string RenderProfilePage(const ProfilePage& page);

}  // namespace cohort

#endif  // COHORT_LAUNCH_REPORT_PROFILE_PAGE_H_
