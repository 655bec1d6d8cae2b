#include "launch/doctor/look_at_host.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "common/memory_room.h"
#include "common/process.h"
#include "common/wire.h"
#include "launch/hostfile.h"
#include "launch/role.h"
#include "launch/run_folder.h"
#include "worker/model/kernels.h"

namespace cohort {
namespace {

constexpr std::size_t kWrittenBytes = 4u << 20;

DiskSpace SpaceIn(const std::string& path) {
  struct statvfs space {};
  if (statvfs(path.c_str(), &space) != 0) return {path, false, 0};
  return {path, true, std::uint64_t{space.f_bavail} * space.f_frsize};
}

// Writes a file without a name that goes when it is closed.
void TryWriting(HostFacts* facts) {
  std::string name = facts->folder.path + "/.cohort-doctor-XXXXXX";
  const int file = mkostemp(name.data(), O_CLOEXEC);
  if (file < 0) {
    facts->write_error = std::strerror(errno);
    return;
  }
  unlink(name.c_str());
  const std::vector<char> bytes(1u << 20, 'x');
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t written = 0; written < kWrittenBytes && facts->write_error.empty();) {
    const ssize_t count = write(file, bytes.data(), std::min(bytes.size(), kWrittenBytes - written));
    if (count > 0) {
      written += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      facts->write_error = std::strerror(errno);
    }
  }
  if (facts->write_error.empty() && fsync(file) != 0) facts->write_error = std::strerror(errno);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  close(file);
  if (facts->write_error.empty())
    facts->write_bytes_per_second = static_cast<double>(kWrittenBytes) / std::max(seconds.count(), 1e-9);
}

std::string MpirunVersion() {
  if (FindProgram("mpirun").empty()) return "";
  std::FILE* pipe = popen("mpirun --version 2>/dev/null", "r");
  if (pipe == nullptr) return "";
  char line[256] = {};
  const bool read = std::fgets(line, sizeof(line), pipe) != nullptr;
  while (std::fgetc(pipe) != EOF) {
  }
  pclose(pipe);
  std::string version = read ? line : "";
  version.erase(version.find_last_not_of("\r\n ") + 1);
  return version;
}

std::uint64_t OpenFiles() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return 0;
  files.rlim_cur = files.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &files);
  return files.rlim_max;
}

}  // namespace

HostFacts LookAtHost(const LookOrder& order, const std::string& version,
                     const std::function<void(const std::string&)>& stage) {
  HostFacts facts;
  facts.host = HostName();
  facts.version = version;
  facts.wire_version = kWireVersion;
  facts.kernels = BestKernelPath();
  facts.avx2 = HasKernelPath("avx2");
  facts.cores = static_cast<std::uint32_t>(std::max(0L, sysconf(_SC_NPROCESSORS_ONLN)));
  facts.open_files = OpenFiles();
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  for (const MemoryRoom& room : MemoryRooms()) least = std::min(least, room.left);
  facts.memory_bytes = least == std::numeric_limits<std::uint64_t>::max() ? 0 : least;
  facts.shared_memory = SpaceIn("/dev/shm");

  if (auto interfaces = Interfaces()) facts.interfaces = std::move(*interfaces);
  if (const auto address = ListenAddress(order.alone, order.interface)) {
    facts.address = *address;
  } else {
    facts.address_error = address.error().text();
  }
  stage("looking for mpirun");
  facts.mpirun = MpirunVersion();
  facts.orted = !FindProgram("orted").empty();
  for (const char* program : {"cohort-scheduler", "cohort-server", "cohort-worker"}) {
    const std::string path = ProgramFolder() + "/" + program;
    if (access(path.c_str(), X_OK) != 0) facts.missing.push_back(path);
  }
  if (!order.data.empty()) {
    stage("looking at the dataset " + order.data);
    struct stat file {};
    if (access(order.data.c_str(), R_OK) == 0 && stat(order.data.c_str(), &file) == 0)
      facts.data_bytes = file.st_size;
  }
  stage("looking at the scratch folder " + ScratchBase());
  facts.scratch = SpaceIn(ScratchBase());
  stage("looking at and writing to the run folder " + order.folder);
  facts.folder = SpaceIn(order.folder);
  if (facts.folder.there) {
    facts.folder_shared =
        !order.marker.empty() && access((order.folder + "/" + order.marker).c_str(), F_OK) == 0;
    TryWriting(&facts);
  }
  return facts;
}

}  // namespace cohort
