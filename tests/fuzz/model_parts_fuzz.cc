// The gate in front of a model's parts, and the values inside of well-formed ones. libhdf5 has published memory bugs, so a
// part is opened only when its checksum is the manifest's: bytes of others must not get past that. The target never lets
// libhdf5 parse a file that it has not written itself.
//
// Input: flags u8 (below), then either the bytes of a part whose checksum is wrong, or what a model is made of (Build).
// The model must verify if and only if everything in it fits together; of one in layers, the rows that are seen must add up.
#include <hdf5.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/hdf5_file.h"
#include "common/model_files.h"
#include "common/model_part.h"
#include "tests/fuzz/fuzz.h"

namespace cohort::fuzz {
namespace {

// What libhdf5 1.10 takes for any file that is open: nearly all of it one table of 512 KiB.
constexpr std::size_t kFixed = std::size_t{560} << 10;

constexpr std::uint8_t kForeignBytes = 1, kWrongChecksum = 2, kWrongSize = 4, kWrongRows = 8, kWrongHash = 16,
                       kLayered = 32;  // two parts are one, the second over the first

// A dataset that claims rows for which the file has no bytes.
bool AddClaim(const std::string& path, const std::string& name, std::uint64_t rows, std::uint64_t columns) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hsize_t dims[2] = {rows, columns};
  const hid_t space = H5Screate_simple(columns == 0 ? 1 : 2, dims, nullptr);
  const hid_t set = H5Dcreate2(file, name.c_str(), columns == 0 ? H5T_STD_U64LE : H5T_IEEE_F32LE, space,
                               H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  const bool done = file >= 0 && space >= 0 && set >= 0;
  if (set >= 0) H5Dclose(set);
  if (space >= 0) H5Sclose(space);
  if (file >= 0) H5Fclose(file);
  return done;
}

struct Model {
  ModelManifest manifest;
  bool fits = true;  // everything in it fits together
  bool layered = false;
  std::uint64_t keys = 0;  // different ones, if it fits
  std::uint64_t bytes = 0;
};

template <typename T>
std::vector<T> Values(Input* in, std::size_t count) {
  std::vector<T> values(count);
  for (T& value : values) value = in->Take<T>();
  return values;
}

// One table's arrays of a part. False: it does not fit.
bool AddTable(const TableSpec& table, Hdf5Writer* writer, Input* in, ModelPart* part, Hash128* hash,
              std::vector<const TableSpec*>* claims, std::set<std::pair<TableId, Key>>* seen) {
  const std::string group = "table_" + std::to_string(table.id) + "/";
  const auto shape = in->Take<std::uint8_t>();  // 0: as it should be
  const std::size_t rows = in->Take<std::uint8_t>() % 6;
  const std::size_t state = in->Take<std::uint8_t>() % 4;
  std::vector<Key> keys = Values<Key>(in, rows);
  if ((shape & 1) == 0) {
    // In order, as most should be.
    if (table.kind == TableKind::kDense)
      for (Key& key : keys) key %= table.row_count;
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  }
  const std::size_t columns = table.dim + ((shape & 2) != 0 ? 1 : 0);
  const std::size_t weight_rows = keys.size() + ((shape & 4) != 0 ? 1 : 0);
  const auto weights = Values<float>(in, weight_rows * columns),
             states = Values<float>(in, keys.size() * state);
  const std::uint64_t weight_dims[] = {weight_rows, columns}, state_dims[] = {keys.size(), state};
  bool fits = (shape & 2) == 0 && (shape & 4) == 0;
  if ((shape & 8) != 0) {
    claims->push_back(&table);
    return false;
  }
  if ((shape & 16) != 0) {
    const std::vector<float> wrong(keys.size());
    fits = false;
    (void)writer->WriteAll<float>(group + "keys", wrong);
  } else {
    (void)writer->WriteAll<Key>(group + "keys", keys);
  }
  if ((shape & 32) != 0) {
    fits = false;
  } else {
    (void)writer->WriteAll<float>(group + "weights", weight_dims, weights);
  }
  if (state > 0) (void)writer->WriteAll<float>(group + "state", state_dims, states);
  if (!fits) return false;
  RowHasher hasher;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if ((i > 0 && keys[i] <= keys[i - 1]) || (table.kind == TableKind::kDense && keys[i] >= table.row_count))
      return false;
    // No dense row may come twice, be it in two parts.
    const bool twice = !seen->emplace(table.id, keys[i]).second;
    if (table.kind == TableKind::kDense && twice) return false;
    std::vector<float> row(weights.begin() + static_cast<std::ptrdiff_t>(i * table.dim),
                           weights.begin() + static_cast<std::ptrdiff_t>((i + 1) * table.dim));
    row.insert(row.end(), states.begin() + static_cast<std::ptrdiff_t>(i * state),
               states.begin() + static_cast<std::ptrdiff_t>((i + 1) * state));
    *hash += hasher.Hash(table.id, keys[i], row);
  }
  part->rows += keys.size();
  return true;
}

// Tables u8, each: kind u8, dim u8, rows u8; parts u8, each: format u8 (0: right), then of each table: shape u8, rows u8,
// columns of state u8, keys u64 each, weights and state f32 each; then of each that claims: rows u32, columns of state u16.
Model Build(std::uint8_t flags, Input* in) {
  Model model;
  ModelManifest& manifest = model.manifest;
  manifest.kernels = "avx2";
  const std::size_t tables = 1 + in->Take<std::uint8_t>() % 3;
  for (std::size_t t = 0; t < tables; ++t) {
    TableSpec table;
    table.id = static_cast<TableId>(t);
    table.name = "table " + std::to_string(t);
    table.kind = in->Take<std::uint8_t>() % 2 == 0 ? TableKind::kSparse : TableKind::kDense;
    table.dim = 1 + in->Take<std::uint8_t>() % 8;
    table.row_count = 1 + in->Take<std::uint8_t>() % 16;
    manifest.tables.push_back(table);
  }
  const std::size_t parts = 1 + in->Take<std::uint8_t>() % 2;
  std::set<std::pair<TableId, Key>> seen;
  std::set<std::pair<TableId, Key>> keys;
  Hash128 hash;
  for (std::size_t p = 0; p < parts; ++p) {
    ModelPart part;
    part.file = "part-" + std::to_string(p) + ".h5";
    const std::string path = Folder() + "/" + part.file;
    const std::uint8_t format = in->Take<std::uint8_t>();
    std::vector<const TableSpec*> claims;  // tables whose arrays claim rows that are not there
    {
      auto writer = Hdf5Writer::Create(path);
      COHORT_CHECK(writer.has_value(), "%s", writer.error().text().c_str());
      // Format 1 has no word on the order of its keys, which ascend; here those of format 2 do as well.
      COHORT_CHECK((*writer)->SetInteger("/", "format", format == 0 ? 1 : format).ok());
      if (format == kModelPartFormat) COHORT_CHECK((*writer)->SetInteger("/", "ascending", 1).ok());
      model.fits = model.fits && format <= kModelPartFormat;
      for (const TableSpec& table : manifest.tables) {
        COHORT_CHECK((*writer)->CreateGroup("table_" + std::to_string(table.id)).ok());
        model.fits = AddTable(table, writer->get(), in, &part, &hash, &claims, &seen) && model.fits;
      }
      keys.insert(seen.begin(), seen.end());
      if ((flags & kLayered) != 0) seen.clear();
      COHORT_CHECK((*writer)->Close().ok());
    }
    for (const TableSpec* table : claims) {
      const std::string group = "table_" + std::to_string(table->id) + "/";
      const std::uint64_t rows = std::uint64_t{1} + in->Take<std::uint32_t>(),
                          state = 1 + in->Take<std::uint16_t>() % 1024;
      COHORT_CHECK(AddClaim(path, group + "keys", rows, 0) &&
                   AddClaim(path, group + "weights", rows, table->dim) &&
                   AddClaim(path, group + "state", rows, state));
    }
    const auto checksum = ChecksumOfFile(path);
    COHORT_CHECK(checksum.has_value());
    part.bytes = checksum->bytes;
    part.checksum = checksum->checksum;
    model.bytes += part.bytes;
    if ((flags & kWrongChecksum) != 0) part.checksum ^= 1;
    if ((flags & kWrongSize) != 0) part.bytes += 1;
    if ((flags & kWrongRows) != 0) part.rows += 1;
    manifest.parts.push_back(part);
  }
  if ((flags & kWrongHash) != 0) hash += {1, 0};
  manifest.hash = hash;
  if (parts == 2 && (flags & kLayered) != 0) {
    const ModelPart below = manifest.parts.front();
    manifest.parts.erase(manifest.parts.begin());
    ModelPart& part = manifest.parts.front();
    part.layers = {{below.file, below.bytes, below.checksum}};
    part.rows = (flags & kWrongRows) != 0 ? keys.size() + 1 : keys.size();
    manifest.hash.reset();
    model.layered = true;
    model.keys = keys.size();
  }
  model.fits = model.fits && (flags & (kWrongChecksum | kWrongSize | kWrongRows | kWrongHash)) == 0;
  return model;
}

// A part that is not what the manifest says is not opened, whatever it is.
void CheckGate(std::string_view bytes) {
  WriteFile("part-0.h5", bytes);
  const ModelPart part{"part-0.h5", bytes.size(), ChecksumOf(bytes) + 1, 0};
  ModelManifest manifest;
  manifest.tables.resize(1);
  manifest.tables[0].dim = 1;
  manifest.parts = {part};
  const AllocationBound bound(bytes.size(), {.fixed = kFixed});
  const Status status = VisitModel(Folder(), manifest, [](const ModelRows&) {
    COHORT_CHECK(false, "a row of a part with a wrong checksum");
    return Status();
  });
  COHORT_CHECK(!status.ok() && status.text().find("damaged: checksum") != std::string::npos, "%s",
               status.text().c_str());
}

}  // namespace
}  // namespace cohort::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cohort;
  fuzz::Input input(data, size);
  const auto flags = input.Take<std::uint8_t>();
  if ((flags & fuzz::kForeignBytes) != 0) {
    fuzz::CheckGate(input.left());
    return 0;
  }
  const fuzz::Model model = fuzz::Build(flags, &input);
  const Status written = WriteModelManifest(fuzz::Folder(), model.manifest);
  COHORT_CHECK(written.ok(), "%s", written.text().c_str());
  const Result<ModelManifest> read = [&] {
    fuzz::Bound most{.fixed = fuzz::kFixed};
    if (model.layered) most.slack += fuzz::kFixed, most.fixed += fuzz::kFixed;  // two files are open together
    const fuzz::AllocationBound bound(model.bytes, most);
    return VerifyModel(fuzz::Folder());
  }();
  if (model.layered) {  // keys need not be in order then; how wide the layers' rows are must be the same
    constexpr std::uint8_t kWrong = fuzz::kWrongChecksum | fuzz::kWrongSize | fuzz::kWrongRows;
    COHORT_CHECK(!read || (flags & kWrong) == 0);
    COHORT_CHECK(!read || !model.fits || read->rows() == model.keys);
  } else {
    COHORT_CHECK(read.has_value() == model.fits, "verified: %d, fits: %d; %s", read.has_value(), model.fits,
                 read ? "" : read.error().text().c_str());
  }
  if (!read) fuzz::CheckRefusal(read.error());
  return 0;
}
