// The live page: one HTML text with its style and script inside, which asks for nothing but /state, once a second.
#ifndef COHORT_LAUNCH_WATCH_WATCH_PAGE_H_
#define COHORT_LAUNCH_WATCH_WATCH_PAGE_H_

#include <string>

namespace cohort {

// `nonce`: a random word, new for every answer, that the Content-Security-Policy of the answer names: no other script runs.
std::string WatchPage(const std::string& run, const std::string& nonce);

}  // namespace cohort

#endif  // COHORT_LAUNCH_WATCH_WATCH_PAGE_H_
