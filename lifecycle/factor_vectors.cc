#include "lifecycle/factor_vectors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>

#include "common/config.h"
#include "common/dataset.h"
#include "common/model_files.h"

namespace cohort {

Result<std::unique_ptr<FactorVectors>> FactorVectors::Read(const std::string& model,
                                                           const ShopHistory& history) {
  COHORT_ASSIGN_OR_RETURN(const std::string directory, FindModel(model));
  COHORT_ASSIGN_OR_RETURN(const ModelManifest manifest, ReadModelManifest(directory));
  COHORT_ASSIGN_OR_RETURN(const RunConfig run, ParseRunConfig(manifest.run_config, model, ""));
  COHORT_ASSIGN_OR_RETURN(const DatasetInfo data, DatasetInfoFromJson(manifest.dataset_info));
  const TwoTowerConfig& towers = run.model.two_tower;
  if (run.model.kind != "two_tower")
    return InvalidInput(model + " is of the kind \"" + run.model.kind +
                        "\", expected a model of kind = \"two_tower\" (docs/models.md)");
  if (!towers.user_layers.empty() || !towers.item_layers.empty())
    return InvalidInput(model +
                        ": its towers have layers, expected user_layers and item_layers to be empty: a "
                        "vector for each user and item");
  if (data.features.size() != 2 || towers.item.size() != 1)
    return InvalidInput(model + ": expected a model of two features, the user's id and the item's; it has " +
                        std::to_string(data.features.size()));
  const std::string& item_feature = towers.item[0];
  const std::string& user_feature = data.features[data.features[0].name == item_feature ? 1 : 0].name;

  auto made = std::make_unique<FactorVectors>();
  const std::size_t items = made->items_ = history.items.size(), users = history.users.size();
  std::unordered_map<Key, std::size_t> places;  // users, then items
  for (std::size_t i = 0; i < users; ++i) places.emplace(CategoryKey(user_feature, history.users[i]), i);
  for (std::size_t i = 0; i < items; ++i)
    places.emplace(CategoryKey(item_feature, history.items[i].name), users + i);
  std::vector<bool> found(users + items);
  std::vector<float> widened;
  COHORT_RETURN_IF_ERROR(VisitModel(directory, manifest, [&](const ModelRows& rows) -> Status {
    if (rows.table->kind != TableKind::kSparse) return {};
    if (made->users_.empty()) {
      made->factors_ = rows.table->dim - 1;
      widened.resize(rows.table->dim);
      made->users_.resize(users * made->factors_);
      made->blocks_.resize((items + kBlock - 1) / kBlock * kBlock * made->factors_);
      made->biases_.resize(items);
    }
    const std::size_t factors = made->factors_;
    for (std::size_t i = 0; i < rows.keys.size(); ++i) {
      const auto place = places.find(rows.keys[i]);
      if (place == places.end()) continue;
      const float* row = rows.rows + i * rows.row_floats;
      if (rows.table->dtype != FloatType::kFloat32) {
        Widen(rows.table->dtype, reinterpret_cast<const std::uint16_t*>(row), widened.size(), widened.data());
        row = widened.data();
      }
      found[place->second] = true;
      if (place->second < users) {
        std::copy(row, row + factors, &made->users_[place->second * factors]);
        continue;
      }
      const std::size_t item = place->second - users;
      for (std::size_t c = 0; c < factors; ++c)
        made->blocks_[(item / kBlock * factors + c) * kBlock + item % kBlock] = row[c];
      made->biases_[item] = row[factors];
    }
    return {};
  }));
  if (std::none_of(found.begin() + static_cast<std::ptrdiff_t>(users), found.end(),
                   [](bool is) { return is; }))
    return InvalidInput(model + " knows none of the " + std::to_string(items) + " items of " +
                        history.schema.path +
                        ": expected it to be trained on their ids, as --write-pairs writes them");
  float least = std::numeric_limits<float>::infinity();
  for (std::size_t item = 0; item < items; ++item) {
    if (found[users + item]) least = std::min(least, made->biases_[item]);
  }
  for (std::size_t item = 0; item < items; ++item) {
    if (!found[users + item]) made->biases_[item] = least;
  }
  return made;
}

void FactorVectors::Score(std::uint32_t user, std::span<float> scores) const {
  const float* factors = &users_[user * factors_];
  for (std::size_t begin = 0; begin < items_; begin += kBlock) {
    // Items side by side, so that each score is one chain of additions and still many are computed at once.
    std::array<float, kBlock> sums{};
    const float* block = &blocks_[begin * factors_];
    for (std::size_t c = 0; c < factors_; ++c) {
      for (std::size_t i = 0; i < kBlock; ++i) sums[i] += factors[c] * block[c * kBlock + i];
    }
    for (std::size_t i = 0; i < std::min(kBlock, items_ - begin); ++i)
      scores[begin + i] = sums[i] + biases_[begin + i];
  }
}

}  // namespace cohort
