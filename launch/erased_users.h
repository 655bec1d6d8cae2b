// ErasedUsers: users of whom nothing is to be left in some files, and the search for what is. Users are known by their ids; keys of
// embedding rows (their own, and those of values that only they had) by digests, so that a receipt can hold them and a later search
// needs nothing else.
#ifndef COHORT_LAUNCH_ERASED_USERS_H_
#define COHORT_LAUNCH_ERASED_USERS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "common/row_hash.h"
#include "common/secret_key.h"
#include "common/status.h"
#include "common/types.h"
#include "prepare/csv_reader.h"
#include "prepare/file_cut.h"

namespace cohort {

// The column of a CSV file that has users, or, in the log of refused and evicted rows (row_log_file.h), keys.
struct UserColumn {
  std::size_t column = 0;
  bool keys = false;
  CsvOptions csv;
};

// What a search has found in a file.
struct UserTraces {
  std::uint64_t cells = 0;  // of the column of users, or ids of a dataset's, score file's or records file
  std::uint64_t words = 0;  // ids in the bytes, with no letter, digit or _ before and behind
  std::uint64_t keys = 0;   // their 8 bytes at any place, or as a number or 16 hexadecimal digits in a text
  std::uint64_t bytes = 0;  // searched, unpacked
  std::uint64_t first = 0;  // where in these the first of words and keys is
  bool none() const { return cells + words + keys == 0; }
};

class ErasedUsers {
 public:
  using Users = std::set<std::string, std::less<>>;
  // An id that is a number, or shorter than this, is looked for in cells and ids only: as a word it says nothing.
  static constexpr std::size_t kLeastWordBytes = 6;

  ErasedUsers(SecretKey secret, Users users);
  ErasedUsers(ErasedUsers&&) = default;

  const Users& users() const { return users_; }
  bool IsUser(std::string_view id) const { return users_.contains(id); }
  std::vector<Hash128> UserDigests() const;  // ascending
  const SecretKey& secret() const { return secret_; }
  bool AllAreWords() const { return words_ == users_.size(); }

  void AddKey(Key key) { keys_.insert(DigestOf(key)); }
  void AddKeyDigest(const Hash128& digest) { keys_.insert(digest); }
  bool IsKey(Key key) const { return keys_.contains(DigestOf(key)); }
  std::vector<Hash128> KeyDigests() const;  // ascending

  // Every byte of a file, gzip unpacked; of an HDF5 file the ids of its rows too, of a records file (shop_records_file.h) its users; and of a CSV file the cells of the column that
  // `column` names, else of the first that is called "id", "user" or "key".
  Result<UserTraces> Search(const std::string& path, const std::optional<UserColumn>& column = {}) const;

  // The column of a file that is CSV by what its first line says; nothing: it has none, or is something else.
  static std::optional<UserColumn> ColumnOf(const std::string& path);
  // The records of a CSV file with one of the users, or keys, in the column. kInvalidInput: it is no CSV.
  Result<std::vector<ByteRange>> Records(const std::string& path, const UserColumn& column) const;
  // The lines of a text that hold one of the users as a word, or a key.
  Result<std::vector<ByteRange>> Lines(const std::string& path) const;

 private:
  struct HashOf {
    std::size_t operator()(const Hash128& hash) const { return hash.low; }
  };
  Hash128 DigestOf(Key key) const;
  bool IsKeyText(std::string_view word) const;
  // Calls found(place, is_key) for each word and key that begins in bytes [from, to) of `bytes`, of which more may be there.
  template <typename Found>
  void Match(std::string_view bytes, std::size_t from, std::size_t to, bool text, const Found& found) const;

  SecretKey secret_;
  Users users_;
  std::unordered_set<Hash128, HashOf> keys_;
  std::size_t words_ = 0;                                // of the users are looked for as words
  std::vector<std::vector<std::string_view>> words_of_;  // by their first two bytes
};

// The ids of a file's rows, when it is a dataset or score file of HDF5, or the users of a records file; false: it is none of them.
Result<bool> VisitIds(const std::string& path, const std::function<void(std::string_view id)>& visit);

}  // namespace cohort

#endif  // COHORT_LAUNCH_ERASED_USERS_H_
