#include "prepare/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "common/input_file.h"
#include "common/process.h"

namespace cohort {
namespace {

class File {
 public:
  File(std::string path, int descriptor, std::uint64_t size)
      : path_(std::move(path)), descriptor_(descriptor), size_(size) {}
  File(File&& other) noexcept
      : path_(std::move(other.path_)),
        descriptor_(std::exchange(other.descriptor_, -1)),
        size_(other.size_) {}
  File& operator=(File&&) = delete;
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Result<std::size_t> Read(char* out, std::size_t size) const {
    for (;;) {
      ssize_t got = ::read(descriptor_, out, size);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EINTR) {
        COHORT_RETURN_IF_ERROR(CheckStopSignal());  // a pipe may bring nothing for ever
      } else {
        // Reading a directory fails only here; that is the user's mistake, a failing disk is not.
        return Error(errno == EISDIR ? ErrorCode::kInvalidInput : ErrorCode::kIo,
                     path_ + ": cannot read: " + std::strerror(errno));
      }
    }
  }
  Status Seek(std::uint64_t offset) const {
    if (::lseek(descriptor_, static_cast<off_t>(offset), SEEK_SET) >= 0) return {};
    return {ErrorCode::kIo,
            path_ + ": cannot go to byte " + std::to_string(offset) + ": " + std::strerror(errno)};
  }
  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }

 private:
  std::string path_;
  int descriptor_;
  std::uint64_t size_;
};

class PlainSource final : public ByteSource {
 public:
  PlainSource(File file, std::string head) : file_(std::move(file)), head_(std::move(head)) {}
  Result<std::size_t> Read(char* out, std::size_t size) override {
    if (consumed_ < head_.size()) {
      std::size_t count = std::min<std::size_t>(size, head_.size() - consumed_);
      std::memcpy(out, head_.data() + consumed_, count);
      consumed_ += count;
      return count;
    }
    COHORT_ASSIGN_OR_RETURN(std::size_t count, file_.Read(out, size));
    consumed_ += count;
    return count;
  }
  Status Seek(std::uint64_t offset) override {
    COHORT_RETURN_IF_ERROR(file_.Seek(offset));
    head_.clear();
    consumed_ = offset;
    return {};
  }
  std::uint64_t consumed() const override { return consumed_; }
  std::uint64_t file_size() const override { return file_.size(); }

 private:
  File file_;
  std::string head_;  // read to tell what the file is
  std::uint64_t consumed_ = 0;
};

class GzipSource final : public ByteSource {
 public:
  GzipSource(File file, const std::string& head) : file_(std::move(file)), input_(kInputBytes) {
    std::copy(head.begin(), head.end(), input_.begin());
    stream_.next_in = input_.data();
    stream_.avail_in = static_cast<uInt>(head.size());
    read_ = head.size();
    ready_ = inflateInit2(&stream_, 15 + 16) == Z_OK;
  }
  ~GzipSource() override { inflateEnd(&stream_); }

  Result<std::size_t> Read(char* out, std::size_t size) override {
    if (!ready_) return Error(ErrorCode::kInternal, file_.path() + ": zlib cannot start");
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(size, 1u << 30));
    const uInt wanted = stream_.avail_out;
    while (stream_.avail_out == wanted) {
      if (stream_.avail_in == 0) COHORT_RETURN_IF_ERROR(Fill());
      if (between_members_) {
        SkipPadding();
        if (stream_.avail_in == 0) {
          if (at_end_) return std::size_t{0};
          continue;
        }
        between_members_ = false;
        inflateReset(&stream_);
      }
      if (stream_.avail_in == 0 && at_end_) {
        return InvalidInput(Place() + ": the gzip data ends in the middle (" + std::to_string(read_) +
                            " bytes of file); the file was cut: copy or download it again");
      }
      int code = inflate(&stream_, Z_NO_FLUSH);
      if (code == Z_STREAM_END) {
        between_members_ = true;
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        return InvalidInput(Place() + ": the gzip data is damaged (" +
                            (stream_.msg != nullptr ? stream_.msg : "no reason given") +
                            "); copy or download the file again");
      }
    }
    return std::size_t{wanted - stream_.avail_out};
  }
  Status Seek(std::uint64_t offset) override {
    COHORT_RETURN_IF_ERROR(file_.Seek(offset));
    stream_.avail_in = 0;
    read_ = offset;
    at_end_ = false;
    between_members_ = true;
    return {};
  }
  std::uint64_t consumed() const override { return read_ - stream_.avail_in; }
  std::uint64_t file_size() const override { return file_.size(); }

 private:
  static constexpr std::size_t kInputBytes = 1 << 16;

  Status Fill() {
    if (at_end_) return {};
    COHORT_ASSIGN_OR_RETURN(std::size_t count,
                            file_.Read(reinterpret_cast<char*>(input_.data()), input_.size()));
    stream_.next_in = input_.data();
    stream_.avail_in = static_cast<uInt>(count);
    read_ += count;
    at_end_ = count == 0;
    return {};
  }
  // Zeros after a member are padding (tapes, block devices); anything else must be the next member.
  void SkipPadding() {
    while (stream_.avail_in > 0 && *stream_.next_in == 0) {
      ++stream_.next_in;
      --stream_.avail_in;
    }
  }
  std::string Place() const { return file_.path() + ": at byte " + std::to_string(consumed()); }

  File file_;
  std::vector<Bytef> input_;
  z_stream stream_{};
  std::uint64_t read_ = 0;
  bool ready_ = false;
  bool at_end_ = false;
  bool between_members_ = false;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> ByteSource::Open(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(const int descriptor, OpenInput(path));
  struct stat found {};
  if (::fstat(descriptor, &found) != 0) found.st_size = 0;
  File file(path, descriptor, S_ISREG(found.st_mode) ? static_cast<std::uint64_t>(found.st_size) : 0);
  (void)::posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
  std::string head(2, '\0');
  std::size_t size = 0;
  while (size < head.size()) {
    COHORT_ASSIGN_OR_RETURN(std::size_t count, file.Read(head.data() + size, head.size() - size));
    if (count == 0) break;
    size += count;
  }
  head.resize(size);
  if (head == "\x1f\x8b") return std::make_unique<GzipSource>(std::move(file), head);
  return std::make_unique<PlainSource>(std::move(file), std::move(head));
}

}  // namespace cohort
