#include "server/slab_source.h"

#include <sys/mman.h>

#include <new>

namespace cohort {

Slab NewSlab(bool large_page) {
  Slab slab(static_cast<float*>(std::aligned_alloc(kSlabBytes, kSlabBytes)));
  if (slab == nullptr) throw std::bad_alloc();
  // Advice only: the kernel may say no. Large pages are worth 1.4x for rows of 256 bytes and more.
  if (large_page) madvise(slab.get(), kSlabBytes, MADV_HUGEPAGE);
  return slab;
}

}  // namespace cohort
