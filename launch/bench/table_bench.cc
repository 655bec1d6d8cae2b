#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/process.h"
#include "launch/bench/in_process.h"
#include "launch/bench/keys.h"
#include "launch/bench/row_array.h"
#include "launch/bench/stopwatch.h"
#include "launch/prefaulted_slabs.h"
#include "launch/role.h"
#include "server/embedding_table.h"

namespace cohort::bench {
namespace {

constexpr std::uint64_t kGrowFrom = 1'000'000;
constexpr double kIndexBytes = 40;  // per row, more than any index here takes

// A shard's way with one batch, without its messages.
class TableUser {
 public:
  TableUser(const Options& options)
      : options_(options),
        table_(TableOf(options), options.seed, &slabs_),
        values_(std::size_t{std::max(options.batch, options.request_rows)} * options.dim) {
    RandomStream random(options.seed, 11);
    gradients_.resize(values_.size());
    for (float& g : gradients_) g = static_cast<float>(random.Uniform() - 0.5) * 1e-3f;
  }

  void LookUp(std::span<const Key> keys) {
    FindPositions(keys);
    table_.ForEach(positions_, {}, [&](std::size_t i, const float* row) {
      float* const out = values_.data() + i * options_.dim;
      if (row != nullptr) {
        std::memcpy(out, row, options_.dim * sizeof(float));
      } else {
        table_.InitialWeights(keys[i], out);
      }
    });
  }

  // Rows that are absent are made.
  void Add(std::span<const Key> keys) {
    FindPositions(keys);
    table_.Update(keys, positions_, {}, [&](std::size_t i, float* row) {
      table_.optimizer().Step(gradients_.data() + i * options_.dim, row);
    });
  }

  const EmbeddingTable& table() const { return table_; }

 private:
  void FindPositions(std::span<const Key> keys) {
    positions_.resize(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i)
      positions_[i] = RingPosition(TableKind::kSparse, 0, keys[i]);
  }

  const Options options_;
  PrefaultedSlabs slabs_;
  EmbeddingTable table_;
  std::vector<float> values_, gradients_;
  std::vector<std::uint64_t> positions_;
};

// Resident memory that the table's rows have added, beyond their weights and optimizer state.
double Overhead(const EmbeddingTable& table, std::uint64_t memory_before) {
  const auto added =
      static_cast<double>(ReadProcessUsage().memory_bytes) - static_cast<double>(memory_before);
  return added / static_cast<double>(table.size()) -
         static_cast<double>(table.optimizer().row_floats() * sizeof(float));
}

double TableBytes(const Options& options, std::uint64_t rows) {
  const Optimizer optimizer(TableOf(options).optimizer, options.dim);
  return static_cast<double>(rows) *
         (static_cast<double>(optimizer.row_floats() * sizeof(float)) + kIndexBytes);
}

// Requests of request_rows new keys each, from an empty table on; those beyond kGrowFrom rows are timed.
Status MeasureGrowth(const Options& options, const Progress& progress, Report* report) {
  Options requests = options;
  requests.rows = options.grow_to;
  requests.batch = options.request_rows;
  requests.workers = 1;
  const auto user = std::make_unique<TableUser>(requests);
  const std::uint64_t count = FillBatches(requests);
  std::vector<double> cpu_us;
  cpu_us.reserve(count);
  const std::uint64_t memory_before = ReadProcessUsage().memory_bytes;
  for (std::uint64_t i = 0; i < count; ++i) {
    const Buffer keys = FillBatch(requests, 0, i);
    const double before = ThreadCpuSeconds();
    user->Add(keys.As<Key>());
    const double after = ThreadCpuSeconds();
    const bool whole = keys.size() == std::size_t{requests.batch} * sizeof(Key);
    if (whole && user->table().size() > std::min(kGrowFrom, options.grow_to / 2))
      cpu_us.push_back((after - before) * 1e6);
    if (i % 256 == 0) {
      progress("growing: " + std::to_string(user->table().size()) + " of " + std::to_string(options.grow_to) +
               " rows");
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
    }
  }
  report->Set("grown_bytes_per_row_overhead", Overhead(user->table(), memory_before));
  if (cpu_us.empty()) return {};
  const double median = Quantile(cpu_us, 0.5), longest = Quantile(cpu_us, 1.0);
  report->Set("growth_median_us", median);
  report->Set("growth_p999_us", Quantile(cpu_us, 0.999));
  report->Set("growth_longest_us", longest);
  report->Set("growth_longest_over_median", longest / median);
  return {};
}

}  // namespace

Result<Report> RunTable(const Options& options, const Progress& progress) {
  if (options.batch > options.rows) {
    return InvalidInput("--batch " + std::to_string(options.batch) +
                        " asks for more distinct keys than --rows " + std::to_string(options.rows) +
                        " has: raise --rows or lower --batch");
  }
  const double gather_bytes = static_cast<double>(options.rows) * options.dim * sizeof(float);
  COHORT_RETURN_IF_ERROR(CheckMemory(
      std::max(TableBytes(options, options.rows) + gather_bytes, TableBytes(options, options.grow_to)),
      "bench table"));
  KeepFreedMemory();  // as servers do
  Report report("table", {{"dim", options.dim},
                          {"rows", options.rows},
                          {"batch", options.batch},
                          {"optimizer", OptimizerName(options.optimizer)},
                          {"grow_to", options.grow_to},
                          {"request_rows", options.request_rows},
                          {"seconds", options.seconds}});
  {
    progress("drawing keys");
    const KeyBatches keys(options, 0);
    const auto row_batches = RowBatches(options.rows, options.batch, options.seed);
    std::vector<float> out(std::size_t{options.batch} * options.dim);
    const auto user = std::make_unique<TableUser>(options);
    const std::uint64_t memory_before = ReadProcessUsage().memory_bytes;
    for (std::uint64_t i = 0; i < FillBatches(options); ++i) {
      if (i % 64 == 0) {
        progress("making rows: " + std::to_string(user->table().size()) + " of " +
                 std::to_string(options.rows));
      }
      user->Add(FillBatch(options, 0, i).As<Key>());
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
    }
    report.Set("bytes_per_row_overhead", Overhead(user->table(), memory_before));
    COHORT_ASSIGN_OR_RETURN(const RowArray array,
                            RowArray::Create(options.rows, options.dim, RowArray::Pages::kHuge));
    for (std::uint32_t i = 0; i < options.repetitions; ++i) {
      progress("repetition " + std::to_string(i + 1) + " of " + std::to_string(options.repetitions));
      const Repeated lookups =
          Repeat(options.seconds, [&](std::uint64_t n) { user->LookUp(keys[n].As<Key>()); });
      const Repeated gather = Repeat(options.seconds, [&](std::uint64_t n) {
        array.Gather(row_batches[n % row_batches.size()], out.data());
      });
      const Repeated additions =
          Repeat(options.seconds, [&](std::uint64_t n) { user->Add(keys[n].As<Key>()); });
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
      const double limit = gather.PerSecond() * options.batch;
      report.Add({{"rows_per_second", lookups.PerSecond() * options.batch},
                  {"ceiling_rows_per_second", limit},
                  {"share_of_ceiling", lookups.PerSecond() * options.batch / limit},
                  {"additions_per_second", additions.PerSecond() * options.batch},
                  {"additions_share_of_ceiling", additions.PerSecond() * options.batch / limit},
                  {"p50_us", Quantile(lookups.each_us, 0.5)},
                  {"p99_us", Quantile(lookups.each_us, 0.99)},
                  {"additions_p50_us", Quantile(additions.each_us, 0.5)},
                  {"additions_p99_us", Quantile(additions.each_us, 0.99)}});
    }
  }
  if (options.grow_to > 0) COHORT_RETURN_IF_ERROR(MeasureGrowth(options, progress, &report));
  return report;
}

}  // namespace cohort::bench
