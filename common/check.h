// COHORT_CHECK documents what only a bug of ours can break. It stays on in release builds, prints where and what, and
// aborts. Nothing that a user, a peer or a disk can cause may reach it.
#ifndef COHORT_COMMON_CHECK_H_
#define COHORT_COMMON_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define COHORT_CHECK(condition, ...)                                                          \
  do {                                                                                        \
    if (!(condition)) [[unlikely]] {                                                          \
      std::fprintf(stderr, "%s:%d: bug: %s does not hold. ", __FILE__, __LINE__, #condition); \
      __VA_OPT__(std::fprintf(stderr, __VA_ARGS__);)                                          \
      std::fputc('\n', stderr);                                                               \
      std::abort();                                                                           \
    }                                                                                         \
  } while (false)

#endif  // COHORT_COMMON_CHECK_H_
