// `cohort erase`: users taken out of what was made of a shop's logs: dataset, models, checkpoints, results, and the logs if wanted.
//
//   PrepareWithoutUsers   the dataset anew, compared with the old one    ErasedUsers      what is searched for, and the search
//   WriteWithoutKeys      a model or checkpoint without some keys        ErasureReceipt   what was done, and what remains
//
// Every file is replaced as a whole, the dataset as the last one, and the receipt is begun before the first: whoever is interrupted calls
// again with the same words.
#ifndef COHORT_LAUNCH_ERASURE_H_
#define COHORT_LAUNCH_ERASURE_H_

#include <functional>
#include <string>
#include <vector>

#include "common/status.h"
#include "launch/erased_users.h"
#include "launch/erasure_receipt.h"

namespace cohort {

struct ErasureOptions {
  std::string shop;                // SHOP.toml
  std::string data_directory;      // what data files are relative to; empty: the description's directory
  std::string data;                // the dataset made of it
  std::vector<std::string> runs;   // RUN_DIRs
  std::vector<std::string> files;  // results: scores (.csv, .h5), profiles, lists, actions; records files
  ErasedUsers::Users users;
  bool logs = false;    // take their records out of the shop's logs too
  std::string receipt;  // written; one that has begun and was not finished is gone on with
  std::string key;      // file with the key of the receipt's digests
  std::function<void(const std::string&)> progress;  // a line; may be empty
};

// Errors: kInvalidInput, before anything is changed: no users, or none of them is known to the logs, the dataset or any file; a
// receipt that is done; a dataset of other logs; a run that is in use or damaged; a records file that holds one of them
// beside the description or the dataset, and is not named. kIo, kCorrupt. What a search finds at the end is no
// error here: ErasureReceipt::Left.
Result<ErasureReceipt> Erase(const ErasureOptions& options);

struct ErasureCheck {
  std::uint64_t files = 0, bytes = 0;      // searched
  std::uint64_t missing = 0, changed = 0;  // files of the receipt that are gone, or not as they were
  std::vector<SearchedFile> left;          // where something was found
};
// Searches all files of a receipt, and what its runs' folders hold by now. kInvalidInput: `users` are not those of the receipt, or it is
// not done.
Result<ErasureCheck> CheckErasure(const std::string& receipt, const std::string& key,
                                  const ErasedUsers::Users& users,
                                  const std::function<void(const std::string&)>& progress);

}  // namespace cohort

#endif  // COHORT_LAUNCH_ERASURE_H_
