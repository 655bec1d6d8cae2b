// The page of `cohort prepare SHOP.toml --report`: how far users came, who stayed, who moved between stages. Self-contained, as page.h.
#ifndef COHORT_LAUNCH_REPORT_LIFECYCLE_PAGE_H_
#define COHORT_LAUNCH_REPORT_LIFECYCLE_PAGE_H_

#include <string>

#include "lifecycle/lifecycle_counts.h"

namespace cohort {

struct LifecyclePage {
  std::string title;
  std::string text;  // what was printed
  LifecycleCounts counts;
};

std::string RenderLifecyclePage(const LifecyclePage& page);

}  // namespace cohort

#endif  // COHORT_LAUNCH_REPORT_LIFECYCLE_PAGE_H_
