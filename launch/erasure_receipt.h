// The receipt of `cohort erase`: what was searched for, as digests under the owner's key, what was removed where, and what remains. It
// is written before anything is removed, after each file, and at the end; so one that has begun says what is left to be done.
#ifndef COHORT_LAUNCH_ERASURE_RECEIPT_H_
#define COHORT_LAUNCH_ERASURE_RECEIPT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/row_hash.h"
#include "common/secret_key.h"
#include "common/status.h"
#include "launch/erased_users.h"

namespace cohort {

struct ErasedFile {
  std::string path;  // absolute; of a model or checkpoint, its folder
  std::string
      kind;  // "dataset", "model", "checkpoint", "results", "log" (of the shop), "text" (of a run), "leftover" (removed whole)
  std::uint64_t removed = 0;  // rows, records, lines; files of what was removed whole
};

// A file that was searched at the end, and is to be searched when the receipt is verified.
struct SearchedFile {
  std::string path;  // absolute
  std::uint64_t bytes = 0, checksum = 0;
  std::optional<UserColumn> column;  // of a shop's log: its users
  UserTraces traces;
};

struct ErasureReceipt {
  bool done = false;
  std::string made_at;                           // UTC
  std::vector<std::string> runs;                 // absolute
  std::string user_key;                          // absolute; the file with the key of pseudonyms, or empty
  std::vector<Hash128> users, keys;              // digests; of users, those of their pseudonyms too
  std::uint64_t rows = 0, rows_changed = 0;      // of others, in the dataset
  std::map<std::string, std::uint64_t> changed;  // rows by feature
  std::vector<ErasedFile> removed;
  std::uint64_t resumable = 0,
                not_resumable =
                    0;  // checkpoints that a run can, and cannot, be resumed from with the new dataset
  std::vector<SearchedFile> searched;
  std::vector<std::string> remains;  // in words

  std::uint64_t Removed(const std::string& kind) const;
  std::vector<const SearchedFile*> Left() const;  // where something was found
};

// One JSON object, with a digest of itself.
std::string ToJson(const ErasureReceipt& receipt, const SecretKey& secret);
// kInvalidInput: it is no receipt; kCorrupt: it was changed, or the key is not the one it was written with.
Result<ErasureReceipt> ReadErasureReceipt(const std::string& path, const SecretKey& secret);

}  // namespace cohort

#endif  // COHORT_LAUNCH_ERASURE_RECEIPT_H_
