// A model on disk as a test wants it.
#ifndef COHORT_TESTS_SUPPORT_WRITTEN_MODEL_H_
#define COHORT_TESTS_SUPPORT_WRITTEN_MODEL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/model_files.h"
#include "common/model_part.h"

namespace cohort::testing {

// By table and key: weights, then optimizer state.
using ModelContent = std::map<TableId, std::map<Key, std::vector<float>>>;

// Writes a model to a folder, which is made. A row lies in the part of its place on the ring; the parts say so or not.
inline ModelManifest WriteModel(const std::string& directory, const std::vector<TableSpec>& tables,
                                const ModelContent& content, int parts, bool with_groups = false) {
  std::filesystem::create_directories(directory);
  ModelManifest manifest;
  manifest.tables = tables;
  manifest.kernels = "avx2";
  manifest.seed = 3;
  for (int p = 0; p < parts; ++p) {
    const std::string file = "part-" + std::to_string(p) + ".h5";
    auto writer = ModelPartWriter::Create(directory + "/" + file);
    EXPECT_TRUE(writer.has_value()) << writer.error().text();
    for (const TableSpec& table : tables) {
      std::vector<Key> keys;
      const auto rows = content.find(table.id);
      if (rows != content.end()) {
        for (const auto& [key, row] : rows->second) {
          if (GroupOf(RingPosition(table, key)) * parts / kSlotGroupCount == p) keys.push_back(key);
        }
      }
      const auto fetch = [&](std::span<const Key> some, float* out) -> Status {
        for (const Key key : some)
          out = std::copy(rows->second.at(key).begin(), rows->second.at(key).end(), out);
        return {};
      };
      EXPECT_TRUE(writer->AppendTable(table, RowFloats(table), keys, fetch).ok());
    }
    const auto summary = writer->Finish();
    EXPECT_TRUE(summary.has_value());
    ModelPart part{file, summary->bytes, summary->checksum, summary->rows, {}, {}};
    if (with_groups) {
      part.groups.emplace();
      for (int group = 0; group < kSlotGroupCount; ++group)
        (*part.groups)[static_cast<std::size_t>(group)] = group * parts / kSlotGroupCount == p;
    }
    manifest.parts.push_back(part);
    manifest.hash = manifest.hash.value_or(Hash128()) + summary->hash;
  }
  const Status status = WriteModelManifest(directory, manifest);
  EXPECT_TRUE(status.ok()) << status.text();
  return manifest;
}

}  // namespace cohort::testing

#endif  // COHORT_TESTS_SUPPORT_WRITTEN_MODEL_H_
