// SlabSource: where a table's rows get their memory, in slabs of 2 MB.
//
// The first use of fresh memory takes the kernel up to some milliseconds a slab, longer than many requests; whoever serves
// requests wants that done beforehand (launch/prefaulted_slabs.h).
#ifndef COHORT_SERVER_SLAB_SOURCE_H_
#define COHORT_SERVER_SLAB_SOURCE_H_

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace cohort {

inline constexpr std::size_t kSlabBytes = 2u << 20;  // a large page

struct FreeSlab {
  void operator()(float* slab) const { std::free(slab); }
};
using Slab = std::unique_ptr<float, FreeSlab>;  // aligned to kSlabBytes

// A slab of fresh memory. `large_page`: to be one, if the kernel has one. Throws std::bad_alloc.
Slab NewSlab(bool large_page);

class SlabSource {
 public:
  virtual ~SlabSource() = default;
  // Throws std::bad_alloc. Contents are whatever they are.
  virtual Slab Take() = 0;
};

}  // namespace cohort

#endif  // COHORT_SERVER_SLAB_SOURCE_H_
