// RUN_DIR/journal: the scheduler's journal (scheduler/run_journal.h) as a file. An entry is with the operating system when
// Append returns: it outlives the process, not the host, whose death a run outlives by its checkpoints.
//
// The bytes: "CHRTJRN1", the header (what a restarted scheduler must know before it can read on), then entries; header and
// entries each as their length (uint32), their XXH3-64, and so many bytes. An entry: kind, `at` in ns, `next_id`, the text, the
// change (kind, server, host), then the frames of the message as it would be sent (docs/protocol.md).
#ifndef COHORT_LAUNCH_JOURNAL_FILE_H_
#define COHORT_LAUNCH_JOURNAL_FILE_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/status.h"
#include "scheduler/run_journal.h"

namespace cohort {

inline constexpr const char* kJournalFile = "journal";  // in RUN_DIR

struct JournalHeader {
  std::uint64_t run_id = 0;
  std::string endpoint;  // the scheduler's: its successors listen there too
  std::uint32_t servers = 0, workers = 0;
  std::string progress;    // of the checkpoint that the run began from (launch/checkpoints.h); empty: none
  std::string checkpoint;  // its folder
  std::uint32_t restarts = 0;
  std::uint64_t acknowledged = 0;  // as in RoleArguments
};

// One thread. The file is removed by whoever has no use for it any more.
class JournalFile : public RunJournal {
 public:
  static Result<std::unique_ptr<JournalFile>> Create(const std::string& path, const JournalHeader& header);
  // Goes on at JournalReader::place(), behind the entries that are whole: a torn one is cut off.
  static Result<std::unique_ptr<JournalFile>> Reopen(const std::string& path, std::uint64_t place);
  ~JournalFile() override;

  // After an error the file is no use: it is removed, and failure() says why.
  void Append(const JournalEntry& entry) override;
  const Status& failure() const { return failure_; }

 private:
  JournalFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  void Write(const std::string& bytes);

  const std::string path_;
  int descriptor_;
  Status failure_;
};

// Reads a journal front to back. What a dying process has written of its last entry ends it.
class JournalReader {
 public:
  static Result<JournalReader> Open(const std::string& path);
  const JournalHeader& header() const { return header_; }
  // False: that was the last one. Errors, kCorrupt: whole, but not what JournalFile writes.
  Result<bool> Next(JournalEntry* entry);
  std::uint64_t place() const { return place_; }  // bytes that have been read

 private:
  struct FileCloser {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  // The next length, checksum and bytes; nothing: the end, or torn.
  std::optional<std::string> NextRecord();

  std::string path_;
  std::unique_ptr<std::FILE, FileCloser> file_;
  JournalHeader header_;
  std::uint64_t size_ = 0, place_ = 0;
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_JOURNAL_FILE_H_
