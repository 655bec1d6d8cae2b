// The lines of a file that other processes append to, each of them once, as it becomes whole.
#ifndef COHORT_LAUNCH_WATCH_FILE_TAIL_H_
#define COHORT_LAUNCH_WATCH_FILE_TAIL_H_

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

namespace cohort {

// One thread at a time. Opens the file for each reading and holds nothing of it in between.
class FileTail {
 public:
  explicit FileTail(std::string path) : path_(std::move(path)) {}

  struct News {
    std::vector<std::string> lines;  // without their ends
    bool anew = false;  // the lines are the first ones of another file, or of one that was emptied
    bool more = false;  // `limit` was reached
  };
  // Reads about `limit` bytes at the most. A last line without an end waits for it; one longer than kMaxLineBytes is left out. A
  // file that is not there, or cannot be read, has no news.
  News Read(std::size_t limit);

  static constexpr std::size_t kMaxLineBytes = std::size_t{16} << 20;

 private:
  bool IsTheSame(int file, ino_t inode, off_t size) const;

  const std::string path_;
  ino_t inode_ = 0;
  off_t read_ = 0;     // bytes
  std::string head_;   // the first bytes: a file that was emptied and written again begins with others
  std::string torn_;   // what was read of the last line
  bool skip_ = false;  // the last line is too long
};

}  // namespace cohort

#endif  // COHORT_LAUNCH_WATCH_FILE_TAIL_H_
