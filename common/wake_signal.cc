#include "common/wake_signal.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace cohort {

Result<std::unique_ptr<WakeSignal>> WakeSignal::Create() {
  const int file = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (file < 0) return Error(ErrorCode::kIo, std::string("eventfd: ") + std::strerror(errno));
  return std::unique_ptr<WakeSignal>(new WakeSignal(file));
}

WakeSignal::~WakeSignal() { ::close(file_); }

void WakeSignal::Give() {
  const std::uint64_t one = 1;
  // Fails only at a count that no one reaches; and then the signal is given.
  [[maybe_unused]] const ssize_t n = ::write(file_, &one, sizeof(one));
}

void WakeSignal::TakeBack() {
  std::uint64_t count = 0;
  // Fails only if there was none.
  [[maybe_unused]] const ssize_t n = ::read(file_, &count, sizeof(count));
}

}  // namespace cohort
