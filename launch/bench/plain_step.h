// A worker's computing of a batch, as Trainer::Step, without what moves messages.
#ifndef COHORT_LAUNCH_BENCH_PLAIN_STEP_H_
#define COHORT_LAUNCH_BENCH_PLAIN_STEP_H_

#include <cstdint>
#include <vector>

#include "worker/batch.h"
#include "worker/model/model.h"
#include "worker/slice_sum.h"

namespace cohort::bench {

// One thread.
class PlainStep {
 public:
  PlainStep(const ModelSpec& spec, std::uint32_t batch_rows, std::uint32_t slices)
      : slices_(slices),
        columns_(spec.prediction_columns),
        model_(spec, (batch_rows + slices - 1) / slices),
        sum_(spec),
        loss_(spec.tasks.size()) {}

  // `dense` and `embeddings` (by table): the weights that the batch would have pulled.
  void Run(const Batch& batch, const float* dense, const std::vector<float>* embeddings) {
    model_.SetDense(dense);
    sum_.Start(slices_, {0, slices_});
    for (std::size_t s = 0; s < batch.slice_count; ++s) {
      const Slice& slice = batch.slices[s];
      sum_.Prepare(slice);
      model_.Step(TrainingInput(batch, slice, embeddings, /*seed=*/1), batch.total_weight.data(),
                  /*with_l2=*/slice.index == 0, {sum_.dense(), sum_.embeddings(), loss_.data()});
      sum_.Add(slice);
    }
    sum_.Finish();
  }
  // Its predictions alone, as Scorer::Score.
  void Predict(const Batch& batch, const float* dense, const std::vector<float>* embeddings) {
    model_.SetDense(dense);
    for (std::size_t s = 0; s < batch.slice_count; ++s) {
      predictions_.resize(std::size_t{batch.slices[s].rows} * columns_);
      model_.Predict(batch.slices[s].Input(embeddings), predictions_.data());
    }
  }
  // What would be pushed, until the next Run.
  const std::vector<SliceSum::Part>& parts() const { return sum_.parts(); }

 private:
  const std::uint32_t slices_, columns_;
  Model<float> model_;
  SliceSum sum_;
  std::vector<double> loss_;
  std::vector<float> predictions_;
};

}  // namespace cohort::bench

#endif  // COHORT_LAUNCH_BENCH_PLAIN_STEP_H_
