#include "launch/erasure.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/atomic_file.h"
#include "common/config.h"
#include "common/hdf5_file.h"
#include "common/model_files.h"
#include "launch/checkpoints.h"
#include "launch/journal_file.h"
#include "launch/reshard.h"
#include "launch/run_folder.h"
#include "launch/user_logs.h"
#include "lifecycle/dataset_without_users.h"
#include "lifecycle/shop_records_file.h"
#include "lifecycle/shop_schema.h"
#include "prepare/csv_reader.h"
#include "prepare/schema.h"
#include "worker/model/model.h"

namespace cohort {
namespace {

namespace fs = std::filesystem;

// What is written beside a dataset or a model and then takes its place; or what has been there, on its way out.
constexpr const char* kNewSuffix = ".erasing";

std::string Now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

// Swaps what two names of one directory stand for: at every instant both are there. The names then lie on the disk.
Status Exchange(const std::string& path, const std::string& other) {
  if (::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) != 0)
    return {ErrorCode::kIo, path + ": cannot take the place of " + other + ": " + std::strerror(errno)};
  return SyncDirectory(DirectoryOf(path));
}

// The regular files below a folder, in the order of their names.
Result<std::vector<std::string>> FilesBelow(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_regular_file(error)) files.push_back(entry->path().string());
  }
  if (error) return InvalidInput(folder + ": cannot be read: " + error.message());
  std::sort(files.begin(), files.end());
  return files;
}

// Whether a run can go on from the checkpoint with the dataset: its dense network has the same inputs (a feature that was missing for
// erased users only is never missing now; equal edges of bins fall together), and the place is one in the train split.
Result<bool> FitsDataset(const ModelManifest& manifest, const std::string& folder, const DatasetInfo& info) {
  COHORT_ASSIGN_OR_RETURN(const RunProgress progress, RunProgressFromJson(manifest.checkpoint, folder));
  COHORT_ASSIGN_OR_RETURN(const RunConfig config, ParseRunConfig(manifest.run_config, folder, ""));
  COHORT_ASSIGN_OR_RETURN(const ModelSpec spec, BuildModelSpec(config, info));
  for (const TableSpec& table : TablesOf(spec, config)) {
    const auto same = [&](const TableSpec& other) {
      return other.id == table.id && other.dim == table.dim && other.row_count == table.row_count;
    };
    if (std::none_of(manifest.tables.begin(), manifest.tables.end(), same)) return false;
  }
  const std::uint64_t rows = info.rows[static_cast<std::size_t>(Split::kTrain)];
  const RunPosition& position = progress.position;
  for (const LeaseRecord& lease : position.leases.records) {
    if (lease.first_row + lease.rows > rows) return false;
  }
  if (config.train.consistency != Consistency::kBsp) return true;
  const auto done = position.number - static_cast<std::uint64_t>(position.first_clock);
  return done < (rows + config.train.batch_size - 1) / config.train.batch_size;
}

// The users' pseudonyms too, where there is a key of them: the logs have the ids, and what is made of them has these.
Status NamePseudonyms(const std::string& user_key, ErasedUsers::Users* users) {
  if (user_key.empty()) return {};
  COHORT_ASSIGN_OR_RETURN(const SecretKey key, SecretKey::Read(user_key));
  ErasedUsers::Users pseudonyms;
  for (const std::string& user : *users) pseudonyms.insert(ToHex(key.Digest(user)));
  users->merge(pseudonyms);
  return {};
}

class Erasure {
 public:
  Erasure(const ErasureOptions& options, const ShopSchema& schema, SecretKey secret)
      : options_(options),
        schema_(schema),
        users_(std::move(secret), options.users),
        data_(AbsolutePath(options.data)) {}

  Result<ErasureReceipt> Run() {
    COHORT_RETURN_IF_ERROR(Begin());
    for (const std::string& run : receipt_.runs) COHORT_RETURN_IF_ERROR(EraseRun(run));
    for (const std::string& file : options_.files)
      COHORT_RETURN_IF_ERROR(EraseFile(AbsolutePath(file), /*of_run=*/false));
    if (options_.logs) COHORT_RETURN_IF_ERROR(EraseLogs());
    std::uint64_t rows = 0;
    for (const std::uint64_t each : change_.rows_gone) rows += each;
    COHORT_RETURN_IF_ERROR(AtomicRename(new_data_, data_));
    COHORT_RETURN_IF_ERROR(Removed(data_, "dataset", rows));
    return Finish();
  }
  // The new dataset, if it has not taken the old one's place.
  ~Erasure() {
    std::error_code ignored;
    if (!new_data_.empty()) fs::remove(new_data_, ignored);
  }

 private:
  void Progress(const std::string& line) const {
    if (options_.progress) options_.progress(line);
  }

  // Everything that can be refused is, and the receipt written, before anything is changed.
  Status Begin() {
    COHORT_ASSIGN_OR_RETURN(logs_, UserLogs(schema_));
    if (!schema_.user_key.empty()) receipt_.user_key = AbsolutePath(schema_.user_key);
    for (const std::string& run : options_.runs) {
      COHORT_ASSIGN_OR_RETURN(RunFolder folder, RunFolder::Reopen(run));
      receipt_.runs.push_back(folder.path());
      folders_.push_back(std::move(folder));
    }
    for (const std::string& file : options_.files) {
      std::error_code error;
      // A file that was removed as a whole before an interruption is no longer there.
      if (!fs::is_regular_file(file, error) && !fs::exists(options_.receipt, error))
        return {ErrorCode::kInvalidInput, file + ": no such file"};
    }
    Progress("preparing the dataset without them");
    PrepareOptions prepare;
    prepare.schema = options_.shop;
    prepare.data_directory = options_.data_directory;
    prepare.output = data_ + kNewSuffix;
    prepare.overwrite = true;
    new_data_ = prepare.output;
    COHORT_ASSIGN_OR_RETURN(change_, PrepareWithoutUsers(prepare, options_.users, data_));
    for (const Key key : change_.keys_gone) users_.AddKey(key);
    // Their own, where an id is a value.
    for (const FeatureInfo& feature : change_.before.features) {
      if (feature.type != FeatureType::kCategorical && feature.type != FeatureType::kBag) continue;
      const FeatureKeys keys(feature.vocabulary.empty() ? feature.name : feature.vocabulary);
      for (const std::string& user : options_.users) users_.AddKey(keys.Category(user));
    }
    receipt_.users = users_.UserDigests();
    COHORT_RETURN_IF_ERROR(GoOn());
    COHORT_RETURN_IF_ERROR(CheckForgotten());
    for (const std::uint64_t rows : change_.rows) receipt_.rows += rows;
    if (receipt_.changed.empty())
      receipt_.rows_changed = change_.rows_changed, receipt_.changed = change_.changed;
    receipt_.keys = users_.KeyDigests();
    return Write();
  }

  // With a receipt that has begun: its keys may be in no dataset any more.
  Status GoOn() {
    std::error_code error;
    if (!fs::exists(options_.receipt, error)) {
      const bool known =
          std::any_of(change_.rows_gone.begin(), change_.rows_gone.end(), [](auto n) { return n > 0; }) ||
          change_.records_left_out > 0;
      if (known) return {};
      return {ErrorCode::kInvalidInput, "neither " + options_.data + " nor the logs of " + options_.shop +
                                            " know any of these users; are the ids written as there?"};
    }
    COHORT_ASSIGN_OR_RETURN(const ErasureReceipt begun,
                            ReadErasureReceipt(options_.receipt, users_.secret()));
    if (begun.done)
      return {ErrorCode::kInvalidInput, options_.receipt + " is a receipt already; choose another file"};
    if (begun.users != receipt_.users)
      return {ErrorCode::kInvalidInput,
              options_.receipt +
                  " was begun for other users; finish that with the same words, or choose another file"};
    for (const Hash128& key : begun.keys) users_.AddKeyDigest(key);
    receipt_.removed = begun.removed;
    receipt_.rows_changed = begun.rows_changed;
    receipt_.changed = begun.changed;
    receipt_.resumable = begun.resumable, receipt_.not_resumable = begun.not_resumable;
    return {};
  }

  // There is no records file with the users that was not named.
  Status CheckForgotten() const {
    std::error_code error;
    std::set<std::string> named;
    for (const std::string& file : options_.files) named.insert(AbsolutePath(file));
    for (const std::string& folder : {DirectoryOf(AbsolutePath(options_.shop)), DirectoryOf(data_)}) {
      for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        const std::string path = AbsolutePath(entry->path().string());
        if (!entry->is_regular_file(error) || named.contains(path) || !ShopRecordsReader::IsRecordsFile(path))
          continue;
        Progress("searching " + path);
        COHORT_ASSIGN_OR_RETURN(const UserTraces found, users_.Search(path));
        if (!found.none())
          return {ErrorCode::kInvalidInput, path +
                                                ": holds records of the users for `cohort prepare --since`; "
                                                "name it too, with --file: it is removed, and the next night "
                                                "reads all logs once"};
      }
    }
    return {};
  }

  Status Write() {
    receipt_.made_at = Now();
    return WriteFileAtomically(options_.receipt, ToJson(receipt_, users_.secret()));
  }
  Status Removed(const std::string& path, const std::string& kind, std::uint64_t count) {
    if (count == 0) return {};
    receipt_.removed.push_back({path, kind, count});
    return Write();
  }

  Status EraseRun(const std::string& run) {
    std::error_code error;
    std::vector<std::string> folders = {run};  // of models, as far as they have a manifest
    std::vector<std::string> leftovers;        // of an erasure that was interrupted
    for (fs::recursive_directory_iterator entry(run, error), end; !error && entry != end;
         entry.increment(error)) {
      if (!entry->is_directory(error)) continue;
      if (entry->path().string().ends_with(kNewSuffix)) {
        entry.disable_recursion_pending();
        leftovers.push_back(entry->path().string());
      } else {
        folders.push_back(entry->path().string());
      }
    }
    if (error) return {ErrorCode::kIo, run + ": cannot be read: " + error.message()};
    for (const std::string& folder : leftovers) {
      fs::remove_all(folder, error);
      if (error) return {ErrorCode::kIo, folder + ": cannot be removed: " + error.message()};
    }
    std::sort(folders.begin(), folders.end());
    for (const std::string& folder : folders) {
      if (fs::exists(folder + "/" + kManifestFile, error)) COHORT_RETURN_IF_ERROR(EraseModel(folder));
    }
    COHORT_ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesBelow(run));
    for (const std::string& file : files) {
      // A model's own files have been dealt with.
      if (fs::exists(DirectoryOf(file) + "/" + kManifestFile, error) && !file.ends_with(".tmp") &&
          (file.ends_with(".h5") || file.ends_with(kManifestFile)))
        continue;
      COHORT_RETURN_IF_ERROR(EraseFile(file, /*of_run=*/true));
    }
    return {};
  }

  Status EraseModel(const std::string& folder) {
    COHORT_ASSIGN_OR_RETURN(ModelManifest manifest, ReadModelManifest(folder));
    std::uint64_t traces = 0;
    for (const ModelPart& part : manifest.parts) {
      std::vector<std::string> files = {part.file};
      for (const ModelLayer& layer : part.layers) files.push_back(layer.file);
      for (const std::string& file : files) {
        Progress("searching " + folder + "/" + file);
        COHORT_ASSIGN_OR_RETURN(const UserTraces found, users_.Search(folder + "/" + file));
        traces += found.keys + found.words;
      }
    }
    const std::string out = folder + kNewSuffix;
    std::uint64_t rows = 0;
    if (traces > 0) {
      COHORT_ASSIGN_OR_RETURN(manifest, WriteWithoutKeys(
                                            folder, [&](Key key) { return users_.IsKey(key); }, out, &rows,
                                            [&](std::uint64_t done, std::uint64_t total) {
                                              Progress("writing " + folder + ": " + std::to_string(done) +
                                                       " of " + std::to_string(total) + " rows");
                                            }));
    }
    // A checkpoint is of a dataset: of the new one from now on.
    const bool checkpoint = !manifest.checkpoint.empty();
    if (checkpoint &&
        nlohmann::json::parse(manifest.dataset_info) == nlohmann::json::parse(ToJson(change_.before)) &&
        ToJson(change_.before) != ToJson(change_.after)) {
      COHORT_ASSIGN_OR_RETURN(const bool fits, FitsDataset(manifest, folder, change_.after));
      ++(fits ? receipt_.resumable : receipt_.not_resumable);
      if (fits) {
        manifest.dataset_info = ToJson(change_.after);
        COHORT_RETURN_IF_ERROR(WriteModelManifest(traces > 0 ? out : folder, manifest));
      }
    }
    if (traces == 0) return {};
    COHORT_RETURN_IF_ERROR(Exchange(folder, out));
    std::error_code error;
    fs::remove_all(out, error);
    if (error) return {ErrorCode::kIo, out + ": cannot be removed: " + error.message()};
    return Removed(folder, checkpoint ? "checkpoint" : "model", rows);
  }

  Status EraseFile(const std::string& path, bool of_run) {
    std::error_code error;
    if (!fs::exists(path, error)) return {};  // removed before an interruption
    Progress("searching " + path);
    COHORT_ASSIGN_OR_RETURN(UserTraces found, users_.Search(path));
    if (found.none()) return {};
    // It says what the logs hold: without some users it would say what they do not.
    if (ShopRecordsReader::IsRecordsFile(path)) return RemoveWhole(path);
    const std::string name = fs::path(path).filename().string();
    if (path.ends_with(".h5")) {
      COHORT_ASSIGN_OR_RETURN(const std::uint64_t rows, EraseScores(path));
      if (rows > 0) return Removed(path, "results", rows);
    } else if (found.cells > 0) {
      COHORT_RETURN_IF_ERROR(CutRecords(path, *ErasedUsers::ColumnOf(path), "results"));
      COHORT_ASSIGN_OR_RETURN(found, users_.Search(path));
      if (found.none()) return {};
    }
    if (!of_run) return {};  // it is the user's; the last search says where
    // Of no use any more: a part of a checkpoint that never became one, a file that was never finished, a run's journal.
    const bool dataset = path.ends_with(".h5") && found.cells > 0;
    if ((path.ends_with(".h5") && !dataset) || path.ends_with(".tmp") || name == kJournalFile) {
      return RemoveWhole(path);
    }
    if (path.ends_with(".txt") || path.ends_with(".jsonl") || path.ends_with(".md")) {
      COHORT_ASSIGN_OR_RETURN(const std::vector<ByteRange> lines, users_.Lines(path));
      if (lines.empty()) return {};
      COHORT_RETURN_IF_ERROR(CutFile(path, lines));
      return Removed(path, "text", lines.size());
    }
    return {};
  }

  Status RemoveWhole(const std::string& path) {
    std::error_code error;
    const fs::path file = fs::canonical(path, error);  // not the link to it
    if (error || !fs::remove(file, error))
      return {ErrorCode::kIo, path + ": cannot be removed: " + error.message()};
    return Removed(path, "leftover", 1);
  }

  Status CutRecords(const std::string& path, const UserColumn& column, const std::string& kind) {
    COHORT_ASSIGN_OR_RETURN(const std::vector<ByteRange> records, users_.Records(path, column));
    if (records.empty()) return {};
    COHORT_RETURN_IF_ERROR(CutFile(path, records));
    return Removed(path, kind, records.size());
  }

  // Rows of a score file (scheduler/score_writer.h); 0: it is none, or has none of them.
  Result<std::uint64_t> EraseScores(const std::string& path) {
    COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Hdf5Reader> reader, Hdf5Reader::Open(path));
    if (!reader->Has("id") || !reader->Has("scores")) return 0;
    COHORT_ASSIGN_OR_RETURN(const Hdf5Shape shape, reader->Shape("id"));
    if (shape.type != Hdf5Type::kText) return 0;
    COHORT_ASSIGN_OR_RETURN(const std::vector<std::string> ids, reader->ReadText("id", 0, shape.rows()));
    std::vector<std::string> kept;
    for (const std::string& id : ids) {
      if (!users_.IsUser(id)) kept.push_back(id);
    }
    if (kept.size() == ids.size()) return 0;
    COHORT_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
    COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<Hdf5Writer> writer,
                            Hdf5Writer::Create(file.temporary_path()));
    constexpr std::uint64_t kChunkRows = 4096;
    COHORT_RETURN_IF_ERROR(writer->CreateExtendableText("id", kChunkRows));
    COHORT_RETURN_IF_ERROR(writer->AppendText("id", kept));
    COHORT_ASSIGN_OR_RETURN(const std::vector<std::string> tasks, reader->List("scores"));
    for (const std::string& task : tasks) {
      const std::string name = "scores/" + task;
      COHORT_ASSIGN_OR_RETURN(const Hdf5Shape of, reader->CheckedShape(name, Hdf5Type::kFloat32));
      COHORT_ASSIGN_OR_RETURN(const std::vector<float> values, reader->ReadAll<float>(name));
      const std::uint64_t width = of.columns();
      if (of.rows() != ids.size() || of.dims.size() != 2)
        return Error(ErrorCode::kCorrupt,
                     path + ": " + name + ": not a row for each of " + std::to_string(ids.size()) + " ids");
      std::vector<float> rows;
      for (std::size_t row = 0; row < ids.size(); ++row) {
        if (users_.IsUser(ids[row])) continue;
        const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * width);
        rows.insert(rows.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
      }
      COHORT_RETURN_IF_ERROR(writer->CreateExtendable<float>(name, width, kChunkRows));
      COHORT_RETURN_IF_ERROR(writer->Append<float>(name, rows));
    }
    COHORT_RETURN_IF_ERROR(writer->Close());
    COHORT_RETURN_IF_ERROR(file.Commit());
    return ids.size() - kept.size();
  }

  Status EraseLogs() {
    for (const auto& [path, column] : logs_) {
      Progress("searching " + path);
      COHORT_RETURN_IF_ERROR(CutRecords(path, column, "log"));
    }
    return {};
  }

  Status SearchFile(const std::string& path, const std::optional<UserColumn>& column) {
    Progress("searching " + path);
    SearchedFile file{path, 0, 0, column, {}};
    std::error_code error;
    if (!fs::exists(
            path, error)) {  // it was removed as a whole, and may be there again when the receipt is verified
      receipt_.searched.push_back(std::move(file));
      return {};
    }
    COHORT_ASSIGN_OR_RETURN(file.traces, users_.Search(path, column));
    COHORT_ASSIGN_OR_RETURN(const FileChecksum checksum, ChecksumOfFile(path));
    file.bytes = checksum.bytes, file.checksum = checksum.checksum;
    receipt_.searched.push_back(std::move(file));
    return {};
  }

  Result<ErasureReceipt> Finish() {
    COHORT_RETURN_IF_ERROR(SearchFile(data_, std::nullopt));
    for (const std::string& run : receipt_.runs) {
      COHORT_ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesBelow(run));
      for (const std::string& file : files) COHORT_RETURN_IF_ERROR(SearchFile(file, std::nullopt));
    }
    for (const std::string& file : options_.files)
      COHORT_RETURN_IF_ERROR(SearchFile(AbsolutePath(file), std::nullopt));
    if (options_.logs) {
      for (const auto& [path, column] : logs_) COHORT_RETURN_IF_ERROR(SearchFile(path, column));
    }
    receipt_.done = true;
    Remains();
    COHORT_RETURN_IF_ERROR(Write());
    return receipt_;
  }

  void Remains() {
    std::vector<std::string>& remains = receipt_.remains;
    if (!receipt_.runs.empty()) {
      remains.push_back(
          "the dense weights of models and checkpoints, and embedding rows of values that other users have "
          "too: they were "
          "trained on the users' rows among all others");
      remains.push_back(
          "in descriptions of models: means, deviations, edges of bins and counts over all rows that they "
          "were trained on; in "
          "checkpoints of tables that admit by count: sketches of how often keys were seen");
      remains.push_back(
          "metrics and evaluations of the runs, as sums over all rows; result.json has the hash of the model "
          "as it was");
    }
    remains.push_back(
        "other users' results are as they were made, with item statistics that the users had entered: make "
        "them again");
    if (!options_.logs && change_.records_left_out > 0)
      remains.push_back(
          std::to_string(change_.records_left_out) +
          " records of the users in the logs: give --logs, or the next `cohort prepare` has them again");
    if (!users_.AllAreWords())
      remains.push_back("ids that are numbers or shorter than " +
                        std::to_string(ErasedUsers::kLeastWordBytes) +
                        " bytes were searched for as cells and ids, not as words of texts");
    remains.push_back("copies and backups that were not named");
  }

  const ErasureOptions& options_;
  const ShopSchema& schema_;
  ErasedUsers users_;
  const std::string data_;
  std::string new_data_;
  std::map<std::string, UserColumn> logs_;
  std::vector<RunFolder> folders_;  // held until the end
  DatasetChange change_;
  ErasureReceipt receipt_;
};

}  // namespace

Result<ErasureReceipt> Erase(const ErasureOptions& options) {
  if (options.users.empty()) return InvalidInput("no users to erase: give --user or --user-file");
  COHORT_ASSIGN_OR_RETURN(const ShopSchema schema, LoadShopSchema(options.shop, options.data_directory));
  ErasureOptions named = options;
  COHORT_RETURN_IF_ERROR(NamePseudonyms(schema.user_key, &named.users));
  COHORT_ASSIGN_OR_RETURN(SecretKey secret, SecretKey::ReadOrMake(options.key));
  return Erasure(named, schema, std::move(secret)).Run();
}

Result<ErasureCheck> CheckErasure(const std::string& path, const std::string& key,
                                  const ErasedUsers::Users& users,
                                  const std::function<void(const std::string&)>& progress) {
  COHORT_ASSIGN_OR_RETURN(SecretKey secret, SecretKey::Read(key));
  COHORT_ASSIGN_OR_RETURN(const ErasureReceipt receipt, ReadErasureReceipt(path, secret));
  if (!receipt.done)
    return InvalidInput(path + ": the erasure has begun and is not done: call it again with the same words");
  ErasedUsers::Users named = users;
  COHORT_RETURN_IF_ERROR(NamePseudonyms(receipt.user_key, &named));
  ErasedUsers erased(std::move(secret), std::move(named));
  if (erased.UserDigests() != receipt.users)
    return InvalidInput(path + ": is a receipt for other users than those given; expected " +
                        std::to_string(receipt.users.size() / (receipt.user_key.empty() ? 1 : 2)));
  for (const Hash128& digest : receipt.keys) erased.AddKeyDigest(digest);
  std::map<std::string, const SearchedFile*> files;
  for (const SearchedFile& file : receipt.searched) files[file.path] = &file;
  ErasureCheck check;
  for (const std::string& run : receipt.runs) {
    std::error_code error;
    if (!fs::exists(run, error)) continue;
    COHORT_ASSIGN_OR_RETURN(const std::vector<std::string> below, FilesBelow(run));
    for (const std::string& file : below) files.try_emplace(file, nullptr);
  }
  for (const auto& [file, before] : files) {
    std::error_code error;
    if (!fs::exists(file, error)) {
      ++check.missing;
      continue;
    }
    if (progress) progress("searching " + file);
    SearchedFile now{file, 0, 0, before != nullptr ? before->column : std::nullopt, {}};
    COHORT_ASSIGN_OR_RETURN(now.traces, erased.Search(file, now.column));
    COHORT_ASSIGN_OR_RETURN(const FileChecksum checksum, ChecksumOfFile(file));
    ++check.files;
    check.bytes += now.traces.bytes;
    if (before == nullptr || before->checksum != checksum.checksum || before->bytes != checksum.bytes)
      ++check.changed;
    if (!now.traces.none()) check.left.push_back(std::move(now));
  }
  return check;
}

}  // namespace cohort
