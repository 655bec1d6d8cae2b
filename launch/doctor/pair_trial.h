// Every pair of hosts: one end that answers, and a caller that tries all the others at once.
#ifndef COHORT_LAUNCH_DOCTOR_PAIR_TRIAL_H_
#define COHORT_LAUNCH_DOCTOR_PAIR_TRIAL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/status.h"
#include "common/types.h"
#include "common/zmq_transport.h"
#include "launch/doctor/host_facts.h"

namespace cohort {

// Sends back whatever callers send, over the transport that runs use, from a thread of its own.
class EchoEnd {
 public:
  // Listens on an address of this host, at a port that the system chooses. Errors: kIo.
  static Result<std::unique_ptr<EchoEnd>> Open(ZmqContext& context, const std::string& address);
  ~EchoEnd();
  const std::string& endpoint() const { return transport_->endpoint(); }

 private:
  explicit EchoEnd(std::unique_ptr<ZmqTransport> transport);
  void Answer();
  std::unique_ptr<ZmqTransport> transport_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

// Calls all endpoints that are not empty, and comes back when each has answered, or after `limit`. Those that have not after the half of
// it are called by TCP alone as well, which says why. `self`: the caller's place.
std::vector<PairFact> CallAll(ZmqContext& context, std::uint32_t self,
                              const std::vector<std::string>& endpoints, Duration limit);

}  // namespace cohort

#endif  // COHORT_LAUNCH_DOCTOR_PAIR_TRIAL_H_
