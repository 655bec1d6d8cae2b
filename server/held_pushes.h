// Pushes of bsp, held as they came (their frames are kept, not copied) until every member has closed their
// clock.
#ifndef COHORT_SERVER_HELD_PUSHES_H_
#define COHORT_SERVER_HELD_PUSHES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "common/message.h"
#include "common/types.h"
#include "server/kept_pulls.h"

namespace cohort {

class HeldPushes {
 public:
  // The rows of one part: rows [first_row, first_row + rows) of a message.
  struct Part {
    TableId table = 0;
    std::uint16_t group = 0;
    std::uint16_t node = 1;
    std::uint32_t message = 0;  // in OneClock::messages
    std::uint32_t first_row = 0;
    std::uint32_t rows = 0;
  };
  struct Message {
    PushRequest push;
    std::shared_ptr<const KeptPull> pull;  // that the push names; null: it has keys
    std::uint32_t worker = 0;
  };
  struct OneClock {
    std::vector<Message> messages;
    std::vector<Part> parts;  // in order of arrival
    Clock clock() const { return messages.front().push.clock; }
    void Clear() { messages.clear(), parts.clear(); }
  };

  // Holds the parts of `push` whose groups `accepted` names (a subset of its runs, ascending).
  void Hold(std::uint32_t worker, PushRequest push, std::shared_ptr<const KeptPull> pull,
            std::span<const GroupRun> accepted);
  // Takes the lowest clock out if it is at most `closed`. `out` is replaced; its memory comes back to serve
  // again.
  bool TakeUpTo(Clock closed, OneClock* out);
  std::size_t parts() const;
  // Calls visit(message) for everything held, clock by clock, in order of arrival.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [clock, held] : clocks_) {
      for (const Message& message : held.messages) visit(message);
    }
  }

 private:
  std::map<Clock, OneClock> clocks_;
  std::vector<OneClock> spare_;
};

}  // namespace cohort

#endif  // COHORT_SERVER_HELD_PUSHES_H_
