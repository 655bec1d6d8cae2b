// The lines that the doctor and its probes exchange: one JSON object each.
//
//   doctor -> probe   {"look": {...}}            once, first: look at your host
//                     {"clock": true}            what time is it?
//                     {"pairs": {...}}           call these endpoints
//                     the end of its stdin       it is over
//   probe -> doctor   {"stage": "..."}           what it is about to do and may be long about
//                     {"facts": {...}}, {"clock": ns since 1970}, {"pairs": [...]}
//
// What a login shell prints into the middle is no line of theirs.
#ifndef COHORT_LAUNCH_DOCTOR_PROBE_LINES_H_
#define COHORT_LAUNCH_DOCTOR_PROBE_LINES_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/status.h"
#include "launch/doctor/host_facts.h"

namespace cohort {

struct ClockOrder {};
struct PairsOrder {
  std::uint32_t self = 0;              // the place of who is asked
  double seconds = 0;                  // until it has to answer
  std::vector<std::string> endpoints;  // by place; empty: not to be called
};
using ProbeOrder = std::variant<LookOrder, ClockOrder, PairsOrder>;

struct StageLine {
  std::string text;
};
struct ClockLine {
  std::int64_t nanoseconds = 0;  // since 1970
};
using ProbeLine = std::variant<std::monostate, StageLine, HostFacts, ClockLine, std::vector<PairFact>>;

std::string ToLine(const ProbeOrder& order);
std::string ToLine(const ProbeLine& line);
// kCorrupt: it is none.
Result<ProbeOrder> OrderFromLine(const std::string& text);
// monostate: it is not a probe's. kCorrupt: a probe's, and not as it must be. Facts from a host whose version is not `version`
// need no more than that (HostFacts::whole).
Result<ProbeLine> ProbeLineFrom(const std::string& text, const std::string& version);

}  // namespace cohort

#endif  // COHORT_LAUNCH_DOCTOR_PROBE_LINES_H_
