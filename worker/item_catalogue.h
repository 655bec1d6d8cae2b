// The items of the train split, from which a two_tower model's negatives are drawn.
//
// An item is what the first feature of two_tower.item says; its other features on the item's side are those of its last row
// in the split. Items are kept by ascending key, so the catalogue is a function of the data alone, the same on every worker.
//
// uniform    q_i = 1 / N
// frequency  q_i = n_i^a / sum_j n_j^a, n_i the item's rows in the split, a = two_tower.frequency_power (Mikolov, Sutskever,
//            Chen, Corrado, Dean: "Distributed Representations of Words and Phrases", NIPS 2013: a = 3/4)
//
// Drawing takes one random number and one step whatever N is, by the alias method (Walker 1977, Vose 1991).
//
// Memory: about 28 bytes an item, and 8 for each id of its other features; while it is built about 80 bytes an item, and as many for
// each other feature of it.
#ifndef COHORT_WORKER_ITEM_CATALOGUE_H_
#define COHORT_WORKER_ITEM_CATALOGUE_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "common/config.h"
#include "common/dataset.h"
#include "common/status.h"
#include "common/types.h"
#include "worker/encoder.h"

namespace cohort {

// Immutable once built: any thread.
class ItemCatalogue {
 public:
  // Reads the train split once, and once more if the item's side has more features than the id. `stopping` is asked now and then:
  // true ends it with what it has. Errors: the data cannot be read; kInvalidInput: fewer than two items.
  static Result<ItemCatalogue> Build(DatasetReader& dataset, const Encoder& encoder,
                                     const std::function<bool()>& stopping);

  std::uint32_t size() const { return static_cast<std::uint32_t>(ids_.size()); }
  // An item for 64 random bits.
  std::uint32_t Draw(std::uint64_t bits) const;
  Key id(std::uint32_t item) const { return ids_[item]; }
  // The place of an id that the train split has.
  std::uint32_t PlaceOf(Key id) const;
  // The ids of a field of the item's side; 0: the item's own.
  std::span<const Key> Keys(std::uint32_t item, std::uint32_t field) const;
  // log(N q_i): what a score in the loss is too high by, but for a constant, because of how often the item is drawn. None
  // without frequency and log_q.
  bool Corrects() const { return !corrections_.empty(); }
  float Correction(std::uint32_t item) const { return corrections_[item]; }

 private:
  void WeighByFrequency(const std::vector<std::uint64_t>& rows, const TwoTowerConfig& config);
  Status ReadFeatures(DatasetReader& dataset, const Encoder& encoder,
                      const std::vector<std::uint64_t>& last_rows, const std::function<bool()>& stopping);

  std::vector<Key> ids_;  // ascending
  // frequency: of the draws that fall on place i, those whose lower bits are below own_share_[i] (of 2^64) are its own, the
  // others alias_[i]'s.
  std::vector<std::uint64_t> own_share_;
  std::vector<std::uint32_t> alias_;
  std::vector<float> corrections_;
  // The other fields: those of item i are the lists other_ends_[i * fields - 1] to .. of other_keys_, one behind the other.
  std::uint32_t other_fields_ = 0;
  std::vector<std::uint64_t> other_ends_;
  std::vector<Key> other_keys_;
};

}  // namespace cohort

#endif  // COHORT_WORKER_ITEM_CATALOGUE_H_
