// NameTable: the texts behind the keys of categorical values, so that what a dataset keeps as hashes can be shown to people.
#ifndef COHORT_PREPARE_NAME_TABLE_H_
#define COHORT_PREPARE_NAME_TABLE_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/dataset.h"

namespace cohort {

class NameTable {
 public:
  // Of a vocabulary with more different texts than kMostNames, or a longer one, no text is kept: ids are no names, and nothing depends on
  // the order of the rows.
  static constexpr std::size_t kMostNames = 1000, kMostBytes = 128;

  explicit NameTable(std::size_t vocabularies) : vocabularies_(vocabularies) {}

  void Add(std::size_t vocabulary, Key key, std::string_view text) {
    Vocabulary& of = vocabularies_[vocabulary];
    if (of.dropped || of.recent[key % kRecent] == key) return;
    of.recent[key % kRecent] = key;
    if (text.size() <= kMostBytes) of.names.try_emplace(key, text);
    of.dropped = text.size() > kMostBytes || of.names.size() > kMostNames;
    if (of.dropped) of.names.clear();
  }
  // Of all vocabularies: keys of different ones differ (FeatureKeys).
  DatasetNames Names() const {
    DatasetNames names;
    for (const Vocabulary& of : vocabularies_) names.insert(of.names.begin(), of.names.end());
    return names;
  }

 private:
  static constexpr std::size_t kRecent = 512;  // keys that need no look into `names`
  struct Vocabulary {
    bool dropped = false;
    std::array<Key, kRecent> recent{};
    std::unordered_map<Key, std::string> names;
  };
  std::vector<Vocabulary> vocabularies_;
};

}  // namespace cohort

#endif  // COHORT_PREPARE_NAME_TABLE_H_
