// What a Shard knows of the disk under a table that is larger than its memory: someone who takes cold rows, and brings
// them back some time after they have been asked for. The real one is ColdFile (cold_file.h); simulations have slow disks
// in virtual time.
//
// A row is a fixed number of words (RowLayout), named by its ring position, and has a *place* while it lies here,
// chosen by Write. One thread.
#ifndef COHORT_SERVER_COLD_ROWS_H_
#define COHORT_SERVER_COLD_ROWS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "common/status.h"
#include "common/types.h"

namespace cohort {

// Places are below this.
inline constexpr std::uint32_t kMaxPlaces = (1u << 29) - (1u << 14);

class ColdRows {
 public:
  virtual ~ColdRows() = default;
  // Takes a row over. Nothing: not now (too much is being written, or full() or failure() says why); the row is still the
  // caller's.
  virtual std::optional<std::uint32_t> Write(std::uint64_t position, const float* row) = 0;
  // Waits while too much is being written. False: Write will take no row all the same; full() or failure() says why.
  virtual bool WaitForRoom() = 0;
  // The row is wanted here no more. Reads under way may still bring it.
  virtual void Free(std::uint32_t place) = 0;
  // Asks for rows that are here. Each comes once, whatever happens to its place meanwhile.
  virtual void Request(std::span<const std::uint32_t> places, TimePoint now) = 0;
  struct Arrived {
    std::uint64_t position = 0;
    std::uint32_t place = 0;
    const float* row = nullptr;  // until the next call
  };
  // A row that has come by now. Nothing: none. Rows may come that nobody has asked for, wanted or not: they lie in a
  // space that is to be emptied, so the wanted ones are to be taken in and given back by Write.
  virtual std::optional<Arrived> Take(TimePoint now) = 0;
  // When Take may have something, or failure() something new: past, then or kNever. Who waits for a real disk is
  // woken up when this changes.
  virtual TimePoint NextArrival() const = 0;
  // Reads rows at once, blocking: for snapshots. Row i goes to rows + i * words. Errors: the disk's.
  virtual Status Read(std::span<const std::uint32_t> places, float* rows) = 0;
  // For whoever copies all that lies here: places come in pieces, numbered from 0, each of which is read at once.
  virtual std::uint32_t pieces() const = 0;
  virtual void RequestPiece(std::uint32_t piece, TimePoint now) = 0;
  // Calls visit for every place of a piece that has come by now; a place may hold anything, a row that is wanted or not.
  // False: none has come. NextArrival tells of pieces as well.
  virtual bool TakePiece(TimePoint now, const std::function<void(const Arrived&)>& visit) = 0;
  // Not ok: the last Write found no room, and the disk gives none. Ok again when there is some. What has been taken over
  // is here and can be read.
  virtual const Status& full() const = 0;
  // Not ok: rows cannot be read any more.
  virtual const Status& failure() const = 0;
};

}  // namespace cohort

#endif  // COHORT_SERVER_COLD_ROWS_H_
