#include "server/cold_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <thread>
#include <vector>

#include "common/random.h"
#include "server/embedding_table.h"
#include "tests/support/rows_of.h"
#include "tests/support/subprocess.h"

namespace cohort::cold_file_test {
namespace {

using testing::TemporaryFolder;

constexpr std::uint32_t kWords = 24;

std::unique_ptr<ColdFile> Open(const TemporaryFolder& folder, std::uint64_t most_bytes = ~0ull) {
  ColdFile::Options options;
  options.directory = folder / "";
  options.row_words = kWords;
  options.most_bytes = most_bytes;
  options.threads = 4;
  return ColdFile::Create(options).value();
}
std::vector<float> RowOf(std::uint64_t position) {
  std::vector<float> row(kWords);
  for (std::uint32_t i = 0; i < kWords; ++i)
    row[i] = static_cast<float>(position % 100000) + 0.01f * static_cast<float>(i);
  return row;
}
std::uint32_t WriteSoon(ColdFile& file, std::uint64_t position) {
  const std::vector<float> row = RowOf(position);
  do {
    if (const auto place = file.Write(position, row.data())) return *place;
  } while (file.WaitForRoom());
  ADD_FAILURE() << file.failure().text();
  return 0;
}
// The next row that arrives; waits for it.
ColdRows::Arrived TakeSoon(ColdFile& file) {
  for (int i = 0; i < 30000; ++i) {
    if (const auto arrived = file.Take({})) return *arrived;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ADD_FAILURE() << "no row has come for 30 s";
  return {};
}

TEST(ColdFile, RowsComeBackAsTheyWere) {
  TemporaryFolder folder;
  const auto file = Open(folder);
  std::map<std::uint32_t, std::uint64_t> places;
  for (std::uint64_t position = 0; position < 60000; ++position)
    places[WriteSoon(*file, position)] = position;
  EXPECT_EQ(places.size(), 60000u);
  EXPECT_GT(file->file_bytes(), 5u << 20);
  RandomStream random(1);
  for (int round = 0; round < 20; ++round) {
    std::map<std::uint32_t, std::uint64_t> asked;
    std::vector<std::uint32_t> batch;
    while (asked.size() < 500) {
      const auto place = std::next(places.begin(), static_cast<std::ptrdiff_t>(random.Below(places.size())));
      if (asked.insert(*place).second) batch.push_back(place->first);
    }
    file->Request(batch, {});
    while (!asked.empty()) {
      const ColdRows::Arrived arrived = TakeSoon(*file);
      ASSERT_TRUE(asked.contains(arrived.place));
      ASSERT_EQ(arrived.position, asked[arrived.place]);
      const std::vector<float> row = RowOf(asked[arrived.place]);
      ASSERT_TRUE(std::equal(row.begin(), row.end(), arrived.row));
      asked.erase(arrived.place);
    }
    EXPECT_FALSE(file->Take({}));
  }
  // In bulk, in any order, some still in memory.
  std::vector<std::uint32_t> some;
  for (int i = 0; i < 3000; ++i)
    some.push_back(
        std::next(places.begin(), static_cast<std::ptrdiff_t>(random.Below(places.size())))->first);
  some.push_back(places.rbegin()->first);
  std::vector<float> rows(some.size() * kWords);
  ASSERT_TRUE(file->Read(some, rows.data()).ok());
  for (std::size_t i = 0; i < some.size(); ++i) {
    const std::vector<float> row = RowOf(places[some[i]]);
    ASSERT_TRUE(std::equal(row.begin(), row.end(), rows.begin() + static_cast<std::ptrdiff_t>(i * kWords)));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder / "")) << "the file has no name";
}

TEST(ColdFile, SpaceOfRowsThatAreNotWantedServesAgain) {
  TemporaryFolder folder;
  const auto file = Open(folder);
  std::uint64_t most = 0;
  for (int round = 0; round < 6; ++round) {
    std::vector<std::uint32_t> places;
    for (std::uint64_t position = 0; position < 100000; ++position)
      places.push_back(WriteSoon(*file, position));
    if (round == 1) most = file->file_bytes();
    if (round > 1) {
      EXPECT_LE(file->file_bytes(), most + (20u << 20));
    }
    for (const std::uint32_t place : places) file->Free(place);
  }
}

// Most rows of every segment are wanted no more: the others come unasked, are written again side by side, and the file
// takes in as much again without growing.
TEST(ColdFile, ThinSegmentsAreEmptied) {
  TemporaryFolder folder;
  const auto file = Open(folder);
  std::map<std::uint32_t, std::uint64_t> wanted;
  const auto write = [&](std::uint64_t position) { wanted[WriteSoon(*file, position)] = position; };
  for (std::uint64_t position = 0; position < 300000; ++position) write(position);
  const std::uint64_t full = file->file_bytes();
  std::erase_if(wanted, [&](const auto& row) {
    if (row.second % 10 == 0) return false;
    file->Free(row.first);
    return true;
  });
  std::uint64_t moved = 0;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  // Enough must have come; what comes on top is taken as long as it does.
  for (int quiet = 0; quiet < 100 && std::chrono::steady_clock::now() < limit;) {
    const auto arrived = file->Take({});
    if (!arrived) {
      if (moved > 20000) ++quiet;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    quiet = 0;
    if (!wanted.contains(arrived->place)) continue;
    ASSERT_EQ(wanted[arrived->place], arrived->position);
    const std::vector<float> row = RowOf(arrived->position);
    ASSERT_TRUE(std::equal(row.begin(), row.end(), arrived->row));
    wanted.erase(arrived->place);
    file->Free(arrived->place);
    write(arrived->position);
    ++moved;
  }
  EXPECT_GT(moved, 20000u);
  for (std::uint64_t position = 300000; position < 540000; ++position) write(position);
  EXPECT_LE(file->file_bytes(), full + (17u << 20));
  for (const auto& [place, position] : wanted) {
    std::vector<float> row(kWords);
    if (position % 1000 != 0) continue;
    ASSERT_TRUE(file->Read({&place, 1}, row.data()).ok());
    ASSERT_EQ(row, RowOf(position));
  }
}

TEST(ColdFile, WhoWaitsIsWoken) {
  TemporaryFolder folder;
  const auto wake = WakeSignal::Create().value();
  ColdFile::Options options;
  options.directory = folder / "";
  options.row_words = kWords;
  options.wake = wake.get();
  const auto file = ColdFile::Create(options).value();
  const std::uint32_t place = WriteSoon(*file, 0);
  for (std::uint64_t position = 1; position < 60000; ++position) WriteSoon(*file, position);
  for (int round = 0; round < 20; ++round) {
    file->Request({&place, 1}, {});
    for (bool came = false; !came;) {
      if (file->NextArrival() == kNever) {
        pollfd waiting{wake->file(), POLLIN, 0};
        ASSERT_EQ(::poll(&waiting, 1, 30000), 1);
      }
      wake->TakeBack();
      while (file->Take({})) came = true;
    }
  }
}

// A file that may not grow, and a disk that takes nothing: rows that have been taken can be read, no more are taken, and
// when there is room again they are.
TEST(ColdFile, AFullDiskSaysSoAndLosesNothing) {
  TemporaryFolder folder;
  for (const bool limited : {true, false}) {
    SCOPED_TRACE(limited ? "max_disk_bytes" : "ENOSPC");
    const auto file = Open(folder, limited ? 3u << 20 : ~0ull);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    if (!limited) {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit small{3u << 20, before.rlim_max};
      ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    }
    std::vector<std::uint32_t> places;
    const auto fill = [&] {
      for (bool taken = true; (taken || file->full().ok()) && places.size() < 1000000;) {
        const std::vector<float> row = RowOf(places.size());
        file->Take({});  // notes what has been written
        const auto place = file->Write(places.size(), row.data());
        taken = place.has_value();
        if (place) places.push_back(*place);
        ASSERT_TRUE(file->failure().ok());
      }
    };
    fill();
    EXPECT_THAT(file->full().text(), ::testing::HasSubstr(folder / ""));
    EXPECT_THAT(file->full().text(),
                ::testing::HasSubstr(limited ? "tier.max_disk_bytes" : "File too large"));
    EXPECT_FALSE(file->WaitForRoom());
    const std::vector<float> none = RowOf(0);
    EXPECT_FALSE(file->Write(0, none.data()));
    const auto expect_rows = [&](std::size_t first) {
      const std::span<const std::uint32_t> wanted = std::span(places).subspan(first);
      std::vector<float> rows(wanted.size() * kWords);
      ASSERT_TRUE(file->Read(wanted, rows.data()).ok());
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        const std::vector<float> row = RowOf(first + i);
        ASSERT_TRUE(
            std::equal(row.begin(), row.end(), rows.begin() + static_cast<std::ptrdiff_t>(i * kWords)))
            << first + i;
      }
    };
    expect_rows(0);
    // The first rows go: their segments serve again.
    const std::size_t rows_per_segment = ColdFile::kSegmentBytes / (kWords * sizeof(float) + 8);
    const std::size_t taken = places.size();
    for (std::size_t i = 0; i < rows_per_segment; ++i) file->Free(places[i]);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (places.size() == taken && std::chrono::steady_clock::now() < limit) fill();
    EXPECT_GT(places.size(), taken);
    // There is room again; what the disk refused is written, too.
    if (!limited) {
      ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
      const std::size_t wanted = places.size() + 20 * rows_per_segment;
      while (places.size() < wanted && std::chrono::steady_clock::now() < limit) fill();
      EXPECT_GE(places.size(), wanted);
    }
    expect_rows(rows_per_segment);
  }
}

TEST(ColdFile, AFolderThatIsNotThereIsNamed) {
  ColdFile::Options options;
  options.directory = "/nowhere/at/all";
  options.row_words = 4;
  const auto file = ColdFile::Create(options);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code(), ErrorCode::kInvalidInput);
  EXPECT_NE(file.error().text().find("/nowhere/at/all"), std::string::npos);
}

// A table with few rows in memory, and one with all, through the same history.
TEST(ColdFile, ATableOnItIsTheTableInMemory) {
  TemporaryFolder folder;
  TableSpec spec;
  spec.id = 1;
  spec.name = "t";
  spec.dim = 12;
  spec.optimizer.kind = OptimizerKind::kAdagrad;
  spec.init = {{0, 0.0f, 0.5f}};
  EmbeddingTable in_memory(spec, 3), tiered(spec, 3);
  const auto file = Open(folder);
  ASSERT_EQ(tiered.row_words(), kWords);
  tiered.UseTier(file.get(), 2000);
  RandomStream random(4);
  std::vector<EmbeddingTable::ColdEntry> cold;
  std::vector<float*> found;
  std::uint64_t fetched = 0;
  for (std::uint64_t use = 1; use <= 3000; ++use) {
    std::vector<Key> keys;
    std::vector<std::uint64_t> positions;
    for (int i = 0; i < 20; ++i) keys.push_back(Mix64(random.Below(1 + random.Below(20000))));
    for (const Key key : keys) positions.push_back(RingPosition(spec, key));
    std::sort(positions.begin(), positions.end());
    positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
    keys.clear();
    for (const std::uint64_t position : positions) keys.push_back(KeyAt(spec, position));
    tiered.Use(positions, use, &cold, &found);
    std::map<std::uint32_t, std::uint64_t> coming;
    std::vector<std::uint32_t> places;
    for (const auto& entry : cold) coming[entry.place] = entry.position, places.push_back(entry.place);
    file->Request(places, {});
    fetched += coming.size();
    while (!coming.empty()) {
      const ColdRows::Arrived arrived = TakeSoon(*file);
      tiered.Install({arrived.position, arrived.place}, arrived.row, use);
      coming.erase(arrived.place);
    }
    std::vector<float> gradient(spec.dim, 0.01f * static_cast<float>(use % 17) - 0.05f);
    for (EmbeddingTable* table : {&in_memory, &tiered}) {
      table->Update(keys, positions, {},
                    [&](std::size_t, float* row) { table->optimizer().Step(gradient.data(), row); });
    }
    if (use % 7 == 0) {
      in_memory.Erase(positions[0]);
      tiered.Erase(positions[0]);
    }
    tiered.Trim(use + 1);
    ASSERT_EQ(tiered.size(), in_memory.size());
    ASSERT_LE(tiered.rows_in_memory(), 2250u);
  }
  EXPECT_GT(fetched, 1000u);
  EXPECT_EQ(AllRowsOf(tiered), AllRowsOf(in_memory));
}

}  // namespace
}  // namespace cohort::cold_file_test
