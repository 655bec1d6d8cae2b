#include "lifecycle/list_quality.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "lifecycle/list_exposure.h"

namespace cohort {

void QualitySum::Add(const std::vector<std::uint32_t>& list, const std::vector<std::uint32_t>& chosen,
                     const ItemLabels& labels, const std::vector<bool>& group) {
  ++lists_;
  quality_.distance += labels.MeanDistance(list);
  for (std::size_t i = 0; i < list.size(); ++i) {
    all_ += PlaceWeight(i + 1);
    if (group[list[i]]) quality_.group_exposure += PlaceWeight(i + 1);
    shown_[list[i]] = true;
  }
  if (chosen.empty()) return;
  ++judged_;
  double gain = 0, best = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (std::find(chosen.begin(), chosen.end(), list[i]) != chosen.end()) gain += PlaceWeight(i + 1);
    if (i < chosen.size()) best += PlaceWeight(i + 1);
  }
  quality_.ndcg += best > 0 ? gain / best : 0;
  quality_.hit_rate += gain > 0 ? 1 : 0;
}

void QualitySum::AddTruth(const RecommendationTruth::Value& value, const RecommendationTruth::Value& best) {
  truth_.taste += value.taste, best_.taste += best.taste;
  truth_.purchase += value.purchase, best_.purchase += best.purchase;
}

ListQuality QualitySum::Finish(bool truth) const {
  ListQuality made = quality_;
  const auto divide = [](double* sum, double by) { *sum = by > 0 ? *sum / by : 0; };
  divide(&made.distance, static_cast<double>(lists_));
  divide(&made.group_exposure, all_);
  divide(&made.ndcg, static_cast<double>(judged_));
  divide(&made.hit_rate, static_cast<double>(judged_));
  made.items = static_cast<double>(std::count(shown_.begin(), shown_.end(), true));
  if (truth) {
    made.true_share = best_.purchase > 0 ? truth_.purchase / best_.purchase : 0;
    made.true_taste_share = best_.taste > 0 ? truth_.taste / best_.taste : 0;
  }
  return made;
}

nlohmann::ordered_json QualitySum::ToJson() const {
  std::vector<std::uint8_t> shown((shown_.size() + 7) / 8);
  for (std::size_t i = 0; i < shown_.size(); ++i)
    shown[i / 8] |= static_cast<std::uint8_t>(shown_[i] << i % 8);
  return {quality_.ndcg,
          quality_.hit_rate,
          quality_.distance,
          quality_.group_exposure,
          lists_,
          judged_,
          all_,
          truth_.taste,
          best_.taste,
          truth_.purchase,
          best_.purchase,
          nlohmann::ordered_json::binary(std::move(shown))};
}

void QualitySum::AddPart(const nlohmann::ordered_json& sums) {
  double* const numbers[] = {&quality_.ndcg,
                             &quality_.hit_rate,
                             &quality_.distance,
                             &quality_.group_exposure,
                             nullptr,
                             nullptr,
                             &all_,
                             &truth_.taste,
                             &best_.taste,
                             &truth_.purchase,
                             &best_.purchase};
  for (std::size_t i = 0; i < std::size(numbers); ++i) {
    if (numbers[i] != nullptr) *numbers[i] += sums.at(i).get<double>();
  }
  lists_ += sums.at(4).get<std::uint64_t>();
  judged_ += sums.at(5).get<std::uint64_t>();
  const auto& shown = sums.at(std::size(numbers)).get_binary();
  for (std::size_t i = 0; i < shown_.size(); ++i) {
    if ((shown.at(i / 8) >> i % 8 & 1) != 0) shown_[i] = true;
  }
}

}  // namespace cohort
