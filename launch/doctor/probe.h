// The probe: what the doctor starts on every host of a hostfile, and speaks with in lines (probe_lines.h) on its stdin and stdout.
#ifndef COHORT_LAUNCH_DOCTOR_PROBE_H_
#define COHORT_LAUNCH_DOCTOR_PROBE_H_

#include <string>

#include "common/status.h"

namespace cohort {

inline constexpr const char* kProbeOption = "--probe";

// Does what the lines on stdin say, until they end. `version`: of this program. Errors: kInvalidInput, a line that is no order.
Status RunProbe(const std::string& version);

}  // namespace cohort

#endif  // COHORT_LAUNCH_DOCTOR_PROBE_H_
