// Frames of messages for the targets of the wire: a checksum that is right, and what must hold of whatever Decode says.
#ifndef COHORT_TESTS_FUZZ_FRAMES_H_
#define COHORT_TESTS_FUZZ_FRAMES_H_

#include <cstddef>
#include <string_view>

#include "common/transport.h"

namespace cohort::fuzz {

// A frame of these bytes; its address is a multiple of 8, or one more than that.
Buffer Frame(std::string_view bytes, bool aligned = true);
// Makes lengths, number of frames and checksum of the header right, as docs/protocol.md has them. Nothing else.
// REQUIRES: frame 0 has a header's size or more; at most five frames.
void Seal(Frames* frames);
// Decodes, within the bound of memory; what is accepted must encode to the same frames, and its arrays must be usable.
void CheckDecode(const Frames& frames);

}  // namespace cohort::fuzz

#endif  // COHORT_TESTS_FUZZ_FRAMES_H_
