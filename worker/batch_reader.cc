#include "worker/batch_reader.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "common/check.h"
#include "common/gradient_tree.h"
#include "common/random.h"

namespace cohort {

std::uint32_t LeasedSlices(std::uint32_t batch_rows) {
  constexpr std::uint32_t kMostRows = 1024;
  return std::bit_ceil((batch_rows + kMostRows - 1) / kMostRows);
}

std::uint64_t BatchCount(std::uint64_t rows, std::uint32_t batch_rows) {
  return (rows + batch_rows - 1) / batch_rows;
}

BatchReader::BatchReader(std::unique_ptr<DatasetReader> dataset, Encoder encoder, std::size_t task_count,
                         std::uint64_t seed)
    : dataset_(std::move(dataset)),
      encoder_(std::move(encoder)),
      task_count_(task_count),
      seed_(seed),
      distinct_(encoder_.table_count()),
      key_pools_(encoder_.table_count()),
      thread_([this] { Run(); }) {}

BatchReader::~BatchReader() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BatchReader::Start(BatchSource source) {
  {
    std::lock_guard lock(mutex_);
    sources_.push_back(source);
  }
  changed_.notify_all();
}

Result<std::unique_ptr<Batch>> BatchReader::Next(Duration timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout, [&] { return !ready_.empty() || !status_.ok(); });
  if (!ready_.empty()) {
    std::unique_ptr<Batch> batch = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return batch;
  }
  if (!status_.ok()) return tl::unexpected<Status>(status_);
  return std::unique_ptr<Batch>();
}

void BatchReader::Recycle(std::unique_ptr<Batch> batch) {
  batch->keys.clear();
  std::lock_guard lock(mutex_);
  free_.push_back(std::move(batch));
}

bool BatchReader::ReadAll() const {
  std::lock_guard lock(mutex_);
  return sources_.empty() && !reading_;
}

bool BatchReader::stopping() const {
  std::lock_guard lock(mutex_);
  return stop_;
}

void BatchReader::Run() {
  for (;;) {
    BatchSource source;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || !sources_.empty(); });
      if (stop_) return;
      source = sources_.front();
      sources_.pop_front();
      reading_ = true;
    }
    began_ = std::chrono::steady_clock::now();
    Status status = std::visit([this](const auto& s) { return Read(s); }, source);
    {
      std::lock_guard lock(mutex_);
      reading_ = false;
      if (!status.ok()) status_ = std::move(status);
      if (!status_.ok()) stop_ = true;
    }
    changed_.notify_all();
  }
}

void BatchReader::FetchAhead(std::size_t place) const {
  constexpr std::size_t kPlacesAhead = 8, kIdsAhead = 4;
  const auto fetch = [&](std::size_t ahead, auto what) {
    if (place + ahead >= places_.size()) return;
    const EpochOrder::Place at = places_[place + ahead];
    (encoder_.*what)(window_[at.block], at.row);
  };
  fetch(kPlacesAhead, &Encoder::FetchPlaces);
  fetch(kIdsAhead, &Encoder::FetchIds);
}

std::unique_ptr<Batch> BatchReader::NewBatch() {
  std::lock_guard lock(mutex_);
  if (free_.empty()) return std::make_unique<Batch>();
  std::unique_ptr<Batch> batch = std::move(free_.back());
  free_.pop_back();
  return batch;
}

bool BatchReader::Deliver(std::unique_ptr<Batch> batch) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stop_ || ready_.size() < kReadyBatches; });
  if (stop_) return false;
  ready_.push_back(std::move(batch));
  lock.unlock();
  changed_.notify_all();
  began_ = std::chrono::steady_clock::now();  // the wait for room was no work
  return true;
}

void BatchReader::BeginBatch(Batch* batch, std::size_t slice_count, std::uint32_t padded_rows,
                             std::uint32_t negatives) {
  batch->rows = 0;
  batch->global_rows = 0;
  batch->lease = 0;
  batch->first_row = 0;
  batch->last_of_source = false;
  batch->total_weight.assign(task_count_, 0.0);
  batch->slice_count = slice_count;
  if (batch->slices.size() < slice_count) batch->slices.resize(slice_count);
  for (std::size_t i = 0; i < slice_count; ++i) encoder_.Start(padded_rows, &batch->slices[i], negatives);
  for (DistinctKeys& distinct : distinct_) distinct.Clear();
}

Status BatchReader::PrepareItems() {
  if (encoder_.item_fields() == 0 || items_) return Status();
  COHORT_ASSIGN_OR_RETURN(items_, ItemCatalogue::Build(*dataset_, encoder_, [this] { return stopping(); }));
  negatives_ = encoder_.two_tower().negatives;
  return Status();
}

void BatchReader::AppendTraining(const RowBlock& block, std::uint32_t row, const Batch& batch,
                                 std::uint32_t place, Slice* slice) {
  constexpr std::uint64_t kItemStream = 0x6974656d73000000;
  constexpr int kDraws = 64;  // that may all be the row's own item
  encoder_.Append(block, row, distinct_.data(), slice);
  if (!items_) return;
  const Key own = encoder_.ItemKeys(block, row, 0)[0];
  const bool corrects = items_->Corrects(), skip_own = encoder_.two_tower().skip_own_item;
  if (corrects) slice->corrections.push_back(items_->Correction(items_->PlaceOf(own)));
  const bool positive = encoder_.IsPositive(block, row);
  RandomStream bits(RandomBits(RandomBits(seed_, kItemStream, batch.lease), batch.clock, place));
  for (std::uint32_t n = 0; n < negatives_; ++n) {
    std::uint32_t item = 0;
    if (positive) {
      item = items_->Draw(bits());
      for (int i = 1; skip_own && items_->id(item) == own && i < kDraws; ++i) item = items_->Draw(bits());
      if (skip_own && items_->id(item) == own) item = (item + 1) % items_->size();
    }
    if (corrects) slice->corrections.push_back(positive ? items_->Correction(item) : 0.0f);
    for (std::uint32_t f = 0; f < encoder_.item_fields(); ++f) {
      const std::span<const Key> ids = positive ? items_->Keys(item, f) : std::span<const Key>();
      encoder_.AppendItemField(ids, n, f, distinct_.data(), slice);
    }
  }
}

void BatchReader::FinishBatch(Batch* batch) {
  const auto read = std::chrono::steady_clock::now();
  batch->keys.clear();
  for (std::size_t s = 0; s < batch->slice_count; ++s) encoder_.Finish(&batch->slices[s]);
  for (std::size_t table = 0; table < distinct_.size(); ++table) FinishTable(table, batch);
  const auto end = std::chrono::steady_clock::now();
  batch->read_seconds = std::chrono::duration<double>(read - began_).count();
  batch->distinct_seconds = std::chrono::duration<double>(end - read).count();
}

void BatchReader::FinishTable(std::size_t table, Batch* batch) {
  DistinctKeys& distinct = distinct_[table];
  distinct.Sort();
  batch->keys.push_back(key_pools_[table].Take());
  batch->keys.back()->assign(distinct.keys().begin(), distinct.keys().end());
  local_.resize(std::max(local_.size(), distinct.size()));
  for (std::size_t s = 0; s < batch->slice_count; ++s) {
    SliceIds& slice = batch->slices[s].ids[table];
    if (batch->slice_count == 1) {  // has all of them
      slice.distinct.resize(distinct.size());
      std::iota(slice.distinct.begin(), slice.distinct.end(), 0u);
      for (std::uint32_t& id : slice.positions) id = distinct.Rank(id);
      continue;
    }
    present_.assign(distinct.size() / 64 + 1, 0);
    for (std::uint32_t& id : slice.positions) {
      id = distinct.Rank(id);
      present_[id / 64] |= std::uint64_t{1} << id % 64;
    }
    for (std::uint32_t word = 0; word < present_.size(); ++word) {
      for (std::uint64_t bits = present_[word]; bits != 0; bits &= bits - 1) {
        const std::uint32_t rank = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
        local_[rank] = static_cast<std::uint32_t>(slice.distinct.size());
        slice.distinct.push_back(rank);
      }
    }
    for (std::uint32_t& id : slice.positions) id = local_[id];
  }
}

Status BatchReader::LoadWindow(const EpochOrder& order, std::uint64_t first, std::uint64_t count) {
  if (window_.size() < count) window_.resize(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t block = order.BlockAt(first + i);
    COHORT_RETURN_IF_ERROR(dataset_->Read(Split::kTrain, block * kBlockRows, order.RowsOfBlock(block),
                                          /*with_ids=*/false, &window_[i]));
    if (stopping()) return Status();
  }
  order.ShuffleWindow(first, count, &places_);
  return Status();
}

Status BatchReader::Read(const BspEpoch& source) {
  COHORT_RETURN_IF_ERROR(PrepareItems());
  if (stopping()) return Status();
  const std::uint64_t rows = dataset_->info().rows[static_cast<std::size_t>(Split::kTrain)];
  const EpochOrder order(seed_, rows, source.epoch);
  const std::uint64_t clocks = BatchCount(rows, source.batch_size);
  const std::uint64_t window_blocks = std::max<std::uint64_t>(1, source.shuffle_rows / kBlockRows);
  const SliceRange own = SlicesOfWorker(source.slices, source.workers, source.worker);
  // Slice s holds the rows [ceil(s*B/S), ceil((s+1)*B/S)) of the nominal batch.
  const auto first_of = [&](std::uint64_t slice) {
    return (slice * source.batch_size + source.slices - 1) / source.slices;
  };
  const auto padded = static_cast<std::uint32_t>((source.batch_size + source.slices - 1) / source.slices);

  std::uint64_t next_block = 0;
  std::size_t next_place = 0;
  places_.clear();
  const auto done = static_cast<std::uint64_t>(std::max<Clock>(source.resume_clock - source.first_clock, 0));
  // Windows that hold none of the rows wanted are not read.
  for (std::uint64_t skip = std::min(rows, done * source.batch_size); skip > 0;) {
    const std::uint64_t count = std::min(window_blocks, order.block_count() - next_block);
    const std::uint64_t held = order.RowsOfWindow(next_block, count);
    if (held > skip) {
      COHORT_RETURN_IF_ERROR(LoadWindow(order, next_block, count));
      if (stopping()) return Status();
      next_place = skip;
    }
    next_block += count;
    skip -= std::min(skip, held);
  }
  for (std::uint64_t c = done; c < clocks; ++c) {
    const auto global_rows =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(source.batch_size, rows - c * source.batch_size));
    std::uint32_t present = own.begin;  // own slices that hold at least one row: [own.begin, present)
    while (present < own.end && first_of(present) < global_rows) ++present;

    std::unique_ptr<Batch> batch = NewBatch();
    BeginBatch(batch.get(), present - own.begin, padded, negatives_);
    batch->clock = source.first_clock + static_cast<Clock>(c);
    batch->global_rows = global_rows;
    batch->last_of_source = c + 1 == clocks;
    for (std::uint32_t s = own.begin; s < present; ++s) batch->slices[s - own.begin].index = s;

    std::uint32_t slice = 0;
    for (std::uint32_t row = 0; row < global_rows; ++row) {
      if (next_place == places_.size()) {
        const std::uint64_t count = std::min(window_blocks, order.block_count() - next_block);
        COHORT_RETURN_IF_ERROR(LoadWindow(order, next_block, count));
        if (stopping()) return Status();
        next_block += count;
        next_place = 0;
      }
      const EpochOrder::Place place = places_[next_place++];
      const RowBlock& block = window_[place.block];
      // In row order, over the whole global batch: the same sum on every worker.
      encoder_.AddLabelledWeight(block, place.row, batch->total_weight.data());
      while (row >= first_of(slice + 1)) ++slice;
      if (slice < own.begin || slice >= own.end) continue;
      FetchAhead(next_place - 1);
      AppendTraining(block, place.row, *batch, row, &batch->slices[slice - own.begin]);
      ++batch->rows;
    }
    FinishBatch(batch.get());
    if (!Deliver(std::move(batch))) return Status();
  }
  return Status();
}

Status BatchReader::Read(const TrainLease& source) {
  COHORT_RETURN_IF_ERROR(PrepareItems());
  if (stopping()) return Status();
  const std::uint64_t rows = dataset_->info().rows[static_cast<std::size_t>(Split::kTrain)];
  const EpochOrder order(seed_, rows, source.epoch);
  if (source.first_block + source.block_count > order.block_count()) {
    return Status(ErrorCode::kInternal, "a lease names block " +
                                            std::to_string(source.first_block + source.block_count - 1) +
                                            ", the train split has " + std::to_string(order.block_count()));
  }
  COHORT_RETURN_IF_ERROR(LoadWindow(order, source.first_block, source.block_count));
  const std::uint64_t batches = BatchCount(places_.size(), source.batch_rows);
  const std::uint32_t slices = LeasedSlices(source.batch_rows);
  const std::uint32_t slice_rows = (source.batch_rows + slices - 1) / slices;
  std::size_t next_place = 0;
  const auto done = static_cast<std::uint64_t>(std::max<Clock>(source.resume_clock - source.first_clock, 0));
  next_place = std::min<std::uint64_t>(places_.size(), done * source.batch_rows);
  for (std::uint64_t b = done; b < batches; ++b) {
    if (stopping()) return Status();
    const auto count =
        static_cast<std::uint32_t>(std::min<std::size_t>(source.batch_rows, places_.size() - next_place));
    std::unique_ptr<Batch> batch = NewBatch();
    BeginBatch(batch.get(), (count + slice_rows - 1) / slice_rows, slice_rows, negatives_);
    batch->clock = source.first_clock + static_cast<Clock>(b);
    batch->lease = source.lease;
    batch->global_rows = batch->rows = count;
    batch->last_of_source = b + 1 == batches;
    for (std::uint32_t s = 0; s < batch->slice_count; ++s) batch->slices[s].index = s;
    for (std::uint32_t i = 0; i < count; ++i) {
      FetchAhead(next_place);
      const EpochOrder::Place place = places_[next_place++];
      encoder_.AddLabelledWeight(window_[place.block], place.row, batch->total_weight.data());
      AppendTraining(window_[place.block], place.row, *batch, i, &batch->slices[i / slice_rows]);
    }
    FinishBatch(batch.get());
    if (!Deliver(std::move(batch))) return Status();
  }
  return Status();
}

Status BatchReader::Read(const ScoreLease& source) {
  const std::uint64_t rows = dataset_->info().rows[static_cast<std::size_t>(source.split)];
  const std::uint64_t end = std::min(rows, (source.first_block + source.block_count) * kBlockRows);
  window_.resize(std::max<std::size_t>(1, window_.size()));
  for (std::uint64_t first = source.first_block * kBlockRows; first < end; first += kBlockRows) {
    if (stopping()) return Status();
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlockRows, end - first));
    COHORT_RETURN_IF_ERROR(dataset_->Read(source.split, first, count, /*with_ids=*/false, &window_[0]));
    std::unique_ptr<Batch> batch = NewBatch();
    BeginBatch(batch.get(), 1, kBlockRows);
    batch->lease = source.lease;
    batch->first_row = first;
    batch->groups = window_[0].groups;
    batch->global_rows = batch->rows = count;
    batch->last_of_source = first + count == end;
    batch->slices[0].index = 0;
    for (std::uint32_t row = 0; row < count; ++row) {
      encoder_.AddLabelledWeight(window_[0], row, batch->total_weight.data());
      encoder_.Append(window_[0], row, distinct_.data(), &batch->slices[0]);
    }
    FinishBatch(batch.get());
    if (!Deliver(std::move(batch))) return Status();
  }
  return Status();
}

}  // namespace cohort
