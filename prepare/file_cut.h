// CutFile: a file without some of its bytes.
#ifndef COHORT_PREPARE_FILE_CUT_H_
#define COHORT_PREPARE_FILE_CUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"

namespace cohort {

struct ByteRange {
  std::uint64_t begin = 0, end = 0;
};

// Replaces the file by one without the bytes of `ranges`, which ascend and do not overlap, and count unpacked bytes where the file is
// gzip (it stays gzip). All other bytes, and who may read the file, stay as they are. A kill leaves the old file or the new one.
// Memory does not depend on the file's size.
Status CutFile(const std::string& path, const std::vector<ByteRange>& ranges);

}  // namespace cohort

#endif  // COHORT_PREPARE_FILE_CUT_H_
