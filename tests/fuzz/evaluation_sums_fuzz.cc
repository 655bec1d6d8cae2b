// What a worker's rows come to, as the scheduler gets it with PhaseDone, merges it and turns it into metrics. Input: tasks
// u8 (a row of TasksOf), bytes.
#include <array>
#include <vector>

#include "common/evaluation_sums.h"
#include "scheduler/evaluation.h"
#include "tests/fuzz/evaluation_tasks.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cohort;
  fuzz::Input input(data, size);
  const std::vector<TaskInfo> tasks = fuzz::TasksOf(input.Take<std::uint8_t>());
  const std::string_view bytes = input.left();
  EvaluationSums sums(tasks, fuzz::kTop), all(tasks, fuzz::kTop);
  const Status status = [&] {
    const fuzz::AllocationBound bound(bytes.size(), {.slack = 64u << 10});
    return sums.FromBytes({reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()});
  }();
  if (!status.ok()) {
    fuzz::CheckRefusal(status);
    return 0;
  }
  const Buffer again = sums.ToBytes();
  COHORT_CHECK(std::string_view(reinterpret_cast<const char*>(again.data()), again.size()) == bytes);
  // As many workers as there may be with such sums, and then some.
  for (int worker = 0; worker < 3; ++worker) all.Merge(sums);
  COHORT_CHECK(MetricsOf(all, BestThresholds(all)).size() == tasks.size());
  return 0;
}
