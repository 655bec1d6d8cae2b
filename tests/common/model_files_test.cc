#include "common/model_files.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "common/model_part.h"
#include "tests/support/slowdown.h"

namespace cohort::model_files_test {
namespace {

namespace fs = std::filesystem;

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void WriteText(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

TableSpec Sparse() {
  TableSpec spec;
  spec.id = 1;
  spec.name = "embedding";
  spec.dim = 3;
  spec.optimizer.kind = OptimizerKind::kAdagrad;
  spec.optimizer.learning_rate = 0.1f;
  spec.init = {{0, 0.0f, 0.05f}};
  return spec;
}
TableSpec Dense() {
  TableSpec spec;
  spec.id = 0;
  spec.name = "dense";
  spec.kind = TableKind::kDense;
  spec.dim = 2;
  spec.row_count = 4;
  spec.init = {{0, 0.5f, 0.25f}, {3, -1.0f, 0.0f}};
  return spec;
}

using Rows = std::map<Key, std::vector<float>>;

Status Append(ModelPartWriter& writer, const TableSpec& table, std::uint32_t row_floats, const Rows& rows) {
  std::vector<Key> keys;
  for (const auto& [key, row] : rows) keys.push_back(key);
  return writer.AppendTable(table, row_floats, keys, [&](std::span<const Key> some, float* out) {
    for (const Key key : some) out = std::copy(rows.at(key).begin(), rows.at(key).end(), out);
    return Status();
  });
}

class ModelFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cohort-model-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  // Two parts: keys 0, 2^64-1 and some between; and half of the dense rows each.
  ModelManifest WriteModel() {
    ModelManifest manifest;
    manifest.tables = {Dense(), Sparse()};
    manifest.kernels = "avx2";
    manifest.seed = 0xfedcba9876543210ull;
    manifest.thresholds = {{"buy", 0.1f}, {"stay", 0.5}};
    manifest.run_config = "data = \"x\"\n\"quoted\" and\ttabs";
    manifest.dataset_info = R"({"features":[1,2.5]})";
    const Rows sparse[2] = {{{0, {1, 2, 3, 4, 5, 6}}, {17, {-0.0f, 1e-40f, 3, 4, 5, 6}}},
                            {{~Key{0}, {7, 8, 9, 1, 2, 3}}}};
    const Rows dense[2] = {{{0, {1, 2}}, {1, {3, 4}}}, {{2, {5, 6}}, {3, {7, 8}}}};
    for (int i = 0; i < 2; ++i) {
      const std::string file = "part-" + std::to_string(i) + ".h5";
      auto writer = ModelPartWriter::Create(directory_ + "/" + file);
      EXPECT_TRUE(writer.has_value()) << writer.error().text();
      EXPECT_TRUE(Append(*writer, Dense(), 2, dense[i]).ok());
      EXPECT_TRUE(Append(*writer, Sparse(), 6, sparse[i]).ok());
      auto summary = writer->Finish();
      EXPECT_TRUE(summary.has_value()) << summary.error().text();
      manifest.parts.push_back({file, summary->bytes, summary->checksum, summary->rows});
      manifest.hash = manifest.hash.value_or(Hash128()) + summary->hash;
    }
    const Status status = WriteModelManifest(directory_, manifest);
    EXPECT_TRUE(status.ok()) << status.text();
    return manifest;
  }

  std::string directory_;
};

TEST_F(ModelFilesTest, ComesBackAsItWas) {
  const ModelManifest written = WriteModel();
  EXPECT_EQ(written.rows(), 7u);
  auto read = VerifyModel(directory_);
  ASSERT_TRUE(read.has_value()) << read.error().text();
  EXPECT_EQ(read->hash, written.hash);
  EXPECT_EQ(read->rows(), 7u);
  EXPECT_EQ(read->seed, written.seed);
  EXPECT_EQ(read->thresholds, written.thresholds);
  EXPECT_EQ(read->kernels, "avx2");
  EXPECT_EQ(read->run_config, written.run_config);
  EXPECT_EQ(read->dataset_info, written.dataset_info);
  ASSERT_EQ(read->tables.size(), 2u);
  EXPECT_EQ(read->tables[0].kind, TableKind::kDense);
  EXPECT_EQ(read->tables[0].row_count, 4u);
  EXPECT_EQ(read->tables[0].init[1].begin, 3u);
  EXPECT_EQ(read->tables[1].optimizer.kind, OptimizerKind::kAdagrad);
  EXPECT_EQ(read->tables[1].optimizer.learning_rate, 0.1f);
  std::map<Key, std::vector<float>> seen;
  ASSERT_TRUE(VisitModel(directory_, *read, [&](const ModelRows& block) {
                if (block.table->id == 1) {
                  for (std::size_t i = 0; i < block.keys.size(); ++i) {
                    seen[block.keys[i]].assign(block.rows + i * 6, block.rows + (i + 1) * 6);
                  }
                }
                return Status();
              }).ok());
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[~Key{0}], (std::vector<float>{7, 8, 9, 1, 2, 3}));
  EXPECT_TRUE(std::signbit(seen[17][0]));
  EXPECT_EQ(seen[17][1], 1e-40f);
}

TEST_F(ModelFilesTest, RunDirectoriesAreFound) {
  const std::string run = directory_ + "/run";
  fs::create_directories(run);
  auto none = FindModel(run);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code(), ErrorCode::kInvalidInput);
  WriteModel();
  fs::create_directories(run + "/model");
  fs::copy_file(directory_ + "/manifest.json", run + "/model/manifest.json");
  EXPECT_EQ(*FindModel(run), run + "/model");
  EXPECT_EQ(*FindModel(directory_), directory_);
}

// One bit anywhere in a part or in the manifest is found, and the file is named.
TEST_F(ModelFilesTest, AFlippedBitAnywhereIsFound) {
  WriteModel();
  for (const std::string file : {"part-0.h5", "part-1.h5", "manifest.json"}) {
    const std::string path = directory_ + "/" + file;
    const std::string good = ReadText(path);
    const std::size_t step = file == "manifest.json" ? 1 : 97 * testing::kSlowdown;
    std::fstream bytes(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto put = [&bytes](std::size_t at, char byte) {
      bytes.seekp(static_cast<std::streamoff>(at));
      bytes.put(byte).flush();
    };
    for (std::size_t at = 0; at < good.size(); at += step) {
      put(at, static_cast<char>(good[at] ^ (1 << (at % 8))));
      auto result = VerifyModel(directory_);
      put(at, good[at]);
      ASSERT_FALSE(result.has_value()) << file << " byte " << at;
      EXPECT_EQ(result.error().code(), ErrorCode::kCorrupt) << result.error().text();
      EXPECT_NE(result.error().text().find(file), std::string::npos) << result.error().text();
    }
  }
  EXPECT_TRUE(VerifyModel(directory_).has_value());
}

// With a checksum that is right, so that the values themselves must be looked at.
TEST_F(ModelFilesTest, AManifestThatCannotBeIsRefused) {
  WriteModel();
  const std::string path = directory_ + "/manifest.json", good = ReadText(path);
  const auto refusal = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    std::size_t at = text.find("\n \"checksum\"");
    text.erase(at, text.find('\n', at + 1) - at);
    at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    text.insert(2, " \"checksum\": \"" + ToHex(ChecksumOf(text)) + "\",\n");
    WriteText(path, text);
    const auto read = ReadModelManifest(directory_);
    return read ? std::string() : read.error().text();
  };
  EXPECT_EQ(refusal("\"dim\": 3", "\"dim\": 4"), "");
  for (const char* number : {"4294967299", "1e+30", "-1", "3.5", "true", "\"3\""})
    EXPECT_NE(refusal("\"dim\": 3", std::string("\"dim\": ") + number), "") << number;
  EXPECT_NE(refusal("\"beta1\": 0.8999999761581421", "\"beta1\": 1e+300").find("beta1"), std::string::npos);
  const std::string deep = std::string(50000, '[') + std::string(50000, ']');
  EXPECT_NE(refusal("\"seed\": ", "\"seed\": " + deep + ", \"x\": ").find("more than 32 deep"),
            std::string::npos);
  std::string many = "[0";
  for (int i = 0; i < 200000; ++i) many += ",0";
  EXPECT_NE(refusal("\"seed\": ", "\"seed\": " + many + "], \"x\": ").find("more values than"),
            std::string::npos);
}

TEST_F(ModelFilesTest, MissingShortAndForeignPartsAreNamed) {
  const ModelManifest manifest = WriteModel();
  const std::string part = directory_ + "/part-1.h5";
  const std::string good = ReadText(part);
  WriteText(part, good.substr(0, good.size() / 2));
  EXPECT_NE(VerifyModel(directory_).error().text().find("part-1.h5: damaged"), std::string::npos);
  fs::remove(part);
  auto missing = VerifyModel(directory_);
  EXPECT_EQ(missing.error().code(), ErrorCode::kCorrupt);
  EXPECT_NE(missing.error().text().find("part-1.h5"), std::string::npos);
  WriteText(part, good);
  // A part of another snapshot under a manifest that vouches for it: a dense row comes twice, or the hash over all rows tells.
  ModelManifest mixed = manifest;
  mixed.parts[1] = mixed.parts[0];
  ASSERT_TRUE(WriteModelManifest(directory_, mixed).ok());
  EXPECT_NE(VerifyModel(directory_).error().text().find("is there twice"), std::string::npos);
  mixed = manifest;
  mixed.parts.pop_back();
  ASSERT_TRUE(WriteModelManifest(directory_, mixed).ok());
  EXPECT_NE(VerifyModel(directory_).error().text().find("hash over all rows"), std::string::npos);
  mixed.parts = manifest.parts;
  // A manifest that leads out of its directory.
  mixed.parts[1].file = "../part-1.h5";
  ASSERT_TRUE(WriteModelManifest(directory_, mixed).ok());
  EXPECT_EQ(VerifyModel(directory_).error().code(), ErrorCode::kCorrupt);
}

TEST_F(ModelFilesTest, AnUnfinishedPartLeavesNothing) {
  {
    auto writer = ModelPartWriter::Create(directory_ + "/part-9.h5");
    ASSERT_TRUE(writer.has_value());
    ASSERT_TRUE(Append(*writer, Sparse(), 6, {}).ok());
  }
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST(RowHash, DependsOnEverythingButOrder) {
  RowHasher hasher;
  const std::vector<float> row = {1, 2, 3}, other = {1, 2, -3};
  const Hash128 a = hasher.Hash(1, 2, row);
  EXPECT_NE(a, hasher.Hash(2, 2, row));
  EXPECT_NE(a, hasher.Hash(1, 3, row));
  EXPECT_NE(a, hasher.Hash(1, 2, other));
  EXPECT_NE(hasher.Hash(1, 2, std::vector<float>{0.0f}), hasher.Hash(1, 2, std::vector<float>{-0.0f}));
  Hash128 forwards, backwards;
  forwards += a;
  forwards += hasher.Hash(1, 3, other);
  backwards += hasher.Hash(1, 3, other);
  backwards += a;
  EXPECT_EQ(forwards, backwards);
  Hash128 carry{~0ull, 0};
  carry += Hash128{1, 0};
  EXPECT_EQ(carry, (Hash128{0, 1}));
}

TEST(RowHash, HexGoesBothWays) {
  const Hash128 hash{0x0123456789abcdefull, 0xfedcba9876543210ull};
  EXPECT_EQ(ToHex(hash), "fedcba98765432100123456789abcdef");
  EXPECT_EQ(*Hash128FromHex(ToHex(hash)), hash);
  for (const char* bad : {"", "0123", "fedcba9876543210012345678 9abcdef", "fedcba98765432100123456789abcdeg",
                          "-edcba98765432100123456789abcdef"}) {
    EXPECT_FALSE(Hash128FromHex(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace cohort::model_files_test
