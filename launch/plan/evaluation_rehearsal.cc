#include "launch/plan/evaluation_rehearsal.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "common/evaluation_sums.h"
#include "common/random.h"
#include "launch/bench/child_processes.h"
#include "launch/plan/memory_growth.h"
#include "launch/role.h"
#include "scheduler/evaluation.h"
#include "scheduler/evaluation_json.h"

namespace cohort {
namespace {

constexpr Duration kLongest = std::chrono::minutes(30);
// A worker's sums stop growing when every sketch has its cells: more rows need not be drawn.
constexpr std::uint64_t kMostRows = 3 * kMostCellsOfASketch;
// Messages that are held at once; what more of them take is added.
constexpr std::uint32_t kMostParts = 8;

double Uniform(std::uint64_t i, std::uint64_t part, std::uint64_t column) {
  return UniformDouble(RandomBits(i, part, column));
}

// Row `i` of `rows`, as one of `values` different ones.
void AppendRow(const std::vector<TaskInfo>& tasks, std::uint64_t i, std::uint64_t part,
               std::vector<float>* predictions, std::vector<float>* labels) {
  for (std::size_t j = 0; j < tasks.size(); ++j) {
    const TaskInfo& task = tasks[j];
    const std::uint32_t columns = task.PredictionColumns();
    const bool probability = PredictsProbability(task.type);
    for (std::uint32_t c = 0; c < columns; ++c) {
      const double u = Uniform(i, part, 64 * j + c + 1);
      // Of a hazard task they never fall.
      const double value = task.type == TaskType::kHazard ? (c + u) / columns : u;
      predictions->push_back(
          static_cast<float>(probability ? value : task.mean + task.deviation * (value + 1e-3)));
    }
    const double u = Uniform(i, part, 64 * j);
    float label = u < 0.3 ? 1.0f : 0.0f;
    if (task.type == TaskType::kMulticlass)
      label = std::floor(static_cast<float>(u) * static_cast<float>(columns));
    if (task.type == TaskType::kHazard) label = 1;
    if (task.type == TaskType::kRegression || task.type == TaskType::kValue)
      label = static_cast<float>(task.mean + u);
    labels->push_back(label);
  }
}

Buffer SumsOf(const std::vector<TaskInfo>& tasks, const std::vector<std::uint32_t>& top, std::uint64_t rows,
              std::uint64_t part, double distinct) {
  EvaluationSums sums(tasks, top);
  const auto values =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(rows) * distinct));
  std::vector<float> predictions, labels;
  for (std::uint64_t row = 0; row < rows;) {
    predictions.clear(), labels.clear();
    const std::uint64_t first = row, end = std::min<std::uint64_t>(rows, row + kBlockRows);
    for (; row < end; ++row) AppendRow(tasks, row % values, part, &predictions, &labels);
    sums.Add(first, predictions, labels, {}, {}, end - first);
  }
  sums.Finish();
  return sums.ToBytes();
}

struct Part {
  std::string message;
  double growth = 0;
};

// A worker: its message, and the memory it took.
Result<Part> MakePart(const std::vector<TaskInfo>& tasks, const std::vector<std::uint32_t>& top,
                      std::uint64_t rows, std::uint32_t part, double distinct) {
  bench::ChildProcesses children;
  COHORT_ASSIGN_OR_RETURN(
      bench::ChildProcesses::Child* const child,
      children.Start("rehearsal of an evaluation", [&](bench::Channel& channel) -> Status {
        KeepFreedMemory();
        const MemoryGrowth growth;
        const Buffer message = SumsOf(tasks, top, rows, part, distinct);
        COHORT_RETURN_IF_ERROR(channel.SendText(std::to_string(growth.Bytes())));
        return channel.SendText({reinterpret_cast<const char*>(message.data()), message.size()});
      }));
  const auto growth = child->channel->ReceiveText(kLongest);
  if (!growth) return tl::unexpected(children.Explain(*child, growth.error()));
  auto message = child->channel->ReceiveText(kLongest);
  if (!message) return tl::unexpected(children.Explain(*child, message.error()));
  return Part{std::move(*message), std::stod(*growth)};
}

Status ReceiveAll(bench::Channel& channel, std::uint32_t count, std::vector<Buffer>* messages) {
  while (messages->size() < count) {
    COHORT_ASSIGN_OR_RETURN(std::string text, channel.ReceiveText(kLongest));
    const auto owner = std::make_shared<std::string>(std::move(text));
    messages->emplace_back(owner, owner->data(), owner->size());
  }
  return {};
}

// The scheduler's side (RunRecorder::OnEvaluation, OnPhaseEnd).
Result<double> Merge(const std::vector<TaskInfo>& tasks, const std::vector<std::uint32_t>& top,
                     std::vector<Buffer> messages, std::uint32_t split_count) {
  EvaluationSums merged(tasks, top);
  for (Buffer& message : messages) {
    {
      EvaluationSums part(tasks, top);
      COHORT_RETURN_IF_ERROR(part.FromBytes({message.data(), message.size()}));
      merged.Merge(part);
    }
    message = Buffer();
  }
  merged.Finish();
  // Of each split, and what they are written as.
  std::vector<SplitEvaluation> splits;
  for (std::uint32_t split = 0; split < split_count; ++split)
    splits.push_back({SplitName(static_cast<Split>(split)), MetricsOf(merged, BestThresholds(merged))});
  return static_cast<double>(EvaluationToJson(splits).size());
}

}  // namespace

std::size_t SketchesOf(const std::vector<TaskInfo>& tasks) {
  std::size_t sketches = 0;
  const EvaluationSums sums(tasks);
  for (std::size_t task = 0; task < tasks.size(); ++task) sketches += sums.sums(task).sketches.size();
  return sketches;
}

Result<EvaluationMemory> RehearseEvaluation(const std::vector<TaskInfo>& tasks,
                                            const std::vector<std::uint32_t>& top, std::uint64_t rows,
                                            std::uint32_t workers, std::uint32_t splits, double distinct) {
  rows = std::min(rows, kMostRows);
  const std::uint32_t parts = std::min(workers, kMostParts);
  EvaluationMemory memory;
  bench::ChildProcesses children;
  COHORT_ASSIGN_OR_RETURN(
      bench::ChildProcesses::Child* const scheduler,
      children.Start("rehearsal of the scheduler", [&](bench::Channel& channel) -> Status {
        KeepFreedMemory();
        const MemoryGrowth growth;
        // As messages come: on another thread, whose memory the allocator keeps apart.
        std::vector<Buffer> messages;
        Status received;
        std::thread([&] { received = ReceiveAll(channel, parts, &messages); }).join();
        COHORT_RETURN_IF_ERROR(received);
        COHORT_ASSIGN_OR_RETURN([[maybe_unused]] const double judged,
                                Merge(tasks, top, std::move(messages), splits));
        return channel.SendText(std::to_string(growth.Bytes()));
      }));
  for (std::uint32_t i = 0; i < parts; ++i) {
    COHORT_ASSIGN_OR_RETURN(const Part part, MakePart(tasks, top, rows, i, distinct));
    memory.worker = std::max(memory.worker, part.growth);
    memory.message = static_cast<double>(part.message.size());
    if (const Status sent = scheduler->channel->SendText(part.message); !sent.ok())
      return tl::unexpected(children.Explain(*scheduler, sent));
  }
  const auto growth = scheduler->channel->ReceiveText(kLongest);
  if (!growth) return tl::unexpected(children.Explain(*scheduler, growth.error()));
  memory.scheduler = std::stod(*growth) + memory.message * (workers - parts);
  return memory;
}

}  // namespace cohort
