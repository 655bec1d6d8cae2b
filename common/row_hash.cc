#include "common/row_hash.h"

#include <xxhash.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>

#include "common/input_file.h"

namespace cohort {

std::string ToHex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::string ToHex(const Hash128& hash) { return ToHex(hash.high) + ToHex(hash.low); }

Result<std::uint64_t> Uint64FromHex(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  if (text.size() != 16 || error != std::errc() || stop != end) {
    return Error(ErrorCode::kCorrupt,
                 "'" + std::string(text.substr(0, 40)) + "' is not a number of 16 hexadecimal digits");
  }
  return value;
}

Result<Hash128> Hash128FromHex(std::string_view text) {
  if (text.size() != 32) {
    return Error(ErrorCode::kCorrupt,
                 "'" + std::string(text.substr(0, 40)) + "' is not a hash of 32 hexadecimal digits");
  }
  Hash128 hash;
  COHORT_ASSIGN_OR_RETURN(hash.high, Uint64FromHex(text.substr(0, 16)));
  COHORT_ASSIGN_OR_RETURN(hash.low, Uint64FromHex(text.substr(16)));
  return hash;
}

Hash128 RowHasher::Hash(TableId table, Key key, std::span<const float> row) {
  const std::uint64_t name[2] = {table, key};
  bytes_.resize(sizeof(name) + row.size_bytes());
  std::memcpy(bytes_.data(), name, sizeof(name));
  if (!row.empty()) std::memcpy(bytes_.data() + sizeof(name), row.data(), row.size_bytes());
  const XXH128_hash_t hash = XXH3_128bits(bytes_.data(), bytes_.size());
  return {hash.low64, hash.high64};
}

std::uint64_t ChecksumOf(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

Result<FileChecksum> ChecksumOfFile(const std::string& path) {
  const auto failed = [&path](const char* what) {
    const ErrorCode code = errno == ENOENT ? ErrorCode::kInvalidInput : ErrorCode::kIo;
    return Error(code, path + ": cannot " + what + ": " + std::strerror(errno));
  };
  COHORT_RETURN_IF_ERROR(CheckRegularFile(path));
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) return failed("open");
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              &XXH3_freeState);
  XXH3_64bits_reset(state.get());
  FileChecksum result;
  std::vector<char> block(64u << 10);
  for (;;) {
    const std::size_t n = std::fread(block.data(), 1, block.size(), file.get());
    if (n == 0) break;
    XXH3_64bits_update(state.get(), block.data(), n);
    result.bytes += n;
  }
  if (std::ferror(file.get()) != 0) return failed("read");
  result.checksum = XXH3_64bits_digest(state.get());
  return result;
}

}  // namespace cohort
