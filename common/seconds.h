// A duration for people: "3.5 s".
#ifndef COHORT_COMMON_SECONDS_H_
#define COHORT_COMMON_SECONDS_H_

#include <chrono>
#include <cstdio>
#include <string>

#include "common/types.h"

namespace cohort {

inline std::string Seconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f s", std::chrono::duration<double>(duration).count());
  return text;
}

}  // namespace cohort

#endif  // COHORT_COMMON_SECONDS_H_
