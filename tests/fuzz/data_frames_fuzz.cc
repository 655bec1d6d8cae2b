// Frames as they come from the network. Input: flags u8 (1: version, lengths and checksum are made right, 2: bulk frames lie at odd
// addresses), number of frames u8, sizes of frames 0 to 3 u16 each, bytes; the last frame takes what is left.
#include <algorithm>
#include <array>

#include "common/wire.h"
#include "tests/fuzz/frames.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cohort;
  fuzz::Input input(data, size);
  const auto flags = input.Take<std::uint8_t>();
  const std::size_t count = input.Take<std::uint8_t>() % 7;
  const auto sizes = input.Take<std::array<std::uint16_t, 4>>();
  Frames frames;
  for (std::size_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count;
    const std::string_view bytes =
        input.TakeBytes(last || i >= sizes.size() ? input.left().size() : sizes[i]);
    frames.push_back(fuzz::Frame(bytes, i == 0 || (flags & 2) == 0));
  }
  const bool can_be_sealed =
      !frames.empty() && frames[0].size() >= kHeaderBytes && count <= 1 + kMaxBulkFrames;
  if ((flags & 1) != 0 && can_be_sealed) fuzz::Seal(&frames);
  fuzz::CheckDecode(frames);
  return 0;
}
