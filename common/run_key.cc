#include "common/run_key.h"

#include <zmq.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/atomic_file.h"

namespace cohort {
namespace {

constexpr std::size_t kZ85Bytes = 40;

}  // namespace

Result<RunKey> RunKey::Read(const std::string& path) {
  COHORT_ASSIGN_OR_RETURN(std::string text, ReadKeyFile(path));
  RunKey key;
  std::array<char, kZ85Bytes + 1> half{};
  if (text.size() != kZ85Bytes || ::zmq_curve_public(half.data(), text.c_str()) != 0)
    return InvalidInput(path +
                        ": no key of a run; expected 40 characters of Z85, as `cohort key` writes them");
  key.secret_ = std::move(text);
  key.public_ = half.data();
  return key;
}

Result<RunKey> RunKey::New() {
  std::array<char, kZ85Bytes + 1> half{}, secret{};
  if (::zmq_curve_keypair(half.data(), secret.data()) != 0)
    return Error(ErrorCode::kUnavailable, std::string("ZeroMQ cannot make keys: ") + std::strerror(errno) +
                                              " (built without libsodium?)");
  RunKey key;
  key.secret_ = secret.data();
  key.public_ = half.data();
  return key;
}

Status RunKey::Write(const std::string& path) const {
  return WriteFileAtomically(path, secret_ + "\n", FileReaders::kOwner);
}

}  // namespace cohort
