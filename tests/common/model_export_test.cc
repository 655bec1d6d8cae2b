#include "common/model_export.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "common/hdf5_file.h"
#include "common/model_files.h"
#include "common/model_part.h"

namespace cohort::model_export_test {
namespace {

namespace fs = std::filesystem;

class ModelExportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cohort-export-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    Write(/*ascending=*/true);
  }
  // The model, or, with rows in another order, a checkpoint.
  void Write(bool ascending) {
    TableSpec dense;
    dense.id = 0;
    dense.name = "dense";
    dense.kind = TableKind::kDense;
    dense.dim = 2;
    dense.row_count = 3;
    TableSpec sparse;
    sparse.id = 1;
    sparse.name = "embedding";
    sparse.dim = 2;
    sparse.optimizer.kind = OptimizerKind::kRowwiseAdagrad;
    ModelManifest manifest;
    manifest.tables = {dense, sparse};
    // Keys interleave between the parts; a row is two weights and one state.
    const std::map<Key, std::vector<float>> rows[2] = {{{1, {0.1f, -2, 9}}, {30, {3, 4, 9}}},
                                                       {{0, {5, 6, 9}}, {~Key{0}, {1e-8f, 8, 9}}}};
    const std::map<Key, std::vector<float>> dense_rows[2] = {{{1, {10, 11}}}, {{0, {8, 9}}, {2, {12, 0}}}};
    for (int i = 0; i < 2; ++i) {
      const std::string file = "part-" + std::to_string(i) + ".h5";
      auto writer = ModelPartWriter::Create(directory_ + "/" + file, ascending);
      ASSERT_TRUE(writer.has_value());
      const auto append = [&](const TableSpec& table, std::uint32_t row_floats,
                              const std::map<Key, std::vector<float>>& from) {
        std::vector<Key> keys;
        for (const auto& [key, row] : from) keys.push_back(key);
        if (!ascending) std::reverse(keys.begin(), keys.end());
        return writer->AppendTable(table, row_floats, keys, [&](std::span<const Key> some, float* out) {
          for (const Key key : some) out = std::copy(from.at(key).begin(), from.at(key).end(), out);
          return Status();
        });
      };
      ASSERT_TRUE(append(dense, 2, dense_rows[i]).ok());
      ASSERT_TRUE(append(sparse, 3, rows[i]).ok());
      const auto summary = writer->Finish();
      ASSERT_TRUE(summary.has_value());
      manifest.parts.push_back({file, summary->bytes, summary->checksum, summary->rows});
      manifest.hash = manifest.hash.value_or(Hash128()) + summary->hash;
    }
    ASSERT_TRUE(WriteModelManifest(directory_, manifest).ok());
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string Csv(ExportOptions options) {
    options.out = directory_ + "/out.csv";
    options.format = ExportFormat::kCsv;
    const auto summary = ExportModel(directory_, options, {});
    if (!summary) return "error: " + summary.error().text();
    std::ifstream file(options.out);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string directory_;
};

TEST_F(ModelExportTest, CsvOfASparseTableAscendsByKey) {
  ExportOptions options;
  options.tables = {"embedding"};
  EXPECT_EQ(Csv(options),
            "key,w0,w1\n"
            "0000000000000000,5,6\n"
            "0000000000000001,0.1,-2\n"
            "000000000000001e,3,4\n"
            "ffffffffffffffff,1e-08,8\n");
}

TEST_F(ModelExportTest, ACheckpointComesOutLikeAModel) {
  ExportOptions sparse, dense;
  sparse.tables = {"embedding"};
  dense.tables = {"dense"};
  const std::string sparse_csv = Csv(sparse), dense_csv = Csv(dense);
  Write(/*ascending=*/false);
  EXPECT_EQ(Csv(sparse), sparse_csv);
  EXPECT_EQ(Csv(dense), dense_csv);
}

TEST_F(ModelExportTest, CsvOfTheDenseTableIsOneVector) {
  ExportOptions options;
  options.tables = {"dense"};
  EXPECT_EQ(Csv(options), "index,value\n0,8\n1,9\n2,10\n3,11\n4,12\n5,0\n");
}

TEST_F(ModelExportTest, NamedValuesKeepTheirOrderAndUnseenOnesAreEmpty) {
  ExportOptions options;
  options.values = {{"city", "Paris, \"old\"", 30}, {"city", "nowhere", 77}, {"age", "7", 1}};
  EXPECT_EQ(Csv(options),
            "feature,value,key,w0,w1\n"
            "city,\"Paris, \"\"old\"\"\",000000000000001e,3,4\n"
            "city,nowhere,000000000000004d,,\n"
            "age,7,0000000000000001,0.1,-2\n");
}

TEST_F(ModelExportTest, Hdf5HoldsAllTables) {
  ExportOptions options;
  options.out = directory_ + "/out.h5";
  const auto summary = ExportModel(directory_, options, {});
  ASSERT_TRUE(summary.has_value()) << summary.error().text();
  EXPECT_EQ(summary->rows, 7u);
  const auto reader = Hdf5Reader::Open(options.out);
  ASSERT_TRUE(reader.has_value());
  EXPECT_EQ(*(*reader)->ReadAll<float>("dense/weights"), (std::vector<float>{8, 9, 10, 11, 12, 0}));
  EXPECT_EQ(*(*reader)->ReadAll<std::uint64_t>("embedding/keys"),
            (std::vector<std::uint64_t>{0, 1, 30, ~0ull}));
  EXPECT_EQ(*(*reader)->ReadAll<float>("embedding/weights"),
            (std::vector<float>{5, 6, 0.1f, -2, 3, 4, 1e-8f, 8}));

  options.values = {{"city", "nowhere", 77}, {"age", "7", 1}};
  const auto named = ExportModel(directory_, options, {});
  ASSERT_TRUE(named.has_value()) << named.error().text();
  EXPECT_EQ(named->values_not_found, 1u);
  const auto again = Hdf5Reader::Open(options.out);
  ASSERT_TRUE(again.has_value());
  EXPECT_FALSE((*again)->Has("dense"));
  EXPECT_EQ(*(*again)->ReadText("embedding/value", 0, 2), (std::vector<std::string>{"nowhere", "7"}));
  const auto weights = *(*again)->ReadAll<float>("embedding/weights");
  EXPECT_TRUE(std::isnan(weights[0]) && std::isnan(weights[1]));
  EXPECT_EQ(weights[2], 0.1f);
}

TEST_F(ModelExportTest, BadWishesAreTheUsersFaultAndLeaveNothing) {
  ExportOptions options;
  options.out = directory_ + "/out.csv";
  options.format = ExportFormat::kCsv;
  EXPECT_EQ(ExportModel(directory_, options, {}).error().code(), ErrorCode::kInvalidInput);  // two tables
  options.tables = {"embeddings"};
  const Status unknown = ExportModel(directory_, options, {}).error();
  EXPECT_EQ(unknown.code(), ErrorCode::kInvalidInput);
  EXPECT_NE(unknown.text().find("dense, embedding"), std::string::npos);
  options.tables = {"dense"};
  options.values = {{"age", "7", 1}};
  EXPECT_EQ(ExportModel(directory_, options, {}).error().code(), ErrorCode::kInvalidInput);
  EXPECT_EQ(ExportModel(directory_ + "/nothing", options, {}).error().code(), ErrorCode::kInvalidInput);
  std::ofstream(directory_ + "/part-1.h5", std::ios::app) << "x";
  options = {};
  options.out = directory_ + "/out.h5";
  EXPECT_EQ(ExportModel(directory_, options, {}).error().code(), ErrorCode::kCorrupt);
  EXPECT_FALSE(fs::exists(directory_ + "/out.csv") || fs::exists(directory_ + "/out.h5"));
  EXPECT_FALSE(fs::exists(directory_ + "/out.h5.tmp"));
}

}  // namespace
}  // namespace cohort::model_export_test
