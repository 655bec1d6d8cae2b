#include "lifecycle/hnsw_index.h"

#include <algorithm>
#include <array>

// Of hnswlib 0.6 without its intrinsics: where they prefetch, it reads beyond a list of links.
#define NO_MANUAL_VECTORIZATION
#include <hnswlib/hnswlib.h>

namespace cohort {
namespace {

constexpr std::size_t kLinks = 32;        // M: of a vector on each upper level; twice on the lowest
constexpr std::size_t kBuildBeam = 200;   // ef_construction
constexpr std::size_t kSearchBeam = 400;  // ef
constexpr std::size_t kLevelSeed = 100;
constexpr std::size_t kLanes = 16;

std::size_t PaddedDimensions(std::size_t dimensions) { return (dimensions + kLanes - 1) / kLanes * kLanes; }

// In lanes, so that many products are computed at once.
float NegativeProduct(const void* a, const void* b, const void* dimensions) {
  const auto* x = static_cast<const float*>(a);
  const auto* y = static_cast<const float*>(b);
  const std::size_t count = *static_cast<const std::size_t*>(dimensions);
  std::array<float, kLanes> sums{};
  for (std::size_t c = 0; c < count; c += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += x[c + lane] * y[c + lane];
  }
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return -sums[0];
}

class ProductSpace : public hnswlib::SpaceInterface<float> {
 public:
  explicit ProductSpace(std::size_t dimensions) : padded_(PaddedDimensions(dimensions)) {}
  std::size_t get_data_size() override { return padded_ * sizeof(float); }
  hnswlib::DISTFUNC<float> get_dist_func() override { return NegativeProduct; }
  void* get_dist_func_param() override { return &padded_; }
  std::size_t padded() const { return padded_; }

 private:
  std::size_t padded_;
};

}  // namespace

class HnswIndex::Graph {
 public:
  Graph(std::size_t dimensions, std::size_t count)
      : space_(dimensions), levels_(&space_, count, kLinks, kBuildBeam, kLevelSeed) {
    levels_.setEf(kSearchBeam);
  }
  std::vector<float> Padded(std::span<const float> vector) const {
    std::vector<float> padded(space_.padded());
    std::copy(vector.begin(), vector.end(), padded.begin());
    return padded;
  }

  ProductSpace space_;
  hnswlib::HierarchicalNSW<float> levels_;
};

HnswIndex::HnswIndex(std::size_t dimensions, std::size_t count)
    : graph_(std::make_unique<Graph>(dimensions, std::max<std::size_t>(count, 1))) {}
HnswIndex::~HnswIndex() = default;

void HnswIndex::Add(std::span<const float> vector, std::uint32_t number) {
  graph_->levels_.addPoint(graph_->Padded(vector).data(), number);
}

std::vector<std::uint32_t> HnswIndex::Nearest(std::span<const float> query, std::size_t n) const {
  std::vector<std::uint32_t> numbers;
  auto found = graph_->levels_.searchKnn(graph_->Padded(query).data(), n);
  for (; !found.empty(); found.pop()) numbers.push_back(static_cast<std::uint32_t>(found.top().second));
  return numbers;
}

}  // namespace cohort
