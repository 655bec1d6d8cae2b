#include "worker/item_catalogue.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>

#include "common/check.h"

namespace cohort {
namespace {

// Calls take(block) for the blocks of the train split in order, until `stopping`.
template <typename Take>
Status ForEachBlock(DatasetReader& dataset, const std::function<bool()>& stopping, const Take& take) {
  const std::uint64_t rows = dataset.info().rows[static_cast<std::size_t>(Split::kTrain)];
  RowBlock block;
  for (std::uint64_t first = 0; first < rows && !stopping(); first += kBlockRows) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows - first));
    COHORT_RETURN_IF_ERROR(dataset.Read(Split::kTrain, first, count, /*with_ids=*/false, &block));
    take(block);
  }
  return {};
}

Key ItemOf(const Encoder& encoder, const RowBlock& block, std::uint32_t row) {
  return encoder.ItemKeys(block, row, 0)[0];
}

}  // namespace

Result<ItemCatalogue> ItemCatalogue::Build(DatasetReader& dataset, const Encoder& encoder,
                                           const std::function<bool()>& stopping) {
  struct Seen {
    std::uint64_t rows = 0, last_row = 0;
  };
  std::unordered_map<Key, Seen> seen;
  COHORT_RETURN_IF_ERROR(ForEachBlock(dataset, stopping, [&](const RowBlock& block) {
    for (std::uint32_t row = 0; row < block.rows; ++row) {
      Seen& item = seen[ItemOf(encoder, block, row)];
      ++item.rows;
      item.last_row = block.first_row + row;
    }
  }));
  if (seen.size() < 2 && !stopping()) {
    return InvalidInput(
        "the train split has " + std::to_string(seen.size()) +
        " item; model.kind = \"two_tower\" holds each against others and needs two at least: is "
        "the first feature of two_tower.item the item's id?");
  }
  if (seen.size() > std::numeric_limits<std::uint32_t>::max())
    return InvalidInput("the train split has more than 2^32 items");
  ItemCatalogue catalogue;
  for (const auto& [id, item] : seen) catalogue.ids_.push_back(id);
  std::sort(catalogue.ids_.begin(), catalogue.ids_.end());
  std::vector<std::uint64_t> rows, last_rows;
  for (const Key id : catalogue.ids_) {
    rows.push_back(seen[id].rows);
    last_rows.push_back(seen[id].last_row);
  }
  seen.clear();
  const TwoTowerConfig& config = encoder.two_tower();
  if (config.sampling == NegativeSampling::kFrequency) catalogue.WeighByFrequency(rows, config);
  catalogue.other_fields_ = encoder.item_fields() - 1;
  if (catalogue.other_fields_ > 0)
    COHORT_RETURN_IF_ERROR(catalogue.ReadFeatures(dataset, encoder, last_rows, stopping));
  return catalogue;
}

void ItemCatalogue::WeighByFrequency(const std::vector<std::uint64_t>& rows, const TwoTowerConfig& config) {
  const std::size_t items = ids_.size();
  std::vector<double> share(items);  // N q_i
  double sum = 0;
  for (std::size_t i = 0; i < items; ++i) {
    share[i] = std::pow(static_cast<double>(rows[i]), static_cast<double>(config.frequency_power));
    sum += share[i];
  }
  for (double& each : share) each *= static_cast<double>(items) / sum;
  if (config.log_q) {
    for (const double each : share) corrections_.push_back(static_cast<float>(std::log(each)));
  }
  // Places with less than 1 are filled up from those with more, in the order of their numbers.
  own_share_.assign(items, std::numeric_limits<std::uint64_t>::max());
  alias_.resize(items);
  std::vector<std::uint32_t> small, large;
  for (std::uint32_t i = 0; i < items; ++i) {
    alias_[i] = i;
    (share[i] < 1.0 ? small : large).push_back(i);
  }
  while (!small.empty() && !large.empty()) {
    const std::uint32_t less = small.back(), more = large.back();
    small.pop_back();
    own_share_[less] = static_cast<std::uint64_t>(share[less] * 0x1p64);
    alias_[less] = more;
    share[more] -= 1.0 - share[less];
    if (share[more] >= 1.0) continue;
    large.pop_back();
    small.push_back(more);
  }
}

Status ItemCatalogue::ReadFeatures(DatasetReader& dataset, const Encoder& encoder,
                                   const std::vector<std::uint64_t>& last_rows,
                                   const std::function<bool()>& stopping) {
  std::vector<std::vector<Key>> keys(ids_.size() * other_fields_);
  COHORT_RETURN_IF_ERROR(ForEachBlock(dataset, stopping, [&](const RowBlock& block) {
    for (std::uint32_t row = 0; row < block.rows; ++row) {
      const std::uint32_t item = PlaceOf(ItemOf(encoder, block, row));
      if (last_rows[item] != block.first_row + row) continue;
      for (std::uint32_t f = 0; f < other_fields_; ++f) {
        std::vector<Key>& list = keys[std::size_t{item} * other_fields_ + f];
        const std::span<const Key> ids = encoder.ItemKeys(block, row, f + 1);
        list.assign(ids.begin(), ids.end());
      }
    }
  }));
  for (const std::vector<Key>& list : keys) {
    other_keys_.insert(other_keys_.end(), list.begin(), list.end());
    other_ends_.push_back(other_keys_.size());
  }
  return {};
}

std::uint32_t ItemCatalogue::Draw(std::uint64_t bits) const {
  const unsigned __int128 product = static_cast<unsigned __int128>(bits) * ids_.size();
  const auto place = static_cast<std::uint32_t>(product >> 64);
  if (alias_.empty() || static_cast<std::uint64_t>(product) < own_share_[place]) return place;
  return alias_[place];
}

std::uint32_t ItemCatalogue::PlaceOf(Key id) const {
  const auto found = std::lower_bound(ids_.begin(), ids_.end(), id);
  COHORT_CHECK(found != ids_.end() && *found == id, "item %016llx is not in the train split",
               static_cast<unsigned long long>(id));
  return static_cast<std::uint32_t>(found - ids_.begin());
}

std::span<const Key> ItemCatalogue::Keys(std::uint32_t item, std::uint32_t field) const {
  if (field == 0) return {&ids_[item], 1};
  const std::size_t list = std::size_t{item} * other_fields_ + field - 1;
  const std::uint64_t begin = list == 0 ? 0 : other_ends_[list - 1];
  return {other_keys_.data() + begin, other_ends_[list] - begin};
}

}  // namespace cohort
