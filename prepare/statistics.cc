#include "prepare/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/random.h"

namespace cohort {

void Moments::AddAll(std::span<const double> values) {
  if (values.empty()) return;
  const double count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (double value : values) sum += value;
  const double mean = sum / count;
  for (double value : values) squares += (value - mean) * (value - mean);
  const double step = mean - mean_, total = weight_ + count;
  squares_ += squares + step * step * weight_ * count / total;
  mean_ += step * count / total;
  weight_ = total;
}

double Moments::deviation() const {
  const double deviation = weight_ > 0 ? std::sqrt(squares_ / weight_) : 0;
  // The rounding of equal values is no deviation.
  return deviation > 1e-10 * std::abs(mean_) ? deviation : 1;
}

FeatureStatistics::FeatureStatistics(const FeatureInfo& feature, std::uint32_t column, std::uint32_t columns,
                                     bool quantiles)
    : type_(feature.type),
      scale_(feature.scale),
      missing_key_(MissingKey(feature.name)),
      column_(column),
      columns_(columns),
      with_quantiles_(quantiles) {}

void FeatureStatistics::Add(const RowBlock& block) {
  if (type_ == FeatureType::kCategorical) {
    for (std::size_t i = column_; i < block.categorical.size(); i += columns_) {
      const Key key = block.categorical[i];
      if (key == missing_key_) {
        ++missing_;
      } else {
        distinct_.Add(key);
      }
    }
    return;
  }
  if (type_ == FeatureType::kBag) {
    const auto& offsets = block.bag_offsets[column_];
    for (std::size_t row = 0; row < block.rows; ++row) missing_ += offsets[row] == offsets[row + 1];
    for (Key key : block.bag_keys[column_]) distinct_.Add(key);
    return;
  }
  values_.clear();
  if (type_ == FeatureType::kVector) {
    const std::vector<float>& all = block.vectors[column_];
    const std::size_t length = all.size() / block.rows;
    for (std::size_t row = 0; row < block.rows; ++row) {
      const std::span<const float> values(all.data() + row * length, length);
      if (std::isnan(values[0])) {
        ++missing_;
        continue;
      }
      std::uint64_t hash = 0;
      for (const float value : values) {
        hash = Mix64(hash + std::bit_cast<std::uint32_t>(value + 0.0f) + 0x9e3779b97f4a7c15ULL);
        values_.push_back(value);
      }
      distinct_.Add(hash);
    }
  }
  for (std::size_t i = column_; type_ == FeatureType::kNumeric && i < block.numeric.size(); i += columns_) {
    const float value = block.numeric[i];
    if (std::isnan(value)) {
      ++missing_;
      continue;
    }
    // -0 and 0 are one value; the multiplication spreads the few bits of a float for the sketch.
    distinct_.Add(Mix64(std::bit_cast<std::uint32_t>(value + 0.0f) + 0x9e3779b97f4a7c15ULL));
    if (with_quantiles_) quantiles_.Add(value);
    values_.push_back(value);
  }
  for (double value : values_) {
    minimum_ = std::min(minimum_, value);
    maximum_ = std::max(maximum_, value);
  }
  if (scale_ == NumericScale::kLog1p) {
    for (double& value : values_) value = std::copysign(std::log1p(std::abs(value)), value);
  }
  moments_.AddAll(values_);
}

void FeatureStatistics::Fill(std::uint32_t bins, FeatureInfo* feature) const {
  feature->missing = missing_;
  feature->distinct = distinct_.Estimate();
  if (type_ != FeatureType::kNumeric && type_ != FeatureType::kVector) return;
  feature->mean = moments_.mean();
  feature->deviation = moments_.deviation();
  feature->minimum = moments_.weight() > 0 ? minimum_ : 0;
  feature->maximum = moments_.weight() > 0 ? maximum_ : 0;
  if (bins > 0 && quantiles_.count() > 0) feature->bin_edges = BinEdges(quantiles_.Summary(), bins);
}

void TaskStatistics::Add(const TaskInfo& task, float label, double weight) {
  if (std::isnan(label)) return;
  ++labelled_;
  weight_ += weight;
  if (task.type == TaskType::kMulticlass) {
    class_weights_[static_cast<std::size_t>(label)] += weight;
    return;
  }
  if (task.type == TaskType::kHazard) {
    const HazardLabel seen = HazardLabelOf(label);
    at_risk_[seen.period - 1] += weight;
    if (seen.event) class_weights_[seen.period - 1] += weight;
    return;
  }
  labels_.Add(label, weight);
  if (task.type == TaskType::kValue && label > 0) {
    positive_weight_ += weight;
    logarithms_.Add(std::log(static_cast<double>(label)), weight);
  }
}

void TaskStatistics::Fill(TaskInfo* task) const {
  task->labelled = labelled_;
  if (labelled_ == 0) return;
  if (task->type == TaskType::kMulticlass) {
    task->class_rates.clear();
    for (double weight : class_weights_) task->class_rates.push_back(weight / weight_);
    return;
  }
  if (task->type == TaskType::kHazard) {
    task->at_risk.assign(task->periods, 0);
    task->hazards.assign(task->periods, 0);
    double at_risk = 0;
    for (std::size_t k = task->periods; k-- > 0;) {
      at_risk += at_risk_[k];
      task->at_risk[k] = at_risk / weight_;
      if (at_risk > 0) task->hazards[k] = class_weights_[k] / at_risk;
    }
    task->mean = EventShares(task->hazards).back();
    return;
  }
  task->mean = labels_.mean();
  task->deviation = labels_.deviation();
  if (task->type != TaskType::kValue) return;
  task->positive_share = positive_weight_ / weight_;
  task->log_mean = logarithms_.mean();
  task->log_deviation = logarithms_.deviation();
}

}  // namespace cohort
