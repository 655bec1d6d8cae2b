#include "lifecycle/prepare_shop.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <memory>
#include <utility>

#include "common/atomic_file.h"
#include "common/check.h"
#include "common/input_file.h"
#include "common/row_hash.h"
#include "common/secret_key.h"
#include "lifecycle/logs_since.h"
#include "lifecycle/shop_parts.h"
#include "lifecycle/shop_reader.h"
#include "lifecycle/shop_records_file.h"
#include "lifecycle/shop_rows.h"
#include "lifecycle/shop_schema.h"
#include "prepare/dataset_sink.h"
#include "prepare/row_builder.h"

namespace cohort {
namespace {

std::vector<std::string> InputsOf(const ShopSchema& schema) {
  std::vector<std::string> inputs = schema.events.files;
  const auto add = [&](const auto& section) {
    if (section) inputs.insert(inputs.end(), section->files.begin(), section->files.end());
  };
  add(schema.users);
  add(schema.items);
  add(schema.campaigns);
  return inputs;
}

Status CheckRows(const PrepareOptions& options, const PrepareReport& report) {
  if (report.info.rows[static_cast<std::size_t>(Split::kTrain)] == 0) {
    return {ErrorCode::kInvalidInput,
            options.schema +
                ": no row to train on: no user has an event before a train snapshot and a label that is "
                "known before the test snapshot; check [snapshots], and the times and kinds of the events"};
  }
  for (const TaskInfo& task : report.info.tasks) {
    if (task.labelled > 0) continue;
    return {ErrorCode::kInvalidInput,
            options.schema + ": task \"" + task.name +
                "\" has no label in any training row: no user is in its stage at a train "
                "snapshot; move the snapshots or leave the label out"};
  }
  return {};
}

}  // namespace

Result<PrepareReport> PrepareShop(const PrepareOptions& options, LifecycleCounts* counts,
                                  Partitions* partitions,
                                  const std::set<std::string, std::less<>>& without) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu_start = std::clock();
  COHORT_ASSIGN_OR_RETURN(const ShopSchema schema, LoadShopSchema(options.schema, options.data_directory));
  std::vector<std::string> inputs = InputsOf(schema);
  std::uint64_t total_bytes = 0;
  for (const std::string& path : inputs) {
    struct stat found {};
    if (::stat(path.c_str(), &found) == 0) total_bytes += static_cast<std::uint64_t>(found.st_size);
  }
  inputs.push_back(options.schema);
  COHORT_RETURN_IF_ERROR(CheckOutput(options.output, options.overwrite, inputs));
  if (counts != nullptr) COHORT_RETURN_IF_ERROR(CheckOutput(options.report, options.overwrite, inputs));

  if (!options.since.empty()) {
    COHORT_CHECK(without.empty(), "records of users who are left out would be kept, or known");
    const auto same = [&](const std::string& other) {
      std::error_code ignored;
      const auto whole = [&](const std::string& path) {
        return std::filesystem::absolute(path, ignored).lexically_normal();
      };
      return whole(options.since) == whole(other);
    };
    if (same(options.output) || (counts != nullptr && same(options.report)))
      return InvalidInput(options.since +
                          ": is named as what to write already; --since needs a file of its own");
    COHORT_RETURN_IF_ERROR(CheckOutput(options.since, /*overwrite=*/true, inputs));
  }

  PrepareReport report;
  report.passes = counts == nullptr ? 3 : 4;
  FindingLog log(options.strict);
  ShopRows rows(schema, &log, DirectoryOf(options.output));
  ShopReader reader(schema, &rows, &log, [&](std::uint64_t bytes, std::uint64_t records) {
    if (options.progress) options.progress({1, report.passes, bytes, total_bytes, records});
  });
  reader.LeaveOut(without);
  // Of the passes over the partitions, progress is a share of them.
  const auto progress = [&](int pass) {
    return [&, pass](std::size_t done) {
      if (options.progress)
        options.progress(
            {pass, report.passes, total_bytes * done / EventStore::kPartitions, total_bytes, report.records});
    };
  };
  // Of the process that reads.
  std::unique_ptr<DatasetSink> sink;
  std::unique_ptr<LogsSince> since;
  std::unique_ptr<ShopRecordsWriter> records;
  const auto read = [&]() -> Status {
    if (!schema.user_key.empty()) {
      COHORT_ASSIGN_OR_RETURN([[maybe_unused]] const SecretKey key, SecretKey::ReadOrMake(schema.user_key));
    }
    COHORT_ASSIGN_OR_RETURN(sink, DatasetSink::Create(options.output, rows.info(), rows.features().bins()));
    if (!options.since.empty()) {
      COHORT_ASSIGN_OR_RETURN(since, LogsSince::Look(schema, options.since));
      COHORT_ASSIGN_OR_RETURN(records, ShopRecordsWriter::Create(options.since));
      rows.Continue(since->former(), records.get());
      reader.Continue(since.get());
    }
    COHORT_RETURN_IF_ERROR(reader.Read());
    report.records = reader.records();
    report.input_bytes = reader.bytes();
    COHORT_RETURN_IF_ERROR(rows.Clean(progress(2)));
    if (!since) return {};
    ShopRecordsHead head = since->Head();
    head.items = rows.TakeItemIds();
    return records->Finish(std::move(head));
  };
  if (partitions == nullptr) {
    COHORT_RETURN_IF_ERROR(read());
    const auto split_of = [&](std::size_t snapshot) { return schema.snapshots[snapshot].split; };
    COHORT_RETURN_IF_ERROR(
        rows.Write({[&](std::size_t snapshot) -> RowBlock& { return sink->block(split_of(snapshot)); },
                    [&](std::size_t snapshot) { return sink->RowAdded(split_of(snapshot)); }},
                   progress(3)));
  } else {
    COHORT_ASSIGN_OR_RETURN(const FileChecksum description, ChecksumOfFile(options.schema));
    const ShopParts parts{.schema = schema,
                          .schema_checksum = description.checksum,
                          .rows = rows,
                          .read = read,
                          .take = [&](const RowPart& part) { return sink->Append(part); }};
    COHORT_RETURN_IF_ERROR(parts.Write(*partitions));
  }
  COHORT_RETURN_IF_ERROR(sink->Measure(&report));
  if (const std::uint64_t unlabelled = rows.written().unlabelled; unlabelled > 0)
    log.AddIntended(FindingKind::kNoLabel, "", unlabelled);
  report.findings = log.Take();
  report.counts = rows.counts();
  if (!without.empty())
    report.counts.push_back(
        {"records_left_out", "records of users who are left out", reader.records_left_out()});
  if (since) {
    report.since = since->Report();
    if (!since->why_anew().empty())
      report.warnings.push_back("all logs were read anew: " + since->why_anew());
  }
  COHORT_RETURN_IF_ERROR(CheckRows(options, report));
  for (const Snapshot& snapshot : schema.snapshots) {
    if (snapshot.split == Split::kValid && report.info.rows[static_cast<std::size_t>(Split::kValid)] == 0)
      report.warnings.push_back("the valid split is empty");
  }
  if (report.info.rows[static_cast<std::size_t>(Split::kTest)] == 0)
    report.warnings.push_back("the test split is empty");
  for (const TaskInfo& task : report.tasks[static_cast<std::size_t>(Split::kTest)]) {
    if (task.labelled == 0 && report.info.rows[static_cast<std::size_t>(Split::kTest)] > 0)
      report.warnings.push_back("task \"" + task.name +
                                "\" has no label in any test row: events are known until " +
                                TimeText(rows.end()));
  }
  if (counts != nullptr) {
    COHORT_ASSIGN_OR_RETURN(*counts,
                            CountLifecycles(schema, rows, LifeStageRule::Of(report.info), progress(4)));
  }
  COHORT_RETURN_IF_ERROR(sink->Finish(rows.Names(), &report));
  if (records) COHORT_RETURN_IF_ERROR(records->Commit());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.cpu_seconds = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
  return report;
}

}  // namespace cohort
