// How many times longer than in a release build a test may wait: sanitizers slow programs down.
#ifndef COHORT_TESTS_SUPPORT_SLOWDOWN_H_
#define COHORT_TESTS_SUPPORT_SLOWDOWN_H_

#ifdef __has_feature  // clang
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#elif __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

namespace cohort::testing {

#if defined(__SANITIZE_THREAD__)
inline constexpr int kSlowdown = 8;
#elif defined(__SANITIZE_ADDRESS__)
inline constexpr int kSlowdown = 4;
#else
inline constexpr int kSlowdown = 1;
#endif

}  // namespace cohort::testing

#endif  // COHORT_TESTS_SUPPORT_SLOWDOWN_H_
