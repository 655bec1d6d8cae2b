// Files that appear under their final name complete or not at all: write FINAL.tmp, close, fsync, rename,
// fsync the directory. A kill at any point leaves the old file, or none, under the final name.
#ifndef COHORT_COMMON_ATOMIC_FILE_H_
#define COHORT_COMMON_ATOMIC_FILE_H_

#include <string>
#include <string_view>
#include <utility>

#include "common/status.h"

namespace cohort {

// Forces a file's bytes, or a directory's entries, to the disk.
Status SyncFile(const std::string& path);
Status SyncDirectory(const std::string& path);
// fsync(temporary), rename over `final_path`, fsync of its directory. Both lie in the same directory.
Status AtomicRename(const std::string& temporary, const std::string& final_path);
// The directory part of a path: "." when it has none.
std::string DirectoryOf(const std::string& path);
// The file that a path means, through symbolic links; it need not be there. kInvalidInput: they lead round in a circle.
Result<std::string> FileBehind(const std::string& path);

// Holds FINAL.tmp while something writes to it. The file is created (or emptied, if a killed process has left it) and locked against
// a second writer; without Commit the destructor removes it. A symbolic link stays, and the file that it names is FINAL. Move-only;
// one thread.
class AtomicFile {
 public:
  static Result<AtomicFile> Create(const std::string& final_path);
  AtomicFile(AtomicFile&& other) noexcept { *this = std::move(other); }
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile();

  const std::string& temporary_path() const { return temporary_path_; }
  const std::string& final_path() const { return final_path_; }
  // Asks the system to begin writing to the disk what has been written to the file, and waits for none of it.
  void StartWriteback() const;
  // REQUIRES: whoever wrote to temporary_path() has closed it. At most once.
  Status Commit();

 private:
  AtomicFile() = default;
  void Abandon();

  std::string temporary_path_;
  std::string final_path_;
  int descriptor_ = -1;  // holds the lock
};

enum class FileReaders { kAsUsual, kOwner };  // whom the file lets read it: the umask's, or its owner alone
// Writes a small file as a whole.
Status WriteFileAtomically(const std::string& path, std::string_view content,
                           FileReaders readers = FileReaders::kAsUsual);
// Reads a file as a whole; larger than `limit` bytes is an error. Errors: OpenInput's (input_file.h).
Result<std::string> ReadFile(const std::string& path, std::size_t limit = std::size_t{1} << 30);
// Reads the first line of a file that holds a key. kInvalidInput: it is not there, or others than its owner may read or write it.
Result<std::string> ReadKeyFile(const std::string& path);

}  // namespace cohort

#endif  // COHORT_COMMON_ATOMIC_FILE_H_
