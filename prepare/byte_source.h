// The bytes of a file, plain or gzip (told apart by content, whatever the name).
#ifndef COHORT_PREPARE_BYTE_SOURCE_H_
#define COHORT_PREPARE_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "common/status.h"

namespace cohort {

// One thread. Memory does not depend on the file's size.
class ByteSource {
 public:
  static Result<std::unique_ptr<ByteSource>> Open(const std::string& path);
  virtual ~ByteSource() = default;
  // Writes up to `size` bytes to `out`; 0 is the end. A gzip file may have several members; one that is cut
  // or damaged is an error that names the byte of the file.
  virtual Result<std::size_t> Read(char* out, std::size_t size) = 0;
  // Goes on at a byte of the file as it lies on disk; of gzip, a member begins there. Errors: kIo, a pipe.
  virtual Status Seek(std::uint64_t offset) = 0;
  // Bytes of the file used so far, and its size (0 if unknown, as of a pipe): for progress.
  virtual std::uint64_t consumed() const = 0;
  virtual std::uint64_t file_size() const = 0;
};

}  // namespace cohort

#endif  // COHORT_PREPARE_BYTE_SOURCE_H_
