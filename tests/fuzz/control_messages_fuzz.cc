// Bodies of messages behind a header that is right; what Cereal reads is reached by every input. Input: type u8, bytes of
// the bulk frame u16 (of types that have one), body, bulk frame.
#include <algorithm>
#include <string>

#include "common/wire.h"
#include "tests/fuzz/frames.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cohort;
  constexpr std::uint16_t kPushRequest = 3;  // its four arrays are the other target's
  constexpr std::uint16_t kWithBulk[] = {0, 1, 15, 18};
  fuzz::Input input(data, size);
  const auto type = static_cast<std::uint16_t>(input.Take<std::uint8_t>() % std::variant_size_v<Message>);
  const std::size_t bulk_bytes = input.Take<std::uint16_t>();
  const bool has_bulk = std::count(std::begin(kWithBulk), std::end(kWithBulk), type) > 0;
  if (type == kPushRequest) return -1;
  std::string head(kHeaderBytes, '\0');
  const std::uint32_t magic = kWireMagic;
  const std::uint16_t version = kWireVersion;
  std::memcpy(head.data(), &magic, sizeof(magic));
  std::memcpy(head.data() + 4, &version, sizeof(version));
  std::memcpy(head.data() + 6, &type, sizeof(type));
  const std::size_t body_bytes =
      input.left().size() - std::min(has_bulk ? bulk_bytes : 0, input.left().size());
  head += input.TakeBytes(body_bytes);
  Frames frames = {fuzz::Frame(head)};
  if (has_bulk) frames.push_back(fuzz::Frame(input.left()));
  fuzz::Seal(&frames);
  fuzz::CheckDecode(frames);
  return 0;
}
