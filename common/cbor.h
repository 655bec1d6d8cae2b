// JSON values as CBOR (RFC 8949): what passes between processes of one job. Every number keeps its bits, NaN too.
#ifndef COHORT_COMMON_CBOR_H_
#define COHORT_COMMON_CBOR_H_

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "common/status.h"

namespace cohort {

std::string ToCbor(const nlohmann::json& json);
// kCorrupt: no CBOR, or not what `read` takes from it: exceptions of it are caught here.
Status FromCbor(const std::string& bytes, const std::function<void(const nlohmann::json&)>& read);

}  // namespace cohort

#endif  // COHORT_COMMON_CBOR_H_
