// Checkpoints in memory, on a disk in virtual time: what SnapshotStore's writers and Resume are to the shards of a
// simulation or of a test.
#ifndef COHORT_TESTS_SUPPORT_MEMORY_CHECKPOINTS_H_
#define COHORT_TESTS_SUPPORT_MEMORY_CHECKPOINTS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/checkpoint_files.h"
#include "server/row_layout.h"
#include "server/snapshot_store.h"

namespace cohort {

class MemoryCheckpoints {
 public:
  struct Row {
    std::vector<float> values;  // weights, state
    std::uint64_t statistics = 0;
    bool operator==(const Row&) const = default;
  };
  struct Part {
    std::map<TableId, std::map<Key, Row>> rows;
    ShardState state;
  };
  // What the disk does with a block: how long it takes, and whether it fails.
  struct Disk {
    std::function<Duration()> delay = [] { return Duration(0); };
    std::function<bool()> fails = [] { return false; };
  };

  explicit MemoryCheckpoints(Disk disk) : disk_(std::move(disk)) {}
  MemoryCheckpoints() : MemoryCheckpoints(Disk()) {}

  bool Has(const std::string& path, std::uint64_t number) const {
    return parts.contains(CheckpointFolder(path, number));
  }
  std::unique_ptr<CheckpointWriter> Write(const CheckpointPart& part) {
    return std::make_unique<Writer>(this, part);
  }
  Result<std::vector<ShardState>> Resume(const std::string& folder, const OwnedGroups& owned,
                                         std::span<EmbeddingTable* const> tables) {
    std::vector<ShardState> states;
    for (const auto& [shard, part] : parts[folder]) {
      for (EmbeddingTable* table : tables) {
        const auto rows = part.rows.find(table->spec().id);
        if (rows == part.rows.end()) continue;
        for (const auto& [key, row] : rows->second) {
          if (!owned[static_cast<std::size_t>(GroupOf(RingPosition(table->spec(), key)))]) continue;
          table->Put(key, row.values.data());
          if (table->spec().policy.NeedsStatistics())
            table->PutStatistics(key, UnpackedStatistics(row.statistics));
        }
      }
      if ((part.state.groups & owned).any()) states.push_back(part.state);
    }
    return states;
  }

  // By folder (checkpoint_files.h) and shard.
  std::map<std::string, std::map<std::uint32_t, Part>> parts;
  std::string bug;  // a row that came twice, or not at all

 private:
  class Writer : public CheckpointWriter {
   public:
    Writer(MemoryCheckpoints* store, const CheckpointPart& part) : store_(store), to_be_(part) {}
    void Append(CopiedRows block, TimePoint now) override {
      for (const CheckpointPart::Table& table : to_be_.tables) {
        if (table.spec.id != block.table) continue;
        const RowLayout layout(table.spec);
        const std::size_t words = block.words.size() / block.positions.size();
        for (std::size_t i = 0; i < block.positions.size(); ++i) {
          const Key key = KeyAt(table.spec, block.positions[i]);
          Row row;
          row.values.resize(layout.dim + layout.state_floats);
          layout.Load(block.words.data() + i * words, row.values.data());
          if (!block.statistics.empty()) row.statistics = block.statistics[i];
          if (!part_.rows[block.table].emplace(key, std::move(row)).second)
            store_->bug = "key " + std::to_string(key) + " was copied twice";
        }
      }
      Use(now);
    }
    void Finish(ShardState state, TimePoint now) override {
      part_.state = std::move(state);
      finished_ = true;
      Use(now);
    }
    bool HasRoom(TimePoint now) const override {
      std::size_t waiting = 0;
      for (const TimePoint ready : ready_) waiting += ready > now;
      return waiting < 2;
    }
    std::optional<CheckpointDone> Take(TimePoint now) override {
      if (taken_ || (!failed_ && !(finished_ && ready_.back() <= now))) return std::nullopt;
      taken_ = true;
      CheckpointDone done;
      done.file = CheckpointPartName(to_be_.shard);
      done.layers = to_be_.layers;
      if (failed_) {
        done.error = "no space left on device";
        return done;
      }
      if (!to_be_.layers.empty()) LayOver();
      for (const CheckpointPart::Table& table : to_be_.tables) {
        done.rows += table.rows;
        if (part_.rows[table.spec.id].size() != table.rows)
          store_->bug = "table " + table.spec.name + ": " + std::to_string(part_.rows[table.spec.id].size()) +
                        " rows were copied of " + std::to_string(table.rows);
      }
      store_->parts[CheckpointFolder(to_be_.checkpoint_path, to_be_.number)][to_be_.shard] = std::move(part_);
      return done;
    }
    TimePoint NextEvent() const override {
      if (taken_) return kNever;
      if (failed_) return TimePoint();
      if (finished_) return ready_.back();
      return ready_.size() < 2 ? kNever : ready_[ready_.size() - 2];
    }

   private:
    // Rows that did not come are those of the former part.
    void LayOver() {
      const std::string folder = CheckpointFolder(to_be_.checkpoint_path, to_be_.layers.back().number);
      const auto& former = store_->parts[folder];
      const auto base = former.find(to_be_.shard);
      if (base == former.end()) {
        store_->bug = folder + " has no part to be laid over";
        return;
      }
      for (const auto& [table, rows] : base->second.rows) part_.rows[table].insert(rows.begin(), rows.end());
    }
    void Use(TimePoint now) {
      failed_ = failed_ || store_->disk_.fails();
      ready_.push_back(std::max(now, ready_.empty() ? now : ready_.back()) + store_->disk_.delay());
    }

    MemoryCheckpoints* const store_;
    const CheckpointPart to_be_;
    Part part_;
    std::deque<TimePoint> ready_;  // when each block is written; ascending
    bool finished_ = false, failed_ = false, taken_ = false;
  };

  Disk disk_;
};

}  // namespace cohort

#endif  // COHORT_TESTS_SUPPORT_MEMORY_CHECKPOINTS_H_
