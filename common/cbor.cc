#include "common/cbor.h"

#include <exception>
#include <nlohmann/json.hpp>

namespace cohort {

std::string ToCbor(const nlohmann::json& json) {
  std::string bytes;
  nlohmann::json::to_cbor(json, bytes);
  return bytes;
}

Status FromCbor(const std::string& bytes, const std::function<void(const nlohmann::json&)>& read) {
  try {
    read(nlohmann::json::from_cbor(bytes));
  } catch (const std::exception& error) {
    return {ErrorCode::kCorrupt,
            std::string("what another process has computed cannot be read: ") + error.what()};
  }
  return {};
}

}  // namespace cohort
