#include "worker/batch_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "common/gradient_tree.h"

namespace cohort::batch_reader_test {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// A dataset whose cells tell their row: numeric = row (missing in every 7th), category = row % 50, bag = row
// % 4 ids.
class FakeDataset : public DatasetReader {
 public:
  explicit FakeDataset(std::uint64_t rows) {
    FeatureInfo numeric{"row", FeatureType::kNumeric};
    numeric.scale = NumericScale::kNone;
    numeric.missing = rows / 7 + 1;
    numeric.bin_edges = {10.0f, 1000.0f};
    info_.features = {numeric, {"city", FeatureType::kCategorical}, {"genres", FeatureType::kBag}};
    TaskInfo bought{"bought", TaskType::kBinary};
    TaskInfo spend{"spend", TaskType::kRegression};
    info_.tasks = {bought, spend};
    info_.has_weight = true;
    info_.rows = {rows, rows, rows};
  }
  const DatasetInfo& info() const override { return info_; }
  Status Read(Split, std::uint64_t first, std::uint32_t count, bool, RowBlock* block) override {
    if (fail_at <= first) return Status(ErrorCode::kIo, "disk gone");
    *block = RowBlock();
    block->first_row = first;
    block->rows = count;
    block->bag_offsets.resize(1, {0});
    block->bag_keys.resize(1);
    for (std::uint64_t row = first; row < first + count; ++row) {
      block->numeric.push_back(row % 7 == 0 ? kNaN : static_cast<float>(row));
      block->categorical.push_back(CategoryKey("city", std::to_string(row % 50)));
      for (std::uint64_t i = 0; i < row % 4; ++i)
        block->bag_keys[0].push_back(CategoryKey("genres", std::to_string(i)));
      block->bag_offsets[0].push_back(block->bag_keys[0].size());
      block->labels.push_back(static_cast<float>(row % 2));
      block->labels.push_back(row % 3 == 0 ? kNaN : static_cast<float>(row));
      block->weights.push_back(0.5f + static_cast<float>(row % 5));
      block->input_rows.push_back(row);
    }
    return Status();
  }
  std::uint64_t fail_at = std::numeric_limits<std::uint64_t>::max();

 private:
  DatasetInfo info_;
};

ModelSpec SpecOf(const DatasetInfo& info) {
  ModelSpec spec;
  spec.data = info;
  spec.fields = {{.feature = 0, .bin = true}, {.feature = 1, .place = 1}, {.feature = 2, .place = 2}};
  spec.tables = {{.fields = 3}};
  spec.numerics = {{0, false}, {0, true}};
  for (std::uint32_t i = 0; i < info.tasks.size(); ++i) spec.tasks.push_back({info.tasks[i], {}, i, 1, i});
  return spec;
}

std::unique_ptr<BatchReader> ReaderOf(std::uint64_t rows, std::uint64_t fail_at = ~0ull) {
  auto dataset = std::make_unique<FakeDataset>(rows);
  dataset->fail_at = fail_at;
  const ModelSpec spec = SpecOf(dataset->info());
  Encoder encoder = Encoder::Create(spec, dataset->info()).value();
  return std::make_unique<BatchReader>(std::move(dataset), std::move(encoder), spec.tasks.size(), 11);
}

std::unique_ptr<Batch> NextOf(BatchReader& reader) {
  auto batch = reader.Next(std::chrono::seconds(20));
  EXPECT_TRUE(batch.has_value() && *batch);
  return batch.has_value() ? std::move(*batch) : nullptr;
}

TEST(Encoder, ANumberTakesFromTheTwoBinsItLiesBetween) {
  FeatureInfo age{.name = "age"};
  age.bin_edges = {10, 20, 40};
  FeatureInfo one{.name = "one"};
  one.bin_edges = {5};  // nothing lies between
  DatasetInfo data;
  data.features = {age, one};
  data.tasks = {{.name = "buy", .labelled = 1}};
  RunConfig config;
  config.model.soft_bins = true;
  const ModelSpec spec = BuildModelSpec(config, data).value();
  ASSERT_EQ(spec.SoftFields(), 1u);
  const Encoder encoder = Encoder::Create(spec, data).value();
  struct Case {
    float value, share;
    std::vector<int> bins;
  };
  // Middles: up to 10, 15, 30, from 40 on.
  const std::vector<Case> cases = {
      {3, 0, {0}},        {10, 0, {0, 1}},    {12.5f, 0.5f, {0, 1}}, {15, 0, {1, 2}}, {18, 0.2f, {1, 2}},
      {27, 0.8f, {1, 2}}, {35, 0.5f, {2, 3}}, {40, 0, {3}},          {99, 0, {3}},    {kNaN, 0, {-1}}};
  RowBlock block;
  block.rows = static_cast<std::uint32_t>(cases.size());
  for (const Case& each : cases) {
    block.numeric.insert(block.numeric.end(), {each.value, 7});
    block.labels.push_back(1);
  }
  DistinctKeys keys;
  Slice slice;
  encoder.Start(block.rows, &slice);
  for (std::uint32_t row = 0; row < block.rows; ++row) encoder.Append(block, row, &keys, &slice);
  encoder.Finish(&slice);
  keys.Sort();
  ASSERT_EQ(slice.shares.size(), cases.size());
  for (std::size_t row = 0; row < cases.size(); ++row) {
    EXPECT_NEAR(slice.shares[row], cases[row].share, 1e-6) << row;
    std::vector<Key> ids, expected;
    for (std::uint32_t i = slice.ids[0].offsets[2 * row]; i < slice.ids[0].offsets[2 * row + 1]; ++i)
      ids.push_back(keys.keys()[keys.Rank(slice.ids[0].positions[i])]);
    for (const int bin : cases[row].bins) expected.push_back(BinKey("age", bin));
    EXPECT_EQ(ids, expected) << row;
    EXPECT_EQ(slice.ids[0].offsets[2 * row + 2] - slice.ids[0].offsets[2 * row + 1], 1u);
  }
}

TEST(Encoder, VectorsAreScaledAsAWholeAndMissingOnesMarked) {
  FeatureInfo number{.name = "number", .scale = NumericScale::kNone};
  FeatureInfo image{.name = "image", .type = FeatureType::kVector, .length = 2};
  image.mean = 3, image.deviation = 2, image.missing = 1;
  FeatureInfo sound{.name = "sound", .type = FeatureType::kVector, .scale = NumericScale::kNone, .length = 3};
  DatasetInfo trained_on, data;
  trained_on.features = {image, number, sound};
  trained_on.tasks = {{.name = "buy", .labelled = 1}};
  data = trained_on;
  data.features = {sound, image, number};  // another order
  const ModelSpec spec = BuildModelSpec(RunConfig(), trained_on).value();
  ASSERT_EQ(spec.numerics.size(), 7u);  // the image's two and its indicator, the number, the sound's three
  EXPECT_EQ(spec.InputWidth(), 7u);
  const Encoder encoder = Encoder::Create(spec, data).value();
  RowBlock block;
  block.rows = 2;
  block.numeric = {7, 8};
  block.vectors = {{1, 2, 3, 4, 5, 6}, {5, 2, std::nanf(""), std::nanf("")}};
  block.labels = {1, 0};
  DistinctKeys keys;
  Slice slice;
  encoder.Start(3, &slice);
  encoder.Append(block, 0, &keys, &slice);
  encoder.Append(block, 1, &keys, &slice);
  encoder.Finish(&slice);
  EXPECT_EQ(slice.numeric,
            (std::vector<float>{1, -0.5f, 0, 7, 1, 2, 3, 0, 0, 1, 8, 4, 5, 6, 0, 0, 0, 0, 0, 0, 0}));
  data.features[1].length = 4;
  EXPECT_EQ(
      Encoder::Create(spec, data).error().text(),
      "vector 'image' has 4 numbers in the dataset and 2 in the model; prepare it with the schema of the "
      "training data");
}

// The row that a slice's row came from: from its label (spend) or, where that is missing, unknown (-1).
double RowOf(const Slice& slice, std::uint32_t row) {
  const float spend = slice.labels[row * 2 + 1];
  return std::isnan(spend) ? -1 : static_cast<double>(spend);
}

struct Seen {
  std::vector<std::vector<double>> slices;  // by slice of the global batch: its rows
  std::vector<double> totals;
};

std::map<Clock, Seen> ReadEpoch(std::uint64_t rows, std::uint32_t workers, std::uint32_t batch_size,
                                std::uint32_t slices, Clock resume_clock = 0) {
  std::map<Clock, Seen> seen;
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    auto reader = ReaderOf(rows);
    reader->Start(BspEpoch{1, 100, worker, workers, batch_size, slices, 2048, resume_clock});
    for (bool last = false; !last;) {
      auto batch = NextOf(*reader);
      if (!batch) return {};
      last = batch->last_of_source;
      Seen& at = seen[batch->clock];
      at.slices.resize(slices);
      if (worker == 0) at.totals = batch->total_weight;
      EXPECT_EQ(at.totals, batch->total_weight);  // every worker knows the whole batch's totals
      for (std::size_t s = 0; s < batch->slice_count; ++s) {
        const Slice& slice = batch->slices[s];
        EXPECT_EQ(slice.padded_rows, (batch_size + slices - 1) / slices);
        for (std::uint32_t row = 0; row < slice.rows; ++row)
          at.slices[slice.index].push_back(RowOf(slice, row));
        // Ids lead back to the keys.
        for (std::uint32_t row = 0; row < slice.rows; ++row) {
          const double number = RowOf(slice, row);
          if (number < 0) continue;
          const auto original = static_cast<std::uint64_t>(number);
          const std::uint32_t* offsets = slice.ids[0].offsets.data() + row * 3;
          const auto key_at = [&](std::uint32_t i) {
            return (*batch->keys[0])[slice.ids[0].distinct[slice.ids[0].positions[i]]];
          };
          EXPECT_EQ(key_at(offsets[1]), CategoryKey("city", std::to_string(original % 50)));
          EXPECT_EQ(offsets[3] - offsets[2], original % 4);
          const int bin = original % 7 == 0 ? -1 : (original >= 1000 ? 2 : (original >= 10 ? 1 : 0));
          EXPECT_EQ(key_at(offsets[0]), BinKey("row", bin));
          EXPECT_EQ(slice.numeric[row * 2], original % 7 == 0 ? 0.0f : static_cast<float>(original));
          EXPECT_EQ(slice.numeric[row * 2 + 1], original % 7 == 0 ? 1.0f : 0.0f);
        }
      }
      reader->Recycle(std::move(batch));
    }
  }
  return seen;
}

TEST(BatchReader, GlobalBatchesDoNotDependOnTheNumberOfWorkers) {
  const std::uint64_t rows = 5000;  // a remainder: 5000 = 16 * 300 + 200
  const auto one = ReadEpoch(rows, 1, 300, 8);
  ASSERT_EQ(one.size(), 17u);
  EXPECT_EQ(one.begin()->first, 100);
  std::size_t total = 0;
  for (const auto& [clock, seen] : one) {
    for (const auto& slice : seen.slices) total += slice.size();
  }
  EXPECT_EQ(total, rows);
  for (const std::uint32_t workers : {2u, 3u, 8u, 11u}) {
    const auto many = ReadEpoch(rows, workers, 300, 8);
    ASSERT_EQ(many.size(), one.size());
    for (const auto& [clock, seen] : one)
      EXPECT_EQ(many.at(clock).slices, seen.slices) << workers << " workers";
  }
}

// A worker that takes a dead one's place reads what it would have read, from whichever clock on.
TEST(BatchReader, ResumesAtAnyClockWithTheSameBatches) {
  const auto whole = ReadEpoch(5000, 2, 300, 8);
  for (Clock resume = 99; resume < 117; ++resume) {
    const auto rest = ReadEpoch(5000, 2, 300, 8, resume);
    ASSERT_EQ(rest.size(), 17u - static_cast<std::size_t>(std::max<Clock>(resume - 100, 0)));
    for (const auto& [clock, seen] : rest) {
      EXPECT_EQ(seen.slices, whole.at(clock).slices) << "clock " << clock << " from " << resume;
      EXPECT_EQ(seen.totals, whole.at(clock).totals);
    }
  }
  const auto rows_of = [](Clock resume) {
    auto reader = ReaderOf(5000);
    reader->Start(TrainLease{0, 9, 1, 2, 40, 100, resume});
    std::vector<std::pair<Clock, double>> rows;
    for (bool last = false; !last;) {
      auto batch = NextOf(*reader);
      if (!batch) break;
      last = batch->last_of_source;
      for (std::uint32_t row = 0; row < batch->rows; ++row)
        rows.emplace_back(batch->clock, RowOf(batch->slices[0], row));
      reader->Recycle(std::move(batch));
    }
    return rows;
  };
  const auto all = rows_of(0);
  auto from = all.begin();
  while (from->first < 47) ++from;
  EXPECT_EQ(rows_of(47), (std::vector<std::pair<Clock, double>>(from, all.end())));
}

TEST(BatchReader, SlicesFollowTheNominalBatch) {
  const auto seen = ReadEpoch(5000, 2, 300, 8);
  // Row r of the batch is in slice r*8/300; the last batch holds 200 rows: slices 0..5, of which 5 is short.
  std::vector<std::size_t> full(8), last(8);
  for (std::size_t r = 0; r < 300; ++r) ++full[r * 8 / 300];
  for (std::size_t r = 0; r < 200; ++r) ++last[r * 8 / 300];
  for (std::size_t s = 0; s < 8; ++s) {
    EXPECT_EQ(seen.at(100).slices[s].size(), full[s]);
    EXPECT_EQ(seen.at(116).slices[s].size(), last[s]);
  }
}

TEST(BatchReader, LeasesAndScoresCoverTheirBlocks) {
  auto reader = ReaderOf(5000);
  reader->Start(TrainLease{0, 9, 1, 2, 40, 100});
  reader->Start(ScoreLease{Split::kTest, 5, 3, 2});
  std::uint64_t rows = 0;
  Clock clock = 40;
  for (bool last = false; !last;) {
    auto batch = NextOf(*reader);
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->clock, clock++);
    EXPECT_EQ(batch->lease, 9u);
    rows += batch->rows;
    last = batch->last_of_source;
    reader->Recycle(std::move(batch));
  }
  const EpochOrder order(11, 5000, 0);
  EXPECT_EQ(rows, order.RowsOfWindow(1, 2));
  auto first = NextOf(*reader);
  auto second = NextOf(*reader);
  EXPECT_EQ(first->first_row, 3072u);
  EXPECT_EQ(first->rows, 1024u);
  EXPECT_EQ(second->first_row, 4096u);
  EXPECT_EQ(second->rows, 5000u - 4096u);
  EXPECT_TRUE(second->last_of_source);
  EXPECT_EQ(RowOf(second->slices[0], 1), 4097);
}

TEST(BatchReader, ReportsUnreadableData) {
  auto reader = ReaderOf(5000, 1024);
  reader->Start(ScoreLease{Split::kTest, 0, 0, 3});
  EXPECT_TRUE(NextOf(*reader));
  const auto failed = reader->Next(std::chrono::seconds(20));
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().text(), "disk gone");
}

TEST(BatchReader, StopsInTheMiddle) {
  auto reader = ReaderOf(100'000);
  reader->Start(BspEpoch{0, 0, 0, 1, 64, 8, 65536});
  EXPECT_TRUE(NextOf(*reader));
  reader.reset();  // must not hang
}

TEST(Encoder, NamesWhatTheDataLacks) {
  FakeDataset dataset(10);
  const ModelSpec spec = SpecOf(dataset.info());
  DatasetInfo other = dataset.info();
  other.features[1].name = "town";
  auto result = Encoder::Create(spec, other);
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().text().find("'city'"), std::string::npos);
  EXPECT_EQ(result.error().exit_code(), 2);
}

TEST(Encoder, MapsClassesByName) {
  FakeDataset dataset(10);
  DatasetInfo trained = dataset.info();
  trained.tasks = {{"activity", TaskType::kMulticlass, {"none", "review", "share"}}};
  DatasetInfo scored = dataset.info();
  scored.tasks = {{"activity", TaskType::kMulticlass, {"review", "unheard of", "none"}}};
  ModelSpec spec;
  spec.data = trained;
  spec.tasks = {{trained.tasks[0], {}, 0, 3, 0}};
  const Encoder encoder = Encoder::Create(spec, scored).value();
  RowBlock block;
  block.rows = 4;
  block.labels = {0, 1, 2, kNaN};
  DistinctKeys keys;
  Slice slice;
  encoder.Start(4, &slice);
  for (std::uint32_t row = 0; row < 4; ++row) encoder.Append(block, row, &keys, &slice);
  EXPECT_EQ(slice.labels[0], 1.0f);
  EXPECT_TRUE(std::isnan(slice.labels[1]));
  EXPECT_EQ(slice.labels[2], 0.0f);
  EXPECT_TRUE(std::isnan(slice.labels[3]));
}

TEST(Encoder, CensorsHazardsAtTheModelsLastPeriod) {
  FakeDataset dataset(10);
  DatasetInfo trained = dataset.info();
  TaskInfo task;
  task.name = "left";
  task.type = TaskType::kHazard;
  task.periods = 3;
  trained.tasks = {task};
  DatasetInfo scored = trained;
  scored.tasks[0].periods = 12;
  ModelSpec spec;
  spec.data = trained;
  spec.tasks = {{task, {}, 0, 3, 0}};
  const Encoder encoder = Encoder::Create(spec, scored).value();
  RowBlock block;
  block.rows = 6;
  block.labels = {3, -3, 4, -12, 1, kNaN};
  DistinctKeys keys;
  Slice slice;
  encoder.Start(6, &slice);
  for (std::uint32_t row = 0; row < 6; ++row) encoder.Append(block, row, &keys, &slice);
  const std::vector<float> expected = {3, -3, -3, -3, 1};
  EXPECT_EQ(std::vector<float>(slice.labels.begin(), slice.labels.begin() + 5), expected);
  EXPECT_TRUE(std::isnan(slice.labels[5]));
}

}  // namespace
}  // namespace cohort::batch_reader_test
