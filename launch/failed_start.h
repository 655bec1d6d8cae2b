// A start that came to nothing: mpirun ended before any process of a new run had registered. From its many words to the one that says why, the
// line of the list of hosts that it is about, and the mend.
#ifndef COHORT_LAUNCH_FAILED_START_H_
#define COHORT_LAUNCH_FAILED_START_H_

#include <functional>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/hostfile.h"

namespace cohort {

// Whether a line of mpirun's says something: it is no rule and no frame.
bool SaysSomething(const std::string& line);

// Whether this host knows an address of that name.
bool IsKnownHost(const std::string& name);

// `words`: the first lines that were said, without frames; `hosts`: of the list `hostfile`, or none. kInvalidInput: a host of the list is named, and
// `known` does not know it. Else kUnavailable.
Status WhyNotStarted(const std::vector<std::string>& words, const std::vector<ListedHost>& hosts,
                     const std::string& hostfile,
                     const std::function<bool(const std::string&)>& known = IsKnownHost);

}  // namespace cohort

#endif  // COHORT_LAUNCH_FAILED_START_H_
