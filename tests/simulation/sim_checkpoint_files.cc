#include "tests/simulation/sim_checkpoint_files.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "common/checkpoint_files.h"
#include "common/row_hash.h"

namespace cohort {
namespace {

// Bytes that stand for a part: its keys and values, and a number that no other part has, for its state.
std::string ImageOf(const MemoryCheckpoints::Part& part, std::uint64_t number) {
  std::string image(reinterpret_cast<const char*>(&number), sizeof(number));
  for (const auto& [table, rows] : part.rows) {
    for (const auto& [key, row] : rows) {
      image.append(reinterpret_cast<const char*>(&key), sizeof(key));
      image.append(reinterpret_cast<const char*>(row.values.data()), row.values.size() * sizeof(float));
    }
  }
  return image;
}

}  // namespace

// A file that appears as a whole, step by step.
class SimCheckpointFiles::AtomicFile {
 public:
  static constexpr int kSteps = 4;
  AtomicFile(std::string path, std::string bytes) : path_(std::move(path)), bytes_(std::move(bytes)) {}
  Status Take(int step, bool syncs, SimDisk* disk) const {
    switch (step) {
      case 0:
        return disk->Write(path_ + ".tmp", bytes_);
      case 1:
        return syncs ? disk->Sync(path_ + ".tmp") : Status();
      case 2:
        return disk->Rename(path_ + ".tmp", path_);
      default:
        return disk->SyncDirectory(path_.substr(0, path_.rfind('/')));
    }
  }
  Status TakeAll(SimDisk* disk) const {
    for (int step = 0; step < kSteps; ++step) COHORT_RETURN_IF_ERROR(Take(step, true, disk));
    return {};
  }

 private:
  std::string path_, bytes_;
};

// Copies rows as in memory, then takes the steps of a file, each of which needs time.
class SimCheckpointFiles::Writer : public CheckpointWriter {
 public:
  Writer(SimCheckpointFiles* files, const CheckpointPart& part)
      : files_(files), part_(part), rows_(files->memory_.Write(part)) {
    if (part.layers.empty()) return;
    const PartLayer& base = part.layers.back();
    files->memory_.parts[files->Folder(base.number)][part.shard] = files->contents_.at(base.checksum);
  }

  void Append(CopiedRows rows, TimePoint now) override {
    if (files_->bug_ == PlantedBug::kForgottenChange && !part_.layers.empty() && rows.positions.size() > 1) {
      rows.words.resize(rows.words.size() / rows.positions.size() * (rows.positions.size() - 1));
      rows.positions.pop_back();
      if (!rows.statistics.empty()) rows.statistics.pop_back();
    }
    rows_->Append(std::move(rows), now);
  }
  void Finish(ShardState state, TimePoint now) override { rows_->Finish(std::move(state), now); }
  bool HasRoom(TimePoint now) const override { return rows_->HasRoom(now); }
  TimePoint NextEvent() const override { return taken_ ? kNever : file_ ? next_step_ : rows_->NextEvent(); }

  std::optional<CheckpointDone> Take(TimePoint now) override {
    if (taken_ || (!file_ && !CopyRows(now))) return std::nullopt;
    while (outcome_.error.empty() && step_ < AtomicFile::kSteps && next_step_ <= now) {
      const Status status = file_->Take(step_++, files_->bug_ != PlantedBug::kMissingFsync, files_->disk_);
      if (!status.ok()) outcome_.error = status.text();
      next_step_ += files_->delay_();
    }
    if (outcome_.error.empty() && step_ < AtomicFile::kSteps) return std::nullopt;
    taken_ = true;
    return outcome_;
  }

 private:
  // Whether all rows are there, or will not be.
  bool CopyRows(TimePoint now) {
    auto copied = rows_->Take(now);
    if (!copied) return false;
    outcome_ = std::move(*copied);
    if (!outcome_.error.empty()) return true;
    if (!part_.layers.empty())
      files_->memory_.parts[files_->Folder(part_.layers.back().number)].erase(part_.shard);
    if (!files_->memory_.bug.empty() && files_->bug_ == PlantedBug::kNone)
      files_->violation_ = files_->memory_.bug;
    const std::string folder = files_->Folder(part_.number);
    auto part = files_->memory_.parts[folder].extract(part_.shard);
    std::string image = ImageOf(part.mapped(), ++files_->written_);
    outcome_.bytes = image.size();
    outcome_.checksum = ChecksumOf(image);
    files_->contents_[outcome_.checksum] = std::move(part.mapped());
    file_.emplace(folder + "/" + outcome_.file, std::move(image));
    next_step_ = now + files_->delay_();
    if (files_->bug_ == PlantedBug::kManifestBeforeData) {
      files_->late_.push_back(*file_);
      step_ = AtomicFile::kSteps;
    }
    return true;
  }

  SimCheckpointFiles* const files_;
  const CheckpointPart part_;
  const std::unique_ptr<CheckpointWriter> rows_;
  std::optional<AtomicFile> file_;
  int step_ = 0;
  bool taken_ = false;
  TimePoint next_step_{};
  CheckpointDone outcome_;
};

SimCheckpointFiles::SimCheckpointFiles(SimDisk* disk, std::string path, std::uint32_t keep,
                                       std::function<Duration()> delay, PlantedBug bug)
    : disk_(disk),
      path_(std::move(path)),
      keep_(keep),
      delay_(std::move(delay)),
      bug_(bug),
      memory_(MemoryCheckpoints::Disk{delay_}) {}

SimCheckpointFiles::~SimCheckpointFiles() = default;

SnapshotDone SimCheckpointFiles::Write(const std::string&, std::uint32_t shard,
                                       std::span<const EmbeddingTable* const>) {
  SnapshotDone done;
  done.file = "shard " + std::to_string(shard);
  return done;
}

Status SimCheckpointFiles::Load(const std::string&, const OwnedGroups&, std::span<EmbeddingTable* const>) {
  return {};
}

bool SimCheckpointFiles::HasCheckpoint(const std::string&, std::uint64_t number) {
  return disk_->Read(Folder(number) + "/manifest.json").has_value();
}

std::unique_ptr<CheckpointWriter> SimCheckpointFiles::WriteCheckpoint(const CheckpointPart& part) {
  for (const AtomicFile& file : std::exchange(late_, {})) (void)file.TakeAll(disk_);
  return std::make_unique<Writer>(this, part);
}

Result<std::vector<ShardState>> SimCheckpointFiles::Resume(const std::string& model_path,
                                                           const OwnedGroups& owned,
                                                           std::span<EmbeddingTable* const> tables) {
  std::uint64_t number = *CheckpointNumber(model_path.substr(path_.size() + 1));
  if (bug_ == PlantedBug::kStaleAfterFailover && owned.test(0)) {
    const std::set<std::uint64_t> numbers = Numbers();
    const auto found = numbers.find(number);
    if (found != numbers.begin() && ReadManifest(*std::prev(found))) number = *std::prev(found);
  }
  const auto manifest = ReadManifest(number);
  if (!manifest) return Error(ErrorCode::kCorrupt, model_path + ": no manifest");
  MemoryCheckpoints read;
  bool resharded = true;
  for (std::uint32_t shard = 0; shard < manifest->parts.size(); ++shard) {
    const auto bytes = disk_->Read(Folder(number) + "/" + manifest->parts[shard].name);
    const auto content = bytes ? contents_.find(ChecksumOf(*bytes)) : contents_.end();
    if (content == contents_.end()) return Error(ErrorCode::kCorrupt, model_path + ": a part is damaged");
    MemoryCheckpoints::Part& part = read.parts[model_path][shard] = content->second;
    resharded = resharded && part.state.groups != owned;
    if (bug_ != PlantedBug::kForgottenOptimizerSlot) continue;
    for (const EmbeddingTable* table : tables) {
      for (auto& [key, row] : part.rows[table->spec().id]) {
        if (row.values.size() > table->spec().dim) row.values.back() = 0;
      }
    }
  }
  const bool shifted = bug_ == PlantedBug::kWrongSlotAfterReshard && resharded;
  return read.Resume(model_path, shifted ? owned << 1 : owned, tables);
}

void SimCheckpointFiles::OnCheckpoint(const RunPosition& position, const std::vector<CheckpointDone>& parts,
                                      const std::string&) {
  std::ostringstream text;
  for (const CheckpointDone& part : parts)
    text << part.file << ' ' << part.bytes << ' ' << part.checksum << ' ';
  text << '\n' << ToJson(position) << '\n';
  const std::string body = text.str();
  const AtomicFile manifest(Folder(position.number) + "/manifest.json",
                            std::to_string(ChecksumOf(body)) + '\n' + body);
  promised_.erase(position.number);  // what was there has been written over
  if (!manifest.TakeAll(disk_).ok()) return;
  promised_.insert(position.number);
  // Too many are removed; what is newer is being written.
  std::uint32_t kept = 0;
  const std::set<std::uint64_t> numbers = Numbers();
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
    if (*number > position.number || (ReadManifest(*number) && kept++ < keep_)) continue;
    Remove(*number);
  }
}

std::optional<RunPosition> SimCheckpointFiles::GoOn() {
  std::optional<RunPosition> found;
  const std::set<std::uint64_t> numbers = Numbers();
  for (auto number = numbers.rbegin(); number != numbers.rend() && !found; ++number) {
    const auto manifest = ReadManifest(*number);
    if (manifest && Whole(*number, *manifest)) {
      found = manifest->position;
    } else if (disk_->Read(Folder(*number) + "/manifest.json")) {
      ++refused_;
    }
  }
  if (!promised_.empty() && (!found || found->number < *promised_.rbegin()))
    violation_ = "checkpoint " + std::to_string(*promised_.rbegin()) + " was written, and is lost";
  for (const std::uint64_t number : numbers) {
    if (found && number > found->number) Remove(number);
  }
  return found;
}

void SimCheckpointFiles::Rot() {
  const std::string path = disk_->Rot();
  if (path.empty() || path.ends_with(".tmp")) return;
  const std::string folder = path.substr(0, path.rfind('/'));
  promised_.erase(*CheckpointNumber(folder.substr(path_.size() + 1)));
}

std::string SimCheckpointFiles::Folder(std::uint64_t number) const { return CheckpointFolder(path_, number); }

std::optional<SimCheckpointFiles::Manifest> SimCheckpointFiles::ReadManifest(std::uint64_t number) const {
  const auto bytes = disk_->Read(Folder(number) + "/manifest.json");
  if (!bytes) return std::nullopt;
  const std::size_t end = bytes->find('\n');
  if (end == std::string::npos) return std::nullopt;
  const std::string body = bytes->substr(end + 1);
  if (bytes->substr(0, end) != std::to_string(ChecksumOf(body))) return std::nullopt;
  std::istringstream lines(body);
  std::string files, position;
  std::getline(lines, files);
  std::getline(lines, position);
  Manifest manifest{*PositionFromJson(position), {}};
  std::istringstream words(files);
  for (Manifest::File file; words >> file.name >> file.bytes >> file.checksum;)
    manifest.parts.push_back(file);
  return manifest;
}

bool SimCheckpointFiles::Whole(std::uint64_t number, const Manifest& manifest) const {
  return std::all_of(manifest.parts.begin(), manifest.parts.end(), [&](const Manifest::File& file) {
    const auto bytes = disk_->Read(Folder(number) + "/" + file.name);
    return bytes && bytes->size() == file.bytes && ChecksumOf(*bytes) == file.checksum;
  });
}

std::set<std::uint64_t> SimCheckpointFiles::Numbers() const {
  std::set<std::uint64_t> numbers;
  for (const std::string& path : disk_->List()) {
    const std::string folder = path.substr(0, path.rfind('/'));
    numbers.insert(*CheckpointNumber(folder.substr(path_.size() + 1)));
  }
  return numbers;
}

void SimCheckpointFiles::Remove(std::uint64_t number) {
  promised_.erase(number);
  (void)disk_->Remove(Folder(number) + "/manifest.json");
  for (const std::string& path : disk_->List()) {
    if (path.starts_with(Folder(number) + "/")) (void)disk_->Remove(path);
  }
}

}  // namespace cohort
