#include "worker/model/kernels.h"

#include <atomic>
#include <cstring>

namespace cohort {
namespace {

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512cd");
}

bool HasAvx512Bf16() { return HasAvx512() && __builtin_cpu_supports("avx512bf16"); }

const KernelTable<float>& Avx512Bf16Kernels() {
  static const KernelTable<float> table = [] {
    KernelTable<float> all = kAvx512Kernels;
    all.name = "avx512_bf16";
    all.bfloat16 = &kAvx512Bfloat16Products;
    return all;
  }();
  return table;
}

std::atomic<const KernelTable<float>*> active{nullptr};

}  // namespace

const char* BestKernelPath() {
  return HasAvx512Bf16() ? Avx512Bf16Kernels().name : HasAvx512() ? kAvx512Kernels.name : kAvx2Kernels.name;
}

const KernelTable<float>* KernelsFor(const char* path) {
  for (const KernelTable<float>* table : {&kAvx2Kernels, &kAvx512Kernels, &Avx512Bf16Kernels()}) {
    if (std::strcmp(path, table->name) == 0) return table;
  }
  return nullptr;
}

bool HasKernelPath(const char* path) {
  const KernelTable<float>* table = KernelsFor(path);
  if (table == nullptr) return false;
  return table == &kAvx2Kernels || (table == &kAvx512Kernels ? HasAvx512() : HasAvx512Bf16());
}

bool UseKernels(const char* path) {
  if (*path == '\0') path = BestKernelPath();
  if (!HasKernelPath(path)) return false;
  active = KernelsFor(path);
  return true;
}

template <>
const KernelTable<float>& ActiveKernels<float>() {
  const KernelTable<float>* table = active.load(std::memory_order_relaxed);
  return table ? *table : *KernelsFor(BestKernelPath());
}

template <>
const KernelTable<double>& ActiveKernels<double>() {
  return kDoubleKernels;
}

}  // namespace cohort
