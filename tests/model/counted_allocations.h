// Counts every allocation of the test program through operator new.
#ifndef COHORT_TESTS_MODEL_COUNTED_ALLOCATIONS_H_
#define COHORT_TESTS_MODEL_COUNTED_ALLOCATIONS_H_

#include <cstdint>

namespace cohort {

std::uint64_t CountedAllocations();

}  // namespace cohort

#endif  // COHORT_TESTS_MODEL_COUNTED_ALLOCATIONS_H_
