// Texts as bags of word n-grams.
#ifndef COHORT_PREPARE_WORDS_H_
#define COHORT_PREPARE_WORDS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/dataset.h"

namespace cohort {

// A word is a run of letters and digits of any script (as the C library's C.UTF-8 locale classifies them), in lower case;
// whatever else there is, bytes that are no UTF-8 too, stands between words. One thread; memory is reused.
class Words {
 public:
  // The words of a text, in order. Valid until the next call.
  const std::vector<std::string>& Of(std::string_view text);
  // Appends a key for each word and each run of up to `ngrams` words (their words joined by a space), as hashed n-grams: no
  // vocabulary. Joulin, Grave, Bojanowski, Mikolov: "Bag of Tricks for Efficient Text Classification", EACL 2017.
  void AppendNgrams(std::string_view text, std::uint32_t ngrams, const FeatureKeys& keys,
                    std::vector<Key>* out);

 private:
  std::vector<std::string> words_;
  std::string run_;
};

}  // namespace cohort

#endif  // COHORT_PREPARE_WORDS_H_
