// FactorVectors: a factorisation that `cohort train` made (kind two_tower without layers; docs/models.md): the vectors of this shop's users and
// items, read from the model.
//
//   s(u, i) = sum over c < H - 1 of u_c v_c + v_(H-1)
//
// (worker/model/two_tower.h; what is the same for all items is left out). A user whom the model never saw has zeros: the items' biases
// are left. An item that it never saw has zeros, and the least bias of all others.
#ifndef COHORT_LIFECYCLE_FACTOR_VECTORS_H_
#define COHORT_LIFECYCLE_FACTOR_VECTORS_H_

#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "lifecycle/score_source.h"
#include "lifecycle/shop_history.h"

namespace cohort {

class FactorVectors : public ScoreSource {
 public:
  // `model`: a run's directory, or a model's. Its one categorical feature of the user's side holds users' ids, that of the item's side
  // items' ids. kInvalidInput: it is another kind of model, or knows none of the items. Memory: 4 H bytes a user and an item.
  static Result<std::unique_ptr<FactorVectors>> Read(const std::string& model, const ShopHistory& history);

  std::string name() const override { return "factors"; }
  std::vector<std::string> features() const override { return {"factors"}; }
  void Score(std::uint32_t user, std::span<float> scores) const override;
  std::string Reason(std::uint32_t, std::uint32_t, std::size_t) const override {
    return "chosen by customers with tastes like yours";
  }

 private:
  static constexpr std::size_t kBlock = 64;  // items side by side

  std::size_t items_ = 0, factors_ = 0;  // factors: H - 1
  std::vector<float> users_;             // users x factors
  std::vector<float> blocks_;            // block by block of kBlock items: factors x kBlock
  std::vector<float> biases_;
};

}  // namespace cohort

#endif  // COHORT_LIFECYCLE_FACTOR_VECTORS_H_
