#include "launch/bench/checkpoint_bench.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "common/checkpoint_files.h"
#include "common/slot_map.h"
#include "launch/bench/keys.h"
#include "launch/bench/stopwatch.h"
#include "launch/prefaulted_slabs.h"
#include "launch/role.h"
#include "server/part_writer.h"
#include "server/shard.h"
#include "server/snapshot.h"

namespace cohort::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kRun = 1;

double ProcessCpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// A folder that goes with this object.
struct Folder {
  explicit Folder(std::string p) : path(std::move(p)) {}
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  const std::string path;
};

// What a stretch of pushes came to. A step is a batch and the shard's turn after it.
struct Pushed {
  std::uint64_t rows = 0;
  double seconds = 0, cpu_seconds = 0;
  std::vector<double> message_us;  // CPU time
  std::vector<double> step_us;     // by the clock

  double RowsPerSecond() const { return static_cast<double>(rows) / seconds; }
  double CpuSecondsPerMrow() const { return cpu_seconds / (static_cast<double>(rows) * 1e-6); }
  void Add(const Pushed& other) {
    rows += other.rows;
    seconds += other.seconds;
    cpu_seconds += other.cpu_seconds;
    message_us.insert(message_us.end(), other.message_us.begin(), other.message_us.end());
    step_us.insert(step_us.end(), other.step_us.begin(), other.step_us.end());
  }
};

// Writes parts of checkpoints with a share of a core that changes from one to the next.
class PacedStore : public Hdf5SnapshotStore {
 public:
  std::unique_ptr<CheckpointWriter> WriteCheckpoint(const CheckpointPart& part) override {
    return std::make_unique<PartWriter>(part, nullptr, core_share);
  }
  double core_share = 1;
};

// The shard, and whoever talks to it.
class OneShard {
 public:
  OneShard(const Options& options, std::string folder) : options_(options), shard_(MakeShard()) {
    Outbox out;
    shard_->Start(Now(), out);
    Welcome welcome = ViewOf(options);
    for (const Outgoing& outgoing : out.Take()) {
      if (const auto* registration = std::get_if<Register>(&outgoing.message))
        welcome.request_id = registration->request_id;
    }
    welcome.consistency = Consistency::kAsp;
    welcome.worker_count = 1;
    welcome.slot_map = SlotMap::Even(1);
    welcome.checkpoint_path = std::move(folder);
    FromScheduler(std::move(welcome));
    PhaseOrder order;
    order.request_id = order.phase = 1;
    order.workers = {0};
    FromScheduler(order);
    std::vector<float> gradients(std::size_t{options.batch} * options.dim, 1e-3f);
    gradients_ = Buffer::Own(std::move(gradients));
  }

  // One batch, in messages of about request_rows rows, and its close.
  void Push(const Buffer& batch, Pushed* pushed) {
    const std::span<const Key> keys = batch.As<Key>();
    for (std::size_t begin = 0; begin < keys.size();) {
      std::vector<GroupRun> runs;
      std::size_t end = begin;
      for (int group = -1; end < keys.size(); ++end) {
        const int next = GroupOf(RingPosition(TableKind::kSparse, 0, keys[end]));
        if (next != group) {
          if (end - begin >= options_.request_rows) break;
          runs.push_back({static_cast<std::uint32_t>(next), 0});
          group = next;
        }
        ++runs.back().rows;
      }
      PushRequest push;
      push.request_id = next_id_++;
      push.phase = 1;
      push.clock = clock_;
      push.table = kEmbeddingTable;
      push.dim = options_.dim;
      push.runs = Buffer::Own(std::move(runs));
      push.keys = batch.Slice(begin * sizeof(Key), (end - begin) * sizeof(Key));
      push.values = gradients_.Slice(0, (end - begin) * options_.dim * sizeof(float));
      const double before = ThreadCpuSeconds();
      FromWorker(std::move(push));
      if (pushed != nullptr) {
        pushed->message_us.push_back((ThreadCpuSeconds() - before) * 1e6);
        pushed->rows += end - begin;
      }
      begin = end;
    }
    FromWorker(CloseRequest{next_id_++, 1, clock_++});
  }
  // Begins a checkpoint, whose writer may take that much of a core.
  void Order(double core_share) {
    store_.core_share = core_share;
    FromScheduler(CheckpointOrder{next_id_++, ++number_});
  }
  // A timer, if it is time.
  void Turn() {
    if (shard_->NextTimer() > Now()) return;
    Outbox out;
    shard_->OnTimer(Now(), out);
    Take(out);
  }
  // Has come since Order.
  std::optional<CheckpointDone> TakeDone() { return std::exchange(done_, std::nullopt); }
  std::uint64_t number() const { return number_; }
  std::uint64_t rows() const { return shard_->counters().rows; }
  std::uint64_t rows_saved() const { return shard_->count(ShardEvent::kRowSaved); }

 private:
  static TimePoint Now() { return TimePoint(std::chrono::steady_clock::now()); }
  std::unique_ptr<Shard> MakeShard() {
    ShardOptions options;
    options.scheduler.run_id = kRun;
    options.scheduler.dead_after = std::chrono::hours(24);
    options.slabs = &slabs_;
    return std::make_unique<Shard>(ShardNode(0), std::move(options), store_);
  }
  void FromScheduler(Message message) {
    Stamp stamp;
    stamp.run_id = kRun;
    Deliver(stamp, std::move(message));
  }
  void FromWorker(Message message) {
    Stamp stamp;
    stamp.sender = WorkerNode(0);
    stamp.run_id = kRun;
    stamp.generation = 1;
    Deliver(stamp, std::move(message));
  }
  void Deliver(const Stamp& stamp, Message message) {
    Outbox out;
    shard_->OnMessage(stamp, std::move(message), Now(), out);
    Take(out);
  }
  void Take(Outbox& out) {
    for (Outgoing& outgoing : out.Take()) {
      auto* done = std::get_if<CheckpointDone>(&outgoing.message);
      if (done == nullptr || done->number <= acknowledged_) continue;
      acknowledged_ = done->number;
      const RequestId id = done->request_id;
      done_ = std::move(*done);
      FromScheduler(Ack{id});
    }
  }

  const Options options_;
  PrefaultedSlabs slabs_;
  PacedStore store_;
  std::unique_ptr<Shard> shard_;
  Buffer gradients_;
  RequestId next_id_ = 1;
  Clock clock_ = 0;
  std::uint64_t number_ = 0, acknowledged_ = 0;
  std::optional<CheckpointDone> done_;
};

// Pushes batches for `seconds`, or, with none, until the checkpoint that was ordered is there.
Result<Pushed> PushFor(OneShard& shard, const KeyBatches& batches, std::uint64_t* next,
                       std::optional<double> seconds, CheckpointDone* done) {
  Pushed pushed;
  const double begin = WallSeconds(), cpu = ThreadCpuSeconds();
  for (;;) {
    const double before = WallSeconds();
    shard.Push(batches[(*next)++], &pushed);
    shard.Turn();
    pushed.step_us.push_back((WallSeconds() - before) * 1e6);
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
    if (seconds) {
      if (WallSeconds() - begin >= *seconds) break;
    } else if (auto it = shard.TakeDone()) {
      if (!it->error.empty()) return Error(ErrorCode::kIo, it->error);
      *done = *it;
      break;
    }
  }
  pushed.seconds = WallSeconds() - begin;
  pushed.cpu_seconds = ThreadCpuSeconds() - cpu;
  return pushed;
}

// Has `dd` write so many bytes, about, to a file and sync it: bytes per second.
Result<double> DdRate(const std::string& folder, std::uint64_t bytes) {
  const std::string path = folder + "/dd",
                    megabytes = std::to_string(std::max<std::uint64_t>(bytes >> 20, 1));
  std::vector<std::string> words = {"dd",         "if=/dev/zero", "of=" + path, "bs=1M", "count=" + megabytes,
                                    "conv=fsync", "status=none"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const double begin = WallSeconds();
  pid_t child = -1;
  if (const int error = ::posix_spawnp(&child, "dd", nullptr, nullptr, arguments.data(), environ);
      error != 0) {
    return Error(
        ErrorCode::kUnavailable,
        std::string("dd, which tells what the disk gives, cannot be started: ") + std::strerror(error));
  }
  int status = 0;
  Status stopped;
  while (::waitpid(child, &status, 0) < 0) {
    stopped = CheckStopSignal();
    if (!stopped.ok()) ::kill(child, SIGTERM);
  }
  const double seconds = WallSeconds() - begin;
  ::unlink(path.c_str());
  COHORT_RETURN_IF_ERROR(std::move(stopped));
  if (status != 0)
    return Error(ErrorCode::kIo, path + ": dd could not write " + megabytes + " MB there; it has said why");
  return static_cast<double>(bytes >> 20 << 20) / seconds;
}

void Forget(const std::string& folder, const OneShard& shard) {
  std::error_code ignored;
  fs::remove_all(CheckpointFolder(folder, shard.number()), ignored);
}

// Pushes before, while and after a checkpoint is written at options.core_share.
Result<Figures> BesidePushes(const Options& options, const std::string& folder, OneShard& shard,
                             const KeyBatches& batches, std::uint64_t* next) {
  CheckpointDone done;
  COHORT_ASSIGN_OR_RETURN(Pushed alone, PushFor(shard, batches, next, options.seconds, nullptr));
  const std::uint64_t saved = shard.rows_saved();
  shard.Order(options.core_share);
  COHORT_ASSIGN_OR_RETURN(const Pushed beside, PushFor(shard, batches, next, std::nullopt, &done));
  COHORT_ASSIGN_OR_RETURN(const Pushed after, PushFor(shard, batches, next, options.seconds, nullptr));
  alone.Add(after);
  Forget(folder, shard);
  const auto bytes = static_cast<double>(done.bytes);
  const double step = Quantile(beside.step_us, 0.5), longest = Quantile(beside.step_us, 0.999);
  return Figures{
      {"part_bytes", bytes},
      {"bytes_per_second_beside_pushes", bytes / beside.seconds},
      {"seconds_beside_pushes", beside.seconds},
      {"saved_rows_share", static_cast<double>(shard.rows_saved() - saved) / static_cast<double>(done.rows)},
      {"push_rows_per_second", alone.RowsPerSecond()},
      {"push_rows_per_second_beside", beside.RowsPerSecond()},
      {"push_share_beside", beside.RowsPerSecond() / alone.RowsPerSecond()},
      {"steps_beside", static_cast<double>(beside.step_us.size())},
      {"step_p50_us", Quantile(alone.step_us, 0.5)},
      {"step_p999_us", Quantile(alone.step_us, 0.999)},
      {"step_p50_us_beside", step},
      {"step_p999_us_beside", longest},
      {"step_p999_over_p50_beside", longest / step},
      {"push_cpu_s_per_mrow", alone.CpuSecondsPerMrow()},
      {"push_cpu_s_per_mrow_beside", beside.CpuSecondsPerMrow()},
      {"message_cpu_p50_us", Quantile(alone.message_us, 0.5)},
      {"message_cpu_p50_us_beside", Quantile(beside.message_us, 0.5)},
      {"message_cpu_p99_us", Quantile(alone.message_us, 0.99)},
      {"message_cpu_p99_us_beside", Quantile(beside.message_us, 0.99)},
      {"message_cpu_longest_us", Quantile(alone.message_us, 1)},
      {"message_cpu_longest_us_beside", Quantile(beside.message_us, 1)}};
}

// A checkpoint while nothing else is to be done, as fast as its writer can.
Result<Figures> WhileIdle(const std::string& folder, OneShard& shard) {
  shard.Order(1);
  const double begin = WallSeconds(), process_cpu = ProcessCpuSeconds(), cpu = ThreadCpuSeconds();
  double shard_cpu = 0;
  std::optional<CheckpointDone> done;
  for (; !done; done = shard.TakeDone()) {
    const double before = ThreadCpuSeconds();
    shard.Turn();
    shard_cpu += ThreadCpuSeconds() - before;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
  }
  const double seconds = WallSeconds() - begin;
  const double writer_cpu = ProcessCpuSeconds() - process_cpu - (ThreadCpuSeconds() - cpu);
  Forget(folder, shard);
  if (!done->error.empty()) return Error(ErrorCode::kIo, done->error);
  const auto bytes = static_cast<double>(done->bytes);
  return Figures{{"idle_bytes_per_second", bytes / seconds},
                 {"shard_cpu_s_per_gb", shard_cpu / (bytes * 1e-9)},
                 {"writer_cpu_s_per_gb", writer_cpu / (bytes * 1e-9)}};
}

// The same, with dd before and after it: the disk's rate changes from second to second.
Result<Figures> BesideDd(const std::string& folder, std::uint64_t bytes, OneShard& shard) {
  COHORT_ASSIGN_OR_RETURN(const double before, DdRate(folder, bytes));
  COHORT_ASSIGN_OR_RETURN(Figures figures, WhileIdle(folder, shard));
  COHORT_ASSIGN_OR_RETURN(const double after, DdRate(folder, bytes));
  const double dd = 2 / (1 / before + 1 / after), rate = figures[0].second;
  figures.insert(figures.end(), {{"dd_bytes_per_second", dd},
                                 {"dd_before_bytes_per_second", before},
                                 {"dd_after_bytes_per_second", after},
                                 {"idle_share_of_dd", rate / dd}});
  return figures;
}

}  // namespace

Result<Report> RunCheckpoint(const Options& options, const Progress& progress) {
  const std::string base = options.folder.empty() ? fs::temp_directory_path().string() : options.folder;
  std::string name = base + "/cohort-bench-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr)
    return InvalidInput("--folder " + base + ": cannot be written: " + std::strerror(errno));
  const Folder folder(name);
  KeepFreedMemory();  // as servers do
  Report report("checkpoint", {{"dim", options.dim},
                               {"rows", options.rows},
                               {"batch", options.batch},
                               {"zipf", options.zipf},
                               {"optimizer", OptimizerName(options.optimizer)},
                               {"core_share", options.core_share},
                               {"measure", options.measure},
                               {"request_rows", options.request_rows},
                               {"seconds", options.seconds}});
  Options fast = options;
  fast.workers = fast.servers = fast.shards = 1;
  OneShard shard(fast, folder.path);
  for (std::uint64_t i = 0; i < FillBatches(fast); ++i) {
    if (i % 64 == 0)
      progress("making rows: " + std::to_string(shard.rows()) + " of " + std::to_string(fast.rows));
    shard.Push(FillBatch(fast, 0, i), nullptr);
    COHORT_RETURN_IF_ERROR(CheckStopSignal());
  }
  progress("drawing keys");
  const KeyBatches batches(fast, 0);
  std::uint64_t next = 0;
  // Of a part, but for what is beside its rows.
  const std::uint64_t bytes =
      shard.rows() * (sizeof(Key) + sizeof(float) * (fast.dim + StateFloats(fast.optimizer, fast.dim)));
  for (std::uint32_t i = 0; i < options.repetitions; ++i) {
    progress("repetition " + std::to_string(i + 1) + " of " + std::to_string(options.repetitions));
    Figures figures;
    if (options.measure != "idle") {
      COHORT_ASSIGN_OR_RETURN(figures, BesidePushes(options, folder.path, shard, batches, &next));
    }
    if (options.measure != "pushes") {
      COHORT_ASSIGN_OR_RETURN(const Figures idle, BesideDd(folder.path, bytes, shard));
      figures.insert(figures.end(), idle.begin(), idle.end());
    }
    report.Add(std::move(figures));
  }
  return report;
}

}  // namespace cohort::bench
