#include "lifecycle/factor_vectors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>

#include "common/config.h"
#include "common/dataset.h"
#include "common/model_files.h"

namespace cohort {
namespace {

// Each score is one chain of additions: the same bits in any list. So many chains run side by side.
constexpr std::size_t kTogether = 16;

}  // namespace

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

  const std::size_t items = history.items.size(), users = history.users.size();
  std::unordered_map<Key, std::size_t> places;  // users, then items
  for (std::size_t i = 0; i < users; ++i) places.emplace(CategoryKey(user_feature, history.users[i]), i);
  for (std::size_t i = 0; i < items; ++i)
    places.emplace(CategoryKey(item_feature, history.items[i].name), users + i);
  std::vector<bool> found(users + items);
  std::vector<float> vectors, widened;  // of users, then items
  std::size_t dimensions = 0;
  COHORT_RETURN_IF_ERROR(VisitModel(directory, manifest, [&](const ModelRows& rows) -> Status {
    if (rows.table->kind != TableKind::kSparse) return {};
    if (dimensions == 0) {
      dimensions = rows.table->dim;
      widened.resize(dimensions);
      vectors.resize((users + items) * dimensions);
    }
    for (std::size_t i = 0; i < rows.keys.size(); ++i) {
      const auto place = places.find(rows.keys[i]);
      if (place == places.end()) continue;
      const float* row = rows.rows + i * rows.row_floats;
      if (rows.table->dtype != FloatType::kFloat32) {
        Widen(rows.table->dtype, reinterpret_cast<const std::uint16_t*>(row), widened.size(), widened.data());
        row = widened.data();
      }
      found[place->second] = true;
      std::copy(row, row + dimensions, &vectors[place->second * dimensions]);
    }
    return {};
  }));
  if (std::none_of(found.begin() + static_cast<std::ptrdiff_t>(users), found.end(),
                   [](bool is) { return is; }))
    return InvalidInput(model + " knows none of the " + std::to_string(items) + " items of " +
                        history.schema.path +
                        ": expected it to be trained on their ids, as --write-pairs writes them");
  const auto last = [&](std::size_t place) -> float& { return vectors[(place + 1) * dimensions - 1]; };
  for (std::size_t user = 0; user < users; ++user) last(user) = 1;
  float least = std::numeric_limits<float>::infinity();
  for (std::size_t place = users; place < users + items; ++place) {
    if (found[place]) least = std::min(least, last(place));
  }
  for (std::size_t place = users; place < users + items; ++place) {
    if (!found[place]) last(place) = least;
  }
  std::vector<float> of_items(vectors.begin() + static_cast<std::ptrdiff_t>(users * dimensions),
                              vectors.end());
  vectors.resize(users * dimensions);
  return std::make_unique<FactorVectors>(dimensions, std::move(vectors), std::move(of_items));
}

void FactorVectors::Score(std::uint32_t user, std::span<const std::uint32_t> items,
                          std::span<float> scores) const {
  const float* of_user = &users_[user * dimensions_];
  for (std::size_t begin = 0; begin < items.size(); begin += kTogether) {
    const std::size_t count = std::min(kTogether, items.size() - begin);
    std::array<const float*, kTogether> of_items;
    for (std::size_t i = 0; i < kTogether; ++i)
      of_items[i] = &items_[items[begin + std::min(i, count - 1)] * dimensions_];
    std::array<float, kTogether> sums{};
    for (std::size_t c = 0; c < dimensions_; ++c) {
      for (std::size_t i = 0; i < kTogether; ++i) sums[i] += of_user[c] * of_items[i][c];
    }
    std::copy_n(sums.begin(), count, scores.begin() + static_cast<std::ptrdiff_t>(begin));
  }
}

void FactorVectors::Index(std::span<const std::uint32_t> items, std::span<const double> weights,
                          const Progress& progress) {
  weight_ = static_cast<float>(weights[0]);
  index_ = std::make_unique<HnswIndex>(dimensions_, items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::span<const float> item = std::span(items_).subspan(items[i] * dimensions_, dimensions_);
    const auto factors = item.first(dimensions_ - 1);
    if (std::any_of(factors.begin(), factors.end(), [](float factor) { return factor != 0; }))
      index_->Add(item, items[i]);
    if (i % 1024 == 0)
      progress("indexing factors: " + std::to_string(i) + " of " + std::to_string(items.size()) + " items");
  }
}

std::vector<std::uint32_t> FactorVectors::Retrieve(std::uint32_t user, std::size_t n) const {
  std::vector<float> query(dimensions_);
  for (std::size_t c = 0; c < dimensions_; ++c) query[c] = weight_ * users_[user * dimensions_ + c];
  return index_->Nearest(query, n);
}

}  // namespace cohort
