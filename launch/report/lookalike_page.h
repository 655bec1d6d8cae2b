// The page of `cohort lookalike --report`: what the command prints, held-out users by tenth of their scores, and what the scores come
// from. Self-contained, as page.h.
#ifndef COHORT_LAUNCH_REPORT_LOOKALIKE_PAGE_H_
#define COHORT_LAUNCH_REPORT_LOOKALIKE_PAGE_H_

#include <string>
#include <vector>

namespace cohort {

struct LookalikePage {
  struct Attribute {
    std::string name;
    double auc_lost = 0, low = 0, high = 0;  // with its 95 % interval
  };
  std::string value;  // what a user is worth, by name; empty: it is not known
  std::string text;   // what was printed
  double wanted = 0;  // share of all users
  double of_all = 0;  // mean value of all users
  std::vector<double> wanted_by_tenth, value_by_tenth;  // of users, the highest scores first
  std::vector<Attribute> attributes;                    // the most important first
};

std::string RenderLookalikePage(const LookalikePage& page);

}  // namespace cohort

#endif  // COHORT_LAUNCH_REPORT_LOOKALIKE_PAGE_H_
