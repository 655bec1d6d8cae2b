// KeptPulls: the row lists of answered pulls, so that a push may name its rows by their places in its own pull: keys
// then travel once, and are hashed and looked up once.
//
// A list is kept from the answer until its worker closes the pull's clock, the phase ends, or room is needed: the lists
// of all workers have `max_bytes` together, and the oldest is forgotten first, which is counted. A push whose list is
// gone comes again with keys (ErrorReason::kUnknownPull), so forgetting costs time, never a row. Pushes that bsp holds
// share their list and keep it alive beyond that.
//
// Places in memory are good for as long as the list, unless a policy may evict rows or a tier may move them
// (EmbeddingTable::rows_stay): then places are not kept, only keys and ring positions. One thread.
#ifndef COHORT_SERVER_KEPT_PULLS_H_
#define COHORT_SERVER_KEPT_PULLS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/buffer.h"
#include "common/message.h"
#include "common/types.h"

namespace cohort {

// What one pull asked for, n rows in ring order.
struct KeptPull {
  RequestId id = 0;
  TableId table = 0;
  Clock clock = 0;
  Buffer keys;                           // Key[n], as they came
  std::vector<std::uint64_t> positions;  // on the ring
  // In the table; null: there was no row when the pull was answered. Empty: rows of this table may move.
  std::vector<float*> rows;

  std::size_t size() const { return positions.size(); }
  std::uint64_t bytes() const {
    return size() * (sizeof(Key) + sizeof(std::uint64_t)) + rows.size() * sizeof(float*) + sizeof(*this);
  }
};

class KeptPulls {
 public:
  KeptPulls() : KeptPulls(0, 0) {}
  KeptPulls(std::uint32_t workers, std::uint64_t max_bytes);

  // An empty list, its memory perhaps used before, to be filled and kept. It returns when its last holder lets go.
  std::shared_ptr<KeptPull> NewList();
  // A pull that is kept already, or is larger than all the room there is, is not kept.
  void Keep(std::uint32_t worker, std::shared_ptr<const KeptPull> pull);
  // Null: not known, or no longer.
  std::shared_ptr<const KeptPull> Find(std::uint32_t worker, RequestId id) const;
  // The worker has closed `closed`: no push of that clock or an earlier one is to come.
  void Forget(std::uint32_t worker, Clock closed);
  // There may be so many workers from now on.
  void Count(std::uint32_t workers) { by_worker_.resize(workers); }
  void Clear();

  std::uint64_t bytes() const { return bytes_; }
  // Lists let go, or never kept, for want of room.
  std::uint64_t forgotten() const { return forgotten_; }

 private:
  struct Entry {
    RequestId id = 0;
    Clock clock = 0;
    std::uint64_t number = 0;  // counts what was kept: the lowest is the oldest
    std::shared_ptr<const KeptPull> pull;
  };
  using Spare = std::vector<std::unique_ptr<KeptPull>>;

  void ForgetOldest();

  std::uint64_t max_bytes_;
  std::uint64_t bytes_ = 0, forgotten_ = 0, next_number_ = 0;
  std::vector<std::vector<Entry>> by_worker_;  // oldest first: pushes mostly name one of the first
  std::shared_ptr<Spare> spare_;              // shared with lists that are out, which may outlive this
};

}  // namespace cohort

#endif  // COHORT_SERVER_KEPT_PULLS_H_
