#include "launch/watch/file_tail.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace cohort {
namespace {

constexpr std::size_t kHeadBytes = 128;
constexpr std::size_t kBlock = std::size_t{1} << 20;

}  // namespace

bool FileTail::IsTheSame(int file, ino_t inode, off_t size) const {
  if (inode != inode_ || size < read_) return false;
  std::string head(head_.size(), '\0');
  return pread(file, head.data(), head.size(), 0) == static_cast<ssize_t>(head.size()) && head == head_;
}

FileTail::News FileTail::Read(std::size_t limit) {
  News news;
  // Not to wait, should it be a pipe.
  const int file = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return news;
  struct stat now {};
  if (fstat(file, &now) != 0 || !S_ISREG(now.st_mode)) {
    close(file);
    return news;
  }
  if (!IsTheSame(file, now.st_ino, now.st_size)) {
    news.anew = read_ > 0;
    inode_ = now.st_ino;
    read_ = 0, skip_ = false;
    head_.clear(), torn_.clear();
  }
  std::string block;
  for (std::size_t done = 0;;) {
    if (done >= limit) {
      news.more = true;
      break;
    }
    block.resize(std::min(kBlock, limit - done));
    const ssize_t got = pread(file, block.data(), block.size(), read_);
    if (got <= 0) break;
    block.resize(static_cast<std::size_t>(got));
    if (head_.size() < kHeadBytes && static_cast<std::size_t>(read_) == head_.size())
      head_.append(block, 0, kHeadBytes - head_.size());
    read_ += got;
    done += block.size();
    for (std::size_t begin = 0; begin < block.size();) {
      const std::size_t end = std::min(block.find('\n', begin), block.size());
      if (torn_.size() + (end - begin) > kMaxLineBytes) skip_ = true, torn_.clear();
      if (!skip_) torn_.append(block, begin, end - begin);
      if (end < block.size()) {
        if (!skip_) news.lines.push_back(std::move(torn_));
        torn_.clear();
        skip_ = false;
      }
      begin = end + 1;
    }
  }
  close(file);
  return news;
}

}  // namespace cohort
