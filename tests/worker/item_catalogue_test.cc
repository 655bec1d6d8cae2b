#include "worker/item_catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "common/random.h"
#include "worker/batch_reader.h"

namespace cohort::item_catalogue_test {
namespace {

constexpr std::uint64_t kItems = 12;

Key Item(std::uint64_t item) { return CategoryKey("item", std::to_string(item)); }
Key Genre(std::uint64_t genre) { return CategoryKey("genres", std::to_string(genre)); }

// Row r: user r % 50, an item out of kItems, item i about i + 1 times as often as item 0; genres r and, of even items, r + 1.
// Every seventh row has label 0.
class Log : public DatasetReader {
 public:
  explicit Log(std::uint64_t rows, std::uint64_t items = kItems) : items_(items) {
    info_.features = {{"user", FeatureType::kCategorical}, {"item", FeatureType::kCategorical},
                      {"genres", FeatureType::kBag}};
    TaskInfo seen{"seen", TaskType::kBinary};
    seen.mean = 6.0 / 7, seen.labelled = rows;
    info_.tasks = {seen};
    info_.rows = {rows, 0, 0};
  }
  const DatasetInfo& info() const override { return info_; }
  std::uint64_t ItemOf(std::uint64_t row) const {
    std::uint64_t ticket = RandomStream(row).Below(items_ * (items_ + 1) / 2), item = 0;
    while (ticket > item) ticket -= ++item;
    return item;
  }
  Status Read(Split, std::uint64_t first, std::uint32_t count, bool, RowBlock* block) override {
    *block = RowBlock();
    block->first_row = first, block->rows = count;
    block->bag_offsets = {{0}};
    block->bag_keys.resize(1);
    for (std::uint64_t row = first; row < first + count; ++row) {
      const std::uint64_t item = ItemOf(row);
      block->categorical.push_back(CategoryKey("user", std::to_string(row % 50)));
      block->categorical.push_back(Item(item));
      block->bag_keys[0].push_back(Genre(row));
      if (item % 2 == 0) block->bag_keys[0].push_back(Genre(row + 1));
      block->bag_offsets[0].push_back(block->bag_keys[0].size());
      block->labels.push_back(row % 7 == 0 ? 0.0f : 1.0f);
    }
    return {};
  }

 private:
  DatasetInfo info_;
  const std::uint64_t items_;
};

Encoder EncoderOf(const DatasetInfo& info, const TwoTowerConfig& towers) {
  RunConfig config;
  config.model.kind = "two_tower";
  config.model.two_tower = towers;
  return Encoder::Create(BuildModelSpec(config, info).value(), info).value();
}

ItemCatalogue Catalogue(Log& log, const TwoTowerConfig& towers) {
  return ItemCatalogue::Build(log, EncoderOf(log.info(), towers), [] { return false; }).value();
}

TEST(ItemCatalogue, HoldsEachItemOnceWithWhatItsLastRowSaysOfIt) {
  Log log(3000);
  const ItemCatalogue items = Catalogue(log, {.item = {"item", "genres"}});
  ASSERT_EQ(items.size(), kItems);
  std::map<std::uint64_t, std::uint64_t> last;
  for (std::uint64_t row = 0; row < 3000; ++row) last[log.ItemOf(row)] = row;
  for (std::uint64_t item = 0; item < kItems; ++item) {
    const std::uint32_t place = items.PlaceOf(Item(item));
    EXPECT_EQ(items.id(place), Item(item));
    EXPECT_THAT(items.Keys(place, 0), ::testing::ElementsAre(Item(item)));
    std::vector<Key> genres = {Genre(last[item])};
    if (item % 2 == 0) genres.push_back(Genre(last[item] + 1));
    EXPECT_THAT(items.Keys(place, 1), ::testing::ElementsAreArray(genres));
  }
  EXPECT_FALSE(items.Corrects());
}

TEST(ItemCatalogue, DrawsInTheSharesThatItCorrectsFor) {
  Log log(3000);
  constexpr int kDraws = 200000;
  for (const auto& [sampling, power] :
       {std::pair(NegativeSampling::kUniform, 1.0f), std::pair(NegativeSampling::kFrequency, 1.0f),
        std::pair(NegativeSampling::kFrequency, 0.5f), std::pair(NegativeSampling::kFrequency, 0.0f)}) {
    const bool frequency = sampling == NegativeSampling::kFrequency;
    const ItemCatalogue items =
        Catalogue(log, {.item = {"item"}, .sampling = sampling, .frequency_power = power});
    std::vector<double> share(kItems);
    double sum = 0;
    for (std::uint64_t row = 0; row < 3000; ++row) ++share[items.PlaceOf(Item(log.ItemOf(row)))];
    for (double& each : share) sum += each = frequency ? std::pow(each, static_cast<double>(power)) : 1;
    std::vector<int> drawn(kItems);
    RandomStream random(3);
    for (int i = 0; i < kDraws; ++i) ++drawn[items.Draw(random())];
    for (std::uint32_t i = 0; i < kItems; ++i) {
      const double q = share[i] / sum;
      EXPECT_NEAR(drawn[i], kDraws * q, 5 * std::sqrt(kDraws * q)) << i;
      if (!frequency) continue;
      EXPECT_NEAR(items.Correction(i), std::log(kItems * q), 1e-5);
    }
    EXPECT_EQ(items.Corrects(), frequency);
    EXPECT_EQ(items.Draw(0), Catalogue(log, {.item = {"item"}}).Draw(0));
    EXPECT_LT(items.Draw(~0ull), kItems);
  }
}

TEST(ItemCatalogue, OneItemIsNotEnough) {
  Log log(2000, 1);
  const auto items =
      ItemCatalogue::Build(log, EncoderOf(log.info(), {.item = {"item"}}), [] { return false; });
  ASSERT_FALSE(items);
  EXPECT_EQ(items.error().code(), ErrorCode::kInvalidInput);
  EXPECT_THAT(items.error().text(), ::testing::HasSubstr("the train split has 1 item"));
}

// What the reader appends for each row: checked on the keys of every batch of an epoch.
TEST(BatchReader, DrawsItemsForPositiveRowsAndSkipsTheirOwn) {
  for (const bool skip : {true, false}) {
    const TwoTowerConfig towers{.item = {"item", "genres"},
                                .negatives = 3,
                                .sampling = NegativeSampling::kFrequency,
                                .skip_own_item = skip};
    auto log = std::make_unique<Log>(3000);
    const ItemCatalogue items = Catalogue(*log, towers);
    Encoder encoder = EncoderOf(log->info(), towers);
    BatchReader reader(std::move(log), std::move(encoder), 1, 11);
    reader.Start(BspEpoch{0, 0, 0, 1, 256, 4, 4096});
    std::uint64_t positives = 0, negatives = 0, own_drawn = 0;
    for (bool last = false; !last;) {
      const auto batch = std::move(*reader.Next(std::chrono::seconds(20)));
      ASSERT_TRUE(batch);
      last = batch->last_of_source;
      for (std::size_t s = 0; s < batch->slice_count; ++s) {
        const Slice& slice = batch->slices[s];
        ASSERT_EQ(slice.negatives, 3u);
        ASSERT_EQ(slice.ids[0].offsets.size(),
                  slice.padded_rows * 9 + 1u);  // user, item, genres; and three times the latter two
        ASSERT_EQ(slice.corrections.size(), slice.rows * 4u);
        const auto keys_of = [&](std::size_t field) {
          std::vector<Key> keys;
          for (std::uint32_t p = slice.ids[0].offsets[field]; p < slice.ids[0].offsets[field + 1]; ++p)
            keys.push_back((*batch->keys[0])[slice.ids[0].distinct[slice.ids[0].positions[p]]]);
          return keys;
        };
        for (std::uint32_t row = 0; row < slice.rows; ++row) {
          const Key own = keys_of(row * 9 + 1).at(0);
          EXPECT_EQ(slice.corrections[row * 4], items.Correction(items.PlaceOf(own)));
          const bool positive = slice.labels[row] > 0.5f;
          ++(positive ? positives : negatives);
          for (std::uint32_t n = 0; n < 3; ++n) {
            const std::vector<Key> item = keys_of(row * 9 + 3 + n * 2), genres = keys_of(row * 9 + 4 + n * 2);
            ASSERT_EQ(item.size(), positive ? 1u : 0u);
            if (!positive) continue;
            const std::uint32_t place = items.PlaceOf(item[0]);
            EXPECT_THAT(genres, ::testing::ElementsAreArray(items.Keys(place, 1)));
            EXPECT_EQ(slice.corrections[row * 4 + 1 + n], items.Correction(place));
            own_drawn += item[0] == own;
          }
        }
        EXPECT_EQ(slice.ids[0].offsets.back(), slice.ids[0].positions.size());
      }
    }
    EXPECT_EQ(negatives, 429u);
    EXPECT_EQ(positives, 2571u);
    EXPECT_EQ(own_drawn == 0, skip) << own_drawn;
  }
}

}  // namespace
}  // namespace cohort::item_catalogue_test
