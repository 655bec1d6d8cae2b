// The page of `cohort uplift --report`: what the command prints, and the curves of its rankings. Self-contained, as page.h.
#ifndef COHORT_LAUNCH_REPORT_UPLIFT_PAGE_H_
#define COHORT_LAUNCH_REPORT_UPLIFT_PAGE_H_

#include <string>
#include <vector>

namespace cohort {

struct UpliftPage {
  // Qini curves of one arm (Radcliffe 2007, lifecycle/policy_value.h), means over the splits.
  struct Ranking {
    std::string name;
    std::vector<double> gain;  // per row, when the arm goes to the first 0, 1, ..., 100 % of the users
    double qini = 0, low = 0, high = 0;  // with its 95 % interval
  };
  struct Arm {
    std::string name;
    std::vector<Ranking> rankings;
  };
  std::string outcome;
  std::string text;  // what was printed
  std::vector<Arm> arms;
};

std::string RenderUpliftPage(const UpliftPage& page);

}  // namespace cohort

#endif  // COHORT_LAUNCH_REPORT_UPLIFT_PAGE_H_
