// Errors. What the world can do to us (bad input, a peer gone, a full disk) is a Status that must be looked at;
// what only our own bug can do is COHORT_CHECK (check.h), which stops the process with the values.
#ifndef COHORT_COMMON_STATUS_H_
#define COHORT_COMMON_STATUS_H_

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace cohort {

enum class ErrorCode {
  kOk = 0,
  kInvalidInput,  // the user's configuration, data or usage is at fault: exit code 2
  kCorrupt,       // a file or message does not hold what it must
  kTimeout,       // a deadline passed; the text says what was awaited, from whom, since when
  kStale,         // a message of an older epoch, incarnation, phase or slot map
  kUnavailable,   // a peer is gone or refuses
  kIo,            // the operating system refused: text carries path and reason
  kInternal,
};

// The text says what, where (file, line, column, key), what was expected and what to do.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(ErrorCode code, std::string text) : code_(code), text_(std::move(text)) {}

  bool ok() const { return code_ == ErrorCode::kOk; }
  ErrorCode code() const { return code_; }
  const std::string& text() const { return text_; }
  // 0 done; 2 the user's input is at fault; 1 anything else (DESIGN 4.1).
  int exit_code() const { return ok() ? 0 : (code_ == ErrorCode::kInvalidInput ? 2 : 1); }
  // The same error, seen from further up: "context: text".
  Status Within(const std::string& context) const { return {code_, context + ": " + text_}; }

 private:
  ErrorCode code_ = ErrorCode::kOk;
  std::string text_;
};

template <typename T>
using Result = tl::expected<T, Status>;

inline tl::unexpected<Status> Error(ErrorCode code, std::string text) {
  return tl::unexpected<Status>(Status(code, std::move(text)));
}
inline tl::unexpected<Status> InvalidInput(std::string text) {
  return Error(ErrorCode::kInvalidInput, std::move(text));
}

// Returns the error of an expression of type Status, or of type Result<T>, to the caller.
#define COHORT_RETURN_IF_ERROR(expression)                             \
  do {                                                                 \
    if (auto cohort_status_ = (expression); !cohort_status_.ok())      \
      return ::cohort::internal::Propagate(std::move(cohort_status_)); \
  } while (false)
#define COHORT_CONCAT_INNER(a, b) a##b
#define COHORT_CONCAT(a, b) COHORT_CONCAT_INNER(a, b)
#define COHORT_ASSIGN_OR_RETURN(target, expression)                                                   \
  auto COHORT_CONCAT(cohort_result_, __LINE__) = (expression);                                        \
  if (!COHORT_CONCAT(cohort_result_, __LINE__))                                                       \
    return ::cohort::internal::Propagate(std::move(COHORT_CONCAT(cohort_result_, __LINE__)).error()); \
  target = std::move(*COHORT_CONCAT(cohort_result_, __LINE__))

namespace internal {
// Converts to Status or to Result<T>, whichever the returning function needs.
class Propagate {
 public:
  explicit Propagate(Status status) : status_(std::move(status)) {}
  operator Status() && { return std::move(status_); }
  template <typename T>
  operator tl::expected<T, Status>() && {
    return tl::unexpected<Status>(std::move(status_));
  }

 private:
  Status status_;
};
}  // namespace internal

}  // namespace cohort

#endif  // COHORT_COMMON_STATUS_H_
