#include "common/hdf5_driver.h"

#include <fcntl.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

namespace cohort {
namespace {

struct Settings {
  WriteFailure* failure = nullptr;
};

struct File {
  H5FD_t base;  // HDF5's; must be the first
  int descriptor = -1;
  haddr_t allocated = 0;  // HDF5's "end of allocation"
  haddr_t size = 0;
  WriteFailure* failure = nullptr;
  dev_t device = 0;
  ino_t inode = 0;
};

File& Of(H5FD_t* file) { return *reinterpret_cast<File*>(file); }
const File& Of(const H5FD_t* file) { return *reinterpret_cast<const File*>(file); }

void Fail(File& file) {
  if (file.failure->error == 0) file.failure->error = errno != 0 ? errno : EIO;
}

H5FD_t* Open(const char* name, unsigned flags, hid_t access, haddr_t) {
  const auto* settings = static_cast<const Settings*>(H5Pget_driver_info(access));
  if (settings == nullptr) return nullptr;
  int how = (flags & H5F_ACC_RDWR) != 0 ? O_RDWR : O_RDONLY;
  if ((flags & H5F_ACC_TRUNC) != 0) how |= O_TRUNC;
  if ((flags & H5F_ACC_CREAT) != 0) how |= O_CREAT;
  if ((flags & H5F_ACC_EXCL) != 0) how |= O_EXCL;
  const int descriptor = ::open(name, how | O_CLOEXEC, 0666);
  struct stat info {};
  if (descriptor < 0 || ::fstat(descriptor, &info) != 0) {
    settings->failure->open_error = errno;  // HDF5 hears of it: it tries first whether the file is there
    if (descriptor >= 0) ::close(descriptor);
    return nullptr;
  }
  auto* file = new File();
  file->descriptor = descriptor;
  file->size = static_cast<haddr_t>(info.st_size);
  file->failure = settings->failure;
  file->device = info.st_dev;
  file->inode = info.st_ino;
  return &file->base;
}

herr_t Close(H5FD_t* base) {
  File& file = Of(base);
  if (::close(file.descriptor) != 0) Fail(file);
  delete &file;
  return 0;
}

int Compare(const H5FD_t* a, const H5FD_t* b) {
  const File &x = Of(a), &y = Of(b);
  if (x.device != y.device) return x.device < y.device ? -1 : 1;
  return x.inode == y.inode ? 0 : x.inode < y.inode ? -1 : 1;
}

herr_t Query(const H5FD_t*, unsigned long* flags) {
  // As HDF5's own driver for POSIX files: the same bytes come out.
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

haddr_t Allocated(const H5FD_t* base, H5FD_mem_t) { return Of(base).allocated; }
herr_t SetAllocated(H5FD_t* base, H5FD_mem_t, haddr_t end) {
  Of(base).allocated = end;
  return 0;
}
haddr_t Size(const H5FD_t* base, H5FD_mem_t) { return Of(base).size; }

herr_t Read(H5FD_t* base, H5FD_mem_t, hid_t, haddr_t at, size_t size, void* buffer) {
  auto* out = static_cast<char*>(buffer);
  while (size > 0) {
    const ssize_t n = ::pread(Of(base).descriptor, out, size, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) {  // beyond the end
      std::memset(out, 0, size);
      return 0;
    }
    out += n;
    at += static_cast<haddr_t>(n);
    size -= static_cast<size_t>(n);
  }
  return 0;
}

herr_t Write(H5FD_t* base, H5FD_mem_t, hid_t, haddr_t at, size_t size, const void* buffer) {
  File& file = Of(base);
  const auto* in = static_cast<const char*>(buffer);
  while (size > 0 && file.failure->error == 0) {
    const ssize_t n = ::pwrite(file.descriptor, in, size, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      if (n == 0) errno = ENOSPC;
      Fail(file);
      break;
    }
    in += n;
    at += static_cast<haddr_t>(n);
    size -= static_cast<size_t>(n);
  }
  file.size = std::max(file.size, at + size);
  return 0;
}

herr_t Truncate(H5FD_t* base, hid_t, hbool_t) {
  File& file = Of(base);
  if (file.size == file.allocated) return 0;
  if (file.failure->error == 0 && ::ftruncate(file.descriptor, static_cast<off_t>(file.allocated)) != 0)
    Fail(file);
  file.size = file.allocated;
  return 0;
}

hid_t RegisterDriver() {
  H5FD_class_t driver{};
  driver.name = "cohort";
  driver.maxaddr = (haddr_t{1} << 62) - 1;
  driver.fc_degree = H5F_CLOSE_WEAK;
  driver.fapl_size = sizeof(Settings);
  driver.open = Open;
  driver.close = Close;
  driver.cmp = Compare;
  driver.query = Query;
  driver.get_eoa = Allocated;
  driver.set_eoa = SetAllocated;
  driver.get_eof = Size;
  driver.read = Read;
  driver.write = Write;
  driver.truncate = Truncate;
  const H5FD_mem_t map[] = H5FD_FLMAP_DICHOTOMY;
  std::copy(std::begin(map), std::end(map), driver.fl_map);
  return H5FDregister(&driver);
}

}  // namespace

bool UseForgivingDriver(std::int64_t access, WriteFailure* failure) {
  // Registered for the life of the process; which thread comes first does not matter.
  static const hid_t driver = RegisterDriver();
  const Settings settings{failure};
  return driver >= 0 && H5Pset_driver(access, driver, &settings) >= 0;
}

}  // namespace cohort
