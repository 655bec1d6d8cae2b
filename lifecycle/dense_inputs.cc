#include "lifecycle/dense_inputs.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "common/nearest.h"

namespace cohort {
namespace {

// Beyond so many different values, new ones are not counted: a feature of so many is told by none of them.
constexpr std::size_t kMostCounted = 100'000;

}  // namespace

Result<DenseInputs> DenseInputs::Of(DatasetReader& data, const std::vector<std::string>& without) {
  const DatasetInfo& info = data.info();
  std::vector<std::string> names;
  for (const FeatureInfo& feature : info.features) names.push_back(feature.name);
  for (const std::string& name : without) {
    if (std::find(names.begin(), names.end(), name) == names.end())
      return InvalidInput("the dataset has no feature \"" + name + "\"" + DidYouMean(name, names));
  }
  DenseInputs inputs;
  inputs.numeric_ = info.CountOf(FeatureType::kNumeric);
  inputs.categorical_ = info.CountOf(FeatureType::kCategorical);
  for (std::size_t i = 0; i < info.features.size(); ++i) {
    const FeatureInfo& feature = info.features[i];
    if (std::find(without.begin(), without.end(), feature.name) != without.end()) continue;
    if (feature.type == FeatureType::kBag) {
      inputs.skipped_.push_back(feature.name);
      continue;
    }
    inputs.sources_.push_back({feature.name,
                               feature.type,
                               info.ColumnOf(i),
                               feature.type == FeatureType::kVector ? feature.length : 1,
                               {},
                               0});
  }
  if (inputs.sources_.empty())
    return InvalidInput("the dataset has no numeric, categorical or vector feature to learn from");

  std::vector<std::unordered_map<Key, std::uint64_t>> counts(inputs.categorical_);
  RowBlock block;
  const std::uint64_t rows = info.rows[static_cast<std::size_t>(Split::kTrain)];
  for (std::uint64_t first = 0; first < rows && inputs.categorical_ > 0; first += block.rows) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, rows - first));
    COHORT_RETURN_IF_ERROR(data.Read(Split::kTrain, first, count, /*with_ids=*/false, &block));
    for (std::size_t row = 0; row < block.rows; ++row) {
      for (std::size_t i = 0; i < inputs.categorical_; ++i) {
        const Key key = block.categorical[row * inputs.categorical_ + i];
        if (counts[i].size() < kMostCounted || counts[i].count(key) > 0) ++counts[i][key];
      }
    }
  }
  for (Source& source : inputs.sources_) {
    source.first = inputs.width_;
    if (source.type != FeatureType::kCategorical) {
      inputs.width_ += source.length;
      continue;
    }
    std::vector<std::pair<std::uint64_t, Key>> levels;
    for (const auto& [key, count] : counts[source.column]) levels.emplace_back(count, key);
    std::sort(levels.begin(), levels.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    if (levels.size() > kMostLevels) levels.resize(kMostLevels);
    for (const auto& level : levels) source.levels.push_back(level.second);
    std::sort(source.levels.begin(), source.levels.end());
    inputs.width_ += source.levels.size();
  }
  return inputs;
}

void DenseInputs::Append(const RowBlock& block, std::vector<float>* inputs) const {
  for (std::size_t row = 0; row < block.rows; ++row) {
    for (const Source& source : sources_) {
      if (source.type == FeatureType::kNumeric) {
        inputs->push_back(block.numeric[row * numeric_ + source.column]);
      } else if (source.type == FeatureType::kVector) {
        const float* values = block.vectors[source.column].data() + row * source.length;
        inputs->insert(inputs->end(), values, values + source.length);
      } else {
        const Key key = block.categorical[row * categorical_ + source.column];
        for (const Key level : source.levels) inputs->push_back(level == key ? 1.0f : 0.0f);
      }
    }
  }
}

std::optional<std::size_t> DenseInputs::ColumnOf(const std::string& feature, const std::string& value) const {
  for (const Source& source : sources_) {
    if (source.feature != feature || source.type != FeatureType::kCategorical) continue;
    const Key key = CategoryKey(feature, value);
    const auto level = std::lower_bound(source.levels.begin(), source.levels.end(), key);
    if (level != source.levels.end() && *level == key)
      return source.first + static_cast<std::size_t>(level - source.levels.begin());
  }
  return std::nullopt;
}

}  // namespace cohort
