#include "launch/bench/checkpoint_bench.h"

#include <fcntl.h>
#include <unistd.h>

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

// What a stretch of pushes came to.
struct Pushed {
  std::uint64_t rows = 0;
  double seconds = 0, cpu_seconds = 0;
  std::vector<double> message_us;  // CPU time
};

// The shard, and whoever talks to it.
class OneShard {
 public:
  OneShard(const Options& options, std::string folder)
      : options_(options), store_({nullptr, options.core_share}), shard_(MakeShard()) {
    Outbox out;
    shard_->Start(Now(), out);
    Welcome welcome = ViewOf(options);
    welcome.consistency = Consistency::kAsp;
    welcome.worker_count = 1;
    welcome.slot_map = SlotMap::Even(1);
    welcome.checkpoint_path = std::move(folder);
    FromScheduler(std::move(welcome));
    PhaseOrder order;
    order.request_id = order.phase = 1;
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
  void Order() { FromScheduler(CheckpointOrder{next_id_++, ++number_}); }
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
  Hdf5SnapshotStore store_;
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
    shard.Push(batches[(*next)++], &pushed);
    shard.Turn();
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

// Writes so many bytes and syncs them: bytes per second.
Result<double> PlainWrite(const std::string& folder, std::uint64_t bytes) {
  const std::string path = folder + "/plain";
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return Error(ErrorCode::kIo, path + ": " + std::strerror(errno));
  std::vector<std::uint64_t> piece((1u << 20) / sizeof(std::uint64_t));
  RandomStream random(1, 3);
  for (std::uint64_t& word : piece) word = random();
  const double begin = WallSeconds();
  bool written = true;
  for (std::uint64_t at = 0; at < bytes && written; at += 1u << 20)
    written = ::write(file, piece.data(), 1u << 20) == 1 << 20;
  written = written && ::fsync(file) == 0;
  const double seconds = WallSeconds() - begin;
  const int error = errno;
  ::close(file);
  ::unlink(path.c_str());
  if (!written) return Error(ErrorCode::kIo, path + ": " + std::strerror(error));
  return static_cast<double>(bytes) / seconds;
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
  const auto forget = [&] {
    std::error_code ignored;
    fs::remove_all(CheckpointFolder(folder.path, shard.number()), ignored);
  };
  for (std::uint32_t i = 0; i < options.repetitions; ++i) {
    progress("repetition " + std::to_string(i + 1) + " of " + std::to_string(options.repetitions));
    CheckpointDone done;
    COHORT_ASSIGN_OR_RETURN(const Pushed alone, PushFor(shard, batches, &next, options.seconds, nullptr));
    const std::uint64_t saved = shard.rows_saved();
    shard.Order();
    COHORT_ASSIGN_OR_RETURN(const Pushed beside, PushFor(shard, batches, &next, std::nullopt, &done));
    const auto bytes = static_cast<double>(done.bytes);
    const double saved_share =
        static_cast<double>(shard.rows_saved() - saved) / static_cast<double>(done.rows);
    forget();
    COHORT_ASSIGN_OR_RETURN(const double plain, PlainWrite(folder.path, done.bytes));

    shard.Order();
    const double begin = WallSeconds(), process_cpu = ProcessCpuSeconds(), cpu = ThreadCpuSeconds();
    double shard_cpu = 0;
    for (std::optional<CheckpointDone> idle; !idle; idle = shard.TakeDone()) {
      const double before = ThreadCpuSeconds();
      shard.Turn();
      shard_cpu += ThreadCpuSeconds() - before;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      COHORT_RETURN_IF_ERROR(CheckStopSignal());
    }
    const double seconds = WallSeconds() - begin;
    const double writer_cpu = ProcessCpuSeconds() - process_cpu - (ThreadCpuSeconds() - cpu);
    forget();
    const double rate = static_cast<double>(alone.rows) / alone.seconds;
    const double rate_beside = static_cast<double>(beside.rows) / beside.seconds;
    const double cpu_alone = alone.cpu_seconds / (static_cast<double>(alone.rows) * 1e-6);
    const double cpu_beside = beside.cpu_seconds / (static_cast<double>(beside.rows) * 1e-6);
    report.Add({{"part_bytes", bytes},
                {"plain_write_bytes_per_second", plain},
                {"idle_bytes_per_second", bytes / seconds},
                {"idle_share_of_plain_write", bytes / seconds / plain},
                {"shard_cpu_s_per_gb", shard_cpu / (bytes * 1e-9)},
                {"writer_cpu_s_per_gb", writer_cpu / (bytes * 1e-9)},
                {"bytes_per_second_beside_pushes", bytes / beside.seconds},
                {"seconds_beside_pushes", beside.seconds},
                {"saved_rows_share", saved_share},
                {"push_rows_per_second", rate},
                {"push_rows_per_second_beside", rate_beside},
                {"push_share_beside", rate_beside / rate},
                {"push_cpu_s_per_mrow", cpu_alone},
                {"push_cpu_s_per_mrow_beside", cpu_beside},
                {"message_cpu_p50_us", Quantile(alone.message_us, 0.5)},
                {"message_cpu_p50_us_beside", Quantile(beside.message_us, 0.5)},
                {"message_cpu_p99_us", Quantile(alone.message_us, 0.99)},
                {"message_cpu_p99_us_beside", Quantile(beside.message_us, 0.99)},
                {"message_cpu_longest_us", Quantile(alone.message_us, 1)},
                {"message_cpu_longest_us_beside", Quantile(beside.message_us, 1)}});
  }
  return report;
}

}  // namespace cohort::bench
