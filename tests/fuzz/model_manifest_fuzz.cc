// The manifest of a model, and the descriptions in it. Input: flags u8 (1: a checksum is put in that is right), the file's
// text; with a checksum to be put in, the text begins with "{\n" and has none.
#include <string>

#include "common/dataset.h"
#include "common/model_files.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cohort;
  fuzz::Input input(data, size);
  const bool seal = (input.Take<std::uint8_t>() & 1) != 0;
  std::string text(input.left());
  if (seal && text.starts_with("{\n")) {
    text.insert(2, " \"checksum\": \"" + ToHex(ChecksumOf(text)) + "\",\n");
  }
  fuzz::WriteFile("manifest.json", text);
  const Result<ModelManifest> manifest = [&] {
    const fuzz::AllocationBound bound(text.size(), {.slack = 512u << 10});
    return ReadModelManifest(fuzz::Folder());
  }();
  if (!manifest) {
    fuzz::CheckRefusal(manifest.error());
    return 0;
  }
  for (const TableSpec& table : manifest->tables) COHORT_CHECK(table.dim > 0);
  for (const ModelPart& part : manifest->parts) {
    COHORT_CHECK(!part.file.empty() && part.file.find('/') == std::string::npos);
  }
  const Result<DatasetInfo> info = [&] {
    const fuzz::AllocationBound bound(manifest->dataset_info.size(), {.slack = 512u << 10});
    return DatasetInfoFromJson(manifest->dataset_info);
  }();
  if (info) {
    const std::string written = ToJson(*info);
    const Result<DatasetInfo> again = DatasetInfoFromJson(written);
    COHORT_CHECK(again.has_value(), "%s", again.error().text().c_str());
    COHORT_CHECK(ToJson(*again) == written);
  } else {
    fuzz::CheckRefusal(info.error());
  }
  // What has been read is written and read as the same.
  for (int round = 0; round < 2; ++round) {
    const Status written = WriteModelManifest(fuzz::Folder(), *manifest);
    COHORT_CHECK(written.ok(), "%s", written.text().c_str());
    const Result<ModelManifest> again = ReadModelManifest(fuzz::Folder());
    COHORT_CHECK(again.has_value(), "%s", again.error().text().c_str());
    COHORT_CHECK(again->dataset_info == manifest->dataset_info && again->hash == manifest->hash &&
                 again->rows() == manifest->rows() && again->run_config == manifest->run_config);
  }
  return 0;
}
