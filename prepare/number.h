// Cells as numbers.
#ifndef COHORT_PREPARE_NUMBER_H_
#define COHORT_PREPARE_NUMBER_H_

#include <string_view>

namespace cohort {

enum class NumberKind { kNumber, kNotFinite, kNotANumber };

// Reads the whole cell as a decimal number ("12", "-1.5e3", "+.5"), rounded to the nearest float, independent
// of the locale. "nan", "inf" and what is too large for a float are kNotFinite. `value` is set for kNumber
// only.
NumberKind ParseNumber(std::string_view cell, float* value);
NumberKind ParseNumber(std::string_view cell, double* value);

}  // namespace cohort

#endif  // COHORT_PREPARE_NUMBER_H_
