#include "common/model_diff.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <unordered_map>
#include <utility>

#include "common/check.h"
#include "common/model_part_reader.h"

namespace cohort {
namespace {

constexpr std::uint64_t kFloatsCompared = 256u << 10;
constexpr std::uint64_t kMostPieces = 4096;
constexpr std::uint64_t kBytesBesideRow = 48;  // of a row in a hash map, about

// A piece of the ring, ends included.
struct Piece {
  std::uint64_t first = 0, last = 0;
  bool Has(std::uint64_t position) const { return first <= position && position <= last; }
};
Piece PieceOf(std::uint64_t number, std::uint64_t count) {
  const auto begin = [count](std::uint64_t i) { return (static_cast<unsigned __int128>(i) << 64) / count; };
  return {static_cast<std::uint64_t>(begin(number)), static_cast<std::uint64_t>(begin(number + 1) - 1)};
}

// A model whose files have been checked.
struct Model {
  std::string directory;
  ModelManifest manifest;

  const TableSpec* Table(const std::string& name) const {
    for (const TableSpec& table : manifest.tables) {
      if (table.name == name) return &table;
    }
    return nullptr;
  }
  // Calls visit(key, row, floats) for the rows of a table in a piece of the ring; `done` hears how many rows were read.
  template <typename Visit, typename Done>
  Status VisitPiece(const TableSpec& table, const Piece& piece, Visit visit, Done done) const {
    std::vector<Key> keys;
    std::vector<float> rows;
    for (const ModelPart& part : manifest.parts) {
      if (!Concerns(part, piece)) continue;
      COHORT_ASSIGN_OR_RETURN(const auto reader, OpenModelPart(directory, part, {&table, 1}));
      const std::uint32_t floats = reader->row_floats(table.id);
      const std::uint64_t total = reader->rows(table.id),
                          block = std::max<std::uint64_t>(1, kFloatsCompared / floats);
      for (std::uint64_t first = 0; first < total; first += block) {
        COHORT_RETURN_IF_ERROR(reader->Read(table.id, first, std::min(block, total - first), &keys, &rows));
        for (std::size_t i = 0; i < keys.size(); ++i) {
          if (piece.Has(RingPosition(table, keys[i]))) visit(keys[i], rows.data() + i * floats, floats);
        }
        done(keys.size());
      }
    }
    return {};
  }

 private:
  static bool Concerns(const ModelPart& part, const Piece& piece) {
    if (!part.groups) return true;
    for (int group = GroupOf(piece.first); group <= GroupOf(piece.last); ++group) {
      if ((*part.groups)[static_cast<std::size_t>(group)]) return true;
    }
    return false;
  }
};

// The largest |a - b| of two spans that differ in some bit.
double LargestDifference(const float* a, const float* b, std::size_t count) {
  double largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (std::memcmp(a + i, b + i, sizeof(float)) == 0) continue;
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    largest =
        std::max(largest, std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference);
  }
  return largest;
}

// Compares the rows of a table that both have.
class TableComparison {
 public:
  TableComparison(const TableSpec& a, TableDiff* diff) : dim_(a.dim), diff_(*diff) {}

  void AddA(Key key, const float* row, std::uint32_t floats) {
    places_.emplace(key, Place{values_.size(), floats});
    values_.insert(values_.end(), row, row + floats);
  }
  void AddB(Key key, const float* row, std::uint32_t floats) {
    const auto it = places_.find(key);
    if (it == places_.end()) {
      ++diff_.only_b;
      return;
    }
    if (diff_.incomparable.empty()) {
      Compare(key, values_.data() + it->second.at, it->second.floats, row, floats);
    } else {
      ++diff_.differ;
    }
    places_.erase(it);
  }
  // All rows of a piece have come.
  void EndPiece() {
    diff_.only_a += places_.size();
    places_.clear();
    values_.clear();
  }

 private:
  struct Place {
    std::size_t at = 0;
    std::uint32_t floats = 0;
  };
  void Compare(Key key, const float* a, std::uint32_t floats_a, const float* b, std::uint32_t floats_b) {
    const bool weights = std::memcmp(a, b, dim_ * sizeof(float)) != 0;
    bool state = false;
    if (diff_.other_optimizer.empty()) {
      COHORT_CHECK(floats_a == floats_b);
      state = std::memcmp(a + dim_, b + dim_, (floats_a - dim_) * sizeof(float)) != 0;
    }
    diff_.differ += weights || state;
    diff_.weights_differ += weights;
    diff_.states_differ += state;
    if (weights) Note(key, LargestDifference(a, b, dim_), &diff_.largest_weight, &diff_.largest_weight_key);
    if (state)
      Note(key, LargestDifference(a + dim_, b + dim_, floats_a - dim_), &diff_.largest_state,
           &diff_.largest_state_key);
  }
  // The lowest key of those that differ most: the same whatever the order of the rows.
  static void Note(Key key, double difference, double* largest, std::optional<Key>* whose) {
    if (*whose && (difference < *largest || (difference == *largest && key > **whose))) return;
    *largest = difference;
    *whose = key;
  }

  const std::uint32_t dim_;
  TableDiff& diff_;
  std::unordered_map<Key, Place> places_;  // A's rows that have not been found in B
  std::vector<float> values_;
};

Result<Model> OpenWhole(const std::string& path, const char* what, const DiffOptions& options) {
  Model model;
  COHORT_ASSIGN_OR_RETURN(model.directory, FindModel(path));
  COHORT_ASSIGN_OR_RETURN(model.manifest,
                          VerifyModel(model.directory, [&](std::uint64_t rows, std::uint64_t total) {
                            if (options.progress) options.progress(what, rows, total);
                          }));
  return model;
}

// Rows and shapes of a table, as far as the files' headers tell.
Status ReadHeaders(const Model& model, const TableSpec& table, std::uint64_t* rows, std::uint32_t* floats) {
  *floats = RowFloats(table);
  for (const ModelPart& part : model.manifest.parts) {
    const std::string path = model.directory + "/" + part.file;
    COHORT_ASSIGN_OR_RETURN(const auto reader, OpenModelPart(model.directory, part, {&table, 1}));
    *rows += reader->rows(table.id);
    if (reader->rows(table.id) != 0 && reader->row_floats(table.id) != *floats) {
      return {ErrorCode::kCorrupt, path + ": table " + table.name + " has rows of " +
                                       std::to_string(reader->row_floats(table.id)) + " floats, expected " +
                                       std::to_string(*floats)};
    }
  }
  return {};
}

std::string Against(const std::string& what, const std::string& a, const std::string& b) {
  return what + " " + a + " in A, " + b + " in B";
}

Result<TableDiff> DiffTable(const Model& a, const Model& b, const std::string& name,
                            const DiffOptions& options) {
  TableDiff diff;
  diff.name = name;
  const TableSpec* const in_a = a.Table(name);
  const TableSpec* const in_b = b.Table(name);
  std::uint32_t floats_a = 0, floats_b = 0;
  if (in_a != nullptr) COHORT_RETURN_IF_ERROR(ReadHeaders(a, *in_a, &diff.rows_a, &floats_a));
  if (in_b != nullptr) COHORT_RETURN_IF_ERROR(ReadHeaders(b, *in_b, &diff.rows_b, &floats_b));
  if (in_a == nullptr || in_b == nullptr) {
    diff.incomparable = in_a == nullptr ? "only in B" : "only in A";
    diff.only_a = diff.rows_a;
    diff.only_b = diff.rows_b;
    return diff;
  }
  if (in_a->dim != in_b->dim)
    diff.incomparable = Against("dim", std::to_string(in_a->dim), std::to_string(in_b->dim));
  // Dense rows lie on the ring in proportion to how many they are.
  if (in_a->kind != in_b->kind || in_a->row_count != in_b->row_count) {
    diff.incomparable =
        Against("dense rows", std::to_string(in_a->row_count), std::to_string(in_b->row_count));
    diff.only_a = diff.rows_a;
    diff.only_b = diff.rows_b;
    return diff;
  }
  if (in_a->optimizer.kind != in_b->optimizer.kind) {
    diff.other_optimizer =
        Against("optimizer", OptimizerName(in_a->optimizer.kind), OptimizerName(in_b->optimizer.kind));
  }
  const std::uint64_t bytes = diff.rows_a * (floats_a * sizeof(float) + kBytesBesideRow);
  const std::uint64_t pieces =
      std::clamp<std::uint64_t>(bytes / std::max<std::uint64_t>(options.memory_bytes, 1) + 1, 1, kMostPieces);
  std::uint64_t read = 0;
  const auto done = [&](std::uint64_t rows) {
    read += rows;
    if (options.progress)
      options.progress("comparing", std::min(read, diff.rows_a + diff.rows_b), diff.rows_a + diff.rows_b);
  };
  // The hash has every bit of every row in it, and the table's number.
  if (*a.manifest.hash == *b.manifest.hash && in_a->id == in_b->id && diff.same()) return diff;
  TableComparison comparison(*in_a, &diff);
  for (std::uint64_t i = 0; i < pieces; ++i) {
    const Piece piece = PieceOf(i, pieces);
    COHORT_RETURN_IF_ERROR(a.VisitPiece(
        *in_a, piece, [&](Key k, const float* row, std::uint32_t n) { comparison.AddA(k, row, n); }, done));
    COHORT_RETURN_IF_ERROR(b.VisitPiece(
        *in_b, piece, [&](Key k, const float* row, std::uint32_t n) { comparison.AddB(k, row, n); }, done));
    comparison.EndPiece();
  }
  return diff;
}

}  // namespace

bool ModelDiff::same() const {
  return std::all_of(tables.begin(), tables.end(), [](const TableDiff& table) { return table.same(); });
}

Result<ModelDiff> DiffModels(const std::string& a, const std::string& b, const DiffOptions& options) {
  COHORT_ASSIGN_OR_RETURN(const Model model_a, OpenWhole(a, "checking A", options));
  COHORT_ASSIGN_OR_RETURN(const Model model_b, OpenWhole(b, "checking B", options));
  ModelDiff diff{model_a.manifest, model_b.manifest, {}};
  std::vector<std::string> names;
  for (const Model* model : {&model_a, &model_b}) {
    for (const TableSpec& table : model->manifest.tables) {
      if (std::find(names.begin(), names.end(), table.name) == names.end()) names.push_back(table.name);
    }
  }
  for (const std::string& name : names) {
    COHORT_ASSIGN_OR_RETURN(TableDiff table, DiffTable(model_a, model_b, name, options));
    diff.tables.push_back(std::move(table));
  }
  return diff;
}

}  // namespace cohort
