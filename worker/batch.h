// A mini-batch as the model takes it: encoded, keys made distinct, cut into slices.
#ifndef COHORT_WORKER_BATCH_H_
#define COHORT_WORKER_BATCH_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "common/random.h"
#include "common/types.h"
#include "worker/model/model.h"

namespace cohort {

// Up to `padded_rows` rows of a batch (model.h, SliceInput, gives the shapes). Padding rows are zero and
// without ids.
struct Slice {
  std::uint32_t index = 0;  // among the slices of the global batch
  std::uint32_t rows = 0;
  std::uint32_t padded_rows = 0;
  std::vector<float> numeric;
  std::vector<SliceIds>
      ids;  // by table; `distinct` are indices into its Batch::keys, so by ring position too
  std::vector<float> shares;
  std::vector<float> labels;
  std::vector<float> weights;
  std::uint32_t negatives = 0;     // of each row (model.h, SliceInput)
  std::vector<float> corrections;  // or empty

  // `embeddings`: by table the batch's pulled rows.
  SliceInput<float> Input(const std::vector<float>* embeddings) const {
    return {.rows = rows,
            .padded_rows = padded_rows,
            .numeric = numeric.data(),
            .ids = ids.data(),
            .shares = shares.data(),
            .embeddings = embeddings,
            .labels = labels.data(),
            .weights = weights.data()};
  }
};

struct Batch {
  Clock clock = 0;
  std::uint64_t lease = 0;
  std::uint64_t first_row = 0;    // scoring: of the split
  std::vector<std::uint64_t> groups;  // scoring: of the rows (dataset.h); empty: none
  std::uint32_t global_rows = 0;  // rows of the global batch (bsp), else of this batch
  std::uint32_t rows = 0;         // rows in `slices`
  bool last_of_source = false;
  double read_seconds = 0, distinct_seconds = 0;  // the reader's: rows read and encoded; keys made distinct
  std::vector<Slice> slices;  // the first slice_count are in use
  std::size_t slice_count = 0;
  std::vector<std::shared_ptr<std::vector<Key>>> keys;  // by table: distinct, ascending by ring position
  std::vector<double> total_weight;  // by model task: summed weight of the labelled rows of the global batch
};

// A slice of the batch for a training step, with the batch's pulled rows. In bsp, without leases, what it draws by chance is the
// same on whichever worker.
inline SliceInput<float> TrainingInput(const Batch& batch, const Slice& slice,
                                       const std::vector<float>* embeddings, std::uint64_t seed) {
  constexpr std::uint64_t kDropoutStream = 0x64726f706f757400;
  SliceInput<float> input = slice.Input(embeddings);
  input.negatives = slice.negatives;
  if (!slice.corrections.empty()) input.corrections = slice.corrections.data();
  input.keys = batch.keys.data();
  input.global_rows = batch.global_rows;
  input.dropout_key = RandomBits(RandomBits(seed, kDropoutStream, batch.lease), batch.clock, slice.index);
  return input;
}

}  // namespace cohort

#endif  // COHORT_WORKER_BATCH_H_
