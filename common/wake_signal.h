// WakeSignal: ends the wait of a thread in ZmqTransport::Receive when another thread has something for it. Signals that
// have not been taken back are one.
#ifndef COHORT_COMMON_WAKE_SIGNAL_H_
#define COHORT_COMMON_WAKE_SIGNAL_H_

#include <memory>

#include "common/status.h"

namespace cohort {

// Thread-safe.
class WakeSignal {
 public:
  // Errors: kIo, no file descriptor is left.
  static Result<std::unique_ptr<WakeSignal>> Create();
  ~WakeSignal();
  WakeSignal(const WakeSignal&) = delete;
  WakeSignal& operator=(const WakeSignal&) = delete;

  void Give();
  void TakeBack();
  // Readable while the signal is given.
  int file() const { return file_; }

 private:
  explicit WakeSignal(int file) : file_(file) {}
  const int file_;  // an eventfd
};

}  // namespace cohort

#endif  // COHORT_COMMON_WAKE_SIGNAL_H_
