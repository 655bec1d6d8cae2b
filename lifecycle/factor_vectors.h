// FactorVectors: a factorisation that `cohort train` made (kind two_tower without layers; docs/models.md): the vectors of this shop's users and
// items, read from the model.
//
//   s(u, i) = sum over c < H of u_c v_c      with u_(H-1) = 1: v_(H-1) is the item's bias
//
// (worker/model/two_tower.h; what is the same for all items is left out). A user whom the model never saw has zeros: the items' biases
// are left. An item that it never saw has zeros, and the least bias of all others.
#ifndef COHORT_LIFECYCLE_FACTOR_VECTORS_H_
#define COHORT_LIFECYCLE_FACTOR_VECTORS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/status.h"
#include "lifecycle/hnsw_index.h"
#include "lifecycle/score_source.h"
#include "lifecycle/shop_history.h"

namespace cohort {

class FactorVectors : public ScoreSource {
 public:
  // `model`: a run's directory, or a model's. Its one categorical feature of the user's side holds users' ids, that of the item's side
  // items' ids. kInvalidInput: it is another kind of model, or knows none of the items. Memory: 4 H bytes a user and an item.
  static Result<std::unique_ptr<FactorVectors>> Read(const std::string& model, const ShopHistory& history);
  // `users`, `items`: vectors of `dimensions` numbers, one after the other.
  FactorVectors(std::size_t dimensions, std::vector<float> users, std::vector<float> items)
      : dimensions_(dimensions), users_(std::move(users)), items_(std::move(items)) {}

  std::string name() const override { return "factors"; }
  std::vector<std::string> features() const override { return {"factors"}; }
  void Score(std::uint32_t user, std::span<const std::uint32_t> items,
             std::span<float> scores) const override;
  // By an HNSW index, without the items that the model does not know: all of these have the same vector, and the least bias.
  void Index(std::span<const std::uint32_t> items, std::span<const double> weights,
             const Progress& progress) override;
  std::vector<std::uint32_t> Retrieve(std::uint32_t user, std::size_t n) const override;
  std::string Reason(std::uint32_t, std::uint32_t, std::size_t) const override {
    return "chosen by customers with tastes like yours";
  }

 private:
  const std::size_t dimensions_;  // H
  const std::vector<float> users_, items_;
  std::unique_ptr<HnswIndex> index_;
  float weight_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_FACTOR_VECTORS_H_
