#include "common/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "common/check.h"
#include "common/fault_point.h"
#include "common/input_file.h"

namespace cohort {
namespace {

Status SystemError(const std::string& path, const char* what) {
  return {ErrorCode::kIo, path + ": cannot " + what + ": " + std::strerror(errno)};
}

Status Sync(const std::string& path, int flags) {
  int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  if (descriptor < 0) return SystemError(path, "open for fsync");
  // Some file systems (FUSE, network) have no fsync for directories; they say EINVAL and there is no more to
  // do.
  bool failed = ::fsync(descriptor) != 0 && errno != EINVAL;
  Status status = failed ? SystemError(path, "fsync") : Status();
  ::close(descriptor);
  return status;
}

}  // namespace

std::string DirectoryOf(const std::string& path) {
  std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<std::string> FileBehind(const std::string& path) {
  constexpr int kMostLinks = 40;  // as many as the kernel follows
  std::error_code error;
  std::filesystem::path file = path;
  for (int links = 0; std::filesystem::is_symlink(file, error); ++links) {
    if (links == kMostLinks)
      return InvalidInput(path + ": its symbolic links lead round in a circle; expected the name of a file");
    file = file.parent_path() / std::filesystem::read_symlink(file, error);
  }
  return file.string();
}

Status SyncFile(const std::string& path) { return Sync(path, O_RDONLY); }
Status SyncDirectory(const std::string& path) { return Sync(path, O_RDONLY | O_DIRECTORY); }

Status AtomicRename(const std::string& temporary, const std::string& final_path) {
  FaultPoint("file: before fsync", final_path);
  COHORT_RETURN_IF_ERROR(SyncFile(temporary));
  FaultPoint("file: before rename", final_path);
  if (std::rename(temporary.c_str(), final_path.c_str()) != 0) {
    return SystemError(final_path, ("rename " + temporary + " to it").c_str());
  }
  FaultPoint("file: after rename", final_path);
  COHORT_RETURN_IF_ERROR(SyncDirectory(DirectoryOf(final_path)));
  FaultPoint("file: after fsync of its folder", final_path);
  return {};
}

Result<AtomicFile> AtomicFile::Create(const std::string& final_path) {
  AtomicFile file;
  COHORT_ASSIGN_OR_RETURN(file.final_path_, FileBehind(final_path));
  file.temporary_path_ = file.final_path_ + ".tmp";
  COHORT_RETURN_IF_ERROR(CheckRegularFile(final_path));
  for (;;) {
    int descriptor = ::open(file.temporary_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) {
      bool user = errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == EISDIR ||
                  errno == EROFS || errno == ENAMETOOLONG;
      const Status status = SystemError(file.final_path_, "be written");
      return Error(user ? ErrorCode::kInvalidInput : ErrorCode::kIo,
                   status.text() + "; its folder must exist and be writable");
    }
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor);
      return InvalidInput(file.temporary_path_ +
                          ": another process is writing it; wait for that one, or choose another output");
    }
    // Between open and flock another writer may have renamed the file away: then this is its result, not
    // ours.
    struct stat ours {
    }, named{};
    bool same = ::fstat(descriptor, &ours) == 0 && ::stat(file.temporary_path_.c_str(), &named) == 0 &&
                ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
    if (!same) {
      ::close(descriptor);
      continue;
    }
    file.descriptor_ = descriptor;
    if (::ftruncate(descriptor, 0) != 0) {
      return tl::unexpected<Status>(SystemError(file.temporary_path_, "empty"));
    }
    FaultPoint("file: before write", final_path);
    return file;
  }
}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  if (this == &other) return *this;
  Abandon();
  temporary_path_ = std::move(other.temporary_path_);
  final_path_ = std::move(other.final_path_);
  descriptor_ = std::exchange(other.descriptor_, -1);
  return *this;
}

AtomicFile::~AtomicFile() { Abandon(); }

void AtomicFile::StartWriteback() const {
  // A hint: the fsync of Commit is what counts.
  (void)::sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE);
}

void AtomicFile::Abandon() {
  if (descriptor_ < 0) return;
  ::unlink(temporary_path_.c_str());
  ::close(descriptor_);
  descriptor_ = -1;
}

Status AtomicFile::Commit() {
  COHORT_CHECK(descriptor_ >= 0);
  COHORT_RETURN_IF_ERROR(AtomicRename(temporary_path_, final_path_));
  ::close(descriptor_);
  descriptor_ = -1;
  return {};
}

Status WriteFileAtomically(const std::string& path, std::string_view content, FileReaders readers) {
  COHORT_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  std::FILE* out = std::fopen(file.temporary_path().c_str(), "we");
  if (out == nullptr) return SystemError(file.temporary_path(), "open");
  if (readers == FileReaders::kOwner && ::fchmod(::fileno(out), S_IRUSR | S_IWUSR) != 0) {
    const Status status = SystemError(file.temporary_path(), "keep from others");
    std::fclose(out);
    return status;
  }
  bool written = std::fwrite(content.data(), 1, content.size(), out) == content.size();
  FaultPoint("file: mid-write", path);  // the end of it is still in the stream's buffer
  if (std::fclose(out) != 0) written = false;
  if (!written) return SystemError(file.temporary_path(), "write");
  return file.Commit();
}

Result<std::string> ReadFile(const std::string& path, std::size_t limit) {
  COHORT_ASSIGN_OR_RETURN(const int descriptor, OpenInput(path));
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(::fdopen(descriptor, "r"), &std::fclose);
  if (!in) return tl::unexpected<Status>(SystemError(path, "open"));
  std::string content;
  // A file of a known size at once, and the end of it; others piece by piece.
  struct stat found {};
  std::size_t piece = 1 << 14, got = 1;
  if (::fstat(descriptor, &found) == 0 && found.st_size > 0)
    piece = std::min(static_cast<std::size_t>(found.st_size), limit) + 1;
  for (; content.size() <= limit && got > 0; piece = 1 << 14) {
    const std::size_t before = content.size();
    content.resize(before + piece);
    got = std::fread(content.data() + before, 1, piece, in.get());
    content.resize(before + got);
  }
  if (std::ferror(in.get()) != 0) return tl::unexpected<Status>(SystemError(path, "read"));
  if (content.size() > limit) {
    return InvalidInput(path + ": is larger than " + std::to_string(limit) +
                        " bytes, the limit for this kind of file");
  }
  return content;
}

Result<std::string> ReadKeyFile(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return InvalidInput(path + ": no key here: " + std::strerror(errno));
  if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return InvalidInput(path + ": others than its owner may use this key; if nobody has, chmod 600 " + path);
  COHORT_ASSIGN_OR_RETURN(std::string text, ReadFile(path, 4096));
  text.resize(std::min(text.find('\n'), text.size()));
  return text;
}

}  // namespace cohort
