#include "prepare/file_cut.h"

#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "common/atomic_file.h"
#include "common/input_file.h"
#include "prepare/byte_source.h"

namespace cohort {
namespace {

constexpr std::size_t kPieceBytes = 1 << 18;

Result<bool> IsGzip(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return InvalidInput(path + ": cannot be read: " + std::strerror(errno));
  unsigned char head[2] = {0, 0};
  const bool gzip = std::fread(head, 1, 2, file) == 2 && head[0] == 0x1f && head[1] == 0x8b;
  std::fclose(file);
  return gzip;
}

struct CloseGzip {
  void operator()(gzFile file) const { gzclose(file); }
};

}  // namespace

Status CutFile(const std::string& path, const std::vector<ByteRange>& ranges) {
  COHORT_RETURN_IF_ERROR(CheckRegularFile(path));
  COHORT_ASSIGN_OR_RETURN(const bool gzip, IsGzip(path));
  COHORT_ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, ByteSource::Open(path));
  COHORT_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  const Status failure(ErrorCode::kIo, path + ": cannot write its new form: " + std::strerror(EIO));
  // "T": as it is.
  std::unique_ptr<gzFile_s, CloseGzip> out(gzopen(file.temporary_path().c_str(), gzip ? "wb" : "wbT"));
  if (!out) return failure;
  std::vector<char> piece(kPieceBytes);
  std::uint64_t begin = 0;
  for (auto range = ranges.begin();;) {
    COHORT_ASSIGN_OR_RETURN(const std::size_t size, source->Read(piece.data(), piece.size()));
    if (size == 0) break;
    const std::uint64_t end = begin + size;
    for (std::uint64_t at = begin; at < end;) {
      while (range != ranges.end() && range->end <= at) ++range;
      const bool inside = range != ranges.end() && range->begin <= at;
      const std::uint64_t next =
          range == ranges.end() ? end : std::min(end, inside ? range->end : range->begin);
      const auto count = static_cast<unsigned>(next - at);
      if (!inside && gzwrite(out.get(), piece.data() + (at - begin), count) != static_cast<int>(count))
        return failure;
      at = next;
    }
    begin = end;
  }
  if (gzclose(out.release()) != Z_OK) return failure;
  struct stat former {};
  if (::stat(path.c_str(), &former) != 0 ||
      ::chmod(file.temporary_path().c_str(), former.st_mode & 07777) != 0)
    return {ErrorCode::kIo, path + ": " + std::strerror(errno)};
  return file.Commit();
}

}  // namespace cohort
