#include "worker/parameter_client.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "common/check.h"
#include "common/float16.h"

namespace cohort {
namespace {

// Options::request_rows is of rows of this many floats: wider ones make messages of as many bytes. Larger messages would
// leave the processor's nearer caches between the passes over them (copying, checksum, sending).
constexpr std::uint32_t kRequestDim = 16;
// What a message costs besides its arrays, for credits.
constexpr std::uint64_t kMessageBytes = 128;

// The runs of keys of one slot group. REQUIRES: keys are in ring order.
std::vector<GroupRun> RunsOf(const TableSpec& table, std::span<const Key> keys) {
  std::vector<GroupRun> runs;
  std::array<std::uint32_t, 256> groups;
  for (std::size_t base = 0; base < keys.size(); base += groups.size()) {
    const std::size_t n = std::min(groups.size(), keys.size() - base);
    for (std::size_t i = 0; i < n; ++i) {
      groups[i] = static_cast<std::uint32_t>(GroupOf(RingPosition(table, keys[base + i])));
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (runs.empty() || groups[i] != runs.back().group) {
        COHORT_CHECK(runs.empty() || groups[i] > runs.back().group,
                     "keys of table %u are not in ring order at %zu", table.id, base + i);
        runs.push_back({groups[i], 0});
      }
      ++runs.back().rows;
    }
  }
  return runs;
}

// Occurrence counts go with rows: uint32[rows], or none.
void CheckCounts(const TableSpec& table, std::size_t rows, const Buffer& counts) {
  COHORT_CHECK(counts.size() == (table.policy.NeedsCounts() ? rows * sizeof(std::uint32_t) : 0),
               "%zu bytes of counts for %zu rows", counts.size(), rows);
}
Buffer PartOfCounts(const Buffer& counts, std::size_t first, std::size_t rows) {
  if (counts.empty()) return {};
  return counts.Slice(first * sizeof(std::uint32_t), rows * sizeof(std::uint32_t));
}

}  // namespace

ParameterClient::ParameterClient(NodeId self, Options options, ParameterClientFaults faults)
    : self_(self),
      options_(options),
      faults_(faults),
      next_sequence_((std::uint64_t{options.incarnation} << kSequenceBits) + 1) {
  COHORT_CHECK(options.retry > Duration::zero() && options.request_rows > 0);
}

void ParameterClient::SetView(const Welcome& welcome) {
  COHORT_CHECK(outstanding() == 0, "%zu requests outstanding", outstanding());
  tables_ = welcome.tables;
  slot_map_ = *welcome.slot_map;
  shards_.resize(slot_map_.shard_count);
  consistency_ = welcome.consistency;
  staleness_ = welcome.staleness;
  COHORT_CHECK(options_.cache_rows == 0 || consistency_ != Consistency::kBsp);
  caches_.clear();
  for (const TableSpec& table : tables_) {
    caches_.emplace_back();
    if (options_.cache_rows > 0 && table.kind == TableKind::kSparse)
      caches_.back().emplace(options_.cache_rows, table.dim);
  }
}

void ParameterClient::BeginPhase(std::uint32_t phase) {
  COHORT_CHECK(outstanding() == 0, "%zu requests outstanding", outstanding());
  phase_ = phase;
  pushes_.clear();
  closes_.clear();
  kept_.clear();
  for (std::optional<HotRows>& cache : caches_) {
    if (cache) cache->Clear();
  }
  for (Shard& shard : shards_) shard.closed = -1;
}

const TableSpec& ParameterClient::Table(TableId table) const {
  auto found =
      std::find_if(tables_.begin(), tables_.end(), [&](const TableSpec& t) { return t.id == table; });
  COHORT_CHECK(found != tables_.end(), "table %u", table);
  return *found;
}

ParameterClient::Lane& ParameterClient::LaneOf(const Request& request) {
  Shard& shard = shards_[request.shard];
  return request.kind == Kind::kPull ? shard.pulls : shard.pushes;
}

ParameterClient::Ticket ParameterClient::NewTicket() {
  std::uint32_t slot;
  if (free_tickets_.empty()) {
    slot = static_cast<std::uint32_t>(tickets_.size());
    COHORT_CHECK(slot < kSlotMask, "too many pulls and pushes outstanding");
    tickets_.emplace_back();
  } else {
    slot = free_tickets_.back();
    free_tickets_.pop_back();
  }
  tickets_[slot] = {next_sequence_++ << kSlotBits | slot, 0};
  return tickets_[slot].id;
}

void ParameterClient::FreeIfDone(Ticket ticket) {
  const auto slot = static_cast<std::uint32_t>(ticket & kSlotMask);
  if (tickets_[slot].remaining > 0) return;
  tickets_[slot].id = 0;
  free_tickets_.push_back(slot);
}

bool ParameterClient::Done(Ticket ticket) const {
  const std::size_t slot = ticket & kSlotMask;
  return slot >= tickets_.size() || tickets_[slot].id != ticket;
}

ParameterClient::Request& ParameterClient::NewRequest(Kind kind, std::uint32_t shard, TimePoint now) {
  std::uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(requests_.size());
    COHORT_CHECK(slot < kSlotMask, "too many requests outstanding");
    requests_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Request& request = requests_[slot];
  request.id = next_sequence_++ << kSlotBits | slot;
  request.kind = kind;
  request.shard = shard;
  request.first_sent = now;
  return request;
}

ParameterClient::Request* ParameterClient::Find(RequestId id) {
  const std::size_t slot = id & kSlotMask;
  return slot < requests_.size() && requests_[slot].id == id ? &requests_[slot] : nullptr;
}

void ParameterClient::Cut(std::span<const GroupRun> runs, std::uint32_t dim,
                          std::vector<Piece>* pieces) const {
  const std::size_t most = std::max<std::size_t>(
      1, std::uint64_t{options_.request_rows} * kRequestDim / std::max(dim, kRequestDim));
  pieces->clear();
  std::size_t row = 0;
  for (std::size_t begin = 0; begin < runs.size();) {
    const std::uint32_t shard = slot_map_.ShardOfGroup(static_cast<int>(runs[begin].group));
    std::size_t end = begin, rows = 0;
    // Groups of one shard, until the next one would exceed the limit.
    while (end < runs.size() && slot_map_.ShardOfGroup(static_cast<int>(runs[end].group)) == shard &&
           (rows == 0 || rows + runs[end].rows <= most)) {
      rows += runs[end++].rows;
    }
    pieces->push_back({0, shard, begin, end - begin, row, rows});
    begin = end;
    row += rows;
  }
}

ParameterClient::Ticket ParameterClient::Pull(TableId table, Clock clock, AbsentRow absent, Buffer keys,
                                              float* values, TimePoint now, Outbox& out, bool keep) {
  const TableSpec& spec = Table(table);
  const FloatType type = absent == AbsentRow::kInitial ? spec.pull_values : FloatType::kFloat32;
  const Ticket ticket = NewTicket();
  const auto slot = static_cast<std::uint32_t>(ticket & kSlotMask);
  std::vector<GroupRun> runs = RunsOf(spec, keys.As<Key>());
  Cut(runs, spec.dim, &pieces_);
  HotRows* const cache = CacheOf(table, absent);
  for (Piece& piece : pieces_) {
    Buffer asked = keys.Slice(piece.first_row * sizeof(Key), piece.rows * sizeof(Key));
    Buffer places;
    float* const target = values + piece.first_row * spec.dim;
    const std::size_t cached = cache == nullptr ? 0 : FromCache(*cache, spec, clock, asked.As<Key>(), target);
    counters_.cached_rows += cached;
    if (cached == piece.rows) continue;
    if (cached > 0) {
      asked = Buffer::Copy<Key>(missing_.keys);
      places = Buffer::Copy<std::uint32_t>(missing_.places);
    }
    Request& request = NewRequest(Kind::kPull, piece.shard, now);
    if (cached == 0) piece.id = request.id;
    request.ticket_slot = slot;
    request.table = table;
    request.clock = clock;
    request.absent = absent;
    request.keep = keep && cached == 0;
    request.type = type;
    request.dim = spec.dim;
    request.keys = std::move(asked);
    request.rows = std::move(places);
    request.target = target;
    request.bytes = (piece.rows - cached) * (sizeof(Key) + spec.dim * SizeOf(type)) + kMessageBytes;
    ++tickets_[slot].remaining;
    Enqueue(request, now, out);
  }
  if (keep) kept_.push_back({ticket, table, clock, std::move(keys), Buffer::Own(std::move(runs)), pieces_});
  FreeIfDone(ticket);
  return ticket;
}

HotRows* ParameterClient::CacheOf(TableId table, AbsentRow absent) {
  if (absent != AbsentRow::kInitial) return nullptr;
  std::optional<HotRows>& cache = caches_[static_cast<std::size_t>(&Table(table) - tables_.data())];
  return cache ? &*cache : nullptr;
}

std::size_t ParameterClient::FromCache(HotRows& cache, const TableSpec& table, Clock clock,
                                       std::span<const Key> keys, float* target) {
  Clock oldest = consistency_ == Consistency::kSsp ? clock - 1 - staleness_
                                                   : clock - static_cast<Clock>(options_.cache_max_age);
  if (faults_.cache_beyond_the_bound) --oldest;
  missing_.places.clear();
  missing_.keys.clear();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (const float* row = cache.Find(RingPosition(table, keys[i]), oldest)) {
      std::memcpy(target + i * table.dim, row, table.dim * sizeof(float));
    } else {
      missing_.places.push_back(static_cast<std::uint32_t>(i));
      missing_.keys.push_back(keys[i]);
    }
  }
  return keys.size() - missing_.keys.size();
}

void ParameterClient::NameByKeys(Request& request) {
  if (!request.rows.empty()) {
    std::vector<Key> keys;
    for (const std::uint32_t row : request.rows.As<std::uint32_t>())
      keys.push_back(request.keys.As<Key>()[row]);
    request.keys = Buffer::Own(std::move(keys));
  }
  request.pull = 0;
  request.rows = Buffer();
}

Buffer ParameterClient::EncodeGradients(const TableSpec& table, Buffer values) {
  if (table.push_values == FloatType::kFloat32) return values;
  const std::span<const float> floats = values.As<float>();
  auto halves = halves_.Take<std::uint16_t>(floats.size());
  counters_.clipped_values +=
      EncodeValues(table.push_values, floats.data(), floats.size(), halves.values.data());
  return std::move(halves.buffer);
}

ParameterClient::Request& ParameterClient::NewPush(Ticket ticket, TableId table, Clock clock,
                                                   std::uint16_t node, std::uint32_t shard, TimePoint now) {
  Request& request = NewRequest(Kind::kPush, shard, now);
  request.ticket_slot = static_cast<std::uint32_t>(ticket & kSlotMask);
  request.table = table;
  request.clock = clock;
  request.node = node;
  const TableSpec& spec = Table(table);
  request.dim = spec.dim;
  request.type = spec.push_values;
  ++tickets_[request.ticket_slot].remaining;
  auto count = std::lower_bound(pushes_.begin(), pushes_.end(), clock,
                                [](const PushCount& p, Clock c) { return p.clock < c; });
  if (count == pushes_.end() || count->clock != clock) count = pushes_.insert(count, {clock, 0});
  ++count->unacknowledged;
  return request;
}

ParameterClient::Ticket ParameterClient::Push(TableId table, Clock clock, std::uint16_t node, Buffer keys,
                                              Buffer values, TimePoint now, Outbox& out, Buffer counts) {
  const TableSpec& spec = Table(table);
  COHORT_CHECK(values.size() == keys.size() / sizeof(Key) * spec.dim * sizeof(float), "%zu bytes of values",
               values.size());
  CheckCounts(spec, keys.size() / sizeof(Key), counts);
  values = EncodeGradients(spec, std::move(values));
  const std::size_t width = spec.dim * SizeOf(spec.push_values);
  const Ticket ticket = NewTicket();
  const Buffer runs = Buffer::Own(RunsOf(spec, keys.As<Key>()));
  Cut(runs.As<GroupRun>(), spec.dim, &pieces_);
  for (const Piece& piece : pieces_) {
    Request& request = NewPush(ticket, table, clock, node, piece.shard, now);
    request.runs = runs.Slice(piece.first_run * sizeof(GroupRun), piece.runs * sizeof(GroupRun));
    request.keys = keys.Slice(piece.first_row * sizeof(Key), piece.rows * sizeof(Key));
    request.values = values.Slice(piece.first_row * width, piece.rows * width);
    request.counts = PartOfCounts(counts, piece.first_row, piece.rows);
    request.bytes = request.runs.size() + request.keys.size() + request.values.size() +
                    request.counts.size() + kMessageBytes;
    Enqueue(request, now, out);
  }
  FreeIfDone(ticket);
  return ticket;
}

ParameterClient::Ticket ParameterClient::PushRows(Ticket pull, std::uint16_t node, Buffer rows, Buffer values,
                                                  TimePoint now, Outbox& out, Buffer counts) {
  const auto kept =
      std::find_if(kept_.begin(), kept_.end(), [&](const KeptPull& k) { return k.ticket == pull; });
  COHORT_CHECK(kept != kept_.end() && Done(pull), "a push by rows of a pull that is not kept, or not done");
  const TableSpec& spec = Table(kept->table);
  const std::size_t width = spec.dim * SizeOf(spec.push_values);
  const std::span<const GroupRun> all_runs = kept->runs.As<GroupRun>();
  const std::span<const std::uint32_t> named = rows.As<std::uint32_t>();
  const bool all = named.empty();
  const std::size_t count = all ? kept->keys.size() / sizeof(Key) : named.size();
  COHORT_CHECK(values.size() == count * spec.dim * sizeof(float), "%zu bytes of values", values.size());
  CheckCounts(spec, count, counts);
  values = EncodeGradients(spec, std::move(values));
  const Ticket ticket = NewTicket();
  // The rows as places in their requests' keys, and their slot groups.
  std::vector<std::uint32_t> places(named.size());
  std::vector<GroupRun> some_runs;
  if (!all) some_runs.reserve(all_runs.size());
  struct Range {
    std::size_t first_row = 0, rows = 0, first_run = 0, runs = 0;
  };
  std::vector<Range> ranges;
  std::size_t next = 0;
  for (const Piece& piece : kept->pieces) {
    Range range{next, 0, some_runs.size(), 0};
    if (all) {
      range = {piece.first_row, piece.rows, piece.first_run, piece.runs};
    } else {
      std::size_t group_end = piece.first_row;
      for (const GroupRun& run : all_runs.subspan(piece.first_run, piece.runs)) {
        group_end += run.rows;
        const std::size_t begin = next;
        for (; next < named.size() && named[next] < group_end; ++next) {
          places[next] = named[next] - static_cast<std::uint32_t>(piece.first_row);
        }
        if (next > begin) some_runs.push_back({run.group, static_cast<std::uint32_t>(next - begin)});
      }
      range.rows = next - range.first_row;
      range.runs = some_runs.size() - range.first_run;
    }
    ranges.push_back(range);
  }
  COHORT_CHECK(next == named.size(), "row %u of a pull of %zu rows", named[next],
               kept->keys.size() / sizeof(Key));
  const Buffer runs = all ? kept->runs : Buffer::Own(std::move(some_runs));
  const Buffer all_places = Buffer::Own(std::move(places));
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const Range& range = ranges[i];
    const Piece& piece = kept->pieces[i];
    if (range.rows == 0) continue;
    Request& request = NewPush(ticket, kept->table, kept->clock, node, piece.shard, now);
    request.pull = piece.id;
    request.keys = kept->keys.Slice(piece.first_row * sizeof(Key), piece.rows * sizeof(Key));
    if (range.rows < piece.rows) {
      request.rows =
          all_places.Slice(range.first_row * sizeof(std::uint32_t), range.rows * sizeof(std::uint32_t));
    }
    if (piece.id == 0) NameByKeys(request);
    request.runs = runs.Slice(range.first_run * sizeof(GroupRun), range.runs * sizeof(GroupRun));
    request.values = values.Slice(range.first_row * width, range.rows * width);
    request.counts = PartOfCounts(counts, range.first_row, range.rows);
    // It may have to go with keys, so it takes credit for them.
    request.bytes = request.runs.size() + range.rows * sizeof(Key) + request.values.size() +
                    request.counts.size() + kMessageBytes;
    Enqueue(request, now, out);
  }
  FreeIfDone(ticket);
  return ticket;
}

void ParameterClient::Close(Clock clock, TimePoint now, Outbox& out) {
  COHORT_CHECK(closes_.empty() || closes_.back() < clock, "clock %lld", static_cast<long long>(clock));
  closes_.push_back(clock);
  std::erase_if(kept_, [clock](const KeptPull& pull) { return pull.clock <= clock; });
  if (!faults_.close_before_acknowledgements && !pushes_.empty() && pushes_.front().clock <= clock) {
    ++counters_.held_closes;
  }
  SendReadyCloses(now, out);
}

void ParameterClient::SendReadyCloses(TimePoint now, Outbox& out) {
  Clock ready = -1;  // closing a clock closes all before it
  while (!closes_.empty() && (pushes_.empty() || pushes_.front().clock > closes_.front() ||
                              faults_.close_before_acknowledgements)) {
    ready = closes_.front();
    closes_.pop_front();
  }
  if (ready < 0) return;
  for (std::uint32_t shard = 0; shard < shards_.size(); ++shard) {
    Request& request = NewRequest(Kind::kClose, shard, now);
    request.clock = ready;
    request.bytes = kMessageBytes;
    Enqueue(request, now, out);
  }
}

bool ParameterClient::ClosedEverywhere(Clock clock) const {
  return std::all_of(shards_.begin(), shards_.end(),
                     [&](const Shard& shard) { return shard.closed >= clock; });
}

}  // namespace cohort
