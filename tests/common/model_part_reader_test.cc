// The rows of a part in several files: each key's newest, once.
#include "common/model_part_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "common/random.h"
#include "tests/support/slowdown.h"
#include "tests/support/subprocess.h"

namespace cohort::model_part_reader_test {
namespace {

using testing::TemporaryFolder;

TableSpec Table(TableId id, std::uint32_t dim) {
  TableSpec table;
  table.id = id;
  table.name = "table " + std::to_string(id);
  table.dim = dim;
  return table;
}

// Writes `keys` with a value that tells file and key; rows of one float of state beside `dim` weights.
std::string Write(const TemporaryFolder& folder, int number, const std::vector<TableSpec>& tables,
                  const std::vector<std::vector<Key>>& keys) {
  const std::string path = folder / "layer-" + std::to_string(number) + ".h5";
  auto writer = ModelPartWriter::Create(path, false);
  for (std::size_t t = 0; t < tables.size(); ++t) {
    EXPECT_TRUE(writer->BeginTable(tables[t], tables[t].dim + 1, keys[t].size()).ok());
    std::vector<float> rows;
    for (const Key key : keys[t]) {
      rows.insert(rows.end(), tables[t].dim, static_cast<float>(number));
      rows.push_back(static_cast<float>(key % 1000));
    }
    EXPECT_TRUE(writer->Append(tables[t].id, keys[t], rows.data()).ok());
  }
  EXPECT_TRUE(writer->Finish().has_value());
  return path;
}

void ExpectNewestOfEach(std::uint64_t rows, std::uint64_t seed, std::uint64_t block) {
  SCOPED_TRACE(seed);
  const TemporaryFolder folder;
  const std::vector<TableSpec> tables = {Table(0, 1), Table(3, 5)};
  RandomStream random(seed);
  std::vector<std::string> files;
  std::map<TableId, std::map<Key, int>> newest;
  for (int file = 0; file < 4; ++file) {
    std::vector<std::vector<Key>> keys(tables.size());
    for (std::size_t t = 0; t < tables.size(); ++t) {
      const std::uint64_t here = file == 0 ? rows : rows > 100000 ? rows / 2 : random.Below(rows / 2 + 1);
      const std::uint64_t first = random.Below(rows);  // a stretch of its own: some blocks are hidden whole
      for (std::uint64_t i = 0; i < here; ++i) keys[t].push_back(Mix64(t * 7 + first + i));
      for (const Key key : keys[t]) newest[tables[t].id][key] = file;
      for (std::size_t i = keys[t].size(); i > 1; --i) {
        if (seed % 2 == 0)
          std::swap(keys[t][i - 1], keys[t][random.Below(i)]);  // else stretches stay together
      }
    }
    files.push_back(Write(folder, file, tables, keys));
  }
  const auto part = ModelPartReader::Open(files, tables, 2 * rows);
  ASSERT_TRUE(part.has_value()) << part.error().text();
  for (const TableSpec& table : tables) {
    const auto& expected = newest[table.id];
    ASSERT_EQ((*part)->rows(table.id), expected.size());
    std::map<Key, int> found;
    std::vector<Key> keys;
    std::vector<float> values;
    for (std::uint64_t first = 0; first < expected.size(); first += block) {
      const std::uint64_t count = std::min<std::uint64_t>(block, expected.size() - first);
      ASSERT_TRUE((*part)->Read(table.id, first, count, &keys, &values).ok());
      ASSERT_EQ(keys.size(), count);
      ASSERT_EQ(values.size(), count * (table.dim + 1));
      for (std::size_t i = 0; i < keys.size(); ++i) {
        ASSERT_TRUE(found.emplace(keys[i], static_cast<int>(values[i * (table.dim + 1)])).second) << "twice";
        ASSERT_EQ(values[(i + 1) * (table.dim + 1) - 1], static_cast<float>(keys[i] % 1000));
      }
    }
    ASSERT_EQ(found, expected);
  }
}

TEST(ModelPartReader, SeesTheNewestRowOfEachKeyOnce) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) ExpectNewestOfEach(1 + seed * 3000, seed, 1 + seed * 700);
  ExpectNewestOfEach(5, 7, 2);
  // More than is read at a time, in files between as well. There is one thread: ThreadSanitizer would only take minutes for it.
  if (testing::kSlowdown < 8) ExpectNewestOfEach(300000, 8, 1000000);
}

TEST(ModelPartReader, LayersThatDoNotFitAreRefused) {
  const TemporaryFolder folder;
  const std::string below = Write(folder, 0, {Table(0, 2)}, {{1, 2, 3}});
  const std::string over = Write(folder, 1, {Table(0, 2)}, {{2}});
  const std::vector<std::string> files = {below, over};
  const std::vector<TableSpec> tables = {Table(0, 2)};
  EXPECT_TRUE(ModelPartReader::Open(files, tables, 3).has_value());
  const auto more = ModelPartReader::Open(files, tables, 2);
  ASSERT_FALSE(more.has_value());
  EXPECT_EQ(more.error().code(), ErrorCode::kCorrupt);
  EXPECT_NE(more.error().text().find("layer-0.h5: table table 0 does not fit"), std::string::npos);
}

}  // namespace
}  // namespace cohort::model_part_reader_test
