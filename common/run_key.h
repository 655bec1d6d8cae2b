// RunKey: the key pair that the processes of a run hold, and nobody else: who has it is let in, and nobody else can read what they say.
//
// Curve25519, as ZeroMQ's CURVE wants it (ZeroMQ RFC 26, after D. J. Bernstein's CurveCP): each connection makes keys of its own, so what was
// recorded can be neither read later with this one nor sent again. One pair for all: they trust each other.
#ifndef COHORT_COMMON_RUN_KEY_H_
#define COHORT_COMMON_RUN_KEY_H_

#include <string>

#include "common/status.h"

namespace cohort {

class RunKey {
 public:
  // The key of a file: 40 characters of Z85 (ZeroMQ RFC 32), the secret half. kInvalidInput: there is none, it holds something else, or
  // others than its owner may read it.
  static Result<RunKey> Read(const std::string& path);
  static Result<RunKey> New();
  // To a file for its owner alone; one that is there is replaced.
  Status Write(const std::string& path) const;

  const std::string& secret() const { return secret_; }      // Z85
  const std::string& public_key() const { return public_; }  // Z85

 private:
  RunKey() = default;
  std::string secret_, public_;
};

}  // namespace cohort

#endif  // COHORT_COMMON_RUN_KEY_H_
