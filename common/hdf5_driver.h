// The HDF5 driver of writers: POSIX writes, but HDF5 never hears that one has failed. It is remembered here, for the writer
// to tell, and what follows is dropped.
//
// Why: a file that HDF5 1.10.8 cannot write to the end (a full disk) can neither be closed, so that its space stays taken, nor be
// left open: HDF5 tries again when the process exits, and crashes.
#ifndef COHORT_COMMON_HDF5_DRIVER_H_
#define COHORT_COMMON_HDF5_DRIVER_H_

#include <cstdint>

namespace cohort {

struct WriteFailure {
  int error = 0;       // errno of the first write that failed; 0: none has
  int open_error = 0;  // of the last time that the file could not be opened
};

// Makes a file access property list (a hid_t) use the driver. `failure` must outlive the file.
bool UseForgivingDriver(std::int64_t access, WriteFailure* failure);

}  // namespace cohort

#endif  // COHORT_COMMON_HDF5_DRIVER_H_
