#include "launch/bench/keys.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/table_spec.h"

namespace cohort::bench {
namespace {

constexpr std::uint64_t kFewestBatches = 8;

// (e^x - 1) / x and log(1 + x) / x, also near 0.
double ExpRatio(double x) { return std::abs(x) > 1e-8 ? std::expm1(x) / x : 1 + x / 2; }
double LogRatio(double x) { return std::abs(x) > 1e-8 ? std::log1p(x) / x : 1 - x / 2; }

struct Place {
  std::uint64_t position;
  Key key;
  bool operator<(const Place& other) const { return position < other.position; }
};

Place PlaceOf(Key key) { return {RingPosition(TableKind::kSparse, 0, key), key}; }

Buffer ToBuffer(const std::vector<Place>& places) {
  std::vector<Key> keys;
  keys.reserve(places.size());
  for (const Place& place : places) keys.push_back(place.key);
  return Buffer::Own(std::move(keys));
}

void SortAndMakeDistinct(std::vector<Place>* places) {
  std::sort(places->begin(), places->end());
  places->erase(std::unique(places->begin(), places->end(),
                            [](const Place& a, const Place& b) { return a.key == b.key; }),
                places->end());
}

// A batch of more than half of the rows: each is looked at once (selection sampling, Knuth's Algorithm S).
void DrawMost(const Options& options, RandomStream& random, std::vector<Place>* places) {
  for (Key key = 0; key < options.rows; ++key) {
    const std::uint64_t wanted = options.batch - places->size();
    if (random.Below(options.rows - key) < wanted) places->push_back(PlaceOf(key));
  }
  std::sort(places->begin(), places->end());
}

struct RowsOfWorker {
  std::uint64_t begin, end;
};
RowsOfWorker Share(const Options& options, std::uint32_t worker) {
  return {options.rows * worker / options.workers, options.rows * (worker + 1) / options.workers};
}

}  // namespace

ZipfSampler::ZipfSampler(std::uint64_t n, double s) : n_(static_cast<double>(n)), s_(s) {
  first_ = Integral(1.5) - 1;
  last_ = Integral(n_ + 0.5);
  accept_ = 2 - InverseIntegral(Integral(2.5) - std::exp(-s_ * std::log(2)));
}

double ZipfSampler::Integral(double x) const {
  const double log_x = std::log(x);
  return ExpRatio((1 - s_) * log_x) * log_x;
}

double ZipfSampler::InverseIntegral(double y) const {
  const double t = std::max(-1.0, y * (1 - s_));
  return std::exp(LogRatio(t) * y);
}

std::uint64_t ZipfSampler::Draw(RandomStream& random) const {
  for (;;) {
    const double y = last_ + random.Uniform() * (first_ - last_);
    const double x = InverseIntegral(y);
    const double k = std::clamp(std::round(x), 1.0, n_);
    if (k - x <= accept_ || y >= Integral(k + 0.5) - std::exp(-s_ * std::log(k))) {
      return static_cast<std::uint64_t>(k) - 1;
    }
  }
}

KeyBatches::KeyBatches(const Options& options, std::uint64_t stream) {
  RandomStream random(options.seed, stream);
  const std::uint64_t keys = options.zipf > 0 ? options.keys_drawn : std::min(options.rows, options.keys_drawn);
  batches_.resize(std::max(kFewestBatches, keys / options.batch));
  std::vector<Place> places;
  for (Buffer& batch : batches_) {
    places.clear();
    if (options.zipf > 0) {
      const ZipfSampler sampler(options.rows, options.zipf);
      for (std::uint32_t i = 0; i < options.batch; ++i) places.push_back(PlaceOf(sampler.Draw(random)));
      SortAndMakeDistinct(&places);
    } else if (options.batch > options.rows / 2) {
      DrawMost(options, random, &places);
    } else {
      while (places.size() < options.batch) {
        for (std::size_t i = places.size(); i < options.batch; ++i)
          places.push_back(PlaceOf(random.Below(options.rows)));
        SortAndMakeDistinct(&places);
      }
    }
    batch = ToBuffer(places);
  }
}

Buffer FillBatch(const Options& options, std::uint32_t worker, std::uint64_t number) {
  const RowsOfWorker mine = Share(options, worker);
  // With a tier the most popular ones come last, so that these are in memory from the beginning.
  const std::uint64_t parts = (mine.end - mine.begin + options.batch - 1) / options.batch;
  if (!options.tier.empty() && number < parts) number = parts - 1 - number;
  const std::uint64_t begin = std::min(mine.end, mine.begin + number * options.batch);
  const std::uint64_t end = std::min(mine.end, begin + options.batch);
  std::vector<Place> places;
  places.reserve(end - begin);
  for (Key key = begin; key < end; ++key) places.push_back(PlaceOf(key));
  std::sort(places.begin(), places.end());
  return ToBuffer(places);
}

std::uint64_t FillBatches(const Options& options) {
  const std::uint64_t most = (options.rows + options.workers - 1) / options.workers;
  return (most + options.batch - 1) / options.batch;
}

}  // namespace cohort::bench
