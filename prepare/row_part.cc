#include "prepare/row_part.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "common/check.h"
#include "common/random.h"

namespace cohort {
namespace {

// Offsets of lists that together have `total` values.
bool AreOffsets(const std::vector<std::uint64_t>& offsets, std::size_t rows, std::size_t total) {
  return offsets.size() == rows + 1 && offsets.front() == 0 && offsets.back() == total &&
         std::is_sorted(offsets.begin(), offsets.end());
}

bool HasShape(const DatasetInfo& info, const RowPart& part) {
  const RowBlock& block = part.rows;
  const std::size_t rows = part.splits.size();
  if (rows > std::numeric_limits<std::uint32_t>::max()) return false;
  for (const Split split : part.splits) {
    if (static_cast<std::size_t>(split) >= kSplitCount) return false;
  }
  bool fits = block.numeric.size() == rows * info.CountOf(FeatureType::kNumeric) &&
              block.categorical.size() == rows * info.CountOf(FeatureType::kCategorical) &&
              block.labels.size() == rows * info.tasks.size() &&
              block.weights.size() == (info.has_weight ? rows : 0) && block.input_rows.size() == rows &&
              block.ids.size() == (info.has_id ? rows : 0) &&
              (block.groups.empty() || block.groups.size() == rows) &&
              block.bag_offsets.size() == info.CountOf(FeatureType::kBag) &&
              block.bag_keys.size() == block.bag_offsets.size() &&
              block.vectors.size() == info.CountOf(FeatureType::kVector);
  for (std::size_t i = 0; fits && i < block.bag_keys.size(); ++i)
    fits = AreOffsets(block.bag_offsets[i], rows, block.bag_keys[i].size());
  std::size_t vector = 0;
  for (std::size_t i = 0; fits && i < info.features.size(); ++i) {
    if (info.features[i].type != FeatureType::kVector) continue;
    fits = block.vectors[vector++].size() == rows * info.features[i].length;
  }
  return fits;
}

// Keys repeat: each of them once, and for each place its number, a quarter of the bytes. If too many differ: the keys.
void PutKeys(const std::vector<Key>& keys, ByteWriter* out) {
  constexpr std::size_t kMost = std::size_t{1} << 16;
  std::vector<Key> distinct;
  std::vector<std::uint16_t> numbers;
  numbers.reserve(keys.size());
  // By key, open addressing, at most half full: its number and one; 0: empty.
  std::vector<std::uint32_t> slots(std::bit_ceil(2 * std::min(keys.size(), kMost) + 1));
  const std::size_t mask = slots.size() - 1;
  for (const Key key : keys) {
    std::size_t at = Mix64(key) & mask;
    while (slots[at] != 0 && distinct[slots[at] - 1] != key) at = (at + 1) & mask;
    if (slots[at] == 0) {
      if (distinct.size() == kMost) break;
      distinct.push_back(key);
      slots[at] = static_cast<std::uint32_t>(distinct.size());
    }
    numbers.push_back(static_cast<std::uint16_t>(slots[at] - 1));
  }
  const bool all = numbers.size() == keys.size();
  out->PutList(all ? distinct : keys);
  out->PutList(all ? numbers : std::vector<std::uint16_t>());
}

bool GetKeys(ByteReader* in, std::vector<Key>* keys) {
  std::vector<Key> distinct;
  std::vector<std::uint16_t> numbers;
  if (!in->GetList(&distinct) || !in->GetList(&numbers)) return false;
  if (numbers.empty()) {
    *keys = std::move(distinct);
    return true;
  }
  keys->resize(numbers.size());
  bool known = true;
  for (std::size_t i = 0; i < numbers.size() && known; ++i) {
    known = numbers[i] < distinct.size();
    if (known) (*keys)[i] = distinct[numbers[i]];
  }
  return known;
}

}  // namespace

void AppendRows(const RowBlock& from, std::uint32_t first, std::uint32_t count, RowBlock* to) {
  COHORT_CHECK(count <= from.rows && first <= from.rows - count);
  if (count == 0) return;
  const auto append = [&](const auto& values, auto* out) {  // `values`: equally many a row
    const auto width = static_cast<std::ptrdiff_t>(values.size() / from.rows);
    out->insert(out->end(), values.begin() + first * width, values.begin() + (first + count) * width);
  };
  append(from.numeric, &to->numeric);
  append(from.categorical, &to->categorical);
  for (std::size_t i = 0; i < from.bag_keys.size(); ++i) {
    const std::vector<std::uint64_t>& offsets = from.bag_offsets[i];
    const std::uint64_t shift = to->bag_keys[i].size() - offsets[first];  // modulo 2^64
    for (std::uint32_t row = first; row < first + count; ++row)
      to->bag_offsets[i].push_back(offsets[row + 1] + shift);
    const auto keys = from.bag_keys[i].begin();
    to->bag_keys[i].insert(to->bag_keys[i].end(), keys + static_cast<std::ptrdiff_t>(offsets[first]),
                           keys + static_cast<std::ptrdiff_t>(offsets[first + count]));
  }
  for (std::size_t i = 0; i < from.vectors.size(); ++i) append(from.vectors[i], &to->vectors[i]);
  append(from.labels, &to->labels);
  append(from.weights, &to->weights);
  append(from.input_rows, &to->input_rows);
  append(from.ids, &to->ids);
  append(from.groups, &to->groups);
  to->rows += count;
}

void Put(const RowPart& part, ByteWriter* out) {
  const RowBlock& block = part.rows;
  out->PutList(part.splits);
  out->PutList(block.numeric);
  PutKeys(block.categorical, out);
  out->Put<std::uint64_t>(block.bag_keys.size());
  for (std::size_t i = 0; i < block.bag_keys.size(); ++i) {
    out->PutList(block.bag_offsets[i]);
    PutKeys(block.bag_keys[i], out);
  }
  out->Put<std::uint64_t>(block.vectors.size());
  for (const std::vector<float>& values : block.vectors) out->PutList(values);
  out->PutList(block.labels);
  out->PutList(block.weights);
  out->PutList(block.input_rows);
  std::vector<std::uint32_t> lengths;
  std::vector<char> texts;
  for (const std::string& id : block.ids) {
    lengths.push_back(static_cast<std::uint32_t>(id.size()));
    texts.insert(texts.end(), id.begin(), id.end());
  }
  out->PutList(lengths);
  out->PutList(texts);
  out->PutList(block.groups);
}

bool Get(const DatasetInfo& info, ByteReader* in, RowPart* part) {
  RowBlock& block = part->rows;
  std::uint64_t bags = 0, vectors = 0;
  in->GetList(&part->splits);
  in->GetList(&block.numeric);
  if (!GetKeys(in, &block.categorical)) return false;
  if (!in->Get(&bags) || bags != info.CountOf(FeatureType::kBag)) return false;
  block.bag_offsets.resize(bags);
  block.bag_keys.resize(bags);
  for (std::size_t i = 0; i < bags; ++i) {
    in->GetList(&block.bag_offsets[i]);
    if (!GetKeys(in, &block.bag_keys[i])) return false;
  }
  if (!in->Get(&vectors) || vectors != info.CountOf(FeatureType::kVector)) return false;
  block.vectors.resize(vectors);
  for (std::vector<float>& values : block.vectors) in->GetList(&values);
  in->GetList(&block.labels);
  in->GetList(&block.weights);
  in->GetList(&block.input_rows);
  std::vector<std::uint32_t> lengths;
  std::vector<char> texts;
  in->GetList(&lengths);
  in->GetList(&texts);
  if (!in->GetList(&block.groups)) return false;
  std::size_t at = 0;
  block.ids.clear();
  for (const std::uint32_t length : lengths) {
    if (length > texts.size() - at) return false;
    block.ids.emplace_back(texts.data() + at, length);
    at += length;
  }
  if (at != texts.size() || !HasShape(info, *part)) return false;
  block.rows = static_cast<std::uint32_t>(part->splits.size());
  return true;
}

}  // namespace cohort
