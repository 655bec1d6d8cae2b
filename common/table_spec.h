// What a shard must know of a table: shape, optimizer, initial values, and where its rows live.
//
// There are two kinds. A *sparse* table holds embeddings: any 64-bit key may have a row, rows appear with their first
// applied push. The *dense* table holds all dense weights of the model as one vector, cut into rows of kDenseRowWidth
// values; its keys are 0 .. row_count-1. Everything else (optimizers, slots, pushes, clocks, snapshots) is the same
// for both.
#ifndef COHORT_COMMON_TABLE_SPEC_H_
#define COHORT_COMMON_TABLE_SPEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/float16.h"
#include "common/random.h"
#include "common/rate_schedule.h"
#include "common/types.h"

namespace cohort {

inline constexpr std::uint32_t kDenseRowWidth = 256;
inline constexpr TableId kDenseTable = 0;  // by convention the first table of a model
inline constexpr TableId kEmbeddingTable =
    1;  // and the embeddings' the second; further ones of theirs follow

enum class TableKind : std::uint8_t { kSparse = 0, kDense = 1 };
enum class OptimizerKind : std::uint8_t { kSgd = 0, kMomentum, kAdagrad, kRowwiseAdagrad, kAdam, kFtrl };
const char* OptimizerName(OptimizerKind kind);  // as in the run file: "rowwise_adagrad"

// Hyper-parameters of all kinds; each kind reads its own (server/optimizer.h has the formulas).
struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::kSgd;
  float learning_rate = 0.01f;
  float momentum = 0.9f;             // momentum
  float initial_accumulator = 0.1f;  // adagrad, rowwise_adagrad, ftrl
  float beta1 = 0.9f;                // adam
  float beta2 = 0.999f;              // adam
  float epsilon = 1e-8f;             // adam, adagrad, rowwise_adagrad
  float ftrl_l1 = 0.0f;              // ftrl
  float ftrl_l2 = 0.0f;              // ftrl
  float ftrl_beta = 1.0f;            // ftrl
  float weight_decay = 0.0f;         // all but ftrl: decoupled, of rows that are updated
  float l2 = 0.0f;                   // all but ftrl: lambda of 1/2 |w|^2, of rows that are updated
  RateSchedule schedule;             // all but ftrl

  bool operator==(const OptimizerSpec&) const = default;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(kind, learning_rate, momentum, initial_accumulator, beta1, beta2, epsilon, ftrl_l1, ftrl_l2,
            ftrl_beta, weight_decay, l2, schedule);
  }
};

// Initial values: uniform in [-scale, scale) around `mean`, drawn from (seed, table, key, position).
// Sparse tables have one segment (begin 0) for every row. The dense vector has one per weight matrix or bias:
// [begin, next segment's begin) in floats from the start of the vector.
struct InitSegment {
  std::uint64_t begin = 0;
  float mean = 0.0f;
  float scale = 0.0f;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(begin, mean, scale);
  }
};

// Which keys get a row, and which rows go (server/row_policy.h has the rules). Sparse tables only.
enum class Admission : std::uint8_t { kAlways = 0, kCount, kProbability };
struct RowPolicySpec {
  Admission admit = Admission::kAlways;
  std::uint32_t admit_count = 2;           // kCount: the sighting at which a key gets its row, 1 to 255
  float admit_probability = 0.1f;          // kProbability: of getting a row at each sighting, (0, 1]
  std::uint64_t sketch_bytes = 64u << 20;  // kCount: of the counters, over all slots
  std::uint64_t evict_idle_clocks = 0;     // rows not updated for so many clocks go; 0: never
  std::uint64_t max_bytes = 0;  // least frequently used rows go beyond it, over all slots; 0: no limit

  bool Any() const { return admit != Admission::kAlways || evict_idle_clocks != 0 || max_bytes != 0; }
  // Whether a push must say how often each of its keys occurred.
  bool NeedsCounts() const { return admit != Admission::kAlways || max_bytes != 0; }
  // Whether rows are watched: how often, and when last, they were updated.
  bool NeedsStatistics() const { return evict_idle_clocks != 0 || max_bytes != 0; }

  template <class Archive>
  void serialize(Archive& archive) {
    archive(admit, admit_count, admit_probability, sketch_bytes, evict_idle_clocks, max_bytes);
  }
};

struct TableSpec {
  TableId id = 0;
  std::string name;
  TableKind kind = TableKind::kSparse;
  std::uint32_t dim = 0;        // weights per row
  std::uint64_t row_count = 0;  // dense only
  OptimizerSpec optimizer;
  std::vector<InitSegment> init;
  RowPolicySpec policy;
  // Of the weights, as the rows hold them; state is float32. Sparse tables only.
  FloatType dtype = FloatType::kFloat32;
  // How values travel in training, to workers and to servers; scoring pulls float32, so that scores are the model's own.
  FloatType pull_values = FloatType::kFloat32;
  FloatType push_values = FloatType::kFloat32;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(id, name, kind, dim, row_count, optimizer, init, policy, dtype, pull_values, push_values);
  }
};

// Words of 4 bytes that a row's weights take.
inline std::uint32_t WeightWords(const TableSpec& table) {
  return table.dtype == FloatType::kFloat32 ? table.dim : (table.dim + 1) / 2;
}
// Floats of optimizer state behind a row's weights (server/optimizer.h).
std::uint32_t StateFloats(OptimizerKind kind, std::uint32_t dim);
// Floats of a whole row in a file: weights, then state.
inline std::uint32_t RowFloats(const TableSpec& table) {
  return table.dim + StateFloats(table.optimizer.kind, table.dim);
}
// What they are, in order: "accumulator" and how many floats it has.
struct StateSlot {
  const char* name = "";
  std::uint32_t floats = 0;
};
std::vector<StateSlot> StateSlots(OptimizerKind kind, std::uint32_t dim);
// What a row of a table under a policy counts against max_bytes: weights and state, and the index and the statistics at
// their usual load.
std::uint64_t BytesPerRow(const TableSpec& table);

// A row's place on the ring of 2^64: slots and slot groups are its leading bits. Sorting by position sorts by slot
// group, so a request's keys for one shard are one contiguous run. Distinct keys have distinct positions.
// Sparse: a mixed key. Dense: proportional to the key, so that each shard holds a contiguous range of the vector.
inline std::uint64_t RingPosition(TableKind kind, std::uint64_t row_count, Key key) {
  if (kind == TableKind::kSparse) return Mix64(key);
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(key) << 64) /
                                    row_count);  // key < row_count
}
inline std::uint64_t RingPosition(const TableSpec& table, Key key) {
  return RingPosition(table.kind, table.row_count, key);
}
inline int SlotOf(std::uint64_t ring_position) { return static_cast<int>(ring_position >> 50); }
inline int GroupOf(std::uint64_t ring_position) { return static_cast<int>(ring_position >> 56); }

// Writes the initial values of a row to out[0 .. dim), as the table's dtype can hold them (the nearest). A pure function of
// (seed, table, key).
void InitializeRow(const TableSpec& table, std::uint64_t seed, Key key, float* out);

}  // namespace cohort

#endif  // COHORT_COMMON_TABLE_SPEC_H_
