#include "common/json_guard.h"

#include <map>
#include <nlohmann/json.hpp>

namespace cohort {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostMultiple = 10, kSlack = std::size_t{256} << 10;
// What nodes take: an element of an array, while the array grows; a key and its value in a map of an object.
constexpr std::size_t kElement = 3 * sizeof(Json), kObject = sizeof(Json::object_t),
                      kArray = sizeof(Json::array_t);
constexpr std::size_t kMember = 4 * sizeof(void*) + sizeof(std::string) + sizeof(Json);

// Sees the text go by and adds up; stops at the first thing that is wrong.
class Shape : public nlohmann::json_sax<Json> {
 public:
  explicit Shape(std::size_t most) : most_(most) {}
  const std::string& why() const { return why_; }

  bool null() override { return Take(kElement); }
  bool boolean(bool) override { return Take(kElement); }
  bool number_integer(number_integer_t) override { return Take(kElement); }
  bool number_unsigned(number_unsigned_t) override { return Take(kElement); }
  bool number_float(number_float_t, const string_t&) override { return Take(kElement); }
  bool string(string_t& text) override { return Take(kElement + sizeof(std::string) + text.size()); }
  bool binary(binary_t&) override { return Take(kElement); }
  bool start_object(std::size_t) override { return Open() && Take(kElement + kObject); }
  bool key(string_t& text) override { return Take(kMember + text.size()); }
  bool end_object() override { return --depth_, true; }
  bool start_array(std::size_t) override { return Open() && Take(kElement + kArray); }
  bool end_array() override { return --depth_, true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
    why_ = error.what();
    return false;
  }

 private:
  bool Open() {
    if (++depth_ <= kMaxJsonDepth) return true;
    why_ = "values within values, more than " + std::to_string(kMaxJsonDepth) + " deep";
    return false;
  }
  bool Take(std::size_t bytes) {
    taken_ += bytes;
    if (taken_ <= most_) return true;
    why_ = "more values than a text of its size should have";
    return false;
  }

  const std::size_t most_;
  std::size_t depth_ = 0, taken_ = 0;
  std::string why_;
};

}  // namespace

Status CheckJsonShape(std::string_view text) {
  Shape shape(kMostMultiple * text.size() + kSlack);
  if (Json::sax_parse(text, &shape)) return {};
  return {ErrorCode::kCorrupt, shape.why()};
}

}  // namespace cohort
