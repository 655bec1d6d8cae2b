// RUN_DIR/requests/: what `cohort cluster` asks of a run that goes on (0001.json), and what its scheduler says to it
// (0001.answer.json, which changes until the request is over). Files appear whole.
#ifndef COHORT_LAUNCH_CLUSTER_REQUESTS_H_
#define COHORT_LAUNCH_CLUSTER_REQUESTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/status.h"
#include "scheduler/cluster_change.h"

namespace cohort {

inline constexpr const char* kRequestsFolder = "requests";  // in RUN_DIR

struct RequestAnswer {
  enum class State : std::uint8_t { kUnderWay = 0, kDone, kRefused, kFailed };
  State state = State::kUnderWay;
  std::string text;  // what it waits for; why not, and what to do
};

std::string ToJson(const RequestAnswer& answer);
Result<RequestAnswer> AnswerFromJson(const std::string& text, const std::string& origin);
std::string ToJson(const ClusterChange& change);
Result<ClusterChange> ChangeFromJson(const std::string& text, const std::string& origin);

// Writes a request under the next free number, and returns the path of the answer to come.
Result<std::string> SendRequest(const std::string& folder, const ClusterChange& change);

// The scheduler's side. One thread.
class RequestInbox {
 public:
  // Requests of a former life of the run are answered: what has become of them is not known. `took_over`: it is the same life,
  // and another scheduler (docs/recovery.md); they go on.
  RequestInbox(const std::string& folder, bool took_over);
  // What the former scheduler had begun.
  std::optional<std::uint32_t> under_way() const { return under_way_; }

  struct Request {
    std::uint32_t number = 0;
    Result<ClusterChange> change;  // or why it cannot be read
  };
  // The oldest that has not been returned before.
  std::optional<Request> Next();
  // Again with the same words: nothing is written.
  void Answer(std::uint32_t number, const RequestAnswer& answer);

 private:
  const std::string folder_;
  std::uint32_t seen_ = 0;                        // the highest number
  std::optional<std::uint32_t> under_way_;
  std::map<std::uint32_t, std::string> answers_;  // as written
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_CLUSTER_REQUESTS_H_
